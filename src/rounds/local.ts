// One round of one shard: Adam steps from the shared weights over the shard's cells. It exports its weights,
// its losses, and sums of latent representations by cell type. It is a pure function of the plan, the state,
// the cells and the shard's kept moments, so a failed job can simply be rerun.
import type { RunSettings } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { isRepeated, type Prototypes } from "../prototypes/prototypes.js";
import type { Tensor } from "../storage/safetensors.js";
import { Random } from "../numerics/random.js";
import { doubles, floats, tensorOf, type PackedFile } from "./packed-file.js";
import { stepsBefore, stepsOfRound, stepWeights } from "./course.js";
import type { RoundsPlan, StoredPlan } from "./plan.js";
import type { OpenShard } from "./shard.js";
import { noSums, ShardNetwork, type LossSums, type Moments } from "./shard-network.js";
import type { RoundsState } from "./state.js";

/** The JSON of a shard's result. */
export interface ResultJson {
  readonly shard: string;
  readonly round: number;
  /** SHA-256 of the plan and of the initial state */
  readonly plan: string;
  readonly state: string;
  /** training cells, in total and for each combination of the shard */
  readonly cells: number;
  readonly combination_cells: readonly number[];
  readonly steps: number;
  /** sums over the trained cells, and over the validation cells with the state's weights */
  readonly training: LossSums;
  readonly validation: LossSums;
}

export interface ShardResult {
  readonly json: ResultJson;
  /** parameters (of tables, the shard's rows) and sums by type; empty if nothing was trained */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** kept by the shard; null if nothing was trained or moments are not kept */
  readonly moments: ReadonlyMap<string, Tensor> | null;
}

/** Most cells of a shard that contribute to the prototypes of the next round. */
const prototypeCells = 16_384;

/** Whether the shard's moments can be reused: only if its result of the previous round was merged. */
export function goesOn(plan: RoundsPlan, { json }: RoundsState, shard: string): boolean {
  return plan.keep_moments && json.merged.some((merged) => merged.shard === shard);
}

/**
 * Trains a shard for one round.
 * @param moments - of the previous round; null to start from zero
 * @throws ScPoliError "model" if the loss is not a number, "interrupted"
 */
export async function trainShard(
  { plan, digest }: StoredPlan,
  state: RoundsState,
  stateDigest: string,
  shard: OpenShard,
  moments: PackedFile<MomentsJson> | null,
  settings: RunSettings,
): Promise<ShardResult> {
  const round = state.json.round + 1;
  const network = await ShardNetwork.create(plan, shard, settings);
  try {
    network.write(state.parameters, state.prototypes);
    if (moments) network.writeMoments(momentsOf(moments));
    const validation = await network.validate(spreadPrototypes(plan, state));
    const trains = round <= plan.rounds && !state.json.stopped;
    const before = moments ? moments.json.step : 0;
    const steps = stepsOfRound(plan, round);
    const training = trains
      ? await network.train(stepsBefore(plan, round), steps, before, learningRate(plan, state), (share) =>
          stepWeights(plan, round, share, state.prototypes !== null),
        )
      : noSums;
    const tensors = new Map<string, Tensor>();
    if (trains) {
      for (const [name, data] of network.read())
        tensors.set(`parameter/${name}`, floats(network.network.parameters.get(name)!.shape, data));
      if (plan.levels.length > 0 && round + 1 >= plan.fine_tuning_from)
        for (const [name, tensor] of await prototypeSums(network, shard, plan)) tensors.set(name, tensor);
    }
    return {
      json: {
        shard: shard.planned.name,
        round,
        plan: digest,
        state: stateDigest,
        cells: network.split.train.length,
        combination_cells: combinationCells(network, shard, plan),
        steps: trains ? steps : 0,
        training,
        validation,
      },
      tensors,
      moments: trains && plan.keep_moments ? momentTensors(network.readMoments()) : null,
    };
  } finally {
    await network.close();
  }
}

function learningRate({ optimization }: RoundsPlan, { json }: RoundsState): number {
  return optimization.lr * (optimization.earlyStopping?.lrFactor ?? 1) ** json.early.reductions;
}

