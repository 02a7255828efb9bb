// Points by WebGL (deck.gl): the query's cells over the reference, from positions, colours and a camera.
import { Deck, OrthographicView } from "@deck.gl/core";
import type { Camera } from "./camera.js";
import { DotsLayer } from "./dots-layer.js";
import { isSoftware, Thinning } from "./thinning.js";

export interface PointSet {
  readonly positions: Float32Array;
  /** (n, 4) bytes */
  readonly colours: Uint8Array;
  readonly radius: number;
  /** points in the order in which they are drawn, the last on top. Default: as they come */
  readonly order?: Uint32Array | null;
}

export interface PointsOptions {
  readonly canvas: HTMLCanvasElement;
  readonly onCamera: (camera: Camera) => void;
  readonly onHover: (hit: Hit | null, x: number, y: number) => void;
  readonly onClick: (hit: Hit | null) => void;
}

/** The point under the pointer. */
export interface Hit {
  readonly set: "cells" | "background";
  readonly point: number;
}

export class Points {
  readonly #deck: Deck<OrthographicView>;
  readonly #thinning = new Thinning();
  #camera: Camera = { target: [0, 0], zoom: 0 };
  #shown: readonly { readonly id: Hit["set"]; readonly points: PointSet }[] = [];
  /** every k-th point is drawn */
  #k = 1;
  #still: ReturnType<typeof setTimeout> | undefined;
  #isSoftware = false;

  constructor({ canvas, onCamera, onHover, onClick }: PointsOptions) {
    let frames = 0;
    this.#deck = new Deck({
      canvas,
      width: "100%",
      height: "100%",
      views: new OrthographicView({
        flipY: false,
        controller: {
          scrollZoom: { speed: 0.005, smooth: false },
          keyboard: false,
          inertia: false,
          doubleClickZoom: false,
        },
      }),
      // set on every change: deck.gl ignores an initial state equal to the last one
      viewState: this.#viewState(),
      // the points' edges are smooth as they are; the browser's own smoothing costs most of a picture without
      // a graphics card
      deviceProps: { type: "webgl", webgl: { antialias: false, preserveDrawingBuffer: false } },
      useDevicePixels: true,
      getCursor: ({ isDragging }) => (isDragging ? "grabbing" : "default"),
      onViewStateChange: ({ viewState }) => {
        const { target, zoom } = viewState as unknown as { target: [number, number]; zoom: number };
        this.setCamera({ target: [target[0], target[1]], zoom });
        onCamera(this.#camera);
        this.#moves();
      },
      onHover: ({ x, y }) => onHover(this.#hit(x, y), x, y),
      onClick: ({ x, y }) => onClick(this.#hit(x, y)),
      layers: [],
      onAfterRender: () => {
        canvas.dataset["frames"] = String(++frames); // to be seen from outside: what was drawn, and how often
        requestAnimationFrame(
          () =>
            this.#thinning.pictureDrawn(performance.now()) &&
            this.#still !== undefined &&
            this.#draw(this.#thinning.k),
        );
      },
      onDeviceInitialized: ({ info }) => {
        this.#isSoftware = isSoftware(info.renderer);
        this.#expect();
      },
      onLoad: () => void (canvas.tabIndex = -1), // keys are the place's around it
    });
  }

  show(background: PointSet | null, cells: PointSet): void {
    this.#shown = [
      ...(background ? [{ id: "background" as const, points: background }] : []),
      { id: "cells", points: inOrder(cells) },
    ];
    this.#expect();
    this.#draw(this.#k);
  }

  #expect(): void {
    if (this.#isSoftware)
      this.#thinning.expectSlow(
        this.#shown.reduce((sum, { points }) => sum + points.positions.length / 2, 0),
      );
  }

  /** The point under a pixel; one of the query before one of the reference. */
  #hit(x: number, y: number): Hit | null {
    const { width, height } = this.#deck;
    for (const { id, points } of this.#shown.toReversed()) {
      const place = nearestPoint(points, this.#camera, width, height, [x, y]);
      if (place !== null) return { set: id, point: points.order?.[place] ?? place };
    }
    return null;
  }

  #draw(k: number): void {
    this.#k = k;
    this.#deck.setProps({
      layers: this.#shown.map(({ id, points }) => layer(id, points, k)),
    });
  }

  /** While the camera moves there may be fewer points; all of them again when it is still. */
  #moves(): void {
    this.#thinning.cameraChanged(performance.now());
    if (this.#still === undefined && this.#k !== this.#thinning.k) this.#draw(this.#thinning.k);
    clearTimeout(this.#still);
    this.#still = setTimeout(() => {
      this.#still = undefined;
      if (this.#k !== 1) this.#draw(1);
    }, 400);
  }

  setCamera(camera: Camera): void {
    this.#camera = camera;
    this.#deck.setProps({ viewState: this.#viewState() });
  }

  end(): void {
    clearTimeout(this.#still);
    this.#deck.finalize();
  }

  #viewState() {
    return {
      target: [...this.#camera.target, 0] as [number, number, number],
      zoom: this.#camera.zoom,
      minZoom: -20,
      maxZoom: 20,
    };
  }
}

function inOrder(points: PointSet): PointSet {
  const { positions, colours, order } = points;
  if (!order) return points;
  const [places, paints, from] = [
    new Float32Array(positions.length),
    new Uint32Array(order.length),
    new Uint32Array(colours.buffer, colours.byteOffset, order.length),
  ];
  for (let i = 0; i < order.length; i++) {
    const point = order[i]!;
    places[2 * i] = positions[2 * point]!;
    places[2 * i + 1] = positions[2 * point + 1]!;
    paints[i] = from[point]!;
  }
  return { ...points, positions: places, colours: new Uint8Array(paints.buffer) };
}

/** How far from a dot the pointer still means it, in pixels. */
const reach = 2;

/** The point nearest to a pixel, of those drawn under it; null where there is none. */
function nearestPoint(
  { positions, colours, radius }: PointSet,
  camera: Camera,
  width: number,
  height: number,
  [x, y]: readonly [number, number],
): number | null {
  const scale = 2 ** camera.zoom;
  // the pixel in the data's units
  const [left, bottom] = [
    camera.target[0] + (x - width / 2) / scale,
    camera.target[1] - (y - height / 2) / scale,
  ];
  let nearest = null;
  let least = ((radius + reach) / scale) ** 2;
  for (let point = 0; point < positions.length / 2; point++) {
    const distance = (positions[2 * point]! - left) ** 2 + (positions[2 * point + 1]! - bottom) ** 2;
    // of two at the same distance the later one is on top
    if (distance <= least && colours[4 * point + 3]! > 0) [nearest, least] = [point, distance];
  }
  return nearest;
}

/** @param k - every k-th point is drawn */
function layer(id: string, { positions, colours, radius }: PointSet, k: number): DotsLayer {
  return new DotsLayer({
    id,
    data: {
      length: Math.ceil(positions.length / 2 / k),
      attributes: {
        getPosition: { value: positions, size: 2, stride: 8 * k },
        getColor: { value: colours, size: 4, normalized: true, stride: 4 * k },
      },
    },
    radius,
  });
}
