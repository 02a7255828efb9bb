// npm run check:python [-- NAME ...]: builds the Python wheel, checks its sources (ruff, mypy), installs it
// into empty environments (the oldest and the newest anndata, several versions of Python), and with a PATH
// that has no Node runs its tests, which compare with the command line's bytes, its notebooks, the ten lines
// of docs/reference/python.md as a new user types them, and a notebook in JupyterLab. Environments are kept
// in .venv-python/. A NAME is that of an environment, or "sources", "new-user" or "jupyterlab": only these
// are checked.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkShow } from "./check_jupyter.ts";
import {
  buildWheel,
  environment,
  environments as folder,
  install,
  interpreter,
  root,
  run,
  variables,
} from "./python_environments.ts";

interface Environment {
  readonly name: string;
  /** version of Python, as in `python3.11` */
  readonly python: string;
  readonly packages: readonly string[];
  /** the whole suite, or the tests that depend on the version of anndata */
  readonly tests: readonly string[];
}

/** Tests of what depends on the versions of anndata, pandas and Python. */
const forms = [
  "-k",
  "TestForms or TestErrors or TestOptions or TestSamples or TestConsole or TestNode or TestMarkers",
];
const environments: readonly Environment[] = [
  {
    name: "anndata-0.10",
    python: "3.11",
    packages: ["anndata==0.10.*", "pandas<3", "scanpy<1.12"],
    tests: [],
  },
  { name: "anndata-0.12", python: "3.12", packages: ["anndata==0.12.*"], tests: forms },
  { name: "anndata-newest", python: "3.13", packages: ["anndata"], tests: forms },
];

const python = join(root, "python");
const chosen = process.argv.slice(2);
const isChosen = (name: string): boolean => chosen.length === 0 || chosen.includes(name);
const failed: string[] = [];
function attempt(what: string, check: () => void): void {
  try {
    check();
  } catch (error) {
    if (error instanceof Error && !("status" in error)) console.error(error.message);
    failed.push(what);
  }
}

const oldest = interpreter("3.11") ?? "python3";
const wheel = buildWheel(oldest);
const tools = environment("tools", oldest, [`${wheel}[plot]`, "mypy", "ruff", "pandas-stubs"]);

if (isChosen("sources"))
  for (const args of [
    ["ruff", "check", "--quiet", "."],
    ["ruff", "format", "--check", "--quiet", "."],
    ["mypy", "src/scpoli"],
  ])
    attempt(args.join(" "), () => run(tools, ["-m", ...args], { cwd: python }));

for (const { name, python: version, packages, tests } of environments.filter(({ name }) => isChosen(name))) {
  const base = interpreter(version);
  if (!base) {
    console.log(`${name}: no Python ${version} on this machine; not tried`);
    continue;
  }
  const program = environment(name, base, [`${wheel}[test]`, ...packages]);
  install(program, wheel);
  const versions =
    "import anndata, pandas, sys; print(f'Python {sys.version.split()[0]}, anndata {anndata.__version__}, " +
    "pandas {pandas.__version__}')";
  console.log(`${name}: ${execFileSync(program, ["-c", versions], { encoding: "utf8" }).trim()}`);
  const env = variables(name);
  attempt(`${name}: tests`, () =>
    run(program, ["-m", "pytest", "-q", "-p", "no:cacheprovider", ...tests], { cwd: python, env }),
  );
  if (tests.length === 0)
    attempt(`${name}: notebooks`, () => run(program, ["notebooks/run.py"], { cwd: python, env }));
}

if (isChosen("new-user")) {
  // only the dependencies installed by `pip install`
  rmSync(join(folder, "new-user"), { recursive: true, force: true });
  const program = environment("new-user", oldest, [`${wheel}[plot]`]);
  const empty = mkdtempSync(join(tmpdir(), "scpoli-new-user-"));
  const env = { ...variables("new-user"), MPLBACKEND: "agg" };
  attempt("the ten lines of docs/reference/python.md", () =>
    run(program, ["-c", tutorial()], { cwd: empty, env }),
  );
  rmSync(empty, { recursive: true, force: true });
}

if (isChosen("jupyterlab")) {
  const program = environment("jupyterlab", oldest, [wheel, "jupyterlab"]);
  install(program, wheel);
  try {
    const screenshot = join(root, "dist-python/show.png");
    console.log(`JupyterLab shows ${await checkShow(program, variables("jupyterlab"), screenshot)}`);
  } catch (error) {
    console.error(error);
    failed.push("JupyterLab");
  }
}

/** The ten lines of docs/reference/python.md. */
function tutorial(): string {
  const text = readFileSync(join(root, "docs/reference/python.md"), "utf8");
  const [, block = ""] = /```py\n(import scpoli\n[\s\S]*?)```/.exec(text) ?? [];
  assert.ok(block.includes("scpoli.show"), "docs/reference/python.md has the lines of a tutorial");
  return block;
}

if (failed.length > 0) {
  console.error(`Failed: ${failed.join("; ")}`);
  process.exit(1);
}
