// Plots: colours that stay apart for every kind of sight, and pictures with title, axes, units and legend in
// which no name is markup.
import assert from "node:assert/strict";
import { test } from "node:test";
import { otherColour, typeColour as pageTypeColour } from "../app/colours.ts";
import { isSoftware, Thinning } from "../app/charts/thinning.ts";
import {
  barChart,
  colourOn,
  divergingColour,
  dotPlot,
  expressionColour,
  groupColour,
  heatMap,
  histogram,
  lineChart,
  placeLabels,
  pointCloud,
  rampColour,
  sampleColour,
  scatterPlot,
  standaloneSvg,
  typeColour,
  unknownColour,
  violinPlot,
  type Plot,
} from "../dist/plots/index.js";
import { coloursOnDark } from "../dist/plots/palette.js";
import { cellViewData } from "../dist/report/cell-view.js";
import type { ReferenceCells } from "../dist/report/cells.js";
import { colourDistance } from "./colour-distance.ts";

const hostile = `<script>alert("1")</script>&'\u0000`;
const plots: Readonly<Record<string, Plot>> = {
  lines: lineChart({
    title: `T ${hostile}`,
    x: { label: "epoch" },
    y: { label: "loss (nats per cell)" },
    series: [
      {
        name: hostile,
        points: [
          [1, 5],
          [2, 3],
        ],
      },
    ],
    mark: { at: 2, text: hostile },
  }),
  bars: barChart({
    title: `T ${hostile}`,
    rows: [hostile, "b"],
    rowLabel: "sample",
    parts: [
      { name: hostile, values: [3, 1] },
      { name: "B", values: [1, 0] },
    ],
    label: "share of cells",
    legend: "cell type",
    isShare: true,
  }),
  dots: dotPlot({
    title: `T ${hostile}`,
    groups: [hostile, "B"],
    groupLabel: "cell type",
    genes: [{ gene: hostile, means: [0, 1.5], shares: [0, 0.5] }],
  }),
  violins: violinPlot({
    title: `T ${hostile}`,
    y: "expression (log1p)",
    groups: [
      { name: hostile, values: [0, 0, 1, 2] },
      { name: "B", values: [] },
    ],
    groupLabel: "cell type",
  }),
  histogram: histogram({
    title: `T ${hostile}`,
    x: "uncertainty",
    range: [0, 1],
    groups: [{ name: hostile, values: [0, 0.5, 1, NaN] }],
    unit: "cells",
    legend: "cells",
    mark: { at: 0.5, text: "threshold" },
  }),
  scatter: scatterPlot({
    title: `T ${hostile}`,
    x: "PC1 (40 %)",
    y: "PC2 (20 %)",
    points: [
      { name: hostile, x: 0, y: 1, value: 0 },
      { name: "s", x: 2, y: 3, value: null, isOpen: true },
    ],
    groups: [hostile],
    legend: "disease",
    openMeans: "query",
  }),
  square: lineChart({
    title: `T ${hostile}`,
    x: { label: "share", range: [0, 1] },
    y: { label: "share found", range: [0, 1] },
    legend: "to be found",
    isSquare: true,
    series: [
      {
        name: hostile,
        isDotted: true,
        points: [
          [0, 0],
          [0.5, 0.9],
        ],
      },
    ],
  }),
  cloud: pointCloud({
    title: `T ${hostile}`,
    x: "UMAP 1",
    y: "UMAP 2",
    points: [
      [0, 1, 0.2],
      [1, 1, 3],
      [2, 0, NaN],
    ],
    legend: hostile,
  }),
  heat: heatMap({
    title: `T ${hostile}`,
    rows: [hostile],
    columns: [hostile, "PC2"],
    rowLabel: "covariate",
    columnLabel: "component",
    values: [[0.5, NaN]],
    range: [0, 1],
    legend: "adjusted R2",
  }),
};

