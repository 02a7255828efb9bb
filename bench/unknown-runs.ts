// One run of the benches on unknown cells: a reference without a type (or with all), and its query mapped as
// a whole, in halves, and each of its types alone.
import { join } from "node:path";
import { AnnData, ScPoli, type LevelPrediction } from "../dist/index.js";
import { Random } from "../dist/numerics/random.js";
import { auroc, calibrationError } from "./label-scores.ts";
import { writeRows } from "./rows.ts";
import { mean, mostGenes, openTransfer, type Configuration, type Transfer } from "./transfer.ts";

export const leastCells = 20;

/** Situations in which the cells of a query are mapped. */
const situations = ["company", "halves", "alone"] as const;
type Situation = (typeof situations)[number];

/** Results for the cells of a query in one situation. */
interface QueryResults {
  /** 0..1 */
  readonly novelty: readonly number[];
  readonly unknown: readonly boolean[];
  readonly label: readonly string[];
  readonly probability: readonly number[];
  readonly uncertainty: readonly number[];
  /** why no cell was flagged; null if flagging was enabled */
  readonly notFlagged: string | null;
}

/** Metrics of novelty and flags in one situation. */
interface NoveltyFigures {
  /**
   * AUROC of the novelty for cells of the unknown type among all; null if no type is left out, or without
   * calibration
   */
  readonly auroc: number | null;
  /** flagged share of the unknown type's cells; null if no type is left out */
  readonly detected: number | null;
  /** flagged share of the cells of known types, and the largest share of a type */
  readonly flagged: number;
  readonly worst: number;
}

/** Metrics of the labels of known types by the classifier on genes. */
interface LabelFigures {
  readonly accuracy: number;
  /** AUROC of the uncertainty for wrong labels; null if none is wrong */
  readonly errors: number | null;
  /** expected calibration error of the probability, ten bins */
  readonly calibration: number;
}

export interface Run {
  readonly novelty: Readonly<Record<Situation, NoveltyFigures>>;
  /** share of the known cells whose flag differs between the three situations */
  readonly changed: number;
  readonly labels: LabelFigures;
  /** why no cell was flagged in the whole query; null if flagging was enabled */
  readonly notFlagged: string | null;
  /** flagged share of the reference cells; null if not requested */
  readonly referenceFlagged: number | null;
}

/** Columns of the tables of single runs. */
export const runFigures: Readonly<Record<string, (run: Run) => number | null>> = {
  auroc: ({ novelty }) => novelty.company.auroc,
  found: ({ novelty }) => novelty.company.detected,
  found_in_halves: ({ novelty }) => novelty.halves.detected,
  flagged: ({ novelty }) => novelty.company.flagged,
  worst: ({ novelty }) => novelty.company.worst,
  alone_auroc: ({ novelty }) => novelty.alone.auroc,
  alone_found: ({ novelty }) => novelty.alone.detected,
  alone_flagged: ({ novelty }) => novelty.alone.flagged,
  alone_worst: ({ novelty }) => novelty.alone.worst,
  changed: ({ changed }) => changed,
  own_flagged: ({ referenceFlagged }) => referenceFlagged,
  accuracy: ({ labels }) => labels.accuracy,
  errors: ({ labels }) => labels.errors,
  calibration: ({ labels }) => labels.calibration,
};

function noveltyFigures(
  { novelty, unknown }: QueryResults,
  truth: readonly string[],
  known: ReadonlySet<string>,
  leftOut: string | null,
): NoveltyFigures {
  const cells = Array.from(truth.keys()).filter((cell) => known.has(truth[cell]!) || truth[cell] === leftOut);
  const ofKnown = cells.filter((cell) => known.has(truth[cell]!));
  const share = (rows: readonly number[]): number => mean(rows.map((cell) => Number(unknown[cell])));
  const large = [...known]
    .map((type) => ofKnown.filter((cell) => truth[cell] === type))
    .filter(({ length }) => length >= leastCells);
  return {
    auroc:
      leftOut === null || novelty.some(Number.isNaN)
        ? null
        : auroc(
            cells.map((cell) => truth[cell] === leftOut),
            cells.map((cell) => novelty[cell]!),
          ),
    detected: leftOut === null ? null : share(cells.filter((cell) => truth[cell] === leftOut)),
    flagged: share(ofKnown),
    worst: Math.max(0, ...large.map(share)),
  };
}

/** Results of a mapping. */
function resultsOf(
  { novelty, unknown, predicted, probability, uncertainty, notFlagged }: LevelPrediction,
  names: readonly string[],
): QueryResults {
  return {
    novelty: novelty ? Array.from(novelty) : Array.from(predicted, () => NaN),
    unknown: Array.from(unknown, (flag) => flag === 1),
    label: Array.from(predicted, (type) => names[type]!),
    probability: Array.from(probability),
    uncertainty: Array.from(uncertainty),
    notFlagged,
  };
}

/** Writes some cells of a query to a file. */
interface Part {
  readonly rows: readonly number[];
  readonly data: AnnData;
}

async function openPart(query: AnnData, rows: readonly number[], path: string): Promise<Part> {
  await writeRows(query, Int32Array.from(rows), path);
  return { rows, data: await AnnData.open(path) };
}

