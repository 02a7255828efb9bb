// voom for pseudobulk counts: filtering of genes, normalisation of sequencing depth, and log counts per
// million with precision weights.
// Source: Robinson and Oshlack 2010 (TMM); Chen, Lun and Smyth 2016 (genes to keep); Law et al. 2014 (voom).
// test/comparison.test.ts compares with edgeR and limma.
import { quantile } from "../numerics/descriptive.js";
import { lowess } from "../statistics/lowess.js";
import { fitRow, type Design } from "../statistics/moderated.js";

/** Counts of n samples and G genes: sample i in [i G, (i + 1) G). */
export interface SampleCounts {
  readonly samples: number;
  readonly genes: number;
  readonly values: Float64Array;
}

const [leastCount, leastTotal, largeGroup, shareOfLarge] = [10, 15, 10, 0.7];

/**
 * Genes with at least 10 counts (at the median depth) in as many samples as the smaller group has (plus only
 * 70 % of those beyond ten), and at least 15 counts in total.
 * @param group - (samples)
 */
export function expressedGenes(
  { samples, genes, values }: SampleCounts,
  group: ArrayLike<number>,
): Int32Array {
  const depths = depthsOf({ samples, genes, values });
  const sizes = new Map<number, number>();
  for (let i = 0; i < samples; i++) sizes.set(group[i]!, (sizes.get(group[i]!) ?? 0) + 1);
  let least = Math.min(...sizes.values());
  if (least > largeGroup) least = largeGroup + (least - largeGroup) * shareOfLarge;
  const cutoff = leastCount / quantile(depths, 0.5);
  const kept: number[] = [];
  for (let gene = 0; gene < genes; gene++) {
    let [total, above] = [0, 0];
    for (let i = 0; i < samples; i++) {
      const count = values[i * genes + gene]!;
      total += count;
      if (count / depths[i]! >= cutoff) above++;
    }
    if (above >= least - 1e-14 && total >= leastTotal - 1e-14) kept.push(gene);
  }
  return Int32Array.from(kept);
}

export function selectGenes({ samples, genes, values }: SampleCounts, kept: Int32Array): SampleCounts {
  const selected = new Float64Array(samples * kept.length);
  for (let i = 0; i < samples; i++)
    kept.forEach((gene, k) => (selected[i * kept.length + k] = values[i * genes + gene]!));
  return { samples, genes: kept.length, values: selected };
}

/** (samples) totals of the counts. */
export function depthsOf({ samples, genes, values }: SampleCounts): Float64Array {
  return Float64Array.from({ length: samples }, (_, i) =>
    values.subarray(i * genes, (i + 1) * genes).reduce((sum, count) => sum + count, 0),
  );
}

const [logRatioTrim, sumTrim] = [0.3, 0.05];

/**
 * TMM (trimmed mean of M values): normalisation factors of the depths, robust to a few genes with most of the
 * counts; their geometric mean is 1.
 */
export function normalizationFactors(counts: SampleCounts): Float64Array {
  const { samples, genes, values } = counts;
  const depths = depthsOf(counts);
  const sample = (i: number): Float64Array => values.subarray(i * genes, (i + 1) * genes);
  const upper = Float64Array.from(depths, (depth, i) => quantile(sample(i), 0.75) / depth);
  let reference = 0;
  if (quantile(upper, 0.5) < 1e-20) {
    const roots = Float64Array.from(depths, (_, i) => sample(i).reduce((sum, x) => sum + Math.sqrt(x), 0));
    roots.forEach((root, i) => root > roots[reference]! && (reference = i));
  } else {
    const mean = upper.reduce((sum, value) => sum + value, 0) / samples;
    const distance = upper.map((value) => Math.abs(value - mean));
    distance.forEach((fromMean, i) => fromMean < distance[reference]! && (reference = i));
  }
  const logs = Float64Array.from(depths, (_, i) =>
    trimmedMean(sample(i), depths[i]!, sample(reference), depths[reference]!),
  );
  const center = logs.reduce((sum, log) => sum + log, 0) / samples;
  return logs.map((log) => 2 ** (log - center));
}

