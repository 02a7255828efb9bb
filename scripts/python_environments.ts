// Python environments in .venv-python/ for the checks and benches of the Python package, and its wheel.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));
/** Folder of the environments. */
export const environments = join(root, ".venv-python");

/** @returns the path of an installed Python of this version, as in "3.11"; null if there is none */
export function interpreter(version: string): string | null {
  const versions = join(process.env["PYENV_ROOT"] ?? join(homedir(), ".pyenv"), "versions");
  const installed = existsSync(versions) ? readdirSync(versions) : [];
  const newest = installed.filter((name) => name.startsWith(`${version}.`)).at(-1);
  const candidates = [`python${version}`, ...(newest ? [join(versions, newest, "bin/python")] : [])];
  return (
    candidates.find((path) => {
      const { status, stdout } = spawnSync(path, ["--version"], { encoding: "utf8" });
      return status === 0 && stdout.startsWith(`Python ${version}.`);
    }) ?? null
  );
}

/** Runs a program and shows its output. @throws Error if it fails */
export function run(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): void {
  execFileSync(command, args, { stdio: ["ignore", "inherit", "inherit"], ...options });
}

/** @returns the interpreter of an environment with these packages */
export function environment(name: string, base: string, packages: readonly string[]): string {
  mkdirSync(environments, { recursive: true });
  const path = join(environments, name);
  const program = join(path, "bin/python");
  if (!existsSync(program)) run(base, ["-m", "venv", path]);
  run(program, ["-m", "pip", "install", "--quiet", "--quiet", "--disable-pip-version-check", ...packages]);
  return program;
}

/** Installs the current wheel, even if the same version is already installed. */
export function install(program: string, wheel: string): void {
  run(program, ["-m", "pip", "install", "--quiet", "--quiet", "--force-reinstall", "--no-deps", wheel]);
}

/** Environment variables with only the programs of an environment, without Node. */
export function variables(name: string): NodeJS.ProcessEnv {
  const env = { ...process.env, PATH: join(environments, name, "bin"), PYTHONDONTWRITEBYTECODE: "1" };
  const { error } = spawnSync("node", ["--version"], { env });
  assert.equal((error as NodeJS.ErrnoException | undefined)?.code, "ENOENT", "PATH must have no Node");
  return env;
}

/** Builds the wheel. @returns its path */
export function buildWheel(base: string): string {
  const builder = environment("build", base, ["hatchling"]);
  run(process.execPath, [join(root, "scripts/build_wheel.mjs")], {
    env: { ...process.env, PYTHON: builder },
  });
  return builtWheel();
}

/** @returns the path of the wheel that was built last */
export function builtWheel(): string {
  const out = join(root, "dist-python");
  return join(
    out,
    readdirSync(out).find((name) => name.endsWith(".whl"))!,
  );
}
