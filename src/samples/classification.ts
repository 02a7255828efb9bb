// Classification of samples by their embeddings, with stratified, repeated cross-validation and a permutation
// test, compared with pseudobulk and the majority class; and prediction of covariates for a query's new
// samples from the reference's. Source: De Donno et al. 2023 ("scPoli enables sample classification", Fig.
// 4). Differs: the spread is over repeats of the whole cross-validation, not over its folds.
import type { DenseMatrix } from "../anndata/matrix.js";
import { checkWhole } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { Random } from "../numerics/random.js";
import { classifier, classifierNames, type Classifier, type ClassifierName } from "./classifiers.js";
import { codesOf, knownSamples, type Covariate } from "./covariates.js";
import { drawEmbeddings, type SampleUncertainty } from "./sample-uncertainty.js";
import { selectRows, type SampleTable } from "./sample-table.js";

/** Options of the classification of samples. */
export interface ClassificationOptions {
  /**
   * default 5. A class with fewer samples is missing from some folds, but never from the training samples.
   */
  readonly folds?: number;
  /** default 20 */
  readonly repeats?: number;
  /** default 199; 0 for no test */
  readonly permutations?: number;
  /** of the nearest-neighbour classifier, default 5 */
  readonly neighbors?: number;
  /** Start of the random numbers. Default 0 */
  readonly seed?: number;
}

/** One classifier on one kind of features. */
export interface ClassifierScore {
  /** "embedding", "pseudobulk", or "none" for the majority */
  readonly features: string;
  /** Name of the classifier; "majority" predicts the most frequent value */
  readonly classifier: ClassifierName | "majority";
  /**
   * F1 of the classes weighted by their size, of all samples' predictions in a repeat: mean and standard
   * deviation over the repeats
   */
  readonly weighted_f1: number;
  /** Standard deviation of the weighted F1 over repeats */
  readonly weighted_f1_sd: number;
  /** Mean accuracy over repeats */
  readonly accuracy: number;
  /** Standard deviation of the accuracy over repeats */
  readonly accuracy_sd: number;
  /** share of label permutations, including the actual labels, that score as well; null without a test */
  readonly p: number | null;
}

/** Cross-validated prediction of a covariate from the samples' embeddings. */
export interface Classification {
  /** Name of the covariate */
  readonly covariate: string;
  /** number of samples of each class */
  readonly classes: Readonly<Record<string, number>>;
  /** classes with a single sample, which cannot be cross-validated */
  readonly left_out: readonly string[];
  /** Folds of the cross-validation */
  readonly folds: number;
  /** Repeats of the cross-validation */
  readonly repeats: number;
  /** Permutations of the labels behind each P value */
  readonly permutations: number;
  /** Scores per kind of features and classifier */
  readonly scores: readonly ClassifierScore[];
}

/**
 * Number of cross-validation repeats in the permutation test, for the labels and their permutations.
 */
const repeatsOfTest = 3;

/**
 * @param features - kinds of features by name, (S, F) each, for the same samples as the covariate; a kind is
 * left out if it is NaN for a classified sample
 * @throws ScPoliError "usage" for a number, or without two classes of two samples
 */
