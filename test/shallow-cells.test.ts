// Cells with no or almost no counts in the model's genes: unknown, without certainty, counted.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { AnnData, ScPoli, writeH5ad } from "../dist/index.js";
import type { Note } from "../dist/contract/options.js";
import { scpoli, temporaryFolder } from "./command.ts";
import { simulate } from "./simulate.ts";

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const [cells, genes] = [160, 40];
const good = simulate({ cells, genes });
const empty = [3, 40];
const few = [7, 90, 91];
const counts = good.counts.slice();
for (const cell of [...empty, ...few]) counts.fill(0, cell * genes, (cell + 1) * genes);
few.forEach((cell, i) => (counts[cell * genes + i] = 3 + i));

test("they are unknown in every way of labelling, and the other cells are as they were", async () => {
  await writeH5ad(at("reference.h5ad"), good.data);
  await writeH5ad(at("query.h5ad"), { ...good.data, X: { rows: cells, columns: genes, values: counts } });
  const reference = await AnnData.open(at("reference.h5ad"));
  const options = { conditionKeys: ["donor"], cellTypeKeys: ["cell_type"], epochs: 6, threads: 1 };
  const model = await ScPoli.train(reference, options);
  await model.save(at("model"));
  reference.close();
  const query = await AnnData.open(at("query.h5ad"));
  for (const classifier of ["head", "prototype"] as const)
    for (const threshold of ["auto", "none", 0.5] as const) {
      const notes: Note[] = [];
      const mapping = await model.embed(query, {
        classifier,
        threshold,
        threads: 1,
        onNote: (note) => notes.push(note),
      });
      const [level] = mapping.predictions;
      for (const cell of [...empty, ...few]) {
        assert.equal(level!.unknown[cell], 1);
        const uncertainty = level!.uncertaintyBy === "distance" ? 1 : 2 / 3;
        assert.equal(level!.uncertainty[cell], Math.fround(uncertainty));
        assert.equal(level!.probability[cell], Math.fround(1 / 3));
      }
      for (const values of [level!.uncertainty, level!.probability, level!.distance, mapping.latent])
        assert.ok(values.every(Number.isFinite));
      assert.ok(level!.probability.filter((value) => value > 0.5).length > cells / 2);
      assert.equal(mapping.summary().shallow_cells, 5);
      assert.ok(
        notes.some(({ message }) =>
          /2 cells without counts, 3 cells with fewer than 10 counts/.test(message),
        ),
      );
    }
  query.close();
});

test("in the command line: reported, counted in the summary and in uns", async () => {
  const mapped = await scpoli([
    ...["map", at("query.h5ad"), "--reference", at("model"), "-o", at("mapped.h5ad"), "--epochs", "2"],
    ...["--threads", "1"],
  ]);
  assert.equal(mapped.code, 0, mapped.stderr);
  assert.match(mapped.stderr, /warning: 2 cells without counts, 3 cells with fewer than 10 counts/);
  assert.match(mapped.stdout, /5 cells unknown because of too few counts \(below 10\)/);
  const data = await AnnData.open(at("mapped.h5ad"));
  assert.equal(((await data.uns("scpoli")) as Record<string, unknown>)["shallow_cells"], 5);
  data.close();
  const trained = await scpoli([
    ...["train", at("query.h5ad"), "-o", at("other"), "--condition-key", "donor", "--epochs", "2"],
    ...["--threads", "1"],
  ]);
  assert.match(trained.stderr, /warning: 2 cells without counts.*They are used/);
});
