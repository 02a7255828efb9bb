// Principal components of the log-normalised counts, the baseline of PC regression if the file has none.
import type { CountsPlace } from "../data/count-places.js";
import { loadCounts, type Counts, type ReadCountsOptions } from "../data/counts.js";
import { selectVariableGenes } from "../data/variable-genes.js";
import { normalizedTotal } from "../numerics/log-normalized.js";
import { Random } from "../numerics/random.js";
import { sparseComponents } from "../numerics/sparse-components.js";

const precision = { components: 30, extraDirections: 10, iterations: 12 };
/** If a file has more genes, only this number of the most variable ones is used, as in the paper. */
const mostGenes = 4000;

/** Positions along the components, in order of variance. */
export interface CellComponents {
  /** (n, D) */
  readonly values: Float64Array;
  readonly D: number;
  readonly genes: number;
}

/**
 * @param rows - rows of the file, ascending
 * @param conditions - (rows) codes, for the selection of variable genes
 * @throws ScPoliError as `streamCounts`
 */
export async function countComponents(
  place: CountsPlace,
  rows: Int32Array,
  conditions: Int32Array,
  seed: number,
  reading: ReadCountsOptions = {},
): Promise<CellComponents> {
  const columns = place.matrix.columns;
  const genes =
    columns <= mostGenes
      ? Int32Array.from({ length: columns }, (_, i) => i)
      : await selectVariableGenes(place, conditions, mostGenes, { ...reading, keep: rows });
  const map = new Int32Array(columns).fill(-1);
  genes.forEach((column, gene) => (map[column] = gene));
  const counts = await loadCounts(place, map, genes.length, { ...reading, keep: rows });
  const { values, D } = sparseComponents(
    { ...counts, values: logNormalizedValues(counts) },
    genes.length,
    precision,
    new Random(seed, "components before integration"),
  );
  return { values, D, genes: genes.length };
}

/** log1p of counts per 10,000, as scanpy's normalize_total and log1p in the reference's scoring. */
function logNormalizedValues({ cells, indptr, values, sizeFactors }: Counts): Float32Array {
  const logs = new Float32Array(values.length);
  for (let cell = 0; cell < cells; cell++)
    for (let k = indptr[cell]!; k < indptr[cell + 1]!; k++)
      logs[k] = Math.log1p((values[k]! * normalizedTotal) / sizeFactors[cell]!);
  return logs;
}
