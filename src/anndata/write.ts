// Writes AnnData files: a copy of a file with additions, or a new .h5ad written in blocks of rows. Both are
// written to a temporary name and renamed when complete. The same input gives the same bytes.
import {
  bytesOf,
  checkSpace,
  commitTemporary,
  copyFile,
  createTemporary,
  fileError,
  isSameFile,
  removeTemporary,
} from "#platform";
import { ScPoliError } from "../contract/errors.js";
import type { AnnData } from "./anndata.js";
import { oldParts, stampEncodings, tolerate, writeOldParts } from "./h5ad-upgrade.js";
import {
  checkKey,
  columnOrder,
  namesOfReplaced,
  type AdditionNames,
  type Additions,
  type NewColumn,
  type NewUns,
} from "./elements.js";
import { H5adWriter } from "./h5ad-elements.js";
import { Hdf5File } from "./hdf5.js";
import { checkComplete } from "./hdf5-complete.js";
import { blocks, type DenseMatrix, type NumericArray, type SparseRows } from "./matrix.js";
import { checkOutputFile } from "./output-file.js";
import { startZarrCopy } from "./zarr-copy.js";

export type { AdditionNames, Additions, NewColumn, NewUns } from "./elements.js";

export interface CopyOptions {
  /** names that will be added: rejected at once if the file already has them */
  readonly names?: AdditionNames;
  /** replace existing entries of these names, and an existing output of the same kind */
  readonly force?: boolean;
  /** receives messages about what could not be kept */
  readonly onWarning?: (message: string) => void;
}

/** A copy in progress: the bytes are copied while the caller computes the additions. */
export interface PendingCopy {
  /** Adds the entries and gives the file its final name. @throws ScPoliError; no file is left then */
  finish(additions: Additions): Promise<void>;
  /** Removes the partial copy. */
  discard(): Promise<void>;
}

/**
 * Starts to copy the file behind `source`, byte for byte, to a temporary file next to `output`. Everything in
 * it is kept. The copy of a Zarr store is a Zarr store.
 * @throws ScPoliError "output" if `output` is the source itself, is something else than an AnnData file or
 * cannot be written; "refused" if it, or a name in it, exists and `force` is not set; "key" for a name that
 * HDF5 cannot store
 */
