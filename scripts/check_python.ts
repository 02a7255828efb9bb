// npm run check:python [-- NAME ...]: builds the Python wheel, installs it into empty environments (the oldest and the
// newest anndata, several versions of Python), and with a PATH that has no Node runs its tests, which compare with the
// command line's bytes, and its notebooks. Prints the sizes of what is shipped. Environments are kept in
// .venv-python/.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

interface Environment {
  readonly name: string;
  /** version of Python, as in `python3.11` */
  readonly python: string;
  readonly packages: readonly string[];
  /** the whole suite, or what is likely to differ between versions of anndata */
  readonly tests: readonly string[];
}

/** Tests of what depends on the versions of anndata, pandas and Python. */
const forms = ["-k", "TestForms or TestErrors or TestOptions or TestSamples or TestConsole or TestNode"];
const environments: readonly Environment[] = [
  { name: "anndata-0.10", python: "3.11", packages: ["anndata==0.10.*", "pandas<3"], tests: [] },
  { name: "anndata-0.12", python: "3.12", packages: ["anndata==0.12.*"], tests: forms },
  { name: "anndata-newest", python: "3.13", packages: ["anndata"], tests: forms },
];

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = join(root, ".venv-python");
mkdirSync(folder, { recursive: true });

function interpreter(version: string): string | null {
  const versions = join(process.env["PYENV_ROOT"] ?? join(homedir(), ".pyenv"), "versions");
  const installed = existsSync(versions) ? readdirSync(versions) : [];
  const own = installed.filter((name) => name.startsWith(`${version}.`)).at(-1);
  const candidates = [`python${version}`, ...(own ? [join(versions, own, "bin/python")] : [])];
  return (
    candidates.find((path) => {
      const { status, stdout } = spawnSync(path, ["--version"], { encoding: "utf8" });
      return status === 0 && stdout.startsWith(`Python ${version}.`);
    }) ?? null
  );
}

function run(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): void {
  execFileSync(command, args, { stdio: ["ignore", "inherit", "inherit"], ...options });
}

/** @returns its interpreter */
function environment(name: string, python: string, packages: readonly string[]): string {
  const path = join(folder, name);
  if (!existsSync(join(path, "bin/python"))) run(python, ["-m", "venv", path]);
  const own = join(path, "bin/python");
  run(own, ["-m", "pip", "install", "--quiet", "--quiet", "--disable-pip-version-check", ...packages]);
  return own;
}

const oldest = interpreter("3.11") ?? "python3";
const builder = environment("build", oldest, ["hatchling"]);
run(process.execPath, [join(root, "scripts/build_wheel.mjs")], { env: { ...process.env, PYTHON: builder } });
const wheel = readdirSync(join(root, "dist-python")).find((name) => name.endsWith(".whl"))!;

const chosen = process.argv.slice(2);
const failed: string[] = [];
for (const { name, python, packages, tests } of environments) {
  if (chosen.length > 0 && !chosen.includes(name)) continue;
  const found = interpreter(python);
  if (!found) {
    console.log(`${name}: no Python ${python} on this machine; not tried`);
    continue;
  }
  const path = join(root, "dist-python", wheel);
  const own = environment(name, found, [`${path}[test]`, ...packages]);
  run(own, ["-m", "pip", "install", "--quiet", "--quiet", "--force-reinstall", "--no-deps", path]);
  const versions = execFileSync(
    own,
    [
      "-c",
      "import anndata, pandas, sys; print(f'Python {sys.version.split()[0]}, anndata {anndata.__version__}, pandas {pandas.__version__}')",
    ],
    { encoding: "utf8" },
  ).trim();
  console.log(`${name}: ${versions}`);
  // nothing but the environment's own programs: no Node
  const env = { ...process.env, PATH: join(folder, name, "bin"), PYTHONDONTWRITEBYTECODE: "1" };
  try {
    execFileSync("node", ["--version"], { env, stdio: "ignore" });
    throw new Error("there is a Node in the PATH of the environment");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  for (const what of [
    ["-m", "pytest", "-q", "-p", "no:cacheprovider", ...tests],
    ...(tests.length === 0 ? [["notebooks/run.py"]] : []),
  ])
    try {
      run(own, what, { cwd: join(root, "python"), env });
    } catch {
      failed.push(`${name}: ${what.join(" ")}`);
    }
}

console.log("\n| what | MB |\n| --- | --- |");
const size = (bytes: number): string => (bytes / 1e6).toFixed(1);
console.log(`| Python wheel | ${size(statSync(join(root, "dist-python", wheel)).size)} |`);
const unpacked = execFileSync("du", ["-sk", join(root, "python/src/scpoli/_node")], { encoding: "utf8" });
console.log(`| its JavaScript, unpacked | ${size(1024 * Number(/^\d+/.exec(unpacked)![0]))} |`);
rmSync(join(root, "python/LICENSE"), { force: true });
if (failed.length > 0) {
  console.error(`Failed: ${failed.join("; ")}`);
  process.exit(1);
}
