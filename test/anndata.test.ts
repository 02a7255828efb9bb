// .h5ad files exchanged with the Python package anndata: every value of its files is read, and it opens and
// compares files written by scpoli. Damaged files give one error each.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  linkSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";
import { AnnData } from "../dist/anndata/anndata.js";
import { blocks, sparseMatrix, type SparseRows } from "../dist/anndata/matrix.js";
import { startCopy, writeCopy, writeH5ad, type Additions, type NewAnnData } from "../dist/anndata/write.js";
import type { ErrorKind } from "../dist/contract/errors.js";
import { removeTemporaries } from "../dist/platform/node.js";
import {
  assertContents,
  assertMatrix,
  fails,
  plainColumn,
  type ExpectedContents,
  type ExpectedMatrix,
} from "./compare.ts";
import { runPython } from "./python/environment.ts";

const folder = mkdtempSync(join(tmpdir(), "scpoli-anndata-"));
const at = (name: string): string => join(folder, name);
/** Layers of one content (i mod 7) behind every filter; made by fixtures/make_filters.py with hdf5plugin. */
const filtered = fileURLToPath(new URL("fixtures/filters.h5ad", import.meta.url));
const readFilters = [
  ...["gzip", "lzf", "lzf_shuffle", "zstd", "lz4", "bitshuffle", "bitshuffle_zstd"],
  ...["blosc", "blosc2"].flatMap((name) =>
    ["blosclz", "lz4", "lz4hc", "zstd"].map((compressor) => `${name}_${compressor}`),
  ),
];
/** Not read where data are damaged, and so not at all (scripts/copy_hdf5.mjs); zlib is not in Blosc. */
const namedFilters: ReadonlyMap<string, RegExp> = new Map([
  ["zfp", /compressed with zfp, which is not installed/],
  ["bzip2", /compressed with bz2, which is not installed/],
  ["blosc_zlib", /compressed with blosc \(zlib\), which is not installed/],
  ["blosc2_zlib", /compressed with blosc2 \(zlib\), which is not installed/],
]);
/** Files of anndata's test suite. */
const archives = fileURLToPath(new URL("../../shared/data/archives", import.meta.url));

let expected: {
  readonly matrices: Readonly<Record<string, ExpectedMatrix>>;
  readonly full: ExpectedContents;
};

before(() => {
  runPython("anndata_files.py", "make", folder);
  expected = JSON.parse(
    readFileSync(at("expected.json"), "utf8").replaceAll("NaN", "null"),
  ) as typeof expected;
});
after(() => rmSync(folder, { recursive: true, force: true }));

async function withFile<T>(name: string, use: (data: AnnData) => Promise<T> | T): Promise<T> {
  const data = await AnnData.open(at(name));
  try {
    return await use(data);
  } finally {
    data.close();
  }
}

