// Genes aligned by name: order, missing and repeated ones, and how much of the model a file must have.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Note } from "../dist/contract/options.js";
import { ScPoliError } from "../dist/contract/errors.js";
import { alignGenes, checkCoverage } from "../dist/data/genes.js";

const model = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"];

describe("alignment", () => {
  test("by name, whatever the order; unknown genes are dropped", () => {
    const { map, found, share, missing } = alignGenes(["A", "B", "C"], ["X", "C", "A", "Y"]);
    assert.deepEqual([...map], [-1, 2, 0, -1]);
    assert.deepEqual([found, share, missing], [2, 2 / 3, ["B"]]);
  });

  test("names are compared exactly", () => {
    assert.equal(
      alignGenes(["CD3E", "constructor", "__proto__"], ["cd3e", "toString", "__proto__"]).found,
      1,
    );
  });

  test("a repeated gene is refused where the model uses it, and only there", () => {
    assert.equal(alignGenes(["A", "B"], ["X", "A", "X", "B"]).found, 2);
    assert.throws(
      () => alignGenes(["A", "B"], ["A", "B", "A", "X", "X"]),
      (error: unknown) => {
        assert.ok(error instanceof ScPoliError && error.kind === "format");
        assert.match(error.message, /^1 gene of the model is in more than one column of the file: 'A'\./);
        return true;
      },
    );
  });
});

describe("coverage", () => {
  function check(genes: number, force = false): Note[] {
    const notes: Note[] = [];
    checkCoverage(alignGenes(model, model.slice(0, genes)), { force }, (note) => notes.push(note));
    return notes;
  }

  test("all genes: no note; from 80 %: a note; below 80 %: a warning", () => {
    assert.deepEqual(check(10), []);
    assert.equal(check(8)[0]!.level, "info");
    assert.match(
      check(8)[0]!.message,
      /^8 of the model's 10 genes \(80 %\) are in the file; the others count as zero: 'I', 'J'\.$/,
    );
    assert.equal(check(7)[0]!.level, "warning");
    assert.equal(check(5)[0]!.level, "warning");
  });

  test("under 50 %: refused, unless forced", () => {
    assert.throws(
      () => check(4),
      (error: unknown) =>
        error instanceof ScPoliError && error.kind === "refused" && /40 %.*--force/.test(error.message),
    );
    assert.match(check(4, true)[0]!.message, /'E', 'F', 'G', 'H', 'I' and 1 more/);
  });

  test("no gene in common: an error also when forced, with names of both sides", () => {
    const alignment = alignGenes(model, ["ENSG01", "ENSG02"]);
    for (const force of [false, true])
      assert.throws(
        () => checkCoverage(alignment, { force }, () => {}),
        (error: unknown) =>
          error instanceof ScPoliError &&
          error.kind === "format" &&
          /'A', 'B', 'C'.*'ENSG01', 'ENSG02'/.test(error.message),
      );
  });
});
