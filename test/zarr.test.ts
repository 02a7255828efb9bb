// AnnData-Zarr against the real anndata and zarr-python: what they wrote is read value by value, what ours
// wrote they open and compare. And damaged stores, one error each.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { AnnData } from "../dist/anndata/anndata.js";
import { findCounts } from "../dist/data/count-places.js";
import { CountsInMemory, type CountRows } from "../dist/data/count-source.js";
import { loadCounts } from "../dist/data/counts.js";
import type { Minibatch } from "../dist/engine/engine.js";
import { openStreamedCounts } from "../dist/data/streamed-counts.js";
import { writeCopy, writeH5ad, type Additions } from "../dist/anndata/write.js";
import { convert } from "../dist/api/convert.js";
import type { ScPoliError } from "../dist/contract/errors.js";
import { scpoli } from "./command.ts";
import {
  assertContents,
  assertMatrix,
  fails,
  plainColumn,
  type ExpectedContents,
  type ExpectedMatrix,
} from "./compare.ts";
import { runPython } from "./python/environment.ts";
import { simulate } from "./simulate.ts";

const folder = mkdtempSync(join(tmpdir(), "scpoli-zarr-"));
const at = (name: string): string => join(folder, name);
let expected: {
  readonly full: ExpectedContents;
  readonly matrices: Readonly<Record<string, ExpectedMatrix>>;
};

before(() => {
  runPython("zarr_files.py", "make", folder);
  expected = JSON.parse(
    readFileSync(at("expected.json"), "utf8").replaceAll("NaN", "null"),
  ) as typeof expected;
});
after(() => rmSync(folder, { recursive: true, force: true }));

async function withStore<T>(name: string, use: (data: AnnData) => Promise<T> | T): Promise<T> {
  const data = await AnnData.open(at(name));
  try {
    return await use(data);
  } finally {
    data.close();
  }
}

describe("reading what anndata wrote", () => {
  for (const name of [
    "v2.zarr",
    "v3.zarr",
    "not consolidated.zarr",
    "sharded.zarr",
    "v3.zarr.zip",
    "v2.zarr.zip",
  ]) {
    test(`a whole one: ${name}`, () =>
      withStore(name, async (data) => {
        await assertContents(data, expected.full);
        assert.deepEqual(await data.uns("nested"), { deep: { x: 1 }, flags: [true, false] });
        assert.deepEqual(
          await Promise.all(
            ["text", "number", "whole", "flag", "colors", "sparse"].map((key) => data.uns(key)),
          ),
          ["ü", 2.5, 7, true, ["#fff", "#000"], undefined],
        );
      }));
  }

  test("every compression", async () => {
    for (const [name, wanted] of Object.entries(expected.matrices)) {
      await withStore(`${name}.zarr`, async ({ X }) => {
        if (name === "v2 blosclz") await fails(() => X!.read(0, 3), "format", /blosclz/);
        else await assertMatrix(X!, wanted).catch((error: Error) => assert.fail(`${name}: ${error.message}`));
      });
    }
  });

  for (const version of [2, 3]) {
    test(`nullable texts, as names and as categories: version ${version}`, () =>
      withStore(`nullable v${version}.zarr`, async (data) => {
        assert.deepEqual((await data.obs.index()).slice(0, 2), ["cell0", "cell1"]);
        const texts = plainColumn(await data.obs.column("text")) as { kind: string; values?: unknown[] };
        assert.ok(texts.kind === "categorical" || texts.values![0] === null, JSON.stringify(texts));
        assert.deepEqual(plainColumn(await data.obs.column("few")), {
          kind: "categorical",
          codes: Array.from({ length: 40 }, (_, i) => i % 2),
          categories: ["a", "b"],
          ordered: false,
        });
      }));
  }
});

test("counts are streamed from a sharded store, by a thread too, as they are in memory", () =>
  withStore("sharded.zarr", async (data) => {
    const place = await findCounts(data, "counts");
    const { rows, columns } = place.matrix;
    const genes = Int32Array.from({ length: columns }, (_, gene) => gene);
    const cells = Int32Array.from({ length: rows }, (_, cell) => cell);
    const memory = new CountsInMemory(await loadCounts(place, genes, columns));
    for (const leastForThread of [Infinity, 0]) {
      const streamed = await openStreamedCounts(
        place,
        genes,
        columns,
        {},
        { rows: 4, together: 3 },
        leastForThread,
      );
      const order = streamed.shuffled(cells, 0, 0);
      const pass = streamed.pass(order);
      for (let start = 0; start < rows; start += 5) {
        await pass.reach(order.subarray(start, start + 5));
        for (const cell of order.subarray(start, start + 5))
          assert.deepEqual(rowOf(pass, cell, columns), rowOf(memory, cell, columns), `cell ${cell}`);
      }
      await pass.end();
    }
  }));

