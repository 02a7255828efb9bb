// Save: every result as a file of its own, and the session as a whole.
import { useSignal } from "@preact/signals";
import { guarded } from "../job-status.js";
import { download } from "../files.js";
import { Icon } from "../icons.js";
import { saveAnnotatedFile, saveModel, savePicture, saveReport, saveSamples, saveTable } from "../saving.js";
import { saveSession } from "../session.js";
import { equivalentCommands } from "../commands.js";
import { announcement, isBusy, isUnsaved, work } from "../state.js";
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
    (query && query.files.length > 0
      ? null
      : "Choose the file of your cells again: the session does not hold it");
  const noSamples =
    noResult ??
    (result!.samples.length > 0 ? null : "This model encodes samples one-hot: it has no embeddings of them");
  const savings: readonly Saving[] = [
    {
      id: "h5ad",
      name: "The query with the results in it",
      what:
        "Everything of your file, and latent positions, cell types, uncertainties and unknown flags; " +
        "Python's anndata opens it.",
      missing: noFile,
      save: saveAnnotatedFile,
    },
    {
      id: "csv",
      name: "A table of the cells (CSV)",
      what:
        "One row per cell: sample, predicted type, probability, uncertainty, novelty, unknown, " +
        "cluster, your labels, the selection, columns you have looked at, position.",
      missing: noFile,
      save: saveTable,
    },
    {
      id: "model",
      name: "The reference model",
      what: `${model?.name ?? "A model"} as a zip file; the command line and this page open it.`,
      missing: model ? null : "Train or open a model first",
      save: () => saveModel("reference"),
    },
    {
      id: "mapped-model",
      name: "The model with your samples",
      what: "The model that the mapping has made of it, with your samples and the types that you have added.",
      missing: noResult,
      save: () => saveModel("mapped"),
    },
    {
      id: "report",
      name: "A report",
      what:
        "One HTML file with the figures, the verdict, the numbers and a text for Methods; it opens " +
        "anywhere, offline.",
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
      what:
        "Their embeddings' first two components, by the gene that colours the cells if one does. The " +
        "other charts have buttons of their own.",
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
      what:
        "Model, results, labels, thresholds and colours, to go on later: drop the file onto this " +
        "page. Without the counts, so that the file of your cells is chosen again.",
      missing: model || result ? null : "There is nothing to go on from yet",
      save: () => saveSession(false),
    },
    {
      id: "session-counts",
      name: "The session with the counts",
      what: "The same with the file of your cells in it: one file that has everything.",
      missing: noFile,
      save: () => saveSession(true),
    },
  ];
  return (
    <>
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
      <Commands />
    </>
  );
}

/** The same on the command line, to be copied. */
function Commands() {
  const commands = equivalentCommands();
  const copied = useSignal("");
  if (commands.length === 0) return null;
  const copy = async (command: string): Promise<void> => {
    await navigator.clipboard.writeText(command);
    copied.value = command;
    announcement.value = "Copied.";
  };
  return (
    <section class="card commands" aria-labelledby="commands-title">
      <h2 id="commands-title">
        The same on the command line{" "}
        <span class="hint">for a script or a cluster: the same files, the same numbers</span>
      </h2>
      {commands.map(({ what, command }) => (
        <div key={what}>
          <h3 class="row">
            {what}
            <button
              class="quiet small"
              onClick={() => copy(command)}
              aria-label={`Copy the command: ${what}`}
            >
              {copied.value === command ? "Copied" : "Copy"}
            </button>
          </h3>
          <pre tabIndex={0} aria-label={what}>
            <code>{command}</code>
          </pre>
        </div>
      ))}
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
      if (/^(session|h5ad)/.test(id)) isUnsaved.value = false;
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
