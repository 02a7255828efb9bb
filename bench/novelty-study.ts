// npm run study:novelty [-- SET ...]: contribution of each component of the novelty score, on references
// only: some donors in turn are a query against the others, with each of its types left out in turn. The
// queries of bench:unknown are not used. Needs ../shared/data. Single runs are kept in .cache/novelty-runs
// (delete it to start again); a study of all sets goes to bench/results/novelty-study.csv and its means to
// docs/benchmarks/labels.md.
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ScPoli } from "../dist/index.js";
import { saveModel } from "../dist/storage/model-folder.js";
import { writeSection } from "./sections.ts";
import { cached, configurations, mean, sharedData, type Configuration } from "./transfer.ts";
import { leftOutTypes, runFigures, runUnknown, type Run, type Variants } from "./unknown-runs.ts";

const root = new URL("..", import.meta.url).pathname;
const cache = join(root, ".cache/novelty-runs");

/** Donors used as queries, each a list of conditions. */
const queries: Readonly<Record<string, readonly (readonly string[])[]>> = {
  panc8: [["indrop3"], ["smartseq2"], ["indrop1"]],
  kang16: ["patient_1015", "patient_1256"].map((patient) => [`${patient}_ctrl`, `${patient}_stim`]),
  onek1k: [["pool43"], ["pool25", "pool19", "pool67", "pool11", "pool54"]],
};

/** The model with modified tables of left-out cells. */
async function withTables(
  model: ScPoli,
  change: (table: Float32Array, width: number) => Float32Array,
): Promise<ScPoli> {
  const { json, tensors } = model.stored;
  const changed = new Map(tensors);
  for (const name of ["company", "alone"] as const) {
    const tensor = tensors.get(`novelty.0.${name}`);
    if (!tensor) continue;
    const data = change(tensor.data.slice(), tensor.shape[1]!);
    changed.set(`novelty.0.${name}`, { shape: [data.length / tensor.shape[1]!, tensor.shape[1]!], data });
  }
  const folder = join(cache, "changed-model");
  await saveModel(folder, { json, tensors: changed }, { force: true });
  return ScPoli.load(folder);
}

/** A component without any lower value of a left-out cell has no effect. */
function without(...parts: readonly number[]): Variants[string] {
  return (model) =>
    withTables(model, (table, width) =>
      table.map((value, at) => {
        const column = at % width;
        const part = (column - 3) % 3;
        const isMissing = table[at - column + 3 + 3 * Math.floor((column - 3) / 3) + 2] === -1;
        return column >= 3 && parts.includes(part) && !isMissing ? 1e9 : value;
      }),
    );
}

/** Only neighbourhoods of at most k cells. @param sizes - number of such sizes */
function atMost(sizes: number): Variants[string] {
  return (model) =>
    withTables(model, (table, width) => table.map((value, at) => (at % width >= 3 + 3 * sizes ? -1 : value)));
}

/** Neighbours are searched among all cells of a query. */
async function undivided(model: ScPoli): Promise<ScPoli> {
  const { json, tensors } = model.stored;
  if (!json.head) return model;
  const levels = json.head.levels.map(({ novelty, ...level }) => {
    if (!novelty) return level;
    const { donor_cells: _, ...undividedNovelty } = novelty;
    return { ...level, novelty: undividedNovelty };
  });
  const folder = join(cache, "changed-model");
  await saveModel(folder, { json: { ...json, head: { ...json.head, levels } }, tensors }, { force: true });
  return ScPoli.load(folder);
}

const variants = {
  whole: async (model) => model,
  undivided,
  "without span": without(0),
  "without distance": without(1),
  "without doubt": without(2),
  "no neighbours": atMost(1),
  "one table": async (model) => {
    const company = model.stored.tensors.get("novelty.0.company");
    return company ? withTables(model, () => company.data.slice()) : model;
  },
} satisfies Variants;

