// npm run bench:unknown [-- SET ...]: how well cells of a type that the reference has not are found, each
// type with at least 20 query cells left out in turn, three seeds, beside the paper's distance. Needs
// ../shared/data. Results of single runs are kept in .cache/unknown (delete it to start afresh); the tables
// go to bench/results/unknown.csv and docs/labels.md.
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ScPoli, type LevelPrediction } from "../dist/index.js";
import { writeSection } from "./sections.ts";
import {
  cached,
  configurations,
  mean,
  openTransfer,
  seeds,
  settings,
  sharedData,
  type Configuration,
} from "./transfer.ts";

const sets = ["panc8", "pbmc3", "kang16"];
const leastCells = 20;
const root = new URL("..", import.meta.url).pathname;
const cache = join(root, ".cache/unknown");

/** What one rule says of one query. */
interface Figures {
  /** of the uncertainty, for cells of the unknown type among all; null where none is left out */
  readonly auroc: number | null;
  /** shares of the cells of known and of the unknown type that are flagged */
  readonly known_flagged: number;
  readonly unknown_found: number | null;
  /** largest share flagged of a known type with at least 20 cells */
  readonly most_flagged: number;
  /** AUROC for wrong labels among cells of known types */
  readonly error: number;
}
type Run = Readonly<Record<"novelty" | "distance", Figures>>;

/** Share of pairs in which the first kind has the larger value, ties counting half. */
function auroc(isFirst: readonly boolean[], values: ArrayLike<number>): number {
  const order = Array.from(isFirst.keys()).sort((a, b) => values[a]! - values[b]!);
  let [sum, firsts] = [0, 0];
  for (let from = 0; from < order.length;) {
    let to = from;
    while (to < order.length && values[order[to]!] === values[order[from]!]) to++;
    for (let at = from; at < to; at++)
      if (isFirst[order[at]!]) {
        sum += (from + to - 1) / 2 + 1;
        firsts++;
      }
    from = to;
  }
  return (sum - (firsts * (firsts + 1)) / 2) / (firsts * (isFirst.length - firsts));
}

export function figuresOf(
  { predicted, uncertainty, unknown }: LevelPrediction,
  names: readonly string[],
  truth: readonly string[],
  known: ReadonlySet<string>,
  leftOut: string | null,
): Figures {
  const cells = Array.from(truth.keys()).filter((cell) => known.has(truth[cell]!) || truth[cell] === leftOut);
  const ofKnown = cells.filter((cell) => known.has(truth[cell]!));
  const flaggedShare = (own: readonly number[]): number => mean(own.map((cell) => unknown[cell]!));
  const ofType = [...known]
    .map((type) => ofKnown.filter((cell) => truth[cell] === type))
    .filter((own) => own.length >= leastCells);
  return {
    auroc:
      leftOut === null
        ? null
        : auroc(
            cells.map((cell) => truth[cell] === leftOut),
            cells.map((cell) => uncertainty[cell]!),
          ),
    known_flagged: flaggedShare(ofKnown),
    unknown_found: leftOut === null ? null : flaggedShare(cells.filter((cell) => truth[cell] === leftOut)),
    most_flagged: Math.max(...ofType.map(flaggedShare)),
    error: auroc(
      ofKnown.map((cell) => names[predicted[cell]!] !== truth[cell]),
      ofKnown.map((cell) => uncertainty[cell]!),
    ),
  };
}

/**
 * One reference without a type (or with all), and its query.
 * @param training - besides the settings of all runs
 */
export async function scoreUnknown(
  configuration: Configuration,
  leftOut: string | null,
  seed: number,
  folder: string,
  training: { readonly epochs?: number; readonly hiddenLayerSizes?: readonly number[] } = {},
): Promise<Run> {
  const { condition, label } = configuration;
  const transfer = await openTransfer(
    { ...configuration, leftOut: leftOut === null ? [] : [leftOut] },
    folder,
    configuration.name,
  );
  try {
    const { reference, query, truth, known } = transfer;
    const model = await ScPoli.train(reference, {
      conditionKeys: [condition],
      cellTypeKeys: [label],
      seed,
      eta: settings.eta,
      embeddingDims: settings.embeddingDims,
      genes: reference.nVars > settings.genes ? settings.genes : undefined,
      ...training,
    });
    const mapping = await model.map(query, { seed, training: training.epochs === undefined });
    const byDistance = await mapping.model.embed(query, { uncertainty: "distance" });
    const names = mapping.model.stored.json.cell_types;
    const figures = (level: LevelPrediction): Figures => figuresOf(level, names, truth, known, leftOut);
    return { novelty: figures(mapping.predictions[0]!), distance: figures(byDistance.predictions[0]!) };
  } finally {
    transfer.close();
  }
}

