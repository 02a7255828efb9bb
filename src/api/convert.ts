// Converts raw counts and annotations of any readable file into a collection: a sharded AnnData-Zarr 3 store
// with
// its rows shuffled once and the smallest types that fit, so that sequential reads give mixed minibatches. Or
// into an .h5ad file, in the original order. Memory grows only with the annotations. An interrupted
// conversion
// resumes from its last checkpoint. Source: the idea of annbatch (scverse).
import {
  fileStatus,
  joinPath,
  listFolder,
  makeFolder,
  readFile,
  removeFile,
  replaceFolder,
  writePart,
} from "#platform";
import { provideWorkThreads } from "#threads";
import type { AnnData } from "../anndata/anndata.js";
import type { Column, DataFrame } from "../anndata/dataframe.js";
import { checkKey, type NewColumn, type NewUns } from "../anndata/elements.js";
import { blocks, rowsPerBlock, type DenseMatrix, type NumericArray } from "../anndata/matrix.js";
import { checkOutputFile } from "../anndata/output-file.js";
import { ShardWriter, shardSizes } from "../anndata/shards.js";
import { writeH5ad, type NewFrame } from "../anndata/write.js";
import { checkZarrOutput } from "../anndata/zarr-copy.js";
import { toJson, ZarrWriter } from "../anndata/zarr-write.js";
import { Buckets } from "../anndata/buckets.js";
import { checkNumber, type ConvertOptions } from "../contract/options.js";
import { countsFrom, findCounts, type CountsPlace } from "../data/count-places.js";
import { badValue } from "../data/counts.js";
import { problemOf } from "../data/place-look.js";
import { ScPoliError } from "../contract/errors.js";
import { checkOptionNames, convertOptionNames, runSettingNames } from "../contract/option-names.js";
import { Random } from "../numerics/random.js";
import { fingerprint } from "../storage/fingerprint.js";

provideWorkThreads();

/** Summary of a conversion. */
export interface Conversion {
  /** Number of cells */
  readonly cells: number;
  /** Number of genes */
  readonly genes: number;
  /** number of non-zero counts */
  readonly stored: number;
  /** location of the counts in the source */
  readonly counts: string;
  /** Whether the cells were put in random order */
  readonly shuffled: boolean;
  /** types of the stored counts and gene indices; null for an .h5ad file, where they are unchanged */
  readonly types: { readonly values: string; readonly indices: string } | null;
}

/** Approximate bytes of a bucket. */
const bucketBytes = 48 << 20;

/**
 * Writes the counts and annotations of a file to `output`: an .h5ad file if the name ends so, else a Zarr
 * collection.
 * @throws ScPoliError "counts" if there are none, "output", "refused" if `output` exists and `force` is not
 * set, "interrupted" (continue with `resume`)
 */
export async function convert(
  data: AnnData,
  output: string,
  options: ConvertOptions = {},
): Promise<Conversion> {
  checkOptionNames("convert", options, { ...runSettingNames, ...convertOptionNames });
  if (output.endsWith(".h5ad")) await checkOutputFile(output, "h5ad", options.force ?? false);
  const place = await findCounts(data, options.layer, {
    ...options,
    orAllFeatures: true,
    note: options.onNote,
  });
  for (const message of data.notes) options.onNote?.({ level: "info", message });
  options.onNote?.({ level: "info", message: `${countsFrom(place)}.` });
  return output.endsWith(".h5ad")
    ? toH5ad(data, place, output, options)
    : new Collection(data, place, output, options).write();
}

/** Annotations without the counts, for all rows or in a given order. */
export interface Annotations {
  readonly obs: NewFrame;
  readonly var: NewFrame;
  readonly obsm: Readonly<Record<string, DenseMatrix>>;
  readonly uns: Readonly<Record<string, NewUns>>;
}