describe("reading what anndata wrote", () => {
  test("matrices of every format and type, in blocks and out of order", async () => {
    for (const [name, wanted] of Object.entries(expected.matrices)) {
      await withFile(`${name}.h5ad`, async (data) => {
        assert.ok(data.X);
        assert.ok(name.startsWith(data.X.format) || ["empty", "nan"].includes(name), name);
        assert.equal([data.nObs, data.nVars].join(), [wanted.rows, wanted.columns].join());
        await assertMatrix(data.X, wanted).catch((error: Error) => assert.fail(`${name}: ${error.message}`));
      });
    }
  });

  test("types keep their names; 64-bit integers come as float64", async () => {
    await withFile("csr int64.h5ad", async ({ X }) => {
      assert.equal(X!.dtype, "int64");
      assert.ok((await X!.read(0, 5)).values instanceof Float64Array);
    });
    await withFile("dense int8.h5ad", async ({ X }) =>
      assert.ok((await X!.read(0, 5)).values instanceof Int8Array),
    );
    await withFile("csr uint16.h5ad", async ({ X }) =>
      assert.ok((await X!.read(0, 5)).values instanceof Uint16Array),
    );
  });

  for (const name of ["full.h5ad", "latest.h5ad", "full gzip.h5ad", "full lzf.h5ad"]) {
    test(`every kind of column, raw, layers, obsm and uns: ${name}`, async () => {
      const { full } = expected;
      await withFile(name, async (data) => {
        await assertContents(data, full);
        assert.deepEqual(await data.uniqueNames("var"), full.varNames);
        assert.deepEqual(data.var.columnNames, []);
        assert.deepEqual(data.obsmKeys, ["X_pca", "table"]);
        await assertUns(data);
      });
    });
  }

  async function assertUns(data: AnnData): Promise<void> {
    assert.deepEqual(data.unsKeys, [
      "colors",
      "flag",
      "nested",
      "number",
      "sparse",
      "table",
      "text",
      "vector",
      "whole",
    ]);
    const values = await Promise.all(data.unsKeys.map(async (key) => [key, await data.uns(key)]));
    assert.deepEqual(Object.fromEntries(values), {
      colors: ["#fff", "#000"],
      flag: true,
      nested: { deep: { x: 1 }, flags: [true, false] },
      number: 2.5,
      sparse: undefined,
      table: undefined,
      text: "ü",
      vector: Float64Array.of(0, 1, 2, 3),
      whole: 7,
    });
  }

  test("the layout of anndata 0.7, labels behind references", async () => {
    await withFile("old.h5ad", async (data) => {
      assert.deepEqual(data.obs.columnNames, ["category", "ordered", "text", "float64", "int64", "boolean"]);
      for (const key of data.obs.columnNames)
        assert.deepEqual(plainColumn(await data.obs.column(key)), expected.full.obs[key], key);
      await assertMatrix(data.X!, expected.full.X);
    });
  });

  test("the layout of anndata 0.6: tables, labels in uns, raw.X", async () => {
    await withFile("ancient.h5ad", async (data) => {
      const { full } = expected;
      assert.deepEqual(data.obs.columnNames, [
        "category",
        "one",
        "text",
        "int64",
        "float32",
        "boolean",
        "shared",
      ]);
      const { categories, ...category } = full.obs["category"]!;
      assert.deepEqual(plainColumn(await data.obs.column("category")), {
        ...category,
        categories: (categories as string[]).map((name) => name.replace("α", "alpha")),
      });
      for (const key of ["text", "int64", "float32", "boolean"])
        assert.deepEqual(plainColumn(await data.obs.column(key)), full.obs[key], key);
      assert.deepEqual(plainColumn(await data.obs.column("one")), {
        kind: "categorical",
        codes: new Array(40).fill(0),
        categories: ["only"],
        ordered: false,
      });
      assert.equal((await data.obs.column("shared")).kind, "number", "labels of var are not those of obs");
      assert.deepEqual(plainColumn(await data.var.column("shared")), {
        kind: "categorical",
        codes: Array.from({ length: 25 }, (_, i) => i % 2),
        categories: ["a", "b"],
        ordered: false,
      });
      assert.deepEqual(
        [...((await data.var.column("half")) as { values: Float64Array }).values].slice(0, 3),
        [0, 0.25, 0.5],
      );
      assert.deepEqual(await data.obs.index(), full.obsNames);
      await assertMatrix(data.X!, full.X);
      await assertMatrix(data.raw!.X, full.raw);
      assert.deepEqual(await data.raw!.var.index(), full.rawNames);
      assert.deepEqual(data.obsmKeys, ["X_pca", "X_umap"]);
      assert.deepEqual([...(await data.obsm("X_pca")).values], full.obsm["X_pca"]!.values);
      await fails(() => data.obs.column("Category"), "key", /Did you mean "category"/);
    });
  });

  test("no attributes at all, as some writers leave them out", async () => {
    await withFile("bare.h5ad", async (data) => {
      const { full } = expected;
      assert.deepEqual([...data.obs.columnNames].sort(), Object.keys(full.obs).sort());
      for (const [key, wanted] of Object.entries(full.obs)) {
        const actual = plainColumn(await data.obs.column(key)) as object;
        assert.deepEqual(
          "ordered" in actual ? { ...actual, ordered: wanted["ordered"] } : actual,
          wanted,
          key,
        );
      }
      assert.deepEqual(await data.obs.index(), full.obsNames);
      await assertMatrix(data.X!, full.X);
      await assertMatrix(data.raw!.X, full.raw);
      for (const layer of data.layers) await assertMatrix(data.layer(layer), full.layers[layer]!);
    });
  });

  test("texts filled up with blanks, as Fortran writes them", () =>
    withFile("fortran.h5ad", async (data) => {
      assert.deepEqual(await data.obs.index(), ["obs0", "obs1", "obs2", "obs3"]);
      assert.deepEqual(await data.var.index(), ["var0", "var1", "var2"]);
      assert.deepEqual(plainColumn(await data.obs.column("donor")), {
        kind: "string",
        values: ["a", "b", "a", "b"],
      });
      assert.deepEqual([...(await data.X!.read(3, 4)).values], [9, 10, 11]);
    }));

  test("every compression filter", async () => {
    const data = await AnnData.open(filtered);
    try {
      assert.deepEqual(data.layers, [...readFilters, ...namedFilters.keys()].sort());
      const wanted = {
        rows: 40,
        columns: 25,
        values: Array.from({ length: 1000 }, (_, i) => i % 7),
        dtype: "float32",
      };
      for (const layer of readFilters)
        await assertMatrix(data.layer(layer), wanted).catch((error: Error) =>
          assert.fail(`${layer}: ${error.message}`),
        );
      for (const [layer, says] of namedFilters)
        await fails(() => data.layer(layer).read(0, 1), "format", says);
      const texts = Array.from({ length: 40 }, (_, i) =>
        i % 3 === 0 ? "" : `${i % 3 === 1 ? "ü" : "Type II alveolar cell"}${i}`,
      );
      assert.deepEqual(
        [...data.obs.columnNames].sort(),
        data.layers.filter((name) => name !== "zfp"),
      );
      for (const name of data.obs.columnNames) {
        const says = namedFilters.get(name);
        if (says) await fails(() => data.obs.column(name), "format", says);
        else
          assert.deepEqual(await data.obs.column(name), { kind: "string", length: 40, values: texts }, name);
      }
    } finally {
      data.close();
    }
  });

  test("a matrix in memory reads like one behind a file", async () => {
    await withFile("csr float32.h5ad", async ({ X }) => {
      const { rows, columns, indptr, indices, values } = await X!.read(0, X!.rows);
      await assertMatrix(
        sparseMatrix({ rows, columns, indptr, indices, values }, "memory"),
        expected.matrices["csr float32"]!,
      );
    });
  });
});

