// Files as CellRanger writes them, for the tests: 40 cells with 6 features, one of them an antibody.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import * as hdf5 from "h5wasm/node";

const [cells, genes] = [40, 6];
export const ids = Array.from({ length: genes }, (_, i) => `ENSG${i}`);
export const symbols = ["A", "B", "A", "C", "CD3", "A"];
export const types = symbols.map((_, i) => (i === 4 ? "Antibody Capture" : "Gene Expression"));
export const barcodes = Array.from({ length: cells }, (_, i) => `CELL${i}-1`);
export const value = (cell: number, gene: number): number =>
  (cell * 7 + gene * 3) % 5 > 2 ? 1 + ((cell + gene) % 4) : 0;

/** matrix.h5. @param group - "matrix" for version 3, else the genome of version 2 */
export async function writeTenxH5(
  path: string,
  group: string,
  edit: (file: hdf5.File) => void = () => undefined,
): Promise<string> {
  await hdf5.ready;
  const file = new hdf5.File(path, "w");
  const [data, indices, indptr]: [number[], number[], number[]] = [[], [], [0]];
  for (let cell = 0; cell < cells; cell++) {
    for (let gene = 0; gene < genes; gene++)
      if (value(cell, gene) > 0) {
        data.push(value(cell, gene));
        indices.push(gene);
      }
    indptr.push(data.length);
  }
  const root = file.create_group(group);
  const add = (name: string, content: string[] | Int32Array | BigInt64Array): void =>
    void file.create_dataset({ name: `${group}/${name}`, data: content });
  add("barcodes", barcodes);
  add("data", Int32Array.from(data));
  add("indices", BigInt64Array.from(indices, BigInt));
  add("indptr", BigInt64Array.from(indptr, BigInt));
  add("shape", Int32Array.of(genes, cells));
  if (group === "matrix") {
    root.create_group("features");
    add("features/id", ids);
    add("features/name", symbols);
    add("features/feature_type", types);
  } else {
    add("genes", ids);
    add("gene_names", symbols);
  }
  edit(file);
  file.close();
  return path;
}

/**
 * A folder of matrix.mtx, features.tsv and barcodes.tsv (gzipped), or of the older genes.tsv (not gzipped).
 */
export function writeTenxFolder(
  path: string,
  gzip: boolean,
  mtx = (lines: string[]): string[] => lines,
): string {
  mkdirSync(path);
  const put = (file: string, lines: readonly string[]): void =>
    writeFileSync(
      join(path, `${file}${gzip ? ".gz" : ""}`),
      gzip ? gzipSync(`${lines.join("\n")}\n`) : `${lines.join("\n")}\n`,
    );
  const entries = barcodes.flatMap((_, cell) =>
    symbols.flatMap((__, gene) =>
      value(cell, gene) > 0 ? [`${gene + 1} ${cell + 1} ${value(cell, gene)}`] : [],
    ),
  );
  put(
    "matrix.mtx",
    mtx([
      "%%MatrixMarket matrix coordinate integer general",
      "%comment",
      `${genes} ${cells} ${entries.length}`,
      ...entries.reverse(),
    ]),
  );
  put(
    gzip ? "features.tsv" : "genes.tsv",
    ids.map((id, i) => [id, symbols[i], ...(gzip ? [types[i]] : [])].join("\t")),
  );
  put("barcodes.tsv", barcodes);
  return path;
}

/** Counts (cells, features), row-major, of features with names and types. */
export interface TenxCounts {
  readonly cells: number;
  readonly counts: ArrayLike<number>;
  readonly names: readonly string[];
  /** default: all "Gene Expression" */
  readonly types?: readonly string[];
}

/** The same counts as matrix.h5 of version 3, and as a folder. */
export async function writeCounts10x(
  h5: string,
  mtx: string,
  { cells: N, counts, names, types: featureTypes = names.map(() => "Gene Expression") }: TenxCounts,
): Promise<void> {
  const entries = Array.from({ length: N }, (_, cell) =>
    names.flatMap((__, gene) => {
      const count = counts[cell * names.length + gene]!;
      return count > 0 ? [[gene, count] as const] : [];
    }),
  );
  const indptr = [0];
  for (const row of entries) indptr.push(indptr.at(-1)! + row.length);
  const own10x = Array.from({ length: N }, (_, cell) => `AAAC${cell}-1`);
  await hdf5.ready;
  const file = new hdf5.File(h5, "w");
  file.create_group("matrix").create_group("features");
  const parts: Record<string, string[] | Int32Array> = {
    barcodes: own10x,
    data: Int32Array.from(entries.flat(), ([, count]) => count),
    indices: Int32Array.from(entries.flat(), ([gene]) => gene),
    indptr: Int32Array.from(indptr),
    shape: Int32Array.of(names.length, N),
    "features/id": names.map((name) => `ID-${name}`),
    "features/name": [...names],
    "features/feature_type": [...featureTypes],
  };
  for (const [name, data] of Object.entries(parts)) file.create_dataset({ name: `matrix/${name}`, data });
  file.close();
  mkdirSync(mtx);
  const put = (name: string, lines: readonly string[]): void =>
    writeFileSync(join(mtx, name), `${lines.join("\n")}\n`);
  put("barcodes.tsv", own10x);
  put(
    "features.tsv",
    names.map((name, i) => [`ID-${name}`, name, featureTypes[i]].join("\t")),
  );
  put("matrix.mtx", [
    "%%MatrixMarket matrix coordinate integer general",
    `${names.length} ${N} ${entries.flat().length}`,
    ...entries.flatMap((row, cell) => row.map(([gene, count]) => `${gene + 1} ${cell + 1} ${count}`)),
  ]);
}
