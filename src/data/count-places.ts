// Where the raw counts of an AnnData file are: X, else raw.X, else a layer. A first look at a few cells
// decides; loading then checks every value. Differs: scArches trains a count likelihood on whatever X holds,
// also on log-normalised values, as its own tutorial does.
import type { AnnData } from "../anndata/anndata.js";
import type { DataFrame } from "../anndata/dataframe.js";
import { type Matrix, rowsPerBlock } from "../anndata/matrix.js";
import type { MatrixPlace } from "../anndata/read-ahead.js";
import { isRecoverable, recoverCounts } from "./derived-counts.js";
import { ScPoliError } from "../errors.js";

/** The matrix that holds the counts, with the names of its cells and genes. */
export interface CountsPlace {
  /** the file */
  readonly path: string;
  /** "X", "raw.X", "layers/counts", ... */
  readonly name: string;
  readonly matrix: Matrix;
  readonly var: DataFrame;
  readonly obs: DataFrame;
  /** what the places looked at hold; the last one is this */
  readonly found: readonly PlaceVerdict[];
  /** default "counts" */
  readonly values?: ValueKind;
  /** the counts are recovered from log-normalised values */
  readonly isRecovered?: boolean;
}

/**
 * How stored values are taken: raw counts as they are; read counts x as fragment counts, (x + 1) / 2 rounded
 * down; any finite numbers as they are.
 */
export type ValueKind = "counts" | "reads" | "numbers";

export interface PlaceVerdict {
  readonly place: string;
  /** "zeros": only zeros were met */
  readonly holds: "counts" | "zeros" | "other";
  /** in words */
  readonly verdict: string;
}

type Problem = "NaN" | "infinite" | "negative" | "fractional";
const problems: readonly Problem[] = ["NaN", "infinite", "negative", "fractional"];

/** Why a value is no count; null where it is one. */
export function problemOf(value: number): Problem | null {
  if (Number.isNaN(value)) return "NaN";
  if (value < 0) return value === -Infinity ? "infinite" : "negative";
  if (value === Infinity) return "infinite";
  return Number.isInteger(value) ? null : "fractional";
}

/** A value that is no count, in words: "a fractional value, 1.386". */
export function describeProblem(value: number): string {
  const problem = problemOf(value);
  if (problem === "NaN") return "NaN (a missing value)";
  return `${problem === "infinite" ? "an" : "a"} ${problem} value, ${Number(value.toPrecision(4))}`;
}

interface Place {
  readonly name: string;
  /** null where the file has no such place */
  open(): { readonly matrix: Matrix; readonly var: DataFrame } | null;
}

function placeX(data: AnnData): Place {
  return {
    name: "X",
    open: () => {
      const matrix = data.X;
      return matrix && { matrix, var: data.var };
    },
  };
}
function placeRaw(data: AnnData): Place {
  return {
    name: "raw.X",
    open: () => {
      const raw = data.raw;
      return raw && { matrix: raw.X, var: raw.var };
    },
  };
}
function placeLayer(data: AnnData, layer: string): Place {
  return { name: `layers/${layer}`, open: () => ({ matrix: data.layer(layer), var: data.var }) };
}

/** Layers that are looked into without being named. */
const usualLayers = ["counts", "raw_counts"];

function usualPlaces(data: AnnData): Place[] {
  return [
    placeX(data),
    placeRaw(data),
    ...usualLayers.filter((name) => data.layers.includes(name)).map((name) => placeLayer(data, name)),
  ];
}
function otherPlaces(data: AnnData): Place[] {
  return data.layers.filter((name) => !usualLayers.includes(name)).map((name) => placeLayer(data, name));
}
function namedPlace(data: AnnData, name: string): Place {
  if (name === "X") return placeX(data);
  if (name === "raw" || name === "raw.X") return placeRaw(data);
  return placeLayer(
    data,
    !data.layers.includes(name) && name.startsWith("layers/") ? name.slice("layers/".length) : name,
  );
}

/**
 * Finds the raw counts: `X`, else `raw.X`, else the layers `counts` and `raw_counts`.
 *
 * @param layer - "X", "raw" or the name of a layer: only that place is looked into. Default: found
 * @param recover - where there are none, recover them from log1p of counts per 10,000, where that is exact
 * @throws ScPoliError "counts" where no place looked into holds counts, telling what each holds; "key" where
 * a named place does not exist
 */
