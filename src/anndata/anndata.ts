// An AnnData file: X, raw, layers, obs, var, obsm and uns. Each part is read on demand; matrices are read one
// block of rows at a time.
//
// The class is independent of the file format: `open` picks a reader (reader.ts) by the content of the file.
import { ScPoliError } from "../contract/errors.js";
import type { DataFrame } from "./dataframe.js";
import type { DenseMatrix, Matrix } from "./matrix.js";
import { openReader } from "./open.js";
import type { AnnDataReader, RawData, UnsValue } from "./reader.js";

export type { RawData, UnsValue } from "./reader.js";

export interface OpenOptions {
  /** MuData only: the modality to read. Equivalent to the path `FILE.h5mu/NAME`. */
  readonly modality?: string;
}

/** An annotated matrix: N cells (obs) by G genes (var). */
export class AnnData {
  private constructor(private readonly reader: AnnDataReader) {}

  /**
   * Opens a file for reading; it stays open until `close`.
   * @param path - an .h5ad file; an AnnData-Zarr store (folder or zip file); a 10x Genomics .h5 file, or
   * folder with matrix.mtx; a modality of a MuData file, FILE.h5mu/NAME
   * @throws ScPoliError "file" if it is missing, truncated or not HDF5; "format" if it is readable but not
   * AnnData
   */
  static async open(path: string, { modality }: OpenOptions = {}): Promise<AnnData> {
    return new AnnData(await openReader(modality === undefined ? path : `${path}/${modality}`));
  }

  /** Kind of the file: what reads it */
  get format(): "h5ad" | "zarr" | "10x" | "modality" {
    return this.reader.format;
  }
  /** Path as it was given to `open` */
  get path(): string {
    return this.reader.path;
  }
  /** What the user should know about how the file was read. */
  get notes(): readonly string[] {
    return this.reader.notes ?? [];
  }
  /** N */
  get nObs(): number {
    return this.reader.obs.length;
  }
  /** G */
  get nVars(): number {
    return this.reader.var.length;
  }
  /** Annotation of the cells: a row per cell, read when asked for */
  get obs(): DataFrame {
    return this.reader.obs;
  }
  /** Annotation of the genes of `X`: a row per gene */
  get var(): DataFrame {
    return this.reader.var;
  }

  /**
   * The main matrix (N, G); null if the file has none.
   * @throws ScPoliError "format" if it cannot be read
   */
  get X(): Matrix | null {
    return this.reader.openX();
  }
  /** Raw counts and their genes (N, G of raw); null if the file has none. */
  get raw(): RawData | null {
    return this.reader.openRaw();
  }
  /** Names of the layers */
  get layers(): readonly string[] {
    return this.reader.layerNames;
  }
  /** @throws ScPoliError "key" if there is no such layer */
  layer(name: string): Matrix {
    return this.reader.openLayer(name);
  }
  /**
   * The matrix at "X", "raw.X" or "layers/NAME"; null if there is none.
   * @throws ScPoliError "format" if it cannot be read
   */
  matrix(name: string): Matrix | null {
    if (name === "X") return this.X;
    if (name === "raw.X") return this.raw?.X ?? null;
    return this.layer(name.replace(/^layers\//, ""));
  }
  /** Keys of `obsm` */
  get obsmKeys(): readonly string[] {
    return this.reader.obsmNames;
  }
  /**
   * One entry of obsm (N, columns).
   * @throws ScPoliError "key" if there is no such entry, "format" if it is not a dense matrix
   */
  obsm(name: string): Promise<DenseMatrix> {
    return this.reader.readObsm(name);
  }
  /** Keys of `uns` */
  get unsKeys(): readonly string[] {
    return this.reader.unsNames;
  }
  /**
   * One entry of uns; undefined if it is anything but numbers, strings, booleans and dictionaries of them.
   * @throws ScPoliError "key" if there is no such entry
   */
  uns(name: string): Promise<UnsValue | undefined> {
    return this.reader.readUns(name);
  }

  /** Closes the file. Data already read stay valid. */
  close(): void {
    this.reader.close();
  }

  /**
   * Names of the cells or genes, checked to be unique.
   * @throws ScPoliError "format" if a name occurs twice
   */
  async uniqueNames(axis: "obs" | "var"): Promise<readonly string[]> {
    return uniqueNames(await this[axis].index(), axis, this.path);
  }
}

/** The given names, checked to be unique. @throws ScPoliError "format" if a name occurs twice */
export function uniqueNames(names: readonly string[], axis: "obs" | "var", path: string): readonly string[] {
  // open-addressing hash table of rows: a Map of all names takes several times the memory and holds at most
  // 16 million
  const rows = new Int32Array(2 ** Math.ceil(Math.log2(2 * names.length + 1))).fill(-1);
  const repeated: string[] = [];
  for (let row = 0; row < names.length; row++) {
    const name = names[row]!;
    let at = hash(name) & (rows.length - 1);
    while (rows[at]! >= 0 && names[rows[at]!] !== name) at = (at + 1) & (rows.length - 1);
    if (rows[at]! < 0) rows[at] = row;
    else repeated.push(`"${name}" (rows ${rows[at]} and ${row})`);
  }
  if (repeated.length === 0) return names;
  const kind = axis === "obs" ? "cell" : "gene";
  const shown = `${repeated.slice(0, 3).join(", ")}${repeated.length > 3 ? ", ..." : ""}`;
  const sum = axis === "var" ? " Or sum the columns of each duplicated gene: --duplicate-genes sum." : "";
  throw new ScPoliError(
    "format",
    `${path} has ${repeated.length} duplicated ${kind} name${repeated.length > 1 ? "s" : ""}: ${shown}. ` +
      `Make them unique in Python: adata.${axis}_names_make_unique().${sum}`,
    { path, axis, duplicated: repeated.length },
  );
}

/** FNV-1a over the characters. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h;
}
