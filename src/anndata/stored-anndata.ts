// The reader of .h5ad files and AnnData-Zarr stores: locates the parts of an AnnData in a store.
import { ScPoliError } from "../contract/errors.js";
import { openFrame, readColumn } from "./stored-frame.js";
import { openMatrix, readDense, type Shape } from "./stored-matrix.js";
import { TableFrame } from "./stored-table.js";
import type { DataFrame } from "./dataframe.js";
import type { DenseMatrix, Matrix } from "./matrix.js";
import { missingKey } from "../contract/nearest-names.js";
import type { AnnDataReader, RawData, UnsValue } from "./reader.js";
import type { Store } from "./store.js";

export class StoreReader implements AnnDataReader {
  readonly obs: DataFrame;
  readonly var: DataFrame;
  private readonly matrices = new Map<string, Matrix | null>();

  /** @throws ScPoliError "format" if the store holds no AnnData */
  constructor(
    readonly file: Store,
    readonly format: AnnDataReader["format"] = file.format,
  ) {
    checkIsAnnData(file);
    this.obs = openTable(file, "obs", "uns");
    this.var = openTable(file, "var", "uns");
  }

  get path() {
    return this.file.path;
  }
  get layerNames() {
    return this.file.keys("layers");
  }
  get obsmNames() {
    return this.file.kind("obsm") === "dataset"
      ? (this.file.dataset("obsm").fields ?? [])
      : this.file.keys("obsm");
  }
  get unsNames() {
    return this.file.keys("uns");
  }

  openX(): Matrix | null {
    return this.matrix("X", this.var.length);
  }

  openRaw(): RawData | null {
    const raw = this.file.kind("raw") === "group" ? "raw/" : "raw."; // anndata 0.6 and older: "raw.X"
    if (this.file.kind(`${raw}X`) === null) return null;
    const frame = openTable(this.file, `${raw}var`, null);
    const X = this.matrix(`${raw}X`, frame.length);
    return X && { X, var: frame };
  }

  openLayer(name: string): Matrix {
    const layer = this.matrix(`layers/${name}`, this.var.length);
    if (layer === null)
      throw missingKey(`${this.path} has no layer "${name}".`, name, this.layerNames, { path: this.path });
    return layer;
  }

  async readObsm(name: string): Promise<DenseMatrix> {
    if (!this.obsmNames.includes(name))
      throw missingKey(`${this.path} has no obsm "${name}".`, name, this.obsmNames, { path: this.path });
    const matrix =
      this.file.kind("obsm") === "dataset"
        ? await this.readTableObsm(name)
        : await readDense(this.file, `obsm/${name}`);
    this.checkShape(`obsm/${name}`, matrix.rows, matrix.columns, matrix.columns);
    return matrix;
  }

  async readUns(name: string): Promise<UnsValue | undefined> {
    if (!this.unsNames.includes(name))
      throw missingKey(`${this.path} has no uns "${name}".`, name, this.unsNames, { path: this.path });
    return readUns(this.file, `uns/${name}`);
  }

  close(): void {
    this.file.close();
  }

  /** anndata 0.6 and older: obsm is one table with an array per field. */
  private async readTableObsm(name: string): Promise<DenseMatrix> {
    const table = this.file.dataset("obsm");
    const { width, values } = await table.field!(name);
    if (Array.isArray(values))
      throw table.error("format", `its field "${name}" holds strings; numbers were expected`);
    return { rows: table.length, columns: width, values };
  }

  /** Opens each matrix once, so that its read buffers are reused between blocks. */
  private matrix(path: string, columns: number): Matrix | null {
    let matrix = this.matrices.get(path);
    if (matrix === undefined) {
      const expected: Shape = [this.obs.length, columns];
      matrix = openMatrix(this.file, path, expected);
      if (matrix !== null) this.checkShape(path, matrix.rows, matrix.columns, columns);
      this.matrices.set(path, matrix);
    }
    return matrix;
  }

  private checkShape(path: string, rows: number, columns: number, expectedColumns: number): void {
    if (rows === this.obs.length && columns === expectedColumns) return;
    const expected = `${this.obs.length} x ${expectedColumns}`;
    throw new ScPoliError(
      "format",
      `${this.file.place(path)} is ${rows} x ${columns}, but obs and var names give ${expected}. The ` +
        "file is damaged.",
      { path: this.path, key: path },
    );
  }
}

function openTable(file: Store, path: string, labels: string | null): DataFrame {
  return file.kind(path) === "dataset" ? new TableFrame(file, path, labels) : openFrame(file, path);
}

/** Files of other programs, recognised by their root keys. */
const otherFormats: readonly { readonly marks: readonly string[]; readonly says: string }[] = [
  {
    marks: ["matrix", "row_attrs", "col_attrs"],
    says:
      'It is a loom file. Convert it in Python: anndata.io.read_loom(path).write_h5ad("file.h5ad") ' +
      "(pip install loompy).",
  },
  {
    marks: ["assays", "cell.names"],
    says: 'It is an h5Seurat file. Convert it in R: SeuratDisk::Convert("file.h5Seurat", dest = "h5ad").',
  },
  {
    marks: ["barcode_idx", "umi"],
    says:
      "It is molecule_info.h5 of CellRanger; the counts are in filtered_feature_bc_matrix.h5 in the same " +
      "folder.",
  },
  { marks: ["matrix"], says: "It looks like a 10x Genomics matrix, but has no barcodes." },
];

const names = { h5ad: "an HDF5 file", zarr: "a Zarr store" } as const;

function checkIsAnnData(file: Store): void {
  if (file.kind("obs") !== null && file.kind("var") !== null) return;
  const keys = file.keys("/");
  const content =
    otherFormats.find(({ marks }) => marks.every((name) => keys.includes(name)))?.says ??
    (keys.length > 0 ? `It contains ${keys.slice(0, 8).join(", ")}.` : "It is empty.");
  throw new ScPoliError(
    "format",
    `${file.path} is ${names[file.format]}, but not AnnData: it has no obs and var. ${content}`,
    { path: file.path, keys },
  );
}

/** Reads scalars, strings, arrays and dictionaries of them; undefined for anything else. */
async function readUns(file: Store, path: string): Promise<UnsValue | undefined> {
  if (file.kind(path) === "group") {
    const encoding = file.text(path, "encoding-type") ?? "dict";
    if (encoding.startsWith("nullable-string")) {
      const column = await readColumn(file, path);
      return column.kind === "string" ? column.values : undefined;
    }
    if (encoding !== "dict") return undefined;
    const entries = await Promise.all(
      file.keys(path).map(async (key) => [key, await readUns(file, `${path}/${key}`)] as const),
    );
    return Object.fromEntries(entries.filter((entry): entry is [string, UnsValue] => entry[1] !== undefined));
  }
  const dataset = file.kind(path) === "dataset" ? file.dataset(path) : null;
  if (dataset === null || dataset.shape === null || dataset.dtype === "table" || dataset.dtype === "unknown")
    return undefined;
  const isScalar = dataset.shape.length === 0;
  if (dataset.dtype === "string") {
    const texts = await dataset.strings();
    return isScalar ? (texts[0] ?? undefined) : texts;
  }
  const values = await dataset.numbers();
  if (dataset.dtype === "bool") return isScalar ? values[0] === 1 : Array.from(values, Boolean);
  return isScalar ? values[0] : values;
}
