// The cells: points over the grey reference, labels on clusters, a tooltip, and a lasso, a box or a click to
// pick cells.
import { effect, signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { coloring, drawingOrder, paint } from "../coloring.js";
import { bytesOf } from "../colours.js";
import { fittingCamera, pointRadius, toPixels, type Camera } from "../charts/camera.js";
import type { Points } from "../charts/points.js";
import { pointsInside } from "../charts/polygon.js";
import { Icon, type IconName } from "../icons.js";
import type { MappingResult } from "../protocol.js";
import { announcement, changeView, columns, tell, theme, unknown, verdict, work } from "../state.js";
import { count, counted, short } from "../text.js";

export type Tool = "move" | "lasso" | "box";
export const tool = signal<Tool>("move");
const camera = signal<Camera>({ target: [0, 0], zoom: 0 });
const size = signal({ width: 600, height: 500 });
const hovered = signal<{ readonly cell: number; readonly x: number; readonly y: number } | null>(null);
/** Whether the camera shows everything, and goes on to when the place changes its size. */
let isFitted = true;
/** What is drawn, for pictures of it. */
export const drawn = { camera, size };

export function pick(cells: Uint32Array, how: string): void {
  changeView("pick cells", { selection: cells.length > 0 ? { cells, how } : null });
  announcement.value =
    cells.length > 0 ? `${counted(cells.length, "cell")} picked: ${how}.` : "No cells are picked.";
}

export function CellsView({ result }: { readonly result: MappingResult }) {
  const frame = useRef<HTMLDivElement>(null);
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
    let disposed = false;
    const canvas = element.querySelector("canvas")!;
    if (!document.createElement("canvas").getContext("webgl2")) {
      failure.value =
        "This browser has no WebGL 2, which draws the cells. Results can be saved all the same; a current Firefox, Chrome, Edge or Safari shows them.";
      return () => observer.disconnect();
    }
    let stop = (): void => undefined;
    import("../charts/points.js")
      .then(({ Points: Drawing }) => {
        if (disposed) return;
        const drawing = new Drawing({
          canvas,
          onCamera: (next) => {
            isFitted = false;
            camera.value = next;
          },
          onHover: (cell, x, y) => (hovered.value = cell === null ? null : { cell, x, y }),
          onClick: (cell) => cell !== null && tool.value === "move" && pickLike(cell),
        });
        points.current = drawing;
        fit(drawing);
        stop = effect(() => draw(drawing));
      })
      .catch((error: unknown) => tell("error", "The cells cannot be drawn", String(error)));
    return () => {
      disposed = true;
      stop();
      observer.disconnect();
      points.current?.end();
      points.current = null;
    };
  }, []);
  useEffect(() => {
    if (points.current) fit(points.current);
  }, [result.positions]);

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
        <div class="tools" role="toolbar" aria-label="Ways to work on the picture">
          <ToolButton name="move" icon="move" title="Move and zoom; a click picks the cells of that colour" />
          <ToolButton name="lasso" icon="lasso" title="Draw around cells to pick them" />
          <ToolButton name="box" icon="box" title="Draw a box around cells to pick them" />
          <button
            class="quiet icon"
            title="Show everything"
            aria-label="Show everything"
            onClick={() => points.current && fit(points.current)}
          >
            <Icon name="fit" />
          </button>
        </div>
      </header>
      <div
        class="plot"
        ref={frame}
        tabIndex={0}
        role="application"
        aria-roledescription="scatter plot"
        aria-label={describe(result)}
        onKeyDown={(event) => points.current && steer(event, points.current)}
        onPointerLeave={() => (hovered.value = null)}
      >
        <canvas aria-hidden="true" />
        {failure.value ? (
          <p class="empty">{failure.value}</p>
        ) : (
          <>
            <Labels result={result} />
            <Drawing result={result} />
            <Tooltip result={result} />
          </>
        )}
      </div>
    </section>
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

function describe({ cells, reference, verdict: own }: MappingResult): string {
  const shown = coloring.value;
  return `${counted(cells, "query cell")}${reference ? ` over ${count(reference.positions.length / 2)} cells of the reference` : ""}${shown ? `, coloured by ${shown.title}` : ""}. Verdict: ${(verdict.value ?? own).light}. Arrow keys move, plus and minus zoom, 0 shows everything; the legend lists the groups.`;
}

