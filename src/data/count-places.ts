// Locates the raw counts of an AnnData file: X, else raw.X, else a layer. A sample of cells decides, matrices
// of whole numbers are compared with each other, and loading later checks every value.
// Differs: scArches trains a count likelihood on any X, including log-normalised values, as in its own
// tutorial.
import type { AnnData } from "../anndata/anndata.js";
import type { DataFrame } from "../anndata/dataframe.js";
import type { Matrix } from "../anndata/matrix.js";
import type { MatrixPlace } from "../anndata/read-ahead.js";
import type { CountsOptions, Note } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { comparePlaces } from "./compare-places.js";
import { roundedCounts } from "./derived-counts.js";
import { selectFeatures } from "./feature-types.js";
import { lookAt, type Look, type Suspicion } from "./place-look.js";
import { describeNormalisation, findRecovery, recoverCounts, type Recovery } from "./recovered-counts.js";

/** The matrix that holds the counts, with the names of its cells and genes. */
export interface CountsPlace {
  /** the file */
  readonly path: string;
  /** "X", "raw.X", "layers/counts", ... */
  readonly name: string;
  readonly matrix: Matrix;
  readonly var: DataFrame;
  readonly obs: DataFrame;
  /** verdicts on the matrices that were inspected; the last one is this matrix */
  readonly verdicts: readonly PlaceVerdict[];
  /** default "counts" */
  readonly values?: ValueKind;
  /** the normalisation that the counts are recovered from, for messages */
  readonly recoveredFrom?: string;
  /** modelled feature types, if not only gene expression */
  readonly featureTypes?: readonly string[];
}

/**
 * How stored values are used: raw counts unchanged; read counts x as fragment counts, floor((x + 1) / 2); any
 * finite numbers unchanged.
 */
export type ValueKind = "counts" | "reads" | "numbers";

export interface PlaceVerdict {
  readonly place: string;
  /** "zeros": the sampled cells hold only zeros */
  readonly holds: "counts" | "zeros" | "other" | "unreadable";
  /** description for messages */
  readonly verdict: string;
}

