// Variable genes compared with scanpy (fixtures/make_variable_genes.py), and other ways to select the genes
// of a model.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { AnnData } from "../dist/anndata/anndata.js";
import type { Column } from "../dist/anndata/dataframe.js";
import type { Note } from "../dist/contract/options.js";
import { findCounts } from "../dist/data/count-places.js";
import { readConditions } from "../dist/data/labels.js";
import { resolveGenes, selectVariableGenes } from "../dist/data/variable-genes.js";
import { annData, booleans, categorical, frame, matrix, names, numbers } from "./memory.js";

interface Selection {
  readonly key: string | null;
  readonly n: number;
  /** hex, a bit per gene */
  readonly mask: string;
}
const facts = JSON.parse(
  readFileSync(new URL("fixtures/variable-genes.json", import.meta.url), "utf8"),
) as Record<string, Selection[]>;

function columnsOf({ mask }: Selection): number[] {
  const bytes = Buffer.from(mask, "hex");
  return Array.from({ length: bytes.length * 8 }, (_, gene) => gene).filter(
    (gene) => (bytes[gene >> 3]! >> (7 - (gene & 7))) & 1,
  );
}

function mix(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d) >>> 0;
  h = Math.imul(h ^ (h >>> 15), 0x846ca68b) >>> 0;
  return (h ^ (h >>> 16)) >>> 0;
}

/** As `simulated` in make_variable_genes.py. */
const sizes = [110, 70, 35, 25];
const codes = Int32Array.from(sizes.flatMap((size, condition) => new Array<number>(size).fill(condition)));
function simulated(): number[][] {
  const genes = 150;
  return Array.from(codes, (condition, c) =>
    Array.from({ length: genes }, (_, g) => {
      if (g >= (condition === 3 ? genes - 10 : genes - 1)) return 0;
      let odds = 5 + ((g * g * 7) % 300) + (condition === g % 4 ? 40 : 0);
      if (g % 5 === 0 && mix(c) % 3 === 0) odds *= 3;
      let draws = 0;
      for (let draw = 0; draw < 6; draw++) if (mix((mix(c * 1000 + g) ^ draw) >>> 0) % 1000 < odds) draws++;
      return draws * (1 + (g % 3));
    }),
  );
}

describe("the genes that scanpy selects", () => {
  const data = annData({ X: matrix(simulated()) });
  for (const selection of facts.simulated!) {
    test(`simulated counts, ${selection.n} genes${selection.key ? ", by condition" : ""}`, async () => {
      const place = await findCounts(data);
      assert.deepEqual(
        [...(await selectVariableGenes(place, selection.key ? codes : null, selection.n))],
        columnsOf(selection),
      );
    });
  }

  for (const name of ["kang16", "pbmc3"]) {
    const path = fileURLToPath(new URL(`../../shared/data/${name}.h5ad`, import.meta.url));
    for (const selection of facts[name]!) {
      test(
        `${name}, ${selection.n} genes, ${selection.key ? `by ${selection.key}` : "all cells together"}`,
        { skip: existsSync(path) ? false : `there is no ${path}` },
        async () => {
          const file = await AnnData.open(path);
          try {
            const conditions = selection.key ? (await readConditions(file.obs, selection.key)).codes : null;
            assert.deepEqual(
              [...(await selectVariableGenes(await findCounts(file), conditions, selection.n))],
              columnsOf(selection),
            );
          } finally {
            file.close();
          }
        },
      );
    }
  }

  test("cells that are left out do not count", async () => {
    const rows = simulated();
    const keep = Int32Array.from(rows.keys()).filter((row) => row % 3 !== 0);
    const kept = await findCounts(annData({ X: matrix(Array.from(keep, (row) => rows[row]!)) }));
    const all = await findCounts(data);
    const keptCodes = keep.map((row) => codes[row]!);
    assert.deepEqual(
      await selectVariableGenes(all, keptCodes, 30, { keep }),
      await selectVariableGenes(kept, keptCodes, 30),
    );
    assert.deepEqual(
      await selectVariableGenes(all, null, 30, { keep }),
      await selectVariableGenes(kept, null, 30),
    );
  });

  test("a condition with one cell, and a cell without counts, do no harm", async () => {
    const rows = simulated();
    rows[0] = rows[0]!.map(() => 0);
    const changedCodes = codes.map((code, cell) => (cell === 239 ? 4 : code));
    const chosen = await selectVariableGenes(
      await findCounts(annData({ X: matrix(rows) })),
      changedCodes,
      30,
    );
    assert.equal(new Set(chosen).size, 30);
  });

  test("conditions whose sums exceed memory are summed in several passes, with the same genes", async () => {
    const rows = simulated();
    const mixed = Int32Array.from(rows.keys()).sort((a, b) => mix(a) - mix(b));
    const expected = [...(await selectVariableGenes(await findCounts(data), codes, 30))];
    const passesOf = async (order: Int32Array, fit: number): Promise<number> => {
      let reached = 0;
      const place = await findCounts(annData({ X: matrix(Array.from(order, (row) => rows[row]!)) }));
      const selected = await selectVariableGenes(
        place,
        order.map((row) => codes[row]!),
        30,
        { sumBytes: fit * 16 * 150, onProgress: (done) => (reached = done) },
      );
      assert.deepEqual([...selected], expected);
      return reached / 240;
    };
    const sorted = Int32Array.from(rows.keys());
    assert.deepEqual(
      [
        await passesOf(sorted, 1),
        await passesOf(mixed, 4),
        await passesOf(mixed, 3),
        await passesOf(mixed, 1),
      ],
      [1, 1, 2, 4],
    );
  });

  test("scATAC: the peaks open in most of the kept cells; ties are broken by name", async () => {
    const rows = [
      [9, 1, 0, 2],
      [9, 0, 0, 1],
      [0, 1, 1, 0],
      [0, 1, 3, 1],
    ];
    const place = await findCounts(annData({ X: matrix(rows) }));
    const chosen = async (n: number, keep?: Int32Array): Promise<number[]> => [
      ...(await resolveGenes(n, place, null, { isAtac: true, keep })),
    ];
    // open in 2, 3, 2 and 3 cells; in 2, 1, 0 and 2 of the first two
    assert.deepEqual(
      [
        await chosen(2),
        await chosen(3),
        await chosen(1, Int32Array.of(0, 1)),
        await chosen(3, Int32Array.of(0, 1)),
      ],
      [[1, 3], [0, 1, 3], [0], [0, 1, 3]],
    );
  });

  test("progress ends at the number of cells", async () => {
    const seen: number[][] = [];
    await selectVariableGenes(await findCounts(data), codes, 5, {
      onProgress: (done, total) => seen.push([done, total]),
    });
    assert.deepEqual(seen.at(-1), [240, 240]);
  });
});