function draw(drawing: Points): void {
  const { result, view } = work.value;
  const shown = coloring.value;
  if (!result || !shown) return;
  const radius = pointRadius(result.cells);
  const { reference } = result;
  const grey = bytesOf(theme.value === "dark" ? "#5b646b" : "#c3c8cc");
  const background =
    reference && view.showReference
      ? {
          positions: reference.positions,
          colours: repeated([...grey, 150], reference.positions.length / 2),
          radius: Math.max(1, radius * 0.75),
        }
      : null;
  drawing.show(background, {
    positions: result.positions,
    colours: paint(shown, view, result.cells),
    radius,
    order: drawingOrder(shown),
  });
}

function repeated(colour: readonly number[], times: number): Uint8Array {
  const bytes = new Uint8Array(4 * times);
  for (let i = 0; i < times; i++) bytes.set(colour, 4 * i);
  return bytes;
}

function fit(drawing: Points): void {
  const { result, view } = work.value;
  if (!result) return;
  const { width, height } = size.value;
  isFitted = true;
  camera.value = fittingCamera(
    [result.positions, ...(result.reference && view.showReference ? [result.reference.positions] : [])],
    width,
    height,
  );
  drawing.setCamera(camera.value);
}

function steer(event: KeyboardEvent, drawing: Points): void {
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
  if (event.key === "Escape") return pick(new Uint32Array(0), "");
  const next = moves[event.key];
  if (event.key === "0") fit(drawing);
  else if (next) drawing.setCamera(((isFitted = false), (camera.value = next)));
  else return;
  event.preventDefault();
}

/** Picks all cells of the colour of one of them; the same again picks none. */
function pickLike(cell: number): void {
  const groups = coloring.value?.groups;
  if (!groups) return;
  const code = groups.codes[cell]!;
  const name = groups.entries[code]!.name;
  if (work.value.view.selection?.how === name) return pick(new Uint32Array(0), "");
  pick(cellsWhere(groups.codes, code), name);
}

export function cellsWhere(codes: ArrayLike<number>, code: number): Uint32Array {
  const cells: number[] = [];
  for (let cell = 0; cell < codes.length; cell++) if (codes[cell] === code) cells.push(cell);
  return Uint32Array.from(cells);
}

/** Names where most of a group's cells are. */
function Labels({ result }: { readonly result: MappingResult }) {
  const { view } = work.value;
  const groups = coloring.value?.groups;
  if (!view.showLabels) return null;
  const { width, height } = size.value;
  const places = groups ? labelPlaces(groups, result.positions) : [];
  const shown = places
    .map((place) => ({ ...place, at: toPixels(camera.value, width, height, place.x, place.y) }))
    .filter(({ at: [x, y] }) => x > 0 && y > 0 && x < width && y < height);
  const apart = keepApart(
    shown.map((place) => ({
      ...place,
      at: [clamp(place.at[0], labelWidth(place.name) / 2 + 4, width), place.at[1]] as const,
    })),
  );
  return (
    <svg class="overlay" aria-hidden="true" width={width} height={height}>
      {view.showPrototypes &&
        result.prototypes
          .filter(({ level }) => level === null || level === result.levels[view.level]?.key)
          .map(({ name, x, y }) => {
            const [cx, cy] = toPixels(camera.value, width, height, x, y);
            return <path key={name} class="prototype" d={`M${cx},${cy - 6}l6,6l-6,6l-6,-6z`} />;
          })}
      {apart.map(({ name, at: [x, y] }) => (
        <text key={name} x={x} y={y} class="cluster-label" text-anchor="middle">
          {name}
        </text>
      ))}
    </svg>
  );
}

interface Place {
  readonly name: string;
  readonly x: number;
  readonly y: number;
  readonly cells: number;
}

const placesOf = new WeakMap<object, Place[]>();

export function labelPlaces(
  groups: NonNullable<NonNullable<typeof coloring.value>["groups"]>,
  positions: Float32Array,
): Place[] {
  const known = placesOf.get(groups);
  if (known) return known;
  const least = groups.codes.length * 0.002;
  const places = groups.entries.flatMap(({ name, cells }, code): Place[] => {
    if (cells < Math.max(1, least) || name === "missing" || name === "unknown") return [];
    const own = cellsWhere(groups.codes, code);
    const middle = (axis: number): number =>
      Float32Array.from(own, (cell) => positions[2 * cell + axis]!).sort()[own.length >> 1]!;
    return [{ name, x: middle(0), y: middle(1), cells }];
  });
  places.sort((a, b) => b.cells - a.cells);
  placesOf.set(groups, places);
  return places;
}

