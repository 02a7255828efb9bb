// Interface of the readers behind the AnnData class. stored-anndata.ts implements it for stores (HDF5, Zarr),
// tenx.ts for 10x Genomics. A new format is a new file beside these.
import type { DataFrame } from "./dataframe.js";
import type { DenseMatrix, Matrix, NumericArray } from "./matrix.js";

/**
 * A value of `uns`: nested dictionaries of scalars, strings and arrays. Other values (tables, sparse
 * matrices) are skipped.
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
 * Reads one file format for the AnnData class. Matrices are opened on demand, so that a damaged one does not
 * hide the others.
 */
export interface AnnDataReader {
  readonly path: string;
  /** "modality": one modality of a MuData file */
  readonly format: "h5ad" | "zarr" | "10x" | "modality";
  /** what the user should know about how the file was read */
  readonly notes?: readonly string[];
  readonly obs: DataFrame;
  readonly var: DataFrame;
  readonly layerNames: readonly string[];
  readonly obsmNames: readonly string[];
  readonly unsNames: readonly string[];
  /** null if there is none */
  openX(): Matrix | null;
  openRaw(): RawData | null;
  openLayer(name: string): Matrix;
  readObsm(name: string): Promise<DenseMatrix>;
  readUns(name: string): Promise<UnsValue | undefined>;
  close(): void;
}