/** Maps parts of a query, which together are all of it. */
async function resultsOfParts(model: ScPoli, parts: readonly Part[], seed: number): Promise<QueryResults> {
  const results = {
    novelty: [] as number[],
    unknown: [] as boolean[],
    label: [] as string[],
    probability: [] as number[],
    uncertainty: [] as number[],
    notFlagged: null as string | null,
  };
  for (const { rows, data } of parts) {
    const mapping = await model.map(data, { seed, classifier: "head", training: false, force: true });
    const ofPart = resultsOf(mapping.predictions[0]!, mapping.model.stored.json.cell_types);
    rows.forEach((row, i) => {
      results.novelty[row] = ofPart.novelty[i]!;
      results.unknown[row] = ofPart.unknown[i]!;
      results.label[row] = ofPart.label[i]!;
      results.probability[row] = ofPart.probability[i]!;
      results.uncertainty[row] = ofPart.uncertainty[i]!;
    });
    results.notFlagged ??= ofPart.notFlagged;
  }
  return results;
}

/** Modified versions of a trained model, by name. */
export type Variants = Readonly<Record<string, (model: ScPoli) => Promise<ScPoli>>>;

/**
 * One reference without a type (or with all), and its query. Novelty and the labels of the classifier on
 * genes do not depend on the network (unless a query has more than 2,048 cells), so it is trained for one
 * epoch. bench:labels scores the labels of the nearest prototype, which do.
 */
export async function runUnknown<V extends Variants>(
  configuration: Configuration,
  leftOut: string | null,
  seed: number,
  folder: string,
  variants: V,
): Promise<Readonly<Record<keyof V, Run>>> {
  const { condition, label, name } = configuration;
  const transfer = await openTransfer(
    { ...configuration, leftOut: leftOut === null ? [] : [leftOut] },
    folder,
    name,
    seed,
  );
  const parts: Part[] = [];
  try {
    const { reference, query, truth } = transfer;
    const model = await ScPoli.train(reference, {
      conditionKeys: [condition],
      cellTypeKeys: [label],
      seed,
      genes: reference.nVars > mostGenes ? mostGenes : undefined,
      epochs: 1,
      hiddenLayerSizes: [16],
      landmarks: false,
    });
    const rows = Array.from(truth.keys());
    const half = new Random(seed, "halves").shuffle(rows.map((row) => row % 2));
    const isIn: ((row: number) => boolean)[] = [
      () => true,
      ...[0, 1].map((part) => (row: number) => half[row] === part),
      ...[...new Set(truth)].sort().map((type) => (row: number) => truth[row] === type),
    ];
    for (const [i, isInPart] of isIn.entries())
      parts.push(await openPart(query, rows.filter(isInPart), join(folder, `${name}-part-${i}.h5ad`)));
    const runs: [string, Run][] = [];
    for (const [variant, make] of Object.entries(variants))
      runs.push([variant, await runModel(await make(model), transfer, leftOut, parts, seed)]);
    return Object.fromEntries(runs) as Record<keyof V, Run>;
  } finally {
    parts.forEach(({ data }) => data.close());
    transfer.close();
  }
}

/** @param parts - the whole query, its halves, its types */
async function runModel(
  model: ScPoli,
  { reference, truth, known }: Transfer,
  leftOut: string | null,
  [whole, ...others]: readonly Part[],
  seed: number,
): Promise<Run> {
  const results: Record<Situation, QueryResults> = {
    company: await resultsOfParts(model, [whole!], seed),
    halves: await resultsOfParts(model, others.slice(0, 2), seed),
    alone: await resultsOfParts(model, others.slice(2), seed),
  };
  const ofKnown = Array.from(truth.keys()).filter((row) => known.has(truth[row]!));
  const isRight = ofKnown.map((row) => results.company.label[row] === truth[row]);
  const figures = (situation: Situation): NoveltyFigures =>
    noveltyFigures(results[situation], truth, known, leftOut);
  const referenceFlags = leftOut === null ? (await model.embed(reference)).predictions[0]!.unknown : null;
  const changes = (row: number): boolean =>
    new Set(situations.map((situation) => results[situation].unknown[row])).size > 1;
  return {
    novelty: { company: figures("company"), halves: figures("halves"), alone: figures("alone") },
    changed: mean(ofKnown.map((row) => Number(changes(row)))),
    labels: {
      accuracy: mean(isRight.map(Number)),
      errors: isRight.every((right) => right)
        ? null
        : auroc(
            isRight.map((right) => !right),
            ofKnown.map((row) => results.company.uncertainty[row]!),
          ),
      calibration: calibrationError(
        ofKnown.map((row) => results.company.probability[row]!),
        isRight,
      ),
    },
    notFlagged: results.company.notFlagged,
    referenceFlagged: referenceFlags && mean(Array.from(referenceFlags)),
  };
}

/** Cell types with enough cells in the query, then null: nothing left out. */
export async function leftOutTypes(configuration: Configuration, folder: string): Promise<(string | null)[]> {
  const transfer = await openTransfer(configuration, folder, configuration.name);
  transfer.close();
  const { truth, known } = transfer;
  return [
    ...[...known].filter((type) => truth.filter((other) => other === type).length >= leastCells).sort(),
    null,
  ];
}
