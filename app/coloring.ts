// Colourings of the cells: a colour per cell, and the legend.
import { computed } from "@preact/signals";
import { typeNumber, type Paper } from "scpoli/plots";
import {
  bytesOf,
  expressionColour,
  missingColour,
  otherColour,
  rampColour,
  referenceColour,
  typeColour,
  unknownColour,
} from "./colours.js";
import type { CellColumn, LevelResult, MappingResult } from "./protocol.js";
import {
  columns,
  expressions,
  theme,
  unknown,
  work,
  type Annotation,
  type ColourBy,
  type View,
} from "./state.js";

interface LegendEntry {
  readonly name: string;
  readonly colour: string;
  /** of the query */
  readonly cells: number;
  /**
   * number of landmarks (reference cells that the model carries); null if the model does not know their
   * group
   */
  readonly reference: number | null;
}

export interface Groups {
  readonly entries: readonly LegendEntry[];
  /** (N) entry of each query cell */
  readonly codes: Int32Array;
  /** entry of each cell of the reference, -1 for none; null where it is not known */
  readonly reference: Int32Array | null;
}

export interface Range {
  readonly low: number;
  readonly high: number;
  readonly values: Float32Array;
  /** of a gene: zero has a colour of its own */
  readonly isExpression: boolean;
}

export interface Coloring {
  readonly title: string;
  /** groups of cells, or the range of a number */
  readonly groups: Groups | null;
  readonly range: Range | null;
}

export const unknownName = "unknown";
export const missingName = "missing";
/** Cells that the user has not labelled. */
export const noLabelName = "no label";

/** The chosen colouring, in the present theme. */
export const coloring = computed<Coloring | null>(() => coloringFor(theme.value));

/** The chosen colouring on a given background. */
export function coloringFor(paper: Paper): Coloring | null {
  const { result, view } = work.value;
  return result && coloringOf(view.colourBy, result, known(paper));
}

/** A colouring other than the chosen one. */
export function coloringBy(by: ColourBy): Coloring | null {
  const { result } = work.value;
  return result && coloringOf(by, result, known(theme.value));
}

interface Known {
  readonly paper: Paper;
  readonly unknown: readonly Uint8Array[];
  readonly columns: ReadonlyMap<string, CellColumn>;
  readonly expressions: ReadonlyMap<string, Float32Array>;
  readonly annotation: Annotation | null;
}

const known = (paper: Paper): Known => ({
  paper,
  unknown: unknown.value,
  columns: columns.value,
  expressions: expressions.value,
  annotation: work.value.annotation,
});

function coloringOf(by: ColourBy, result: MappingResult, all: Known): Coloring | null {
  switch (by.kind) {
    case "predicted":
    case "nearest":
    case "head":
      return byType(result, by.level, by.kind, all);
    case "uncertainty":
    case "novelty":
    case "probability": {
      const level = result.levels[by.level];
      return byNumber(`${level?.key ?? ""} ${by.kind}`, level?.[by.kind] ?? undefined, [0, 1]);
    }
    case "cluster": {
      const { clusters, levels } = result;
      if (!clusters) return null;
      const first = levels.reduce((sum, { types }) => sum + types.length, 0);
      return grouped(
        "cluster",
        clusters.codes,
        clusters.numbers.map((number, code) => ({
          name: `cluster ${number}`,
          colour: typeColour(first + code, all.paper),
        })),
      );
    }
    case "condition":
      return byCondition(result, by.key, all.paper);
    case "annotation":
      return all.annotation && byNames(all.annotation.title, all.annotation, result, all.paper, noLabelName);
    case "column": {
      const column = all.columns.get(by.name);
      if (!column) return null;
      return column.kind === "groups"
        ? byNames(by.name, column, result, all.paper)
        : byNumber(by.name, column.values);
    }
    case "gene":
      return byNumber(
        `${by.name}, log1p of counts per 10,000`,
        all.expressions.get(by.name),
        undefined,
        true,
      );
  }
}

/** What a cell's type comes from, in the title of a legend. */
const typeTitles = {
  predicted: "predicted",
  nearest: "nearest prototype",
  head: "classifier on genes",
} as const;

/** Types keep their colours at any threshold, and whichever types the query has. */
function byType(
  { levels, reference }: MappingResult,
  at: number,
  what: keyof typeof typeTitles,
  { paper, unknown: flags }: Known,
): Coloring | null {
  const level = levels[at];
  if (!level) return null;
  const codes =
    what === "predicted"
      ? predictedCodes(level, flags[at])
      : what === "nearest"
        ? level.nearest
        : level.headLabels;
  if (!codes) return null;
  const entries = [
    ...level.types.map((name) => ({ name, colour: typeColour(colourNumber(levels, name), paper) })),
    { name: unknownName, colour: unknownColour(paper) },
  ];
  return grouped(`${level.key}, ${typeTitles[what]}`, codes, entries, reference?.levels[at] ?? null);
}

