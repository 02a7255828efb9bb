// Calibrates distances across institutions from the validation cells: a histogram of their distances to the
// nearest prototype, and the likelihood of their labels for several widths of the probability. Both are sums
// over cells.
import { typesOf } from "../data/minibatches.js";
import type { LevelCalibration } from "../model/stored-model.js";
import { minkowski } from "../prototypes/prototypes.js";
import type { Tensor } from "../storage/safetensors.js";
import { countValue, emptyHistogram, histogramBins, histogramQuantile } from "./histogram.js";
import { doubles } from "./packed-file.js";
import type { RoundsPlan } from "./plan.js";
import type { OpenShard } from "./shard.js";
import type { ShardNetwork } from "./shard-network.js";
import type { RoundsState } from "./state.js";

/** Candidate widths sigma of exp(-distance^2 / (2 sigma^2)): 8 per doubling, from 1/64 to 64. */
const widths = Float64Array.from({ length: 97 }, (_, i) => 2 ** (i / 8 - 6));
/** Quantile of the held-out cells' distances that defines the scale of distances. */
const heldOutShare = 0.95;
const leastProbability = 1e-12;

/** Adds `distances.<level>`, a histogram, and `surprise.<level>`, the negative log-likelihood per width. */
export async function countDistances(
  tensors: Map<string, Tensor>,
  network: ShardNetwork,
  { dataset }: OpenShard,
  { prototypes }: RoundsState,
  plan: RoundsPlan,
): Promise<void> {
  const D = plan.model.latentDim;
  const levels = plan.levels.map((types) => ({
    types,
    histogram: emptyHistogram(),
    surprise: new Float64Array(widths.length),
  }));
  const { labels } = dataset;
  const labelled = network.split.validation.filter((cell) => typesOf(labels, levels.length, cell).length > 0);
  await network.encode(prototypes ? labelled : new Int32Array(0), (latent, chunk) =>
    chunk.forEach((cell, row) =>
      levels.forEach(({ types, histogram, surprise }, level) => {
        const trueType = types.indexOf(labels[cell * levels.length + level]!);
        if (trueType < 0) return;
        const distances = types.map((type) => minkowski(latent, row, prototypes!, type, D, 2));
        countValue(histogram, Math.min(...distances));
        widths.forEach((width, w) => (surprise[w]! -= Math.log(likelihood(distances, trueType, width))));
      }),
    ),
  );
  const { least_cells: least } = plan.reading;
  levels.forEach(({ histogram, surprise }, level) => {
    const isTold = histogram.reduce((sum, n) => sum + n, 0) >= least;
    tensors
      .set(`distances.${level}`, doubles([histogramBins], isTold ? histogram : emptyHistogram()))
      .set(
        `surprise.${level}`,
        doubles([widths.length], isTold ? surprise : new Float64Array(widths.length)),
      );
  });
}

function likelihood(distances: readonly number[], trueType: number, width: number): number {
  const sum = distances.reduce(
    (total, distance) => total + Math.exp((distances[trueType]! ** 2 - distance ** 2) / (2 * width * width)),
    0,
  );
  return Math.max(leastProbability, 1 / sum);
}

/** Scales of a level from the sums over all shards; null if no cell was counted. */
export function calibrationOfSketch(
  histogram: Float64Array,
  surprise: Float64Array,
): LevelCalibration | null {
  const cells = histogram.reduce((sum, n) => sum + n, 0);
  if (cells === 0) return null;
  return {
    distance_scale: Math.max(1e-6, histogramQuantile(histogram, heldOutShare)),
    probability_scale: widths[surprise.indexOf(Math.min(...surprise))]!,
    threshold: 0.5,
    cells,
  };
}