/** @param order - source row of each row; null: unchanged */
export async function readAnnotations(
  data: AnnData,
  place: CountsPlace,
  order: Int32Array | null,
  { onNote }: Pick<ConvertOptions, "onNote">,
): Promise<Annotations> {
  const left: string[] = [];
  const tolerate = async (what: string, read: () => Promise<void>): Promise<void> => {
    try {
      await read();
    } catch (error) {
      if (!(error instanceof ScPoliError)) throw error;
      left.push(what);
    }
  };
  const frame = async (name: string, from: DataFrame, rows: Int32Array | null): Promise<NewFrame> => {
    const index = await from.index();
    const columns: Record<string, NewColumn> = {};
    for (const key of from.columnNames)
      await tolerate(
        `${name}["${key}"]`,
        async () => void (columns[checkKey(key)] = reordered(await from.column(key), rows)),
      );
    return { index: rows ? Array.from(rows, (row) => index[row]!) : index, columns };
  };
  const annotations = {
    obs: await frame("obs", data.obs, order),
    var: await frame("var", place.var, null),
    obsm: {} as Record<string, DenseMatrix>,
    uns: {} as Record<string, NewUns>,
  };
  for (const key of data.obsmKeys)
    await tolerate(
      `obsm["${key}"]`,
      async () => void (annotations.obsm[key] = reorderedRows(await data.obsm(key), order)),
    );
  for (const key of data.unsKeys) {
    await tolerate(`uns["${key}"]`, async () => {
      const value = await data.uns(key);
      if (value === undefined) left.push(`uns["${key}"]`);
      else annotations.uns[key] = value as NewUns;
    });
  }
  const places = ["X", "raw.X", ...data.layers.map((layer) => `layers/${layer}`)].filter(
    (name) => name !== place.name && isThere(data, name),
  );
  left.push(...places);
  if (left.length > 0)
    onNote?.({
      level: "info",
      message:
        `Left out: ${left.slice(0, 10).join(", ")}` +
        (left.length > 10 ? ` and ${left.length - 10} more.` : "."),
    });
  return annotations;
}

/** Whether there is a matrix at this location; an unreadable one counts. */
function isThere(data: AnnData, name: string): boolean {
  try {
    return data.matrix(name) !== null;
  } catch (error) {
    if (error instanceof ScPoliError) return true;
    throw error;
  }
}

function reordered(column: Column, order: Int32Array | null): NewColumn {
  const row = (i: number): number => (order ? order[i]! : i);
  const length = order?.length ?? column.length;
  switch (column.kind) {
    case "categorical":
      return { ...column, codes: Int32Array.from({ length }, (_, i) => column.codes[row(i)]!) };
    case "number": {
      const type = integerTypes[column.dtype ?? ""];
      const values = Float64Array.from({ length }, (_, i) => column.values[row(i)]!);
      if (column.dtype === "float32") return { kind: "number", values: Float32Array.from(values) };
      return {
        kind: "number",
        values:
          type &&
          values.every((value) => (type === Uint32Array ? Number.isInteger(value) : value === (value | 0)))
            ? type.from(values)
            : values,
      };
    }
    case "boolean":
      return { kind: "boolean", length, values: Array.from({ length }, (_, i) => column.values[row(i)]!) };
    case "string":
      return { kind: "string", length, values: Array.from({ length }, (_, i) => column.values[row(i)]!) };
  }
}

/** Converts 64-bit integers to 32 bits if they fit. */
const integerTypes: Readonly<Record<string, { from(values: Float64Array): NumericArray } | undefined>> = {
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: Int32Array,
  uint64: Int32Array,
};

function reorderedRows({ rows, columns, values }: DenseMatrix, order: Int32Array | null): DenseMatrix {
  if (!order) return { rows, columns, values };
  const moved = values.slice(0, order.length * columns);
  order.forEach((row, i) => moved.set(values.subarray(row * columns, (row + 1) * columns), i * columns));
  return { rows: order.length, columns, values: moved };
}

