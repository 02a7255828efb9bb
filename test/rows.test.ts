// Rows of stored counts in the kernel: checked, summed, packed and gathered, compared with plain loops.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RowStore, RowSums } from "../dist/kernel-modules/rows.js";
import { Random } from "../dist/numerics/random.js";

const random = new Random(5, "rows");

/** A block with rows of all lengths from 0 on, so that rows begin and end anywhere in a vector. */
function block(rows: number, genes: number, count: () => number) {
  const indptr = Int32Array.from({ length: rows + 1 }, (_, row) => (row * (row - 1)) / 2);
  const stored = indptr[rows]!;
  const indices = new Int32Array(stored);
  for (let row = 0; row < rows; row++)
    for (let k = 0; k < row; k++) indices[indptr[row]! + k] = genes - row + k;
  return { rows, indptr, indices, counts: Float32Array.from({ length: stored }, count) };
}
const small = (): number => 1 + Math.floor(255 * random.uniform());

describe("sums", () => {
  test("are those of a loop, for rows of any length", () => {
    const { rows, indptr, counts } = block(40, 100, () => Math.floor(1e6 * random.uniform()));
    const totals = new Float32Array(rows);
    assert.equal(new RowSums().sum(counts, indptr, rows, totals), true);
    assert.deepEqual(
      totals,
      Float32Array.from(totals, (_, row) =>
        counts.subarray(indptr[row], indptr[row + 1]).reduce((sum, count) => sum + count, 0),
      ),
    );
  });

  test("reject invalid counts at any position, then accept other blocks", () => {
    const { rows, indptr, counts } = block(12, 100, small);
    const sums = new RowSums();
    const totals = new Float32Array(rows);
    for (const wrong of [-1, 0.5, NaN, Infinity, -Infinity, 1e-30])
      for (let at = 0; at < counts.length; at++) {
        const changedCounts = counts.slice();
        changedCounts[at] = wrong;
        assert.equal(sums.sum(changedCounts, indptr, rows, totals), false, `${wrong} at ${at}`);
      }
    assert.equal(sums.sum(counts, indptr, rows, totals), true);
    const larger = block(90, 100, small);
    assert.equal(sums.sum(larger.counts, larger.indptr, 90, new Float32Array(90)), true);
  });
});

for (const genes of [4_000, 65_536, 65_537])
  test(`rows of ${genes} genes are gathered as they were kept, small and large ones, in any order`, () => {
    const store = new RowStore(genes);
    const counts = [
      small,
      () => small() * (random.uniform() < 0.02 ? 100 : 1),
      () => random.uniform() - 0.5,
      () => 255,
      () => 256,
    ];
    const blocks = counts.map((count, i) => block(30 + 7 * i, genes, count));
    // dropped blocks make room for others
    for (let i = 0; i < 3; i++) store.drop(store.keep(blocks[4]!));
    const kept = blocks.map((block) => store.keep(block));
    const picks = random.shuffle(Int32Array.from({ length: 150 }, (_, i) => i)).slice(0, 120);
    const [rows, of] = [picks.map((pick) => pick % 30), Array.from(picks, (pick) => pick % 5)];
    const {
      indptr,
      indices,
      small: smallBlocks,
      largeFrom,
      large,
    } = store.gather(
      rows,
      of.map((b) => kept[b]!),
    );
    assert.equal(indices.BYTES_PER_ELEMENT, genes <= 65_536 ? 2 : 4);
    rows.forEach((row, i) => {
      const source = blocks[of[i]!]!;
      const [from, to] = [source.indptr[row]!, source.indptr[row + 1]!];
      const wanted = source.counts.slice(from, to);
      assert.deepEqual(
        Array.from(indices.slice(indptr[i], indptr[i + 1])),
        Array.from(source.indices.slice(from, to)),
        `genes of row ${i}`,
      );
      assert.equal(
        largeFrom[i]! < 0,
        wanted.every((count) => Number.isInteger(count) && count >= 0 && count < 256),
        `row ${i}`,
      );
      const actual =
        largeFrom[i]! < 0
          ? smallBlocks.slice(indptr[i], indptr[i + 1])
          : large.slice(largeFrom[i], largeFrom[i]! + to - from);
      assert.deepEqual(Array.from(actual), Array.from(wanted), `counts of row ${i}`);
    });
  });
