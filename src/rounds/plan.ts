// The plan of a training in rounds: everything that the steps need to know, computed from the shards'
// surveys. It does not depend on the order of the shards.
import { checkWhole, defaultsOf, type ModelOptions, type Note, type ReconLoss } from "../contract/options.js";
import { byCodePoint } from "../data/labels.js";
import type { SampleMetadata } from "../data/sample-metadata.js";
import { addRanking, bestGenes, emptyRanking } from "../data/variable-genes.js";
import { ScPoliError } from "../contract/errors.js";
import { modelOptions, type ModelSizes } from "../model/parameters.js";
import { planOptimization, type OptimizationPlan } from "../training/optimization.js";
import { version } from "../contract/version.js";
import { planCourse, type Course } from "./course.js";
import type { RoundsOptions } from "./options.js";
import type { Reading, Survey, SurveyJson } from "./survey.js";

/** One shard of the plan. */
export interface PlannedShard {
  readonly name: string;
  readonly cells: number;
  /** its combinations of conditions: rows of the plan's list, ascending */
  readonly combinations: readonly number[];
  /** SHA-256 of its survey */
  readonly survey: string;
}

export interface RoundsPlan extends Course {
  readonly layout: 2;
  readonly scpoli_version: string;
  readonly reading: Reading;
  readonly model: ModelOptions;
  /** (G) */
  readonly genes: readonly string[];
  /** names of the conditions of each key, sorted */
  readonly conditions: readonly (readonly string[])[];
  /** code of each key for each combination, ascending */
  readonly combinations: readonly (readonly number[])[];
  /** (K) sorted names of the cell types of all levels; `levels`: their rows at each level, ascending */
  readonly cell_types: readonly string[];
  readonly levels: readonly (readonly number[])[];
  /** number of cells of each type at each level; if counts are withheld, the smallest reported count */
  readonly type_cells: readonly (readonly number[])[];
  readonly metadata: readonly SampleMetadata[] | null;
  /** sorted by name */
  readonly shards: readonly PlannedShard[];
  readonly cells: number;
  /** schedule of a training on one machine, in epochs; the rounds follow it */
  readonly optimization: OptimizationPlan;
  readonly stream: "always" | "never";
  readonly sample_cells: number;
  readonly landmarks: boolean;
}

/** A plan and the digest of its file. */
export interface StoredPlan {
  readonly plan: RoundsPlan;
  /** SHA-256 of its file, which every other file of the run records */
  readonly digest: string;
}

/** Most cells of a shard that go into the sample for head and landmarks. */
export const defaultSampleCells = 20_000;
/** Bytes per stored count in memory, and most bytes of a shard's counts in memory. */
const [bytesPerCount, mostBytes] = [4, 2e9];

/** Number of rounds of a plan, including the one that only evaluates. */
export function allRounds({ rounds, evaluates }: Pick<RoundsPlan, "rounds" | "evaluates">): number {
  return rounds + (evaluates ? 1 : 0);
}

/** The sizes of the network. */
export function planSizes({ genes, conditions, combinations }: RoundsPlan): ModelSizes {
  return {
    genes: genes.length,
    conditions: conditions.map((names) => names.length),
    combinations: combinations.length,
  };
}

/** @throws ScPoliError "usage" if surveys or options are inconsistent */
export function planRounds(
  given: readonly { readonly survey: Survey; readonly digest: string }[],
  options: RoundsOptions = {},
): RoundsPlan {
  const surveys = [...given].sort((a, b) => byCodePoint(a.survey.json.shard, b.survey.json.shard));
  const reading = checkSurveys(surveys.map(({ survey }) => survey));
  const genes = chooseGenes(
    surveys.map(({ survey }) => survey),
    reading.genes,
    options.onNote ?? (() => undefined),
  );
  const jsons = surveys.map(({ survey }) => survey.json);
  const { conditions, combinations, combinationsOfShards } = planConditions(reading, jsons);
  const { cellTypes, levels, typeCells } = planCellTypes(reading, jsons);
  const cells = jsons.reduce((sum, json) => sum + json.cells, 0);
  const model = planModel(reading, genes.length, conditions.length, options);
  const optimization = planOptimization(
    { ...options, earlyStopping: options.earlyStopping ?? {} },
    {
      stage: "training",
      cells,
      hasLabels: cellTypes.length > 0,
      dropout: model.dropout,
      seed: options.seed ?? 0,
    },
  );
  return {
    layout: 2,
    scpoli_version: version,
    reading,
    model,
    genes,
    conditions,
    combinations,
    cell_types: cellTypes,
    levels,
    type_cells: typeCells,
    metadata: joinedMetadata(jsons.map(({ metadata }) => metadata)),
    shards: surveys.map(({ survey: { json }, digest }, shard) => ({
      name: json.shard,
      cells: json.cells,
      combinations: combinationsOfShards[shard]!,
      survey: digest,
    })),
    cells,
    optimization,
    ...planCourse(optimization, cells, surveys.length, options),
    stream: chooseStream(options.stream, jsons),
    sample_cells: checkWhole("sampleCells", options.sampleCells ?? defaultSampleCells, 0),
    landmarks: (options.landmarks ?? true) && !reading.federated,
  };
}

