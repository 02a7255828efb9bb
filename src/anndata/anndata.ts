// An annotated matrix behind a file: X, raw, layers, obs, var, obsm and uns, each read when asked for and the
// matrices a block of rows at a time.
//
// The class knows no file format: a reader per format (reader.ts) stands behind it, chosen in `open` by what
// the file holds.
import { ScPoliError } from "../contract/errors.js";
import type { DataFrame } from "./dataframe.js";
import type { DenseMatrix, Matrix } from "./matrix.js";
import { openReader } from "./open.js";
import type { AnnDataReader, RawData, UnsValue } from "./reader.js";

export type { RawData, UnsDict, UnsValue } from "./reader.js";

export interface OpenOptions {
  /** of MuData, a file of several AnnData: the one to read; the same as `FILE.h5mu/NAME` as path */
  readonly modality?: string;
}

/** An annotated matrix: N cells (obs) by G genes (var). */
export class AnnData {
  private constructor(private readonly reader: AnnDataReader) {}

  /**
   * Opens a file for reading; it stays open until `close`.
   * @param path - an .h5ad file; AnnData-Zarr, a folder or a zip file of one; an .h5 file of 10x Genomics, or
   * a folder of theirs with matrix.mtx; a modality of MuData, FILE.h5mu/NAME
   * @throws ScPoliError "file" where it is missing, truncated or no HDF5 file; "format" where it is readable
   * but no AnnData
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
  /** What a user should know of how the file was read. */
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
   * The main matrix (N, G), null where the file has none.
   * @throws ScPoliError "format" where it cannot be read
   */
  get X(): Matrix | null {
    return this.reader.openX();
  }
  /** (N, G of raw), null where the file has none */
  get raw(): RawData | null {
    return this.reader.openRaw();
  }
  /** Names of the layers */
  get layers(): readonly string[] {
    return this.reader.layerNames;
  }
  /** @throws ScPoliError "key" where there is no such layer */
  layer(name: string): Matrix {
    return this.reader.openLayer(name);
  }
  /**
   * The matrix at "X", "raw.X" or "layers/NAME", null where there is none.
   * @throws ScPoliError "format" where it cannot be read
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
   * (N, columns).
   * @throws ScPoliError "key" where there is none of this name, "format" where it is no dense matrix
   */
  obsm(name: string): Promise<DenseMatrix> {
    return this.reader.readObsm(name);
  }
  /** Keys of `uns` */
  get unsKeys(): readonly string[] {
    return this.reader.unsNames;
  }
  /**
   * One entry of uns; undefined where it is something else than numbers, texts, booleans and dictionaries of
   * them.
   * @throws ScPoliError "key" where there is none of this name
   */
  uns(name: string): Promise<UnsValue | undefined> {
    return this.reader.readUns(name);
  }

  /** Closes the file. What was read stays valid. */
  close(): void {
    this.reader.close();
  }

  /**
   * Names of the cells or genes, each of them once.
   * @throws ScPoliError "format" where a name comes twice
   */
  async uniqueNames(axis: "obs" | "var"): Promise<readonly string[]> {
    return uniqueNames(await this[axis].index(), axis, this.path);
  }
}

/** The names given, each of them once. @throws ScPoliError "format" where a name comes twice */
export function uniqueNames(names: readonly string[], axis: "obs" | "var", path: string): readonly string[] {
  // a table of rows by hash: a Map of all names takes several times as much, and holds no more than 16
  // million
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
  const sum = axis === "var" ? " Or have the columns of a gene added up: --duplicate-genes sum." : "";
  throw new ScPoliError(
    "format",
    `${path} has ${repeated.length} duplicated ${kind} name${repeated.length > 1 ? "s" : ""}: ${shown}. Make them unique in Python: adata.${axis}_names_make_unique().${sum}`,
    { path, axis, duplicated: repeated.length },
  );
}

/** FNV-1a over the characters. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h;
}
