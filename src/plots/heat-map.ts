// Heat maps of named rows and columns.
import { rampLegend, type Area } from "./axes.js";
import { divergingColour, inkOn, rampColour } from "./palette.js";
import { element, escapeText, picture, text, widthOf, type Plot } from "./svg.js";
import { width, nameLength } from "./chart-parts.js";

/** Options of `heatMap`. */
export interface HeatMapOptions {
  /** Title, also drawn */
  title: string;
  /** Names of the rows, from top to bottom */
  rows: readonly string[];
  /** Names of the columns, from left to right */
  columns: readonly string[];
  /** What the rows are */
  rowLabel: string;
  /** What the columns are */
  columnLabel: string;
  /** (rows, columns); numbers that are not finite are drawn as missing */
  values: readonly (readonly number[])[];
  /** Values at the ends of the colour scale */
  range: readonly [number, number];
  /** Title of the colour scale */
  legend: string;
  /** Colours on both sides of the middle of the range. Default false: from low to high */
  isDiverging?: boolean;
  /** Text of a value. Default: two digits after the point */
  write?: (value: number) => string;
  /** Tooltip of a cell. Default: its row, its column and its value */
  tell?: (row: number, column: number) => string;
}

/** Where the cells are, in pixels. */
interface Grid {
  readonly area: Area;
  /** width of a cell */
  readonly cell: number;
  /** height of a cell */
  readonly height: number;
}

/** A table of numbers as coloured cells, with the numbers where they fit. */
export function heatMap(options: HeatMapOptions): Plot {
  const { title, rows, columns, rowLabel, columnLabel, values, range, legend: legendTitle } = options;
  const { isDiverging = false, write = twoDigits } = options;
  const grid = gridOf(options);
  const { area } = grid;
  const foot =
    14 +
    0.75 *
      Math.min(widthOf("m".repeat(20)), Math.max(20, ...columns.map((name) => widthOf(name.slice(0, 20)))));
  const legendTop = area.bottom + foot + 36;
  const legend = rampLegend(legendTitle, range, isDiverging ? divergingColour : rampColour, legendTop, write);
  return {
    title,
    table: {
      columns: [`${rowLabel} / ${columnLabel}`, ...columns],
      rows: rows.map((name, row) => [
        name,
        ...values[row]!.map((value) => (Number.isFinite(value) ? Number(value.toPrecision(4)) : "")),
      ]),
    },
    svg: picture(
      width,
      legendTop + legend.height,
      title,
      `${rows.length} ${rowLabel} by ${columns.length} ${columnLabel}: ${legendTitle}`,
      [
        text(area.left - 6, 34, rowLabel, { anchor: "end", kind: "label", most: nameLength }),
        ...heatCells(options, grid),
        ...cellNames(rows, columns, grid),
        text((area.left + area.right) / 2, area.bottom + foot + 18, columnLabel, {
          anchor: "middle",
          kind: "label",
        }),
        legend.svg,
      ],
    ),
  };
}

const twoDigits = (value: number): string => value.toFixed(2);

function gridOf({ rows, columns, rowLabel }: HeatMapOptions): Grid {
  const left = Math.min(
    220,
    30 + Math.max(40, ...[rowLabel, ...rows].map((name) => widthOf(name.slice(0, nameLength)))),
  );
  const cell = Math.min(64, (width - left - 10) / columns.length);
  const height = Math.max(14, Math.min(26, cell));
  return {
    area: { left, top: 42, right: left + cell * columns.length, bottom: 42 + height * rows.length },
    cell,
    height,
  };
}

function heatCells(
  { rows, columns, values, range, isDiverging = false, write = twoDigits, tell }: HeatMapOptions,
  { area, cell, height }: Grid,
): string[] {
  const colour = isDiverging ? divergingColour : rampColour;
  const shareOf = (value: number): number => (value - range[0]) / (range[1] - range[0] || 1);
  return values.flatMap((rowValues, row) =>
    rowValues.map((value, column) => {
      const [x, y] = [area.left + column * cell, area.top + row * height];
      const tooltip = element(
        "title",
        {},
        escapeText(
          tell
            ? tell(row, column)
            : `${rows[row]}, ${columns[column]}: ${Number.isFinite(value) ? write(value) : "not known"}`,
        ),
      );
      if (!Number.isFinite(value))
        return element("rect", { x, y, width: cell, height, class: "plot-empty plot-edge" }, tooltip);
      const fill = colour(shareOf(value));
      const written = write(value);
      return (
        element("rect", { x, y, width: cell, height, fill, class: "plot-edge" }, tooltip) +
        (widthOf(written) < cell && height > 13
          ? element(
              "text",
              {
                x: x + cell / 2,
                y: y + height / 2 + 4,
                "text-anchor": "middle",
                class: `plot-value plot-on-${inkOn(fill) === "#000000" ? "bright" : "dark"}`,
              },
              written,
            )
          : "")
      );
    }),
  );
}

/** Names of rows and columns; of narrow columns some, as they would overlap. */
function cellNames(
  rows: readonly string[],
  columns: readonly string[],
  { area, cell, height }: Grid,
): string[] {
  const every = Math.ceil(11 / cell);
  return [
    ...rows.map((name, row) =>
      text(area.left - 6, area.top + row * height + height / 2 + 4, name, {
        anchor: "end",
        most: nameLength,
      }),
    ),
    ...columns.flatMap((name, column) =>
      column % every > 0
        ? []
        : text(area.left + (column + 0.5) * cell + 4, area.bottom + 12, name, {
            anchor: "end",
            most: 20,
            rotate: -45,
          }),
    ),
  ];
}
