// Weights of the labels of each cell in the prototype loss and in the cross-entropy over prototypes, shared
// by both engines.
import { ScPoliError } from "../contract/errors.js";
import type { EngineOptions, Floats } from "./engine.js";

/**
 * Weights of labels in the distance to prototypes. With the reduction "type-sum" it is 1 / the number of
 * cells of the minibatch with this label, so that each prototype contributes the mean distance of its cells;
 * with "cell-mean" it is that of the cross-entropy. For unlabelled prototypes, 1 / the number of cells is
 * multiplied by their weight and divided by the number of unlabelled prototypes in the minibatch (their
 * means are averaged, not summed).
 * Sources: `prototype_labeled_loss` and `prototype_unlabeled_loss` of scArches ("type-sum"); De Donno et al.
 * 2023, Methods ("Prototype loss"), with weights of types ("cell-mean").
 *
 * @param labels - (rows, levels) rows of the prototype table, -1 for none
 * @param weights - see `levelWeights`
 * @param counts - (K) scratch
 * @param shares - receives one per label, 0 for none
 */
export function distanceShares(
  labels: Int32Array,
  options: EngineOptions,
  weights: Float64Array,
  counts: Int32Array,
  shares: Floats,
): void {
  const { unlabeled, distanceReduction } = options;
  const isCellMean = distanceReduction === "cell-mean";
  if (isCellMean) crossEntropyShares(labels, options, weights, shares);
  else checkLabels(labels, counts.length);
  counts.fill(0);
  for (const label of labels) if (label >= 0) counts[label]!++;
  const from = unlabeled?.from ?? counts.length;
  let used = 0;
  for (let label = from; label < counts.length; label++) if (counts[label]! > 0) used++;
  const weight = used > 0 ? unlabeled!.weight / used : 0;
  labels.forEach((label, i) => {
    if (label < 0) shares[i] = 0;
    else if (label >= from) shares[i] = weight / counts[label]!;
    else if (!isCellMean) shares[i] = 1 / counts[label]!;
  });
}

/** (levels, K) weight of a cell of each type at each level; 0 for types of other levels. */
export function levelWeights({ levels, prototypes, levelPrototypes }: EngineOptions): Float64Array {
  const K = prototypes[0];
  const weights = new Float64Array(levels * K);
  levelPrototypes?.forEach((level, l) =>
    level.rows.forEach((row, i) => (weights[l * K + row] = level.weights?.[i] ?? 1)),
  );
  return weights;
}

/**
 * The weight of a label is that of its type, divided by the sum over the labelled cells of the level: the
 * weights of a level sum to 1 (as in PyTorch's `cross_entropy` with weights).
 *
 * @param labels - (rows, levels) rows of the prototype table, -1 for none
 * @param weights - see `levelWeights`
 * @param shares - receives one per label, 0 for none
 */
export function crossEntropyShares(
  labels: Int32Array,
  { levels, prototypes }: EngineOptions,
  weights: Float64Array,
  shares: Floats,
): void {
  checkLabels(labels, prototypes[0]);
  for (let level = 0; level < levels; level++) {
    let sum = 0;
    for (let i = level; i < labels.length; i += levels) {
      const label = labels[i]!;
      sum += shares[i] = label < 0 ? 0 : weights[level * prototypes[0] + label]!;
    }
    if (sum > 0) for (let i = level; i < labels.length; i += levels) shares[i]! /= sum;
  }
}

function checkLabels(labels: Int32Array, K: number): void {
  for (const label of labels)
    if (label >= K)
      throw new ScPoliError("usage", `the minibatch has label ${label}; expected -1 to ${K - 1}.`);
}
