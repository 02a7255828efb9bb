// Options of the model and of its training that the page Train has fields for.
import type { TrainRequest } from "./protocol.js";

/** A field of the page Train. */
export interface TrainingOption {
  readonly name: keyof TrainRequest;
  readonly label: string;
  /** what holds where the field is empty */
  readonly standard: string;
  readonly hint: string;
  readonly least?: number;
  readonly most?: number;
  readonly step?: number;
}

export const modelOptions: readonly TrainingOption[] = [
  {
    name: "genes",
    label: "Variable genes",
    standard: "all genes",
    hint: "a number: the most variable ones, chosen within conditions",
    least: 10,
    step: 1,
  },
  { name: "latentDim", label: "Latent dimensions", standard: "20", hint: "", least: 1, most: 1000, step: 1 },
  {
    name: "embeddingDims",
    label: "Embedding dimensions",
    standard: "10",
    hint: "of each condition key",
    least: 1,
    most: 1000,
    step: 1,
  },
  {
    name: "hiddenLayerSizes",
    label: "Hidden layers",
    standard: "one of 128",
    hint: "widths, such as 128 or 256,128",
  },
  { name: "dropout", label: "Dropout", standard: "0.05", hint: "", least: 0, most: 0.99, step: 0.01 },
];
export const trainingOptions: readonly TrainingOption[] = [
  { name: "epochs", label: "Epochs", standard: "chosen from the cells", hint: "", least: 1, step: 1 },
  {
    name: "pretrainingEpochs",
    label: "Pretraining epochs",
    standard: "90 % of the epochs",
    hint: "before the prototype loss",
    least: 0,
    step: 1,
  },
  {
    name: "eta",
    label: "Prototype distance, weight",
    standard: "40",
    hint: "eta: pulls the cells of a type together",
    least: 0,
    step: 1,
  },
  {
    name: "etaCrossEntropy",
    label: "Prototype cross-entropy, weight",
    standard: "200",
    hint: "pushes cells away from the prototypes of other types",
    least: 0,
    step: 1,
  },
  {
    name: "alphaEpochAnneal",
    label: "KL annealing, epochs",
    standard: "chosen with the epochs",
    hint: "",
    least: 0,
    step: 1,
  },
  { name: "minibatch", label: "Minibatch", standard: "128", hint: "cells per step", least: 2, step: 1 },
  { name: "lr", label: "Learning rate", standard: "0.001", hint: "", least: 0, step: 0.0001 },
  { name: "weightDecay", label: "Weight decay", standard: "0.04", hint: "", least: 0, step: 0.01 },
  {
    name: "trainFrac",
    label: "Training share",
    standard: "0.9",
    hint: "the other cells validate",
    least: 0.1,
    most: 1,
    step: 0.05,
  },
  {
    name: "seed",
    label: "Seed",
    standard: "0",
    hint: "the same seed gives the same model with any number of threads",
    least: 0,
    step: 1,
  },
];