export async function findCounts(data: AnnData, layer?: string, recover = false): Promise<CountsPlace> {
  const found: PlaceVerdict[] = [];
  const others: CountsPlace[] = [];
  let zeros: CountsPlace | null = null;
  for (const place of layer === undefined ? usualPlaces(data) : [namedPlace(data, layer)]) {
    const { opened, verdict } =
      layer === undefined ? await tryToJudge(data, place) : await judge(data, place);
    found.push(verdict);
    if (!opened) {
      if (layer !== undefined)
        throw new ScPoliError("key", `${data.path} has no ${place.name}${layers(data)}.`, {
          place: place.name,
        });
      continue;
    }
    const answer: CountsPlace = {
      path: data.path,
      name: place.name,
      ...opened,
      obs: data.obs,
      found: [...found],
    };
    if (verdict.holds === "counts") return answer;
    if (verdict.holds === "zeros") zeros ??= answer;
    else others.push(answer);
  }
  if (zeros) return zeros;
  for (const place of others) {
    if (!(await isRecoverable(place.matrix))) continue;
    if (recover) return { ...place, matrix: recoverCounts(place.matrix, data.obs), found, isRecovered: true };
    throw await noCounts(data, layer, found, place.name);
  }
  throw await noCounts(data, layer, found);
}

/**
 * The matrix of normalised values.
 * @param layer - "X" (default), "raw" or the name of a layer
 * @throws ScPoliError "counts" where it is empty, "key" where it does not exist
 */
export async function findNumbers(data: AnnData, layer = "X"): Promise<CountsPlace> {
  const place = namedPlace(data, layer);
  const { opened, verdict } = await judge(data, place);
  if (!opened)
    throw new ScPoliError("key", `${data.path} has no ${place.name}${layers(data)}.`, { place: place.name });
  if (opened.matrix.rows === 0 || opened.matrix.columns === 0)
    throw new ScPoliError("counts", `${data.path} has no values in ${place.name}: ${verdict.verdict}.`, {
      place: place.name,
    });
  return { path: data.path, name: place.name, ...opened, obs: data.obs, found: [verdict], values: "numbers" };
}

/**
 * The place that `findCounts` looks into first, which most often is the one that it takes; null where there
 * is none, or it cannot be read.
 */
export function firstPlace(data: AnnData, layer?: string): MatrixPlace | null {
  try {
    const place = layer === undefined ? usualPlaces(data)[0]! : namedPlace(data, layer);
    const opened = place.open();
    return opened && { path: data.path, name: place.name, matrix: opened.matrix };
  } catch {
    return null; // told by findCounts
  }
}

/**
 * A place by the name that `findCounts` gave it.
 * @throws ScPoliError "key" where the file has no such place
 */
export function openPlace(data: AnnData, name: string): CountsPlace {
  const opened = namedPlace(data, name).open();
  if (!opened) throw new ScPoliError("key", `${data.path} has no ${name}${layers(data)}.`, { place: name });
  return { path: data.path, name, ...opened, obs: data.obs, found: [] };
}

/** What every matrix of a file holds: X, raw.X and all layers. */
export async function lookAtPlaces(data: AnnData): Promise<PlaceVerdict[]> {
  const verdicts: PlaceVerdict[] = [];
  for (const place of [...usualPlaces(data), ...otherPlaces(data)])
    verdicts.push((await tryToJudge(data, place)).verdict);
  return verdicts;
}

/** The place that `findCounts` takes when none is named. */
export function takenPlace(verdicts: readonly PlaceVerdict[]): string | null {
  const usual = verdicts.filter(({ place }) =>
    ["X", "raw.X", ...usualLayers.map((name) => `layers/${name}`)].includes(place),
  );
  return (
    (usual.find(({ holds }) => holds === "counts") ?? usual.find(({ holds }) => holds === "zeros"))?.place ??
    null
  );
}