/** Genes and counts of a cell. */
function rowOf(counts: CountRows, cell: number, genes: number): unknown {
  const row = { indptr: new Int32Array(2), indices: new Int32Array(genes), counts: new Float32Array(genes) };
  counts.fill(row as unknown as Minibatch, Int32Array.of(cell));
  const end = row.indptr[1]!;
  return [row.indices.subarray(0, end), row.counts.subarray(0, end)];
}

describe("stores that cannot be read", () => {
  const damage = (
    name: string,
    source: string,
    file: string,
    change: (bytes: Buffer) => Uint8Array | string,
  ): string => {
    cpSync(at(source), at(name), { recursive: true });
    writeFileSync(at(`${name}/${file}`), change(readFileSync(at(`${name}/${file}`))));
    return name;
  };
  const meta =
    (change: (json: Record<string, unknown>) => object) =>
    (bytes: Buffer): string =>
      JSON.stringify(change(JSON.parse(bytes.toString()) as Record<string, unknown>));
  const readX = (name: string) => withStore(name, (data) => data.X!.read(0, data.nObs));

  const metadataFaults: readonly {
    readonly fault: string;
    readonly source: string;
    readonly file: string;
    readonly change: (bytes: Buffer) => string;
    readonly message: RegExp;
    /** whether opening succeeds, and reading X fails */
    readonly failsOnRead?: boolean;
  }[] = [
    {
      fault: "text that is not JSON",
      source: "v3.zarr",
      file: "X/data/zarr.json",
      change: () => "{",
      message: /X\/data\/zarr\.json is damaged: it is not valid JSON/,
    },
    {
      fault: "a list",
      source: "v3.zarr",
      file: "X/data/zarr.json",
      change: () => "[1]",
      message: /a JSON object was expected/,
    },
    {
      fault: "a negative shape",
      source: "v3.zarr",
      file: "X/data/zarr.json",
      change: meta((json) => ({ ...json, shape: [-3] })),
      message: /X\/data is damaged: its shape is \[-3\]/,
    },
    {
      fault: "a shape that does not match the other arrays",
      source: "v3.zarr",
      file: "X/data/zarr.json",
      change: meta((json) => ({ ...json, shape: [1e15] })),
      message: /"data" has 1000000000000000 entries and "indices"/,
      failsOnRead: true,
    },
    {
      fault: "an unknown codec",
      source: "v3.zarr",
      file: "X/data/zarr.json",
      change: meta((json) => ({ ...json, codecs: [{ name: "bytes" }, { name: "pcodec" }] })),
      message: /X\/data cannot be read: .*pcodec/,
      failsOnRead: true,
    },
    {
      fault: "chunks of no entry",
      source: "v3.zarr",
      file: "X/data/zarr.json",
      change: meta((json) => ({
        ...json,
        chunk_grid: { name: "regular", configuration: { chunk_shape: [0] } },
      })),
      message: /X\/data is damaged: its chunks are \[0\]/,
    },
    {
      fault: "chunks of more dimensions than the array",
      source: "v2.zarr",
      file: "X/data/.zarray",
      change: meta((json) => ({ ...json, chunks: [3, 3] })),
      message: /X\/data is damaged: its chunks/,
    },
    {
      fault: "complex numbers",
      source: "v2.zarr",
      file: "X/data/.zarray",
      change: meta((json) => ({ ...json, dtype: "<c16" })),
      message: /numbers were expected/,
      failsOnRead: true,
    },
    {
      fault: "a missing column of row names",
      source: "v3.zarr",
      file: "obs/zarr.json",
      change: meta((json) => ({ ...json, attributes: { _index: "none" } })),
      message: /no row names/,
    },
  ];
  metadataFaults.forEach(({ fault, source, file, change, message, failsOnRead }, i) =>
    test(`metadata: ${fault}`, async () => {
      const store = damage(`m${i}`, source, file, change);
      const read = (): Promise<unknown> => (failsOnRead ? readX(store) : withStore(store, () => 0));
      await fails(read, "format", message);
    }),
  );

  test("chunks that are truncated, damaged or of another length", async () => {
    const sources = [
      "v2.zarr",
      "v3.zarr",
      "sharded.zarr",
      "blosc zstd.zarr",
      "blosc lz4.zarr",
      "gzip.zarr",
      "v2 lz4.zarr",
    ] as const;
    const fileOf: Readonly<Record<string, string>> = { "v2.zarr": "X/data/0", "v2 lz4.zarr": "X/0.0" };
    let number = 0;
    for (const source of sources) {
      const file = fileOf[source] ?? "X/data/c/0";
      for (const cut of [0, 1, 5, 17, 40])
        await fails(
          () => readX(damage(`c${number++}`, source, file, (bytes) => bytes.subarray(0, cut))),
          "file",
          /X(\/data)? cannot be read: chunk .* is damaged/,
        );
      await fails(
        () => readX(damage(`c${number++}`, source, file, (bytes) => bytes.subarray(0, bytes.length - 9))),
        "file",
        /is damaged/,
      );
    }
    await fails(
      () =>
        readX(
          damage(
            `c${number++}`,
            "v3.zarr",
            "X/data/zarr.json",
            meta((json) => ({
              ...json,
              chunk_grid: { name: "regular", configuration: { chunk_shape: [100] } },
            })),
          ),
        ),
      "file",
      /bytes/,
    );
  });

  test("a folder, a zip file and a store of something else", async () => {
    writeFileSync(at("bad.zip"), Buffer.concat([readFileSync(at("v3.zarr.zip")).subarray(0, 5000)]));
    await fails(() => AnnData.open(at("bad.zip")), "file", /bad\.zip cannot be opened: .*zip/);
    await fails(() => AnnData.open(at("v3.zarr/obs")), "format", /is a Zarr store, but not AnnData/);
    await fails(() => AnnData.open(folder), "file", /is a folder, but neither a Zarr store/);
  });
});

