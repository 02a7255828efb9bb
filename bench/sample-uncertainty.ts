// npm run bench:sample-uncertainty [-- SET ... | --write]: does the uncertainty of a sample's embedding say
// how far the embedding moves with other cells? Samples of a query are cut into parts of n cells without a
// common cell, and each part is mapped as a sample. Compares the spread of the parts' embeddings with the
// standard deviation that `ScPoli.samples` computes from one part alone. The method was worked out on kang16:
// that samples share the shape of the curvature, and that no variance exceeds that of the unit ball. The
// other sets were scored once with it, and again when the derivatives of few cells were given the mean of
// all. Writes bench/results/sample-uncertainty.csv, docs/benchmarks/sample-uncertainty.md and its figure
// (--write: only these two, from the results). Needs ../shared/data.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AnnData, ScPoli } from "../dist/index.js";
import { Random } from "../dist/numerics/random.js";
import { groupColour, lineChart, standaloneSvg } from "../dist/plots/index.js";
import { labels, writeRows } from "./rows.ts";
import { configurations, mean, openTransfer, sharedData } from "./transfer.ts";

/** Number of cells of the parts. */
const partSizes = [25, 50, 100, 200];
/** Parts of each size that a sample is cut into, at most. */
const mostParts = 8;
const seed = 0;
const sets = ["kang16", "onek1k", "pbmc3"];

interface Row {
  readonly set: string;
  /** cells of a part */
  readonly cells: number;
  readonly samples: number;
  readonly parts: number;
  /** root mean square over samples: spread of the parts' embeddings, over all directions together */
  readonly observed: number;
  /** the same of the standard deviations that are computed */
  readonly computed: number;
  /**
   * share of pairs of parts whose coordinates differ by at most 1.96 standard deviations of the difference
   */
  readonly covered: number;
}

const root = new URL("..", import.meta.url).pathname;
const cache = join(root, ".cache/sample-uncertainty");
const csv = join(root, "bench/results/sample-uncertainty.csv");

/** A part of a sample: position and covariance of its embedding. */
interface Part {
  readonly position: Float64Array;
  readonly covariance: ArrayLike<number>;
  readonly deviation: number;
}

async function partsOf(set: string, model: ScPoli, query: AnnData, size: number): Promise<Part[][]> {
  const { condition } = configurations.find(({ name }) => name === set)!;
  const samples = await labels(query, condition);
  const random = new Random(seed, `parts of ${size}`);
  const rows: number[] = [];
  const names: string[] = [];
  for (const sample of new Set(samples)) {
    const cells = random.shuffle(Int32Array.from(samples.keys()).filter((cell) => samples[cell] === sample));
    const parts = Math.min(mostParts, Math.floor(cells.length / size));
    if (parts < 2) continue;
    for (let i = 0; i < parts * size; i++) {
      rows.push(cells[i]!);
      names.push(`${sample}, part ${Math.floor(i / size)}`);
    }
  }
  if (rows.length === 0) return [];
  const path = join(cache, `${set}-${size}.h5ad`);
  await writeRows(query, Int32Array.from(rows), path, (name, i) => `${name}-${i}`, { [condition]: names });
  const data = await AnnData.open(path);
  try {
    const { model: mapped } = await model.map(data, { seed, force: true });
    const [analysis] = await mapped.samples({ data, seed });
    const { samples: table, uncertainty } = analysis!;
    const E = table.embedding.columns;
    const bySample = new Map<string, Part[]>();
    table.names.forEach((name, row) => {
      const sampleUncertainty = uncertainty![row];
      if (!sampleUncertainty) return;
      const sample = name.replace(/, part \d+$/, "");
      bySample.set(sample, [
        ...(bySample.get(sample) ?? []),
        {
          position: Float64Array.from(table.embedding.values.subarray(row * E, (row + 1) * E)),
          covariance: sampleUncertainty.covariance.values,
          deviation: sampleUncertainty.deviation,
        },
      ]);
    });
    return [...bySample.values()];
  } finally {
    data.close();
  }
}

/** Root mean square distance of parts to their mean, n - 1 in the denominator. */
function spread(parts: readonly Part[]): number {
  const center = parts[0]!.position.map((_, e) => mean(parts.map(({ position }) => position[e]!)));
  const squares = parts.map(({ position }) =>
    position.reduce((sum, value, e) => sum + (value - center[e]!) ** 2, 0),
  );
  return Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / (parts.length - 1));
}

/** Per pair of parts and coordinate, whether they differ by at most 1.96 standard deviations. */
function coverage(parts: readonly Part[]): boolean[] {
  return parts.flatMap((one, i) =>
    parts.slice(0, i).flatMap((other) =>
      Array.from(one.position, (value, e) => {
        const at = e * one.position.length + e;
        const variance = one.covariance[at]! + other.covariance[at]!;
        return Math.abs(value - other.position[e]!) <= 1.96 * Math.sqrt(variance);
      }),
    ),
  );
}

const rootMeanSquare = (values: readonly number[]): number =>
  Math.sqrt(mean(values.map((value) => value * value)));

