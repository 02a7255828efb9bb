// The cells: points over the reference, names on clusters, a tooltip, and a lasso, a box or a click to select
// cells.
import { effect, signal, useSignal } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { coloring, drawingOrder, paint, paintReference } from "../coloring.js";
import { fittingCamera, pointRadius, zoomedAt, type Camera } from "../charts/camera.js";
import type { Hit, Points } from "../charts/points.js";
import { drawn } from "../drawn.js";
import { Icon, type IconName } from "../icons.js";
import type { MappingResult } from "../protocol.js";
import { cellsWhere, clearSelection, select, visible } from "../selecting.js";
import { tell, theme, verdict, work } from "../state.js";
import { count, counted } from "../text.js";
import { LassoOverlay } from "./cell-lasso.js";
import { CellLabels } from "./cell-labels.js";
import { CellTooltip } from "./cell-tooltip.js";
import { SavePicture } from "./save-picture.js";
import { SecondMap } from "./second-map.js";

type Tool = "move" | "lasso" | "box";
const tool = signal<Tool>("move");
const { camera, size } = drawn;
const hovered = signal<(Hit & { readonly x: number; readonly y: number }) | null>(null);
/** Whether the camera shows all cells, also after the picture is resized. */
let isFitted = true;

export function CellsView({ result }: { readonly result: MappingResult }) {
  const frame = useRef<HTMLDivElement>(null);
  const { points, failure } = useDrawing(frame);
  useEffect(() => {
    if (points.current) fit(points.current);
  }, [result.positions]);
  const wheel = (event: WheelEvent): void => {
    if (!points.current) return;
    event.preventDefault();
    const box = frame.current!.getBoundingClientRect();
    const { width, height } = size.value;
    const at = [event.clientX - box.left, event.clientY - box.top] as const;
    move(points.current, zoomedAt(camera.value, width, height, at, -0.005 * event.deltaY));
  };
  return (
    <section class="cells" aria-labelledby="cells-title">
      <header class="bar">
        <h2 id="cells-title">
          Cells{" "}
          <span class="hint">
            {result.projection === "UMAP"
              ? "in the reference's UMAP"
              : "first two principal components of the latent space"}
          </span>
        </h2>
        <Toolbar onReset={() => points.current && fit(points.current)} />
      </header>
      <div
        class="plot-place"
        ref={frame}
        tabIndex={0}
        role="application"
        aria-roledescription="scatter plot"
        aria-label={describe(result)}
        onKeyDown={(event) => points.current && steer(event, points.current)}
        onPointerLeave={() => (hovered.value = null)}
      >
        <canvas aria-hidden="true" />
        {failure ? <p class="empty">{failure}</p> : <Overlays result={result} onWheel={wheel} />}
      </div>
      {work.value.view.secondMap !== null && (
        <SecondMap
          result={result}
          name={work.value.view.secondMap}
          shape={tool.value === "box" ? "box" : "lasso"}
        />
      )}
    </section>
  );
}

/** Overlays of the points: names, the lasso, the card of a cell. */
function Overlays({
  result,
  onWheel,
}: {
  readonly result: MappingResult;
  readonly onWheel: (event: WheelEvent) => void;
}) {
  return (
    <>
      <CellLabels result={result} camera={camera.value} size={size.value} />
      {tool.value !== "move" && (
        <LassoOverlay
          positions={result.positions}
          tool={tool.value}
          camera={camera.value}
          size={size.value}
          onWheel={onWheel}
        />
      )}
      {hovered.value && tool.value === "move" && (
        <CellTooltip result={result} at={hovered.value} size={size.value} />
      )}
      <SelectionStrip />
    </>
  );
}

function Toolbar({ onReset }: { readonly onReset: () => void }) {
  return (
    <div class="tools" role="toolbar" aria-label="Tools for the picture">
      <ToolButton name="move" icon="move" title="Move and zoom; a click selects the cells of that colour" />
      <ToolButton name="lasso" icon="lasso" title="Lasso: select cells (Shift adds, Alt takes away)" />
      <ToolButton name="box" icon="box" title="Box: select cells (Shift adds, Alt takes away)" />
      <button class="quiet icon" title="Reset view (0)" aria-label="Reset view" onClick={onReset}>
        <Icon name="fit" />
      </button>
      <SavePicture />
    </div>
  );
}

const noWebGl =
  "This browser has no WebGL 2, which draws the cells. Results can be saved all the same; a current " +
  "Firefox, Chrome, Edge or Safari shows them.";