export async function startCopy(
  source: AnnData,
  output: string,
  options: CopyOptions = {},
): Promise<PendingCopy> {
  const { names = {}, force = false } = options;
  if (await isSameFile(source.path, output)) {
    throw new ScPoliError(
      "output",
      `${output} is the input file, which is never modified. Choose another name for the output.`,
      { path: output },
    );
  }
  Object.values(names).flat().forEach(checkKey);
  if (!force) checkNames(source, names);
  if (source.format === "zarr") return startStoreCopy(source, output, force);
  if (/\.zarr\/*$/.test(output))
    throw new ScPoliError(
      "output",
      `${output}: ${source.path} is not a Zarr store, so neither is its copy. Use a name that ends with ` +
        ".h5ad.",
      { path: output },
    );
  await checkOutputFile(output, "h5ad", force);
  return source.format === "10x" || source.format === "modality"
    ? newFile(source, output, options)
    : startFileCopy(source, output, options);
}

async function startStoreCopy(source: AnnData, output: string, force: boolean): Promise<PendingCopy> {
  const copy = await startZarrCopy(source.path, output, force);
  return {
    finish: async (additions) => {
      checkAdditions(source, additions);
      if (!force) checkNames(source, namesOf(additions));
      await copy.finish(source, additions);
    },
    discard: () => copy.discard(),
  };
}

/** The source is not an AnnData file that can be copied: counts and genes go into a new one. */
function newFile(source: AnnData, output: string, { force = false, onWarning }: CopyOptions): PendingCopy {
  const finish = async (additions: Additions): Promise<void> => {
    checkAdditions(source, additions);
    const parts = await readableParts(source, additions, onWarning);
    const skipped = [...(source.raw ? ["raw"] : []), ...source.layers.map((layer) => `layers/${layer}`)];
    if (skipped.length > 0) onWarning?.(`Not copied to ${output}, a new file: ${skipped.join(", ")}.`);
    const X = async function* () {
      for await (const { block } of blocks(source.X!)) yield block;
    };
    await writeH5ad(
      output,
      {
        X: source.X && X(),
        obs: { index: await source.obs.index(), columns: { ...parts.obs, ...additions.obs } },
        var: { index: await source.var.index(), columns: parts.var },
        obsm: { ...parts.obsm, ...additions.obsm },
        uns: additions.uns,
      },
      { compression: 1, force },
    );
  };
  return { finish, discard: async () => undefined };
}

async function startFileCopy(
  source: AnnData,
  output: string,
  { force = false, onWarning }: CopyOptions,
): Promise<PendingCopy> {
  await checkComplete(source.path);
  await checkSpace(output, (await bytesOf(source.path)) + addedBytesPerCell * source.nObs);
  const temporary = await createTemporary(output);
  const copied = copyFile(source.path, temporary);
  copied.catch(() => undefined); // reported by `finish`
  return {
    async finish(additions) {
      await written(temporary, output, async () => {
        await copied;
        checkAdditions(source, additions);
        if (!force) checkNames(source, namesOf(additions));
        await withWriter(temporary, "a", (writer) => add(writer, source, additions, onWarning));
      });
    },
    async discard() {
      await copied.catch(() => undefined);
      await removeTemporary(temporary);
    },
  };
}

/** Columns and obsm entries for the new file; those that cannot be read are reported and skipped. */
async function readableParts(
  source: AnnData,
  { obs = {}, obsm = {} }: Additions,
  onWarning?: (message: string) => void,
) {
  const parts = {
    obs: {} as Record<string, NewColumn>,
    var: {} as Record<string, NewColumn>,
    obsm: {} as Record<string, DenseMatrix>,
  };
  for (const name of source.obs.columnNames)
    if (!(name in obs))
      await tolerate(async () => void (parts.obs[checkKey(name)] = await source.obs.column(name)), onWarning);
  for (const name of source.var.columnNames)
    await tolerate(async () => void (parts.var[checkKey(name)] = await source.var.column(name)), onWarning);
  for (const name of source.obsmKeys)
    if (!(name in obsm))
      await tolerate(async () => void (parts.obsm[checkKey(name)] = await source.obsm(name)), onWarning);
  return parts;
}

/** Estimated bytes per cell added to a copy: a latent representation, a label and a few numbers. */
const addedBytesPerCell = 80;

/** `startCopy` and `finish` in one. */
export async function writeCopy(
  source: AnnData,
  output: string,
  additions: Additions,
  options: Omit<CopyOptions, "names"> = {},
): Promise<void> {
  const copy = await startCopy(source, output, { ...options, names: namesOf(additions) });
  await copy.finish(additions);
}

export interface NewFrame {
  /** names of the rows */
  readonly index: readonly string[];
  readonly columns?: Readonly<Record<string, NewColumn>>;
}

/** A new .h5ad file. */
export interface NewAnnData {
  /** (N, G): rows in order, in blocks of any size, or all at once; null for a file without X */
  readonly X: AsyncIterable<SparseRows> | Iterable<SparseRows> | SparseRows | DenseMatrix | null;
  /**
   * Dense float32 matrices (N, G) by name, "X" or "layers/NAME", in consecutive blocks of rows. Every block
   * has the same names.
   */
  readonly dense?: AsyncIterable<Readonly<Record<string, DenseMatrix>>>;
  /** Cells: names and columns */
  readonly obs: NewFrame;
  /** Genes: names and columns */
  readonly var: NewFrame;
  /** Matrices with a row per cell, by key */
  readonly obsm?: Readonly<Record<string, DenseMatrix>>;
  /** (G, columns) each */
  readonly varm?: Readonly<Record<string, DenseMatrix>>;
  /** (N, N) each */
  readonly obsp?: Readonly<Record<string, DenseMatrix>>;
  /** Unstructured entries, by key */
  readonly uns?: Readonly<Record<string, NewUns>>;
  /** data frames of uns */
  readonly tables?: Readonly<Record<string, NewFrame>>;
}

export interface WriteOptions {
  /** gzip level 1 to 9 for X and obsm, 0 (default) for none */
  readonly compression?: number;
  /** replaces an .h5ad file of this name (default: false) */
  readonly force?: boolean;
}

/**
 * Writes a new .h5ad file, X one block at a time.
 * @throws ScPoliError "refused" if the file exists, unless `force` is set; "output" if something else is
 * there or it cannot be written. No file is left then
 */
export async function writeH5ad(
  path: string,
  data: NewAnnData,
  { compression = 0, force = false }: WriteOptions = {},
): Promise<void> {
  await checkOutputFile(path, "h5ad", force);
  const temporary = await createTemporary(path);
  await written(temporary, path, () =>
    withWriter(temporary, "w", async (writer) => {
      writer.encode("/", "anndata", "0.1.0");
      await writeX(writer, data, compression);
      writeFrame(writer, "/obs", data.obs);
      writeFrame(writer, "/var", data.var);
      for (const group of ["layers", "obsm", "obsp", "uns", "varm", "varp"])
        writer.group(`/${group}`, "dict", "0.1.0");
      if (data.dense) await writeDense(writer, data, compression);
      for (const group of ["obsm", "varm", "obsp"] as const) {
        for (const [name, matrix] of Object.entries(data[group] ?? {}))
          writer.matrix(
            `/${group}/${checkKey(name)}`,
            matrix,
            compression > 0 ? { chunk: rowsPerChunk(matrix.columns), compression } : {},
          );
      }
      for (const [name, value] of Object.entries(data.uns ?? {})) writer.uns(`/uns/${checkKey(name)}`, value);
      for (const [name, frame] of Object.entries(data.tables ?? {}))
        writeFrame(writer, `/uns/${checkKey(name)}`, frame);
    }),
  );
}

async function withWriter(
  path: string,
  mode: "a" | "w",
  write: (writer: H5adWriter) => Promise<void> | void,
): Promise<void> {
  const writer = new H5adWriter(await Hdf5File.open(path, mode));
  try {
    await write(writer);
  } catch (error) {
    writer.abandon();
    throw error;
  }
  await writer.close();
}

/** Runs `write` on the temporary file, then renames it; removes it on failure. */
async function written(temporary: string, path: string, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    await removeTemporary(temporary);
    throw explained(error, path);
  }
  await commitTemporary(temporary, path);
}

/**
 * Extracts the system's reason from HDF5's long message. Errors that are not about files are returned
 * unchanged.
 */
function explained(error: unknown, path: string): unknown {
  const text = String(error);
  const reason = /error message = '([^']+)'/.exec(text)?.[1];
  const codes: Readonly<Record<string, string>> = {
    "No space left on device": "ENOSPC",
    "File too large": "EFBIG",
    "Quota exceeded": "EDQUOT",
  };
  if (reason !== undefined)
    return fileError(
      "output",
      path,
      "cannot be written",
      Object.assign(new Error(reason, { cause: error }), { code: codes[reason] }),
    );
  return text.includes("HDF5-DIAG")
    ? fileError("output", path, "cannot be written", new Error("HDF5 failed.", { cause: error }))
    : error;
}