/** Cell types with enough cells in the query, then null: nothing left out. */
export async function leftOutTypes(configuration: Configuration, folder: string): Promise<(string | null)[]> {
  const transfer = await openTransfer(configuration, folder, configuration.name);
  transfer.close();
  const { truth, known } = transfer;
  return [
    ...[...known].filter((type) => truth.filter((own) => own === type).length >= leastCells).sort(),
    null,
  ];
}

const figures = ["auroc", "known_flagged", "most_flagged", "unknown_found", "error"] as const;
const rules = ["novelty", "distance"] as const;

function tabulate(
  results: readonly {
    readonly set: string;
    readonly leftOut: string | null;
    readonly runs: readonly Run[];
  }[],
): void {
  const rows = [`set,left_out,rule,seed,${figures.join(",")}`];
  for (const { set, leftOut, runs } of results)
    runs.forEach((run, seed) =>
      rules.forEach((rule) =>
        rows.push(
          [set, `"${leftOut ?? ""}"`, rule, seed, ...figures.map((figure) => run[rule][figure] ?? "")].join(
            ",",
          ),
        ),
      ),
    );
  writeFileSync(join(root, "bench/results/unknown.csv"), `${rows.join("\n")}\n`);
  const own = (
    runs: readonly Run[],
    rule: (typeof rules)[number],
    figure: (typeof figures)[number],
  ): number => mean(runs.map((run) => run[rule][figure] ?? NaN));
  const shown = (value: number): string => (Number.isNaN(value) ? "" : value.toFixed(2));
  const left = results.filter(({ leftOut }) => leftOut !== null);
  const share = (rule: (typeof rules)[number], least: number): string =>
    `${left.filter(({ runs }) => own(runs, rule, "auroc") >= least).length} of ${left.length}`;
  writeSection(join(root, "docs/labels.md"), "Unknown cells", [
    `Each cell type with at least ${leastCells} query cells left out of the reference in turn; mean of ${seeds.length} seeds. AUROC: the uncertainty, for cells of that type among all cells of the query. Found: share of them that`,
    "is flagged unknown. Flagged: share of the cells of known types that is; most: of the type (with at least 20 query cells) with the largest share. Error: AUROC of the uncertainty for wrong labels among cells of known types.",
    "`distance`: the paper's distance to the nearest prototype, with its own threshold (95 % of held-out cells of the reference's own conditions are closer). Where nothing is left out, only the cells of known types are.",
    "",
    "Made by `npm run bench:unknown` (single runs: `bench/results/unknown.csv`).",
    "",
    "| data set | left out | AUROC | found | flagged | most | error | distance: AUROC | found | flagged | most | error |",
    `|${" --- |".repeat(12)}`,
    ...results.map(({ set, leftOut, runs }) => {
      const cells = rules.flatMap((rule) =>
        (["auroc", "unknown_found", "known_flagged", "most_flagged", "error"] as const).map((figure) =>
          shown(own(runs, rule, figure)),
        ),
      );
      return `| ${set} | ${leftOut ?? "nothing"} | ${cells.join(" | ")} |`;
    }),
    "",
    `AUROC of at least 0.85: ${share("novelty", 0.85)} types (distance: ${share("distance", 0.85)}); of at least 0.95: ${share("novelty", 0.95)} (${share("distance", 0.95)}); mean ${mean(left.map(({ runs }) => own(runs, "novelty", "auroc"))).toFixed(3)} (${mean(left.map(({ runs }) => own(runs, "distance", "auroc"))).toFixed(3)}).`,
  ]);
  console.log(rows.join("\n"));
}

if (import.meta.url === `file://${process.argv[1]}`) {
  if (!existsSync(sharedData)) {
    console.log(`bench:unknown needs ${sharedData}, which is not there; nothing measured.`);
    process.exit(0);
  }
  const asked = process.argv.slice(2);
  const results: { set: string; leftOut: string | null; runs: Run[] }[] = [];
  for (const configuration of configurations.filter(
    ({ name }) => sets.includes(name) && (asked.length === 0 || asked.includes(name)),
  ))
    for (const leftOut of await leftOutTypes(configuration, cache)) {
      const runs: Run[] = [];
      for (const seed of seeds)
        runs.push(
          await cached(cache, `${configuration.name}-${leftOut ?? "nothing"}-s${seed}`, () =>
            scoreUnknown(configuration, leftOut, seed, cache),
          ),
        );
      results.push({ set: configuration.name, leftOut, runs });
    }
  tabulate(results);
}
