// Runs the commands of the documentation and puts what they print beside them.
//
//   node scripts/docs/run_examples.mjs [--check] [PAGE.md ...]
//
// A fenced block "```sh run" is executed by bash in an empty folder of its page, with `scpoli` and `python` on the
// path and the repository's data/ linked as data/; blocks of one page share the folder. The block "```text output"
// after it holds what was printed. "```py run" is Python. Files that a page writes as figures/NAME.svg are copied to
// docs/public/figures/PAGE/. With --check nothing is written, and any difference is an error.
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
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const isCheck = process.argv.includes("--check");
const named = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
const pages =
  named.length > 0
    ? named
    : ["start", "tutorials", "how-to"].flatMap((folder) =>
        readdirSync(join(root, "docs", folder)).map((name) => join(root, "docs", folder, name)),
      );

const block = /^```(sh|py) run\n([\s\S]*?)^```\n(?:\n?```text output\n[\s\S]*?^```\n)?/gm;
let differences = 0;

for (const page of pages) {
  const text = readFileSync(page, "utf8");
  if (!/^```(sh|py) run$/m.test(text)) continue;
  const folder = mkdtempSync(join(tmpdir(), "docs-"));
  try {
    const updated = runPage(text, folder);
    if (updated !== text) {
      differences++;
      if (isCheck) console.error(`${page}: what the commands print has changed`);
      else writeFileSync(page, updated);
    }
    const figures = join(folder, "figures");
    if (existsSync(figures))
      compareFigures(figures, join(root, "docs/public/figures", basename(page, ".md")));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  console.log(`${basename(page)}: done`);
}
if (isCheck && differences > 0) {
  console.error("Run `npm run docs:examples` and look at what changed.");
  process.exitCode = 1;
}

function runPage(text, folder) {
  symlinkSync(join(root, "data"), join(folder, "data"));
  const bin = join(folder, ".bin");
  mkdirSync(bin);
  const command = (name, line) =>
    writeFileSync(join(bin, name), `#!/bin/sh\nexec ${line} "$@"\n`, { mode: 0o755 });
  command("scpoli", `node ${join(root, "dist/cli.js")}`);
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH}`, SCPOLI_ROOT: root };
  return text.replace(block, (_, language, code) => {
    const interpreter =
      language === "sh"
        ? ["bash", ["-euo", "pipefail", "-c", code]]
        : [process.env.PYTHON ?? "python3", ["-c", code]];
    const { status, stdout, stderr } = spawnSync(...interpreter, { cwd: folder, env, encoding: "utf8" });
    if (status !== 0) throw new Error(`this failed with exit code ${status}:\n${code}\n${stderr}`);
    const fence = "```";
    const output = stdout.trimEnd();
    return `${fence}${language} run\n${code}${fence}\n${output === "" ? "" : `\n${fence}text output\n${output}\n${fence}\n`}`;
  });
}

function compareFigures(from, to) {
  for (const name of readdirSync(from)) {
    const isSame =
      existsSync(join(to, name)) && readFileSync(join(to, name)).equals(readFileSync(join(from, name)));
    if (isSame) continue;
    differences++;
    if (isCheck) console.error(`${join(to, name)}: the figure has changed`);
    else {
      mkdirSync(to, { recursive: true });
      cpSync(join(from, name), join(to, name));
    }
  }
}
