// npm run bench:evaluate [-- CELLS]: all metrics of a simulated embedding (50,000 cells, 10 dimensions, 20
// types, 10 conditions), scpoli and scib-metrics in one run, and label transfer. SCPOLI_REFERENCE_PYTHON
// names a Python with scib-metrics. Seconds, ratios and differences are printed and written to
// bench/results/evaluate.csv; the effect of sampling 20,000 cells is written to
// bench/results/evaluate-sampling.csv.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { scoreIntegration } from "../dist/evaluation/integration.js";
import { metricNames, type MetricName } from "../dist/evaluation/metrics.js";
import { varianceBetween } from "../dist/evaluation/pc-regression.js";
import type { LabelledCells } from "../dist/evaluation/cells.js";
import { writeSafetensors } from "../dist/storage/safetensors.js";
import { Random } from "../dist/numerics/random.js";

const N = Number(process.argv[2] ?? 50_000);
const [D, types, conditions, P] = [10, 20, 10, 30];
const threads = 2;

/**
 * Types of unequal size around their centres; conditions shift them a little in the embedding and much before
 * it. The last type is in two conditions only.
 */
function simulate(): { cells: LabelledCells; before: Float32Array } {
  const random = new Random(1, "bench of evaluate");
  const normals = (count: number, spread: number): Float64Array =>
    Float64Array.from({ length: count }, () => spread * random.normal());
  const [centres, shifts, earlier, batches] = [
    normals(types * D, 1.5),
    normals(conditions * D, 0.2),
    normals(types * P, 1.5),
    normals(conditions * P, 1.5),
  ];
  const [points, before] = [new Float32Array(N * D), new Float32Array(N * P)];
  const [ofType, ofCondition] = [new Int32Array(N), new Int32Array(N)];
  for (let cell = 0; cell < N; cell++) {
    const type = (ofType[cell] = Math.floor(types * random.uniform() ** 1.5));
    const condition = (ofCondition[cell] = random.below(type === types - 1 ? 2 : conditions));
    for (let d = 0; d < D; d++)
      points[cell * D + d] = centres[type * D + d]! + shifts[condition * D + d]! + random.normal();
    for (let p = 0; p < P; p++)
      before[cell * P + p] = earlier[type * P + p]! + batches[condition * P + p]! + random.normal();
  }
  const names = (what: string, count: number): string[] =>
    Array.from({ length: count }, (_, code) => `${what} ${code}`);
  return {
    cells: {
      points,
      D,
      types: ofType,
      typeNames: names("type", types),
      conditions: ofCondition,
      conditionNames: names("condition", conditions),
    },
    before,
  };
}

/** A timed step of scpoli, and the parts of the reference with the same result. */
const parts: readonly {
  readonly name: string;
  readonly metrics: readonly MetricName[];
  readonly reference: readonly string[];
}[] = [
  {
    name: "silhouettes",
    metrics: ["cell_type_silhouette", "isolated_label_silhouette", "condition_silhouette"],
    reference: ["cell_type_silhouette", "isolated_label_silhouette", "condition_silhouette"],
  },
  { name: "neighbours, LISI", metrics: ["clisi", "ilisi"], reference: ["neighbors", "clisi", "ilisi"] },
  {
    name: "neighbours, graph connectivity",
    metrics: ["graph_connectivity"],
    reference: ["neighbors", "graph_connectivity"],
  },
  { name: "k-means", metrics: ["kmeans_nmi", "kmeans_ari"], reference: ["kmeans"] },
  { name: "neighbours, Leiden", metrics: ["leiden_nmi", "leiden_ari"], reference: ["neighbors", "leiden"] },
  { name: "PC regression", metrics: ["pc_regression"], reference: ["pc_regression"] },
];

async function timed<T>(compute: () => Promise<T>): Promise<{ value: T; seconds: number }> {
  const start = performance.now();
  return { value: await compute(), seconds: (performance.now() - start) / 1000 };
}

const { cells, before } = simulate();
const beforeIntegration = (): { varianceBetween: number } => ({
  varianceBetween: varianceBetween(before, P, cells.conditions, conditions),
});
const rows: (string | number)[][] = [
  ["what", "cells", "threads", "ours_seconds", "scib_metrics_seconds", "ratio"],
];
const all = await timed(() =>
  scoreIntegration(cells, { before: beforeIntegration(), threads, exactCells: Math.max(N, 100) }),
);
console.log(`ours, all metrics: ${all.seconds.toFixed(1)} s`);

