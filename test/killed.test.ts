// Runs killed at a few moments end with the bytes of an undisturbed run. Ten random moments each: npm run
// check:killed.
import assert from "node:assert/strict";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { writeH5ad } from "../dist/anndata/write.js";
import { scpoli, temporaryFolder } from "./command.ts";
import { digest, endure, type Moment } from "./killed.ts";
import { simulate } from "./simulate.ts";

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const keys = ["--condition-key", "donor", "--cell-type-key", "cell_type", "--threads", "1"];

before(async () => {
  await writeH5ad(at("reference.h5ad"), simulate({ cells: 600, genes: 200, seed: 1 }).data);
  await writeH5ad(at("query.h5ad"), simulate({ cells: 90, genes: 200, conditions: ["c"], seed: 2 }).data);
});

/** When a checkpoint has been written by this run. */
function afterCheckpoint(path: string): Moment {
  const versionOf = (): number => statSync(path, { throwIfNoEntry: false, bigint: false })?.ino ?? 0;
  let first: number | null = null;
  return () => versionOf() !== (first ??= versionOf());
}
const whileReading: Moment = ({ stderr }) => stderr.includes("Counts taken from");
const atOnce: Moment = () => true;

for (const stream of ["never", "always"])
  test(`train --stream ${stream}, killed at the start, while reading and after checkpoints`, async () => {
    const train = (output: string): string[] => [
      "train",
      at("reference.h5ad"),
      ...keys,
      "--stream",
      stream,
      "--epochs",
      "200",
      "--hidden",
      "64",
      "--early-stopping",
      "off",
      "--checkpoint-seconds",
      "0",
      "-o",
      at(output),
    ];
    const straight = await scpoli(train(`straight-${stream}`));
    assert.equal(straight.code, 0, straight.stderr);
    const output = `killed-${stream}`;
    const checkpoint = `${at(output)}.checkpoint`;
    const moments = [atOnce, whileReading, afterCheckpoint(checkpoint), afterCheckpoint(checkpoint)];
    const killed = await endure(
      {
        args: train(output),
        again: [...train(output), "--resume"],
        inputs: [at("reference.h5ad")],
        outputs: [at(output)],
      },
      moments,
    );
    // a fast machine may be done before the last checkpoints
    assert.ok(killed >= 2, `killed ${killed} times`);
    assert.equal(digest(at(output)), digest(at(`straight-${stream}`)));
    assert.ok(!existsSync(checkpoint), "the checkpoint has gone");
  });

test("map, killed while it copies and while it learns", async () => {
  const map = (output: string): string[] => [
    "map",
    at("query.h5ad"),
    "--reference",
    at("straight-never"),
    "--threads",
    "1",
    "--epochs",
    "1000",
    "-o",
    at(`${output}.h5ad`),
    "--save-model",
    at(`${output}-model`),
  ];
  const straight = await scpoli(map("straight"));
  assert.equal(straight.code, 0, straight.stderr);
  const isCopying: Moment = () => readdirSync(folder).some((name) => name.startsWith(".killed.h5ad"));
  const isLearning: Moment = ({ stderr }) => /mapping: epoch/.test(stderr);
  const outputs = [at("killed.h5ad"), at("killed-model")];
  const killed = await endure(
    { args: map("killed"), again: map("killed"), inputs: [at("query.h5ad"), at("straight-never")], outputs },
    [atOnce, isCopying, isLearning],
  );
  assert.ok(killed >= 2, `killed ${killed} times`);
  assert.deepEqual(outputs.map(digest), [digest(at("straight.h5ad")), digest(at("straight-model"))]);
});
