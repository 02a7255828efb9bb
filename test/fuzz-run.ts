// One process of a fuzz run: reads damaged copies of files and prints a line for each. See fuzz.ts.
//
// usage: fuzz-run.ts FOLDER SEED FROM TO SOURCE...
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { AnnData } from "../dist/anndata/anndata.js";
import type { Column, DataFrame } from "../dist/anndata/dataframe.js";
import { blocks, type Matrix } from "../dist/anndata/matrix.js";
import { writeCopy } from "../dist/anndata/write.js";
import { ScPoliError } from "../dist/contract/errors.js";
import { inspect } from "../dist/api/inspect.js";
import { Random } from "../dist/numerics/random.js";
import { Damageable } from "./damage.ts";

const [folder, seed, from, to, ...paths] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  ...string[],
];
/** Processor time that one file may take: longer is a hang. */
const mostCpuSeconds = 60;

/**
 * What is in an answer, in one number: two readings of one file must agree, or memory of something else has
 * been handed out.
 */
class Digest {
  #hash = 0;
  readonly #scratch = new DataView(new ArrayBuffer(8));
  number(value: number): void {
    this.#scratch.setFloat64(0, Number.isNaN(value) ? 1e300 : value);
    this.#hash =
      Math.imul(this.#hash ^ this.#scratch.getInt32(0), 0x01000193) ^
      Math.imul(this.#scratch.getInt32(4), 0x85ebca6b);
  }
  text(value: string | null): void {
    for (let i = 0; i < (value?.length ?? 0); i++)
      this.#hash = Math.imul(this.#hash ^ value!.charCodeAt(i), 0x01000193);
    this.number(value === null ? -1 : value.length);
  }
  get value(): number {
    return this.#hash;
  }
}

class Nonsense extends Error {}
function must(holds: boolean, what: string): void {
  if (!holds) throw new Nonsense(what);
}

/** What may fail by itself: the error is a part of the answer. */
async function tryTo(digest: Digest, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof ScPoliError)) throw error;
    must(
      error.message.length > 10 && !error.message.includes("undefined"),
      `an error without words: ${error.message}`,
    );
    digest.text(error.kind);
  }
}

function checkColumn(column: Column, rows: number, digest: Digest): void {
  must(column.length === rows, `a column of ${column.length} for ${rows} rows`);
  if (column.kind === "categorical") {
    must(
      column.codes.length === rows &&
        column.codes.every((code) => code >= -1 && code < column.categories.length),
      "codes beyond the categories",
    );
    column.codes.forEach((code) => digest.number(code));
    column.categories.forEach((name) => digest.text(name));
  } else {
    must(column.values.length === rows, "a column whose values are fewer or more");
    for (const value of column.values)
      if (typeof value === "string" || value === null) digest.text(value);
      else digest.number(Number(value));
  }
}

async function checkFrame(frame: DataFrame, digest: Digest): Promise<void> {
  await tryTo(digest, async () => {
    const index = await frame.index();
    must(
      index.length === frame.length && index.every((name) => typeof name === "string"),
      "names that are none",
    );
    index.forEach((name) => digest.text(name));
  });
  for (const name of frame.columnNames)
    await tryTo(digest, async () => checkColumn(await frame.column(name), frame.length, digest));
}

async function checkMatrix(
  matrix: Matrix | null,
  rows: number,
  columns: number,
  digest: Digest,
): Promise<void> {
  if (matrix === null) return;
  must(matrix.rows === rows && matrix.columns === columns, "a matrix of another shape");
  for await (const { block } of blocks(matrix, 17)) {
    const { indptr, indices, values } = block;
    must(
      indptr.length === block.rows + 1 &&
        indptr[0] === 0 &&
        indices.length >= indptr[block.rows]! &&
        values.length >= indptr[block.rows]!,
      "a block that does not fit",
    );
    for (let row = 0; row < block.rows; row++) {
      let previous = -1;
      for (let k = indptr[row]!; k < indptr[row + 1]!; k++) {
        must(indices[k]! > previous && indices[k]! < columns && values[k] !== 0, "an index out of place");
        previous = indices[k]!;
        digest.number(previous);
        digest.number(values[k]!);
      }
    }
  }
}

/** Of MuData, one modality is read. */
function open(path: string): Promise<AnnData> {
  return AnnData.open(path.endsWith(".h5mu") ? join(path, "rna") : path);
}

async function readAll(path: string): Promise<number> {
  const digest = new Digest();
  await tryTo(digest, async () => {
    const data = await open(path);
    try {
      await checkFrame(data.obs, digest);
      await checkFrame(data.var, digest);
      await tryTo(digest, () => checkMatrix(data.X, data.nObs, data.nVars, digest));
      await tryTo(digest, async () => {
        const { raw } = data;
        if (!raw) return;
        await checkFrame(raw.var, digest);
        await checkMatrix(raw.X, data.nObs, raw.var.length, digest);
      });
      for (const layer of data.layers)
        await tryTo(digest, () => checkMatrix(data.layer(layer), data.nObs, data.nVars, digest));
      for (const key of data.obsmKeys) {
        await tryTo(digest, async () => {
          const { rows, columns, values } = await data.obsm(key);
          must(rows === data.nObs && values.length === rows * columns, "positions of another shape");
          values.forEach((value) => digest.number(value));
        });
      }
      for (const key of data.unsKeys)
        await tryTo(digest, async () => digest.text(JSON.stringify((await data.uns(key)) ?? null)));
      await tryTo(digest, async () => digest.text(JSON.stringify(await inspect(data))));
    } finally {
      data.close();
    }
  });
  return digest.value;
}

async function copy(path: string): Promise<void> {
  const output = `${path}.copy`;
  await tryTo(new Digest(), async () => {
    const data = await open(path);
    try {
      if (data.nObs < 1e6)
        await writeCopy(
          data,
          output,
          { obs: { added: { kind: "number", values: new Float32Array(data.nObs) } } },
          { force: true },
        );
    } finally {
      data.close();
      rmSync(output, { recursive: true, force: true });
    }
  });
}

const now = new Float64Array(new SharedArrayBuffer(8));
const cpu = (): number => process.cpuUsage().user / 1e6;
new Worker(
  `const { workerData } = require("node:worker_threads");
  setInterval(() => {
    if (process.cpuUsage().user / 1e6 - workerData.now[0] > ${mostCpuSeconds})
      process.kill(process.pid, "SIGKILL");
  }, 500);`,
  { eval: true, workerData: { now } },
).unref();

const place = join(folder, `from ${from}`);
const sources = paths.map((path, i) => {
  mkdirSync(join(place, String(i)), { recursive: true });
  return new Damageable(path, join(place, String(i)));
});
for (let number = Number(from); number < Number(to); number++) {
  now[0] = cpu();
  const random = new Random(Number(seed), `file ${number}`);
  const source = sources[random.below(sources.length)]!;
  process.stdout.write(`${number} `);
  source.damage(random);
  try {
    const [first, second] = [await readAll(source.copy), await readAll(source.copy)];
    await copy(source.copy);
    process.stdout.write(first === second ? "fine\n" : "WRONG two readings differ\n");
  } catch (error) {
    process.stdout.write(
      `WRONG ${String(error instanceof Error ? error.stack : error)
        .replaceAll("\n", " | ")
        .slice(0, 1500)}\n`,
    );
  }
}
rmSync(place, { recursive: true });
process.exit(0);