const python = process.env["SCPOLI_REFERENCE_PYTHON"];
const folder = mkdtempSync(join(tmpdir(), "bench-evaluate-"));
try {
  const seconds: Record<string, number> = {};
  let reference: Partial<Record<MetricName, number | null>> = {};
  if (python) {
    const file = join(folder, "cells.safetensors");
    const tensor = (dtype: "F32" | "I32", shape: number[], data: Float32Array | Int32Array) => ({
      dtype,
      shape,
      data,
    });
    writeFileSync(
      file,
      writeSafetensors(
        new Map([
          ["latent", tensor("F32", [N, D], cells.points)],
          ["pca_before", tensor("F32", [N, P], before)],
          ["label", tensor("I32", [N], cells.types)],
          ["condition", tensor("I32", [N], cells.conditions)],
        ]),
      ),
    );
    const script = fileURLToPath(new URL("../scripts/reference_metrics.py", import.meta.url));
    const answer = JSON.parse(
      execFileSync(python, [script, file, "--pynndescent", "--without-f1"], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      }),
    ) as { metrics: typeof reference; seconds: typeof seconds };
    Object.assign(seconds, answer.seconds);
    reference = answer.metrics;
  }
  const total = Object.values(seconds).reduce((sum, part) => sum + part, 0);
  const report = (what: string, ours: number, referenceSeconds: number): void => {
    const ratio = referenceSeconds / ours;
    console.log(
      `${what.padEnd(34)} ours ${ours.toFixed(1)} s` +
        (python ? `, scib-metrics ${referenceSeconds.toFixed(1)} s, ratio ${ratio.toFixed(1)}` : ""),
    );
    rows.push([
      what,
      N,
      threads,
      ours.toFixed(2),
      python ? referenceSeconds.toFixed(2) : "",
      python ? ratio.toFixed(2) : "",
    ]);
  };
  for (const { name, metrics, reference: referenceParts } of parts) {
    const timedScores = await timed(() =>
      scoreIntegration(cells, {
        metrics,
        before: beforeIntegration(),
        threads,
        exactCells: Math.max(N, 100),
      }),
    );
    report(
      name,
      timedScores.seconds,
      referenceParts.reduce((sum, part) => sum + (seconds[part] ?? 0), 0),
    );
  }
  // includes the isolated-label F1 score, which scib-metrics leaves to scib
  report("all metrics", all.seconds, total);
  console.log("");
  for (const name of metricNames) {
    const [value, expected] = [all.value[name]!.value, reference[name]];
    const comparison =
      typeof expected === "number"
        ? `  scib-metrics ${expected.toFixed(4)}  difference ${(value! - expected).toExponential(1)}`
        : "";
    console.log(`${name.padEnd(26)} ${value?.toFixed(4)}${comparison}`);
  }
} finally {
  rmSync(folder, { recursive: true });
}

const exactCells = Math.floor(0.4 * N);
const sampled = await timed(() =>
  scoreIntegration(cells, { before: beforeIntegration(), threads, exactCells }),
);
console.log(`\nsampled, as if ${exactCells} cells were the limit: ${sampled.seconds.toFixed(1)} s`);
const samples: (string | number)[][] = [["metric", "cells", "limit", "exact", "sampled", "standard_error"]];
for (const name of metricNames) {
  const [exact, { value, standard_error }] = [all.value[name]!.value!, sampled.value[name]!];
  samples.push([
    name,
    N,
    exactCells,
    exact.toFixed(4),
    value!.toFixed(4),
    standard_error === null ? "" : standard_error.toFixed(4),
  ]);
  console.log(
    `${name.padEnd(26)} exact ${exact.toFixed(4)}  sampled ` +
      `${value!.toFixed(4)}${standard_error === null ? "" : ` ± ${standard_error.toFixed(4)}`}`,
  );
}
write("evaluate", rows);
write("evaluate-sampling", samples);

function write(name: string, table: readonly (readonly (string | number)[])[]): void {
  const lines = table.map(
    (row) => `${row.map((field) => (String(field).includes(",") ? `"${field}"` : field)).join(",")}\n`,
  );
  writeFileSync(fileURLToPath(new URL(`results/${name}.csv`, import.meta.url)), lines.join(""));
}