async function toH5ad(
  data: AnnData,
  place: CountsPlace,
  output: string,
  options: ConvertOptions,
): Promise<Conversion> {
  if (options.shuffle)
    throw new ScPoliError(
      "usage",
      "--shuffle writes Zarr collections only. Use an output name that ends with .zarr.",
    );
  let stored = 0;
  const X = async function* () {
    for await (const { start, block } of checkedBlocks(place, 0, options)) {
      stored += block.values.length;
      yield block;
      options.onProgress?.({ stage: "writing", done: start + block.rows, total: place.matrix.rows });
    }
  };
  await writeH5ad(
    output,
    { ...(await readAnnotations(data, place, null, options)), X: X() },
    { compression: 1, force: options.force },
  );
  return {
    cells: place.matrix.rows,
    genes: place.matrix.columns,
    stored,
    counts: place.name,
    shuffled: false,
    types: null,
  };
}

/** Blocks from a row on, with every value checked to be a count. */
async function* checkedBlocks(place: CountsPlace, first: number, { signal }: ConvertOptions) {
  const { matrix } = place;
  const rows = rowsPerBlock(matrix);
  const source = first === 0 ? blocks(matrix, rows) : rest(place, first, rows);
  for await (const { start, block } of source) {
    await new Promise((resolve) => setTimeout(resolve, 0)); // let signals be handled
    if (signal?.aborted) throw new ScPoliError("interrupted", "Stopped while reading counts.");
    for (let k = 0; k < block.values.length; k++)
      if (problemOf(block.values[k]!) !== null) throw await badValue(place, start, block);
    yield { start, block };
  }
}

async function* rest({ matrix }: CountsPlace, first: number, rows: number) {
  for (let start = first; start < matrix.rows; start += rows)
    yield { start, block: await matrix.read(start, Math.min(matrix.rows, start + rows)) };
}

/**
 * Checks the working folder of a new conversion, which is emptied: it may only hold leftovers of a
 * conversion.
 * @throws ScPoliError "output" if anything else is there
 */
async function checkLeftOver(path: string): Promise<void> {
  const status = await fileStatus(path);
  if (status === null) return;
  const isOurs = /^(state\.json|lengths-\d+|bucket-\d+|store)(\.part)?$/;
  if (status.kind === "folder" && (await listFolder(path)).every((name) => isOurs.test(name))) return;
  throw new ScPoliError(
    "output",
    `${path} is needed for the conversion, but already exists and is not left from one, so it is not ` +
      "replaced. Move it, or choose another name.",
    { path },
  );
}

/** State of a conversion; the number of values of each row is stored separately. */
interface State {
  readonly owner: string;
  /** next row to read */
  row: number;
  /** largest count */
  most: number;
  readonly bytes: number[];
}

class Collection {
  private readonly work: string;
  private readonly store: string;
  private readonly rows: number;
  private readonly genes: number;
  /** source row of each output row */
  private readonly order: Int32Array | null;
  private readonly rowsPerBucket: number;
  private lengths: Uint32Array;

  constructor(
    private readonly data: AnnData,
    private readonly place: CountsPlace,
    private readonly output: string,
    private readonly options: ConvertOptions,
  ) {
    const { matrix } = place;
    this.work = `${output.replace(/[\\/]+$/, "")}.partial`;
    this.store = joinPath(this.work, "store");
    [this.rows, this.genes] = [matrix.rows, matrix.columns];
    this.order = options.shuffle
      ? new Random(options.seed ?? 0, "convert").shuffle(
          Int32Array.from({ length: this.rows }, (_, row) => row),
        )
      : null;
    const bytes = 12 * this.rows + 4 * matrix.stored;
    this.rowsPerBucket = Math.max(
      1,
      Math.ceil(this.rows / Math.max(1, Math.ceil(bytes / (options.bucketBytes ?? bucketBytes)))),
    );
    this.lengths = new Uint32Array(this.rows);
  }

