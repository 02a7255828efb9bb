// npm run bench:unknown [-- --seeds N] [SET ...]: quality of novelty and flags, and of the labels of the
// classifier on genes (bench:labels has those of the nearest prototype). Each type with at least 20 query
// cells is left out of the reference in turn, then none; the query is mapped as a whole, in two halves, and
// each of its types alone. Small references (two donors, 400 cells) follow. Nothing is chosen on these
// queries (study:novelty uses references). Needs ../shared/data. Results of single runs are kept in
// .cache/unknown-runs (delete it to start again); the tables go to bench/results/unknown.csv and
// docs/benchmarks/labels.md.
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { writeSection } from "./sections.ts";
import { cached, configurations, mean, sharedData, type Configuration } from "./transfer.ts";
import { leastCells, leftOutTypes, runFigures, runUnknown, type Run } from "./unknown-runs.ts";

const root = new URL("..", import.meta.url).pathname;
const cache = join(root, ".cache/unknown-runs");
const mixology: Configuration = {
  name: "mixology",
  file: "mixology",
  condition: "batch",
  label: "cell_type",
  query: ["celseq2_5cl_p3"],
};
const sets = ["panc8", "pbmc3", "kang16", "onek1k"].map((set) =>
  configurations.find(({ name }) => name === set)!,
);

const smallSuffix = "-400-cells";
const bothStates = (patients: readonly string[]): string[] =>
  patients.flatMap((patient) => [`patient_${patient}_ctrl`, `patient_${patient}_stim`]);
/** References of two donors or batches and 400 cells; nothing is left out. */
const smallReferences: readonly Configuration[] = [
  { set: "panc8", reference: ["indrop1", "indrop3"] },
  { set: "pbmc3", reference: ["3pv1", "3pv2"] },
  { set: "kang16", reference: bothStates(["1015", "1488"]) },
  { set: "onek1k", reference: ["pool43", "pool25"] },
].map(({ set, reference }) => ({
  ...sets.find(({ name }) => name === set)!,
  name: `${set}${smallSuffix}`,
  reference,
  referenceCells: 400,
}));
/** Two donors in one state; half of the cells of the query are in another. */
const unstimulated: Configuration = {
  ...smallReferences[2]!,
  name: `kang16-unstimulated${smallSuffix}`,
  reference: ["patient_1015_ctrl", "patient_1488_ctrl"],
};

interface Result {
  readonly set: string;
  readonly leftOut: string | null;
  /** by seed */
  readonly runs: readonly Run[];
}

/** Mean over seeds; NaN without any. */
function value({ runs }: Result, column: string): number {
  return mean(runs.flatMap((run) => runFigures[column]!(run) ?? []));
}

function fixed(number: number, digits = 2): string {
  return Number.isNaN(number) ? "" : number.toFixed(digits);
}

/** Flags with references of two donors and 400 cells: shares, or why flagging is disabled. */
function smallSummary(results: readonly Result[]): string {
  const texts = results.map((result) => {
    const flagged = result.runs.filter(({ notFlagged }) => notFlagged === null);
    const disabled = result.runs.length - flagged.length;
    return (
      `${result.set.replace(smallSuffix, "")} ` +
      (flagged.length === 0
        ? "not calibrated"
        : `${fixed(mean(flagged.map((run) => runFigures.flagged!(run)!)), 3)} in company and ` +
          `${fixed(mean(flagged.map((run) => runFigures.alone_flagged!(run)!)), 3)} alone` +
          (disabled > 0 ? ` (${disabled} of ${result.runs.length} seeds not calibrated)` : ""))
    );
  });
  return (
    "- Flagged among known cells with a reference of 400 cells from two donors or batches: " +
    `${texts.join("; ")}. (kang16-unstimulated: controls only, and half of the query is stimulated.)`
  );
}

/** Columns of the table in the document. */
const tableColumns: readonly string[] = [
  "auroc",
  "found",
  "flagged",
  "worst",
  "alone_auroc",
  "alone_found",
  "alone_flagged",
  "alone_worst",
  "changed",
  "own_flagged",
  "errors",
  "calibration",
];

/** Writes one row per run. */
function writeRuns(results: readonly Result[]): void {
  const rows = results.flatMap(({ set, leftOut, runs }) =>
    runs.map((run, seed) =>
      [
        set,
        `"${leftOut ?? ""}"`,
        seed,
        ...Object.values(runFigures).map((of) => of(run)?.toFixed(4) ?? ""),
        `"${run.notFlagged ?? ""}"`,
      ].join(","),
    ),
  );
  mkdirSync(join(root, "bench/results"), { recursive: true });
  writeFileSync(
    join(root, "bench/results/unknown.csv"),
    `set,left_out,seed,${Object.keys(runFigures).join(",")},not_flagged\n${rows.join("\n")}\n`,
  );
}

