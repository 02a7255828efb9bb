// Speed of markers compared with scanpy in the same run: 100,000 simulated cells, 4,000 genes, 20 groups.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { simulate } from "../simulate.ts";
import { markdownTable, python, root, type Section } from "./section.ts";

const [cells, genes, groups] = [Number(process.env["CELLS"] ?? 100_000), 4_000, 20];
const folder = join(root, ".cache/answers");
const script = (name: string): string => join(root, "bench/answers", name);

interface Run {
  readonly seconds: number;
  readonly megabytes: number;
}

/** Markers by this package in a process of its own. */
function runMarkers(path: string, layer: string, memory: string, output = ""): Run {
  return JSON.parse(
    execFileSync(process.execPath, [script("markers-run.mjs"), path, "cell_type", layer, memory, output], {
      encoding: "utf8",
    }),
  ) as Run;
}

interface ScanpyRun {
  readonly prepare_seconds: number;
  readonly test_seconds: number;
  readonly megabytes: number;
  readonly version: string;
}

/** Markers by scanpy, which also writes the normalised values it tested. */
function runScanpy(program: string, path: string, normalised: string): ScanpyRun {
  return JSON.parse(
    execFileSync(program, [script("markers_scanpy.py"), path, "cell_type", normalised], { encoding: "utf8" }),
  ) as ScanpyRun;
}

export async function markersSpeed(): Promise<Section> {
  if (python === null) throw new Error("name a Python with scanpy in SCPOLI_REFERENCE_PYTHON");
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${cells}.h5ad`);
  if (!existsSync(path)) await simulate(path, { cells, genes, cellTypes: groups });
  const normalised = join(folder, `${cells}-normalised.h5ad`);
  const counts = runMarkers(path, "", "");
  const scanpy = runScanpy(python, path, normalised);
  const values = runMarkers(normalised, "X", "", join(folder, "ours.json"));
  const bounded = runMarkers(path, "", String(64 * 2 ** 20));
  const difference = JSON.parse(
    execFileSync(python, [script("compare_scores.py"), `${normalised}.npz`, join(folder, "ours.json")], {
      encoding: "utf8",
    }),
  ) as { readonly score: number; readonly p: number };
  const whole = scanpy.prepare_seconds + scanpy.test_seconds;
  const rows: [string, number, number, string][] = [
    [
      "scpoli, raw counts in the file",
      counts.seconds,
      counts.megabytes,
      `${(whole / counts.seconds).toFixed(1)} x`,
    ],
    [
      "scpoli, 64 MiB for the values",
      bounded.seconds,
      bounded.megabytes,
      `${(whole / bounded.seconds).toFixed(1)} x`,
    ],
    [
      "scpoli, normalised values in the file",
      values.seconds,
      values.megabytes,
      `${(scanpy.test_seconds / values.seconds).toFixed(1)} x the test alone`,
    ],
    [`scanpy ${scanpy.version}: read, normalise, log1p`, scanpy.prepare_seconds, scanpy.megabytes, ""],
    [`scanpy ${scanpy.version}: rank_genes_groups alone`, scanpy.test_seconds, scanpy.megabytes, ""],
  ];
  const table = markdownTable(
    ["", "seconds", "most memory, MB", "faster than scanpy"],
    rows.map(([name, seconds, megabytes, ratio]) => [name, seconds.toFixed(1), megabytes.toFixed(0), ratio]),
  );
  console.log(table);
  console.log(difference);
  return {
    paragraphs: [
      "## Speed of markers",
      `${cells.toLocaleString("en-US")} simulated cells, ${genes.toLocaleString("en-US")} genes, ` +
        `${groups} groups, ${cpus().length} processors, in one run. Reading is part of scpoli's times.`,
      table,
      `On the same normalised values, scores differ by ${difference.score.toExponential(1)} and corrected ` +
        `P values by ${difference.p.toExponential(1)} at most, relative to scanpy's.`,
    ],
    numbers: { cells, genes, groups, counts, bounded, values, scanpy, difference },
  };
}