/** log2 of a sample's factor against the reference's. */
function trimmedMean(counts: Float64Array, depth: number, other: Float64Array, otherDepth: number): number {
  const ratios: number[] = [];
  const levels: number[] = [];
  const variances: number[] = [];
  counts.forEach((count, gene) => {
    const reference = other[gene]!;
    if (count <= 0 || reference <= 0) return;
    const [share, otherShare] = [count / depth, reference / otherDepth];
    // log of the ratio, not a difference of logs: equal ratios must stay equal for the ranks
    ratios.push(Math.log2(share / otherShare));
    levels.push((Math.log2(share) + Math.log2(otherShare)) / 2);
    variances.push((depth - count) / depth / count + (otherDepth - reference) / otherDepth / reference);
  });
  if (!ratios.some((ratio) => Math.abs(ratio) >= 1e-6)) return 0;
  const n = ratios.length;
  const isInside = (values: readonly number[], trim: number): boolean[] => {
    const low = Math.floor(n * trim) + 1;
    return averageRanks(values).map((rank) => rank >= low && rank <= n + 1 - low);
  };
  const [inRatios, inLevels] = [isInside(ratios, logRatioTrim), isInside(levels, sumTrim)];
  let [sum, weights] = [0, 0];
  for (let i = 0; i < n; i++) {
    if (!inRatios[i] || !inLevels[i]) continue;
    sum += ratios[i]! / variances[i]!;
    weights += 1 / variances[i]!;
  }
  return weights > 0 ? sum / weights : 0;
}

/** Ranks from 1; equal values share their mean rank. */
function averageRanks(values: readonly number[]): number[] {
  const order = Int32Array.from(values.keys()).sort((a, b) => values[a]! - values[b]!);
  const ranks = new Array<number>(values.length);
  for (let from = 0; from < order.length;) {
    let to = from + 1;
    while (to < order.length && values[order[to]!] === values[order[from]!]) to++;
    for (let i = from; i < to; i++) ranks[order[i]!] = (from + 1 + to) / 2;
    from = to;
  }
  return ranks;
}

/** Log counts per million of n samples with the weight of each; sample i in [i G, (i + 1) G). */
export interface WeightedExpression {
  readonly values: Float64Array;
  readonly weights: Float64Array;
}

/**
 * log2((count + 0.5) / (depth + 1) 1e6), and the inverse of the variance that the trend of residual standard
 * deviations over mean counts predicts.
 * @param depths - effective ones: totals times their factors
 */
export function voom(counts: SampleCounts, depths: Float64Array, design: Design): WeightedExpression {
  const { samples, genes } = counts;
  const values = counts.values.map((count, at) =>
    Math.log2(((count + 0.5) / (depths[Math.floor(at / genes)]! + 1)) * 1e6),
  );
  const meanLogDepth = depths.reduce((sum, depth) => sum + Math.log2(depth + 1), 0) / samples;
  const shift = meanLogDepth - Math.log2(1e6);
  const fits = Array.from({ length: genes }, (_, gene) => {
    const response = Float64Array.from({ length: samples }, (_, i) => values[i * genes + gene]!);
    return {
      ...fitRow(design, response, null, 0),
      level: response.reduce((sum, value) => sum + value, 0) / samples + shift,
    };
  });
  const order = Int32Array.from({ length: genes }, (_, gene) => gene).sort(
    (a, b) => fits[a]!.level - fits[b]!.level,
  );
  const x = Float64Array.from(order, (gene) => fits[gene]!.level);
  const trend = lowess(
    x,
    Float64Array.from(order, (gene) => Math.sqrt(fits[gene]!.sigma)),
    { span: 0.5 },
  );
  const predict = interpolation(x, trend);
  const weights = new Float64Array(samples * genes);
  for (let gene = 0; gene < genes; gene++) {
    const { coefficients } = fits[gene]!;
    for (let i = 0; i < samples; i++) {
      let fitted = 0;
      design.columns.forEach((column, a) => (fitted += coefficients[a]! * column[i]!));
      const logCount = fitted + Math.log2(depths[i]! + 1) - Math.log2(1e6);
      weights[i * genes + gene] = 1 / predict(logCount) ** 4;
    }
  }
  return { values, weights };
}

/** Linear interpolation through points with ascending x, ties averaged; constant beyond the ends. */
function interpolation(x: Float64Array, y: Float64Array): (at: number) => number {
  const [places, levels]: [number[], number[]] = [[], []];
  for (let from = 0; from < x.length;) {
    let to = from;
    let sum = 0;
    while (to < x.length && x[to] === x[from]) sum += y[to++]!;
    places.push(x[from]!);
    levels.push(sum / (to - from));
    from = to;
  }
  return (at) => {
    if (!(at > places[0]!)) return levels[0]!;
    if (at >= places.at(-1)!) return levels.at(-1)!;
    let [low, high] = [0, places.length - 1];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (places[middle]! <= at) low = middle;
      else high = middle;
    }
    const share = (at - places[low]!) / (places[high]! - places[low]!);
    return levels[low]! + share * (levels[high]! - levels[low]!);
  };
}
