// A Python with the real anndata, to write files that ours must read and to open the files that ours wrote.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const requirements = fileURLToPath(new URL("requirements.txt", import.meta.url));

/** Runs a script of this folder. */
export function runPython(script: string, ...args: string[]): string {
  const path = fileURLToPath(new URL(script, import.meta.url));
  return execFileSync(python(), ["-W", "ignore", path, ...args], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
}

/** The Python that SCPOLI_PYTHON names; without it one in .cache/, made when missing (a minute, once). */
function python(): string {
  const given = process.env["SCPOLI_PYTHON"];
  if (given) return given;
  const folder = join(root, ".cache/python");
  const program = join(folder, "bin/python");
  const installed = join(folder, "installed.txt");
  const wanted = readFileSync(requirements, "utf8");
  if (existsSync(installed) && readFileSync(installed, "utf8") === wanted) return program;
  rmSync(folder, { recursive: true, force: true });
  // what they print on stderr is part of the error where they fail
  execFileSync("python3", ["-m", "venv", folder], { stdio: "pipe" });
  execFileSync(
    program,
    ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements],
    { stdio: "pipe" },
  );
  writeFileSync(installed, wanted);
  return program;
}
