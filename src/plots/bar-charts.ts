// Bars of named values, and histograms.
import { groupLegend, xAxis, yAxis, type Area } from "./axes.js";
import { groupColour, missingColour } from "./palette.js";
import { element, escapeText, picture, text, widthOf, type Plot } from "./svg.js";
import { width, nameLength, markLine, number } from "./chart-parts.js";

/** Horizontal stacked bars; as shares, all bars have the same length. */
export function barChart({
  title,
  rows,
  rowLabel,
  parts,
  label,
  legend: legendTitle,
  isShare = false,
}: {
  title: string;
  rows: readonly string[];
  rowLabel: string;
  parts: readonly { readonly name: string; readonly colour?: string; readonly values: readonly number[] }[];
  label: string;
  legend: string;
  isShare?: boolean;
}): Plot {
  const height = Math.max(14, Math.min(26, 420 / rows.length));
  const left = Math.min(
    230,
    14 + Math.max(40, ...[rowLabel, ...rows].map((name) => widthOf(name.slice(0, nameLength)))),
  );
  const area: Area = { left, top: 42, right: width - 24, bottom: 42 + height * rows.length };
  const totals = rows.map((_, row) => parts.reduce((sum, { values }) => sum + values[row]!, 0));
  const across = xAxis(area, {
    label,
    range: [0, isShare ? 1 : Math.max(1, ...totals)],
    format: isShare ? ".0%" : undefined,
  });
  const colours = parts.map(({ colour }, i) => colour ?? groupColour(i));
  const bars = rows.flatMap((name, row) => {
    let from = 0;
    const scale = isShare ? Math.max(1, totals[row]!) : 1;
    const y = area.top + row * height;
    const pieces = parts.map(({ name: part, values }, i) => {
      const value = values[row]! / scale;
      if (value === 0) return "";
      const x = across.scale(from);
      from += value;
      return element(
        "rect",
        {
          x,
          y: y + 2,
          width: Math.max(0.5, across.scale(from) - x),
          height: height - 4,
          fill: colours[i]!,
          class: "plot-edge",
        },
        element(
          "title",
          {},
          escapeText(
            `${name}, ${part}: ${number(values[row]!)}${isShare ? ` of ${number(totals[row]!)}` : ""}`,
          ),
        ),
      );
    });
    return [...pieces, text(left - 8, y + height / 2 + 4, name, { anchor: "end", most: nameLength })];
  });
  const legend =
    parts.length > 1
      ? groupLegend(
          legendTitle,
          parts.map(({ name }, i) => ({ name, colour: colours[i]! })),
          width,
          area.bottom + 46,
        )
      : groupLegend(
          legendTitle,
          [{ name: parts[0]?.name ?? "", colour: colours[0] ?? missingColour }],
          width,
          area.bottom + 46,
        );
  return {
    title,
    table: {
      columns: [rowLabel, ...parts.map(({ name }) => name)],
      rows: rows.map((name, row) => [name, ...parts.map(({ values }) => values[row]!)]),
    },
    svg: picture(
      width,
      area.bottom + 46 + legend.height,
      title,
      `bars of ${rows.length} rows: ${label} by ${rowLabel}`,
      [
        text(left - 8, 34, rowLabel, { anchor: "end", kind: "label", most: nameLength }),
        across.svg,
        ...bars,
        legend.svg,
      ],
    ),
  };
}

/** A histogram with bins of equal width, groups stacked. */
export function histogram({
  title,
  x,
  range,
  bins = 40,
  groups,
  unit,
  legend: legendTitle,
  mark,
}: {
  title: string;
  x: string;
  range: readonly [number, number];
  bins?: number;
  groups: readonly { readonly name: string; readonly colour?: string; readonly values: ArrayLike<number> }[];
  unit: string;
  legend: string;
  mark?: { readonly at: number; readonly text: string };
}): Plot {
  const [low, high] = range;
  const counts = groups.map(({ values }) => {
    const groupCounts = new Array<number>(bins).fill(0);
    for (let i = 0; i < values.length; i++)
      if (Number.isFinite(values[i]!))
        groupCounts[
          Math.min(bins - 1, Math.max(0, Math.floor((bins * (values[i]! - low)) / (high - low))))
        ]!++;
    return groupCounts;
  });
  const totals = Array.from({ length: bins }, (_, bin) =>
    counts.reduce((sum, groupCounts) => sum + groupCounts[bin]!, 0),
  );
  const area: Area = { left: 64, top: 34, right: width - 12, bottom: 254 };
  const across = xAxis(area, { label: x, range, isNice: false });
  const up = yAxis(area, { label: unit, range: [0, Math.max(1, ...totals)] });
  const colours = groups.map(({ colour }, i) => colour ?? groupColour(i));
  const edge = (bin: number): number => low + ((high - low) * bin) / bins;
  const bars = totals.flatMap((_, bin) => {
    let from = 0;
    return counts.map((groupCounts, i) => {
      if (groupCounts[bin] === 0) return "";
      const bottom = up.scale(from);
      from += groupCounts[bin]!;
      return element("rect", {
        x: across.scale(edge(bin)) + 0.5,
        y: up.scale(from),
        width: across.scale(edge(bin + 1)) - across.scale(edge(bin)) - 1,
        height: bottom - up.scale(from),
        fill: colours[i]!,
      });
    });
  });
  const marked = mark ? markLine(across.scale(mark.at), area, mark.text) : "";
  const legend = groupLegend(
    legendTitle,
    groups.map(({ name }, i) => ({ name, colour: colours[i]! })),
    width,
    area.bottom + 46,
  );
  const rows = totals.flatMap((total, bin) =>
    total > 0
      ? [
          [
            `${number(edge(bin))} to ${number(edge(bin + 1))}`,
            ...counts.map((groupCounts) => groupCounts[bin]!),
          ],
        ]
      : [],
  );
  return {
    title,
    table: { columns: [x, ...groups.map(({ name }) => name)], rows },
    svg: picture(
      width,
      area.bottom + 46 + legend.height,
      title,
      `histogram of ${x}${mark ? `, ${mark.text} at ${number(mark.at)}` : ""}`,
      [across.svg, up.svg, ...bars, marked, legend.svg],
    ),
  };
}