  async write(): Promise<Conversion> {
    await checkZarrOutput(this.output, this.options.force ?? false);
    const state = await this.load();
    try {
      const buckets = new Buckets(this.work, this.rowsPerBucket, this.genes > 65536, state.bytes);
      await buckets.restore();
      await this.sort(buckets, state);
      const types = await this.writeX(buckets, state.most);
      await this.writeAnnotations();
      const stored = this.lengths.reduce((sum, length) => sum + length, 0);
      replaceFolder(this.store, this.output);
      await removeFile(this.work);
      return {
        cells: this.rows,
        genes: this.genes,
        stored,
        counts: this.place.name,
        shuffled: this.order !== null,
        types,
      };
    } catch (error) {
      if (!(error instanceof ScPoliError) || error.kind !== "interrupted") await removeFile(this.work);
      throw error;
    }
  }

  /** Pass 1: writes every row into its bucket. */
  private async sort(buckets: Buckets, state: State): Promise<void> {
    const places = this.order && new Int32Array(this.rows);
    this.order?.forEach((row, i) => (places![row] = i));
    const everyMs = 1000 * checkNumber("checkpointSeconds", this.options.checkpointSeconds ?? 60, 0);
    let saved = performance.now();
    for await (const { start, block } of checkedBlocks(this.place, state.row, this.options)) {
      const rowsInOrder = Int32Array.from({ length: block.rows }, (_, i) =>
        places ? places[start + i]! : start + i,
      );
      for (let row = 0; row < block.rows; row++)
        this.lengths[rowsInOrder[row]!] = block.indptr[row + 1]! - block.indptr[row]!;
      for (const value of block.values) if (value > state.most) state.most = value;
      if (state.most >= 2 ** 32)
        throw new ScPoliError(
          "format",
          `${this.place.matrix.place} has a count of ${state.most}, which 32 bits cannot hold.`,
        );
      await buckets.append(block, rowsInOrder);
      state.row = start + block.rows;
      if (performance.now() - saved >= everyMs || state.row === this.rows) {
        await buckets.flush();
        await this.save(state);
        saved = performance.now();
      }
      this.options.onProgress?.({ stage: "sorting", done: state.row, total: this.rows });
    }
  }

  /** Pass 2: writes bucket by bucket into shards; existing shards are complete. */
  private async writeX(
    buckets: Buckets,
    most: number,
  ): Promise<{ readonly values: string; readonly indices: string }> {
    const sizes = this.options.shardSizes ?? shardSizes;
    const starts = new Float64Array(this.rows + 1);
    for (let i = 0; i < this.rows; i++) starts[i + 1] = starts[i]! + this.lengths[i]!;
    const total = starts[this.rows]!;
    const values = most < 256 ? new Uint8Array(0) : most < 65536 ? new Uint16Array(0) : new Uint32Array(0);
    const indices =
      this.genes <= 256 ? new Uint8Array(0) : this.genes <= 65536 ? new Uint16Array(0) : new Uint32Array(0);
    const folder = joinPath(this.store, "X");
    let shard = 0;
    const isThere = async (name: string): Promise<boolean> =>
      (await fileStatus(joinPath(folder, name, "c", String(shard)))) !== null;
    while ((await isThere("data")) && (await isThere("indices"))) shard++;
    const first = shard * sizes.shard;
    const writers = [
      new ShardWriter(joinPath(folder, "data"), values, sizes, shard),
      new ShardWriter(joinPath(folder, "indices"), indices, sizes, shard),
    ] as const;
    for (let bucket = 0, row = 0; row < this.rows; bucket++, row += this.rowsPerBucket) {
      const rowStarts = starts.subarray(row, Math.min(this.rows, row + this.rowsPerBucket) + 1);
      if (rowStarts[rowStarts.length - 1]! <= first) continue;
      if (this.options.signal?.aborted)
        throw new ScPoliError("interrupted", "Stopped while writing the collection.");
      const ordered = await buckets.read(bucket, rowStarts);
      const skipped = Math.max(0, first - rowStarts[0]!);
      await writers[0].append(ordered.values.subarray(skipped));
      await writers[1].append(ordered.indices.subarray(skipped));
      this.options.onProgress?.({ stage: "writing", done: row + rowStarts.length - 1, total: this.rows });
    }
    for (const writer of writers) await writer.close(total);
    const writer = new ZarrWriter(this.store, 3);
    writer.group("X", "csr_matrix", "0.1.0");
    writer.attribute("X", "shape", [this.rows, this.genes]);
    writer.array("X/indptr", BigInt64Array.from(starts, BigInt));
    await writer.flush();
    const typeName = (array: NumericArray): string =>
      array.constructor.name.replace("Array", "").toLowerCase();
    return { values: typeName(values), indices: typeName(indices) };
  }