export function classifySamples(
  covariate: Covariate,
  features: Readonly<Record<string, DenseMatrix>>,
  options: ClassificationOptions = {},
): Classification {
  const { repeats, permutations, neighbors, seed, folds: most } = checkedOptions(options);
  const { rows, labels, classes, leftOut } = classesOf(covariate);
  const sizes = classes.map((_, c) => labels.reduce((count, label) => count + (label === c ? 1 : 0), 0));
  const folds = Math.min(most, labels.length);
  const random = new Random(seed, `folds of ${covariate.name}`);
  const divisions = Array.from({ length: repeats }, () =>
    stratifiedFolds(labels, classes.length, folds, random),
  );
  const shuffles = new Random(seed, `labels of ${covariate.name}`);
  const permuted = Array.from({ length: permutations }, () => shuffles.shuffle(labels.slice()));
  const scores: ClassifierScore[] = [];
  for (const [name, matrix] of Object.entries(features)) {
    const values = selectRows(matrix, rows);
    if (values.columns === 0 || values.values.some((value) => Number.isNaN(value))) continue;
    for (const kind of classifierNames) {
      const classify = classifier(kind, values, classes.length, neighbors);
      scores.push({
        features: name,
        classifier: kind,
        ...crossValidate(classify, labels, classes.length, divisions),
        p:
          permutations > 0
            ? permutationTest(
                classify,
                labels,
                classes.length,
                divisions.slice(0, repeatsOfTest),
                permuted,
                folds,
                shuffles,
              )
            : null,
      });
    }
  }
  scores.push({
    features: "none",
    classifier: "majority",
    ...crossValidate(majority(classes.length), labels, classes.length, divisions),
    p: null,
  });
  return {
    covariate: covariate.name,
    classes: Object.fromEntries(classes.map((name, c) => [name, sizes[c]!])),
    left_out: leftOut,
    folds,
    repeats,
    permutations,
    scores,
  };
}

/** Predicts the most frequent class of the training samples. */
function majority(classes: number): Classifier {
  return (train, labels, test) => {
    const counts = new Float64Array(classes);
    for (const row of train) counts[labels[row]!]!++;
    return {
      classes: new Int32Array(test.length).fill(counts.indexOf(Math.max(...counts))),
      shares: { rows: 0, columns: 0, values: new Float64Array(0) },
    };
  };
}

/** @throws ScPoliError "usage" for a number out of range */
function checkedOptions({
  folds = 5,
  repeats = 20,
  permutations = 199,
  neighbors = 5,
  seed = 0,
}: ClassificationOptions): Required<ClassificationOptions> {
  return {
    folds: checkWhole("folds", folds, 2),
    repeats: checkWhole("repeats", repeats, 1),
    permutations: checkWhole("permutations", permutations, 0),
    neighbors: checkWhole("neighbors", neighbors, 1),
    seed: checkWhole("seed", seed, 0),
  };
}

/** A covariate's classes of at least two samples. */
function classesOf(covariate: Covariate): {
  rows: Int32Array;
  labels: Int32Array;
  classes: readonly string[];
  leftOut: readonly string[];
} {
  if (covariate.kind === "number")
    throw new ScPoliError(
      "usage",
      `Covariate '${covariate.name}' is a number; samples are classified by categories. Convert it to ` +
        `categories, or treat its values as names (--categorical ${covariate.name}).`,
      { covariate: covariate.name },
    );
  const known = knownSamples(covariate);
  const codes = codesOf(covariate, known);
  const count = (code: number): number => codes.reduce((sum, other) => sum + (other === code ? 1 : 0), 0);
  const kept = covariate.levels.map((_, code) => code).filter((code) => count(code) >= 2);
  if (kept.length < 2)
    throw new ScPoliError(
      "usage",
      `Covariate '${covariate.name}' has ${kept.length === 0 ? "no class" : "one class"} of at least two ` +
        "samples; two are needed to cross-validate.",
      { covariate: covariate.name },
    );
  const rows = known.filter((_, at) => kept.includes(codes[at]!));
  return {
    rows,
    labels: Int32Array.from(codesOf(covariate, rows), (code) => kept.indexOf(code)),
    classes: kept.map((code) => covariate.levels[code]!),
    leftOut: covariate.levels.filter((_, code) => !kept.includes(code)),
  };
}

/** Stratified folds: assigns the samples of each class, in random order, to the folds in turn. */
function stratifiedFolds(labels: Int32Array, classes: number, folds: number, random: Random): Int32Array {
  const fold = new Int32Array(labels.length);
  let next = 0;
  for (let c = 0; c < classes; c++)
    for (const row of random.shuffle(Int32Array.from(labels.keys()).filter((at) => labels[at] === c)))
      fold[row] = next++ % folds;
  return fold;
}