async function measure(set: string): Promise<Row[]> {
  const configuration = configurations.find(({ name }) => name === set)!;
  const { reference, query, close } = await openTransfer(configuration, cache, set);
  try {
    const model = await ScPoli.train(reference, {
      conditionKeys: [configuration.condition],
      cellTypeKeys: [configuration.label],
      genes: reference.nVars > 2000 ? 2000 : undefined,
      seed,
    });
    const rows: Row[] = [];
    for (const cells of partSizes) {
      const samples = await partsOf(set, model, query, cells);
      if (samples.length === 0) continue;
      const row = {
        set,
        cells,
        samples: samples.length,
        parts: samples.reduce((sum, parts) => sum + parts.length, 0),
        observed: rootMeanSquare(samples.map(spread)),
        computed: rootMeanSquare(samples.flat().map(({ deviation }) => deviation)),
        covered: mean(samples.flatMap(coverage).map(Number)),
      };
      rows.push(row);
      console.log(
        `${set}, ${cells} cells, ${row.parts} parts of ${row.samples} samples: spread ` +
          `${row.observed.toFixed(3)}, computed ${row.computed.toFixed(3)} ` +
          `(ratio ${(row.computed / row.observed).toFixed(2)}), covered ${row.covered.toFixed(3)}`,
      );
    }
    return rows;
  } finally {
    close();
  }
}

const columns = ["set", "cells", "samples", "parts", "observed", "computed", "covered"] as const;

function readRows(): Row[] {
  if (!existsSync(csv)) return [];
  return readFileSync(csv, "utf8")
    .trim()
    .split("\n")
    .slice(1)
    .map((line) => {
      const values = line.split(",");
      return Object.fromEntries(
        columns.map((column, i) => [column, i === 0 ? values[i]! : Number(values[i])]),
      ) as unknown as Row;
    });
}

function writeDocument(rows: readonly Row[]): void {
  const names = sets.filter((set) => rows.some((row) => row.set === set));
  const out = join(root, "docs/benchmarks");
  const chart = lineChart({
    title: "Standard deviation of sample embeddings by number of cells",
    x: { label: "cells of the sample" },
    y: { label: "standard deviation", range: [0, Math.max(...rows.map((row) => row.computed))] },
    legend: "data set",
    series: names.flatMap((set, i) =>
      (["observed", "computed"] as const).map((what) => ({
        name: `${set}, ${what}`,
        colour: groupColour(i),
        isDashed: what === "computed",
        points: rows.filter((row) => row.set === set).map((row) => [row.cells, row[what]] as const),
      })),
    ),
  });
  mkdirSync(join(out, "figures"), { recursive: true });
  writeFileSync(join(out, "figures/sample-uncertainty.svg"), `${standaloneSvg(chart)}\n`);
  writeFileSync(
    join(out, "sample-uncertainty.md"),
    [
      "# Uncertainty of sample embeddings",
      "`npm run docs:figures` writes a summary here.",
      "![Standard deviation of sample embeddings by number of cells](figures/sample-uncertainty.svg)",
      "Each sample of a query is cut into parts of n cells that have no cell in common, and each part is " +
        "mapped as a sample of its own. `spread` is the standard deviation of the parts' embeddings over " +
        "all directions together; `computed` is what `scpoli samples --data` says from one part alone; " +
        "`covered` is the share of pairs of parts and coordinates that differ by at most 1.96 computed " +
        "standard deviations (0.95 where they are right). The method: [Sample " +
        "embeddings](../explanation/samples.md#uncertainty).",
      "Made by `npm run bench:sample-uncertainty` (`bench/results/sample-uncertainty.csv`), default " +
        `options, seed ${seed}. The method was developed on kang16 alone. ` +
        "References and queries: [Data sets](data-sets.md).",
      [
        "| data | cells of a part | samples | parts | spread | computed | computed / spread | covered |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        ...rows.map(
          (row) =>
            `| ${row.set} | ${row.cells} | ${row.samples} | ${row.parts} | ${row.observed.toFixed(3)} | ` +
            `${row.computed.toFixed(3)} | ${(row.computed / row.observed).toFixed(2)} | ` +
            `${row.covered.toFixed(3)} |`,
        ),
      ].join("\n"),
    ].join("\n\n") + "\n",
  );
}

mkdirSync(cache, { recursive: true });
const requestedSets = process.argv.slice(2);
for (const set of requestedSets.includes("--write") ? [] : requestedSets.length > 0 ? requestedSets : sets) {
  const { file } = configurations.find(({ name }) => name === set)!;
  if (!existsSync(join(sharedData, `${file}.h5ad`))) {
    console.log(`${set} is left out: ../shared/data has no ${file}.h5ad`);
    continue;
  }
  const rows = [...readRows().filter((row) => row.set !== set), ...(await measure(set))];
  rows.sort((a, b) => sets.indexOf(a.set) - sets.indexOf(b.set) || a.cells - b.cells);
  const text = rows.map((row) =>
    columns
      .map((column) => (typeof row[column] === "number" ? String(+row[column].toFixed(4)) : row[column]))
      .join(","),
  );
  writeFileSync(csv, `${[columns.join(","), ...text].join("\n")}\n`);
}
writeDocument(readRows());
