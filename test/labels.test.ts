// Conditions and cell types as codes: every kind of column, missing values, names of "no label", levels that
// share one table, cells left out.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ScPoliError, type ErrorKind } from "../dist/contract/errors.js";
import { checkGroups } from "../dist/data/key-columns.js";
import { byCodePoint, factorize, keptCells, readConditions, readLabels } from "../dist/data/labels.js";
import { isUnlabeled } from "../dist/data/missing-values.js";
import type { Column } from "../dist/anndata/dataframe.js";
import { booleans, categorical, frame, names, numbers, strings } from "./memory.js";

const obs = (columns: Record<string, Column>) =>
  frame(names("c", Object.values(columns)[0]?.length ?? 0), columns);
const fails = (kind: ErrorKind, says: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ScPoliError, String(error));
  assert.equal(error.kind, kind);
  assert.match(error.message, says);
  return true;
};

describe("columns as codes", () => {
  const cases: readonly [string, Column, number[], string[]][] = [
    ["strings, sorted", strings(["b", "a", null, "b"]), [1, 0, -1, 1], ["a", "b"]],
    [
      "categories, those that occur",
      categorical([2, 0, -1, 2], ["z", "never", "a"]),
      [0, 1, -1, 0],
      ["a", "z"],
    ],
    ["categories of the same text are one", categorical([0, 1, 2], ["1", "x", "1"]), [0, 1, 0], ["1", "x"]],
    ["whole numbers without a point", numbers([10, 9, NaN, 10]), [0, 1, -1, 0], ["10", "9"]],
    ["fractions", numbers([0.5, -1.25]), [1, 0], ["-1.25", "0.5"]],
    ["booleans as Python writes them", booleans([true, false, null]), [1, 0, -1], ["False", "True"]],
    ["nothing", strings([]), [], []],
  ];
  for (const [what, column, codes, expected] of cases)
    test(what, () => {
      const factor = factorize(column);
      assert.deepEqual([[...factor.codes], factor.names], [codes, expected]);
    });

  test("only of the cells kept", () => {
    const keep = Int32Array.of(1, 3);
    for (const column of [strings(["a", "b", "c", "d"]), categorical([0, 1, 2, 3], ["a", "b", "c", "d"])]) {
      const { codes, names: kept } = factorize(column, { keep });
      assert.deepEqual(
        [[...codes], kept],
        [
          [0, 1],
          ["b", "d"],
        ],
      );
    }
  });

  test("names sort by code point, as in Python", () => {
    const sorted = ["", "1", "10", "9", "B", "a", "b", "ä", "\uff61", "\u{10000}", "\u{1f600}", "\u{1f601}"];
    assert.deepEqual([...sorted].reverse().sort(byCodePoint), sorted);
  });
});

describe("conditions", () => {
  test("names in order, a code per cell; one value is fine", async () => {
    assert.deepEqual(await readConditions(obs({ donor: strings(["d2", "d1", "d2"]) }), "donor"), {
      key: "donor",
      codes: Int32Array.of(1, 0, 1),
      names: ["d1", "d2"],
    });
    const single = await readConditions(obs({ donor: strings(["d", "d"]) }), "donor");
    assert.deepEqual(single.names, ["d"]);
    await checkGroups(obs({}), "donor", single, "condition");
  });

  test("a missing value is an error that names the rows; not where the cell is left out", async () => {
    const file = obs({ donor: strings(["a", null, "b", "", "NaN"]) });
    await assert.rejects(
      readConditions(file, "donor"),
      fails(
        "key",
        /obs\['donor'\] has no value for 3 of 5 cells: row 1 \('c1'\), row 3 \('c3'\), row 4 \('c4'\)\./,
      ),
    );
    await assert.rejects(
      readConditions(file, "donor", { keep: Int32Array.of(0, 3) }),
      fails("key", /1 of 2 cells: row 3 \('c3'\)/),
    );
    assert.deepEqual((await readConditions(file, "donor", { keep: Int32Array.of(0, 2) })).names, ["a", "b"]);
    await assert.rejects(readConditions(obs({ donor: numbers([1, NaN]) }), "donor"), fails("key", /row 1/));
    await assert.rejects(readConditions(file, "patient"), fails("key", /patient/));
  });

  test("a condition per cell is refused with a reason; a single cell is fine", async () => {
    const each = await readConditions(obs({ cell: strings(["x", "y", "z"]) }), "cell");
    await assert.rejects(
      checkGroups(obs({}), "cell", each, "condition"),
      fails("refused", /different value for each of the 3 cells.*--force/),
    );
    await checkGroups(obs({}), "cell", each, "condition", { force: true });
    const one = await readConditions(obs({ cell: strings(["x"]) }), "cell");
    await checkGroups(obs({}), "cell", one, "condition");
  });
});

