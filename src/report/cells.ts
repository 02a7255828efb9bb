// The cells of a report: landmarks of the model, and the cells of a mapped file, with all values to colour
// them by.
import type { AnnData } from "../anndata/anndata.js";
import type { UnsDict, UnsValue } from "../anndata/reader.js";
import { factorize } from "../data/labels.js";
import { isUnlabeled } from "../data/missing-values.js";
import { spelledAs } from "../data/same-names.js";
import { ScPoliError } from "../contract/errors.js";
import type { StoredModel } from "../model/stored-model.js";
import { classify } from "../labels/classify.js";
import { Landmarks } from "../prototypes/landmarks.js";
import type { ClusterSummary } from "../mapping/mapping.js";
import type { Verdict } from "../mapping/verdict.js";

/** Group names, and the group of each cell as an index into them; -1: none. */
export interface Groups {
  readonly names: readonly string[];
  readonly codes: Int32Array;
}

/** One level of annotation of a mapped file. */
export interface LevelCells {
  readonly key: string;
  /** cell types of the model: `predicted` holds indices into them */
  readonly types: readonly string[];
  readonly predicted: Int32Array;
  readonly uncertainty: Float64Array;
  /** probability of the predicted type; NaN if the file has none */
  readonly probability: Float64Array;
  /** novelty scores: how unlike every known type the cells are; null if the file has none */
  readonly novelty: Float64Array | null;
  readonly unknown: Uint8Array;
  /** threshold on the novelty; with uncertainty by the distance, on the uncertainty */
  readonly threshold: number | null;
  /** why no cell was flagged by default; null if flagging was not suppressed */
  readonly notFlagged: string | null;
  /** source of the uncertainty: "probability" (1 - probability) or "distance" (to the nearest prototype) */
  readonly uncertaintyBy: string;
  /** labels in the file; names are `types`, then types that only the file has; null without labels */
  readonly given: Groups | null;
}

/** The cells of a file written by `map` or `embed`. */
export interface QueryCells {
  readonly cells: number;
  /** (N, 2) coordinates in the reference's UMAP; null if the file has none */
  readonly umap: ArrayLike<number> | null;
  readonly conditions: readonly (Groups & { readonly key: string; readonly column: string })[];
  readonly levels: readonly LevelCells[];
  readonly verdict: Verdict | null;
  /** clusters of the query; empty if the file has none */
  readonly clusters: readonly ClusterSummary[];
  /** uns["scpoli"] */
  readonly facts: UnsDict;
}

/** The landmarks of a model: reference cells that it carries. */
export interface ReferenceCells {
  readonly cells: number;
  readonly umap: Float32Array;
  readonly conditions: readonly (Groups & { readonly key: string })[];
  /** per level; codes are indices into the level's types */
  readonly labels: readonly (Groups & {
    readonly key: string;
    readonly uncertainty: Float32Array;
    readonly nearest: Int32Array;
  })[];
  readonly prototypes: readonly {
    readonly name: string;
    readonly level: number;
    readonly type: number;
    readonly x: number;
    readonly y: number;
  }[];
}

/** @returns null if the model carries no landmarks */
export function referenceCells(stored: StoredModel): ReferenceCells | null {
  const landmarks = Landmarks.of(stored);
  if (!landmarks) return null;
  const { json, tensors } = stored;
  const L = landmarks.json.cells;
  const column = (table: Int32Array, columns: number, at: number): Int32Array =>
    Int32Array.from({ length: L }, (_, i) => table[i * columns + at]!);
  const means = tensors.get("prototypes")!.data;
  const places = landmarks.place(means);
  return {
    cells: L,
    umap: landmarks.umap,
    conditions: json.condition_keys.map((key, k) => ({
      key,
      names: json.conditions[k]!,
      codes: column(landmarks.conditions, json.condition_keys.length, k),
    })),
    labels: json.cell_type_keys.map((key, level) => {
      const types = json.levels[level]!;
      const { uncertainty, nearest } = classify(
        landmarks.latent,
        { key, types },
        means,
        landmarks.D,
        json.calibration[level]!,
        "none",
      );
      const codeOf = (row: number): number => types.indexOf(row);
      return {
        key,
        names: types.map((row) => json.cell_types[row]!),
        codes: column(landmarks.labels, json.levels.length, level).map(codeOf),
        uncertainty,
        nearest: nearest.map(codeOf),
      };
    }),
    prototypes: json.levels.flatMap((types, level) =>
      types.map((row, type) => ({
        name: json.cell_types[row]!,
        level,
        type,
        x: places[2 * row]!,
        y: places[2 * row + 1]!,
      })),
    ),
  };
}

/** Names of the cell types of each annotation level: the model's, or those that the query's file has. */
export function typesOfLevels(
  reference: ReferenceCells | null,
  query: QueryCells | null,
): readonly (readonly string[])[] {
  return reference
    ? reference.labels.map(({ names }) => names)
    : (query?.levels ?? []).map(({ types }) => types);
}

/**
 * @param given - the column with the file's labels, by annotation level. Default: the column with the name of
 *   the level, if there is one
 * @throws ScPoliError "format" if the file was not written by `map` or `embed`
 */