/** @param keys - number of condition keys @throws ScPoliError "usage" */
function planModel(reading: Reading, genes: number, keys: number, options: RoundsOptions): ModelOptions {
  const { embeddingDims: dims } = options;
  return modelOptions(
    {
      ...options,
      reconLoss: reading.recon_loss as ReconLoss,
      embeddingDims: typeof dims === "number" ? Array.from({ length: keys }, () => dims) : dims,
    },
    genes,
    keys,
    defaultsOf(options.preset),
  );
}

/** Conditions and their combinations over all shards, and the rows of the combinations of each shard. */
function planConditions(
  reading: Reading,
  surveys: readonly SurveyJson[],
): Pick<RoundsPlan, "conditions" | "combinations"> & {
  readonly combinationsOfShards: readonly (readonly number[])[];
} {
  const conditions = reading.condition_keys.map((_, key) =>
    sorted(surveys.flatMap(({ combinations }) => combinations.map(({ names }) => names[key]!))),
  );
  const tuplesOfShards = surveys.map(({ combinations }) =>
    combinations.map(({ names }) => names.map((name, key) => conditions[key]!.indexOf(name))),
  );
  const tuples = new Map(tuplesOfShards.flat().map((codes) => [codes.join(), codes]));
  const combinations = [...tuples.values()].sort(compareTuples);
  const rowOf = new Map(combinations.map((codes, row) => [codes.join(), row]));
  return {
    conditions,
    combinations,
    combinationsOfShards: tuplesOfShards.map((shardTuples) =>
      shardTuples.map((codes) => rowOf.get(codes.join())!).sort((a, b) => a - b),
    ),
  };
}

/**
 * Cell types over all shards, their rows at each level, and their numbers of cells.
 * @throws ScPoliError "key" if a level has no label in any shard
 */
function planCellTypes(
  reading: Reading,
  surveys: readonly SurveyJson[],
): {
  readonly cellTypes: RoundsPlan["cell_types"];
  readonly levels: RoundsPlan["levels"];
  readonly typeCells: RoundsPlan["type_cells"];
} {
  const types = reading.cell_type_keys.map((_, level) =>
    sorted(surveys.flatMap(({ levels }) => Object.keys(levels[level]!))),
  );
  const cellTypes = sorted(types.flat());
  types.forEach((names, level) => {
    if (names.length === 0)
      throw new ScPoliError(
        "key",
        `No shard has a label in obs['${reading.cell_type_keys[level]}']. Name a column with cell types, ` +
          "or train without.",
        { key: reading.cell_type_keys[level] },
      );
  });
  /** null: withheld by the shard; undefined: the shard has no such type */
  const cellsOf = (count: number | null | undefined): number =>
    count === null ? reading.least_cells : (count ?? 0);
  return {
    cellTypes,
    levels: types.map((names) => names.map((name) => cellTypes.indexOf(name))),
    typeCells: types.map((names, level) =>
      names.map((name) => surveys.reduce((sum, { levels }) => sum + cellsOf(levels[level]![name]), 0)),
    ),
  };
}

function sorted(names: readonly string[]): string[] {
  return [...new Set(names)].sort(byCodePoint);
}

function compareTuples(a: readonly number[], b: readonly number[]): number {
  const key = a.findIndex((code, at) => code !== b[at]);
  return key < 0 ? 0 : a[key]! - b[key]!;
}