function crossValidate(
  classify: Classifier,
  labels: Int32Array,
  classes: number,
  divisions: readonly Int32Array[],
): Pick<ClassifierScore, "weighted_f1" | "weighted_f1_sd" | "accuracy" | "accuracy_sd"> {
  const scores = divisions.map((fold) => {
    const predicted = predictByFolds(classify, labels, fold);
    return {
      f1: weightedF1(labels, predicted, classes),
      accuracy: labels.reduce((sum, label, at) => sum + (label === predicted[at] ? 1 : 0), 0) / labels.length,
    };
  });
  const [weighted_f1, weighted_f1_sd] = meanAndDeviation(scores.map(({ f1 }) => f1));
  const [accuracy, accuracy_sd] = meanAndDeviation(scores.map(({ accuracy }) => accuracy));
  return { weighted_f1, weighted_f1_sd, accuracy, accuracy_sd };
}

function predictByFolds(classify: Classifier, labels: Int32Array, fold: Int32Array): Int32Array {
  const predicted = new Int32Array(labels.length);
  const all = Int32Array.from(labels.keys());
  for (let f = 0; f <= Math.max(...fold); f++) {
    const test = all.filter((row) => fold[row] === f);
    classify(
      all.filter((row) => fold[row] !== f),
      labels,
      test,
    ).classes.forEach((c, at) => (predicted[test[at]!] = c));
  }
  return predicted;
}

/**
 * P value by permutation. Labels and permuted labels use the same statistic: the mean weighted F1 of a few
 * repeats. Folds are drawn again for permuted labels, so that they are stratified too.
 */
function permutationTest(
  classify: Classifier,
  labels: Int32Array,
  classes: number,
  divisions: readonly Int32Array[],
  permuted: readonly Int32Array[],
  folds: number,
  random: Random,
): number {
  const meanF1 = (truth: Int32Array, all: readonly Int32Array[]): number =>
    all.reduce((sum, fold) => sum + weightedF1(truth, predictByFolds(classify, truth, fold), classes), 0) /
    all.length;
  const observed = meanF1(labels, divisions);
  const asGood = permuted.filter(
    (shuffled) =>
      meanF1(
        shuffled,
        divisions.map(() => stratifiedFolds(shuffled, classes, folds, random)),
      ) >=
      observed - 1e-12,
  ).length;
  return (1 + asGood) / (1 + permuted.length);
}

/**
 * F1 of each class, weighted by its number of samples; 0 for a class that is neither present nor predicted.
 * As scikit-learn's f1_score(average="weighted").
 */
export function weightedF1(labels: Int32Array, predicted: Int32Array, classes: number): number {
  const [correctOf, labelsOf, predictionsOf] = [
    new Float64Array(classes),
    new Float64Array(classes),
    new Float64Array(classes),
  ];
  labels.forEach((label, at) => {
    labelsOf[label]!++;
    predictionsOf[predicted[at]!]!++;
    if (label === predicted[at]) correctOf[label]!++;
  });
  return (
    correctOf.reduce(
      (sum, correct, c) =>
        correct === 0 ? sum : sum + ((2 * correct) / (labelsOf[c]! + predictionsOf[c]!)) * labelsOf[c]!,
      0,
    ) / labels.length
  );
}

function meanAndDeviation(values: readonly number[]): [number, number] {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return [
    mean,
    values.length < 2
      ? 0
      : Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1)),
  ];
}

/** Prediction for a new sample. */
export interface SamplePrediction {
  /** Name of the sample */
  readonly sample: string;
  /** Name of the classifier */
  readonly classifier: ClassifierName;
  /** Predicted value */
  readonly predicted: string;
  /**
   * share of the neighbours with the predicted class, or its probability; where the uncertainty of the
   * sample's embedding is known, the mean over embeddings drawn from it
   */
  readonly share: number;
  /** actual value if known */
  readonly known: string | null;
}

/**
 * Predicts a covariate for mapped samples, and for reference samples with unknown value, from the reference
 * samples with known values.
 * @param uncertainty - of each sample
 * @throws ScPoliError "usage" for a number, if the reference has fewer than two values, or if there is no
 * sample to predict
 */
