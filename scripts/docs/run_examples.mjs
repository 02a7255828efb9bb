// Runs the commands of the documentation and inserts their output.
//
//   node scripts/docs/run_examples.mjs [--check] [PAGE ...]         PAGE: tutorials/map-patients, ...
//
// A fenced block "```sh run" is executed by bash in the folder of its page, with `scpoli` on the path and the
// repository's data/ linked as data/; "```py run" is Python (PYTHON names it), "```r run" is R. The block
// "```text output" after it receives the output. The front matter of a page may have:
//
//   continues: map-patients     the page starts with the folder that this page (of the same kind) has left
//   needs: [python, r, NAME.h5ad]   programs, and files of ../shared/data; a page that lacks one is left out
//
// scripts/docs/figures/PAGE.mjs, where there is one, then draws figures from what is in the folder. The
// figures that the page shows are kept in figures/PAGE/ beside it. With --check nothing is written, and any
// difference is an error.
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const sharedData = join(root, "../shared/data");
const isCheck = process.argv.includes("--check");
const requestedPages = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
const hasCommands = /^```(sh|py|r) run$/m;
const block = /^```(sh|py|r) run\n([\s\S]*?)^```\n(?:\n?```text output\n[\s\S]*?^```\n)?/gm;

const work = mkdtempSync(join(tmpdir(), "docs-"));
/** Folder of each page that has been run; null if it was left out. */
const folders = new Map();
let differences = 0;
try {
  for (const page of requestedPages.length > 0 ? requestedPages : allPages()) await run(page);
} finally {
  rmSync(work, { recursive: true, force: true });
}
if (isCheck && differences > 0) {
  console.error("Run `npm run docs:examples` and look at what has changed.");
  process.exitCode = 1;
}

/** Pages with commands, as FOLDER/NAME. */
function allPages() {
  return ["start", "tutorials", "how-to"].flatMap((folder) =>
    readdirSync(join(root, "docs", folder))
      .filter((name) => name.endsWith(".md") && hasCommands.test(read(`${folder}/${name.slice(0, -3)}`)))
      .map((name) => `${folder}/${name.slice(0, -3)}`),
  );
}

function read(page) {
  return readFileSync(join(root, "docs", `${page}.md`), "utf8");
}

/** Runs a page, and before it the one that it continues; each only once. */
async function run(page) {
  if (folders.has(page)) return folders.get(page);
  const text = read(page);
  const { continues, needs } = frontMatter(text);
  const missing = needs.filter((need) => !isThere(need));
  const before = continues && missing.length === 0 ? await run(join(dirname(page), continues)) : undefined;
  if (missing.length > 0 || before === null) {
    console.log(`${page}: left out, ${missing.join(" and ") || continues} is not there`);
    folders.set(page, null);
    return null;
  }
  const folder = join(work, page);
  mkdirSync(dirname(folder), { recursive: true });
  if (before) {
    cpSync(before, folder, { recursive: true, verbatimSymlinks: true });
    rmSync(join(folder, "figures"), { recursive: true, force: true });
  } else prepare(folder);
  for (const need of needs.filter((name) => name.includes(".")))
    link(join(sharedData, need), join(folder, need));
  const started = performance.now();
  const updated = runCommands(text, folder);
  if (updated !== text) {
    differences++;
    if (isCheck) showDifference(page, text, updated);
    else writeFileSync(join(root, "docs", `${page}.md`), updated);
  }
  const script = join(root, "scripts/docs/figures", `${basename(page)}.mjs`);
  if (existsSync(script)) execute(["node", [script]], folder, script);
  keepFigures(page, join(folder, "figures"));
  console.log(`${page}: ${((performance.now() - started) / 1000).toFixed(0)} s`);
  folders.set(page, folder);
  return folder;
}

function frontMatter(text) {
  const [, head = ""] = /^---\n([\s\S]*?)\n---\n/.exec(text) ?? [];
  const value = (key) => new RegExp(`^${key}: (.*)$`, "m").exec(head)?.[1];
  const needs = value("needs")?.replace(/[[\]]/g, "").split(/,\s*/) ?? [];
  return { continues: value("continues"), needs };
}

function isThere(need) {
  if (need.includes(".")) return existsSync(join(sharedData, need));
  const [program, arguments_] =
    need === "python"
      ? [process.env.PYTHON ?? "python3", ["-c", "import anndata"]]
      : ["Rscript", ["-e", "library(Seurat); library(hdf5r)"]];
  return spawnSync(program, arguments_).status === 0;
}

function link(target, path) {
  if (!existsSync(path)) symlinkSync(target, path);
}

function prepare(folder) {
  mkdirSync(join(folder, ".bin"), { recursive: true });
  link(join(root, "data"), join(folder, "data"));
  writeFileSync(join(folder, ".bin/scpoli"), `#!/bin/sh\nexec node ${join(root, "dist/cli.js")} "$@"\n`, {
    mode: 0o755,
  });
}

function runCommands(text, folder) {
  const interpreters = {
    sh: (code) => ["bash", ["-euo", "pipefail", "-c", code]],
    py: (code) => [process.env.PYTHON ?? "python3", ["-W", "ignore", "-c", code]],
    r: (code) => ["Rscript", ["--vanilla", "-e", `options(width = 110)\n${code}`]],
  };
  return text.replace(block, (_, language, code) => {
    const output = execute(interpreters[language](code), folder, code)
      .replace(/[ \t]+$/gm, "")
      .trimEnd();
    const fence = "```";
    const result = output === "" ? "" : `\n${fence}text output\n${output}\n${fence}\n`;
    return `${fence}${language} run\n${code}${fence}\n${result}`;
  });
}

/** Output of a command. */
function execute([program, arguments_], folder, code) {
  const { status, stdout, stderr } = spawnSync(program, arguments_, {
    cwd: folder,
    env: { ...process.env, PATH: `${join(folder, ".bin")}:${process.env.PATH}` },
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
  if (status !== 0) throw new Error(`this failed with exit code ${status}:\n${code}\n${stdout}\n${stderr}`);
  return stdout;
}

function keepFigures(page, from) {
  const to = join(root, "docs", dirname(page), "figures", basename(page));
  const shown = [...read(page).matchAll(/\]\(figures\/[^/)]+\/([^)]+)\)/g)].map(([, name]) => name);
  for (const name of shown) {
    const isSame =
      existsSync(join(to, name)) && readFileSync(join(to, name)).equals(readFileSync(join(from, name)));
    if (isSame) continue;
    differences++;
    if (isCheck)
      console.error(`docs/${dirname(page)}/figures/${basename(page)}/${name}: the figure has changed`);
    else {
      mkdirSync(to, { recursive: true });
      cpSync(join(from, name), join(to, name));
    }
  }
}

function showDifference(page, before, after) {
  const [old, now] = [before.split("\n"), after.split("\n")];
  const at = old.findIndex((line, row) => line !== now[row]);
  console.error(`docs/${page}.md, line ${at + 1}: what the commands print has changed`);
  console.error(`  was  ${old[at]}\n  is   ${now[at]}`);
}
