// The same work on the command line, to be copied: for a script, a cluster, or a Methods section.
import { queryConditions } from "./conditions.js";
import type { TrainRequest } from "./protocol.js";
import { work } from "./state.js";
import { lastTraining } from "./training.js";

/** A word of a POSIX shell. */
const word = (text: string): string =>
  /^[\w./:=,@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
const commas = (names: readonly string[]): string =>
  names.map((name) => name.replaceAll(",", "\\,")).join(",");

type Part = readonly [flag: string, value?: string | number];

function written(verb: readonly string[], parts: readonly Part[]): string {
  const flags = parts.map(([flag, value]) => (value === undefined ? flag : `${flag} ${word(String(value))}`));
  return [`scpoli ${verb.map(word).join(" ")}`, ...flags].join(" \\\n  ");
}

/** Options of the page's training, as flags. */
const trainingFlags: Readonly<Partial<Record<keyof TrainRequest, string>>> = {
  genes: "--genes",
  latentDim: "--latent",
  embeddingDims: "--embedding-dims",
  hiddenLayerSizes: "--hidden",
  dropout: "--dropout",
  epochs: "--epochs",
  pretrainingEpochs: "--pretraining-epochs",
  eta: "--eta",
  alphaEpochAnneal: "--anneal-epochs",
  minibatch: "--minibatch",
  lr: "--lr",
  weightDecay: "--weight-decay",
  trainFrac: "--train-frac",
  seed: "--seed",
  reconLoss: "--recon-loss",
  conditionEncoding: "--condition-encoding",
  simd: "--simd",
};
const switches: Readonly<Record<string, string>> = {
  force: "--force",
  recoverCounts: "--recover-counts",
  roundCounts: "--round-counts",
};

/** A condition of all cells, as a flag writes it. */
const given = (values: Readonly<Record<string, string>>): Part[] =>
  Object.entries(values).map(([key, name]) => ["--condition-value", `${key}=${name}`]);

const switched = (request: object): Part[] =>
  Object.entries(switches).flatMap(([name, flag]): Part[] =>
    (request as Readonly<Record<string, unknown>>)[name] === true ? [[flag]] : [],
  );

function trainCommand(file: string, model: string, request: TrainRequest): string {
  const { conditionKeys, conditionValues = {}, cellTypeKeys = [], earlyStopping } = request;
  const options = Object.entries(trainingFlags).flatMap(([name, flag]): Part[] => {
    const value = request[name as keyof TrainRequest];
    return value === undefined ? [] : [[flag, Array.isArray(value) ? value.join(",") : String(value)]];
  });
  const columns = conditionKeys.filter((key) => !(key in conditionValues));
  return written(
    ["train", file],
    [
      ["-o", model],
      ...(columns.length > 0 ? [["--condition-key", commas(columns)] as const] : []),
      ...given(conditionValues),
      ...(cellTypeKeys.length > 0 ? [["--cell-type-key", commas(cellTypeKeys)] as const] : []),
      ...options,
      ...(earlyStopping ? [["--early-stopping", "on"] as const] : []),
      ...switched(request),
    ],
  );
}

/** Commands that make what the page shows, in their order; none before there is a result or a training. */
export function equivalentCommands(): readonly { readonly what: string; readonly command: string }[] {
  const { query, result, request, view, model } = work.value;
  const commands: { readonly what: string; readonly command: string }[] = [];
  const training = lastTraining.value;
  if (training && model)
    commands.push({
      what: "Train the model",
      command: trainCommand(training.file, model.name, training.request),
    });
  if (!query || !result) return commands;
  const stem = query.info.name.replace(/(\.(h5ad|h5|zarr|zip))+$/, "");
  const output = `${stem}-mapped.h5ad`;
  const { conditionKeys, conditionValues } = queryConditions(
    query,
    Object.keys(result.model.summary.conditions),
  );
  const renamed = Object.entries(conditionKeys).filter(([key, column]) => key !== column);
  const limit = view.thresholds[0];
  const isMoved = limit !== result.levels[0]?.threshold;
  const grown = result.model.name.replace(/(-with-query)+$/, "");
  const reference =
    model && model !== result.model ? (model.files[0]?.path.split("/")[0] ?? model.name) : grown;
  commands.push({
    what: "Map the cells",
    command: written(
      ["map", query.info.name],
      [
        ["--reference", reference],
        ["-o", output],
        ...(renamed.length > 0
          ? [["--condition-key", renamed.map(([key, column]) => `${key}=${column}`).join(",")] as const]
          : []),
        ...given(conditionValues),
        ...(request.unlabeledPrototypes
          ? [["--unlabeled-prototypes", String(request.unlabeledPrototypes)] as const]
          : []),
        ...(request.training === false ? [["--no-training"] as const] : []),
        ...(request.classifier === "prototype" ? [["--classifier", "prototype"] as const] : []),
        ...(request.knownConditions === "new" ? [["--known-conditions", "new"] as const] : []),
        ...(request.simd === "plain" ? [["--simd", "plain"] as const] : []),
        ...(request.epochs ? [["--epochs", request.epochs] as const] : []),
        ...(request.seed ? [["--seed", request.seed] as const] : []),
        ...(isMoved ? [["--threshold", limit === null ? "none" : String(limit)] as const] : []),
        ...switched(request),
        ["--save-model", `${grown}-with-query`],
        ["--report", `${stem}-report.html`],
      ],
    ),
  });
  if (result.clusters)
    commands.push({
      what: "Marker genes of the clusters",
      command: written(
        ["markers", output],
        [
          ["--groups", "scpoli_cluster"],
          ["--csv", `${stem}-markers.csv`],
        ],
      ),
    });
  return commands;
}
