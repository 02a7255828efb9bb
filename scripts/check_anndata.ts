// npm run check:anndata [VERSION...]: every encoding with each version of Python's anndata, in a separate
// environment per version (.cache/anndata; takes minutes, once). Each version writes its files, scpoli reads
// them and writes copies with additions, anndata opens those and compares element by element: the tests of
// test/anndata.test.ts, and a Zarr store of each format that the version knows. Needs python3.11, and
// python3.12 for 0.13. Results: bench/results/anndata.csv. Exit code 0 only if all hold.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { AnnData } from "../dist/anndata/anndata.js";
import { writeCopy } from "../dist/anndata/write.js";
import { interpreter } from "./python_environments.ts";
import { assertContents, type ExpectedContents } from "../test/compare.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
interface Environment {
  /** version of Python */
  readonly python: "3.11" | "3.12";
  /**
   * 0.8 does not open files whose `ordered` is an integer, as HDF5 libraries without Python's booleans write
   * it; ours is one
   */
  readonly isReadOnly?: boolean;
  readonly packages: readonly string[];
}
/** With libraries of the same age: later ones break them. */
const environments: Readonly<Record<string, Environment>> = {
  "0.8.0": {
    python: "3.11",
    isReadOnly: true,
    packages: [
      "anndata==0.8.0",
      "numpy==1.24.4",
      "pandas==1.5.3",
      "scipy==1.10.1",
      "h5py==3.10.0",
      "zarr==2.16.1",
      "numcodecs==0.12.1",
    ],
  },
  "0.9.2": {
    python: "3.11",
    packages: [
      "anndata==0.9.2",
      "numpy==1.26.4",
      "pandas==2.0.3",
      "scipy==1.11.4",
      "h5py==3.10.0",
      "zarr==2.16.1",
      "numcodecs==0.12.1",
    ],
  },
  "0.10.9": {
    python: "3.11",
    packages: [
      "anndata==0.10.9",
      "numpy==1.26.4",
      "pandas==2.2.3",
      "scipy==1.13.1",
      "h5py==3.12.1",
      "zarr==2.18.3",
      "numcodecs==0.13.1",
    ],
  },
  "0.11.4": {
    python: "3.11",
    packages: [
      "anndata==0.11.4",
      "numpy==2.1.3",
      "pandas==2.2.3",
      "scipy==1.14.1",
      "h5py==3.12.1",
      "zarr==2.18.3",
      "numcodecs==0.15.1",
    ],
  },
  "0.12.19": { python: "3.11", packages: ["anndata==0.12.19", "h5py==3.16.0"] },
  // with pandas 3, names are nullable strings, which the tests that damage names do not know; check:python
  // runs with pandas 3
  "0.13": { python: "3.12", packages: ["anndata>=0.13,<0.14", "pandas<3"] },
};

/** @returns the environment's Python, null if the required one is not installed */
function install(version: string, { python, packages }: Environment): string | null {
  const folder = join(root, ".cache/anndata", version);
  const program = join(folder, "bin/python");
  const installed = join(folder, "installed.txt");
  if (existsSync(installed) && readFileSync(installed, "utf8") === packages.join("\n")) return program;
  const base = interpreter(python);
  if (base === null) return null;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(root, ".cache/anndata"), { recursive: true });
  execFileSync(base, ["-m", "venv", folder], { stdio: "pipe" });
  execFileSync(program, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...packages], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  writeFileSync(installed, packages.join("\n"));
  return program;
}

/** .h5ad files: the tests, with this Python. */
function checkH5ad(
  python: string,
  isReadOnly: boolean,
): { readonly passed: number; readonly failed: number } {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ["--import", "tsx", "--test", "--test-reporter=tap", join(root, "test/anndata.test.ts")],
    {
      encoding: "utf8",
      cwd: root,
      env: { ...process.env, SCPOLI_PYTHON: python, ...(isReadOnly && { SCPOLI_READ_ONLY: "1" }) },
    },
  );
  const count = (what: string): number =>
    Number(new RegExp(`^# ${what} (\\d+)$`, "m").exec(stdout)?.[1] ?? NaN);
  const failed = count("fail");
  if (failed !== 0)
    console.log(
      stdout
        .split("\n")
        .filter((line) => /not ok|error:|Error/.test(line))
        .join("\n"),
      stderr.slice(-3000),
    );
  return { passed: count("pass"), failed };
}