/** Type of each cell; the number of types for unknown cells. */
export function predictedCodes({ predicted, types }: LevelResult, flags: Uint8Array | undefined): Int32Array {
  return predicted.map((code, cell) => (flags?.[cell] ? types.length : code));
}

/** Number of a type for its colour; -1: not a type of the model. */
const colourNumber = (levels: readonly LevelResult[], name: string): number =>
  typeNumber(
    levels.map(({ types }) => types),
    name,
  );

/**
 * Groups of the query's metadata: names of types in the colours of the types, other names in further
 * colours.
 */
function byNames(
  title: string,
  { codes, names }: { readonly codes: Int32Array; readonly names: readonly string[] },
  { levels }: MappingResult,
  paper: Paper,
  missing = missingName,
): Coloring {
  const numbers = names.map((name) => colourNumber(levels, name));
  const areTypes = numbers.some((number) => number >= 0);
  let next = levels.reduce((sum, { types }) => sum + types.length, 0);
  return grouped(
    title,
    codes,
    names.map((name, code) => ({
      name,
      colour: !areTypes
        ? otherColour(code, paper)
        : typeColour(numbers[code]! >= 0 ? numbers[code]! : next++, paper),
    })),
    null,
    missing,
  );
}

/** Conditions of a key: the query's, then those that only the reference has. */
export function conditionNames(result: MappingResult, key: number): readonly string[] {
  const ofQuery = result.conditions[key]?.names ?? [];
  const ofReference = result.reference?.conditions?.[key]?.names ?? [];
  return [...ofQuery, ...ofReference.filter((name) => !ofQuery.includes(name))];
}

function byCondition(result: MappingResult, key: number, paper: Paper): Coloring | null {
  const condition = result.conditions[key];
  if (!condition) return null;
  const names = conditionNames(result, key);
  const ofReference = result.reference?.conditions?.[key];
  const rows = ofReference?.names.map((name) => names.indexOf(name));
  return grouped(
    condition.key,
    condition.codes,
    names.map((name, code) => ({ name, colour: otherColour(code, paper) })),
    ofReference ? ofReference.codes.map((code) => rows![code] ?? -1) : null,
  );
}

function grouped(
  title: string,
  codes: Int32Array,
  names: readonly { readonly name: string; readonly colour: string }[],
  reference: Int32Array | null = null,
  nameOfMissing = missingName,
): Coloring {
  const cells = new Int32Array(names.length + 1);
  for (const code of codes) cells[code < 0 ? names.length : code]!++;
  const landmarks = reference && new Int32Array(names.length);
  if (landmarks) for (const code of reference) if (code >= 0) landmarks[code]!++;
  const entries: LegendEntry[] = names.map((entry, code) => ({
    ...entry,
    cells: cells[code]!,
    reference: landmarks ? landmarks[code]! : null,
  }));
  const missing = cells[names.length]!;
  if (missing === 0) return { title, groups: { entries, codes, reference }, range: null };
  return {
    title,
    groups: {
      entries: [...entries, { name: nameOfMissing, colour: missingColour, cells: missing, reference: null }],
      codes: codes.map((code) => (code < 0 ? names.length : code)),
      reference,
    },
    range: null,
  };
}

