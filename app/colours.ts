// Colours for the page's theme, from the library's palette (src/plots/palette.ts).
import { colourOn, sampleColour, typeColour as colourOfType, type Paper } from "scpoli/plots";

export { expressionColour, missingColour, rampColour, unknownColour } from "scpoli/plots";

export function bytesOf(colour: string): readonly [number, number, number] {
  const value = Number.parseInt(colour.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/** Colour of a cell type by its number. */
export function typeColour(type: number, paper: Paper): string {
  return colourOfType(paper, type);
}

/** Colour of a sample, or of another group that is no cell type. */
export function otherColour(group: number, paper: Paper): string {
  return colourOn(paper, sampleColour(group));
}

/** The reference behind the query. */
export function referenceColour(paper: Paper): string {
  return paper === "dark" ? "#4a535a" : "#ccd1d5";
}