async function add(
  writer: H5adWriter,
  source: AnnData,
  additions: Additions,
  onWarning?: (message: string) => void,
): Promise<void> {
  const { obs = {}, obsm = {}, uns = {} } = additions;
  const replaced = namesOfReplaced(additions);
  const old = await oldParts(writer, source);
  const left = new Map<string, readonly string[] | "all">(old.left);
  for (const [group, names] of Object.entries(replaced)) {
    const existing = names.filter((name) => writer.has(`/${group}/${name}`));
    const before = left.get(group) ?? [];
    if (existing.length > 0 && before !== "all") left.set(group, [...before, ...existing]);
  }
  if (left.size > 0) writer.leaveOut(left);
  const kept = await writeOldParts(writer, source, old, replaced, onWarning);
  stampEncodings(writer, source);

  for (const [name, column] of Object.entries(obs)) writer.column(`/obs/${name}`, column);
  writer.attribute("/obs", "column-order", columnOrder(kept, additions));
  for (const group of ["obsm", "uns"])
    if (!writer.has(`/${group}`)) writer.group(`/${group}`, "dict", "0.1.0");
  for (const [name, matrix] of Object.entries(obsm)) writer.matrix(`/obsm/${name}`, matrix);
  for (const [name, value] of Object.entries(uns)) writer.uns(`/uns/${name}`, value);
}

function namesOf({ obs = {}, obsm = {}, uns = {} }: Additions): AdditionNames {
  return { obs: Object.keys(obs), obsm: Object.keys(obsm), uns: Object.keys(uns) };
}

/** @throws ScPoliError "refused" if the file already has one of the names */
function checkNames(source: AnnData, { obs = [], obsm = [], uns = [] }: AdditionNames): void {
  const existing = [
    ...obs.filter((name) => source.obs.columnNames.includes(name)).map((name) => `obs["${name}"]`),
    ...obsm.filter((name) => source.obsmKeys.includes(name)).map((name) => `obsm["${name}"]`),
    ...uns.filter((name) => source.unsKeys.includes(name)).map((name) => `uns["${name}"]`),
  ];
  if (existing.length === 0) return;
  throw new ScPoliError(
    "refused",
    `${source.path} already has ${existing.join(", ")}. Use --force (force: true) to replace ` +
      `${existing.length > 1 ? "them" : "it"}.`,
    {
      path: source.path,
      taken: existing,
    },
  );
}

/**
 * @throws ScPoliError "key" for a name that HDF5 cannot store, "output" if a length does not match the file
 */
function checkAdditions(source: AnnData, additions: Additions): void {
  const { obs = [], obsm = [], uns = [] } = namesOf(additions);
  [...obs, ...obsm, ...uns].forEach(checkKey);
  for (const [name, column] of Object.entries(additions.obs ?? {})) {
    const length = column.kind === "categorical" ? column.codes.length : column.values.length;
    if (length !== source.nObs)
      throw new ScPoliError(
        "output",
        `obs["${name}"] has ${length} entries, but ${source.path} has ${source.nObs} cells.`,
        { key: name },
      );
  }
  for (const [name, { rows, columns, values }] of Object.entries(additions.obsm ?? {})) {
    if (rows !== source.nObs || values.length !== rows * columns) {
      throw new ScPoliError(
        "output",
        `obsm["${name}"] is ${rows} x ${columns} with ${values.length} values, but ${source.path} has ` +
          `${source.nObs} cells.`,
        { key: name },
      );
    }
  }
}

