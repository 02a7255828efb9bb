// Colours as the points need them; which colours there are is the library's (src/plots/palette.ts).
export { groupColour, missingColour, rampColour } from "scpoli";

export function bytesOf(colour: string): readonly [number, number, number] {
  const value = Number.parseInt(colour.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}