test("every plot has its title, labels, legend and table; hostile names are text", () => {
  for (const [name, { svg, title, table }] of Object.entries(plots)) {
    assert.ok(title.startsWith("T <script>"), name);
    assert.ok(!svg.includes("<script") && !svg.includes("\u0000"), name);
    assert.match(svg, /&#60;script&#62;/, name);
    assert.match(svg, /^<svg [^>]*role="img" aria-label="T /, name);
    assert.ok(!/NaN|undefined|Infinity/.test(svg), name);
    assert.ok(table.rows.length > 0 && table.rows.every((row) => row.length === table.columns.length), name);
    // well-formed: all elements are closed, in order
    const open: string[] = [];
    for (const [, close, tag, empty] of svg.matchAll(/<(\/?)(\w+)[^>]*?(\/?)>/g))
      if (close) assert.equal(open.pop(), tag, name);
      else if (!empty) open.push(tag!);
    assert.deepEqual(open, [], name);
  }
  for (const words of ["loss (nats per cell)", "epoch"]) assert.ok(plots.lines!.svg.includes(words));
  assert.ok(standaloneSvg(plots.heat!).includes("<style>.plot{"));
});

test("a file recolours the groups that are hard to see on a dark page", () => {
  const seventh = groupColour(6);
  const paths = [groupColour(0), seventh].map((colour) => `<path fill="${colour}"></path>`);
  const svg = standaloneSvg({ svg: `<svg class="plot">${paths.join("")}</svg>` });
  assert.notEqual(typeColour("dark", 6), seventh);
  assert.ok(svg.includes(`.plot [fill="${seventh}"]{fill:${typeColour("dark", 6)}}`));
  assert.ok(!svg.includes(`[fill="${groupColour(0)}"]`), "legible colours stay");
});

test("names of columns that are narrower than a line of text are left out, not laid over each other", () => {
  const wide = Array.from({ length: 100 }, (_, i) => `s${i}`);
  const { svg } = heatMap({
    title: "t",
    rows: ["a"],
    columns: wide,
    rowLabel: "r",
    columnLabel: "c",
    values: [wide.map((_, i) => i)],
    range: [0, 99],
    legend: "l",
  });
  const places = [...svg.matchAll(/<text x="([\d.]+)"[^>]*rotate\(-45[^>]*>s\d+</g)].map(([, x]) =>
    Number(x),
  );
  assert.ok(places.length >= 30 && places.length < 100, `${places.length} names`);
  places.slice(1).forEach((x, i) => assert.ok(x - places[i]! >= 11, `${places[i]}, ${x}`));
});

test("the same numbers give the same picture; empty and constant data give one too", () => {
  assert.equal(
    barChart({
      title: "t",
      rows: ["a"],
      rowLabel: "r",
      parts: [{ name: "p", values: [1] }],
      label: "cells",
      legend: "l",
    }).svg,
    barChart({
      title: "t",
      rows: ["a"],
      rowLabel: "r",
      parts: [{ name: "p", values: [1] }],
      label: "cells",
      legend: "l",
    }).svg,
  );
  const empty = [
    lineChart({ title: "t", x: { label: "x" }, y: { label: "y" }, series: [] }),
    histogram({ title: "t", x: "x", range: [0, 1], groups: [], unit: "cells", legend: "l" }),
    scatterPlot({ title: "t", x: "x", y: "y", points: [{ name: "a", x: 1, y: 1, value: 3 }], legend: "l" }),
    lineChart({
      title: "t",
      x: { label: "x" },
      y: { label: "y" },
      series: [{ name: "one", points: [[1, 1]] }],
    }),
  ];
  for (const { svg } of empty) assert.ok(!/NaN|Infinity/.test(svg), svg);
});

test("60 colours are distinct with any colour vision, the first ten by 0.07 in OKLab", () => {
  const colours = Array.from({ length: 60 }, (_, i) => groupColour(i));
  const least = (count: number): number =>
    Math.min(
      ...colours.slice(0, count).flatMap((a, i) => colours.slice(0, i).map((b) => colourDistance(a, b))),
    );
  assert.equal(new Set(colours).size, 60);
  assert.ok(
    least(10) > 0.07 && least(20) > 0.045 && least(60) > 0.015,
    `${least(10)}, ${least(20)}, ${least(60)}`,
  );
  for (const paper of ["#ffffff", "#14171c"])
    for (const colour of colours) assert.ok(colourDistance(colour, paper) > 0.2, `${colour} on ${paper}`);
  assert.notEqual(groupColour(60), groupColour(0));
  assert.equal(rampColour(0), "#2b446e");
  for (const paper of ["#ffffff", "#14171c"])
    for (let i = 0; i <= 20; i++)
      assert.ok(colourDistance(rampColour(i / 20), paper) > 0.13, `${rampColour(i / 20)} on ${paper}`);
  assert.equal(divergingColour(0.5), "#f2f2f2");
});

test("names of points overlap no other name or point and stay inside; without room they are left out", () => {
  const points = [
    [20, 50],
    [34, 50],
    [27, 52],
    [280, 50],
    [150, 20],
  ] as const;
  const names = ["left one", "right one", "between", "at the edge", "alone"];
  const places = placeLabels(points, names, 300);
  assert.deepEqual(places[4], { dx: 8, dy: 4, anchor: "start" });
  assert.equal(places[3]!.anchor, "end", "no room to the right");
  assert.ok(places.includes(null), "three points on one place have no room for three names");
  const boxes = places.flatMap((place, i) => {
    if (!place) return [];
    const [width, x] = [6.6 * names[i]!.length, points[i]![0] + place.dx];
    const left = place.anchor === "start" ? x : place.anchor === "end" ? x - width : x - width / 2;
    return [{ left, right: left + width, y: points[i]![1] + place.dy }];
  });
  for (const [i, a] of boxes.entries()) {
    assert.ok(a.left >= 0 && a.right <= 300);
    for (const b of boxes.slice(0, i))
      assert.ok(a.right <= b.left || b.right <= a.left || Math.abs(a.y - b.y) >= 12);
  }
});

test("slow pictures are thinned while one moves about, and fast ones are whole again", () => {
  const thinning = new Thinning();
  let now = 0;
  const picture = (ms: number): boolean => {
    thinning.cameraChanged(now);
    return thinning.pictureDrawn((now += ms));
  };
  assert.equal(picture(30), false);
  assert.equal(thinning.k, 1);
  assert.equal(picture(1000), true);
  assert.equal(thinning.k, 4, "at most four times as few at once");
  picture(900);
  assert.equal(thinning.k, 16);
  assert.equal(picture(60), false, "fast enough");
  for (let i = 0; i < 4; i++) picture(20);
  assert.equal(thinning.k, 1);
  assert.equal(thinning.pictureDrawn((now += 5000)), false, "nothing has moved");
  thinning.expectSlow(116_000);
  assert.equal(thinning.k, 12, "the processor draws: few points from the first movement on");
  assert.ok(
    isSoftware("ANGLE (Google, Vulkan 1.3.0 (SwiftShader Device (Subzero)), SwiftShader driver)") &&
      isSoftware("llvmpipe (LLVM 15.0.7, 256 bits)") &&
      !isSoftware("ANGLE (Apple, ANGLE Metal Renderer: Apple M2, Unspecified Version)"),
  );
});

test("colours of types, samples and unknown cells are visible on light and dark, and distinct", () => {
  const luminance = (colour: string): number => {
    const [r, g, b] = [1, 3, 5].map((at) => {
      const value = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
  };
  const contrast = (a: string, b: string): number => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high! + 0.05) / (low! + 0.05);
  };
  for (const [paper, white, least] of [
    ["light", "#ffffff", 2.14],
    ["dark", "#171c21", 2.99],
  ] as const) {
    const types = Array.from({ length: 60 }, (_, type) => typeColour(paper, type));
    const samples = Array.from({ length: 27 }, (_, sample) => colourOn(paper, sampleColour(sample)));
    for (const [colours, minimum] of [
      [[...types, unknownColour(paper)], 3],
      [samples, least],
    ] as const)
      for (const colour of colours)
        assert.ok(contrast(colour, white) >= minimum, `${colour} on ${paper}: ${contrast(colour, white)}`);
    assert.equal(new Set(types).size, 60, "60 different colours");
    assert.ok(!samples.some((colour) => types.includes(colour)));
    assert.ok(types.every((colour) => colourDistance(colour, unknownColour(paper)) > 0.1));
    const separation = (count: number): number =>
      Math.min(
        ...types.slice(0, count).flatMap((a, i) => types.slice(0, i).map((b) => colourDistance(a, b))),
      );
    assert.ok(separation(10) > 0.04, `the first ten are ${separation(10)} apart`);
    assert.ok(separation(60) > 0.024, `all 60 are ${separation(60)} apart`);
    // zero has the lowest contrast, the maximum the highest
    assert.ok(contrast(expressionColour(paper, 0), white) < 2);
    assert.ok(contrast(expressionColour(paper, 1), white) > 7);
  }
});

test("reports colour 60 types and the samples as the page does, in both themes and at every level", () => {
  const levels = [0, 1].map((level) => Array.from({ length: 30 }, (_, type) => `type ${level}.${type}`));
  const samples = Array.from({ length: 12 }, (_, sample) => `sample ${sample}`);
  const cells = 60;
  const codes = Int32Array.from({ length: cells }, (_, cell) => cell % 30);
  const reference: ReferenceCells = {
    cells,
    umap: Float32Array.from({ length: 2 * cells }, (_, at) => at),
    conditions: [{ key: "donor", names: samples, codes: codes.map((code) => code % 12) }],
    labels: levels.map((names, level) => ({
      key: `level ${level}`,
      names,
      codes,
      uncertainty: new Float32Array(cells),
      nearest: codes,
    })),
    prototypes: levels[0]!.map((name, type) => ({ name, level: 0, type, x: type, y: type })),
  };
  const { colourings, prototypes } = cellViewData(reference, null, [])!;
  const coloursIn = (id: string) => colourings.find((one) => one.id === id)!.colours!;
  for (const paper of ["light", "dark"] as const) {
    const types = Array.from({ length: 60 }, (_, type) => pageTypeColour(type, paper));
    assert.deepEqual([...coloursIn("label-0")[paper], ...coloursIn("label-1")[paper]], types);
    assert.deepEqual(
      prototypes.map(({ colours }) => colours[paper]),
      types.slice(0, 30),
    );
    assert.deepEqual(
      coloursIn("condition-0")[paper],
      samples.map((_, sample) => otherColour(sample, paper)),
    );
  }
  const onDark = coloursOnDark();
  for (let type = 0; type < 60; type++) {
    const colour = pageTypeColour(type, "light");
    assert.equal(onDark.get(colour) ?? colour, pageTypeColour(type, "dark"), "in the figures");
  }
});

/** Numbers of the ticks of a plot, those of both axes. */
const ticksOf = ({ svg }: Plot): number[] =>
  [...svg.matchAll(/>([\d.,-]+)<\/text>/g)].map(([, tick]) => Number(tick!.replaceAll(",", "")));

test("an axis of shares ends at 0 and 1, also if points lie there", () => {
  const shares = scatterPlot({
    title: "t",
    x: "AUROC",
    y: "share",
    xScale: { range: [0, 1] },
    yScale: { range: [0, 1] },
    points: [
      { name: "none", x: 0, y: 0, value: 0 },
      { name: "all", x: 1, y: 1, value: 0 },
    ],
    groups: ["a"],
    legend: "l",
  });
  const ticks = ticksOf(shares);
  assert.deepEqual([Math.min(...ticks), Math.max(...ticks)], [0, 1]);
});

test("a logarithmic axis has a tick at each power of its base, and values at their logarithms", () => {
  const chart = lineChart({
    title: "t",
    x: { label: "nodes", logBase: 2 },
    y: { label: "hours", logBase: 10 },
    series: [
      {
        name: "one",
        isDotted: true,
        points: [
          [1, 10],
          [2, 1],
          [8, 0.2],
        ],
      },
    ],
  });
  assert.deepEqual(ticksOf(chart), [1, 2, 4, 8, 0.1, 1, 10]);
  const [first, second, third] = [...chart.svg.matchAll(/<circle cx="([\d.]+)"/g)].map(([, x]) => Number(x));
  assert.ok(Math.abs((third! - first!) / (second! - first!) - 3) < 1e-3);
});
