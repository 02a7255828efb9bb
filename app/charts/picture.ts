// The picture of the cells as a file: one drawing, by a pen that writes SVG or by one that paints a canvas.
import { colourOfValue, drawingOrder, type Coloring } from "../coloring.js";
import { referenceColour } from "../colours.js";
import { short } from "../text.js";
import { pointRadius, toPixels, type Camera } from "./camera.js";

export interface Picture {
  readonly coloring: Coloring;
  /** (N, 4) */
  readonly colours: Uint8Array;
  readonly positions: Float32Array;
  /** the reference, with bytes per cell as `colours` */
  readonly background: { readonly positions: Float32Array; readonly colours: Uint8Array } | null;
  /** in pixels, none over another */
  readonly labels: readonly { readonly name: string; readonly at: readonly [number, number] }[];
  /** in pixels */
  readonly prototypes: readonly (readonly [number, number])[];
  readonly camera: Camera;
  readonly width: number;
  readonly height: number;
  readonly axes: string;
}

interface Pen {
  dot(x: number, y: number, radius: number, colour: string, opacity: number): void;
  box(x: number, y: number, width: number, height: number, colour: string): void;
  diamond(x: number, y: number, radius: number): void;
  text(
    x: number,
    y: number,
    text: string,
    options: {
      readonly size: number;
      readonly bold?: boolean;
      readonly middle?: boolean;
      readonly halo?: boolean;
    },
  ): void;
}

const ink = "#1a2026";
const legendWidth = 230;
const font = "Helvetica, Arial, sans-serif";

/** On white, whatever the page's theme: for a figure. */
function paintWith(
  pen: Pen,
  { coloring, colours, positions, background, labels, prototypes, camera, width, height, axes }: Picture,
): void {
  pen.box(0, 0, width + legendWidth, height, "#ffffff");
  const radius = pointRadius(positions.length / 2);
  const isIn = ([x, y]: readonly [number, number]): boolean => x >= 0 && y >= 0 && x <= width && y <= height;
  const each = (
    points: Float32Array,
    order: Uint32Array | null,
    draw: (x: number, y: number, point: number) => void,
  ): void => {
    for (let i = 0; i < points.length / 2; i++) {
      const point = order?.[i] ?? i;
      const place = toPixels(camera, width, height, points[2 * point]!, points[2 * point + 1]!);
      if (isIn(place)) draw(place[0], place[1], point);
    }
  };
  if (background)
    each(background.positions, null, (x, y, cell) =>
      pen.dot(
        x,
        y,
        Math.max(0.8, 0.75 * radius),
        hex(background.colours, cell),
        background.colours[4 * cell + 3]! / 255,
      ),
    );
  each(positions, drawingOrder(coloring), (x, y, cell) => {
    const opacity = colours[4 * cell + 3]! / 255;
    if (opacity > 0) pen.dot(x, y, radius, hex(colours, cell), opacity);
  });
  for (const place of prototypes) if (isIn(place)) pen.diamond(place[0], place[1], 6);
  for (const { name, at } of labels)
    if (isIn(at)) pen.text(at[0], at[1], name, { size: 12, bold: true, middle: true, halo: true });
  pen.text(8, height - 8, axes, { size: 11 });
  drawLegend(pen, coloring, width + 14, height, {
    hasReference: background !== null,
    hasPrototypes: prototypes.length > 0,
  });
}

function drawLegend(
  pen: Pen,
  { title, groups, range }: Coloring,
  left: number,
  height: number,
  { hasReference, hasPrototypes }: { readonly hasReference: boolean; readonly hasPrototypes: boolean },
): void {
  pen.text(left, 24, title, { size: 12, bold: true });
  const notes = [hasReference, hasPrototypes].filter(Boolean).length;
  let y = 44;
  if (range) {
    const { low, high } = range;
    for (let step = 0; step < 100; step++)
      pen.box(left + 2 * step, 34, 2.2, 12, colourOfValue(range, low + ((high - low) * step) / 99, "light"));
    pen.text(left, 60, short(low), { size: 11 });
    pen.text(left + 180, 60, short(high), { size: 11 });
    y = 84;
  } else {
    const entries = (groups?.entries ?? [])
      .filter(({ cells }) => cells > 0)
      .sort((a, b) => b.cells - a.cells);
    const step = Math.min(18, (height - 50 - 18 * notes) / Math.max(1, entries.length));
    entries.forEach(({ name, colour, cells }, row) => {
      const at = y + row * step;
      pen.dot(left + 5, at - 4, Math.min(5, step / 2.4), colour, 1);
      pen.text(
        left + 16,
        at,
        `${name.length > 28 ? `${name.slice(0, 27)}…` : name} (${cells.toLocaleString("en-US")})`,
        { size: Math.min(11, step * 0.75) },
      );
    });
    y += entries.length * step + 4;
  }
  if (hasReference) {
    pen.dot(left + 5, y - 4, 4, referenceColour("light"), 1);
    pen.text(left + 16, y, "reference", { size: 11 });
    y += 18;
  }
  if (hasPrototypes) {
    pen.diamond(left + 5, y - 4, 5);
    pen.text(left + 16, y, "prototype of a type", { size: 11 });
  }
}

