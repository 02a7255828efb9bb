// Equivalent commands, to copy into a script, a cluster job or a Methods section. Each command reads the
// files that earlier ones write.
import { analyses, comparison, evaluation } from "./answers.js";
import { queryConditions } from "./conditions.js";
import type { AddedType, MapRequest, MappingResult, TrainRequest } from "./protocol.js";
import { addedTypesColumn, addedTypesFile, stemOf } from "./added-types.js";
import { work, type DataFile, type Work } from "./state.js";
import { lastTraining } from "./training-request.js";
import type { MetricsRequest } from "./worker/save.js";

export interface Command {
  readonly id: "train" | "map" | "add-types" | "cluster-markers" | "compare" | "evaluate" | "samples";
  readonly what: string;
  readonly command: string;
  /** a file of the page that it reads, in words */
  readonly needs?: string;
}

/** A word of a POSIX shell. */
const word = (text: string): string =>
  /^[\w./:=,@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
/** Names as one value of a flag. */
const commas = (names: readonly string[]): string =>
  names.map((name) => name.replaceAll(",", "\\,")).join(",");

type Flag = readonly [flag: string, value?: string | number];

function written(verb: readonly string[], flags: readonly Flag[]): string {
  const words = flags.map(([flag, value]) => (value === undefined ? flag : `${flag} ${word(String(value))}`));
  return [`scpoli ${verb.map(word).join(" ")}`, ...words].join(" \\\n  ");
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
  etaCrossEntropy: "--eta-cross-entropy",
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

/** A flag, if it has a value. */
const optional = (flag: string, value: string | number | false | undefined): Flag[] =>
  value === undefined || value === false || value === "" ? [] : [[flag, value]];

/** The condition of all cells, by key. */
const conditionValues = (values: Readonly<Record<string, string>>): Flag[] =>
  Object.entries(values).map(([key, name]) => ["--condition-value", `${key}=${name}`]);

/** Columns of a file that are named otherwise than the model's condition keys. */
const renamedColumns = (columns: Readonly<Record<string, string>>): Flag[] =>
  optional(
    "--condition-key",
    Object.entries(columns)
      .filter(([key, column]) => key !== column)
      .map(([key, column]) => `${key}=${column}`)
      .join(","),
  );

const switched = (request: object): Flag[] =>
  Object.entries(switches).flatMap(([name, flag]): Flag[] =>
    (request as Readonly<Record<string, unknown>>)[name] === true ? [[flag]] : [],
  );

function trainCommand(file: string, model: string, request: TrainRequest): string {
  const { conditionKeys, conditionValues: values = {}, cellTypeKeys = [], earlyStopping } = request;
  const options = Object.entries(trainingFlags).flatMap(([name, flag]): Flag[] => {
    const value = request[name as keyof TrainRequest];
    return value === undefined ? [] : [[flag, Array.isArray(value) ? value.join(",") : String(value)]];
  });
  return written(
    ["train", file],
    [
      ["-o", model],
      ...optional("--condition-key", commas(conditionKeys.filter((key) => !(key in values)))),
      ...conditionValues(values),
      ...optional("--cell-type-key", commas(cellTypeKeys)),
      ...options,
      ...(earlyStopping ? [["--early-stopping", "on"] as const] : []),
      ...switched(request),
    ],
  );
}

/** Names of the files that the commands write. */
interface Outputs {
  /** of the query's file, without an ending */
  readonly stem: string;
  /** the query with the results that are shown */
  readonly mapped: string;
  readonly report: string;
  /** the model with the query's samples, without added types */
  readonly mappedModel: string;
  /** the model with each further type; the last has them all */
  readonly grownModels: readonly string[];
  readonly model: string;
}

function outputsOf(query: DataFile, { model }: MappingResult, addedTypes: readonly AddedType[]): Outputs {
  const stem = stemOf(query);
  const mappedModel = `${model.name.replace(/(-with-query)+$/, "")}-with-query`;
  const grownModels = addedTypes.map((_, k) => `${mappedModel}-${k + 2}`);
  return {
    stem,
    mapped: addedTypes.length > 0 ? `${stem}-relabelled.h5ad` : `${stem}-mapped.h5ad`,
    report: `${stem}-report.html`,
    mappedModel,
    grownModels,
    model: grownModels.at(-1) ?? mappedModel,
  };
}

const classifierFlag = ({ classifier }: MapRequest): Flag[] =>
  optional("--classifier", classifier === "head" && classifier);

/** Options of a mapping that are not the defaults. */
function mappingFlags(request: MapRequest): Flag[] {
  const { unlabeledPrototypes, training, knownConditions, simd, epochs, seed } = request;
  return [
    ...optional("--unlabeled-prototypes", unlabeledPrototypes ? String(unlabeledPrototypes) : false),
    ...(training === false ? [["--no-training"] as const] : []),
    ...classifierFlag(request),
    ...optional("--known-conditions", knownConditions === "new" && knownConditions),
    ...optional("--simd", simd === "plain" && simd),
    ...optional("--epochs", epochs),
    ...optional("--seed", seed === 0 ? undefined : seed),
  ];
}

/** The threshold to which the user has moved it, else the one of the mapping. */
function thresholdFlag(result: MappingResult, { view, request: { threshold = "auto" } }: Work): Flag[] {
  const limit = view.thresholds[0];
  const isMoved = limit !== result.levels[0]?.threshold;
  if (isMoved) return [["--threshold", limit ?? "none"]];
  if (threshold === "auto") return [];
  return [["--threshold", typeof threshold === "object" ? `q${threshold.quantile}` : threshold]];
}

function conditionFlags(query: DataFile, result: MappingResult): Flag[] {
  const conditions = queryConditions(query, Object.keys(result.model.summary.conditions));
  return [...renamedColumns(conditions.conditionKeys), ...conditionValues(conditions.conditionValues)];
}

function mapCommand(query: DataFile, result: MappingResult, all: Work): string {
  const { model, request, addedTypes } = all;
  const { stem, mappedModel, report } = outputsOf(query, result, addedTypes);
  const reference =
    model && model !== result.model
      ? (model.files[0]?.path.split("/")[0] ?? model.name)
      : mappedModel.replace(/-with-query$/, "");
  // with added types the later commands give the labels that are shown
  const isShown = addedTypes.length === 0;
  return written(
    ["map", query.info.name],
    [
      ["--reference", reference],
      ["-o", `${stem}-mapped.h5ad`],
      ...conditionFlags(query, result),
      ...mappingFlags(request),
      ...(isShown ? thresholdFlag(result, all) : []),
      ...switched(request),
      ["--save-model", mappedModel],
      ...optional("--report", isShown && report),
    ],
  );
}

/** Adds each type to the mapped model, in order, and labels the query by the last one. */
function addTypesCommand(query: DataFile, result: MappingResult, all: Work): string {
  const { request, addedTypes } = all;
  const { stem, mapped, mappedModel, grownModels, model, report } = outputsOf(query, result, addedTypes);
  const reading = [...conditionFlags(query, result), ...switched(request)];
  const additions = addedTypes.map(({ name, level }, k) =>
    written(
      ["label", grownModels[k - 1] ?? mappedModel],
      [
        ["--cells", query.info.name],
        ["--cell-table", addedTypesFile(stem)],
        ["--select", `${addedTypesColumn}=${commas([name])}`],
        ["--name", name],
        ...optional("--level", level),
        ...reading,
        ["-o", grownModels[k]!],
      ],
    ),
  );
  return [
    ...additions,
    written(
      ["embed", query.info.name],
      [
        ["--model", model],
        ["-o", mapped],
        ...classifierFlag(request),
        ...thresholdFlag(result, all),
        ...reading,
      ],
    ),
    written(
      ["report", mapped],
      [
        ["--model", model],
        ["-o", report],
      ],
    ),
  ].join("\n");
}

/** The command of each result on the page, with the same numbers. */
function answerCommands(query: DataFile, result: MappingResult, addedTypes: readonly AddedType[]): Command[] {
  const outputs = outputsOf(query, result, addedTypes);
  return [
    ...(result.clusters
      ? [
          {
            id: "cluster-markers" as const,
            what: "Marker genes of the clusters",
            command: written(
              ["markers", outputs.mapped],
              [
                ["--groups", "scpoli_cluster"],
                ["--csv", `${outputs.stem}-markers.csv`],
              ],
            ),
          },
        ]
      : []),
    ...(comparison.value?.of === result ? [compareCommand(comparison.value, outputs)] : []),
    ...(evaluation.value?.of === result ? [evaluateCommand(evaluation.value.request, outputs)] : []),
    ...(analyses.value?.of === result ? [samplesCommand(analyses.value, outputs)] : []),
  ];
}

function compareCommand(
  { request: { between, sampleKey, within, covariates }, setsFile }: NonNullable<typeof comparison.value>,
  { stem, mapped }: Outputs,
): Command {
  const [column, first, second] = between;
  return {
    id: "compare",
    what: `Compare ${first} with ${second}`,
    command: written(
      ["compare", mapped],
      [
        ["--between", `${column}=${commas([first, second])}`],
        ["--sample-key", sampleKey],
        ["--within", within],
        ...optional("--covariates", commas(covariates)),
        ...optional("--gene-sets", setsFile ?? undefined),
        ["--tables", `${stem}-${first}-${second}`],
      ],
    ),
  };
}

function evaluateCommand(
  { cellTypeKey, conditionKey, level }: MetricsRequest,
  { stem, mapped }: Outputs,
): Command {
  return {
    id: "evaluate",
    what: "Compare with your own labels",
    command: written(
      ["evaluate", mapped],
      [
        ["--cell-type-key", cellTypeKey],
        ...optional("--condition-key", conditionKey),
        ...optional("--pred", level && `${level}_pred`),
        ["-o", `${stem}-metrics.csv`],
      ],
    ),
  };
}

function samplesCommand(
  { file, conditions, classified }: NonNullable<typeof analyses.value>,
  { stem, model }: Outputs,
): Command {
  const data: Flag[] =
    file === null
      ? []
      : [
          ["--data", file],
          ...renamedColumns(conditions.conditionKeys),
          ...conditionValues(conditions.conditionValues),
        ];
  return {
    id: "samples",
    what: "Analyse the samples",
    command: written(
      ["samples", model],
      [...data, ...optional("--classify", commas(classified)), ["--tables", `${stem}-samples`]],
    ),
  };
}

/** Commands that reproduce what the page shows, in order; none before a result or a training. */
export function equivalentCommands(): readonly Command[] {
  const { query, result, model, addedTypes } = work.value;
  const training = lastTraining.value;
  return [
    ...(training && model
      ? [
          {
            id: "train" as const,
            what: "Train the model",
            command: trainCommand(training.file, model.name, training.request),
          },
        ]
      : []),
    ...(query && result
      ? [
          { id: "map" as const, what: "Map the cells", command: mapCommand(query, result, work.value) },
          ...(addedTypes.length > 0
            ? [
                {
                  id: "add-types" as const,
                  what: "Add your cell types",
                  command: addTypesCommand(query, result, work.value),
                  needs: `${addedTypesFile(stemOf(query))}, the cells of the added types, from the page Save`,
                },
              ]
            : []),
          ...answerCommands(query, result, addedTypes),
        ]
      : []),
  ];
}
