// Raw counts: where they are found, validation of every value, and their order by the model's genes, in
// memory and streamed.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { NumericArray } from "../dist/anndata/matrix.js";
import { findCounts, lookAtPlaces, takenPlace } from "../dist/data/count-places.js";
import { loadCounts, streamCounts, type Counts } from "../dist/data/counts.js";
import { findValues } from "../dist/data/values.js";
import type { Note } from "../dist/contract/options.js";
import { ScPoliError, type ErrorKind } from "../dist/contract/errors.js";
import { Random } from "../dist/numerics/random.js";
import { annData, frame, matrix, names, type Parts } from "./memory.js";

const raw = [
  [1, 0, 2],
  [0, 3, 0],
  [4, 0, 1],
];
const log = raw.map((row) => row.map((value) => Math.log1p(value)));

function fails(kind: ErrorKind, ...says: RegExp[]) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof ScPoliError, String(error));
    assert.equal(error.kind, kind);
    for (const words of says) assert.match(error.message, words);
    return true;
  };
}

describe("where the counts are", () => {
  const nameOfCounts = async (parts: Parts, layer?: string) => (await findCounts(annData(parts), layer)).name;

  test("X, else raw.X, else the layers counts and raw_counts", async () => {
    const X = matrix(log);
    assert.equal(
      await nameOfCounts({ X: matrix(raw), raw: { X: matrix(raw), var: frame(names("r", 3)) } }),
      "X",
    );
    assert.equal(
      await nameOfCounts({
        X,
        raw: { X: matrix(raw), var: frame(names("r", 3)) },
        layers: { counts: matrix(raw) },
      }),
      "raw.X",
    );
    assert.equal(await nameOfCounts({ X, layers: { counts: matrix(raw) } }), "layers/counts");
    assert.equal(
      await nameOfCounts({ X, layers: { raw_counts: matrix(raw), counts: matrix(log) } }),
      "layers/raw_counts",
    );
    assert.equal(await nameOfCounts({ layers: { counts: matrix(raw) } }), "layers/counts");
  });

  test("scATAC read counts become fragment counts, with a warning where the model had others", async () => {
    const reads = annData({
      X: matrix([
        [0, 2, 4],
        [2, 1, 2],
      ]),
    });
    const found = async (options: Partial<Parameters<typeof findValues>[1]>) => {
      const notes: Note[] = [];
      const values = await findValues(reads, { reconLoss: "poisson", ...options }, (note) =>
        notes.push(note),
      );
      return { ...values, note: notes.at(-1)! };
    };
    const auto = await found({});
    assert.deepEqual([auto.atacCounts, auto.place.values, auto.note.level], ["reads", "reads", "info"]);
    assert.match(auto.note.message, /looks like scATAC read counts.*25 % of its ones and twos are ones/);
    const model = await found({ trainedOn: "fragments" });
    assert.deepEqual([model.atacCounts, model.note.level], ["fragments", "warning"]);
    assert.match(model.note.message, /as in the model, but looks like read counts.*--atac-counts reads/);
    await assert.rejects(
      found({ reconLoss: "mse", atacCounts: "reads" }),
      fails("usage", /mse uses normalised/),
    );
    const raw = await found({ reconLoss: "mse" });
    assert.match(raw.note.message, /holds raw counts; mse is meant for log-normalised values/);
  });

  test("raw.X has its own genes", async () => {
    const place = await findCounts(
      annData({ X: matrix(log), raw: { X: matrix([[1, 2, 3, 4]]), var: frame(names("r", 4)) } }),
    );
    assert.deepEqual(await place.var.index(), ["r0", "r1", "r2", "r3"]);
    assert.match(place.verdicts[0]!.verdict, /fractional.*log-normalised/);
  });

  test("a named place is the only one looked into", async () => {
    const parts = {
      X: matrix(raw),
      raw: { X: matrix(raw), var: frame(names("r", 3)) },
      layers: { spliced: matrix(raw), log: matrix(log) },
    };
    for (const [layer, name] of [
      ["X", "X"],
      ["raw", "raw.X"],
      ["raw.X", "raw.X"],
      ["spliced", "layers/spliced"],
      ["layers/spliced", "layers/spliced"],
    ] as const)
      assert.equal(await nameOfCounts(parts, layer), name);
    await assert.rejects(nameOfCounts(parts, "log"), fails("counts", /no raw counts in layers\/log/));
    await assert.rejects(nameOfCounts(parts, "unspliced"), fails("key", /unspliced/));
    await assert.rejects(
      nameOfCounts({ X: matrix(raw), layers: { spliced: matrix(raw) } }, "raw"),
      fails("key", /no raw\.X; its layers are 'spliced'/),
    );
  });

  test("the error describes each matrix, and names a layer that can be used", async () => {
    const scaled = raw.map((row) => row.map((value) => value - 1.5));
    const parts = {
      X: matrix(log),
      raw: { X: matrix(scaled), var: frame(names("r", 3)) },
      layers: {
        spliced: matrix(raw),
        "of cells": matrix(raw),
        cpm: matrix(raw.map((row) => row.map((value) => value * 3333.3))),
      },
    };
    await assert.rejects(
      nameOfCounts(parts),
      fails(
        "counts",
        /X: fractional values, e\.g\. 0\.6931 in cell 'c0', gene 'g0'; looks log-normalised/,
        /raw\.X: negative values and fractional values, e\.g\. -0\.5 in cell 'c0', gene 'r0'; looks scaled/,
        /layers\/spliced: raw counts \(--layer spliced uses them\)/,
        /layers\/of cells: raw counts \(--layer 'of cells' uses them\)/,
        /layers\/cpm: fractional values.*; looks normalised/,
      ),
    );
  });

  test("NaN and infinite values are no counts", async () => {
    await assert.rejects(
      nameOfCounts({ X: matrix([[1, NaN, -1]]) }),
      fails("counts", /X: NaN and negative values, e\.g\. NaN in cell 'c0', gene 'g1'/),
    );
    await assert.rejects(
      nameOfCounts({ X: matrix([[1, Infinity, 0]]) }),
      fails("counts", /X: infinite values.*If X holds counts, replace these values, or remove their/s),
    );
  });

  test("the first, middle and last cells are checked", async () => {
    for (const bad of [0, 1500, 2999]) {
      const rows = Array.from({ length: 3000 }, (_, cell) => [cell === bad ? 0.5 : 1]);
      await assert.rejects(nameOfCounts({ X: matrix(rows) }), fails("counts", new RegExp(`cell 'c${bad}'`)));
    }
  });

  test("a matrix of zeros is used only if no other holds counts", async () => {
    const zeros = matrix([[0, 0, 0]]);
    assert.equal(await nameOfCounts({ X: zeros }), "X");
    assert.equal(await nameOfCounts({ X: zeros, layers: { counts: matrix(raw) } }), "layers/counts");
  });

  test("all places at once, for inspection", async () => {
    const verdicts = await lookAtPlaces(
      annData({ X: matrix(log), layers: { a: matrix(raw), counts: matrix(raw) } }),
    );
    assert.deepEqual(
      verdicts.map(({ place, holds }) => [place, holds]),
      [
        ["X", "other"],
        ["raw.X", "other"],
        ["layers/counts", "counts"],
        ["layers/a", "counts"],
      ],
    );
    const file = annData({ X: matrix(log), layers: { a: matrix(raw), counts: matrix(raw) } });
    assert.equal((await takenPlace(file))!.name, "layers/counts");
    assert.equal(await takenPlace(annData({ X: matrix(log) })), null);
  });
});

