// Counts streamed from the file: the same counts as in memory, in a different order; training, resuming and
// mapping without loading them.
import assert from "node:assert/strict";
import { copyFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { sparseMatrix } from "../dist/anndata/matrix.js";
import { findCounts, type CountsPlace } from "../dist/data/count-places.js";
import { CountsInMemory, type CountRows, type CountSource } from "../dist/data/count-source.js";
import { loadCounts } from "../dist/data/counts.js";
import { createEngine } from "../dist/engine/create.js";
import { AnnData, ScPoli, type Mapping, type TrainOptions } from "../dist/index.js";
import { openCounts } from "../dist/data/memory.js";
import { Network } from "../dist/model/network.js";
import { planOptimization } from "../dist/training/optimization.js";
import { initialValues, modelOptions, parameterShapes } from "../dist/model/parameters.js";
import { minkowski } from "../dist/prototypes/prototypes.js";
import { Random } from "../dist/numerics/random.js";
import { openStreamedCounts } from "../dist/data/streamed-counts.js";
import { Trainer } from "../dist/training/trainer.js";
import { folder, makeAtlas, texts } from "./atlas.ts";

after(() => rmSync(folder, { recursive: true, force: true }));

// sorted by donor, as files of several samples are
const donors = ["d1", "d2", "d3"];
const reference = await makeAtlas("reference", {
  cells: 900,
  conditions: donors,
  condition: (cell) => donors[Math.floor(cell / 300)]!,
});
const query = await makeAtlas("query", { cells: 200, conditions: ["q1", "q2"], seed: 2, label: () => null });
const keys = { conditionKeys: ["donor"], cellTypeKeys: ["cell_type"] };
const options: TrainOptions = { ...keys, hiddenLayerSizes: [32], epochs: 100, alphaEpochAnneal: 30, eta: 5 };
const streamed = { stream: "always" } as const;
const inMemory = await ScPoli.train(reference, options);
const model = await ScPoli.train(reference, { ...options, ...streamed });

const place = await findCounts(reference);
const some = Int32Array.from({ length: 900 }, (_, row) => row).filter(
  (row) => row % 7 !== 3 && (row < 100 || row > 180),
);
const map = Int32Array.from({ length: 120 }, (_, column) =>
  column % 3 === 0 ? -1 : 119 - column - Math.floor((119 - column) / 3),
); // some genes, from last to first
const genes = 1 + map.reduce((most, gene) => Math.max(most, gene), -1);
const small = { rows: 16, together: 4 };

/** Genes and counts of a cell. */
function countsOf(rows: CountRows, cell: number): [number[], number[]] {
  const minibatch = {
    rows: 1,
    indptr: new Int32Array(2),
    indices: new Int32Array(genes),
    counts: new Float32Array(genes),
    sizeFactors: new Float32Array(1),
    conditions: [],
    combinations: new Int32Array(1),
    labels: new Int32Array(0),
  };
  rows.fill(minibatch, Int32Array.of(cell));
  const end = minibatch.indptr[1]!;
  return [Array.from(minibatch.indices.subarray(0, end)), Array.from(minibatch.counts.subarray(0, end))];
}

function tensorsOf({ stored }: ScPoli): Record<string, readonly number[]> {
  return Object.fromEntries([...stored.tensors].map(([name, { data }]) => [name, Array.from(data)]));
}

async function accuracy({ predictions, model: { stored } }: Mapping<ScPoli>): Promise<number> {
  const truth = await texts(query, "truth");
  return (
    truth.filter((type, cell) => stored.json.cell_types[predictions[0]!.predicted[cell]!] === type).length /
    truth.length
  );
}

describe("counts in the file", () => {
  for (const [how, keep, leastForThread] of [
    ["read by the caller", some, Infinity],
    ["read by a thread", undefined, 0],
    ["read by a thread, with cells left out", some, 0],
  ] as const)
    test(`are those in memory, in any order: ${how}`, async () => {
      const memory = new CountsInMemory(await loadCounts(place, map, genes, { keep }));
      const file = await openStreamedCounts(place, map, genes, { keep }, small, leastForThread);
      assert.deepEqual(
        [file.cells, file.genes, file.widest, file.isStreamed],
        [memory.cells, memory.genes, memory.widest, true],
      );
      assert.deepEqual(file.sizeFactors, memory.sizeFactors);
      const all = Int32Array.from({ length: file.cells }, (_, cell) => cell);
      const orders = {
        ascending: all,
        ofAnEpoch: file.shuffled(all, 0, 3),
        ofMemory: memory.shuffled(all, 0, 3),
        few: Int32Array.of(700, 3, 4, 650, 5),
      };
      for (const [name, order] of Object.entries(orders)) {
        const pass = file.pass(order);
        for (let start = 0; start < order.length; start += 50) {
          const cells = order.subarray(start, start + 50);
          await pass.reach(cells);
          for (const cell of cells)
            assert.deepEqual(countsOf(pass, cell), countsOf(memory, cell), `${name}, cell ${cell}`);
        }
        await pass.end();
      }
      const held = await file.hold(orders.few);
      for (const cell of orders.few)
        assert.deepEqual(countsOf(held, cell), countsOf(memory, cell), `held cell ${cell}`);
    });

  for (const columns of [40, 70_000])
    test(`small and large counts of ${columns} genes, in one buffer where supported`, async () => {
      const rows = 60;
      const indptr = Int32Array.from({ length: rows + 1 }, (_, row) => 4 * row);
      const indices = Int32Array.from(
        { length: 4 * rows },
        (_, k) => (k % 4) * 9 + (k % 4 === 3 ? columns - 40 : 0),
      );
      const values = Float32Array.from({ length: 4 * rows }, (_, k) =>
        k % 29 === 7 ? 300 + k : 1 + (k % 255),
      );
      const wide: CountsPlace = {
        ...place,
        matrix: sparseMatrix({ rows, columns, indptr, indices, values }, "X"),
      };
      const file = await openStreamedCounts(
        wide,
        Int32Array.from({ length: columns }, (_, gene) => gene),
        columns,
        {},
        { rows: 16, together: 2 },
        Infinity,
      );
      const order = new Random(3, "order").shuffle(Int32Array.from({ length: rows }, (_, cell) => cell));
      const pass = file.pass(order);
      for (let start = 0; start < rows; start += 25) {
        const cells = order.subarray(start, start + 25);
        await pass.reach(cells);
        const compact = { indices: new Uint16Array(100), counts: new Uint8Array(100) };
        const minibatch = {
          rows: 0,
          indptr: new Int32Array(26),
          indices: new Int32Array(100),
          counts: new Float32Array(100),
          sources: new Int32Array(25),
          compact,
          sizeFactors: new Float32Array(25),
          conditions: [],
          combinations: new Int32Array(25),
          labels: new Int32Array(0),
        };
        pass.fill(minibatch, cells);
        cells.forEach((cell, row) => {
          const source = minibatch.sources[row]!;
          const [from, at] = source < 0 ? [minibatch, minibatch.indptr[row]!] : [compact, source];
          assert.deepEqual([minibatch.indptr[row], minibatch.indptr[row + 1]], [4 * row, 4 * row + 4]);
          assert.equal(
            source >= 0,
            columns < 65_536 && Math.max(...values.subarray(4 * cell, 4 * cell + 4)) < 256,
            `cell ${cell}`,
          );
          assert.deepEqual(
            Array.from(from.indices.subarray(at, at + 4)),
            Array.from(indices.subarray(4 * cell, 4 * cell + 4)),
          );
          assert.deepEqual(
            Array.from(from.counts.subarray(at, at + 4)),
            Array.from(values.subarray(4 * cell, 4 * cell + 4)),
          );
        });
      }
      await pass.end();
    });

  test("a pass that ends early, and a file that was removed", async () => {
    const path = join(folder, "copy.h5ad");
    copyFileSync(reference.path, path);
    const copy = await AnnData.open(path);
    const file = await openStreamedCounts(await findCounts(copy), map, genes, {}, small, 0);
    const cells = Int32Array.from({ length: 900 }, (_, cell) => cell);
    const early = file.pass(cells);
    await early.reach(cells.subarray(0, 20));
    await early.end();
    rmSync(path);
    const late = file.pass(cells);
    await assert.rejects(late.reach(cells), { kind: "file" });
    await late.end();
    copy.close();
  });

  test("epoch order: every cell once, from few blocks at a time, shuffled by epoch and seed", async () => {
    const file = await openStreamedCounts(place, map, genes, {}, small);
    const cells = new Random(1, "training cells")
      .shuffle(Int32Array.from({ length: 900 }, (_, cell) => cell))
      .subarray(0, 800)
      .sort();
    const order = file.shuffled(cells, 0, 1);
    assert.deepEqual(order.slice().sort(), cells);
    assert.deepEqual(file.shuffled(cells, 0, 1), order);
    assert.notDeepEqual(file.shuffled(cells, 0, 2), order);
    assert.notDeepEqual(file.shuffled(cells, 1, 1), order);
    const blocksFrom = (start: number, end: number): number =>
      new Set(order.subarray(start, end).map((cell) => Math.floor(cell / small.rows))).size;
    // 16 rows of which about 14 train, in 4 blocks at a time
    for (let start = 0; start + 56 <= 800; start += 56)
      assert.ok(blocksFrom(start, start + 56) <= 2 * small.together, `blocks of cells ${start} on`);
    assert.ok(
      blocksFrom(0, 28) === small.together,
      "the first cells are of all blocks that are read together",
    );
    const neighbours = order.reduce(
      (sum, cell, i) => sum + (i > 0 && Math.abs(cell - order[i - 1]!) === 1 ? 1 : 0),
      0,
    );
    assert.ok(neighbours < 80, `${neighbours} neighbours stayed neighbours`);
  });

  test("the memory estimate is reported and decides; runs that cannot fit are refused", async () => {
    const need = { map, genes, parameters: 1000, minibatch: 128 };
    const notes: string[] = [];
    const open = (more: object) =>
      openCounts(place, need, { onNote: ({ message }) => notes.push(message), ...more });
    assert.equal((await open({})).isStreamed, false);
    assert.match(notes.at(-1)!, /^About 0\.\d\d GB of memory needed\. Counts are held in memory\./);
    assert.equal((await open({ stream: "always" })).isStreamed, true);
    assert.match(notes.at(-1)!, /Counts are streamed from the file\./);
    await assert.rejects(open({ memory: 1e6 }), {
      kind: "memory",
      message:
        /needs about 0\.\d\d GB .* even with the counts left in the file.*0\.00 GB is allowed.*--genes/,
    });
    assert.equal((await open({ memory: 1e6, force: true })).isStreamed, true);
    assert.equal((await open({ memory: 1e6, stream: "never" })).isStreamed, false);
    await assert.rejects(open({ memory: NaN }), { kind: "usage" });
  });
});

describe("a streamed run", () => {
  test("gives a model as good as one in memory", async () => {
    const [mapping, other] = [
      await model.map(query, { epochs: 30, ...streamed }),
      await inMemory.map(query, { epochs: 30 }),
    ];
    const [right, rightInMemory] = [await accuracy(mapping), await accuracy(other)];
    assert.ok(
      right > 0.9 && right > rightInMemory - 0.05,
      `accuracy ${right} streamed, ${rightInMemory} in memory`,
    );
    const lossOf = ({ stored }: ScPoli): number =>
      (stored.json.provenance["losses"] as { validation: { reconstruction: number } }).validation
        .reconstruction;
    assert.ok(
      lossOf(model) < 1.02 * lossOf(inMemory),
      `reconstruction ${lossOf(model)} streamed, ${lossOf(inMemory)} in memory`,
    );
  });

  test("is as good where only a few neighbouring cells are shuffled together", async () => {
    const names = await texts(reference, "truth");
    const types = [...new Set(names)].sort();
    const cells = 900;
    const all = Int32Array.from({ length: 120 }, (_, column) => column);
    const donorOf = Int32Array.from({ length: cells }, (_, cell) => Math.floor(cell / 300));
    const labels = Int32Array.from(names, (name) => types.indexOf(name));
    const learn = async (counts: CountSource): Promise<{ right: number; loss: number }> => {
      const dataset = { counts, conditions: [donorOf], combinations: donorOf, labels, levels: 1 };
      const model = modelOptions({ hiddenLayerSizes: [32] }, 120, 1);
      const D = model.latentDim;
      const sizes = { genes: 120, conditions: [3], combinations: 3 };
      const plan = planOptimization(
        { epochs: 60, alphaEpochAnneal: 20, eta: 5, minibatch: 32, earlyStopping: false },
        { stage: "training", cells, hasLabels: true, dropout: 0.05, seed: 0 },
      );
      const engine = await createEngine(
        {
          minibatchSize: 32,
          minibatchCapacity: 32 * 120,
          genes: 120,
          conditionKeys: 1,
          levels: 1,
          prototypes: [types.length, D],
        },
        { threads: 1 },
      );
      const network = new Network(engine, model, sizes, { weightDecay: plan.weightDecay });
      const shapes = parameterShapes(model, sizes);
      network.write(new Map(shapes.map((shape) => [shape.name, initialValues(shape, shapes, 0)])));
      const trainer = new Trainer(network, dataset, {
        stage: "training",
        plan,
        prototypeCount: types.length,
        levels: [types.map((_type, k) => k)],
      });
      const { history, prototypes, split } = await trainer.run();
      const latent = await trainer.encode(split.validation);
      await engine.close();
      const nearest = Array.from(split.validation, (_, i) => {
        const distances = types.map((_type, k) => minkowski(latent, i, prototypes!.means, k, D, 2));
        return distances.indexOf(Math.min(...distances));
      });
      const right =
        nearest.filter((type, i) => type === labels[split.validation[i]!]).length / split.validation.length;
      return { right, loss: history.at(-1)!.validation!.reconstruction };
    };
    // 128 cells of 8 places at a time, of a file that is sorted by donor
    const file = await learn(await openStreamedCounts(place, all, 120, {}, { rows: 16, together: 8 }));
    const memory = await learn(new CountsInMemory(await loadCounts(place, all, 120)));
    assert.ok(
      file.right > 0.9 && file.right >= memory.right - 0.05,
      `accuracy ${file.right} streamed, ${memory.right} in memory`,
    );
    assert.ok(
      file.loss < 1.01 * memory.loss,
      `reconstruction ${file.loss} streamed, ${memory.loss} in memory`,
    );
  });

  test("one seed, any number of threads: the same bytes", async () => {
    const train = async (threads: number): Promise<unknown> =>
      tensorsOf(await ScPoli.train(reference, { ...options, ...streamed, epochs: 4, threads }));
    assert.deepEqual(await train(2), await train(1));
  });

  test("leaves cells and genes out as one in memory does", async () => {
    const trained = await ScPoli.train(reference, {
      ...options,
      ...streamed,
      epochs: 3,
      exclude: { donor: ["d2"] },
      genes: ["gene7", "gene3", "gene90"],
    });
    const { json } = trained.stored;
    assert.deepEqual(
      [json.genes, json.conditions, json.provenance["cells"]],
      [["gene3", "gene7", "gene90"], [["d1", "d3"]], 600],
    );
  });

  test("stopped and resumed, it gives the same bytes; a run in memory cannot resume it", async () => {
    const wholeRun: TrainOptions = {
      ...options,
      ...streamed,
      epochs: 12,
      checkpoint: join(folder, "streamed.checkpoint"),
    };
    const whole = tensorsOf(await ScPoli.train(reference, { ...wholeRun, checkpoint: undefined }));
    for (const stopAt of [2, 11]) {
      const abort = new AbortController();
      const started = ScPoli.train(reference, {
        ...wholeRun,
        signal: abort.signal,
        onProgress: ({ epoch = 0 }) => epoch >= stopAt && abort.abort(),
      });
      await assert.rejects(started, { kind: "interrupted" });
      await assert.rejects(ScPoli.train(reference, { ...wholeRun, stream: "never", resume: true }), {
        kind: "refused",
      });
      assert.deepEqual(
        tensorsOf(await ScPoli.train(reference, { ...wholeRun, resume: true })),
        whole,
        `stopped in epoch ${stopAt}`,
      );
    }
  });

  test("maps without training to the same bits as in memory", async () => {
    const [mapping, other] = [
      await model.map(query, { training: false, ...streamed }),
      await model.map(query, { training: false }),
    ];
    assert.deepEqual(mapping.latent, other.latent);
    assert.deepEqual(mapping.report.conditions, other.report.conditions);
  });

  test("embedding reports its memory, and is refused if it cannot fit", async () => {
    const notes: string[] = [];
    await model.embed(reference, { onNote: ({ message }) => notes.push(message) });
    assert.ok(
      notes.some((message) =>
        /^About 0\.\d\d GB of memory needed\. Counts are read from the file/.test(message),
      ),
      notes.join("; "),
    );
    await assert.rejects(model.embed(reference, { memory: 1e6 }), {
      kind: "memory",
      message: /needs about 0\.\d\d GB of memory, and 0\.00 GB is allowed/,
    });
    await model.embed(reference, { memory: 1e6, force: true });
  });
});
