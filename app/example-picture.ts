// The picture of the mapped example at the start of the page: the reference in grey, the cells by their
// predicted type, unknown ones on top. Cells of one colour share a path, which keeps the SVG small.
import { placeLabels, typeColour, unknownColour, type Paper } from "scpoli/plots";
import { fittingCamera, toPixels } from "./charts/camera.js";
import { referenceColour } from "./colours.js";
import { pictureSize } from "./example-files.js";
import type { MappingResult } from "./protocol.js";

const { width, height } = pictureSize;
const ink: Readonly<Record<Paper, string>> = { light: "#1a2026", dark: "#e8ecef" };

export function examplePicture(
  { positions, reference, levels, prototypes }: MappingResult,
  paper: Paper,
): string {
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
  const isOf = (type: number) => (cell: number) => predicted[cell] === type && unknown[cell] === 0;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" `,
    `height="${height}" font-family="Helvetica, Arial, sans-serif" font-size="11" font-weight="600">`,
    dots(background, referenceColour(paper), 2.6, () => true),
    ...types.map((_, type) => dots(positions, typeColour(paper, type), 3.4, isOf(type))),
    dots(positions, unknownColour(paper), 3.4, (cell) => unknown[cell] === 1),
    typeNames(
      prototypes
        .filter(({ level }) => level === levels[0]!.key)
        .map(({ name, x, y }) => ({ name, at: place(x, y) })),
      paper,
    ),
    "</svg>\n",
  ].join("");
}

const escaped = (text: string): string => text.replace(/[<&]/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** Names at the types' prototypes, where there is room. */
function typeNames(
  prototypes: readonly { readonly name: string; readonly at: readonly [number, number] }[],
  paper: Paper,
): string {
  const places = placeLabels(
    prototypes.map(({ at }) => at),
    prototypes.map(({ name }) => name),
    width,
  );
  return prototypes
    .map(({ name, at: [x, y] }, i) => {
      const label = places[i];
      return label
        ? `<text x="${(x + label.dx).toFixed(1)}" y="${(y + label.dy).toFixed(1)}" fill="${ink[paper]}" ` +
            `text-anchor="${label.anchor}">${escaped(name)}</text>`
        : "";
    })
    .join("");
}
