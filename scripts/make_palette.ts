// Colours for up to 60 cell types: Okabe and Ito's six that are visible on white and on black, then one at a
// time the colour furthest from all before it, in the worst case of normal vision, deuteranopia, protanopia
// and tritanopia (Machado et al. 2009). Distances in OKLab. Then, for views that know their background, what
// replaces the colours with a contrast below 3:1 on it. Prints both for src/plots/palette.ts.
//   npx tsx scripts/make_palette.ts
import { contrast, papers, unknownColour, type Paper } from "../src/plots/palette.js";
import { colourDistance } from "../test/colour-distance.ts";

const count = 60;
const minContrast = 3;
const missing = "#9aa0a6";
const hex = (r: number, g: number, b: number): string =>
  `#${[r, g, b].map((value) => value.toString(16).padStart(2, "0")).join("")}`;
const grid: string[] = [];
for (let r = 0; r < 256; r += 16)
  for (let g = 0; g < 256; g += 16) for (let b = 0; b < 256; b += 16) grid.push(hex(r, g, b));
// grey means "missing"
const isGrey = (colour: string): boolean => {
  const rgb = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
  return Math.max(...rgb) - Math.min(...rgb) < 64 || colourDistance(colour, missing) <= 0.06;
};
const least = (colour: string, others: readonly string[]): number =>
  Math.min(1, ...others.map((other) => colourDistance(colour, other)));

/** Colours for both backgrounds, in order of decreasing distance from all before them. */
function sharedPalette(): string[] {
  const palette = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"];
  const shown = grid.filter(
    (colour) =>
      !isGrey(colour) &&
      [1, 3, 5].every((at) => colour.slice(at, at + 2) !== "00") &&
      colourDistance(colour, "#ffffff") > 0.22 &&
      colourDistance(colour, "#14171c") > 0.22,
  );
  const nearest = shown.map((colour) => least(colour, palette));
  while (palette.length < count) {
    const chosen = shown[nearest.indexOf(Math.max(...nearest))]!;
    palette.push(chosen);
    shown.forEach((colour, i) => (nearest[i] = Math.min(nearest[i]!, colourDistance(colour, chosen))));
  }
  return palette;
}

/** Difference of two hues, in degrees. */
function hueDistance(a: string, b: string): number {
  const [first, second] = [a, b].map((colour) => {
    const [red, green, blue] = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
    return (180 / Math.PI) * Math.atan2(Math.sqrt(3) * (green! - blue!), 2 * red! - green! - blue!);
  });
  const difference = Math.abs(first! - second!) % 360;
  return Math.min(difference, 360 - difference);
}

/** How far apart all colours should be, and the first ones, which most data use alone. */
const [apart, firstApart, firsts] = [0.03, 0.055, 10];
/** Hues that have one name, in degrees. */
const sameHue = 25;

/** The colours that replace those that are hard to see on a background, by their place in the palette. */
function replacements(palette: readonly string[], paper: Paper): Record<number, string> {
  const visible = (colour: string): boolean => contrast(colour, papers[paper]) >= minContrast;
  const candidates = grid.filter(
    (colour) => !isGrey(colour) && visible(colour) && colourDistance(colour, unknownColour(paper)) > 0.12,
  );
  const chosen = palette.map((colour) => (visible(colour) ? colour : null));
  for (const [place, before] of palette.entries()) {
    if (chosen[place] !== null) continue;
    const all = chosen.filter((colour) => colour !== null);
    const first = chosen.slice(0, Math.max(place, firsts)).filter((colour) => colour !== null);
    const scores = candidates.map((colour) =>
      // the first ones keep their hue: an orange stays an orange
      place < firsts && hueDistance(colour, before) > sameHue
        ? -Infinity
        : 30 * Math.min(apart, least(colour, all)) +
          15 * Math.min(firstApart, least(colour, first)) -
          (place < firsts ? 1.5 : 0.1) * colourDistance(colour, before),
    );
    chosen[place] = candidates[scores.indexOf(Math.max(...scores))]!;
  }
  return Object.fromEntries(
    palette.flatMap((colour, place) => (chosen[place] === colour ? [] : [[place, chosen[place]!]])),
  );
}

const palette = sharedPalette();
console.log(JSON.stringify(palette));
for (const paper of ["light", "dark"] as const)
  console.log(paper, JSON.stringify(replacements(palette, paper)));