function hex(bytes: Uint8Array, cell: number): string {
  return `#${[0, 1, 2].map((i) => bytes[4 * cell + i]!.toString(16).padStart(2, "0")).join("")}`;
}

export function svgPicture(picture: Picture): Blob {
  const parts: string[] = [];
  const escaped = (text: string): string => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  const number = (value: number): string => String(Number(value.toFixed(2)));
  paintWith(
    {
      dot: (x, y, radius, colour, opacity) =>
        void parts.push(
          `<circle cx="${number(x)}" cy="${number(y)}" r="${number(radius)}" ` +
            `fill="${colour}"${opacity < 1 ? ` fill-opacity="${number(opacity)}"` : ""}/>`,
        ),
      box: (x, y, width, height, colour) =>
        void parts.push(
          `<rect x="${number(x)}" y="${number(y)}" width="${number(width)}" height="${number(height)}" ` +
            `fill="${colour}"/>`,
        ),
      diamond: (x, y, radius) =>
        void parts.push(
          `<path d="M${number(x)},${number(y - radius)}l${radius},${radius}l-${radius},${radius}` +
            `l-${radius},-${radius}z" stroke="#fff" stroke-width="1.4"/>`,
        ),
      text: (x, y, text, { size, bold, middle, halo }) =>
        void parts.push(
          `<text x="${number(x)}" y="${number(y)}" font-size="${number(size)}"`,
          bold ? ' font-weight="600"' : "",
          middle ? ' text-anchor="middle"' : "",
          halo ? ' stroke="#fff" stroke-width="3" paint-order="stroke" stroke-linejoin="round"' : "",
          `>${escaped(text)}</text>`,
        ),
    },
    picture,
  );
  const [width, height] = [picture.width + legendWidth, picture.height];
  return new Blob(
    [
      `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ` +
        `${height}" font-family="${font}" fill="${ink}">\n${parts.join("\n")}\n</svg>\n`,
    ],
    { type: "image/svg+xml" },
  );
}

export async function pngPicture(picture: Picture, scale = 2): Promise<Blob> {
  const canvas = new OffscreenCanvas((picture.width + legendWidth) * scale, picture.height * scale);
  const context = canvas.getContext("2d")!;
  context.scale(scale, scale);
  paintWith(
    {
      dot: (x, y, radius, colour, opacity) => {
        context.globalAlpha = opacity;
        context.fillStyle = colour;
        context.beginPath();
        context.arc(x, y, radius, 0, 2 * Math.PI);
        context.fill();
        context.globalAlpha = 1;
      },
      box: (x, y, width, height, colour) => {
        context.fillStyle = colour;
        context.fillRect(x, y, width, height);
      },
      diamond: (x, y, radius) => {
        context.beginPath();
        context.moveTo(x, y - radius);
        context.lineTo(x + radius, y);
        context.lineTo(x, y + radius);
        context.lineTo(x - radius, y);
        context.closePath();
        context.fillStyle = ink;
        context.fill();
        context.strokeStyle = "#ffffff";
        context.lineWidth = 1.4;
        context.stroke();
      },
      text: (x, y, text, { size, bold, middle, halo }) => {
        context.font = `${bold ? "600 " : ""}${size}px ${font}`;
        context.textAlign = middle ? "center" : "left";
        if (halo) {
          context.strokeStyle = "#ffffff";
          context.lineWidth = 3;
          context.lineJoin = "round";
          context.strokeText(text, x, y);
        }
        context.fillStyle = ink;
        context.fillText(text, x, y);
      },
    },
    picture,
  );
  return canvas.convertToBlob({ type: "image/png" });
}
