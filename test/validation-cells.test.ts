// Validation cells with small combinations of conditions, and messages; names of cell types shared by two
// annotation levels.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { after, describe, test } from "node:test";
import { ScPoli, type Note, type TrainOptions } from "../dist/index.js";
import { splitCells, type Dataset } from "../dist/data/minibatches.js";
import { addQueryTypes } from "../dist/prototypes/growth.js";
import { PrototypeSums } from "../dist/prototypes/prototypes.js";
import { folder, makeAtlas } from "./atlas.ts";

after(() => rmSync(folder, { recursive: true, force: true }));

/** Cells of combinations of the given sizes. @param types - per cell and level */
function dataset(sizes: readonly number[], types: readonly (readonly number[])[] = []): Dataset {
  const combinations = Int32Array.from(sizes.flatMap((size, combination) => Array(size).fill(combination)));
  const levels = types[0]?.length ?? 1;
  const labels = types.length > 0 ? Int32Array.from(types.flat()) : new Int32Array(combinations.length);
  const counts = { cells: combinations.length, mostHeld: Infinity } as Dataset["counts"];
  return { counts, conditions: [combinations], combinations, labels, levels };
}

describe("validation cells", () => {
  test("combinations of 9 cells give one cell each until the share is reached, none its last cell", () => {
    const data = dataset(Array.from({ length: 40 }, () => 9));
    const { train, validation, heldOutOf } = splitCells(data, 0.9, 1);
    assert.equal(heldOutOf, "cells");
    assert.equal(validation.length, 36);
    assert.equal(train.length, 324);
    const held = Array.from(validation, (cell) => data.combinations[cell]);
    assert.equal(new Set(held).size, 36, "one of each at most");
    const lonely = splitCells(dataset(Array.from({ length: 50 }, () => 1)), 0.9, 1);
    assert.equal(lonely.validation.length, 0);
  });

  test("where combinations are large enough, each gives its share", () => {
    const data = dataset([100, 50, 9]);
    const { validation, heldOutOf } = splitCells(data, 0.9, 1);
    assert.equal(heldOutOf, "combinations");
    const held = Array.from(validation, (cell) => data.combinations[cell]!);
    assert.deepEqual(
      [0, 1, 2].map((combination) => held.filter((code) => code === combination).length),
      [10, 5, 0],
    );
  });

  test("a type with one cell trains, also where both levels have its name", () => {
    const types = Array.from({ length: 100 }, (_, cell) => (cell === 42 ? [1, 1] : [0, 2]));
    for (let seed = 0; seed < 30; seed++)
      assert.ok(splitCells(dataset([100], types), 0.5, seed).train.includes(42), `seed ${seed}`);
  });

  test("held-out cells are reported", async () => {
    const keys: TrainOptions = { conditionKeys: ["donor"], cellTypeKeys: ["cell_type"], epochs: 1 };
    const train = async (cells: number, conditions: number, more: Partial<TrainOptions> = {}) => {
      const notes: Note[] = [];
      const donors = Array.from({ length: conditions }, (_, i) => `d${i}`);
      const data = await makeAtlas(`few-${cells}`, {
        cells,
        genes: 30,
        conditions: donors,
        condition: (cell) => donors[cell % conditions]!,
      });
      await ScPoli.train(data, { ...keys, ...more, onNote: (note) => notes.push(note) });
      return notes;
    };
    const has = (notes: readonly Note[], level: Note["level"], words: RegExp): boolean =>
      notes.some((note) => note.level === level && words.test(note.message));
    const small = await train(240, 30);
    assert.ok(has(small, "info", /24 of all 240 cells validate/));
    assert.ok(!has(small, "warning", /held/));
    const tiny = await train(8, 2);
    assert.ok(has(tiny, "warning", /No cell is held out for validation: 8 cells are too few/));
    assert.ok(has(tiny, "warning", /Fewer than 20 held-out cells \(0\) have a label of 'cell_type'/));
    const asked = await train(300, 2, { trainFrac: 1 });
    assert.ok(!has(asked, "warning", /No cell is held out/), "all cells were to train");
  });
});

describe("a name at two annotation levels", () => {
  const latent = Float32Array.of(0, 0, 2, 0, 4, 2, 9, 9);
  const labels = Int32Array.of(0, 0, 0, 0, 0, 0, 1, 0);

  test("is one prototype, in which each cell counts once", () => {
    const sums = new PrototypeSums(2, 2, 2);
    sums.add(latent, labels, 4);
    const { means, counts, covariances } = sums.finish();
    assert.deepEqual([...counts], [4, 1]);
    assert.deepEqual([...means], [3.75, 2.75, 9, 9]);
    const variance = [0, 2, 4, 9].reduce((sum, x) => sum + (x - 3.75) ** 2, 0) / 3;
    assert.ok(Math.abs(covariances[0]! - variance) < 1e-5, `${covariances[0]} for ${variance}`);
  });

  test("a query's shift from the prototypes counts each cell once", () => {
    const tensor = (shape: number[], values: number[]) => ({ shape, data: Float32Array.from(values) });
    const stored = {
      json: {
        cell_types: ["A", "B"],
        levels: [[0, 1], [0]],
        prototype_counts: [1, 1],
        model: { latent_dim: 1 },
      },
      tensors: new Map([
        ["prototypes", tensor([2, 1], [0, 0])],
        ["prototype_covariances", tensor([2, 1, 1], [0, 0])],
      ]),
    } as never;
    // one cell of A at both levels, one of B at one level, one of the new type
    const codes = Int32Array.of(0, 0, 1, -1, 2, -1);
    const grown = addQueryTypes(
      stored,
      ["C"],
      { levels: [[0, 1, 2], [0]], codes },
      Float32Array.of(2, 4, 10),
    );
    assert.equal(grown.tensors.get("prototypes")!.data[2], 10 - (2 + 4) / 2);
  });
});
