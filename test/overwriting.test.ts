// Files that are overwritten, and several writers at once: no result of an earlier run passes as new, and a
// run resumes only the checkpoint that it wrote.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { AnnData, convert, ScPoli, type TrainOptions } from "../dist/index.js";
import { commitTemporary, createTemporary, temporaryName, writeFile } from "../dist/platform/node.js";
import { fingerprint } from "../dist/storage/fingerprint.js";
import { folder, makeAtlas } from "./atlas.ts";

after(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string): string => join(folder, name);
const train: TrainOptions = { conditionKeys: ["donor"], cellTypeKeys: ["cell_type"], epochs: 1 };

describe("mapped again with --force, a file has", () => {
  for (const ending of ["h5ad", "zarr"])
    test(`no column of the earlier run that this one does not write: .${ending}`, async () => {
      const data = await makeAtlas(`again-${ending}`, { cells: 120, genes: 30, conditions: ["d1", "d2"] });
      const model = await ScPoli.train(data, train);
      let source: AnnData = data;
      if (ending === "zarr") {
        await convert(data, at("again.zarr"));
        source = await AnnData.open(at("again.zarr"));
      }
      await model.embed(source, {
        output: at(`first.${ending}`),
        classifier: "head",
        cellTypeKeys: { cell_type: "truth" },
      });
      const first = await AnnData.open(at(`first.${ending}`));
      for (const name of ["cell_type_prototype", "cell_type_completed"])
        assert.ok(first.obs.columnNames.includes(name), name);
      await model.embed(first, { output: at(`second.${ending}`), force: true });
      const second = await AnnData.open(at(`second.${ending}`));
      const others = ({ obs }: AnnData): string[] =>
        obs.columnNames.filter((name) => /_(prototype|head|completed)$/.test(name));
      assert.deepEqual(others(second), ["cell_type_head"]);
      assert.ok(second.obs.columnNames.includes("cell_type_pred"));
      for (const name of source.obs.columnNames) assert.ok(second.obs.columnNames.includes(name), name);
      await model.embed(second, { output: at(`third.${ending}`), classifier: "head", force: true });
      assert.deepEqual(others(await AnnData.open(at(`third.${ending}`))), ["cell_type_prototype"]);
    });

  test("columns of the same names that no mapping has written", async () => {
    const data = await makeAtlas("own", { cells: 120, genes: 30, conditions: ["d1", "d2"] });
    const model = await ScPoli.train(data, train);
    await model.embed(data, { output: at("plain.h5ad"), cellTypeKeys: { cell_type: "truth" } });
    const { writeCopy } = await import("../dist/index.js");
    const completed = { kind: "string", values: Array.from({ length: 120 }, () => "mine") } as const;
    await writeCopy(data, at("mine.h5ad"), { obs: { cell_type_completed: completed } });
    const mine = await AnnData.open(at("mine.h5ad"));
    await model.embed(mine, { output: at("kept.h5ad"), force: true });
    assert.ok((await AnnData.open(at("kept.h5ad"))).obs.columnNames.includes("cell_type_completed"));
  });
});

test("writers of one file in one process have separate temporary files", async () => {
  const [one, two] = [temporaryName(at("both")), temporaryName(at("both"))];
  assert.notEqual(one, two);
  const [first, second] = [await createTemporary(at("both")), await createTemporary(at("both"))];
  await commitTemporary(first, at("both"));
  await commitTemporary(second, at("both"));
  const texts = Array.from({ length: 20 }, (_, i) => `${i}`.repeat(10_000 + i));
  await Promise.all(texts.map((text) => writeFile(at("both"), text)));
  assert.ok(texts.includes(readFileSync(at("both"), "utf8")), "a whole text");
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.endsWith(".tmp")),
    [],
  );
});

describe("a checkpoint belongs to a run by", () => {
  test("SHA-256 of options, names, lengths and every bit of the numbers", async () => {
    const known = await fingerprint({ a: 1 }, Float32Array.of(1.25, 2));
    assert.match(known, /^[0-9a-f]{64}$/);
    assert.equal(known, await fingerprint({ a: 1 }, Float32Array.of(1.25, 2)));
    for (const other of [
      fingerprint({ a: 2 }, Float32Array.of(1.25, 2)),
      fingerprint({ a: 1 }, Float32Array.of(1.5, 2)),
      fingerprint({ a: 1 }, Float32Array.of(1.25), Float32Array.of(2)),
    ])
      assert.notEqual(await other, known);
  });

  test("names of conditions and cell types", async () => {
    const atlas = (name: string, [first, type]: readonly [string, string]) =>
      makeAtlas(name, {
        cells: 120,
        genes: 30,
        conditions: ["d1"],
        condition: (cell) => (cell % 2 === 0 ? first : "d9"),
        label: (truth) => (truth === "B" ? type : truth),
      });
    // the profiles of a condition depend on its name: the counts are made the same by taking them from one
    // file
    const data = await atlas("names", ["d1", "B"]);
    const options = { ...train, epochs: 3, checkpoint: at("names.checkpoint") };
    const abort = new AbortController();
    await assert.rejects(
      ScPoli.train(data, {
        ...options,
        signal: abort.signal,
        onProgress: ({ epoch = 0 }) => epoch >= 2 && abort.abort(),
      }),
      { kind: "interrupted" },
    );
    const renamed = { labelMap: [["B", "B cell"]] as const };
    await assert.rejects(ScPoli.train(data, { ...options, ...renamed, resume: true }), { kind: "refused" });
    await ScPoli.train(data, { ...options, resume: true });
  });
});