async function noCounts(
  data: AnnData,
  layer: string | undefined,
  found: readonly PlaceVerdict[],
  recoverable?: string,
): Promise<ScPoliError> {
  const lines = found.map(({ place, verdict }) => `  ${place}: ${verdict}`);
  const verdicts = [...found];
  if (layer === undefined) {
    for (const place of otherPlaces(data)) {
      const { verdict } = await tryToJudge(data, place);
      verdicts.push(verdict);
      lines.push(
        `  ${place.name}: ${verdict.verdict}${verdict.holds === "counts" ? ` (--layer ${place.name.slice("layers/".length)} takes them)` : ""}`,
      );
    }
  }
  const where = layer === undefined ? "" : ` in ${found[0]!.place}`;
  return new ScPoliError(
    "counts",
    `${data.path} has no raw counts${where}:\n${lines.join("\n")}\nRaw counts are needed: whole numbers, not negative, not normalised. ` +
      (recoverable === undefined
        ? "Take the file from before normalisation."
        : `${recoverable} holds log1p of counts per 10,000, from which the counts can be recovered exactly: --recover-counts does so.`),
    { places: verdicts },
  );
}

interface Judged {
  /** null where there is no such place, or it cannot be read */
  readonly opened: { readonly matrix: Matrix; readonly var: DataFrame } | null;
  readonly verdict: PlaceVerdict;
}

async function judge(data: AnnData, place: Place): Promise<Judged> {
  const opened = place.open();
  const look = opened
    ? await lookAt(opened.matrix, data.obs, opened.var)
    : ({ holds: "other", verdict: "not there" } as const);
  return { opened, verdict: { place: place.name, ...look } };
}

/** A damaged matrix must not hide the others. */
async function tryToJudge(data: AnnData, place: Place): Promise<Judged> {
  try {
    return await judge(data, place);
  } catch (error) {
    if (!(error instanceof ScPoliError)) throw error;
    return {
      opened: null,
      verdict: { place: place.name, holds: "other", verdict: `cannot be read: ${error.message}` },
    };
  }
}

/** Cells of each of the three blocks of the first look, and the values that they may hold. */
const lookCells = 256;
const lookValues = 200_000;

async function lookAt(
  matrix: Matrix,
  obs: DataFrame,
  genes: DataFrame,
): Promise<Pick<PlaceVerdict, "holds" | "verdict">> {
  if (matrix.rows === 0 || matrix.columns === 0)
    return { holds: "other", verdict: `empty (${matrix.rows} cells x ${matrix.columns} genes)` };
  const rows = Math.min(lookCells, rowsPerBlock(matrix, lookValues));
  const last = matrix.rows - rows;
  const examples = new Map<
    Problem,
    { readonly value: number; readonly row: number; readonly column: number }
  >();
  let most = 0;
  for (const start of new Set([0, Math.floor(last / 2), last])) {
    const { indptr, indices, values } = await matrix.read(start, start + rows);
    for (let row = 0; row < rows; row++) {
      for (let k = indptr[row]!; k < indptr[row + 1]!; k++) {
        const value = values[k]!;
        if (value > most) most = value;
        const problem = problemOf(value);
        if (problem && !examples.has(problem))
          examples.set(problem, { value, row: start + row, column: indices[k]! });
      }
    }
  }
  const met = problems.filter((problem) => examples.has(problem));
  if (met.length === 0)
    return most > 0
      ? { holds: "counts", verdict: "raw counts" }
      : { holds: "zeros", verdict: "only zeros in the cells looked at" };
  const { value, row, column } = examples.get(met[0]!)!;
  const [cell, gene] = [(await obs.index())[row], (await genes.index())[column]];
  const kinds = met.map((problem) => (problem === "NaN" ? "NaN" : `${problem} values`)).join(" and ");
  return {
    holds: "other",
    verdict: `${kinds}, e.g. ${Number(value.toPrecision(4))} in cell '${cell}', gene '${gene}'${guess(met, most)}`,
  };
}

/** Log-normalised values of any usual scale stay below this; so do none of those on a linear scale. */
const largestLog = 30;

function guess(met: readonly Problem[], most: number): string {
  if (met.includes("negative")) return "; looks scaled";
  if (!met.includes("fractional")) return "";
  return most < largestLog ? "; looks log-normalised" : "; looks normalised";
}

function layers(data: AnnData): string {
  return data.layers.length > 0
    ? `; its layers are ${data.layers.map((name) => `'${name}'`).join(", ")}`
    : "; it has no layers";
}