/** Random counts (cells, genes), about a third of them not zero. */
function random(cells: number, genes: number, most = 200): number[][] {
  const draw = new Random(7, "counts");
  return Array.from({ length: cells }, () =>
    Array.from({ length: genes }, () => (draw.below(3) === 0 ? 1 + draw.below(most) : 0)),
  );
}

const replaced = (row: readonly number[], at: number, by: number): number[] =>
  row.map((value, i) => (i === at ? by : value));

/** Dense counts in the model's order. */
function expected(rows: readonly (readonly number[])[], map: Int32Array, genes: number): number[][] {
  return rows.map((row) => {
    const out = new Array<number>(genes).fill(0);
    row.forEach((value, column) => {
      if (map[column]! >= 0) out[map[column]!] = value;
    });
    return out;
  });
}

/** Dense counts of a CSR matrix whose indices must ascend. */
function dense(
  rows: number,
  genes: number,
  indptr: ArrayLike<number>,
  indices: ArrayLike<number>,
  values: ArrayLike<number>,
): number[][] {
  return Array.from({ length: rows }, (_, row) => {
    const out = new Array<number>(genes).fill(0);
    for (let k = indptr[row]!; k < indptr[row + 1]!; k++) {
      assert.ok(k === indptr[row]! || indices[k]! > indices[k - 1]!, "genes ascend");
      out[indices[k]!] = values[k]!;
    }
    return out;
  });
}
const denseCounts = ({ cells, genes, indptr, indices, values }: Counts): number[][] =>
  dense(cells, genes, indptr, indices, values);