/** The state's prototypes with one common variance. */
function spreadPrototypes(plan: RoundsPlan, { prototypes, json }: RoundsState): Prototypes | null {
  if (!prototypes) return null;
  const [K, D] = [plan.cell_types.length, plan.model.latentDim];
  const covariances = Float32Array.from({ length: K * D * D }, (_, i) =>
    Math.floor(i / D) % D === i % D ? json.variance : 0,
  );
  return { shape: [K, D], means: prototypes, covariances, counts: new Float64Array(K).fill(2) };
}

/** Training cells of each combination; between institutions, at least the minimum count is reported. */
function combinationCells(network: ShardNetwork, shard: OpenShard, { reading }: RoundsPlan): number[] {
  const cells = new Array<number>(shard.combinations.length).fill(0);
  for (const cell of network.split.train) cells[shard.dataset.combinations[cell]!]!++;
  return reading.federated ? cells.map((n) => Math.max(n, reading.least_cells)) : cells;
}

/** Sums of the latent representations of training cells by type, scaled up from a sample. */
async function prototypeSums(
  network: ShardNetwork,
  { dataset, planned }: OpenShard,
  plan: RoundsPlan,
): Promise<Map<string, Tensor>> {
  const [K, D] = [plan.cell_types.length, plan.model.latentDim];
  const { train } = network.split;
  const random = new Random(plan.optimization.seed, `prototypes of ${planned.name}`);
  const sample = random.sample(train.length, prototypeCells).map((at) => train[at]!);
  const counts = new Float64Array(K);
  const sums = new Float64Array(K * D);
  const squares = new Float64Array(K);
  const { labels, levels } = dataset;
  await network.encode(sample, (latent, chunk) =>
    chunk.forEach((cell, row) => {
      for (let level = 0; level < levels; level++) {
        const type = labels[cell * levels + level]!;
        if (type < 0 || isRepeated(labels, cell, level, levels)) continue;
        counts[type]!++;
        for (let d = 0; d < D; d++) {
          sums[type * D + d]! += latent[row * D + d]!;
          squares[type]! += latent[row * D + d]! ** 2;
        }
      }
    }),
  );
  const { federated, least_cells: least } = plan.reading;
  const scale = train.length / Math.max(1, sample.length);
  for (let type = 0; type < K; type++) {
    const factor = federated && counts[type]! < least ? 0 : scale;
    counts[type]! *= factor;
    squares[type]! *= factor;
    for (let d = 0; d < D; d++) sums[type * D + d]! *= factor;
  }
  return new Map([
    ["prototypes.counts", doubles([K], counts)],
    ["prototypes.sums", doubles([K, D], sums)],
    ["prototypes.squares", doubles([K], squares)],
  ]);
}

/** The JSON of a shard's kept moments. */
export interface MomentsJson {
  readonly shard: string;
  readonly plan: string;
  /** round whose result was merged */
  readonly round: number;
  /** number of Adam steps so far */
  readonly step: number;
}

function momentTensors(moments: Moments): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>();
  for (const [name, { first, second }] of moments)
    tensors
      .set(`first/${name}`, floats([first.length], first))
      .set(`second/${name}`, floats([second.length], second));
  return tensors;
}

function momentsOf(file: PackedFile<MomentsJson>): Moments {
  const names = [...file.tensors.keys()].flatMap((name) =>
    name.startsWith("first/") ? [name.slice(6)] : [],
  );
  const where = `The moments of shard '${file.json.shard}'`;
  return new Map(
    names.map((name) => [
      name,
      {
        first: tensorOf<Float32Array>(file, `first/${name}`, where),
        second: tensorOf<Float32Array>(file, `second/${name}`, where),
      },
    ]),
  );
}

/** @throws ScPoliError "refused" if the moments are not those of the previous round */
export function checkMoments(
  { json }: PackedFile<MomentsJson>,
  planDigest: string,
  round: number,
  path: string,
): void {
  if (json.plan === planDigest && json.round === round) return;
  throw new ScPoliError(
    "refused",
    `${path} does not belong to round ${round} of this run. Run \`scpoli rounds local\` of that round again.`,
    { path },
  );
}