describe("files that cannot be read", () => {
  const readX = (name: string) => () => withFile(name, (data) => data.X!.read(0, data.nObs));
  const matrices: Readonly<Record<string, readonly [ErrorKind, ...RegExp[]]>> = {
    "unknown filter.h5ad": [
      "format",
      /unknown filter\.h5ad: X\/data/,
      /compressed with .*filter 32555.*not installed/,
      /compression="gzip"/,
    ],
    "falling indptr.h5ad": ["format", /"indptr" decreases from \d+ to 0 at entry 7/],
    "long indptr.h5ad": ["format", /"indptr" ends at 1000000, but there are only \d+ values/],
    "short indptr.h5ad": ["format", /"indptr" has 39 entries; 41 were expected/],
    "large index.h5ad": ["format", /row \d+ has a value in column 25 of 25/],
    "negative index.h5ad": ["format", /row \d+ has a value in column -1 of 25/],
    "duplicated index.h5ad": ["format", /row 0 has two values in column \d+/, /sum_duplicates/],
    "short indices.h5ad": ["format", /"data" has \d+ entries and "indices" \d+/],
    "large integers.h5ad": ["format", /X\/data/, /beyond 2\^53/],
    "no indices.h5ad": ["format", /it has no "indices"/],
    "text matrix.h5ad": ["format", /numbers were expected, but the values are of type string/],
    "column csc.h5ad": ["format", /a value is in row 40 of 40/],
    "damaged chunk.h5ad": ["file", /X\/data/, /damaged/],
  };
  for (const [name, [kind, ...says]] of Object.entries(matrices))
    test(`matrix: ${name}`, () => fails(readX(name), kind, ...says));

  test("no X: everything else is there", () =>
    withFile("no X.h5ad", async (data) => {
      assert.equal(data.X, null);
      assert.equal((await data.obs.index()).length, 40);
    }));

  const files: Readonly<Record<string, readonly [ErrorKind, ...RegExp[]]>> = {
    "expected.json": ["file", /it is not an HDF5 file/],
    "nothing.h5ad": ["file", /no such file/],
    ".": ["file", /is a folder/],
    "truncated.h5ad": ["file", /truncated: it has \d+ of \d+ bytes/],
    "tenx.h5": ["format", /not AnnData/, /10x/],
    "no obs.h5ad": ["format", /it has no obs and var/],
    "bad table.h5ad": ["format", /bad table\.h5ad: obs is not a table/],
  };
  for (const [name, [kind, ...says]] of Object.entries(files))
    test(`file: ${name}`, () => fails(() => AnnData.open(at(name)), kind, ...says));

  /**
   * Where the index of chunks (a B-tree of version 1) has the entry of the chunk that starts at a value: its
   * length, 4 bytes of filters left out, its place in the dataset and in the file.
   */
  function chunkEntry(
    bytes: Buffer,
    start: number,
    fits: (length: number) => boolean,
  ): { readonly at: number; readonly length: number; readonly address: number } {
    const key = Buffer.alloc(20);
    key.writeBigUInt64LE(BigInt(start), 4);
    for (let place = bytes.indexOf(key); place >= 4; place = bytes.indexOf(key, place + 1)) {
      const [length, address] = [bytes.readUInt32LE(place - 4), Number(bytes.readBigUInt64LE(place + 20))];
      if (fits(length) && address > 0 && address + length <= bytes.length)
        return { at: place - 4, length, address };
    }
    throw new Error("no chunk in the index");
  }

  test("a too short length of an uncompressed chunk is an error, not stale memory", async () => {
    const bytes = readFileSync(at("csr float32.h5ad"));
    const { values } = await withFile("csr float32.h5ad", (data) => data.X!.read(0, data.nObs));
    bytes.writeUInt32LE(0, chunkEntry(bytes, 0, (length) => length === 4 * values.length).at);
    writeFileSync(at("short chunk.h5ad"), bytes);
    await fails(readX("short chunk.h5ad"), "file", /X\/(data|indices)/, /damaged/);
  });

  test("the missing part of a truncated LZF stream reads as zeros, not as stale memory", async () => {
    const bytes = readFileSync(at("csr lzf.h5ad"));
    const whole = await withFile("csr lzf.h5ad", async (data) =>
      (await data.X!.read(0, data.nObs)).values.slice(),
    );
    const { at: entry, length, address } = chunkEntry(bytes, 50, (stored) => stored < 200);
    // literals: one less than their number, and they; else a copy of earlier bytes, of 2 to 9 or more, from
    // two or three bytes
    let [end, decoded] = [0, 0];
    while (decoded < 80) {
      const control = bytes[address + end]!;
      const copied = control >> 5;
      decoded += control < 32 ? control + 1 : copied === 7 ? 9 + bytes[address + end + 1]! : copied + 2;
      end += control < 32 ? control + 2 : copied === 7 ? 3 : 2;
    }
    assert.ok(end < length && decoded < 200, `cut at ${end} of ${length} bytes`);
    bytes.writeUInt32LE(end, entry);
    writeFileSync(at("short lzf.h5ad"), bytes);
    const cut = Float32Array.from(whole);
    new Uint8Array(cut.buffer, 4 * 50, 4 * 50).fill(0, decoded);
    // zeros are not stored values
    const expected = cut.filter((value) => value !== 0);
    assert.ok(expected.length < whole.length - 10);
    for (let reading = 0; reading < 2; reading++)
      assert.deepEqual(
        await withFile("short lzf.h5ad", async (data) => (await data.X!.read(0, data.nObs)).values.slice()),
        expected,
        `reading ${reading}`,
      );
  });

  test("invalid string lengths are an error, and the next file of that name is read correctly", async () => {
    const whole = readFileSync(at("csr float32.h5ad"));
    const heap = whole.indexOf("GCOL");
    for (const [length, number] of [
      [0n, 0],
      [2n ** 32n - 1n, 1],
      [2n ** 64n - 1n, 1],
      [2n ** 31n, 0],
    ] as const) {
      const bytes = Buffer.from(whole);
      bytes.writeUInt16LE(number, heap + 16);
      bytes.writeBigUInt64LE(length, heap + 24);
      writeFileSync(at("lengths.h5ad"), bytes);
      await fails(() => withFile("lengths.h5ad", ({ obs }) => obs.index()), "file", /lengths\.h5ad.*damaged/);
      writeFileSync(at("lengths.h5ad"), whole);
      assert.equal((await withFile("lengths.h5ad", ({ obs }) => obs.index())).length, 40);
    }
  });

  test("names and matrix that do not fit", () =>
    fails(readX("missing name.h5ad"), "format", /X is 40 x 25, but obs and var names give 39 x 25/));

  test("duplicated names are reported with their rows", () =>
    withFile("duplicated.h5ad", async (data) => {
      await fails(
        () => data.uniqueNames("var"),
        "format",
        /2 duplicated gene names: "a" \(rows 0 and 2\), "b" \(rows 1 and 4\)/,
        /var_names_make_unique/,
      );
      assert.equal((await data.uniqueNames("obs")).length, 4);
    }));

  test("columns: one that is damaged does not hide the others", async () => {
    await withFile("bad codes.h5ad", async ({ obs }) => {
      await fails(
        () => obs.column("category"),
        "format",
        /obs\/category\/codes/,
        /row 0 has code 9, but there are 3 categories/,
      );
      assert.equal((await obs.column("text")).kind, "string");
    });
    await withFile("missing column.h5ad", ({ obs }) =>
      fails(() => obs.column("text"), "format", /obs\/text is missing/),
    );
  });

  test("keys that are not there, with the nearest names", () =>
    withFile("full.h5ad", async (data) => {
      await fails(() => data.obs.column("Catgory"), "key", /no column "Catgory"/, /Did you mean "category"/);
      await fails(() => data.layer("count"), "key", /no layer "count"/, /"counts"/);
      await fails(() => data.obsm("X_umap"), "key", /no obsm "X_umap"/, /"X_pca"/);
      await fails(() => data.obsm("table"), "format", /not a dense matrix/);
      await fails(() => data.uns("zzzzzzzz"), "key", /There are "colors"/);
    }));
});