/** The points of a frame's canvas, drawn again with every change; failure: why they cannot be drawn. */
function useDrawing(frame: RefObject<HTMLDivElement | null>): {
  readonly points: { readonly current: Points | null };
  readonly failure: string | null;
} {
  const points = useRef<Points | null>(null);
  const failure = useSignal<string | null>(null);
  useEffect(() => {
    const element = frame.current!;
    const observer = new ResizeObserver(([entry]) => {
      const { width, height } = entry!.contentRect;
      if (width === 0 || height === 0) return; // on another page
      size.value = { width, height };
      if (isFitted && points.current) fit(points.current);
    });
    observer.observe(element);
    size.value = { width: element.clientWidth, height: element.clientHeight };
    if (!document.createElement("canvas").getContext("webgl2")) {
      failure.value = noWebGl;
      return () => observer.disconnect();
    }
    let isEnded = false;
    let stop = (): void => undefined;
    startDrawing(element.querySelector("canvas")!, () => isEnded)
      .then((drawing) => {
        if (!drawing) return;
        points.current = drawing;
        fit(drawing);
        stop = effect(() => draw(drawing));
      })
      .catch((error: unknown) => tell("error", "The cells cannot be drawn", String(error)));
    return () => {
      isEnded = true;
      stop();
      observer.disconnect();
      points.current?.end();
      points.current = null;
    };
  }, []);
  return { points, failure: failure.value };
}

/** Loads what draws. @returns null where the canvas is gone by then */
async function startDrawing(canvas: HTMLCanvasElement, isEnded: () => boolean): Promise<Points | null> {
  const { Points: Drawing } = await import("../charts/points.js");
  if (isEnded()) return null;
  return new Drawing({
    canvas,
    onCamera: (next) => {
      isFitted = false;
      camera.value = next;
    },
    onHover: (hit, x, y) => (hovered.value = hit && isShown(hit) ? { ...hit, x, y } : null),
    onClick: (hit) => hit?.set === "cells" && isShown(hit) && tool.value === "move" && selectLike(hit.point),
  });
}

/** Cells that a filter hides are not drawn, and say nothing. */
function isShown({ set, point }: Hit): boolean {
  return set === "background" || !visible.value || visible.value[point] === 1;
}

/** On a phone the panels are below the picture: what was selected is said on it. */
function SelectionStrip() {
  const { selection } = work.value.view;
  if (!selection) return null;
  return (
    <a class="selection-strip" href="#selection-title">
      <strong>{counted(selection.cells.length, "cell")}</strong> {selection.how}
    </a>
  );
}

function ToolButton({
  name,
  icon,
  title,
}: {
  readonly name: Tool;
  readonly icon: IconName;
  readonly title: string;
}) {
  return (
    <button
      class="quiet icon"
      aria-pressed={tool.value === name}
      title={title}
      aria-label={title}
      onClick={() => (tool.value = name)}
    >
      <Icon name={icon} />
    </button>
  );
}

function describe({ cells, reference, verdict: initialVerdict }: MappingResult): string {
  const shown = coloring.value;
  return [
    counted(cells, "query cell"),
    reference ? ` over ${count(reference.positions.length / 2)} cells of the reference` : "",
    shown ? `, coloured by ${shown.title}` : "",
    `. Verdict: ${(verdict.value ?? initialVerdict).light}. `,
    "Arrow keys move, plus and minus zoom, 0 resets the view; the legend lists the groups.",
  ].join("");
}

function draw(drawing: Points): void {
  const { result, view } = work.value;
  const shown = coloring.value;
  if (!result || !shown) return;
  const radius = pointRadius(result.cells);
  const { reference } = result;
  const background =
    reference && view.reference !== "hidden"
      ? {
          positions: reference.positions,
          colours: paintReference(shown, view, reference.positions.length / 2, theme.value),
          radius: Math.max(1, radius * 0.75),
        }
      : null;
  drawing.show(background, {
    positions: result.positions,
    colours: paint(shown, view, result.cells, visible.value, theme.value),
    radius,
    order: drawingOrder(shown),
  });
}

function fit(drawing: Points): void {
  const { result, view } = work.value;
  if (!result) return;
  const { width, height } = size.value;
  const isWithReference = result.reference && view.reference !== "hidden";
  const next = fittingCamera(
    [result.positions, ...(isWithReference ? [result.reference.positions] : [])],
    width,
    height,
  );
  move(drawing, next);
  isFitted = true;
}

function move(drawing: Points, next: Camera): void {
  isFitted = false;
  camera.value = next;
  drawing.setCamera(next);
}

function steer(event: KeyboardEvent, drawing: Points): void {
  if (event.ctrlKey || event.metaKey) return;
  const {
    target: [x, y],
    zoom,
  } = camera.value;
  const by = 60 / 2 ** zoom;
  const moves: Readonly<Record<string, Camera>> = {
    ArrowLeft: { target: [x - by, y], zoom },
    ArrowRight: { target: [x + by, y], zoom },
    ArrowUp: { target: [x, y + by], zoom },
    ArrowDown: { target: [x, y - by], zoom },
    "+": { target: [x, y], zoom: zoom + 0.4 },
    "=": { target: [x, y], zoom: zoom + 0.4 },
    "-": { target: [x, y], zoom: zoom - 0.4 },
  };
  if (event.key === "Escape") return clearSelection();
  const next = moves[event.key];
  if (event.key === "0") fit(drawing);
  else if (next) move(drawing, next);
  else return;
  event.preventDefault();
}

/** Selects all cells of the colour of one of them; the same again clears the selection. */
function selectLike(cell: number): void {
  const groups = coloring.value?.groups;
  if (!groups) return;
  const code = groups.codes[cell]!;
  const { name } = groups.entries[code]!;
  if (work.value.view.selection?.how === name) return clearSelection();
  select(cellsWhere(groups.codes, code), name);
}