interface Place {
  readonly name: string;
  /** null if the file has no such matrix */
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

/** Layers that are inspected without being named. */
export const usualLayers = ["counts", "raw_counts", "raw", "raw_count", "count", "umi_counts", "umis"];

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

export interface FindCountsOptions extends Pick<
  CountsOptions,
  "recoverCounts" | "roundCounts" | "featureTypes"
> {
  /** feature types of the model, used if none are requested */
  readonly modelTypes?: readonly string[];
  /** feature type used if the file has it and none are requested */
  readonly preferredType?: string;
  /** use all features of a file without gene expression. Default: an error */
  readonly orAllFeatures?: boolean;
  /** receives notes about choices made and data left out */
  readonly note?: (note: Note) => void;
}

/**
 * Finds the raw counts: `X`, else `raw.X`, else the usual layers. If several matrices hold whole numbers,
 * those that look unlike counts (0 and 1, ranks, rounded normalised values) are passed over, and differences
 * between them are reported or raise an error.
 *
 * @param layer - "X", "raw" or the name of a layer: only that matrix is inspected. Default: all usual places
 * @throws ScPoliError "counts" if no inspected matrix holds counts (the message describes each), or if the
 * choice is ambiguous; "key" if a named matrix does not exist, or has no features of the requested types
 */
export async function findCounts(
  data: AnnData,
  layer?: string,
  options: FindCountsOptions = {},
): Promise<CountsPlace> {
  const { featureTypes: types, modelTypes, preferredType: preferred, orAllFeatures: orAll, note } = options;
  const place = await findMatrix(data, layer, options);
  return selectFeatures(place, { types, modelTypes, preferred, orAll, note });
}

async function findMatrix(
  data: AnnData,
  layer: string | undefined,
  { recoverCounts: recover, roundCounts: round, note = () => undefined }: FindCountsOptions,
): Promise<CountsPlace> {
  const judged: Judged[] = [];
  for (const place of layer === undefined ? usualPlaces(data) : [namedPlace(data, layer)]) {
    const one = layer === undefined ? await tryToJudge(data, place) : await judge(data, place);
    if (!one.opened && layer !== undefined)
      throw new ScPoliError("key", `${data.path} has no ${place.name}${layers(data)}.`, {
        place: place.name,
      });
    judged.push(one);
  }
  const verdicts = judged.map(({ verdict }) => verdict);
  const answer = ({ opened, verdict }: Judged): CountsPlace => ({
    path: data.path,
    name: verdict.place,
    ...opened!,
    obs: data.obs,
    verdicts: verdicts.slice(0, verdicts.indexOf(verdict) + 1),
  });
  const holding = (holds: PlaceVerdict["holds"]): Judged[] =>
    judged.filter(({ opened, verdict }) => opened && verdict.holds === holds);
  const chosen = await choose(data, holding("counts"), layer !== undefined, note);
  if (chosen) {
    const place = answer(chosen);
    if (round) return { ...place, matrix: roundedCounts(place.matrix) };
    if (!chosen.look!.isNearlyWhole) return place;
    note({
      level: "info",
      message: `${place.name} holds whole numbers with rounding errors; they are rounded.`,
    });
    return { ...place, matrix: roundedCounts(place.matrix) };
  }
  const [zeros] = holding("zeros");
  if (zeros) return answer(zeros);
  const others = holding("other").filter(({ look }) => look !== null);
  for (const other of others) {
    const recovery = await findRecovery(data, other.opened!.matrix, other.verdict.place, other.look!);
    if (recovery === null) continue;
    if (!recover) throw await noCounts(data, layer, judged, { place: other.verdict.place, recovery });
    const matrix = recoverCounts(other.opened!.matrix, data.obs, recovery);
    return { ...answer(other), matrix, verdicts, recoveredFrom: describeNormalisation(recovery) };
  }
  const [rounded] = others.filter(({ look }) => mayBeRounded(look!));
  if (round && rounded) {
    const place = answer(rounded);
    note({
      level: "warning",
      message: `${place.name} holds fractional values; they are rounded to counts.`,
    });
    return { ...place, matrix: roundedCounts(place.matrix), verdicts };
  }
  throw await noCounts(data, layer, judged);
}

const suspicions: Readonly<Record<Suspicion, string>> = {
  binary: "only 0 and 1",
  ranks: "whole numbers that are all different within a cell, like ranks",
  "constant totals": "whole numbers with about the same total in every cell, like rounded normalised values",
};

/**
 * Chooses among matrices of whole numbers; null if there are none.
 * @param isNamed - whether the user named the matrix
 * @throws ScPoliError "counts" if the choice is ambiguous
 */
async function choose(
  data: AnnData,
  places: readonly Judged[],
  isNamed: boolean,
  note: (note: Note) => void,
): Promise<Judged | null> {
  const suspicious = ({ look }: Judged): boolean => look!.suspicion !== null;
  const [first] = places;
  let chosen = places.find((place) => !suspicious(place)) ?? first;
  if (!first || !chosen) return null;
  if (suspicious(chosen) && !isNamed) await checkSuspicious(data, chosen);
  if (suspicious(chosen))
    note({
      level: "warning",
      message: `${chosen.verdict.place} holds ${suspicions[chosen.look!.suspicion!]}; used as counts.`,
    });
  else if (chosen !== first)
    note({
      level: "warning",
      message:
        `${first.verdict.place} holds ${suspicions[first.look!.suspicion!]}; counts are taken from ` +
        `${chosen.verdict.place}. ${takes(first)}.`,
    });
  for (const other of places.slice(places.indexOf(chosen) + 1)) {
    if (suspicious(other)) continue;
    const how = await comparePlaces(chosen.opened!, other.opened!);
    if (how === null || how === "same") continue;
    const [one, two] = [inWords(chosen), inWords(other)];
    if (how === "reduced")
      note({
        level: "warning",
        message:
          `${one} and ${two} both hold counts; those of ${chosen.verdict.place} are used, which are ` +
          `smaller (corrected or downsampled). ${takes(other)}.`,
      });
    else if (chosen.verdict.place === "X") {
      note({
        level: "warning",
        message:
          `${one} and ${two} hold different whole numbers; counts are taken from ${other.verdict.place}. ` +
          `${takes(chosen)}.`,
      });
      chosen = other;
    } else
      throw new ScPoliError(
        "counts",
        `${data.path}: ${one} and ${two} hold different whole numbers. Which are the raw counts? ` +
          `${takes(chosen)}, ${takes(other)}.`,
        { places: [chosen.verdict, other.verdict], isAsked: true },
      );
  }
  return chosen;
}

/** @throws ScPoliError "counts" if the whole numbers are not counts, or another layer has better ones */
async function checkSuspicious(data: AnnData, { verdict, look }: Judged): Promise<void> {
  const better: Judged[] = [];
  for (const place of otherPlaces(data)) {
    const other = await tryToJudge(data, place);
    if (other.verdict.holds === "counts" && other.look!.suspicion === null) better.push(other);
  }
  if (better.length === 0 && look!.suspicion !== "ranks") return;
  const ways = better.map((other) => `${takes(other)} (${other.verdict.verdict})`);
  throw new ScPoliError(
    "counts",
    `${data.path}: ${verdict.place} holds ${suspicions[look!.suspicion!]}. Which are the raw counts? ` +
      `${[...ways, `--layer ${flagName(verdict.place)} uses ${verdict.place} anyway`].join("; ")}.`,
    { places: [verdict, ...better.map((other) => other.verdict)], isAsked: true },
  );
}

function inWords({ verdict, look }: Judged): string {
  return `${verdict.place} (${Number(look!.depth.toPrecision(3))} per cell)`;
}
function takes({ verdict }: Judged): string {
  return `--layer ${flagName(verdict.place)} uses ${verdict.place}`;
}
/** A matrix as a value of --layer, for a shell. */
function flagName(place: string): string {
  const name = place === "raw.X" ? "raw" : place.replace(/^layers\//, "");
  return /^[\w.-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
}

/** "Counts taken from X" */
export function countsFrom({ name, recoveredFrom }: CountsPlace): string {
  return recoveredFrom === undefined
    ? `Counts taken from ${name}`
    : `Counts recovered from ${recoveredFrom} in ${name}`;
}

/**
 * The matrix that `findCounts` chooses by default, for readers that can do without counts; null if there is
 * none or the choice is ambiguous.
 */
export async function takenPlace(
  data: AnnData,
  options: FindCountsOptions = {},
): Promise<CountsPlace | null> {
  try {
    return await findCounts(data, undefined, options);
  } catch (error) {
    if (!(error instanceof ScPoliError) || !["counts", "key"].includes(error.kind)) throw error;
    if (error.details["isAsked"]) options.note?.({ level: "warning", message: error.message });
    return null;
  }
}

/**
 * The matrix of normalised values.
 * @param layer - "X" (default), "raw" or the name of a layer
 * @throws ScPoliError "counts" if it is empty, "key" if it does not exist
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
  return {
    path: data.path,
    name: place.name,
    ...opened,
    obs: data.obs,
    verdicts: [verdict],
    values: "numbers",
  };
}

/**
 * The matrix that `findCounts` inspects first, which is usually the one it chooses; null if it is missing or
 * cannot be read.
 */
export function firstPlace(data: AnnData, layer?: string): MatrixPlace | null {
  try {
    const place = layer === undefined ? usualPlaces(data)[0]! : namedPlace(data, layer);
    const opened = place.open();
    return opened && { path: data.path, name: place.name, matrix: opened.matrix };
  } catch {
    return null; // reported by findCounts
  }
}

/**
 * Opens a matrix by the name that `findCounts` gave it.
 * @throws ScPoliError "key" if the file has no such matrix
 */
export function openPlace(data: AnnData, name: string): CountsPlace {
  const opened = namedPlace(data, name).open();
  if (!opened) throw new ScPoliError("key", `${data.path} has no ${name}${layers(data)}.`, { place: name });
  return { path: data.path, name, ...opened, obs: data.obs, verdicts: [] };
}

/** Verdicts on all matrices of a file: X, raw.X and all layers. */
export async function lookAtPlaces(data: AnnData): Promise<PlaceVerdict[]> {
  const verdicts: PlaceVerdict[] = [];
  for (const place of [...usualPlaces(data), ...otherPlaces(data)])
    verdicts.push((await tryToJudge(data, place)).verdict);
  return verdicts;
}

async function noCounts(
  data: AnnData,
  layer: string | undefined,
  judged: readonly Judged[],
  recoverable?: { readonly place: string; readonly recovery: Recovery },
): Promise<ScPoliError> {
  const all = [...judged];
  if (layer === undefined) for (const place of otherPlaces(data)) all.push(await tryToJudge(data, place));
  const lines = all.map((one) => {
    const isOffered = !judged.includes(one) && one.verdict.holds === "counts";
    const offer = isOffered ? ` (--layer ${flagName(one.verdict.place)} uses them)` : "";
    return `  ${one.verdict.place}: ${one.verdict.verdict}${offer}`;
  });
  const where = layer === undefined ? "" : ` in ${judged[0]!.verdict.place}`;
  return new ScPoliError(
    "counts",
    `${data.path} has no raw counts${where}:\n${lines.join("\n")}\n` +
      "Raw counts are needed: non-negative whole numbers, not normalised. " +
      (recoverable
        ? `${recoverable.place} holds ${describeNormalisation(recoverable.recovery)}, from which the ` +
          "counts can be recovered exactly with --recover-counts."
        : advice(data, judged, all)),
    { places: all.map(({ verdict }) => verdict) },
  );
}

/**
 * What to do where no matrix holds counts.
 * @param judged - the matrices that could have been chosen
 * @param all - these and all others
 */
function advice(data: AnnData, judged: readonly Judged[], all: readonly Judged[]): string {
  const first = (fits: (look: Look) => boolean): string | undefined =>
    judged.find(({ opened, look }) => opened && look && fits(look))?.verdict.place;
  const rounded = first(mayBeRounded);
  if (rounded !== undefined)
    return (
      `If ${rounded} holds fractional counts, such as those of SoupX, DecontX, CellBender, alevin-fry, ` +
      "RSEM and salmon, round them with --round-counts. Do not round normalised values."
    );
  const filled = first(isIncomplete);
  if (filled !== undefined)
    return `If ${filled} holds counts, replace these values, or remove their cells or genes.`;
  if (all.every(({ opened, look }) => !opened || !look) && all.some(({ opened }) => opened))
    return `There are no ${data.obs.length === 0 ? "cells" : "genes"}.`;
  return "Use the data from before normalisation.";
}

interface Judged {
  /** null if the matrix is missing or cannot be read */
  readonly opened: { readonly matrix: Matrix; readonly var: DataFrame } | null;
  /** null if there is nothing to inspect */
  readonly look: Look | null;
  readonly verdict: PlaceVerdict;
}

async function judge(data: AnnData, place: Place): Promise<Judged> {
  const opened = place.open();
  const nothing = (verdict: string): Judged => ({
    opened: null,
    look: null,
    verdict: { place: place.name, holds: "other", verdict },
  });
  if (!opened) return nothing("not there");
  const { matrix } = opened;
  if (matrix.rows === 0 || matrix.columns === 0)
    return { ...nothing(`empty (${matrix.rows} cells x ${matrix.columns} genes)`), opened };
  const look = await lookAt(matrix);
  return { opened, look, verdict: { place: place.name, ...(await inVerdict(look, data.obs, opened.var)) } };
}

/** Judges a matrix. One that cannot be read must not hide the others. */
async function tryToJudge(data: AnnData, place: Place): Promise<Judged> {
  try {
    return await judge(data, place);
  } catch (error) {
    if (!(error instanceof ScPoliError)) throw error;
    return {
      opened: null,
      look: null,
      verdict: { place: place.name, holds: "unreadable", verdict: `cannot be read: ${error.message}` },
    };
  }
}

async function inVerdict(
  look: Look,
  obs: DataFrame,
  genes: DataFrame,
): Promise<Pick<PlaceVerdict, "holds" | "verdict">> {
  const { examples, most, suspicion } = look;
  const met = [...examples.keys()];
  if (met.length === 0) {
    if (most === 0) return { holds: "zeros", verdict: "only zeros in the sampled cells" };
    return { holds: "counts", verdict: suspicion === null ? "raw counts" : suspicions[suspicion] };
  }
  const { value, row, column } = examples.get(met[0]!)!;
  const [cell, gene] = [(await obs.index())[row], (await genes.index())[column]];
  const kinds = met.map((problem) => (problem === "NaN" ? "NaN" : `${problem} values`)).join(" and ");
  return {
    holds: "other",
    verdict: `${kinds}, e.g. ${Number(value.toPrecision(4))} in cell '${cell}', gene '${gene}'${guess(look)}`,
  };
}

/** Upper bounds of logarithms of normalised values: for the usual scales, and for any scale. */
const usualLog = 10;
const largestLog = 30;

function guess({ examples, most, total, totalOfLogarithms }: Look): string {
  if (!examples.has("fractional")) return "";
  if (examples.has("negative")) return "; looks scaled";
  const to = (value: number): string => ` (to a total of ${Math.round(value)} per cell)`;
  if (totalOfLogarithms !== null && most < largestLog)
    return `; looks log-normalised${to(totalOfLogarithms)}`;
  if (total !== null) return `; looks normalised${to(total)}`;
  if (most < usualLog) return "; looks log-normalised";
  return most < largestLog
    ? "; looks log-normalised, or like fractional counts"
    : "; looks normalised, or like fractional counts";
}

/** Whether the values may be fractional counts: no other problem, and no common total per cell. */
function mayBeRounded({ examples, total, totalOfLogarithms, most }: Look): boolean {
  return (
    examples.size === 1 &&
    examples.has("fractional") &&
    total === null &&
    totalOfLogarithms === null &&
    most >= usualLog
  );
}

/** Whether all values are whole numbers but for some that are missing or infinite. */
function isIncomplete({ examples }: Look): boolean {
  return examples.size > 0 && !examples.has("fractional") && !examples.has("negative");
}

function layers(data: AnnData): string {
  return data.layers.length > 0
    ? `; its layers are ${data.layers.map((name) => `'${name}'`).join(", ")}`
    : "; it has no layers";
}