describe("results in a copy", () => {
  const additions: Additions = {
    obs: {
      pred: {
        kind: "categorical",
        codes: Int8Array.from({ length: 40 }, (_, i) => (i % 3) - 1),
        categories: ["α", "b"],
      },
      uncert: { kind: "number", values: Float32Array.from({ length: 40 }, (_, i) => i / 64) },
      unknown: { kind: "boolean", values: Uint8Array.from({ length: 40 }, (_, i) => i % 2) },
      text: { kind: "string", length: 40, values: Array.from({ length: 40 }, (_, i) => `new ${i}`) },
      maybe: {
        kind: "boolean",
        length: 40,
        values: Array.from({ length: 40 }, (_, i) => (i % 4 === 0 ? null : i % 2 === 0)),
      },
    },
    obsm: { X_scpoli: { rows: 40, columns: 3, values: Float32Array.from({ length: 120 }, (_, i) => i / 8) } },
    uns: {
      scpoli: {
        version: "1",
        threshold: 0.5,
        epochs: 3,
        flag: true,
        names: ["a", "ü"],
        none: [],
        deep: { vector: Float64Array.of(1, 2.5) },
      },
    },
  };

  test("everything kept, the version too; opened by anndata", async () => {
    const written: object[] = [];
    for (const source of ["v2.zarr", "v3.zarr", "sharded.zarr", "nullable v3.zarr", "v3.zarr.zip"]) {
      const version = source.startsWith("v2") ? 2 : 3;
      const file = `copy of ${source.replace(".zip", " unzipped.zarr")}`;
      await withStore(source, async (data) => {
        const isTaken = data.obs.columnNames.includes("text");
        if (isTaken)
          await fails(() => writeCopy(data, at(file), additions), "refused", /obs\["text"\].*--force/);
        assert.ok(!existsSync(at(file)), `${file} must not be there`);
        await writeCopy(data, at(file), additions, { force: isTaken });
        await fails(() => writeCopy(data, at(file), additions, { force: false }), "refused");
      });
      const columns: Record<string, unknown> = {};
      await withStore(file, async (data) => {
        for (const name of Object.keys(additions.obs!))
          columns[name] = plainColumn(await data.obs.column(name));
        assert.deepEqual(columns["text"], {
          kind: "string",
          values: Array.from({ length: 40 }, (_, i) => `new ${i}`),
        });
        assert.deepEqual((columns["maybe"] as { values: unknown[] }).values.slice(0, 3), [null, false, true]);
        assert.deepEqual(
          Array.from((await data.obsm("X_scpoli")).values),
          Array.from(additions.obsm!["X_scpoli"]!.values),
        );
        if (source !== "nullable v3.zarr") await assertMatrix(data.raw!.X, expected.full.raw);
      });
      written.push({
        file,
        version,
        obs: columns,
        replaced: ["obs/text"],
        ...(source.endsWith(".zip") ? {} : { source }),
        obsm: {
          X_scpoli: {
            rows: 40,
            columns: 3,
            values: Array.from(additions.obsm!["X_scpoli"]!.values),
            dtype: "float32",
          },
        },
        uns: {
          scpoli: {
            version: "1",
            threshold: 0.5,
            epochs: 3,
            flag: true,
            names: ["a", "ü"],
            none: [],
            deep: { vector: [1, 2.5] },
          },
        },
      });
    }
    writeFileSync(at("written.json"), JSON.stringify(written));
    assert.equal(runPython("zarr_files.py", "check", folder).trim(), "ok");
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.includes(".tmp")),
      [],
    );
  });

  test("wrong names are refused", () =>
    withStore("v3.zarr", async (data) => {
      await fails(
        () => writeCopy(data, at("copy.h5ad"), additions, { force: true }),
        "output",
        /ends with \.zarr/,
      );
      await fails(
        () => writeCopy(data, at("v3.zarr"), additions, { force: true }),
        "output",
        /the input file/,
      );
      await fails(
        () => writeCopy(data, at("expected.json"), additions, { force: true }),
        "output",
        /not an AnnData-Zarr store/,
      );
    }));
});

