// Summarises a shard with the weights of the final model: sums for the prototypes and their spread,
// histograms for the calibration, and a sample of its cells for the head, the novelty model and the
// landmarks. Between institutions there is no sample, so that no array has one row per cell.
import type { RunSettings } from "../contract/options.js";
import type { CountRows } from "../data/count-source.js";
import { typesOf } from "../data/minibatches.js";
import { sampleRareFirst } from "../data/sampling.js";
import type { Minibatch } from "../engine/engine.js";
import type { Tensor } from "../storage/safetensors.js";
import { Random } from "../numerics/random.js";
import { countDistances } from "./distance-sketch.js";
import { countValue, emptyHistogram, histogramBins } from "./histogram.js";
import { doubles, floats, wholes } from "./packed-file.js";
import type { RoundsPlan, StoredPlan } from "./plan.js";
import { settled } from "./settled.js";
import type { OpenShard } from "./shard.js";
import { ShardNetwork } from "./shard-network.js";
import type { RoundsState } from "./state.js";

/** The JSON of a summary. */
export interface SummaryJson {
  readonly shard: string;
  /** SHA-256 of the plan, and of the state whose weights become the model's */
  readonly plan: string;
  readonly state: string;
  readonly cells: number;
}

export interface ShardSummary {
  readonly json: SummaryJson;
  /** see `addTypeSums`, `addSample`, ... */
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/** Target number of cells of a rare type in a shard's sample. */
const rareCells = 100;

/** @param state - the one whose weights become the model's @throws ScPoliError "interrupted" */
export async function summarizeShard(
  { plan, digest }: StoredPlan,
  state: RoundsState,
  stateDigest: string,
  shard: OpenShard,
  settings: RunSettings,
): Promise<ShardSummary> {
  const network = await ShardNetwork.create(plan, shard, settings);
  try {
    network.write(settled(state.parameters), null);
    const tensors = new Map<string, Tensor>();
    addSizeFactors(tensors, shard);
    if (plan.levels.length > 0) {
      await addTypeSums(tensors, network, shard, state, plan);
      if (plan.reading.federated) await countDistances(tensors, network, shard, state, plan);
      else await addHeldOut(tensors, network, shard, plan);
    }
    if (!plan.reading.federated) await addSample(tensors, network, shard, plan);
    return {
      json: { shard: shard.planned.name, plan: digest, state: stateDigest, cells: shard.planned.cells },
      tensors,
    };
  } finally {
    await network.close();
  }
}

/** `size_factors`: a histogram over all cells. */
function addSizeFactors(tensors: Map<string, Tensor>, { dataset }: OpenShard): void {
  const histogram = emptyHistogram();
  for (const total of dataset.counts.sizeFactors) countValue(histogram, total);
  tensors.set("size_factors", doubles([histogramBins], histogram));
}

/**
 * `types.counts` (K), `types.sums` (K, D) and `types.products` (K, D, D) over the training cells of each
 * type, of latent representations relative to the type's prototype, which preserves precision.
 */
async function addTypeSums(
  tensors: Map<string, Tensor>,
  network: ShardNetwork,
  { dataset }: OpenShard,
  { prototypes }: RoundsState,
  { cell_types: { length: K }, model: { latentDim: D }, reading }: RoundsPlan,
): Promise<void> {
  const counts = new Float64Array(K);
  const sums = new Float64Array(K * D);
  const products = new Float64Array(K * D * D);
  const difference = new Float64Array(D);
  await network.encode(network.split.train, (latent, chunk) =>
    chunk.forEach((cell, row) => {
      for (const type of typesOf(dataset.labels, dataset.levels, cell)) {
        counts[type]!++;
        for (let d = 0; d < D; d++) {
          difference[d] = latent[row * D + d]! - (prototypes?.[type * D + d] ?? 0);
          sums[type * D + d]! += difference[d]!;
          for (let e = 0; e <= d; e++) products[(type * D + d) * D + e]! += difference[d]! * difference[e]!;
        }
      }
    }),
  );
  for (let type = 0; type < K && reading.federated; type++) {
    if (counts[type]! >= reading.least_cells) continue;
    counts[type] = 0;
    sums.fill(0, type * D, (type + 1) * D);
    products.fill(0, type * D * D, (type + 1) * D * D);
  }
  tensors
    .set("types.counts", doubles([K], counts))
    .set("types.sums", doubles([K, D], sums))
    .set("types.products", doubles([K, D, D], products));
}

/** `held_out.latent` (n, D) and `held_out.labels` (n, levels) of labelled validation cells. */
async function addHeldOut(
  tensors: Map<string, Tensor>,
  network: ShardNetwork,
  { dataset, planned }: OpenShard,
  plan: RoundsPlan,
): Promise<void> {
  const { labels, levels } = dataset;
  const D = plan.model.latentDim;
  const labelled = network.split.validation.filter((cell) => typesOf(labels, levels, cell).length > 0);
  const random = new Random(plan.optimization.seed, `held-out cells of ${planned.name}`);
  const cells = random.sample(labelled.length, plan.sample_cells).map((at) => labelled[at]!);
  const latent = await latentOf(network, cells, D);
  const codes = new Int32Array(cells.length * levels);
  cells.forEach((cell, row) => codes.set(labels.subarray(cell * levels, (cell + 1) * levels), row * levels));
  tensors
    .set("held_out.latent", floats([cells.length, D], latent))
    .set("held_out.labels", wholes([cells.length, levels], codes));
}

async function latentOf(network: ShardNetwork, cells: Int32Array, D: number): Promise<Float32Array> {
  const latent = new Float32Array(cells.length * D);
  let filled = 0;
  await network.encode(cells, (rows) => {
    latent.set(rows, filled);
    filled += rows.length;
  });
  return latent;
}

/**
 * `sample.*`: a share of at most `sample_cells` cells of all shards, rare types first. Any cells serve as
 * landmarks, labelled ones train the head. Stored are latent representations (n, D), labels (n, levels),
 * conditions (n, keys) and combinations (n) in the plan's codes, the purpose (n, 2), whether it is a
 * validation cell (n), size factors (n), and counts as CSR.
 */
async function addSample(
  tensors: Map<string, Tensor>,
  network: ShardNetwork,
  shard: OpenShard,
  plan: RoundsPlan,
): Promise<void> {
  const { counts } = shard.dataset;
  const { cells, landmarks, labelled } = sampleCells(shard, plan);
  const rows = gatherCounts(await counts.hold(cells), cells, counts.widest);
  const D = plan.model.latentDim;
  const validation = new Set(network.split.validation);
  tensors
    .set("sample.latent", floats([cells.length, D], await latentOf(network, cells, D)))
    .set(
      "sample.uses",
      codesOf(cells, 2, (cell, use) => ((use === 0 ? landmarks : labelled).has(cell) ? 1 : 0)),
    )
    .set(
      "sample.validation",
      codesOf(cells, 1, (cell) => (validation.has(cell) ? 1 : 0)),
    );
  addSampleCodes(tensors, shard, cells);
  tensors
    .set(
      "sample.size_factors",
      floats(
        [cells.length],
        Float32Array.from(cells, (cell) => counts.sizeFactors[cell]!),
      ),
    )
    .set("sample.starts", doubles([cells.length + 1], rows.indptr))
    .set("sample.genes", wholes([rows.indices.length], rows.indices))
    .set("sample.counts", floats([rows.values.length], rows.values));
}

/** The cells of a shard's sample, ascending: those for landmarks, and labelled ones for the head. */
function sampleCells(
  { dataset, planned }: OpenShard,
  plan: RoundsPlan,
): {
  readonly cells: Int32Array;
  readonly landmarks: ReadonlySet<number>;
  readonly labelled: ReadonlySet<number>;
} {
  const { labels, levels, counts } = dataset;
  const most = Math.min(Math.ceil((plan.sample_cells * planned.cells) / plan.cells), counts.mostHeld / 2);
  const all = Int32Array.from({ length: counts.cells }, (_, cell) => cell);
  const random = new Random(plan.optimization.seed, `sample of ${planned.name}`);
  const sampled = (from: Int32Array): Set<number> =>
    new Set(
      from.length <= most ? from : sampleRareFirst(dataset, random.shuffle(from.slice()), most, rareCells),
    );
  const landmarks = sampled(plan.landmarks ? all : new Int32Array(0));
  const labelled = sampled(all.filter((cell) => typesOf(labels, levels, cell).length > 0));
  return { cells: all.filter((cell) => landmarks.has(cell) || labelled.has(cell)), landmarks, labelled };
}

/** `sample.labels`, `sample.conditions` and `sample.combinations`, see `addSample`. */
function addSampleCodes(
  tensors: Map<string, Tensor>,
  { dataset, conditions, combinations }: OpenShard,
  cells: Int32Array,
): void {
  const { labels, levels } = dataset;
  tensors
    .set(
      "sample.labels",
      codesOf(cells, levels, (cell, level) => labels[cell * levels + level]!),
    )
    .set(
      "sample.conditions",
      codesOf(
        cells,
        dataset.conditions.length,
        (cell, key) => conditions[key]![dataset.conditions[key]![cell]!]!,
      ),
    )
    .set(
      "sample.combinations",
      wholes(
        [cells.length],
        Int32Array.from(cells, (cell) => combinations[dataset.combinations[cell]!]!),
      ),
    );
}

/** (n, columns) table of whole numbers, one row per cell. */
function codesOf(
  cells: Int32Array,
  columns: number,
  value: (cell: number, column: number) => number,
): Tensor {
  const codes = Int32Array.from({ length: cells.length * columns }, (_, at) =>
    value(cells[Math.floor(at / columns)]!, at % columns),
  );
  return wholes([cells.length, columns], codes);
}

interface Rows {
  readonly indptr: Float64Array;
  readonly indices: Int32Array;
  readonly values: Float32Array;
}

/** Counts of cells, row by row. @param widest - largest number of stored counts of a cell */
function gatherCounts(held: CountRows, cells: Int32Array, widest: number): Rows {
  const at = 256;
  const minibatch: Minibatch = {
    rows: 0,
    indptr: new Int32Array(at + 1),
    indices: new Int32Array(at * Math.max(1, widest)),
    counts: new Float32Array(at * Math.max(1, widest)),
    sizeFactors: new Float32Array(at),
    conditions: [],
    combinations: new Int32Array(at),
    labels: new Int32Array(0),
  };
  const indptr = new Float64Array(cells.length + 1);
  const parts: { readonly indices: Int32Array; readonly values: Float32Array }[] = [];
  let stored = 0;
  for (let start = 0; start < cells.length; start += at) {
    const chunk = cells.subarray(start, start + at);
    held.fill(minibatch, chunk);
    const end = minibatch.indptr[chunk.length]!;
    parts.push({ indices: minibatch.indices.slice(0, end), values: minibatch.counts.slice(0, end) });
    for (let row = 0; row < chunk.length; row++)
      indptr[start + row + 1] = stored + minibatch.indptr[row + 1]!;
    stored += end;
  }
  const indices = new Int32Array(stored);
  const values = new Float32Array(stored);
  parts.reduce((from, part) => {
    indices.set(part.indices, from);
    values.set(part.values, from);
    return from + part.indices.length;
  }, 0);
  return { indptr, indices, values };
}