/** Additions of every kind for N cells, and what Python must find. */
function additions(n: number): { additions: Additions; obs: unknown; obsm: unknown; uns: unknown } {
  const every = <T>(value: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => value(i));
  const codes = every((i) => (i % 4) - 1);
  const scores = Float32Array.from(every((i) => i / 8));
  const latent = Float32Array.from({ length: 2 * n }, (_, i) => i / 4);
  const many = Array.from({ length: 200 }, (_, i) => `type ${i}`);
  const uns = {
    version: "1.0",
    threshold: 0.25,
    cells: n,
    ok: true,
    no: false,
    names: ["a", "β"],
    nested: { list: [1.5, 2], none: [] as number[] },
  };
  return {
    additions: {
      obs: {
        type_pred: {
          kind: "categorical",
          codes: Int32Array.from(codes),
          categories: ["B cell", "T cell", "µ"],
        },
        many: {
          kind: "categorical",
          codes: Int16Array.from(every((i) => (i * 5) % 200)),
          categories: many,
          ordered: true,
        },
        type_uncert: { kind: "number", values: scores },
        exact: { kind: "number", values: Float64Array.from(every((i) => i / 3)) },
        type_unknown: { kind: "boolean", values: Uint8Array.from(every((i) => i % 2)) },
        maybe: { kind: "boolean", length: n, values: every((i) => (i % 3 === 0 ? null : i % 2 === 0)) },
        note: { kind: "string", length: n, values: every((i) => `n${i}`) },
        gap: { kind: "string", length: n, values: every((i) => (i % 2 ? null : "x")) },
      },
      obsm: { X_scpoli: { rows: n, columns: 2, values: latent } },
      uns: { scpoli: uns },
    },
    obs: {
      type_pred: {
        kind: "categorical",
        codes,
        categories: ["B cell", "T cell", "µ"],
        ordered: false,
        dtype: "category",
      },
      many: { kind: "categorical", codes: every((i) => (i * 5) % 200), categories: many, ordered: true },
      type_uncert: { kind: "number", values: [...scores], dtype: "float32" },
      exact: { kind: "number", values: every((i) => i / 3), dtype: "float64" },
      type_unknown: { kind: "boolean", values: every((i) => i % 2 === 1), dtype: "bool" },
      maybe: { kind: "boolean", values: every((i) => (i % 3 === 0 ? null : i % 2 === 0)), dtype: "boolean" },
      note: { kind: "string", values: every((i) => `n${i}`) },
      gap: { kind: "categorical", codes: every((i) => (i % 2 ? -1 : 0)), categories: ["x"], ordered: false },
    },
    obsm: { X_scpoli: { rows: n, columns: 2, values: [...latent], dtype: "float32" } },
    uns: { scpoli: uns },
  };
}