describe("collections", () => {
  const sizes = { shardSizes: { chunk: 16, shard: 64 }, bucketBytes: 700, checkpointSeconds: 0 };
  const bytesOf = (name: string): Record<string, string> =>
    Object.fromEntries(
      readdirSync(at(name), { recursive: true, encoding: "utf8" })
        .sort()
        .filter((file) => statSync(at(`${name}/${file}`)).isFile())
        .map((file) => [file, readFileSync(at(`${name}/${file}`), "base64")]),
    );

  test("each cell once, with its counts and annotations; opened by anndata", async () => {
    const { full } = expected;
    await withStore("v2.zarr", async (data) => {
      const { types, ...rest } = await convert(data, at("plain.zarr"), { ...sizes, layer: "counts" });
      assert.deepEqual(rest, {
        cells: 40,
        genes: 25,
        stored: full.layers["counts"]!.values.filter((value) => value !== 0).length,
        counts: "layers/counts",
        shuffled: false,
      });
      assert.deepEqual(types, { values: "uint8", indices: "uint8" });
      await convert(data, at("shuffled.zarr"), { ...sizes, layer: "counts", shuffle: true, seed: 3 });
      await convert(data, at("other.zarr"), { layer: "counts", shuffle: true, seed: 4 });
      await convert(data, at("raw.zarr"), { ...sizes, shuffle: true });
      await convert(data, at("plain.h5ad"), { layer: "counts" });
      await fails(() => convert(data, at("no.zarr"), { layer: "X" }), "counts");
      await fails(() => convert(data, at("plain.zarr"), { layer: "counts" }), "refused", /already exists/);
    });
    assert.ok(
      !existsSync(at("plain.zarr.partial")) && !existsSync(at("no.zarr.partial")),
      "nothing is left beside",
    );
    const written: object[] = [];
    for (const [name, matrix] of [
      ["plain.zarr", full.layers["counts"]!],
      ["shuffled.zarr", full.layers["counts"]!],
      ["other.zarr", full.layers["counts"]!],
      ["raw.zarr", full.raw],
      ["plain.h5ad", full.layers["counts"]!],
    ] as const) {
      const names = await withStore(name, (data) => data.obs.index());
      const order = names.map((cell) => full.obsNames.indexOf(cell));
      assert.deepEqual(
        [...order].sort((a, b) => a - b),
        [...full.obsNames.keys()],
        `${name}: each cell once`,
      );
      assert.equal(
        order.every((row, i) => row === i),
        name.startsWith("plain"),
        `${name}: the order`,
      );
      const width = matrix.columns;
      const X = {
        rows: 40,
        columns: width,
        values: order.flatMap((row) => matrix.values.slice(row * width, (row + 1) * width)),
        dtype: name.endsWith("h5ad") ? "float32" : "uint8",
      };
      const obs = Object.fromEntries(
        Object.entries(full.obs).map(([key, { codes, values, ...column }]) => {
          const moved = (list: unknown): unknown =>
            (list as unknown[] | undefined) && order.map((row) => (list as unknown[])[row]);
          return [key, { ...column, ...(codes ? { codes: moved(codes) } : { values: moved(values) }) }];
        }),
      );
      await withStore(name, async (data) => {
        await assertMatrix(data.X!, X);
        for (const [key, column] of Object.entries(obs))
          assert.deepEqual(plainColumn(await data.obs.column(key)), column, `${name} ${key}`);
      });
      // texts with missing values come as categories
      const { "nullable string": _, float32: __, float64: ___, "nullable integer": ____, ...checked } = obs;
      written.push({
        file: name,
        X,
        obs: checked,
        obsNames: names,
        varNames: name.startsWith("raw") ? full.rawNames : full.varNames,
      });
    }
    writeFileSync(at("written.json"), JSON.stringify(written));
    assert.equal(runPython("zarr_files.py", "check", folder).trim(), "ok");
  });

  test("interrupted anywhere and resumed: the same bytes", async () => {
    const whole = bytesOf("shuffled.zarr");
    for (let stop = 1; stop < 12; stop += 2) {
      await withStore("v2.zarr", async (data) => {
        const options = { ...sizes, layer: "counts", shuffle: true, seed: 3 };
        const abort = new AbortController();
        let events = 0;
        const onProgress = (): void => void (++events === stop && abort.abort());
        const stopped = await convert(data, at(`again ${stop}.zarr`), {
          ...options,
          onProgress,
          signal: abort.signal,
        }).then(
          () => false,
          (error: ScPoliError) => error.kind === "interrupted",
        );
        assert.equal(stopped, !existsSync(at(`again ${stop}.zarr`)), "the final name is that of a whole one");
        if (!stopped) return;
        await fails(
          () => convert(data, at(`again ${stop}.zarr`), { ...options, seed: 5, resume: true }),
          "refused",
          /other options/,
        );
        await convert(data, at(`again ${stop}.zarr`), { ...options, resume: true });
      });
      assert.deepEqual(bytesOf(`again ${stop}.zarr`), whole, `stopped at event ${stop}`);
    }
  });

  test("killed at random moments and resumed: the same bytes", async () => {
    await writeH5ad(at("large.h5ad"), simulate({ cells: 3000, genes: 300 }).data);
    const args = (output: string): string[] => [
      "convert",
      at("large.h5ad"),
      at(output),
      "--shuffle",
      "--checkpoint-seconds",
      "0",
      "--quiet",
    ];
    const started = performance.now();
    assert.equal((await scpoli(args("undisturbed.zarr"))).code, 0);
    const seconds = performance.now() - started;
    let outcome: number | null = null;
    // later and later, so that it ends on any machine; a process may be killed after the last rename too
    for (let attempt = 0; outcome !== 0 && !existsSync(at("killed.zarr")); attempt++)
      outcome = await killedAfter(
        [...args("killed.zarr"), "--resume"],
        seconds * (0.3 + Math.random() * 0.7 + 0.2 * attempt),
      );
    assert.deepEqual(
      bytesOf("killed.zarr"),
      bytesOf("undisturbed.zarr"),
      "the final name is that of a whole one",
    );
    if (outcome === 0)
      assert.deepEqual(
        readdirSync(folder).filter((name) => name.startsWith("killed")),
        ["killed.zarr"],
      );
  });
});

/** @returns the exit code, null where the process was killed */
function killedAfter(args: readonly string[], milliseconds: number): Promise<number | null> {
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL("../dist/cli.js", import.meta.url)), ...args],
    { stdio: "ignore" },
  );
  const timer = setTimeout(() => child.kill("SIGKILL"), milliseconds);
  return new Promise((resolve) => child.on("exit", (code) => (clearTimeout(timer), resolve(code))));
}
