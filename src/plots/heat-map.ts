// Heat maps of named rows and columns.
import { rampLegend, type Area } from "./axes.js";
import { divergingColour, inkOn, rampColour } from "./palette.js";
import { element, escapeText, picture, text, widthOf, type Plot } from "./svg.js";
import { width, nameLength } from "./chart-parts.js";

/** A table of numbers as coloured cells, with the numbers where they fit. */
export function heatMap({
  title,
  rows,
  columns,
  rowLabel,
  columnLabel,
  values,
  range,
  legend: legendTitle,
  isDiverging = false,
  write = (value) => value.toFixed(2),
  tell,
}: {
  title: string;
  rows: readonly string[];
  columns: readonly string[];
  rowLabel: string;
  columnLabel: string;
  values: readonly (readonly number[])[];
  range: readonly [number, number];
  legend: string;
  isDiverging?: boolean;
  write?: (value: number) => string;
  tell?: (row: number, column: number) => string;
}): Plot {
  const left = Math.min(
    220,
    30 + Math.max(40, ...[rowLabel, ...rows].map((name) => widthOf(name.slice(0, nameLength)))),
  );
  const cell = Math.min(64, (width - left - 10) / columns.length);
  const height = Math.max(14, Math.min(26, cell));
  const every = Math.ceil(11 / cell); // names of narrow columns would overlap
  const foot =
    14 +
    0.75 *
      Math.min(widthOf("m".repeat(20)), Math.max(20, ...columns.map((name) => widthOf(name.slice(0, 20)))));
  const area: Area = {
    left,
    top: 42,
    right: left + cell * columns.length,
    bottom: 42 + height * rows.length,
  };
  const colour = isDiverging ? divergingColour : rampColour;
  const shareOf = (value: number): number => (value - range[0]) / (range[1] - range[0] || 1);
  const squares = values.flatMap((rowValues, row) =>
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
  const names = [
    ...rows.map((name, row) =>
      text(left - 6, area.top + row * height + height / 2 + 4, name, { anchor: "end", most: nameLength }),
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
  const legendTop = area.bottom + foot + 36;
  const legend = rampLegend(legendTitle, range, colour, legendTop, write);
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
        text(left - 6, 34, rowLabel, { anchor: "end", kind: "label", most: nameLength }),
        ...squares,
        ...names,
        text((area.left + area.right) / 2, area.bottom + foot + 18, columnLabel, {
          anchor: "middle",
          kind: "label",
        }),
        legend.svg,
      ],
    ),
  };
}
