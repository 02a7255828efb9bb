// Machine-readable output of the command line: options as data, notes and progress as JSON.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { Display } from "../dist/cli/display.js";
import type { OptionTable } from "../dist/cli/option-table.js";
import { scpoli } from "./command.js";

let table: OptionTable;
before(async () => {
  const { code, stdout, stderr } = await scpoli(["help", "--json"]);
  assert.equal(code, 0, stderr);
  table = JSON.parse(stdout) as OptionTable;
});

test("has every verb that the help has, and the options of a verb", async () => {
  const help = (await scpoli(["--help"])).stdout;
  for (const { name } of table.verbs) assert.match(help, new RegExp(`^ +${name.split(" ")[0]!} `, "m"));
  const map = table.verbs.find(({ name }) => name === "map")!;
  const mapHelp = (await scpoli(["map", "--help"])).stdout;
  const flags = [...mapHelp.matchAll(/^ +(?:-\w, )?(--[a-z-]+)/gm)].map(([, flag]) => flag!);
  assert.deepEqual(
    map.options.map(({ flag }) => flag).sort(),
    flags.filter((flag) => flag !== "--help").sort(),
  );
  assert.deepEqual(
    map.arguments.map(({ name, required }) => [name, required]),
    [["query", true]],
  );
});

test("states the form of each option's value", () => {
  const train = table.verbs.find(({ name }) => name === "train")!;
  const kinds = Object.fromEntries(train.options.map(({ name, kind }) => [name, kind]));
  const expected = {
    output: "path",
    condition_key: "names",
    unlabeled: "repeated",
    exclude: "values-by-key",
    hidden: "ints",
    latent: "int",
    lr: "float",
    dropout: "float",
    memory: "memory",
    early_stopping: "value",
    recon_loss: "choice",
    landmarks: "flag",
    force: "flag",
    genes: "text",
    gene_map: "path",
  };
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((name) => [name, kinds[name]])), expected);
  const landmarks = train.options.find(({ name }) => name === "landmarks")!;
  assert.ok(landmarks.turns_off && landmarks.flag === "--no-landmarks");
  assert.ok(train.options.find(({ name }) => name === "condition_key")!.required);
  assert.ok(train.options.find(({ name }) => name === "recon_loss")!.choices.includes("nb"));
  assert.equal(table.aliases["batch_key"], "condition_key");
  assert.ok(table.count_layers.includes("counts"));
});

test("notes and progress are one JSON object per line", () => {
  let text = "";
  const display = new Display({ isTTY: true, write: (part) => (text += part) }, false, "json");
  display.note({ level: "warning", message: "two\nlines" });
  display.progress({ stage: "reading", done: 5, total: 5 });
  display.stop();
  assert.deepEqual(
    text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown),
    [
      { note: { level: "warning", message: "two\nlines" } },
      { progress: { stage: "reading", done: 5, total: 5 } },
    ],
  );
});
