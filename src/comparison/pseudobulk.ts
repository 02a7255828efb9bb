// Pseudobulk: counts of each gene summed over the cells of a sample, per cell type. The unit of a comparison
// is the sample, not the cell: cells of one patient are not replicates.
import type { DataFrame } from "../anndata/dataframe.js";
import type { RunSettings } from "../contract/options.js";
import type { CountsPlace } from "../data/count-places.js";
import { streamCounts } from "../data/counts.js";
import { factorize, readConditions } from "../data/labels.js";
import { metadataOfConditions, type SampleMetadata } from "../data/sample-metadata.js";
import { ScPoliError } from "../contract/errors.js";
import type { SampleCounts } from "./voom.js";

/** One sample in one of the two groups. */
export interface Unit {
  /** Name of the unit: the sample, with its group where a sample has cells of both */
  readonly name: string;
  /** Sample that its cells come from */
  readonly sample: string;
  /** 0: the baseline (second group), 1: the group of interest (first group) */
  readonly group: 0 | 1;
}

/** Samples and cell types of the cells of a comparison. */
export interface Units {
  readonly units: readonly Unit[];
  /** (cells) unit, -1 if the cell is in none */
  readonly codes: Int32Array;
  /** names of the types; only "all cells" without a column */
  readonly types: readonly string[];
  /** (cells) type, -1 without one */
  readonly typeCodes: Int32Array;
  /** whether samples have cells of both groups, for a paired comparison */
  readonly isPaired: boolean;
  /** metadata of the units: obs columns that are constant within each */
  readonly metadata: SampleMetadata;
}

export interface Grouping {
  /** column of obs of the groups, the group of interest and the baseline */
  readonly column: string;
  readonly first: string;
  readonly second: string;
}

/** @throws ScPoliError "key" for a column or value that is not there, or a group without samples */
export async function readUnits(
  obs: DataFrame,
  { column, first, second }: Grouping,
  sampleKey: string,
  typeKey: string | undefined,
): Promise<Units> {
  const groups = factorize(await obs.column(column));
  for (const name of [first, second])
    if (!groups.names.includes(name))
      throw new ScPoliError(
        "key",
        `obs['${column}'] has no value '${name}'; it has ${
          groups.names
            .slice(0, 20)
            .map((value) => `'${value}'`)
            .join(", ") || "none"
        }${groups.names.length > 20 ? ", ..." : ""}.`,
        { key: column, value: name },
      );
  const wanted = [groups.names.indexOf(second), groups.names.indexOf(first)];
  const samples = await readConditions(obs, sampleKey);
  const places = new Map<string, number>();
  const units: Unit[] = [];
  const codes = new Int32Array(obs.length).fill(-1);
  const groupsOf = samples.names.map(() => new Set<number>());
  for (let cell = 0; cell < codes.length; cell++) {
    const group = wanted.indexOf(groups.codes[cell]!);
    if (group >= 0 && groups.codes[cell]! >= 0) groupsOf[samples.codes[cell]!]!.add(group);
  }
  const isPaired = groupsOf.some(({ size }) => size === 2);
  for (const [code, sample] of samples.names.entries())
    for (const group of [0, 1] as const)
      if (groupsOf[code]!.has(group)) {
        places.set(`${code} ${group}`, units.length);
        units.push({ name: isPaired ? `${sample}, ${group ? first : second}` : sample, sample, group });
      }
  for (let cell = 0; cell < codes.length; cell++) {
    const group = groups.codes[cell]! < 0 ? -1 : wanted.indexOf(groups.codes[cell]!);
    if (group >= 0) codes[cell] = places.get(`${samples.codes[cell]} ${group}`)!;
  }
  const types =
    typeKey === undefined
      ? { names: ["all cells"], codes: new Int32Array(obs.length) }
      : factorize(await obs.column(typeKey));
  const keep = Int32Array.from(codes.keys()).filter((cell) => codes[cell]! >= 0);
  const [metadata] = await metadataOfConditions(
    obs,
    [
      {
        key: "",
        codes: Int32Array.from(keep, (cell) => codes[cell]!),
        names: units.map(({ name }) => name),
      },
    ],
    { keep },
  );
  return { units, codes, types: types.names, typeCodes: types.codes, isPaired, metadata: metadata! };
}

/** (types, units) numbers of cells, row-major. */
export function countCells({ units, codes, types, typeCodes }: Units): Int32Array {
  const cells = new Int32Array(types.length * units.length);
  codes.forEach((unit, cell) => {
    if (unit >= 0 && typeCodes[cell]! >= 0) cells[typeCodes[cell]! * units.length + unit]!++;
  });
  return cells;
}

/** Pseudobulk of one cell type. */
export interface Pseudobulk {
  /** row of `Units.types` */
  readonly type: number;
  /** (units, G); units without cells of the type have zeros */
  readonly counts: SampleCounts;
}

/** Maximum bytes of sums in memory. */
const mostBytes = 2 ** 30;

/**
 * Sums the counts of the requested types. The file is read once if all sums fit in memory, else once per
 * batch of types that do.
 */
export async function* pseudobulks(
  place: CountsPlace,
  { units, codes, typeCodes }: Units,
  types: readonly number[],
  { signal, onProgress }: Pick<RunSettings, "signal" | "onProgress">,
): AsyncGenerator<Pseudobulk> {
  const genes = place.matrix.columns;
  const everyGene = Int32Array.from({ length: genes }, (_, gene) => gene);
  const atOnce = Math.max(1, Math.floor(mostBytes / (8 * units.length * genes)));
  for (let from = 0; from < types.length; from += atOnce) {
    const batch = types.slice(from, from + atOnce);
    const sums = new Map(batch.map((type) => [type, new Float64Array(units.length * genes)]));
    const blocks = streamCounts(place, everyGene, genes, undefined, {
      signal,
      onProgress: (done, total) => onProgress?.({ stage: "reading", done, total }),
    });
    for await (const { start, rows, indptr, indices, counts } of blocks) {
      for (let row = 0; row < rows; row++) {
        const unit = codes[start + row]!;
        const sum = sums.get(typeCodes[start + row]!);
        if (unit < 0 || !sum) continue;
        const offset = unit * genes;
        for (let k = indptr[row]!; k < indptr[row + 1]!; k++) sum[offset + indices[k]!]! += counts[k]!;
      }
    }
    for (const [type, values] of sums) yield { type, counts: { samples: units.length, genes, values } };
  }
}