/** @throws ScPoliError "usage" if shards were surveyed with different options, or two have the same name */
function checkSurveys(surveys: readonly Survey[]): Reading {
  const [first] = surveys;
  if (!first) throw new ScPoliError("usage", "There are no surveys; a run needs at least one shard.");
  const names = surveys.map(({ json }) => json.shard);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined)
    throw new ScPoliError("usage", `Two shards are named '${twice}'; give each a unique name.`, {
      shard: twice,
    });
  const reference = first.json.reading;
  for (const { json } of surveys)
    for (const [name, value] of Object.entries(json.reading))
      if (JSON.stringify(value) !== JSON.stringify(reference[name as keyof Reading]))
        throw new ScPoliError(
          "usage",
          `Shard '${json.shard}' was surveyed with ${name} ${JSON.stringify(value)}, ` +
            `shard '${first.json.shard}' with ` +
            `${JSON.stringify(reference[name as keyof Reading])}. Survey all shards with the same options.`,
          { shard: json.shard, name },
        );
  return reference;
}

/**
 * The genes to train on, in the order of the first shard: those common to all shards, from a list or most
 * variable.
 */
function chooseGenes(
  surveys: readonly Survey[],
  wanted: Reading["genes"],
  note: (note: Note) => void,
): readonly string[] {
  const places = surveys.map(({ json }) => new Map(json.genes.map((name, at) => [name, at])));
  const all = surveys[0]!.json.genes;
  const common = all.filter((name) => places.every((place) => place.has(name)));
  if (common.length === 0)
    throw new ScPoliError(
      "usage",
      `No gene is in all ${surveys.length} shards; '${surveys[0]!.json.shard}' has genes like ` +
        `'${all[0]}'. Give them the same names.`,
    );
  if (common.length < all.length)
    note({
      level: "warning",
      message:
        `${common.length} of the ${all.length} genes of shard '${surveys[0]!.json.shard}' are in all ` +
        "shards; the others are left out.",
    });
  if (wanted === null) return common;
  if (typeof wanted !== "number") {
    const missing = wanted.filter((name) => !common.includes(name));
    if (missing.length > 0)
      throw new ScPoliError(
        "key",
        `${missing.length} genes of the list are not in all shards, e.g. '${missing[0]}'. Remove them ` +
          "from the list.",
        { missing },
      );
    const set = new Set(wanted);
    return common.filter((name) => set.has(name));
  }
  const total = emptyRanking(common.length);
  surveys.forEach(({ ranking }, s) =>
    addRanking(
      total,
      ranking!,
      common.map((name) => places[s]!.get(name)!),
    ),
  );
  return Array.from(bestGenes(total, wanted, common), (gene) => common[gene]!);
}

/** Metadata of a condition in several shards are kept if the shards agree. */
function joinedMetadata(shards: readonly (readonly SampleMetadata[])[]): readonly SampleMetadata[] | null {
  const keys = shards[0]!.map((_, key): SampleMetadata => {
    const tables = shards.map((tablesOfKeys) => tablesOfKeys[key]!);
    const columns = tables[0]!.columns.filter((name) =>
      tables.every((table) => table.columns.includes(name)),
    );
    const samples: Record<string, (string | number | boolean | null)[]> = {};
    const conflicting = new Set<string>();
    for (const table of tables)
      for (const [sample, values] of Object.entries(table.samples)) {
        const row = columns.map((name) => values[table.columns.indexOf(name)]!);
        const known = (samples[sample] ??= row);
        columns.forEach((name, at) => known[at] !== row[at] && conflicting.add(name));
      }
    const kept = columns.filter((name) => !conflicting.has(name));
    const levels = tables[0]!.levels ?? {};
    return {
      columns: kept,
      samples: Object.fromEntries(
        Object.keys(samples)
          .sort(byCodePoint)
          .map((sample) => [sample, kept.map((name) => samples[sample]![columns.indexOf(name)]!)]),
      ),
      ...(Object.keys(levels).some((name) => kept.includes(name)) && {
        levels: Object.fromEntries(Object.entries(levels).filter(([name]) => kept.includes(name))),
      }),
    };
  });
  return keys.some(({ columns }) => columns.length > 0) ? keys : null;
}

function chooseStream(
  asked: RoundsOptions["stream"] = "auto",
  surveys: readonly { readonly stored: number }[],
): RoundsPlan["stream"] {
  if (asked !== "auto") return asked;
  return streamsCounts(surveys) ? "always" : "never";
}

/** Whether the jobs leave their counts in the file, because those of the largest shard take much memory. */
export function streamsCounts(shards: readonly { readonly stored: number }[]): boolean {
  const largest = shards.reduce((most, { stored }) => Math.max(most, stored), 0);
  return largest * bytesPerCount > mostBytes;
}
