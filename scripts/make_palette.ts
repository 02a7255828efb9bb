// Colours for up to 60 cell types: Okabe and Ito's six that are visible on white and on black, then one at a
// time the colour furthest from all before it, in the worst case of normal vision, deuteranopia, protanopia
// and tritanopia (Machado et al. 2009). Distances in OKLab. Prints the list for src/plots/palette.ts.
//   npx tsx scripts/make_palette.ts
import { colourDistance } from "../test/colour-distance.ts";

const palette = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"];
const hex = (r: number, g: number, b: number): string =>
  `#${[r, g, b].map((value) => value.toString(16).padStart(2, "0")).join("")}`;
const candidates: string[] = [];
for (let r = 16; r < 256; r += 16)
  for (let g = 16; g < 256; g += 16) for (let b = 16; b < 256; b += 16) candidates.push(hex(r, g, b));
// visible on both backgrounds, and not grey, which means "missing"
const isGrey = (colour: string): boolean => {
  const rgb = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
  return Math.max(...rgb) - Math.min(...rgb) < 64;
};
const shown = candidates.filter(
  (colour) =>
    !isGrey(colour) &&
    colourDistance(colour, "#ffffff") > 0.22 &&
    colourDistance(colour, "#14171c") > 0.22 &&
    colourDistance(colour, "#9aa0a6") > 0.06,
);
const nearest = shown.map((colour) => Math.min(...palette.map((other) => colourDistance(colour, other))));
while (palette.length < 60) {
  const best = nearest.indexOf(Math.max(...nearest));
  const chosen = shown[best]!;
  palette.push(chosen);
  shown.forEach((colour, i) => (nearest[i] = Math.min(nearest[i]!, colourDistance(colour, chosen))));
}
console.log(JSON.stringify(palette));
