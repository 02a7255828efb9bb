// Save: every result as a file of its own, and the session as a whole.
import { useSignal } from "@preact/signals";
import { guarded } from "../actions.js";
import { download } from "../files.js";
import { Icon } from "../icons.js";
import { saveAnnotatedFile, saveModel, savePicture, saveReport, saveSamples, saveTable } from "../saving.js";
import { saveSession } from "../session.js";
import { isBusy, isUnsaved, work } from "../state.js";
import { count } from "../text.js";

interface Saving {
  readonly id: string;
  readonly name: string;
  readonly what: string;
  /** why it cannot be saved now; null where it can */
  readonly missing: string | null;
  readonly save: () => Promise<{ readonly file: Blob; readonly name: string }>;
}

export function SaveView() {
  const { result, query, model } = work.value;
  const noResult = result ? null : "Map cells first";
  const noFile =
    noResult ??
    (query && query.files.length > 0 ? null : "Open the query's file again: the session does not hold it");
  const noSamples =
    noResult ??
    (result!.samples.length > 0
      ? null
      : "The conditions of this model are one-hot: it has no embeddings of samples");
  const savings: readonly Saving[] = [
    {
      id: "h5ad",
      name: "The query with the results in it",
      what: "Everything of your file, and latent positions, cell types, uncertainties and unknown flags; Python's anndata opens it.",
      missing: noFile,
      save: saveAnnotatedFile,
    },
    {
      id: "csv",
      name: "A table of the cells (CSV)",
      what: "One row per cell: sample, predicted type, probability, uncertainty, novelty, unknown, position.",
      missing: noFile,
      save: saveTable,
    },
    {
      id: "model",
      name: "The model",
      what: "A zip file of the model folder; the command line and this page open it.",
      missing: model || result ? null : "Train or open a model first",
      save: saveModel,
    },
    {
      id: "report",
      name: "A report",
      what: "One HTML file with the figures, the verdict, the numbers and a text for Methods; it opens anywhere, offline.",
      missing: noFile,
      save: saveReport,
    },
    {
      id: "svg",
      name: "The picture of the cells (SVG)",
      what: "As it is coloured now, for a figure.",
      missing: noResult,
      save: () => savePicture("svg"),
    },
    {
      id: "png",
      name: "The picture of the cells (PNG)",
      what: "As it is coloured now, at twice the resolution.",
      missing: noResult,
      save: () => savePicture("png"),
    },
    {
      id: "samples-svg",
      name: "The picture of the samples (SVG)",
      what: "Their embeddings' first two components, by the gene that colours the cells if one does. The other charts have buttons of their own.",
      missing: noSamples,
      save: () => saveSamples("svg"),
    },
    {
      id: "samples-png",
      name: "The picture of the samples (PNG)",
      what: "The same at twice the resolution.",
      missing: noSamples,
      save: () => saveSamples("png"),
    },
    {
      id: "session",
      name: "The session",
      what: "Model, results, names, thresholds and colours, to go on later: drop the file onto this page. It does not hold the counts.",
      missing: model || result ? null : "There is nothing to go on from yet",
      save: saveSession,
    },
  ];
  return (
    <section class="card" aria-labelledby="save-title">
      <h2 id="save-title">
        Save{" "}
        {result ? (
          <span class="hint">
            {count(result.cells)} mapped cells{isUnsaved.value ? ", not saved yet" : ""}
          </span>
        ) : null}
      </h2>
      <div class="saves">
        {savings.map((saving) => (
          <SaveRow key={saving.id} saving={saving} />
        ))}
      </div>
    </section>
  );
}

function SaveRow({ saving: { id, name, what, missing, save } }: { readonly saving: Saving }) {
  const state = useSignal<"ready" | "saving" | "saved">("ready");
  const run = async (): Promise<void> => {
    state.value = "saving";
    await guarded(`${name} could not be saved`, async () => {
      const { file, name: fileName } = await save();
      download(file, fileName);
      state.value = "saved";
      if (id === "session" || id === "h5ad") isUnsaved.value = false;
    });
    if (state.value === "saving") state.value = "ready";
  };
  return (
    <div class="save">
      <strong>
        {name}
        {state.value === "saved" && <span class="good"> saved</span>}
      </strong>
      <span class="hint">{missing ?? what}</span>
      <button
        id={`save-${id}`}
        disabled={missing !== null || state.value === "saving" || isBusy.value}
        onClick={run}
        aria-label={`Save: ${name}`}
      >
        <Icon name="download" />
        {state.value === "saving" ? "Saving ..." : "Save"}
      </button>
    </div>
  );
}