// scripts/check_anndata.ts runs these tests with versions of anndata that open no file of ours
const isReadOnly = process.env["SCPOLI_READ_ONLY"] !== undefined && "this version opens no file of ours";

/** Lets anndata open the files, and compare them with what was added and with their sources. */
function assertOpened(written: readonly unknown[]): void {
  writeFileSync(at("written.json"), JSON.stringify(written));
  assert.equal(runPython("anndata_files.py", "check", folder).trim(), "ok");
}

describe(
  "written files: anndata opens them, finds what was added, and nothing else has changed",
  { skip: isReadOnly },
  () => {
    test("copies of files of several versions", async () => {
      const written: unknown[] = [];
      for (const source of ["full.h5ad", "latest.h5ad", "old.h5ad", "csc gzip.h5ad", "no X.h5ad"]) {
        await withFile(source, async (data) => {
          const { additions: added, ...wanted } = additions(data.nObs);
          const file = `copy of ${source}`;
          await writeCopy(data, at(file), added);
          written.push({ file, source, ...wanted, scanpy: source === "full.h5ad" });
        });
      }
      assertOpened(written);
    });

    test("a second run replaces the additions of the first, and a column of the input", async () => {
      const written: unknown[] = [];
      for (const source of ["full.h5ad", "latest.h5ad", "old.h5ad"]) {
        const first = `first copy of ${source}`;
        await withFile(source, async (data) => writeCopy(data, at(first), additions(data.nObs).additions));
        await withFile(first, async (data) => {
          const { additions: added, ...wanted } = additions(data.nObs);
          const changed = {
            ...added,
            obs: {
              ...added.obs,
              text: { kind: "number", values: Int32Array.from({ length: data.nObs }, (_, i) => -i) } as const,
            },
          };
          const file = `second copy of ${source}`;
          await fails(
            () => writeCopy(data, at(file), changed),
            "refused",
            /obs\["type_pred"\].*obs\["text"\].*obsm\["X_scpoli"\], uns\["scpoli"\]/,
            /--force/,
          );
          assert.ok(!existsSync(at(file)));
          await writeCopy(data, at(file), changed, { force: true });
          await withFile(file, async ({ obs }) => assert.equal((await obs.column("text")).kind, "number"));
          const replaced = Object.keys(changed.obs);
          written.push({
            file,
            source: first,
            replaced,
            ...wanted,
            obs: {
              ...(wanted.obs as object),
              text: {
                kind: "number",
                values: Array.from({ length: data.nObs }, (_, i) => -i),
                dtype: "int32",
              },
            },
          });
        });
      }
      assertOpened(written);
    });

    test("copies of files without encodings, and of files that anndata does not read", async () => {
      const written: unknown[] = [];
      const old = ["v0.5.0", "v0.7.0", "v0.11.4"]
        .map((version) => join(archives, version, "adata.h5ad"))
        .filter((path) => existsSync(path));
      const sources = [at("ancient.h5ad"), ...old, at("bare.h5ad"), at("fortran.h5ad")];
      for (const [i, source] of sources.entries()) {
        const data = await AnnData.open(source);
        const { additions: added, ...wanted } = additions(data.nObs);
        const file = `copy ${i}.h5ad`;
        const warnings: string[] = [];
        await writeCopy(data, at(file), added, { onWarning: (message) => warnings.push(message) });
        data.close();
        assert.deepEqual(warnings, []);
        written.push({ file, source, ...wanted, stamped: /bare|fortran/.test(source) });
      }
      assertOpened(written);
    });

    test("new files, from blocks of rows and from a dense matrix", async () => {
      const written: unknown[] = [];
      const { full, matrices } = expected;
      const names = { obsNames: full.obsNames, varNames: full.varNames };
      for (const [name, compression] of [
        ["plain", 0],
        ["gzip", 4],
      ] as const) {
        await withFile("full.h5ad", async (data) => {
          const { additions: added, ...wanted } = additions(data.nObs);
          const columns = {
            ...Object.fromEntries(
              await Promise.all(
                data.obs.columnNames.map(async (key) => [key, await data.obs.column(key)] as const),
              ),
            ),
            ...added.obs,
          };
          const frames = { obs: { index: full.obsNames, columns }, var: { index: full.varNames } };
          const parts = {
            ...frames,
            ...(added.obsm && { obsm: added.obsm }),
            ...(added.uns && { uns: added.uns }),
          };
          const readBlocks = async function* () {
            for await (const { block } of blocks(data.layer("counts"), 9)) yield block;
          };
          await writeH5ad(at(`${name} blocks.h5ad`), { X: readBlocks(), ...parts }, { compression });
          written.push({ file: `${name} blocks.h5ad`, X: full.layers["counts"], ...names, ...wanted });
          const { rows, columns: width, values } = matrices["dense float32"]!;
          await writeH5ad(
            at(`${name} dense.h5ad`),
            { X: { rows, columns: width, values: Float32Array.from(values as number[]) }, ...parts },
            { compression },
          );
          written.push({ file: `${name} dense.h5ad`, X: matrices["dense float32"], ...names, ...wanted });
        });
      }
      assertOpened(written);
    });
  },
);