interface Result {
  readonly set: string;
  readonly query: string;
  readonly leftOut: string | null;
  readonly runs: Readonly<Record<string, Run>>;
}

type VariantName = keyof typeof variants;
const titles: Readonly<Record<VariantName, string>> = {
  whole: "the score",
  undivided: "neighbours in the undivided query",
  "without span": "without the residual outside the span",
  "without distance": "without the distance",
  "without doubt": "without the doubt",
  "no neighbours": "no neighbours",
  "one table": "cells alone calibrated as in company",
};

/** Columns of the document. */
const shownFigures = {
  AUROC: "auroc",
  found: "found",
  "found alone": "alone_found",
  flagged: "flagged",
  "flagged alone": "alone_flagged",
  "flag changed": "changed",
} as const;

/** Mean of a figure over the runs of a variant that have it. */
function meanFigure(results: readonly Result[], variant: string, figure: string): string {
  const values = results.flatMap(({ runs }) => runFigures[figure]!(runs[variant]!) ?? []);
  return values.length > 0 ? mean(values).toFixed(3) : "";
}

function writeTable(results: readonly Result[]): void {
  const lines = results.flatMap(({ set, query, leftOut, runs }) =>
    Object.entries(runs).map(([variant, run]) =>
      [
        ...[set, query, leftOut ?? "", variant].map((text) => `"${text}"`),
        ...Object.values(runFigures).map((figure) => figure(run)?.toFixed(4) ?? ""),
      ].join(","),
    ),
  );
  const columns = ["set", "query", "left_out", "variant", ...Object.keys(runFigures)];
  writeFileSync(join(root, "bench/results/novelty-study.csv"), `${columns.join(",")}\n${lines.join("\n")}\n`);
}

/** The section of the document: means of each variant. */
function writeMeans(results: readonly Result[]): void {
  const types = results.filter(({ leftOut }) => leftOut !== null).length;
  const donors = new Set(results.map(({ query }) => query)).size;
  const row = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const columns = ["variant", ...Object.keys(shownFigures)];
  const table = [
    row(columns),
    row(columns.map(() => "---")),
    ...Object.entries(titles).map(([variant, title]) =>
      row([title, ...Object.values(shownFigures).map((figure) => meanFigure(results, variant, figure))]),
    ),
  ];
  writeSection(join(root, "docs/benchmarks/labels.md"), "What each part of the novelty score adds", [
    `On references alone (${Object.keys(queries).join(", ")}): ${donors} times, left-out donors are the ` +
      `query of the others; with each of their types left out in turn, ${types} in all, and with none. ` +
      "Means of the runs that have the figure. The queries of the other tables are not used. Made by " +
      "`npm run study:novelty` (single runs: `bench/results/novelty-study.csv`).",
    "",
    ...table,
  ]);
  console.log(table.join("\n"));
}

if (!existsSync(sharedData)) {
  console.log(`study:novelty needs ${sharedData}, which is not there; nothing measured.`);
  process.exit(0);
}
const requestedSets = process.argv.slice(2);
const results: Result[] = [];
for (const [set, donors] of Object.entries(queries)) {
  if (requestedSets.length > 0 && !requestedSets.includes(set)) continue;
  const wholeSet = configurations.find(({ name }) => name === set)!;
  for (const query of donors) {
    const name = `${set}-${query[0]}`;
    const configuration: Configuration = { ...wholeSet, name, query, excluded: wholeSet.query };
    for (const leftOut of await leftOutTypes(configuration, cache)) {
      const runs = await cached(cache, `${name}-${leftOut ?? "nothing"}`, () =>
        runUnknown(configuration, leftOut, 0, cache, variants),
      );
      results.push({ set, query: query[0]!, leftOut, runs });
      console.log(`${name} without ${leftOut ?? "nothing"}`);
    }
  }
}
if (requestedSets.length === 0) {
  writeTable(results);
  writeMeans(results);
}