  private async writeAnnotations(): Promise<void> {
    const {
      obs,
      var: genes,
      obsm,
      uns,
    } = await readAnnotations(this.data, this.place, this.order, this.options);
    const writer = new ZarrWriter(this.store, 3);
    writer.group("", "anndata", "0.1.0");
    for (const [path, { index, columns = {} }] of Object.entries({ obs, var: genes })) {
      writer.frame(path, index, Object.keys(columns));
      for (const [name, column] of Object.entries(columns)) writer.column(`${path}/${name}`, column);
    }
    for (const group of ["layers", "obsm", "obsp", "uns", "varm", "varp"])
      writer.group(group, "dict", "0.1.0");
    for (const [name, matrix] of Object.entries(obsm)) writer.matrix(`obsm/${name}`, matrix);
    for (const [name, value] of Object.entries(uns)) writer.uns(`uns/${name}`, value);
    await writer.close(true);
  }

  private async load(): Promise<State> {
    const { options, rows, genes, place } = this;
    const owner = await fingerprint({
      rows,
      genes,
      place: place.name,
      features: place.featureTypes ?? null,
      made: place.recoveredFrom ?? place.matrix.isDerived ?? null,
      stored: place.matrix.stored,
      shuffle: options.shuffle ?? false,
      seed: options.seed ?? 0,
      rowsPerBucket: this.rowsPerBucket,
      sizes: options.shardSizes ?? shardSizes,
    });
    const path = joinPath(this.work, "state.json");
    if (options.resume && (await fileStatus(path))) {
      const state = JSON.parse(new TextDecoder().decode(await readFile(path))) as State;
      if (state.owner !== owner)
        throw new ScPoliError(
          "refused",
          `${this.work} was left by a run on other data or with other options. ` +
            "Repeat the interrupted command, or convert again without resuming.",
          { path: this.work },
        );
      this.lengths = new Uint32Array(
        Uint8Array.from(await readFile(joinPath(this.work, `lengths-${state.row}`))).buffer,
      );
      options.onNote?.({
        level: "info",
        message: `Resuming from ${this.work}: ${state.row} of ${rows} cells are sorted.`,
      });
      return state;
    }
    if (options.resume)
      options.onNote?.({
        level: "warning",
        message: `There is nothing to resume (${this.work}); the conversion starts from the beginning.`,
      });
    else if (await fileStatus(this.work))
      options.onNote?.({
        level: "warning",
        message: `${this.work}, left from an interrupted run, is replaced.`,
      });
    await checkLeftOver(this.work);
    await removeFile(this.work);
    await makeFolder(this.work);
    return {
      owner,
      row: 0,
      most: 0,
      bytes: Array.from({ length: Math.ceil(rows / this.rowsPerBucket) }, () => 0),
    };
  }

  /** Saves the lengths first, under a new name that the state then refers to. */
  private async save(state: State): Promise<void> {
    const before = this.savedRow;
    await writePart(joinPath(this.work, `lengths-${state.row}`), new Uint8Array(this.lengths.buffer));
    await writePart(joinPath(this.work, "state.json"), toJson(state));
    if (before !== null && before !== state.row) await removeFile(joinPath(this.work, `lengths-${before}`));
    this.savedRow = state.row;
  }
  private savedRow: number | null = null;
}