describe("writing", () => {
  test("the same input gives the same bytes, at another time", async () => {
    const hash = (name: string) => readFileSync(at(name)).toString("latin1");
    const write = async (suffix: string) => {
      for (const source of ["full.h5ad", "latest.h5ad"])
        await withFile(source, async (data) =>
          writeCopy(data, at(`${suffix} ${source}`), additions(data.nObs).additions),
        );
      await writeH5ad(at(`${suffix} new.h5ad`), small(), { compression: 1 });
    };
    await write("first");
    await new Promise((resolve) => setTimeout(resolve, 1100)); // HDF5 would stamp full seconds
    await write("later");
    for (const name of ["full.h5ad", "latest.h5ad", "new.h5ad"])
      assert.ok(hash(`first ${name}`) === hash(`later ${name}`), name);
  });

  test("an output that is the input, also through links; a folder; a folder that is not there", () =>
    withFile("csr gzip.h5ad", async (data) => {
      symlinkSync(at("csr gzip.h5ad"), at("soft.h5ad"));
      linkSync(at("csr gzip.h5ad"), at("hard.h5ad"));
      const content = readFileSync(at("csr gzip.h5ad"));
      for (const name of ["csr gzip.h5ad", "soft.h5ad", "hard.h5ad"])
        await fails(() => writeCopy(data, at(name), {}), "output", /is the input file/);
      assert.deepEqual(readFileSync(at("csr gzip.h5ad")), content);
      await fails(() => writeCopy(data, folder, {}), "output", /is a folder/);
      await fails(() => writeCopy(data, at("no/out.h5ad"), {}), "output", /no folder .*no/);
      await fails(() => writeH5ad(at("no/out.h5ad"), small()), "output", /no folder .*no/);
    }));

  test("additions that do not fit: refused, and nothing is left", () =>
    withFile("csr gzip.h5ad", async (data) => {
      const short = { kind: "number", values: new Float32Array(3) } as const;
      await fails(
        () => writeCopy(data, at("out.h5ad"), { obs: { short } }),
        "output",
        /obs\["short"\] has 3 entries, but .* has 40 cells/,
      );
      await fails(
        () =>
          writeCopy(data, at("out.h5ad"), {
            obsm: { X: { rows: 3, columns: 1, values: new Float32Array(3) } },
          }),
        "output",
        /obsm\["X"\] is 3 x 1/,
      );
      await fails(
        () => writeCopy(data, at("out.h5ad"), { uns: { "a/b": 1 } }),
        "key",
        /"a\/b" cannot be a name/,
      );
      await fails(
        () => writeH5ad(at("out.h5ad"), { ...small(), var: { index: ["a"] } }),
        "output",
        /X is 3 x 2, but its names give 3 x 1/,
      );
      assert.deepEqual(left("out.h5ad"), []);
    }));

  test("an abandoned copy, a write error and an interruption leave nothing behind", async () => {
    await withFile("csr gzip.h5ad", async (data) => {
      const copy = await startCopy(data, at("out.h5ad"), { names: { obs: ["new"] } });
      assert.equal(left("out.h5ad").length, 1);
      await copy.discard();
      assert.deepEqual(left("out.h5ad"), []);
      await startCopy(data, at("out.h5ad"));
      removeTemporaries();
      // the copy may not have started; its output is removed when it ends
      for (let wait = 0; wait < 100 && left("out.h5ad").length > 0; wait++)
        await new Promise((resolve) => setTimeout(resolve, 50));
      assert.deepEqual(left("out.h5ad"), []);
    });
    const broken = async function* (): AsyncGenerator<SparseRows> {
      yield small().X as SparseRows;
      throw new RangeError("the source broke");
    };
    await assert.rejects(writeH5ad(at("out.h5ad"), { ...small(), X: broken() }), /the source broke/);
    assert.deepEqual(left("out.h5ad"), []);
  });

  /** A process that writes rows without end. */
  const endless = `
    import { writeH5ad } from ${JSON.stringify(new URL("../dist/anndata/write.js", import.meta.url).href)};
    const rows = 1000;
    const block = {
      rows,
      columns: 1,
      indptr: Int32Array.from({ length: rows + 1 }, (_, i) => i),
      indices: new Int32Array(rows),
      values: new Float32Array(rows).fill(1),
    };
    async function* X() { for (;;) { yield block; await new Promise(setImmediate); } }
    const index = ["a"];
    const data = { X: X(), obs: { index }, var: { index } };
    await writeH5ad(process.argv[1], data, { force: true }).catch((error) => {
      console.log(error.kind + ": " + error.message);
      process.exit(3);
    });`;

  test("killed in the middle of writing: the file of that name is the old one", async () => {
    await writeH5ad(at("killed.h5ad"), small());
    const before = readFileSync(at("killed.h5ad"));
    const child = spawn(process.execPath, ["--input-type=module", "-e", endless, at("killed.h5ad")]);
    const isWriting = (): boolean =>
      left("killed.h5ad").some((name) => name.endsWith(".tmp") && readFileSync(at(name)).length > 0);
    while (child.exitCode === null && !isWriting()) await new Promise((resolve) => setTimeout(resolve, 5));
    child.kill("SIGKILL");
    if (child.exitCode === null) await new Promise((resolve) => child.on("close", resolve));
    assert.equal(child.signalCode, "SIGKILL");
    assert.deepEqual(readFileSync(at("killed.h5ad")), before);
  });

  test(
    "no more room: an error, and nothing is left",
    { skip: process.platform === "win32" && "needs ulimit" },
    () => {
      const { status, stdout, stderr } = spawnSync(
        "bash",
        [
          "-c",
          `trap '' XFSZ; ulimit -f 2048; exec "$0" --input-type=module -e "$1" "$2"`,
          process.execPath,
          endless,
          at("large.h5ad"),
        ],
        { encoding: "utf8" },
      );
      assert.equal(status, 3, stderr);
      assert.match(
        stdout,
        /^output: .*large\.h5ad cannot be written: the file would become larger than this process may write/,
      );
      assert.deepEqual(left("large.h5ad"), []);
    },
  );
});

/** Files of this name, also those that are not finished. */
function left(name: string): string[] {
  return readdirSync(folder).filter((file) => file === name || file.startsWith(`.${name}.`));
}

function small(): NewAnnData {
  const X = {
    rows: 3,
    columns: 2,
    indptr: Int32Array.of(0, 1, 1, 3),
    indices: Int32Array.of(1, 0, 1),
    values: Float32Array.of(5, 1, 2),
  };
  return {
    X,
    obs: { index: ["a", "b", "c"], columns: { ok: { kind: "boolean", values: Uint8Array.of(1, 0, 1) } } },
    var: { index: ["g", "h"] },
  };
}