/** Means over the left-out types, and over the runs with nothing left out. */
function summarize(results: readonly Result[]): string[] {
  const left = results.filter(({ leftOut }) => leftOut !== null);
  const whole = results.filter(({ leftOut }) => leftOut === null);
  const over = (of: readonly Result[], column: string): number =>
    mean(of.map((result) => value(result, column)).filter((number) => !Number.isNaN(number)));
  const most = (of: readonly Result[], column: string): number =>
    Math.max(...of.map((result) => value(result, column)).filter((number) => !Number.isNaN(number)));
  return [
    `- AUROC in company ${fixed(over(left, "auroc"), 3)} on the mean of ${left.length} types, at least ` +
      `0.85 on ${left.filter((result) => value(result, "auroc") >= 0.85).length} of them; alone ` +
      `${fixed(over(left, "alone_auroc"), 3)}.`,
    `- Found: ${fixed(over(left, "found"))} in company, ${fixed(over(left, "found_in_halves"))} in ` +
      `halves, ${fixed(over(left, "alone_found"))} alone ` +
      `(${fixed(over(left, "alone_found") / over(left, "found"))} of that in company).`,
    `- Flagged among known cells: ${fixed(over(results, "flagged"), 3)} in company, ` +
      `${fixed(over(results, "alone_flagged"), 3)} alone on the mean; the worst type of a run ` +
      `${fixed(over(results, "worst"))} and ${fixed(over(results, "alone_worst"))} on the mean, ` +
      `${fixed(most(results, "worst"))} and ${fixed(most(results, "alone_worst"))} at most. Cells of ` +
      `the reference itself: ${fixed(over(whole, "own_flagged"), 3)}, at most ` +
      `${fixed(most(whole, "own_flagged"), 3)}.`,
    "- Known cells whose flag is not the same in company, halves and alone: " +
      `${fixed(over(results, "changed"), 3)} on the mean, ${fixed(most(results, "changed"), 3)} at most.`,
    "- Labels of the classifier on genes with nothing left out: accuracy " +
      `${fixed(over(whole, "accuracy"), 3)}, AUROC of \`_uncert\` for wrong labels ` +
      `${fixed(over(whole, "errors"), 3)}, expected calibration error of \`_prob\` ` +
      `${fixed(over(whole, "calibration"), 3)}; with a type left out ${fixed(over(left, "accuracy"), 3)}, ` +
      `${fixed(over(left, "errors"), 3)} and ${fixed(over(left, "calibration"), 3)}.`,
  ];
}

function tabulate(results: readonly Result[]): void {
  writeRuns(results);
  const small = results.filter(({ set }) => set.endsWith(smallSuffix));
  const large = results.filter((result) => !small.includes(result));
  const summary = [...summarize(large), ...(small.length === 0 ? [] : [smallSummary(small)])];
  writeSection(join(root, "docs/benchmarks/labels.md"), "Unknown cells", [
    `Each cell type with at least ${leastCells} query cells left out of the reference in turn; mean of ` +
      `${Math.max(...results.map(({ runs }) => runs.length))} seeds. Made by \`npm run bench:unknown\`; ` +
      `single runs: \`bench/results/unknown.csv\`. The query is mapped *in company* (all of it at once), ` +
      "in *halves*, and each of its types *alone*.",
    "",
    ...summary,
    "",
    "AUROC: of the novelty, for cells of the left-out type among all. Found: share of them that is flagged.",
    `Flagged: share of the cells of known types that is; worst: of the type (with at least ${leastCells} ` +
      "query cells) with the largest share.",
    "Changed: known cells whose flag is not the same in company, halves and alone. Reference: flagged " +
      "share of the reference's cells. Labels by the classifier on genes, errors: AUROC of `_uncert` for " +
      "wrong ones; calibration: expected calibration error of `_prob`.",
    "",
    "| data set | left out | AUROC | found | flagged | worst | alone: AUROC | found | flagged | worst | " +
      "changed | reference | errors | calibration |",
    `|${" --- |".repeat(14)}`,
    ...[...large, ...small].map(
      (result) =>
        `| ${result.set} | ${result.leftOut ?? "nothing"} | ` +
        `${tableColumns.map((column) => fixed(value(result, column))).join(" | ")} |`,
    ),
  ]);
  console.log(summary.join("\n"));
}

if (!existsSync(sharedData)) {
  console.log(`bench:unknown needs ${sharedData}, which is not there; nothing measured.`);
  process.exit(0);
}
const { values, positionals } = parseArgs({
  options: { seeds: { type: "string", default: "3" } },
  allowPositionals: true,
});
const results: Result[] = [];
/** Runs all seeds of a configuration and adds them to the tables. */
async function measure(configuration: Configuration, leftOut: string | null): Promise<void> {
  const runs: Run[] = [];
  for (let seed = 0; seed < Number(values.seeds); seed++) {
    const name = `${configuration.name}-${leftOut ?? "nothing"}-s${seed}`;
    const { whole } = await cached(cache, name, () =>
      runUnknown(configuration, leftOut, seed, cache, { whole: async (model) => model }),
    );
    runs.push(whole);
  }
  results.push({ set: configuration.name, leftOut, runs });
  tabulate(results);
}
const isRequested = ({ name }: Configuration): boolean =>
  positionals.length === 0 ||
  positionals.includes(name.replace(smallSuffix, "").replace("-unstimulated", ""));
for (const configuration of [...sets, mixology].filter(isRequested))
  for (const leftOut of (await leftOutTypes(configuration, cache)).reverse())
    await measure(configuration, leftOut);
for (const configuration of [...smallReferences, unstimulated].filter(isRequested))
  await measure(configuration, null);
