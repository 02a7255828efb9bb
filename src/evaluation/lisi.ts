// Local inverse Simpson index: the effective number of types or conditions in a cell's neighbourhood, with
// neighbours weighted by a kernel of a given perplexity. Source: Korsunsky et al. 2019 (Harmony);
// lisi_knn, ilisi_knn and clisi_knn of scib-metrics 0.5.10, which scale the median over cells to 0..1.
import type { Neighbors } from "../graph/neighbors.js";

const tolerance = 1e-5;
const mostTries = 50;

/**
 * @param neighbors - of each row, without the cell itself; the perplexity is a third of k + 1, rounded down
 * @param groupings - one array of codes of all cells per grouping
 * @returns per grouping (rows): effective number of groups around each row
 */
export function lisi({ k, indices, distances }: Neighbors, groupings: readonly Int32Array[]): Float64Array[] {
  const rows = indices.length / k;
  const target = Math.log(Math.floor((k + 1) / 3));
  const weights = new Float64Array(k);
  const result = groupings.map(() => new Float64Array(rows));
  const sums = groupings.map(
    (codes) => new Float64Array(codes.reduce((most, code) => Math.max(most, code + 1), 0)),
  );
  for (let row = 0; row < rows; row++) {
    const entropy = findWeights(distances.subarray(row * k, (row + 1) * k), target, weights);
    groupings.forEach((codes, which) => {
      const groupWeights = sums[which]!;
      for (let rank = 0; rank < k; rank++) groupWeights[codes[indices[row * k + rank]!]!]! += weights[rank]!;
      let simpson = 0;
      for (let rank = 0; rank < k; rank++) {
        const code = codes[indices[row * k + rank]!]!;
        simpson += groupWeights[code]! ** 2;
        groupWeights[code] = 0;
      }
      // as scib-metrics: -1 if no neighbour has weight
      result[which]![row] = entropy === 0 ? -1 : 1 / simpson;
    });
  }
  return result;
}

/**
 * Fills in weights exp(-beta distance), normalised, beta such that their entropy is the target.
 * @returns the entropy
 */
function findWeights(distances: Float64Array, target: number, weights: Float64Array): number {
  let [low, high, beta] = [-Infinity, Infinity, 1];
  let entropy = weigh(distances, beta, weights);
  for (let tries = 0; Math.abs(entropy - target) >= tolerance && tries < mostTries; tries++) {
    if (entropy > target) {
      low = beta;
      beta = high === Infinity ? 2 * beta : (beta + high) / 2;
    } else {
      high = beta;
      beta = low === -Infinity ? beta / 2 : (beta + low) / 2;
    }
    entropy = weigh(distances, beta, weights);
  }
  return entropy;
}

function weigh(distances: Float64Array, beta: number, weights: Float64Array): number {
  let [sum, moment] = [0, 0];
  for (let rank = 0; rank < distances.length; rank++) {
    const weight = Math.exp(-distances[rank]! * beta);
    weights[rank] = weight;
    sum += weight;
    moment += distances[rank]! * weight;
  }
  if (sum === 0) return 0;
  for (let rank = 0; rank < distances.length; rank++) weights[rank]! /= sum;
  return Math.log(sum) + (beta * moment) / sum;
}

/**
 * Weighted median, where each row stands for a number of cells; the mean of the two middle values if tied.
 * @param weights - (rows) default 1 each
 */
export function weightedMedian(values: Float64Array, weights?: Float64Array): number {
  const order = Int32Array.from({ length: values.length }, (_, i) => i).sort(
    (a, b) => values[a]! - values[b]!,
  );
  const weight = (i: number): number => weights?.[order[i]!] ?? 1;
  let total = 0;
  for (let i = 0; i < order.length; i++) total += weight(i);
  let below = 0;
  for (let i = 0; i < order.length; i++) {
    below += weight(i);
    if (Math.abs(below - total / 2) < 1e-9 * total && i + 1 < order.length)
      return (values[order[i]!]! + values[order[i + 1]!]!) / 2;
    if (below > total / 2) return values[order[i]!]!;
  }
  return NaN;
}

/** iLISI: 0 if neighbourhoods have one condition, 1 if all are equally frequent. */
export function scaleConditionLisi(median: number, conditions: number): number {
  return (median - 1) / (conditions - 1);
}
/** cLISI: 1 if neighbourhoods have one type, 0 if all are equally frequent. */
export function scaleTypeLisi(median: number, types: number): number {
  return (types - median) / (types - 1);
}
