// What a file format gives to the AnnData class. stored-anndata.ts fills it for stores (HDF5, Zarr); another
// format is another file beside that one.
import type { DataFrame } from "./dataframe.js";
import type { DenseMatrix, Matrix, NumericArray } from "./matrix.js";

/**
 * What `uns` holds: nested dictionaries of scalars, texts and arrays. Other things (tables, sparse matrices)
 * are left out.
 */
export type UnsValue =
  number | string | boolean | NumericArray | readonly (string | null)[] | readonly boolean[] | UnsDict;
export interface UnsDict {
  readonly [key: string]: UnsValue;
}

/** `raw` of an AnnData: counts of all genes, before genes were selected. */
export interface RawData {
  readonly X: Matrix;
  readonly var: DataFrame;
}

/**
 * What a file format gives to the AnnData class. Matrices are opened when asked for, so that a damaged one
 * does not hide the others.
 */
export interface AnnDataReader {
  readonly path: string;
  /** "modality": one AnnData of several in a file of MuData */
  readonly format: "h5ad" | "zarr" | "10x" | "modality";
  /** what a user should know of how the file was read */
  readonly notes?: readonly string[];
  readonly obs: DataFrame;
  readonly var: DataFrame;
  readonly layerNames: readonly string[];
  readonly obsmNames: readonly string[];
  readonly unsNames: readonly string[];
  /** null where there is none */
  openX(): Matrix | null;
  openRaw(): RawData | null;
  openLayer(name: string): Matrix;
  readObsm(name: string): Promise<DenseMatrix>;
  readUns(name: string): Promise<UnsValue | undefined>;
  close(): void;
}
