// Rejects unknown options by name. TypeScript checks only literals; JavaScript users and options assembled at
// run time need this check.
import type {
  ConvertOptions,
  CountsOptions,
  EarlyStopping,
  EmbedOptions,
  MapOptions,
  MemoryOptions,
  OptimizationOptions,
  RunSettings,
  TrainOptions,
  UnlabeledOptions,
} from "./options.js";
import { ScPoliError } from "./errors.js";
import { nearestNames } from "./nearest-names.js";

/** Every option of a type; the compiler checks that the list is complete. */
export type OptionNames<T> = Readonly<Record<keyof T, true>>;

export const runSettingNames: OptionNames<RunSettings> = {
  engine: true,
  threads: true,
  simd: true,
  seed: true,
  onProgress: true,
  onNote: true,
  signal: true,
  force: true,
};
export const countsOptionNames: OptionNames<CountsOptions> = {
  layer: true,
  recoverCounts: true,
  roundCounts: true,
  featureTypes: true,
  duplicateGenes: true,
};
const memoryOptionNames: OptionNames<MemoryOptions> = { memory: true, stream: true };
const unlabeledOptionNames: OptionNames<UnlabeledOptions> = {
  unlabeledPrototypes: true,
  resolution: true,
  unlabeledWeight: true,
};
const optimizationOptionNames: OptionNames<OptimizationOptions> = {
  epochs: true,
  pretrainingEpochs: true,
  preset: true,
  prototypeLoss: true,
  eta: true,
  etaCrossEntropy: true,
  distanceReduction: true,
  typeBalance: true,
  minibatch: true,
  lr: true,
  weightDecay: true,
  alphaEpochAnneal: true,
  trainFrac: true,
  prototypeNorm: true,
  earlyStopping: true,
};
export const earlyStoppingNames: OptionNames<EarlyStopping> = {
  metric: true,
  patience: true,
  threshold: true,
  reduceLr: true,
  lrPatience: true,
  lrFactor: true,
};
export const trainOptionNames: OptionNames<TrainOptions> = {
  ...runSettingNames,
  ...countsOptionNames,
  ...optimizationOptionNames,
  ...memoryOptionNames,
  ...unlabeledOptionNames,
  conditionKeys: true,
  conditionValues: true,
  sampleMetadata: true,
  cellTypeKeys: true,
  unlabeled: true,
  genes: true,
  geneMap: true,
  labelMap: true,
  exclude: true,
  hiddenLayerSizes: true,
  latentDim: true,
  conditionEncoding: true,
  embeddingDims: true,
  injectCondition: true,
  reconLoss: true,
  atacCounts: true,
  dropout: true,
  landmarks: true,
  checkpoint: true,
  checkpointSeconds: true,
  resume: true,
  finish: true,
};
export const embedOptionNames: OptionNames<EmbedOptions> = {
  ...runSettingNames,
  ...countsOptionNames,
  memory: true,
  conditionKeys: true,
  conditionValues: true,
  threshold: true,
  preset: true,
  classifier: true,
  uncertainty: true,
  atacCounts: true,
  geneMap: true,
  cellTypeKeys: true,
  unlabeled: true,
  labelMap: true,
  output: true,
};
export const mapOptionNames: OptionNames<MapOptions> = {
  ...embedOptionNames,
  ...optimizationOptionNames,
  ...memoryOptionNames,
  ...unlabeledOptionNames,
  training: true,
  knownConditions: true,
  sampleMetadata: true,
};
export const convertOptionNames: OptionNames<ConvertOptions> = {
  seed: true,
  onProgress: true,
  onNote: true,
  signal: true,
  force: true,
  layer: true,
  recoverCounts: true,
  roundCounts: true,
  featureTypes: true,
  shuffle: true,
  resume: true,
  checkpointSeconds: true,
  shardSizes: true,
  bucketBytes: true,
};

/** Names of options in scArches and scvi-tools, without underscores and in lower case. */
const otherNames: Readonly<Record<string, string>> = {
  nepochs: "epochs",
  maxepochs: "epochs",
  batchkey: "conditionKeys",
  labelskey: "cellTypeKeys",
  nhidden: "hiddenLayerSizes",
  nlatent: "latentDim",
  batchsize: "minibatch",
  drrate: "dropout",
  dropoutrate: "dropout",
  learningrate: "lr",
  unknownctnames: "unlabeled",
  unlabeledcategory: "unlabeled",
  useearlystopping: "earlyStopping",
  earlystoppingkwargs: "earlyStopping",
  ntopgenes: "genes",
  uncertthresh: "threshold",
};

/**
 * Checks that all options exist.
 * @param taker - name of the function, for the error: "train"
 * @throws ScPoliError "usage" for an unknown option. Options with the value undefined count as not given
 */
export function checkOptionNames<T extends object>(taker: string, given: T, names: OptionNames<T>): void {
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || Object.hasOwn(names, name)) continue;
    const known = Object.keys(names);
    const meant = otherNames[name.replaceAll("_", "").toLowerCase()];
    const nearest = meant !== undefined && known.includes(meant) ? [meant] : nearestNames(name, known, 1);
    const advice =
      nearest.length > 0 ? `Did you mean ${nearest[0]}?` : `Its options are ${known.join(", ")}.`;
    throw new ScPoliError("usage", `${taker} has no option ${name}. ${advice}`, { name, nearest });
  }
}
