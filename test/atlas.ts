// A small simulated atlas with known truth: cell types with marker genes, conditions with gene-wise effects,
// negative binomial counts.
import { join } from "node:path";
import { AnnData, writeH5ad, type SparseRows } from "../dist/index.js";
import { Random } from "../dist/numerics/random.js";
import { temporaryFolder } from "./command.ts";

export interface Atlas {
  readonly cells: number;
  readonly genes?: number;
  readonly types?: readonly string[];
  readonly conditions: readonly string[];
  readonly seed?: number;
  /** changes what was drawn, cell by cell: the label to write, null for a missing one */
  readonly label?: (type: string, cell: number) => string | null;
  readonly condition?: (cell: number) => string;
  /** order of the genes in the file, and which of them are there */
  readonly geneOrder?: (genes: string[]) => string[];
}

export const folder = temporaryFolder();

/** Profiles depend on names alone, so that the same type and condition look the same in every file. */
export function effects(name: string, genes: number, share: number, strength: number): Float64Array {
  const random = new Random(99, name);
  return Float64Array.from({ length: genes }, () =>
    random.uniform() < share ? Math.exp(strength * random.normal()) : 1,
  );
}

/**
 * Draws counts: effects of type and donor on each gene, and a depth per cell.
 * @param order - genes as columns of the result
 */
function drawCounts(
  typeOf: readonly string[],
  donorOf: readonly string[],
  names: readonly string[],
  order: readonly string[],
  random: Random,
): SparseRows {
  const genes = names.length;
  const base = effects("base", genes, 1, 1);
  const indptr = new Int32Array(typeOf.length + 1);
  const indices: number[] = [];
  const values: number[] = [];
  for (let cell = 0; cell < typeOf.length; cell++) {
    const typeEffects = effects(`type ${typeOf[cell]}`, genes, 0.3, 1.6);
    const shift = effects(`donor ${donorOf[cell]}`, genes, 0.5, 0.3);
    const rates = base.map((b, g) => b * typeEffects[g]! * shift[g]!);
    const sum = rates.reduce((a, b) => a + b, 0);
    const depth = 1000 * Math.exp(0.3 * random.normal());
    order.forEach((gene, column) => {
      const count = poisson((rates[names.indexOf(gene)]! / sum) * depth * gamma2(random), random);
      if (count > 0) {
        indices.push(column);
        values.push(count);
      }
    });
    indptr[cell + 1] = indices.length;
  }
  return {
    rows: typeOf.length,
    columns: order.length,
    indptr,
    indices: Int32Array.from(indices),
    values: Float32Array.from(values),
  };
}

/** Writes the atlas and opens it; obs has `donor`, `cell_type`, `lineage` (two coarse types) and `truth`. */
export async function makeAtlas(name: string, atlas: Atlas): Promise<AnnData> {
  const {
    cells,
    genes = 120,
    types = ["B", "NK", "T"],
    conditions,
    seed = 1,
    label = (type) => type,
  } = atlas;
  const random = new Random(seed, `atlas ${name}`);
  const typeOf = Array.from({ length: cells }, () => types[random.below(types.length)]!);
  const donorOf = Array.from(
    { length: cells },
    (_, cell) => atlas.condition?.(cell) ?? conditions[random.below(conditions.length)]!,
  );
  const names = Array.from({ length: genes }, (_, g) => `gene${g}`);
  const order = atlas.geneOrder?.([...names]) ?? names;
  const text = (list: readonly (string | null)[]) => ({
    kind: "string" as const,
    length: cells,
    values: list,
  });
  const path = join(folder, `${name}.h5ad`);
  await writeH5ad(
    path,
    {
      X: drawCounts(typeOf, donorOf, names, order, random),
      obs: {
        index: Array.from({ length: cells }, (_, cell) => `${name}-${cell}`),
        columns: {
          donor: text(donorOf),
          cell_type: text(typeOf.map((type, cell) => label(type, cell))),
          lineage: text(typeOf.map((type) => (type === "B" ? "B lineage" : "T/NK lineage"))),
          truth: text(typeOf),
        },
      },
      var: { index: order },
    },
    { force: true },
  );
  return AnnData.open(path);
}

/** Gamma(2, 1/2): the overdispersion of theta = 2. */
export function gamma2(random: Random): number {
  return -(Math.log(1 - random.uniform()) + Math.log(1 - random.uniform())) / 2;
}

export function poisson(mean: number, random: Random): number {
  const limit = Math.exp(-Math.min(mean, 500));
  let count = -1;
  for (let product = 1; product > limit; count++) product *= random.uniform();
  return Math.max(0, count);
}

/** Column of obs as text. */
export async function texts(data: AnnData, key: string): Promise<string[]> {
  const column = await data.obs.column(key);
  if (column.kind === "categorical") return Array.from(column.codes, (code) => column.categories[code] ?? "");
  return Array.from<unknown, string>(column.values, String);
}