export function predictSamples(
  { names, isReference, embedding }: SampleTable,
  covariate: Covariate,
  options: ClassificationOptions = {},
  uncertainty: readonly (SampleUncertainty | null)[] | null = null,
): SamplePrediction[] {
  const { neighbors, seed } = checkedOptions(options);
  const { name, values, levels } = covariate;
  const { train, test, labels } = samplesToPredict(isReference, covariate);
  const random = new Random(seed, `embeddings for ${name}`);
  const drawn = Array.from(test, (row) => {
    const sample = uncertainty?.[row];
    const position = Float64Array.from(
      embedding.values.subarray(row * embedding.columns, (row + 1) * embedding.columns),
    );
    return sample
      ? drawEmbeddings(position, sample, random)
      : { rows: 1, columns: embedding.columns, values: position };
  });
  return classifierNames.flatMap((kindOf) =>
    Array.from(test, (row, at): SamplePrediction => {
      const { shares, predicted } = meanShares(
        kindOf,
        embedding,
        labels,
        levels.length,
        neighbors,
        train,
        drawn[at]!,
      );
      return {
        sample: names[row]!,
        classifier: kindOf,
        predicted: levels[predicted]!,
        share: shares[predicted]!,
        known: values[row] as string | null,
      };
    }),
  );
}

/**
 * Rows of the samples to learn from and to predict, and the class of each sample, -1 if unknown.
 * @throws ScPoliError "usage", see `predictSamples`
 */
function samplesToPredict(
  isReference: readonly boolean[],
  { name, kind, values, levels }: Covariate,
): { readonly train: Int32Array; readonly test: Int32Array; readonly labels: Int32Array } {
  if (kind === "number")
    throw new ScPoliError(
      "usage",
      `Covariate '${name}' is a number; only categories can be predicted (--categorical ${name} treats ` +
        "its values as names).",
      { covariate: name },
    );
  const all = Int32Array.from(isReference.keys());
  const train = all.filter((row) => isReference[row] && values[row] !== null);
  const test = all.filter((row) => !isReference[row] || values[row] === null);
  const labels = Int32Array.from(values, (value) => (value === null ? -1 : levels.indexOf(value as string)));
  if (new Set(Array.from(train, (row) => labels[row])).size < 2)
    throw new ScPoliError(
      "usage",
      `The reference's samples have fewer than two values of '${name}', so there is nothing to learn.`,
      { covariate: name },
    );
  if (test.length === 0)
    throw new ScPoliError(
      "usage",
      `Every sample belongs to the reference and has a value of '${name}', so there is nothing to ` +
        "predict. Map a query first (scpoli map --save-model).",
      { covariate: name },
    );
  return { train, test, labels };
}

/**
 * Mean share of each class over positions of one sample, and the class with the largest; of equal ones that
 * which most positions have.
 * @param positions - (draws, E)
 */
function meanShares(
  kind: ClassifierName,
  embedding: DenseMatrix,
  labels: Int32Array,
  classes: number,
  neighbors: number,
  train: Int32Array,
  positions: DenseMatrix,
): { readonly shares: Float64Array; readonly predicted: number } {
  const reference = selectRows(embedding, train);
  const rows = train.length + positions.rows;
  const values = new Float64Array(rows * embedding.columns);
  values.set(reference.values);
  values.set(positions.values, reference.values.length);
  const trainLabels = new Int32Array(rows).fill(-1);
  train.forEach((row, at) => (trainLabels[at] = labels[row]!));
  const all = Int32Array.from({ length: rows }, (_, row) => row);
  const { shares, classes: predicted } = classifier(
    kind,
    { rows, columns: embedding.columns, values },
    classes,
    neighbors,
  )(all.subarray(0, train.length), trainLabels, all.subarray(train.length));
  const means = new Float64Array(classes);
  shares.values.forEach((share, i) => (means[i % classes]! += share / positions.rows));
  const ranks = means.slice();
  for (const code of predicted) ranks[code]! += 1e-9 / positions.rows;
  return { shares: means, predicted: ranks.indexOf(Math.max(...ranks)) };
}
