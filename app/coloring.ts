// What the cells are coloured by, worked out: a colour per cell and the legend that explains it.
import { computed } from "@preact/signals";
import { bytesOf, groupColour, missingColour, rampColour } from "./colours.js";
import type { CellColumn, LevelResult, MappingResult } from "./protocol.js";
import { columns, expressions, unknown, work, type ColourBy, type View } from "./state.js";

export interface LegendEntry {
  readonly name: string;
  readonly colour: string;
  readonly cells: number;
}

export interface Coloring {
  readonly title: string;
  /** groups of cells, or the range of a number */
  readonly groups: { readonly entries: readonly LegendEntry[]; readonly codes: Int32Array } | null;
  readonly range: { readonly low: number; readonly high: number; readonly values: Float32Array } | null;
}

export const unknownName = "unknown";

/** The colouring as chosen. */
export const coloring = computed<Coloring | null>(() => {
  const { result, view } = work.value;
  return (
    result &&
    coloringOf(view.colourBy, result, {
      unknown: unknown.value,
      columns: columns.value,
      expressions: expressions.value,
    })
  );
});

interface Known {
  readonly unknown: readonly Uint8Array[];
  readonly columns: ReadonlyMap<string, CellColumn>;
  readonly expressions: ReadonlyMap<string, Float32Array>;
}

function coloringOf(by: ColourBy, result: MappingResult, known: Known): Coloring | null {
  switch (by.kind) {
    case "predicted":
      return byType(result.levels[by.level], "predicted", known.unknown[by.level]);
    case "nearest":
      return byType(result.levels[by.level], "nearest", known.unknown[by.level]);
    case "uncertainty":
      return byNumber(
        `${result.levels[by.level]?.key ?? ""} uncertainty`,
        result.levels[by.level]?.uncertainty,
        [0, 1],
      );
    case "novelty":
      return byNumber(
        `${result.levels[by.level]?.key ?? ""} novelty`,
        result.levels[by.level]?.novelty ?? undefined,
        [0, 1],
      );
    case "probability":
      return byNumber(
        `${result.levels[by.level]?.key ?? ""} probability`,
        result.levels[by.level]?.probability,
        [0, 1],
      );
    case "cluster":
      return (
        result.clusters &&
        byGroup(
          "cluster",
          result.clusters.codes,
          result.clusters.numbers.map((number) => `cluster ${number}`),
        )
      );
    case "condition": {
      const condition = result.conditions[by.key];
      return condition ? byGroup(condition.key, condition.codes, condition.names) : null;
    }
    case "column": {
      const column = known.columns.get(by.name);
      if (!column) return null;
      return column.kind === "groups"
        ? byGroup(by.name, column.codes, column.names)
        : byNumber(by.name, column.values);
    }
    case "gene":
      return byNumber(`${by.name}, log1p of counts per 10,000`, known.expressions.get(by.name));
  }
}

/** Types keep their colours whatever is there and wherever the threshold is; unknown cells are grey. */
function byType(
  level: LevelResult | undefined,
  what: "predicted" | "nearest",
  unknownCells: Uint8Array | undefined,
): Coloring | null {
  if (!level) return null;
  const codes = level[what].map((code, cell) =>
    what === "predicted" && unknownCells?.[cell] ? level.types.length : code,
  );
  const coloured = byGroup(
    `${level.key}, ${what === "predicted" ? "predicted" : "nearest prototype"}`,
    codes,
    [...level.types, unknownName],
  );
  return {
    ...coloured,
    groups: {
      ...coloured.groups!,
      entries: coloured.groups!.entries.map((entry) =>
        entry.name === unknownName ? { ...entry, colour: missingColour } : entry,
      ),
    },
  };
}

function byGroup(title: string, codes: Int32Array, names: readonly string[]): Coloring {
  const cells = new Int32Array(names.length + 1);
  for (const code of codes) cells[code < 0 ? names.length : code]!++;
  const entries = names.map((name, code) => ({ name, colour: groupColour(code), cells: cells[code]! }));
  const missing = cells[names.length]!;
  if (missing === 0) return { title, groups: { entries, codes }, range: null };
  return {
    title,
    groups: {
      entries: [...entries, { name: "missing", colour: missingColour, cells: missing }],
      codes: codes.map((code) => (code < 0 ? names.length : code)),
    },
    range: null,
  };
}

function byNumber(
  title: string,
  values: Float32Array | undefined,
  range?: readonly [number, number],
): Coloring | null {
  if (!values) return null;
  let [low, high] = [Infinity, -Infinity];
  for (const value of values)
    if (Number.isFinite(value)) [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (range) [low, high] = range;
  return { title, groups: null, range: { low, high: high > low ? high : low + 1, values } };
}

const orders = new WeakMap<Float32Array, Uint32Array>();

/**
 * In which order the cells are drawn where a number colours them: high ones last, so that the few cells of a
 * rare gene are not covered.
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

/** Bytes per cell: red, green, blue, opacity. Cells outside the selection or the isolated groups fade. */
export function paint(
  { groups, range }: Coloring,
  { selection, isolated }: Pick<View, "selection" | "isolated">,
  cells: number,
): Uint8Array {
  const bytes = new Uint8Array(4 * cells);
  const isPicked = selection && new Uint8Array(cells);
  if (isPicked) for (const cell of selection.cells) isPicked[cell] = 1;
  const colours = groups?.entries.map(({ colour }) => bytesOf(colour));
  const isShown =
    groups && isolated.length > 0 ? groups.entries.map(({ name }) => isolated.includes(name)) : null;
  const steps = range && Array.from({ length: 256 }, (_, step) => bytesOf(rampColour(step / 255)));
  const missing = bytesOf(missingColour);
  for (let cell = 0; cell < cells; cell++) {
    const value = range?.values[cell] ?? NaN;
    const colour = colours
      ? colours[groups!.codes[cell]!]!
      : Number.isFinite(value)
        ? steps![
            Math.round(
              (255 * Math.min(Math.max(value - range!.low, 0), range!.high - range!.low)) /
                (range!.high - range!.low),
            )
          ]!
        : missing;
    const fades = (isPicked && !isPicked[cell]) || (isShown && !isShown[groups!.codes[cell]!]);
    bytes.set(colour, 4 * cell);
    bytes[4 * cell + 3] = fades ? 28 : 225;
  }
  return bytes;
}