interface Expected {
  readonly stores: readonly string[];
  readonly full: ExpectedContents;
  readonly versions: Readonly<Record<string, string>>;
}

/** Zarr stores: read, and a copy with additions opened again. */
async function checkZarr(python: string): Promise<Expected> {
  const folder = mkdtempSync(join(tmpdir(), "scpoli-anndata-"));
  const runPython = (verb: string): string =>
    execFileSync(python, ["-W", "ignore", join(root, "test/python/zarr_versions.py"), verb, folder], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    });
  try {
    runPython("make");
    const expected = JSON.parse(
      readFileSync(join(folder, "expected.json"), "utf8").replaceAll("NaN", "null"),
    ) as Expected;
    const written = [];
    for (const source of expected.stores) {
      const data = await AnnData.open(join(folder, source));
      await assertContents(data, expected.full);
      const codes = Array.from({ length: data.nObs }, (_, i) => (i % 4) - 1);
      const latent = Array.from({ length: 2 * data.nObs }, (_, i) => i / 4);
      await writeCopy(data, join(folder, `copy of ${source}`), {
        obs: {
          type_pred: {
            kind: "categorical",
            codes: Int32Array.from(codes),
            categories: ["B cell", "T cell", "µ"],
          },
          type_uncert: { kind: "number", values: Float32Array.from(codes) },
        },
        obsm: { X_scpoli: { rows: data.nObs, columns: 2, values: Float32Array.from(latent) } },
        uns: { scpoli: { version: "1.0", threshold: 0.25 } },
      });
      data.close();
      written.push({
        source,
        file: `copy of ${source}`,
        uns: { scpoli: null },
        obsm: { X_scpoli: { rows: codes.length, columns: 2, values: latent, dtype: "float32" } },
        obs: {
          type_pred: { kind: "categorical", codes, categories: ["B cell", "T cell", "µ"], ordered: false },
          type_uncert: { kind: "number", values: codes },
        },
      });
    }
    writeFileSync(join(folder, "written.json"), JSON.stringify(written));
    if (runPython("check").trim() !== "ok") throw new Error("Python did not say ok");
    return expected;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const requestedVersions = process.argv.slice(2);
const rows: string[] = [];
let failures = 0;
for (const [version, environment] of Object.entries(environments)) {
  if (requestedVersions.length > 0 && !requestedVersions.includes(version)) continue;
  const python = install(version, environment);
  if (python === null) {
    console.log(`anndata ${version}: not tried, Python ${environment.python} is not installed here`);
    continue;
  }
  const { passed, failed } = checkH5ad(python, environment.isReadOnly ?? false);
  failures += failed === 0 ? 0 : 1;
  try {
    const { stores, versions } = await checkZarr(python);
    const formats = stores.map((name) => /v(\d)/.exec(name)![1]).join(" and ");
    rows.push(
      [
        versions["anndata"],
        versions["python"],
        versions["pandas"],
        versions["numpy"],
        versions["zarr"],
        passed,
        failed,
        environment.isReadOnly ? "no" : "yes",
        `"${formats}"`,
      ].join(","),
    );
    console.log(
      `anndata ${versions["anndata"]}: ${passed} tests with its .h5ad files passed, ${failed} ` +
        `failed${environment.isReadOnly ? " (read only)" : ""}; Zarr ${formats} read, and its copies opened`,
    );
  } catch (error) {
    failures++;
    console.log(`anndata ${version}: Zarr: ${error instanceof Error ? error.message : String(error)}`);
  }
}
if (requestedVersions.length === 0)
  writeFileSync(
    join(root, "bench/results/anndata.csv"),
    "anndata,python,pandas,numpy,zarr,tests_passed,tests_failed,opens_ours,zarr_formats\n" +
      `${rows.join("\n")}\n`,
  );
process.exit(failures === 0 ? 0 : 1);
