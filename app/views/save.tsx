// Save: each result as a file, and the whole session.
import { useSignal } from "@preact/signals";
import { guarded } from "../job-status.js";
import { download } from "../files.js";
import { Icon } from "../icons.js";
import {
  saveAnnotatedFile,
  saveModel,
  savePicture,
  saveReport,
  saveSamples,
  saveSampleTable,
  saveTable,
} from "../saving.js";
import { saveAddedTypes } from "../added-types.js";
import { saveSession } from "../session.js";
import { equivalentCommands } from "../commands.js";
import { isBusy, isUnsaved, work } from "../state.js";
import { count } from "../text.js";
import { CopyButton } from "./copy-command.js";

interface Saving {
  readonly id: string;
  readonly name: string;
  readonly what: string;
  /** why it cannot be saved now; null where it can */
  readonly missing: string | null;
  readonly save: () => Promise<{ readonly file: Blob; readonly name: string }>;
}

/** Why something is not there to be saved; null where it is. */
interface Missing {
  readonly model: string | null;
  readonly result: string | null;
  readonly file: string | null;
  readonly samples: string | null;
  readonly addedTypes: string | null;
}

function missingNow(): Missing {
  const { result, query, model, addedTypes } = work.value;
  const noResult = result ? null : "Map cells first";
  const file =
    noResult ??
    (query && query.files.length > 0
      ? null
      : "Choose the file of your cells again: the session does not hold it");
  return {
    model: model ? null : "Train or open a model first",
    result: noResult,
    file,
    addedTypes: addedTypes.length > 0 ? file : (noResult ?? "You have added no cell types to the model"),
    samples:
      noResult ??
      (result!.samples.length > 0
        ? null
        : "This model encodes samples one-hot: it has no embeddings of them"),
  };
}

const resultSavings = ({ file, samples, addedTypes }: Missing): readonly Saving[] => [
  {
    id: "h5ad",
    name: "The query with the results in it",
    what:
      "Everything of your file, and latent positions, cell types, uncertainties and unknown flags; " +
      "Python's anndata opens it.",
    missing: file,
    save: saveAnnotatedFile,
  },
  {
    id: "csv",
    name: "A table of the cells (CSV)",
    what:
      "One row per cell: sample, predicted type, probability, uncertainty, novelty, unknown, " +
      "cluster, your labels, the selection, columns you have looked at, position.",
    missing: file,
    save: saveTable,
  },
  {
    id: "report",
    name: "A report",
    what:
      "One HTML file with the figures, the verdict, the numbers and a text for Methods; it opens " +
      "anywhere, offline.",
    missing: file,
    save: saveReport,
  },
  {
    id: "samples-csv",
    name: "A table of the samples (CSV)",
    what: "One row per sample of the model: reference or query, and its components.",
    missing: samples,
    save: saveSampleTable,
  },
  {
    id: "added-types",
    name: "Cells of the types you have added (CSV)",
    what: "The cells that each added type is the mean of, by name: the command line reads it.",
    missing: addedTypes,
    save: saveAddedTypes,
  },
];

const modelSavings = ({ model, result }: Missing): readonly Saving[] => [
  {
    id: "model",
    name: "The reference model",
    what: `${work.value.model?.name ?? "A model"} as a zip file; the command line and this page open it.`,
    missing: model,
    save: () => saveModel("reference"),
  },
  {
    id: "mapped-model",
    name: "The model with your samples",
    what: "The model that the mapping has made of it, with your samples and the types that you have added.",
    missing: result,
    save: () => saveModel("mapped"),
  },
];

const pictureSavings = ({ result, samples }: Missing): readonly Saving[] => [
  {
    id: "svg",
    name: "The picture of the cells (SVG)",
    what: "As it is coloured now, for a figure.",
    missing: result,
    save: () => savePicture("svg"),
  },
  {
    id: "png",
    name: "The picture of the cells (PNG)",
    what: "As it is coloured now, at twice the resolution.",
    missing: result,
    save: () => savePicture("png"),
  },
  {
    id: "samples-svg",
    name: "The picture of the samples (SVG)",
    what:
      "Their embeddings' first two components, by the gene that colours the cells if one does. The " +
      "other charts have buttons of their own.",
    missing: samples,
    save: () => saveSamples("svg"),
  },
  {
    id: "samples-png",
    name: "The picture of the samples (PNG)",
    what: "The same at twice the resolution.",
    missing: samples,
    save: () => saveSamples("png"),
  },
];

const sessionSavings = ({ model, result, file }: Missing): readonly Saving[] => [
  {
    id: "session",
    name: "The session",
    what:
      "Model, results, answers, labels, thresholds and colours, to continue later: drop the file onto this " +
      "page. Without the counts, so that the file of your cells is chosen again.",
    missing: model !== null && result !== null ? "There is nothing to continue from yet" : null,
    save: () => saveSession(false),
  },
  {
    id: "session-counts",
    name: "The session with the counts",
    what: "The same with the file of your cells in it: one file that has everything.",
    missing: file,
    save: () => saveSession(true),
  },
];

export function SaveView() {
  const { result } = work.value;
  const missing = missingNow();
  const savings = [resultSavings, modelSavings, pictureSavings, sessionSavings].flatMap((list) =>
    list(missing),
  );
  return (
    <>
      <section class="card" aria-labelledby="save-title">
        <h2 id="save-title">
          Save{" "}
          {result && (
            <span class="hint">
              {count(result.cells)} mapped cells{isUnsaved.value ? ", not saved yet" : ""}
            </span>
          )}
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
  if (commands.length === 0) return null;
  return (
    <section class="card commands" aria-labelledby="commands-title">
      <h2 id="commands-title">
        The same on the command line{" "}
        <span class="hint">for a script or a cluster: the same files, the same numbers</span>
      </h2>
      {commands.map((one) => (
        <div key={one.id}>
          <h3 class="row">
            {one.what}
            <CopyButton command={one} />
          </h3>
          {one.needs && <p class="hint">Needs {one.needs}.</p>}
          <pre tabIndex={0} aria-label={one.what}>
            <code>{one.command}</code>
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