export async function queryCells(
  data: AnnData,
  given: Readonly<Record<string, string>> = {},
): Promise<QueryCells> {
  const facts = data.unsKeys.includes("scpoli") ? await data.uns("scpoli") : undefined;
  if (!isDict(facts))
    throw new ScPoliError(
      "format",
      `${data.path} has no uns["scpoli"]: it was not written by \`scpoli map\` or \`scpoli embed\`. ` +
        "Map it first; or give the folder of a model.",
      { path: data.path },
    );
  const keys = listOf(facts["condition_keys"]);
  const columns = isDict(facts["condition_columns"]) ? facts["condition_columns"] : {};
  const has = (name: string): boolean => data.obs.columnNames.includes(name);
  const conditions: QueryCells["conditions"][number][] = [];
  for (const key of keys) {
    const column = String(columns[key] ?? key);
    if (has(column)) conditions.push({ key, column, ...(await groupsOf(data, column)) });
  }
  const levels: LevelCells[] = [];
  for (const key of listOf(facts["cell_type_keys"]))
    if (has(`${key}_pred`)) levels.push(await levelCells(data, key, facts, given[key] ?? key));
  const umap = data.obsmKeys.includes("X_umap_scpoli") ? (await data.obsm("X_umap_scpoli")).values : null;
  return {
    cells: data.nObs,
    umap: umap && Float32Array.from(umap, Number),
    conditions,
    levels,
    verdict: verdictOf(facts["verdict"]),
    clusters: clustersOf(facts["clusters"]),
    facts,
  };
}

async function levelCells(data: AnnData, key: string, facts: UnsDict, column: string): Promise<LevelCells> {
  const predicted = await data.obs.column(`${key}_pred`);
  const types = predicted.kind === "categorical" ? predicted.categories : factorize(predicted).names;
  const codes = predicted.kind === "categorical" ? predicted.codes : factorize(predicted).codes;
  const thresholds = isDict(facts["thresholds"]) ? facts["thresholds"] : {};
  const threshold = thresholds[key];
  const flags = data.obs.columnNames.includes(`${key}_unknown`)
    ? await data.obs.column(`${key}_unknown`)
    : null;
  const labels = data.obs.columnNames.includes(column) ? labelled(await groupsOf(data, column), types) : null;
  const names = labels ? [...types, ...labels.names.filter((name) => !types.includes(name))] : [];
  return {
    key,
    types,
    predicted: Int32Array.from(codes),
    uncertainty: await numbers(data, `${key}_uncert`),
    probability: await numbers(data, `${key}_prob`),
    novelty: data.obs.columnNames.includes(`${key}_novelty`) ? await numbers(data, `${key}_novelty`) : null,
    threshold: typeof threshold === "number" ? threshold : null,
    notFlagged: isDict(facts["not_flagged"]) ? textOrNull(facts["not_flagged"][key]) : null,
    uncertaintyBy: isDict(facts["uncertainties"])
      ? String(facts["uncertainties"][key] ?? "distance")
      : "distance",
    unknown:
      flags?.kind === "boolean"
        ? Uint8Array.from(flags.values, (value) => (value ? 1 : 0))
        : new Uint8Array(data.nObs),
    given: labels && {
      names,
      codes: labels.codes.map((code) => (code < 0 ? -1 : names.indexOf(labels.names[code]!))),
    },
  };
}

async function groupsOf(data: AnnData, column: string): Promise<Groups> {
  const { codes, names } = factorize(await data.obs.column(column));
  return { codes: Int32Array.from(codes), names };
}

/**
 * Labels spelled like the types. Cells whose label stands for a missing one get code -1.
 * @returns null if no cell is labelled
 */
function labelled({ names, codes }: Groups, types: readonly string[]): Groups | null {
  const known = names.filter((name) => !isUnlabeled(name));
  return known.length === 0
    ? null
    : {
        names: spelledAs(known, types),
        codes: codes.map((code) => (code < 0 ? -1 : known.indexOf(names[code]!))),
      };
}

async function numbers(data: AnnData, name: string): Promise<Float64Array> {
  const column = data.obs.columnNames.includes(name) ? await data.obs.column(name) : null;
  return column?.kind === "number" ? column.values : new Float64Array(data.nObs).fill(NaN);
}

function verdictOf(value: UnsValue | undefined): Verdict | null {
  if (typeof value !== "string") return null;
  try {
    const parsed = JSON.parse(value) as Verdict;
    return Array.isArray(parsed.reasons) && ["green", "amber", "red"].includes(parsed.light) ? parsed : null;
  } catch {
    return null; // written by something else
  }
}

function clustersOf(value: UnsValue | undefined): ClusterSummary[] {
  if (typeof value !== "string") return [];
  try {
    const parsed = JSON.parse(value) as ClusterSummary[];
    return Array.isArray(parsed) && parsed.every(({ genes_up: up, genes_down: down }) => up && down)
      ? parsed
      : [];
  } catch {
    return []; // written by something else
  }
}

function isDict(value: UnsValue | undefined): value is UnsDict {
  return typeof value === "object" && !ArrayBuffer.isView(value) && !Array.isArray(value);
}

function textOrNull(value: UnsValue | undefined): string | null {
  return typeof value === "string" ? value : null;
}

function listOf(value: UnsValue | undefined): string[] {
  return typeof value === "string" ? [value] : Array.isArray(value) ? value.map(String) : [];
}
