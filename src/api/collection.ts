// Writes a sharded AnnData-Zarr 3 store in two passes: rows into buckets of the output's order, then buckets
// into shards. An interrupted conversion resumes from its last checkpoint.
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
import type { AnnData } from "../anndata/anndata.js";
import { Buckets } from "../anndata/buckets.js";
import type { NumericArray } from "../anndata/matrix.js";
import { ShardWriter, shardSizes } from "../anndata/shards.js";
import { checkZarrOutput } from "../anndata/zarr-copy.js";
import { toJson, ZarrWriter } from "../anndata/zarr-write.js";
import { ScPoliError } from "../contract/errors.js";
import { checkNumber, type ConvertOptions } from "../contract/options.js";
import type { CountsPlace } from "../data/count-places.js";
import { Random } from "../numerics/random.js";
import { fingerprint } from "../storage/fingerprint.js";
import { readAnnotations } from "./annotations.js";
import { checkedBlocks } from "./checked-blocks.js";

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

/** An array of the smallest type for whole numbers from 0 to `most`. */
function smallestType(most: number): Uint8Array | Uint16Array | Uint32Array {
  return most < 256 ? new Uint8Array(0) : most < 65536 ? new Uint16Array(0) : new Uint32Array(0);
}

/** "uint8" */
function typeName(array: NumericArray): string {
  return array.constructor.name.replace("Array", "").toLowerCase();
}

/** A collection that is being written. */
export class Collection {
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
    const [values, indices] = [smallestType(most), smallestType(this.genes - 1)];
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
    await this.writeRowStarts(starts);
    return { values: typeName(values), indices: typeName(indices) };
  }

  private async writeRowStarts(starts: Float64Array): Promise<void> {
    const writer = new ZarrWriter(this.store, 3);
    writer.group("X", "csr_matrix", "0.1.0");
    writer.attribute("X", "shape", [this.rows, this.genes]);
    writer.array("X/indptr", BigInt64Array.from(starts, BigInt));
    await writer.flush();
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

  /** The state of an interrupted run to resume, or a new one with an empty working folder. */
  private async load(): Promise<State> {
    const { options, work } = this;
    const owner = await this.fingerprint();
    if (options.resume && (await fileStatus(joinPath(work, "state.json")))) return this.resume(owner);
    if (options.resume)
      options.onNote?.({
        level: "warning",
        message: `There is nothing to resume (${work}); the conversion starts from the beginning.`,
      });
    else if (await fileStatus(work))
      options.onNote?.({ level: "warning", message: `${work}, left from an interrupted run, is replaced.` });
    await checkLeftOver(work);
    await removeFile(work);
    await makeFolder(work);
    return {
      owner,
      row: 0,
      most: 0,
      bytes: Array.from({ length: Math.ceil(this.rows / this.rowsPerBucket) }, () => 0),
    };
  }

  private fingerprint(): Promise<string> {
    const { options, rows, genes, place } = this;
    return fingerprint({
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
  }

  private async resume(owner: string): Promise<State> {
    const { work } = this;
    const state = JSON.parse(new TextDecoder().decode(await readFile(joinPath(work, "state.json")))) as State;
    if (state.owner !== owner)
      throw new ScPoliError(
        "refused",
        `${work} was left by a run on other data or with other options. ` +
          "Repeat the interrupted command, or convert again without resuming.",
        { path: work },
      );
    this.lengths = new Uint32Array(
      Uint8Array.from(await readFile(joinPath(work, `lengths-${state.row}`))).buffer,
    );
    this.options.onNote?.({
      level: "info",
      message: `Resuming from ${work}: ${state.row} of ${this.rows} cells are sorted.`,
    });
    return state;
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
