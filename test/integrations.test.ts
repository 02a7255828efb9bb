// What runs the command line elsewhere: every option that a wrapper names is one of the command line, and the
// command lines of the Galaxy tools, filled in, run.
import assert from "node:assert/strict";
import { execFileSync, execSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { OptionTable } from "../dist/cli/option-table.js";
import { scpoli, temporaryFolder } from "./command.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const galaxy = join(root, "integrations/galaxy");
const folder = temporaryFolder();
const at = (...names: string[]): string => join(folder, ...names);
const read = (...names: string[]): string => readFileSync(join(root, ...names), "utf8");

let table: OptionTable;
before(async () => {
  table = JSON.parse((await scpoli(["help", "--json"])).stdout) as OptionTable;
  mkdirSync(at("bin"));
  writeFileSync(
    at("bin", "scpoli"),
    `#!/bin/sh\nexec '${process.execPath}' '${join(root, "dist/cli.js")}' "$@"\n`,
    { mode: 0o755 },
  );
});

const files = [
  "integrations/nf-core/scpoli/map/main.nf",
  ...["train", "map", "report"].map((verb) => `integrations/galaxy/scpoli_${verb}.xml`),
];
for (const file of files)
  test(`${file} names options that there are`, () => {
    const calls = [...read(file).matchAll(/scpoli (train|map|report) ([\s\S]*?)(?:&&|> |\n {4}"""|\]\]>)/g)];
    assert.ok(calls.length > 0);
    for (const [, verb, rest] of calls) {
      const options = table.verbs.find(({ name }) => name === verb)!.options.map(({ flag }) => flag);
      const macro = read("integrations/galaxy/macros.xml");
      const text = rest!.replace("@RUN@", /@RUN@">(.*)</.exec(macro)![1]!);
      for (const [flag] of text.matchAll(/--[a-z][a-z-]+/g))
        assert.ok(options.includes(flag), `${verb} has no ${flag}`);
    }
  });

/** A command of a Galaxy tool with its variables filled in: the few forms of Cheetah that the tools use. */
function filledIn(tool: string, values: Readonly<Record<string, string>>): string {
  const [, run] = /@RUN@">(.*)</.exec(readFileSync(join(galaxy, "macros.xml"), "utf8"))!;
  const [, command] = /<!\[CDATA\[([\s\S]*?)\]\]>/.exec(readFileSync(join(galaxy, tool), "utf8"))!;
  const kept: boolean[] = [];
  const lines = command!.split("\n").filter((line) => {
    const [, condition] = /^#if (.*)$/.exec(line.trim()) ?? [];
    if (condition !== undefined) {
      const [, name, wanted] = /\$([\w.]+)\)?(?: == '(\w+)')?/.exec(condition)!;
      kept.push(wanted === undefined ? (values[name!] ?? "") !== "" : values[name!] === wanted);
    } else if (line.trim() === "#else") kept.push(!kept.pop());
    else if (line.trim() === "#end if") kept.pop();
    else return kept.every(Boolean);
    return false;
  });
  return lines
    .join(" ")
    .replace("@RUN@", run!.replace("\\$", "$"))
    .replace(/'\$([\w.]+)'/g, (_, name: string) => `'${values[name] ?? assert.fail(`no ${name}`)}'`);
}

test("the commands of the Galaxy tools run one after the other", () => {
  const run = (tool: string, values: Readonly<Record<string, string>>): void =>
    void execSync(filledIn(tool, values), {
      cwd: folder,
      env: { ...process.env, PATH: `${at("bin")}:${process.env["PATH"]}`, GALAXY_SLOTS: "1" },
      stdio: "pipe",
    });
  cpSync(join(root, "data/kang_reference.h5ad"), at("reference.dat.h5ad"));
  cpSync(join(root, "data/kang_query.h5ad"), at("query.dat.h5ad"));
  run("scpoli_train.xml", {
    input: at("reference.dat.h5ad"),
    condition_key: "sample",
    cell_type_key: "cell_type",
    genes: "",
    epochs: "4",
    seed: "0",
    model: at("model.dat"),
  });
  run("scpoli_map.xml", {
    input: at("query.dat.h5ad"),
    "reference.source": "history",
    "reference.model": at("model.dat"),
    condition_key: "",
    seed: "0",
    mapped: at("mapped.dat.h5ad"),
  });
  run("scpoli_report.xml", { input: at("mapped.dat.h5ad"), report: at("report.dat") });
  assert.match(readFileSync(at("report.dat"), "utf8"), /Content-Security-Policy/);
});

test("the XML of the Galaxy tools is well-formed", (t) => {
  const tools = ["macros.xml", "scpoli_train.xml", "scpoli_map.xml", "scpoli_report.xml"];
  const code = "import sys, xml.dom.minidom as m; [m.parse(p) for p in sys.argv[1:]]";
  try {
    execFileSync("python3", ["--version"]);
  } catch {
    return t.skip("there is no python3");
  }
  execFileSync("python3", ["-c", code, ...tools.map((name) => join(galaxy, name))]);
});

test("what the Galaxy tests name is in the repository, or is made by the tools", () => {
  for (const name of ["kang_reference.h5ad", "kang_query.h5ad", "models/demo-blood-1.zip"])
    assert.ok(existsSync(join(root, "data", name)), name);
});