const sums = (rows: readonly (readonly number[])[]): number[] =>
  rows.map((row) => row.reduce((a, b) => a + b, 0));

const G = 70;
const identity = Int32Array.from({ length: G }, (_, i) => i);
const maps: Readonly<Record<string, { readonly map: Int32Array; readonly genes: number }>> = {
  "the same genes": { map: identity, genes: G },
  "fewer genes in the same order": { map: identity.map((i) => (i % 3 === 0 ? i / 3 : -1)), genes: 30 },
  "the genes in another order": { map: identity.map((i) => (i * 11) % G), genes: G },
  "some genes in another order, among others of the model": {
    map: identity.map((i) => (i % 2 === 0 ? 99 - ((i * 11) % G) : -1)),
    genes: 100,
  },
  "no gene": { map: identity.map(() => -1), genes: 5 },
};
const types: readonly (new (values: ArrayLike<number>) => NumericArray)[] = [
  Float32Array,
  Float64Array,
  Int32Array,
  Uint8Array,
  Int16Array,
];

describe("counts in the model's order", () => {
  const rows = random(57, G);
  rows[3] = rows[3]!.map(() => 0);

  for (const [what, { map, genes }] of Object.entries(maps)) {
    const answer = expected(rows, map, genes);
    test(`streamed: ${what}, of every stored type, in blocks of every size`, async () => {
      for (const type of types) {
        const place = await findCounts(annData({ X: matrix(rows, type) }));
        for (const blockRows of [1, 8, 57, 100]) {
          let next = 0;
          for await (const { start, rows: n, indptr, indices, counts, sizeFactors } of streamCounts(
            place,
            map,
            genes,
            blockRows,
          )) {
            assert.equal(start, next);
            assert.deepEqual(dense(n, genes, indptr, indices, counts), answer.slice(start, start + n));
            assert.deepEqual([...sizeFactors], sums(answer).slice(start, start + n));
            next += n;
          }
          assert.equal(next, 57);
        }
      }
    });
    test(`loaded: ${what}`, async () => {
      const counts = await loadCounts(await findCounts(annData({ X: matrix(rows) })), map, genes);
      assert.deepEqual(denseCounts(counts), answer);
      assert.deepEqual([...counts.sizeFactors], sums(answer));
      assert.equal(counts.indices.length, counts.indptr[57]);
    });
  }

  test("only the cells to keep are loaded", async () => {
    const place = await findCounts(annData({ X: matrix(rows) }));
    for (const keep of [[0, 1, 2, 7, 8, 56], [5], [], [...rows.keys()]]) {
      const counts = await loadCounts(place, identity, G, { keep: Int32Array.from(keep) });
      assert.deepEqual(
        denseCounts(counts),
        keep.map((row) => rows[row]),
      );
    }
  });

  test("across several blocks of a large matrix", async () => {
    // 7,500 cells, about 3.7 million values
    const many = random(3, 1500).flatMap((row) => Array.from({ length: 2500 }, () => row));
    const X = matrix(many);
    const keep = Int32Array.from(many.keys()).filter((row) => row % 1000 < 2 || row > 7400);
    const place = await findCounts(annData({ X }));
    const map = Int32Array.from({ length: 1500 }, (_, i) => 1499 - i);
    const seen: number[] = [];
    const counts = await loadCounts(place, map, 1500, { keep, onProgress: (done) => seen.push(done) });
    assert.ok(seen.length > 1 && seen.at(-1) === 7500);
    assert.deepEqual(
      denseCounts(counts),
      Array.from(keep, (row) => [...many[row]!].reverse()),
    );
  });
});

