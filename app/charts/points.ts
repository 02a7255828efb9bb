// Points by WebGL (deck.gl): the query's cells over the grey reference. Knows positions, colours and the camera, and nothing of what they mean.
import { Deck, OrthographicView } from "@deck.gl/core";
import { ScatterplotLayer } from "@deck.gl/layers";
import type { Camera } from "./camera.js";

export interface PointSet {
  readonly positions: Float32Array;
  /** (n, 4) bytes */
  readonly colours: Uint8Array;
  readonly radius: number;
}

export interface PointsOptions {
  readonly canvas: HTMLCanvasElement;
  readonly onCamera: (camera: Camera) => void;
  /** @param cell - null where there is none */
  readonly onHover: (cell: number | null, x: number, y: number) => void;
  readonly onClick: (cell: number | null) => void;
}

export class Points {
  readonly #deck: Deck<OrthographicView>;
  #camera: Camera = { target: [0, 0], zoom: 0 };

  constructor({ canvas, onCamera, onHover, onClick }: PointsOptions) {
    let frames = 0;
    this.#deck = new Deck({
      canvas,
      width: "100%",
      height: "100%",
      views: new OrthographicView({ flipY: false, controller: { scrollZoom: { speed: 0.005, smooth: false }, keyboard: false, inertia: false, doubleClickZoom: false } }),
      initialViewState: this.#viewState(),
      pickingRadius: 4,
      useDevicePixels: true,
      getCursor: ({ isDragging }) => (isDragging ? "grabbing" : "default"),
      onViewStateChange: ({ viewState }) => {
        const { target, zoom } = viewState as unknown as { target: [number, number]; zoom: number };
        this.#camera = { target: [target[0], target[1]], zoom };
        onCamera(this.#camera);
      },
      onHover: ({ index, x, y }) => onHover(index >= 0 ? index : null, x, y),
      onClick: ({ index }) => onClick(index >= 0 ? index : null),
      layers: [],
      onAfterRender: () => void (canvas.dataset["frames"] = String(++frames)), // to be seen from outside: what was drawn, and how often
      onLoad: () => void (canvas.tabIndex = -1), // keys are the place's around it
    });
  }

  show(background: PointSet | null, cells: PointSet): void {
    this.#deck.setProps({ layers: [...(background ? [layer("background", background, false)] : []), layer("cells", cells, true)] });
  }

  setCamera(camera: Camera): void {
    this.#camera = camera;
    this.#deck.setProps({ initialViewState: this.#viewState() });
  }

  end(): void {
    this.#deck.finalize();
  }

  #viewState() {
    return { target: [...this.#camera.target, 0] as [number, number, number], zoom: this.#camera.zoom, minZoom: -20, maxZoom: 20 };
  }
}

function layer(id: string, { positions, colours, radius }: PointSet, pickable: boolean): ScatterplotLayer {
  return new ScatterplotLayer({
    id,
    data: { length: positions.length / 2, attributes: { getPosition: { value: positions, size: 2 }, getFillColor: { value: colours, size: 4, normalized: true } } },
    getRadius: radius,
    radiusUnits: "pixels",
    stroked: false,
    antialiasing: true,
    pickable,
    updateTriggers: { getRadius: radius },
  });
}