describe("cell types", () => {
  test("names that mean no label, in any case; those of the user match exactly", () => {
    for (const name of [
      null,
      "",
      " ",
      "nan",
      "NaN",
      "NA",
      "Unknown",
      "unlabeled",
      "Unlabelled",
      "UNASSIGNED",
    ])
      assert.ok(isUnlabeled(name), String(name));
    for (const name of ["T cell", "unknown T", "nano", "0"]) assert.ok(!isUnlabeled(name), name);
    assert.ok(isUnlabeled("doublet", ["doublet"]) && !isUnlabeled("Doublet", ["doublet"]));
  });

  test("one level", async () => {
    const labels = await readLabels(
      obs({ type: strings(["T", "unknown", "B", null, "T", "doublet"]) }),
      ["type"],
      ["doublet"],
    );
    assert.deepEqual(labels, {
      keys: ["type"],
      codes: Int32Array.of(1, -1, 0, -1, 1, -1),
      names: ["B", "T"],
      levels: [{ key: "type", types: Int32Array.of(0, 1) }],
    });
  });

  test("two levels share one table: a name at both is one prototype", async () => {
    const {
      codes,
      names: table,
      levels,
    } = await readLabels(
      obs({ fine: strings(["CD4", "B", "nan"]), broad: categorical([1, 0, 1], ["B", "T"]) }),
      ["fine", "broad"],
    );
    assert.deepEqual(table, ["B", "CD4", "T"]);
    assert.deepEqual([...codes], [1, 2, 0, 0, -1, 2]);
    assert.deepEqual(levels, [
      { key: "fine", types: Int32Array.of(0, 1) },
      { key: "broad", types: Int32Array.of(0, 2) },
    ]);
  });

  test("clusters by number are names like others", async () => {
    assert.deepEqual((await readLabels(obs({ leiden: numbers([0, 10, 9]) }), ["leiden"])).names, [
      "0",
      "10",
      "9",
    ]);
  });

  test("no key: no table; no label at a level: an error", async () => {
    assert.deepEqual((await readLabels(obs({ a: strings(["x"]) }), [])).levels, []);
    await assert.rejects(
      readLabels(obs({ a: strings(["x", "y"]), b: strings([null, "Unknown"]) }), ["a", "b"]),
      fails("key", /obs\['b'\] has no label for any of 2 cells: only 'Unknown'/),
    );
    await assert.rejects(
      readLabels(obs({ b: numbers([NaN, NaN]) }), ["b"]),
      fails("key", /only missing values/),
    );
  });
});

describe("cells left out", () => {
  const file = obs({ donor: strings(["a", "b", "c", "a"]), day: numbers([1, 2, 2, NaN]) });

  test("by values of one or more columns", async () => {
    assert.deepEqual(await keptCells(file, { donor: ["a"] }), Int32Array.of(1, 2));
    assert.deepEqual(await keptCells(file, { donor: ["b"], day: ["1"] }), Int32Array.of(2, 3));
    assert.equal(await keptCells(file, {}), undefined);
  });

  test("a value that is not there, or no cell left, is an error", async () => {
    await assert.rejects(
      keptCells(file, { donor: ["a", "d"] }),
      fails("key", /no value 'd'; it has 'a', 'b', 'c'/),
    );
    await assert.rejects(
      keptCells(file, { donor: ["a", "b", "c"] }),
      fails("key", /leaves none of the 4 cells/),
    );
    await assert.rejects(keptCells(file, { sample: ["a"] }), fails("key", /sample/));
  });
});