describe("genes of a model", () => {
  const rows = [
    [1, 0, 3, 1],
    [2, 1, 0, 1],
    [0, 4, 1, 1],
  ];
  const place = (columns: Record<string, Column> = {}) =>
    findCounts(annData({ X: matrix(rows), var: frame(names("g", 4), columns) }));
  const fails = (kind: string, says: RegExp) => (error: { kind: string; message: string }) => (
    assert.equal(error.kind, kind),
    assert.match(error.message, says),
    true
  );

  test("all genes by default, or if more are requested than exist, with a note", async () => {
    const notes: Note[] = [];
    assert.deepEqual([...(await resolveGenes(undefined, await place(), null))], [0, 1, 2, 3]);
    assert.deepEqual(
      [...(await resolveGenes(9, await place(), null, { note: (note) => notes.push(note) }))],
      [0, 1, 2, 3],
    );
    assert.match(notes[0]!.message, /All 4 genes/);
  });

  test("a number below one is a usage error", async () => {
    for (const wrong of [0, -3, 2.5, NaN])
      await assert.rejects(resolveGenes(wrong, await place(), null), fails("usage", /whole number/));
  });

  test("a list of names in any order; missing names are refused, and skipped with force", async () => {
    const notes: Note[] = [];
    assert.deepEqual([...(await resolveGenes(["g3", "g1", "g3"], await place(), null))], [1, 3]);
    await assert.rejects(
      resolveGenes(["g1", "CD3E"], await place(), null),
      fails("refused", /1 gene of the list is not in X: 'CD3E'/),
    );
    assert.deepEqual(
      [
        ...(await resolveGenes(["g1", "CD3E"], await place(), null, {
          force: true,
          note: (note) => notes.push(note),
        })),
      ],
      [1],
    );
    assert.equal(notes[0]!.level, "warning");
    await assert.rejects(
      resolveGenes(["CD3E"], await place(), null, { force: true }),
      fails("key", /No gene of the list.*'g0'/),
    );
    await assert.rejects(resolveGenes([], await place(), null), fails("key", /empty/));
  });

  test("a column of var: booleans, 0 and 1, or True and False as text", async () => {
    for (const column of [
      booleans([false, true, true, false]),
      numbers([0, 1, 1, 0]),
      categorical([0, 1, 1, 0], ["False", "True"]),
    ])
      assert.deepEqual(
        [...(await resolveGenes({ varColumn: "use" }, await place({ use: column }), null))],
        [1, 2],
      );
    await assert.rejects(
      resolveGenes({ varColumn: "use" }, await place({ use: numbers([0, 1, 2, 0]) }), null),
      fails("key", /not a boolean column: it contains 2/),
    );
    await assert.rejects(
      resolveGenes({ varColumn: "use" }, await place({ use: booleans([false, true, null, false]) }), null),
      fails("key", /not a boolean/),
    );
    await assert.rejects(
      resolveGenes({ varColumn: "use" }, await place({ use: booleans([false, false, false, false]) }), null),
      fails("key", /False for all 4/),
    );
    await assert.rejects(resolveGenes({ varColumn: "none" }, await place(), null), fails("key", /none/));
  });
});
