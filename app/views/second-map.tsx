// A second map of the cells: an embedding stored in the query's file, with the same colours and selections.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { fittingCamera, pointRadius, toPixels, type Camera } from "../charts/camera.js";
import { coloring, drawingOrder, paint } from "../coloring.js";
import { Icon } from "../icons.js";
import type { MappingResult } from "../protocol.js";
import { readEmbedding } from "../reading.js";
import { visible } from "../selecting.js";
import { changeView, embeddings, theme, work } from "../state.js";
import { LassoOverlay } from "./cell-lasso.js";

/** Which embedding is the second map; nothing where the file has none. */
export function SecondMapChoice() {
  const { query, view } = work.value;
  const names = query?.info.embeddings ?? [];
  if (names.length === 0 && view.secondMap === null) return null;
  const choose = async (name: string): Promise<void> => {
    if (name === "" || (await readEmbedding(name)))
      changeView("choose a second map", { secondMap: name === "" ? null : name });
  };
  return (
    <label class="choice">
      <span>Second map</span>
      <select
        value={view.secondMap ?? ""}
        onChange={async ({ currentTarget }) => {
          await choose(currentTarget.value);
          currentTarget.value = work.value.view.secondMap ?? "";
        }}
      >
        <option value="">none</option>
        {names.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

export function SecondMap({
  result,
  name,
  shape,
}: {
  readonly result: MappingResult;
  readonly name: string;
  readonly shape: "lasso" | "box";
}) {
  const frame = useRef<HTMLDivElement>(null);
  const size = useSignal({ width: 0, height: 0 });
  const positions = embeddings.value.get(name);
  const { width, height } = size.value;
  const camera = positions ? fittingCamera([positions], width, height) : null;
  const { view, query } = work.value;
  const hasFile = (query?.files.length ?? 0) > 0;
  useEffect(() => {
    // after a reload it is not there yet
    if (!positions && hasFile) void readEmbedding(name);
  }, [name, positions]);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      const { width: w, height: h } = entry!.contentRect;
      if (w > 0 && h > 0) size.value = { width: w, height: h };
    });
    observer.observe(frame.current!);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    const canvas = frame.current!.querySelector("canvas")!;
    if (positions && camera) drawCells(canvas, positions, camera, size.value, result.cells);
  }, [positions, width, height, coloring.value, view.selection, view.isolated, visible.value, theme.value]);
  return (
    <section class="second-map" aria-label={`Second map, ${name}`}>
      <header class="bar">
        <h3>
          {name} <span class="hint">of your file; draw around cells to select them in both maps</span>
        </h3>
        <button
          class="quiet icon"
          aria-label="Close the second map"
          onClick={() => changeView("choose a second map", { secondMap: null })}
        >
          <Icon name="close" />
        </button>
      </header>
      <div class="plot-place" ref={frame}>
        <canvas role="img" aria-label={`Cells in ${name}`} />
        {positions && camera && (
          <LassoOverlay positions={positions} tool={shape} camera={camera} size={size.value} />
        )}
        {!positions && (
          <p class="empty">{hasFile ? "Reading ..." : "Needs the file of your cells: choose it again."}</p>
        )}
      </div>
    </section>
  );
}

function drawCells(
  canvas: HTMLCanvasElement,
  positions: Float32Array,
  camera: Camera,
  { width, height }: { readonly width: number; readonly height: number },
  cells: number,
): void {
  const shown = coloring.value;
  if (!shown) return;
  const scale = devicePixelRatio;
  [canvas.width, canvas.height] = [Math.round(scale * width), Math.round(scale * height)];
  const context = canvas.getContext("2d")!;
  context.scale(scale, scale);
  const colours = paint(shown, work.value.view, cells, visible.value, theme.value);
  const dot = 1.8 * pointRadius(cells);
  const order = drawingOrder(shown);
  let last = "";
  for (let i = 0; i < cells; i++) {
    const cell = order?.[i] ?? i;
    const opacity = colours[4 * cell + 3]!;
    if (opacity === 0) continue;
    const [red, green, blue] = colours.subarray(4 * cell, 4 * cell + 3);
    const colour = `rgb(${red} ${green} ${blue} / ${opacity / 255})`;
    if (colour !== last) context.fillStyle = last = colour;
    const [x, y] = toPixels(camera, width, height, positions[2 * cell]!, positions[2 * cell + 1]!);
    context.fillRect(x - dot / 2, y - dot / 2, dot, dot);
  }
}