function byNumber(
  title: string,
  values: Float32Array | undefined,
  range?: readonly [number, number],
  isExpression = false,
): Coloring | null {
  if (!values) return null;
  let [low, high] = [Infinity, -Infinity];
  for (const value of values)
    if (Number.isFinite(value)) [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (range) [low, high] = range;
  if (isExpression) low = Math.min(0, low);
  if (!(high > low)) high = low + 1;
  return { title, groups: null, range: { low, high, values, isExpression } };
}

/**
 * Groups named in the picture: those that colour the cells where each has its place, else the predicted
 * types. Samples lie over each other, and a name at their median would say nothing.
 */
export const labelGroups = computed<Groups | null>(() => {
  const groups = coloring.value?.groups ?? null;
  const { result, view } = work.value;
  if (!result || view.colourBy.kind === "predicted") return groups;
  if (groups && separation(groups, result.positions) > 0.5) return groups;
  return coloringBy({ kind: "predicted", level: view.level })?.groups ?? groups;
});

const separations = new WeakMap<Int32Array, number>();

/** Share of the variance of the positions that lies between groups, 0..1; 0 for a single group. */
function separation({ codes, entries }: Groups, positions: Float32Array): number {
  const known = separations.get(codes);
  if (known !== undefined) return known;
  const cells = new Float64Array(entries.length);
  const sums = new Float64Array(2 * entries.length);
  let [squares, x, y] = [0, 0, 0];
  for (let cell = 0; cell < codes.length; cell++) {
    const [code, px, py] = [codes[cell]!, positions[2 * cell]!, positions[2 * cell + 1]!];
    cells[code]!++;
    sums[2 * code]! += px;
    sums[2 * code + 1]! += py;
    squares += px ** 2 + py ** 2;
    x += px;
    y += py;
  }
  const ofMean = (x ** 2 + y ** 2) / codes.length;
  const between = cells.reduce(
    (sum, n, group) => sum + (n > 0 ? (sums[2 * group]! ** 2 + sums[2 * group + 1]! ** 2) / n : 0),
    -ofMean,
  );
  const share = squares > ofMean ? between / (squares - ofMean) : 0;
  separations.set(codes, share);
  return share;
}

const orders = new WeakMap<Float32Array, Uint32Array>();

/**
 * Drawing order of cells coloured by a number: high values last, so that cells with a rare gene stay visible.
 */
export function drawingOrder({ range }: Coloring): Uint32Array | null {
  if (!range) return null;
  const { values } = range;
  let order = orders.get(values);
  if (!order) {
    const key = (cell: number): number => (Number.isFinite(values[cell]!) ? values[cell]! : -Infinity);
    order = Uint32Array.from(values.keys()).sort((a, b) => (key(a) === key(b) ? a - b : key(a) - key(b)));
    orders.set(values, order);
  }
  return order;
}

/** Colour of a value on the scale of a range. */
export function colourOfValue({ low, high, isExpression }: Range, value: number, paper: Paper): string {
  if (!Number.isFinite(value)) return missingColour;
  const share = Math.min(1, Math.max(0, (value - low) / (high - low)));
  return isExpression ? expressionColour(paper, share) : rampColour(share);
}

const [shownOpacity, fadedOpacity] = [225, 28];

/**
 * Bytes per cell: red, green, blue, opacity. Cells outside the selection or the isolated groups fade; cells
 * hidden by a filter are transparent.
 * @param visible - (N) 0 where a filter hides the cell; null: all are shown
 */
export function paint(
  { groups, range }: Coloring,
  { selection, isolated }: Pick<View, "selection" | "isolated">,
  cells: number,
  visible: Uint8Array | null,
  paper: Paper,
): Uint8Array {
  const pixels = new Uint32Array(cells);
  const isSelected = selection && new Uint8Array(cells);
  if (isSelected) for (const cell of selection.cells) isSelected[cell] = 1;
  const isShown =
    groups && isolated.length > 0 ? groups.entries.map(({ name }) => isolated.includes(name)) : null;
  const colours = range ? rampColours(range, paper) : groups!.entries.map(({ colour }) => colour);
  const [shown, faded] = [shownOpacity, fadedOpacity].map((opacity) =>
    Uint32Array.from(colours, (colour) => pixelOf(colour, opacity)),
  ) as [Uint32Array, Uint32Array];
  for (let cell = 0; cell < cells; cell++) {
    if (visible && !visible[cell]) continue;
    const code = range ? rampStep(range, range.values[cell]!) : groups!.codes[cell]!;
    const fades = (isSelected && !isSelected[cell]) || (isShown && !isShown[code]);
    pixels[cell] = fades ? faded[code]! : shown[code]!;
  }
  return new Uint8Array(pixels.buffer);
}

/** Red, green, blue and opacity in one number, in the order of this computer's bytes. */
function pixelOf(colour: string, opacity: number): number {
  return new Uint32Array(Uint8Array.of(...bytesOf(colour), opacity).buffer)[0]!;
}

const rampSteps = 256;

/** Colours of a range in steps, then that of a missing value; the first step is for zero alone. */
function rampColours(range: Range, paper: Paper): string[] {
  const { low, high } = range;
  const steps = Array.from({ length: rampSteps + 1 }, (_, step) =>
    colourOfValue(range, low + ((high - low) * step) / rampSteps, paper),
  );
  return [...steps, missingColour];
}

/** Entry of a value in `rampColours`. */
function rampStep({ low, high }: Range, value: number): number {
  if (!Number.isFinite(value)) return rampSteps + 1;
  const share = Math.min(1, Math.max(0, (value - low) / (high - low)));
  return share > 0 ? Math.max(1, Math.round(rampSteps * share)) : 0;
}

const [colouredOpacity, greyOpacity] = [200, 150];

/** Bytes per landmark: grey, or the colour of its group if chosen and known. */
export function paintReference(shown: Coloring, view: View, cells: number, paper: Paper): Uint8Array {
  const pixels = new Uint32Array(cells);
  const codes = view.reference === "coloured" ? shown.groups?.reference : null;
  const colours = shown.groups?.entries.map(({ colour }) => pixelOf(colour, colouredOpacity));
  const isShown =
    view.isolated.length > 0 ? shown.groups?.entries.map(({ name }) => view.isolated.includes(name)) : null;
  const grey = pixelOf(referenceColour(paper), greyOpacity);
  for (let cell = 0; cell < cells; cell++) {
    const code = codes?.[cell] ?? -1;
    pixels[cell] = code >= 0 && (!isShown || isShown[code]) ? colours![code]! : grey;
  }
  return new Uint8Array(pixels.buffer);
}
