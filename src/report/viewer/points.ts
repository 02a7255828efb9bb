// Cells as points on a canvas, written straight into its pixels: works in every browser without WebGL.
// 200,000 points take a few milliseconds.

/** The visible part of the plane: coordinates of the centre, and pixels per unit. */
export interface Camera {
  x: number;
  y: number;
  scale: number;
}

/** Points in the order they are painted: sequential reads take a third of the time of random ones. */
export interface Points {
  readonly count: number;
  readonly x: Float32Array;
  readonly y: Float32Array;
}

/** From this radius on, discs get antialiased edges. */
const minSmoothRadius = 1.5;

/** Paints points as discs; later points cover earlier ones. */
export class PointPainter {
  #image: ImageData | null = null;
  #pixels = new Uint32Array(0);

  constructor(private readonly context: CanvasRenderingContext2D) {}

  /**
   * @param colours - per point, as the bytes of a pixel; 0: not drawn
   * @param radius - in pixels of the canvas
   * @param paper - background colour
   */
  paint(points: Points, colours: Uint32Array, camera: Camera, radius: number, paper: number): void {
    const { width, height } = this.context.canvas;
    if (this.#image?.width !== width || this.#image.height !== height) {
      this.#image = this.context.createImageData(width, height);
      this.#pixels = new Uint32Array(this.#image.data.buffer);
    }
    const pixels = this.#pixels.fill(paper);
    const { count, x, y } = points;
    const { scale } = camera;
    const left = width / 2 - camera.x * scale;
    const top = height / 2 + camera.y * scale;
    const smooth = radius >= minSmoothRadius ? discStamp(radius, width) : null;
    const spans = discSpans(radius);
    const reach = smooth ? Math.ceil(radius) : spans.length >> 1;
    for (let point = 0; point < count; point++) {
      const colour = colours[point]!;
      if (colour === 0) continue;
      const px = (left + x[point]! * scale) | 0;
      const py = (top - y[point]! * scale) | 0;
      if (px < reach || py < reach || px >= width - reach || py >= height - reach) continue;
      if (smooth) {
        const middle = py * width + px;
        for (let at = 0; at < smooth.offsets.length; at++) {
          const pixel = middle + smooth.offsets[at]!;
          const share = smooth.shares[at]!;
          pixels[pixel] = share === 256 ? colour : mixed(pixels[pixel]!, colour, share);
        }
        continue;
      }
      for (let row = -reach; row <= reach; row++) {
        const half = spans[row + reach]!;
        const start = (py + row) * width + px;
        for (let pixel = start - half; pixel <= start + half; pixel++) pixels[pixel] = colour;
      }
    }
    this.context.putImageData(this.#image, 0, 0);
  }
}

/** Offsets of a disc's pixels from its centre, and the share of each that it covers, in 256ths. */
function discStamp(
  radius: number,
  width: number,
): { readonly offsets: Int32Array; readonly shares: Int32Array } {
  const [offsets, shares]: [number[], number[]] = [[], []];
  const reach = Math.ceil(radius);
  for (let row = -reach; row <= reach; row++)
    for (let column = -reach; column <= reach; column++) {
      const share = Math.round(256 * Math.min(1, Math.max(0, radius + 0.5 - Math.hypot(row, column))));
      if (share === 0) continue;
      offsets.push(row * width + column);
      shares.push(share);
    }
  return { offsets: Int32Array.from(offsets), shares: Int32Array.from(shares) };
}

/** Blends two pixels, all channels at once. @param share - weight of `above`, in 256ths */
function mixed(below: number, above: number, share: number): number {
  const even = ((above & 0xff00ff) * share + (below & 0xff00ff) * (256 - share)) >>> 8;
  const odd = ((above >>> 8) & 0xff) * share + ((below >>> 8) & 0xff) * (256 - share);
  return (0xff000000 | (even & 0xff00ff) | (odd & 0xff00)) >>> 0;
}

/** Half the width of each row of a disc, top to bottom. */
function discSpans(radius: number): Int32Array {
  const reach = Math.max(0, Math.round(radius));
  return Int32Array.from({ length: 2 * reach + 1 }, (_, row) =>
    Math.floor(Math.sqrt(Math.max(0, (radius + 0.3) ** 2 - (row - reach) ** 2))),
  );
}

/** The drawn point nearest to a position on the canvas; -1 if none is within `most` pixels. */
export function nearestPoint(
  points: Points,
  colours: Uint32Array,
  camera: Camera,
  width: number,
  height: number,
  px: number,
  py: number,
  most: number,
): number {
  const x = camera.x + (px - width / 2) / camera.scale;
  const y = camera.y - (py - height / 2) / camera.scale;
  let [nearest, least] = [-1, (most / camera.scale) ** 2];
  for (let point = 0; point < points.count; point++) {
    const squared = (points.x[point]! - x) ** 2 + (points.y[point]! - y) ** 2;
    if (squared < least && colours[point] !== 0) [nearest, least] = [point, squared];
  }
  return nearest;
}
