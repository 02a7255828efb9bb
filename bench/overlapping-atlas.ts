// A simulated atlas with the difficulties of real ones: types of a lineage overlap, some are rare, and
// conditions differ in gene-wise effects (some specific to a type), ambient counts, depth and composition.
// Every count of a cell is drawn from one of a few profiles of its condition.
// usage: node --import tsx bench/overlapping-atlas.ts CELLS GENES OUT.h5ad
import { pathToFileURL } from "node:url";
import { writeH5ad, type SparseRows } from "../dist/index.js";
import { Random } from "../dist/numerics/random.js";

export interface OverlappingAtlas {
  readonly cells: number;
  readonly genes: number;
  /** default 8 */
  readonly conditions?: number;
  /** default 20, in lineages of four */
  readonly cellTypes?: number;
  /** default 1 */
  readonly seed?: number;
}

const lineageSize = 4;
const programs = 8;
/**
 * Standard deviations of the log effects of lineages, types, conditions, and types within conditions.
 */
const spread = { base: 1.2, lineage: 1, type: 0.45, condition: 0.35, interaction: 0.15, program: 0.8 };
/** Maximum share of a cell's counts from another type of its lineage. */
const mostOfOther = 0.45;

/** Writes an .h5ad file with `batch` and `cell_type` in obs. */
export async function simulateOverlapping(path: string, atlas: OverlappingAtlas): Promise<void> {
  const { cells, genes, conditions = 8, cellTypes = 20, seed = 1 } = atlas;
  const random = new Random(seed, "overlapping atlas");
  const profiles = profilesOf(genes, conditions, cellTypes, random);
  const conditionOf = Int32Array.from({ length: cells }, () => random.below(conditions));
  // type frequencies decrease, in a different order and degree in each condition
  const frequencies = Array.from({ length: conditions }, () =>
    cumulative(
      Float64Array.from(
        { length: cellTypes },
        (_, type) => 0.8 ** ((type * 7) % cellTypes) * Math.exp(0.7 * random.normal()),
      ),
    ),
  );
  const typeOf = conditionOf.map((condition) => draw(frequencies[condition]!, random));
  await writeH5ad(
    path,
    {
      X: blocks(genes, typeOf, conditionOf, profiles, random),
      obs: {
        index: Array.from({ length: cells }, (_, i) => `cell${i}`),
        columns: {
          batch: { kind: "categorical", codes: conditionOf, categories: names("batch", conditions) },
          cell_type: { kind: "categorical", codes: typeOf, categories: names("type", cellTypes) },
        },
      },
      var: { index: names("gene", genes) },
    },
    { compression: 0 },
  );
}

function names(prefix: string, n: number): string[] {
  return Array.from({ length: n }, (_, i) => `${prefix}${i}`);
}

/** Distributions of the counts of a condition, as cumulative sums over the genes. */
interface Profiles {
  readonly types: readonly Float64Array[];
  readonly programs: readonly Float64Array[];
  readonly ambient: Float64Array;
  /** share of ambient counts, and mean depth */
  readonly ambientShare: number;
  readonly depth: number;
}

function profilesOf(genes: number, conditions: number, cellTypes: number, random: Random): Profiles[] {
  const effect = (strength: number, share = 1): Float64Array =>
    Float64Array.from({ length: genes }, () => (random.uniform() < share ? strength * random.normal() : 0));
  const add = (...effects: readonly Float64Array[]): Float64Array =>
    effects[0]!.map((_, g) => effects.reduce((sum, added) => sum + added[g]!, 0));
  const base = effect(spread.base);
  const lineages = Array.from({ length: Math.ceil(cellTypes / lineageSize) }, () =>
    effect(spread.lineage, 0.3),
  );
  const types = Array.from({ length: cellTypes }, (_, type) =>
    add(base, lineages[Math.floor(type / lineageSize)]!, effect(spread.type, 0.3)),
  );
  const shared = Array.from({ length: programs }, () => add(base, effect(spread.program, 0.2)));
  return Array.from({ length: conditions }, () => {
    const conditionEffect = effect(spread.condition);
    const profile = (logs: Float64Array): Float64Array =>
      cumulative(add(logs, conditionEffect).map(Math.exp));
    return {
      types: types.map((logs) => profile(add(logs, effect(spread.interaction)))),
      programs: shared.map(profile),
      ambient: profile(base),
      ambientShare: 0.02 + 0.1 * random.uniform(),
      depth: 500 * Math.exp(0.4 * random.normal()),
    };
  });
}

/** Cumulative sums, scaled to end at 1. */
function cumulative(weights: Float64Array): Float64Array {
  let sum = 0;
  const sums = weights.map((weight) => (sum += weight));
  return sums.map((value) => value / sum);
}

/** Index of the first entry above a uniform number. */
function draw(sums: Float64Array, random: Random): number {
  const u = random.uniform();
  let [low, high] = [0, sums.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sums[middle]! > u) high = middle;
    else low = middle + 1;
  }
  return low;
}

function* blocks(
  genes: number,
  typeOf: Int32Array,
  conditionOf: Int32Array,
  profiles: readonly Profiles[],
  random: Random,
): Generator<SparseRows> {
  const size = 2000;
  const types = profiles[0]!.types.length;
  const row = new Float32Array(genes);
  for (let start = 0; start < typeOf.length; start += size) {
    const rows = Math.min(size, typeOf.length - start);
    const indptr = new Int32Array(rows + 1);
    const [indices, values]: [number[], number[]] = [[], []];
    for (let i = 0; i < rows; i++) {
      const [type, conditionProfile] = [typeOf[start + i]!, profiles[conditionOf[start + i]!]!];
      const first = type - (type % lineageSize);
      const other = first + random.below(Math.min(lineageSize, types - first));
      const otherShare = mostOfOther * random.uniform() ** 2;
      const program = random.below(programs);
      const programShare = 0.3 * random.uniform();
      const depth = Math.max(50, Math.round(conditionProfile.depth * Math.exp(0.35 * random.normal())));
      row.fill(0);
      for (let count = 0; count < depth; count++) {
        const u = random.uniform();
        const profile =
          u < conditionProfile.ambientShare
            ? conditionProfile.ambient
            : u < conditionProfile.ambientShare + programShare
              ? conditionProfile.programs[program]!
              : conditionProfile.types[random.uniform() < otherShare ? other : type]!;
        row[draw(profile, random)]!++;
      }
      row.forEach((value, gene) => {
        if (value === 0) return;
        indices.push(gene);
        values.push(value);
      });
      indptr[i + 1] = indices.length;
    }
    yield {
      rows,
      columns: genes,
      indptr,
      indices: Int32Array.from(indices),
      values: Float32Array.from(values),
    };
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [cells, genes, path] = process.argv.slice(2);
  if (!path) throw new Error("usage: node --import tsx bench/overlapping-atlas.ts CELLS GENES OUT.h5ad");
  await simulateOverlapping(path, { cells: Number(cells), genes: Number(genes) });
}