const ruler = document.createElement("canvas").getContext("2d");
const labelWidths = new Map<string, number>();

/** In pixels, as .cluster-label is written. */
function labelWidth(name: string): number {
  const known = labelWidths.get(name);
  if (known !== undefined || !ruler) return known ?? 7 * name.length;
  ruler.font = `600 12px ${getComputedStyle(document.body).fontFamily}`;
  const { width } = ruler.measureText(name);
  labelWidths.set(name, width);
  return width;
}

/** A middle from which a text of a half width stays inside. */
function clamp(middle: number, half: number, width: number): number {
  return Math.max(half, Math.min(width - half, middle));
}

/** Leaves out what would lie on a label of a larger group. */
function keepApart<T extends { readonly name: string; readonly at: readonly [number, number] }>(
  labels: readonly T[],
): T[] {
  const kept: T[] = [];
  for (const label of labels) {
    if (
      kept.every(
        ({ name, at }) =>
          Math.abs(at[1] - label.at[1]) > 15 ||
          Math.abs(at[0] - label.at[0]) > (labelWidth(label.name) + labelWidth(name)) / 2,
      )
    )
      kept.push(label);
  }
  return kept;
}

/** The line that is drawn around cells. */
function Drawing({ result }: { readonly result: MappingResult }) {
  const line = useSignal<readonly (readonly [number, number])[]>([]);
  if (tool.value === "move") return null;
  const { width, height } = size.value;
  const at = (event: PointerEvent): readonly [number, number] => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const corners = (): readonly (readonly [number, number])[] => {
    const [from, to] = [line.value[0]!, line.value.at(-1)!];
    return tool.value === "lasso" ? line.value : [from, [to[0], from[1]], to, [from[0], to[1]]];
  };
  const end = (): void => {
    if (line.value.length > 2) {
      const place = (cell: number): readonly [number, number] =>
        toPixels(camera.value, width, height, result.positions[2 * cell]!, result.positions[2 * cell + 1]!);
      pick(
        pointsInside(corners(), result.cells, place),
        tool.value === "lasso" ? "drawn around" : "drawn in a box",
      );
    }
    line.value = [];
  };
  return (
    <svg
      class="overlay draws"
      width={width}
      height={height}
      aria-hidden="true"
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        line.value = [at(event)];
      }}
      onPointerMove={(event) => line.value.length > 0 && (line.value = [...line.value, at(event)])}
      onPointerUp={end}
      onPointerCancel={() => (line.value = [])}
    >
      {line.value.length > 1 && (
        <polygon
          points={corners()
            .map(([x, y]) => `${x},${y}`)
            .join(" ")}
        />
      )}
    </svg>
  );
}

function Tooltip({ result }: { readonly result: MappingResult }) {
  const at = hovered.value;
  if (!at || tool.value !== "move") return null;
  const { cell, x, y } = at;
  const shown = coloring.value;
  const value = shown?.range ? short(shown.range.values[cell]!) : null;
  return (
    <div
      class="tooltip"
      style={{
        left: `${Math.min(x + 14, size.value.width - 210)}px`,
        top: `${Math.min(y + 12, size.value.height - 110)}px`,
      }}
    >
      {value !== null && (
        <p>
          <strong>{value}</strong> {shown!.title}
        </p>
      )}
      {result.levels.map(({ key, types, predicted, uncertainty, novelty }, level) => (
        <p key={key}>
          <strong>{types[predicted[cell]!]}</strong>
          {unknown.value[level]?.[cell] ? " (unknown)" : ""}
          <br />
          <span class="hint">
            uncertainty {short(uncertainty[cell]!)}
            {novelty ? `, novelty ${short(novelty[cell]!)}` : ""}
          </span>
        </p>
      ))}
      {result.conditions.map(({ key, names, codes }) => (
        <p key={key} class="hint">
          {key}: {names[codes[cell]!] ?? "missing"}
        </p>
      ))}
      {work.value.view.colourBy.kind === "column" &&
        columns.value.has(work.value.view.colourBy.name) &&
        shown?.groups && (
          <p class="hint">
            {shown.title}: {shown.groups.entries[shown.groups.codes[cell]!]?.name}
          </p>
        )}
    </div>
  );
}
