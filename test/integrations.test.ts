// Wrappers of the command line: every option that they use exists, and the rendered commands of the Galaxy
// tools run.
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
  ...["train", "map"].map((verb) => `integrations/snakemake/${verb}/wrapper.py`),
  ...["train", "map", "report"].map((verb) => `integrations/galaxy/scpoli_${verb}.xml`),
];
for (const file of files)
  test(`${file} names options that there are`, () => {
    const calls = [
      ...read(file).matchAll(/scpoli (train|map|report) ([\s\S]*?)(?:&&|> |\n {4}"""|\]\]>|\n\))/g),
    ];
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

test("files named by the Galaxy tests exist or are written by the tools", () => {
  const made = ["mapped.h5ad"];
  for (const verb of ["train", "map", "report"])
    for (const [, name] of read(`integrations/galaxy/scpoli_${verb}.xml`).matchAll(
      /value="([^"]+\.(?:h5ad|zip))"/g,
    ))
      assert.ok(made.includes(name!) || existsSync(join(galaxy, "test-data", name!)), name);
});

test("the shell line of nf-core's module is that of Snakemake's wrapper, which is run", () => {
  const [, module] = /"""\n\s*(scpoli map .*)\n/.exec(read("integrations/nf-core/scpoli/map/main.nf"))!;
  const python = read("integrations/snakemake/map/wrapper.py");
  const wrapper = [...python.slice(python.indexOf("shell(\n")).matchAll(/^ {4}"(.*)"$/gm)]
    .map(([, part]) => part!)
    .join("");
  const line = module!
    .replace("${query}", "{snakemake.input.query:q}")
    .replace("${reference}", "{snakemake.input.reference:q}")
    .replace("${prefix}.h5ad", "{snakemake.output.h5ad:q}")
    .replace("${task.cpus}", "{snakemake.threads}")
    .replace("${args}", "{extra}")
    .replace("${prefix}.json", "{snakemake.output.json:q}");
  assert.equal(`${line} {log}`, wrapper);
});

const { version, engines, bin, license, scripts } = JSON.parse(read("package.json")) as {
  version: string;
  engines: { node: string };
  bin: Record<string, string>;
  license: string;
  scripts: Record<string, string>;
};

test("every wrapper names this version", () => {
  for (const [file, pattern] of [
    ["integrations/galaxy/macros.xml", /@TOOL_VERSION@">([\d.]+)</],
    ["integrations/bioconda/meta.yaml", /set version = "([\d.]+)"/],
    ["integrations/nf-core/scpoli/map/environment.yml", /bioconda::scpoli=([\d.]+)/],
    ["integrations/snakemake/map/environment.yaml", /- scpoli =([\d.]+)/],
    ["integrations/snakemake/train/environment.yaml", /- scpoli =([\d.]+)/],
    ["integrations/scverse/meta.yaml", /^version: ([\d.]+)/m],
  ] as const)
    assert.equal(pattern.exec(read(file))?.[1], version, file);
});

const oldestNode = Number(/\d+/.exec(engines.node)![0]);

test("the commands of the Dockerfile work", () => {
  const lines = read("Dockerfile").replaceAll("\\\n", " ");
  const images = [...lines.matchAll(/^FROM node:(\d+)-slim/gm)];
  assert.equal(images.length, 2);
  for (const [, node] of images) assert.ok(Number(node) >= oldestNode);
  for (const [, script] of lines.matchAll(/npm run ([\w:]+)/g)) assert.ok(scripts[script!], script);
  assert.match(lines, /^ENTRYPOINT \["scpoli"\]$/m);
  assert.deepEqual(Object.keys(bin), ["scpoli"]);
  const [, variable] = /^ENV (\w+)=/m.exec(lines)!;
  assert.ok(read("src/cli/registry/registry.ts").includes(variable!), variable);
  // nothing that the build needs is kept out of it
  const leftOut = read(".dockerignore").trim().split("\n");
  for (const name of ["package-lock.json", "src", "kernels", "app", "data", "scripts"]) {
    assert.ok(existsSync(join(root, name)), name);
    assert.ok(!leftOut.includes(name), name);
  }
});

test("the bioconda recipe works from a tarball with its dependencies", () => {
  const recipe = read("integrations/bioconda/meta.yaml");
  for (const [, node] of recipe.matchAll(/- nodejs >=(\d+)/g)) assert.equal(Number(node), oldestNode);
  assert.ok(recipe.includes(`license: ${license}`));
  for (const [, file] of recipe.matchAll(/license_file: (\S+)/g)) assert.ok(existsSync(join(root, file!)));
  // the tarball of a release: what npm packs, with the production dependencies in it
  const [source, prefix] = [at("source"), at("prefix")];
  mkdirSync(source);
  const pack = ["pack", "--ignore-scripts", "--silent", "--pack-destination", folder];
  const tarball = execFileSync("npm", pack, { cwd: root, encoding: "utf8" }).trim();
  execFileSync("tar", ["-xzf", at(tarball), "-C", source, "--strip-components", "1"]);
  const paths = execFileSync("npm", ["ls", "--omit=dev", "--all", "--parseable"], {
    cwd: root,
    encoding: "utf8",
  });
  for (const path of paths.trim().split("\n").slice(1))
    if (existsSync(path)) cpSync(path, join(source, path.slice(root.length)), { recursive: true });
  const [, script] = /^ {2}script: (.*)$/m.exec(recipe)!;
  execSync(script!, { cwd: source, env: { ...process.env, PREFIX: prefix }, stdio: "pipe" });
  const [, commands] = /^ {2}commands:\n((?: {4}- .*\n)+)/m.exec(recipe)!;
  for (const [, command] of commands!.matchAll(/- (.*)/g)) {
    const path = `${join(prefix, "bin")}:${process.env["PATH"]}`;
    const output = execSync(command!, { env: { ...process.env, PATH: path }, encoding: "utf8" });
    if (command!.includes("--version")) assert.equal(output.trim(), version);
  }
});

test("scverse's entry has the fields that its schema (version 2.0) asks for", () => {
  const entry = read("integrations/scverse/meta.yaml");
  const field = (name: string): string | undefined =>
    new RegExp(`^${name}:(?: \\||(.*))\\n((?:  .*\\n)*)`, "m").exec(`${entry}\n`)?.slice(1).join("").trim();
  for (const name of ["name", "description", "install", "license", "tags", "version"])
    assert.ok(field(name) && !field(name)!.includes("FILL-IN"), name);
  // what only the maintainer knows: addresses, and people by their GitHub names
  for (const name of ["project_home", "documentation_home", "contact"]) assert.ok(field(name), name);
  assert.equal(field("license"), license);
  assert.ok(
    ["core-framework", "core-datastructure", "core-infrastructure", "ecosystem"].includes(field("category")!),
  );
  for (const doi of field("publications")!.match(/\S+$/gm)!)
    assert.match(doi, /^10\.\d{4,9}\/[-._;()/:A-Za-z0-9]+$/);
  for (const [, script] of field("test_command")!.matchAll(/npm run ([\w:]+)/g)) assert.ok(scripts[script!]);
  const project = read("python/pyproject.toml");
  assert.equal(/pypi: (\S+)/.exec(field("install")!)![1], /^name = "(.*)"/m.exec(project)![1]);
});
