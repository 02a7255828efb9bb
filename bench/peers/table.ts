// bench/results/peers.csv: a row per data set, method and seed.
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import Papa from "papaparse";
import { integrationFigures, labelFigures, type Figures } from "./scoring.ts";

export const costFigures = ["cpu_seconds", "wall_seconds", "peak_mb"] as const;
type CostFigure = (typeof costFigures)[number];
const figures = [...labelFigures, ...integrationFigures, ...costFigures] as const;
const columns = ["data", "method", "seed", ...figures, "measured_by"] as const;

export interface Row {
  readonly data: string;
  readonly method: string;
  readonly seed: number;
  readonly figures: Figures & Readonly<Partial<Record<CostFigure, number>>>;
  /** the bench that measured it */
  readonly measuredBy: string;
}

/** Rows of the file; the last one for each data set, method and seed. */
export function readRows(path: string): Row[] {
  if (!existsSync(path)) return [];
  const { data } = Papa.parse<Record<string, string>>(readFileSync(path, "utf8").trim(), { header: true });
  const rows = data.map((row): Row => ({
    data: row["data"]!,
    method: row["method"]!,
    seed: Number(row["seed"]),
    measuredBy: row["measured_by"]!,
    figures: Object.fromEntries(
      figures.filter((figure) => row[figure] !== "").map((figure) => [figure, Number(row[figure])]),
    ),
  }));
  return [...new Map(rows.map((row) => [[row.data, row.method, row.seed].join("\n"), row])).values()];
}

/** Appends one row, so that an interrupted bench can resume. */
export function appendRow(path: string, row: Row): void {
  if (!existsSync(path)) writeFileSync(path, `${columns.join(",")}\n`);
  appendFileSync(path, `${csvRow(row)}\n`);
}

function csvRow({ data, method, seed, figures: values, measuredBy }: Row): string {
  const numbers = figures.map((figure) => {
    const value = values[figure];
    return value === null || value === undefined ? "" : String(Number(value.toFixed(4)));
  });
  return Papa.unparse([[data, method, seed, ...numbers, measuredBy]]);
}
