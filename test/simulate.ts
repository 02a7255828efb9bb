// Simulated counts in memory, to be written as they are or with something broken: a few cell types under the
// effects of a few conditions.
import type { NewAnnData } from "../dist/anndata/write.js";
import { Random } from "../dist/numerics/random.js";
import { effects, poisson } from "./atlas.ts";

export interface Simulation {
  readonly cells?: number;
  readonly genes?: number;
  readonly conditions?: readonly string[];
  readonly types?: readonly string[];
  readonly seed?: number;
  /** columns of obs */
  readonly conditionKey?: string;
  readonly cellTypeKey?: string;
}

/** Counts (cells, genes), row-major. */
export interface Simulated {
  readonly cells: number;
  readonly genes: number;
  readonly counts: Float32Array;
  readonly conditions: readonly string[];
  readonly types: readonly string[];
  readonly data: NewAnnData;
}

/**
 * The same cell types have the same programs of genes in every simulation; each condition shifts the genes in
 * its own way.
 */
export function simulate(options: Simulation = {}): Simulated {
  const {
    cells = 240,
    genes = 60,
    conditions = ["a", "b"],
    types = ["B cell", "T cell", "monocyte"],
    seed = 0,
    conditionKey = "donor",
    cellTypeKey = "cell_type",
  } = options;
  const random = new Random(seed, "simulated cells");
  const programs = new Map(types.map((type) => [type, effects(`program of ${type}`, genes, 1, 1)]));
  const shifts = conditions.map((condition) => effects(`effect of ${condition}`, genes, 1, 0.3));
  const counts = new Float32Array(cells * genes);
  const ofType: string[] = [];
  const ofCondition: string[] = [];
  for (let cell = 0; cell < cells; cell++) {
    const type = types[random.below(types.length)]!;
    const condition = random.below(conditions.length);
    const depth = 0.5 + random.uniform();
    for (let gene = 0; gene < genes; gene++)
      counts[cell * genes + gene] = poisson(
        depth * programs.get(type)![gene]! * shifts[condition]![gene]!,
        random,
      );
    ofType.push(type);
    ofCondition.push(conditions[condition]!);
  }
  const data: NewAnnData = {
    X: { rows: cells, columns: genes, values: counts },
    obs: {
      index: Array.from({ length: cells }, (_, cell) => `cell${cell}`),
      columns: {
        [conditionKey]: { kind: "string", length: cells, values: ofCondition },
        [cellTypeKey]: { kind: "string", length: cells, values: ofType },
      },
    },
    var: { index: Array.from({ length: genes }, (_, gene) => `gene${gene}`) },
  };
  return { cells, genes, counts, conditions: ofCondition, types: ofType, data };
}
