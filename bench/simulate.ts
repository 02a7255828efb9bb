// A streaming generator of counts: any number of cells in constant memory, the same for the same arguments.
// For speed and memory only, never for quality. usage: node --import tsx bench/simulate.ts CELLS GENES
// OUT.h5ad [GZIP_LEVEL] [CONDITIONS] [CELL_TYPES]
import { pathToFileURL } from "node:url";
import { writeH5ad, type SparseRows } from "../dist/index.js";
import { Random } from "../dist/numerics/random.js";

export interface Simulation {
  readonly cells: number;
  readonly genes: number;
  readonly conditions?: number;
  readonly cellTypes?: number;
  /** approximate share of non-zeros */
  readonly density?: number;
}

/** Writes an .h5ad file with `batch` and `cell_type` in obs. */
export async function simulate(
  path: string,
  { cells, genes, conditions = 8, cellTypes = 12, density = 0.13 }: Simulation,
  compression = 0,
): Promise<void> {
  const random = new Random(1, "simulation");
  const typeOf = Int32Array.from({ length: cells }, () => random.below(cellTypes));
  const conditionOf = Int32Array.from({ length: cells }, () => random.below(conditions));
  const profiles = Array.from({ length: cellTypes }, () => profile(genes, density, random));
  await writeH5ad(
    path,
    {
      X: blocks(cells, genes, typeOf, profiles),
      obs: {
        index: Array.from({ length: cells }, (_, i) => `cell${i}`),
        columns: {
          batch: { kind: "categorical", codes: conditionOf, categories: names("batch", conditions) },
          cell_type: { kind: "categorical", codes: typeOf, categories: names("type", cellTypes) },
        },
      },
      var: { index: names("gene", genes) },
    },
    { compression, force: true },
  );
}

function names(prefix: string, n: number): string[] {
  return Array.from({ length: n }, (_, i) => `${prefix}${i}`);
}

/** Probability of a count per gene: skewed like expression, and different between types. */
function profile(genes: number, density: number, random: Random): Float64Array {
  const raw = Float64Array.from(
    { length: genes },
    (_, g) => 1 / (1 + 40 * ((g * 0.6180339887) % 1)) + (random.uniform() < 0.1 ? 0.3 : 0),
  );
  const mean = raw.reduce((a, b) => a + b, 0) / genes;
  return raw.map((p) => Math.min(0.95, (p * density) / mean));
}

function* blocks(
  cells: number,
  genes: number,
  typeOf: Int32Array,
  profiles: readonly Float64Array[],
): Generator<SparseRows> {
  const size = 2000;
  let state = 12345;
  // xorshift: speed matters more than the quality of random numbers
  const uniform = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  const indices = new Int32Array(size * genes);
  const values = new Float32Array(size * genes);
  for (let start = 0; start < cells; start += size) {
    const rows = Math.min(size, cells - start);
    const indptr = new Int32Array(rows + 1);
    let stored = 0;
    for (let row = 0; row < rows; row++) {
      const chance = profiles[typeOf[start + row]!]!;
      for (let g = 0; g < genes; g++) {
        const u = uniform();
        if (u >= chance[g]!) continue;
        // geometric above 1: mostly ones, a few large
        indices[stored] = g;
        values[stored++] =
          1 + Math.min(500, Math.floor(-Math.log(Math.max(1e-9, uniform())) * (0.3 + 3 * chance[g]!)));
      }
      indptr[row + 1] = stored;
    }
    yield {
      rows,
      columns: genes,
      indptr,
      indices: indices.slice(0, stored),
      values: values.slice(0, stored),
    };
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [cells, genes, path, level, conditions, cellTypes] = process.argv.slice(2);
  if (!path)
    throw new Error(
      "usage: node --import tsx bench/simulate.ts CELLS GENES OUT.h5ad [GZIP_LEVEL] [CONDITIONS] " +
        "[CELL_TYPES]",
    );
  const optional = (text: string | undefined): number | undefined =>
    text === undefined ? undefined : Number(text);
  await simulate(
    path,
    {
      cells: Number(cells),
      genes: Number(genes),
      conditions: optional(conditions),
      cellTypes: optional(cellTypes),
    },
    optional(level),
  );
}
