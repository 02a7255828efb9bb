// The picture of the mapped example at the start of the page: the reference in grey, the cells by their
// predicted type, unknown ones on top. Cells of one colour share a path, which keeps the SVG small.
import { typeColour, unknownColour, type Paper } from "scpoli/plots";
import { fittingCamera, toPixels } from "./charts/camera.js";
import { referenceColour } from "./colours.js";
import { pictureSize } from "./example-files.js";
import type { MappingResult } from "./protocol.js";

const { width, height } = pictureSize;
const ink: Readonly<Record<Paper, string>> = { light: "#1a2026", dark: "#e8ecef" };
/** Around names, so that they can be read over cells. */
const halo: Readonly<Record<Paper, string>> = { light: "#ffffff", dark: "#171b20" };

export function examplePicture({ positions, reference, levels }: MappingResult, paper: Paper): string {
  const background = reference?.positions ?? new Float32Array(0);
  const camera = fittingCamera([positions, background], width, height);
  const place = (x: number, y: number): readonly [number, number] => toPixels(camera, width, height, x, y);
  const dots = (
    points: Float32Array,
    colour: string,
    size: number,
    isDrawn: (cell: number) => boolean,
  ): string => {
    let path = "";
    for (let cell = 0; cell < points.length / 2; cell++) {
      if (!isDrawn(cell)) continue;
      const [x, y] = place(points[2 * cell]!, points[2 * cell + 1]!);
      path += `M${x.toFixed(1)} ${y.toFixed(1)}h0`;
    }
    return path === ""
      ? ""
      : `<path d="${path}" stroke="${colour}" stroke-width="${size}" stroke-linecap="round" fill="none"/>`;
  };
  const { types, predicted, unknown } = levels[0]!;
  const cellsOfType = (type: number): (readonly [number, number])[] =>
    (reference ? [...reference.levels[0]!.keys()] : [])
      .filter((cell) => reference!.levels[0]![cell] === type)
      .map((cell) => place(background[2 * cell]!, background[2 * cell + 1]!));
  const isOf = (type: number) => (cell: number) => predicted[cell] === type && unknown[cell] === 0;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" `,
    `height="${height}" font-family="Helvetica, Arial, sans-serif" font-size="11" font-weight="600">`,
    dots(background, referenceColour(paper), 2.6, () => true),
    ...types.map((_, type) => dots(positions, typeColour(paper, type), 3.4, isOf(type))),
    dots(positions, unknownColour(paper), 3.4, (cell) => unknown[cell] === 1),
    ...typeNames(
      types,
      types.map((_, type) => cellsOfType(type)),
      paper,
    ),
    "</svg>\n",
  ].join("");
}

const escaped = (text: string): string => text.replace(/[<&]/g, (sign) => `&#${sign.charCodeAt(0)};`);

type Place = readonly [x: number, y: number];

/** Names above the cells of the types, or below where another name is. @param cells - places in pixels */
function typeNames(names: readonly string[], cells: readonly (readonly Place[])[], paper: Paper): string[] {
  const written: { readonly at: Place; readonly half: number }[] = [];
  return names.map((name, type) => {
    const half = 3.3 * name.length;
    const free = placesOfName(cells[type]!).find(([x, y]) =>
      written.every(({ at, half: other }) => Math.abs(at[1] - y) > 12 || Math.abs(at[0] - x) > half + other),
    );
    if (!free) return "";
    written.push({ at: free, half });
    return (
      `<text x="${free[0].toFixed(1)}" y="${free[1].toFixed(1)}" text-anchor="middle" fill="${ink[paper]}" ` +
      `stroke="${halo[paper]}" stroke-width="3" paint-order="stroke" stroke-linejoin="round">` +
      `${escaped(name)}</text>`
    );
  });
}

/** Above and below most cells: single ones may be far from the others. */
function placesOfName(cells: readonly Place[]): Place[] {
  if (cells.length === 0) return [];
  const sorted = (axis: 0 | 1): number[] => cells.map((cell) => cell[axis]).sort((a, b) => a - b);
  const [x, ys] = [sorted(0)[cells.length >> 1]!, sorted(1)];
  const edge = Math.floor(cells.length / 20);
  return [
    [x, Math.max(11, ys[edge]! - 7)],
    [x, Math.min(height - 4, ys.at(-1 - edge)! + 15)],
  ];
}