describe("compact types", () => {
  const load = async (rows: number[][], genes = rows[0]!.length) =>
    loadCounts(
      await findCounts(annData({ X: matrix(rows, Float64Array) })),
      Int32Array.from(rows[0]!.keys()),
      genes,
    );

  test("counts take 8, 16 or 32 bits, as the largest needs, wherever it is met", async () => {
    const rows = random(40, 20);
    assert.ok((await load(rows)).values instanceof Uint8Array);
    for (const [value, type] of [
      [255, Uint8Array],
      [256, Uint16Array],
      [65_535, Uint16Array],
      [65_536, Float32Array],
      [16_777_216, Float32Array],
    ] as const) {
      for (const cell of [0, 39]) {
        const changedRows = rows.map((row, r) => (r === cell ? replaced(row, 4, value) : row));
        const counts = await load(changedRows);
        assert.ok(
          counts.values instanceof type,
          `${value} in cell ${cell} is in ${counts.values.constructor.name}`,
        );
        assert.deepEqual(denseCounts(counts), changedRows);
      }
    }
  });

  test("counts that grow wider from block to block keep what was there", async () => {
    const rows = random(9, 400_000, 3).map((row, cell) =>
      cell === 5 ? replaced(row, 1, 300) : cell === 8 ? replaced(row, 2, 70_000) : row,
    );
    const counts = await load(rows);
    assert.ok(counts.values instanceof Float32Array && counts.indices instanceof Uint32Array);
    rows.forEach((row, cell) => {
      assert.equal(counts.indptr[cell + 1]! - counts.indptr[cell]!, row.filter((value) => value > 0).length);
      for (let k = counts.indptr[cell]!; k < counts.indptr[cell + 1]!; k++)
        if (row[counts.indices[k]!] !== counts.values[k])
          assert.fail(`cell ${cell}, gene ${counts.indices[k]}`);
    });
  });

  test("gene indices take 16 bits up to 65,536 genes", async () => {
    assert.ok((await load(raw, 65_536)).indices instanceof Uint16Array);
    assert.ok((await load(raw, 65_537)).indices instanceof Uint32Array);
  });

  test("no cell has a count", async () => {
    const counts = await load([
      [0, 0],
      [0, 0],
    ]);
    assert.deepEqual(
      [counts.cells, [...counts.sizeFactors], [...counts.indptr], counts.values.length],
      [2, [0, 0], [0, 0, 0], 0],
    );
  });
});

describe("every value is checked", () => {
  const cells = 2000; // beyond what the first look sees
  for (const [value, words] of [
    [NaN, /NaN \(a missing value\)/],
    [Infinity, /an infinite value/],
    [-2, /a negative value, -2/],
    [0.25, /a fractional value, 0\.25/],
    [-Infinity, /an infinite value/],
  ] as const) {
    for (const [what, { map, genes }] of Object.entries(maps)) {
      test(`${value} is refused by cell, row, gene and place: ${what}`, async () => {
        const rows = Array.from({ length: cells }, () => new Array<number>(G).fill(1));
        rows[700]![41] = value;
        const place = await findCounts(
          annData({ X: matrix(rows), obs: frame(names("cell", cells)), var: frame(names("gene", G)) }),
        );
        const error = fails("counts", words, /memory: X holds/, /cell 'cell700' \(row 700\), gene 'gene41'/);
        await assert.rejects(loadCounts(place, map, genes), error);
        await assert.rejects(async () => {
          for await (const _ of streamCounts(place, map, genes, 300));
        }, error);
      });
    }
  }

  test("a run that is stopped says so", async () => {
    const place = await findCounts(annData({ X: matrix(raw) }));
    await assert.rejects(
      loadCounts(place, Int32Array.of(0, 1, 2), 3, { signal: AbortSignal.abort() }),
      fails("interrupted", /Stopped/),
    );
  });
});