function writeFrame(writer: H5adWriter, path: string, { index, columns = {} }: NewFrame): void {
  writer.frame(path, index, Object.keys(columns));
  for (const [name, column] of Object.entries(columns)) writer.column(`${path}/${checkKey(name)}`, column);
}

const valuesPerChunk = 1 << 17;

function rowsPerChunk(columns: number): number {
  return Math.max(1, Math.floor(valuesPerChunk / Math.max(1, columns)));
}

async function writeX(
  writer: H5adWriter,
  { X, obs, var: genes }: NewAnnData,
  compression: number,
): Promise<void> {
  const [rows, columns] = [obs.index.length, genes.index.length];
  const check = (part: { rows: number; columns: number }) => {
    if (part.rows === rows && part.columns === columns) return;
    throw new ScPoliError(
      "output",
      `X is ${part.rows} x ${part.columns}, but its names give ${rows} x ${columns}.`,
    );
  };
  if (X === null) return;
  if ("columns" in X && !("indptr" in X)) {
    check(X);
    return writer.matrix("/X", X, compression > 0 ? { chunk: rowsPerChunk(columns), compression } : {});
  }
  writer.group("/X", "csr_matrix", "0.1.0");
  writer.attribute("/X", "shape", BigInt64Array.of(BigInt(rows), BigInt(columns)));
  const indptr = [new Float64Array(1)];
  let indices: Growing | null = null;
  let values: Growing | null = null;
  let stored = 0;
  let written = 0;
  for await (const block of "indptr" in X ? [X] : X) {
    check({ rows, columns: block.columns });
    indices ??= new Growing(writer, "/X/indices", block.indices, compression);
    values ??= new Growing(writer, "/X/data", block.values, compression);
    indices.append(block.indices);
    values.append(block.values);
    indptr.push(Float64Array.from(block.indptr.subarray(1), (position) => stored + position));
    stored += block.indices.length;
    written += block.rows;
  }
  check({ rows: written, columns });
  (indices ?? new Growing(writer, "/X/indices", new Int32Array(0), compression)).flush();
  (values ?? new Growing(writer, "/X/data", new Float32Array(0), compression)).flush();
  const pointers = new Float64Array(rows + 1);
  indptr.reduce((at, part) => (pointers.set(part, at), at + part.length), 0);
  writer.array(
    "/X/indptr",
    stored < 2 ** 31 ? Int32Array.from(pointers) : BigInt64Array.from(pointers, BigInt),
    [rows + 1],
  );
}

async function writeDense(
  writer: H5adWriter,
  { dense, obs, var: genes }: NewAnnData,
  compression: number,
): Promise<void> {
  const columns = genes.index.length;
  const written = new Map<string, number>();
  for await (const block of dense!) {
    for (const [name, matrix] of Object.entries(block)) {
      if (matrix.columns !== columns)
        throw new ScPoliError(
          "output",
          `${name} has ${matrix.columns} columns, but there are ${columns} genes.`,
        );
      if (!written.has(name))
        writer.growingMatrix(`/${name}`, columns, { chunk: rowsPerChunk(columns), compression });
      writer.appendRows(`/${name}`, matrix);
      written.set(name, (written.get(name) ?? 0) + matrix.rows);
    }
  }
  for (const [name, rows] of written)
    if (rows !== obs.index.length)
      throw new ScPoliError("output", `${name} has ${rows} rows, but there are ${obs.index.length} cells.`);
}

/** A dataset that grows by whole chunks: a chunk written in two parts would be compressed twice. */
class Growing {
  private readonly buffer: NumericArray;
  private filled = 0;

  constructor(
    private readonly writer: H5adWriter,
    private readonly path: string,
    like: NumericArray,
    compression: number,
  ) {
    writer.growing(path, like, { chunk: valuesPerChunk, compression });
    writer.encode(path, "array", "0.2.0");
    this.buffer = new (like.constructor as new (length: number) => NumericArray)(8 * valuesPerChunk);
  }

  append(values: NumericArray): void {
    for (let at = 0; at < values.length;) {
      const part = values.subarray(at, at + this.buffer.length - this.filled);
      this.buffer.set(part, this.filled);
      this.filled += part.length;
      at += part.length;
      if (this.filled === this.buffer.length) this.flush();
    }
  }

  flush(): void {
    if (this.filled > 0) this.writer.append(this.path, this.buffer.subarray(0, this.filled));
    this.filled = 0;
  }
}
