// The script of a report: the cell view with its controls, the choice of a covariate, and the button that
// copies the Methods text. The figures and tables of the report work without it.
import {
  bytesOfText,
  inkColour,
  uint16OfText,
  type ViewerColouring,
  type ViewerData,
} from "../viewer-data.ts";
import type { Paper } from "../../plots/palette.ts";
import { nearestPoint, PointPainter, type Camera, type Points } from "./points.js";

const byId = <E extends HTMLElement>(id: string): E | null => document.getElementById(id) as E | null;

class CellView {
  readonly #data: ViewerData;
  readonly #points: Points;
  readonly #canvas = byId<HTMLCanvasElement>("cells")!;
  readonly #context = this.#canvas.getContext("2d", { alpha: false })!;
  readonly #painter = new PointPainter(this.#context);
  readonly #values = new Map<string, Uint8Array | Uint16Array>();
  #colours: Uint32Array;
  /** the cell of each point */
  readonly #cells: Uint32Array;
  readonly #camera: Camera = { x: 0, y: 0, scale: 1 };
  #colouring: ViewerColouring;
  /** groups shown in colour, all others grey; empty: all in colour */
  readonly #picked = new Set<number>();
  #isDue = false;

  /** Draws the cells and listens to the controls of the page. */
  static show(data: ViewerData): CellView {
    return new CellView(data);
  }

  private constructor(data: ViewerData) {
    this.#data = data;
    const count = data.reference + data.query;
    const places = uint16OfText(data.places);
    const along = (axis: 0 | 1): Float32Array =>
      Float32Array.from(
        this.#cells,
        (cell) =>
          data.ranges[axis][0] +
          (places[2 * cell + axis]! / 65535) * (data.ranges[axis][1] - data.ranges[axis][0]),
      );
    this.#cells = drawingOrder(data);
    this.#points = { count, x: along(0), y: along(1) };
    this.#colours = new Uint32Array(count);
    this.#colouring = data.colourings[0]!;
    for (const [id, initial] of [
      ["colouring", this.#colouring.id],
      ["reference-as", data.query > 0 ? "grey" : "coloured"],
    ] as const) {
      const select = byId<HTMLSelectElement>(id);
      if (select) select.value = initial;
      select?.addEventListener("change", () => this.#recolour());
    }
    byId("prototypes-shown")?.addEventListener("change", () => {
      this.#writeMarks();
      this.#request();
    });
    this.#listen();
    this.reset();
    this.#recolour();
    new ResizeObserver(() => this.#resize()).observe(this.#canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#recolour());
    new MutationObserver(() => this.#recolour()).observe(document.documentElement, {
      attributes: true,
      attributeFilter: ["data-theme"],
    });
    this.#printLight();
  }

  /** Paper is light: the picture, which is pixels, is drawn so before it is printed. */
  #printLight(): void {
    const { dataset } = document.documentElement;
    const draw = (theme: string | undefined): void => {
      if (theme === undefined) delete dataset["theme"];
      else dataset["theme"] = theme;
      this.#recolour();
      this.#draw();
    };
    let chosen: string | undefined;
    addEventListener("beforeprint", () => {
      chosen = dataset["theme"];
      draw("light");
    });
    addEventListener("afterprint", () => draw(chosen));
  }

  /** Centres the view on all cells. */
  reset(): void {
    this.#resize();
    const [[left, right], [bottom, top]] = this.#data.ranges;
    this.#camera.x = (left + right) / 2;
    this.#camera.y = (bottom + top) / 2;
    this.#camera.scale =
      0.92 * Math.min(this.#canvas.width / (right - left || 1), this.#canvas.height / (top - bottom || 1));
    this.#request();
  }

  #resize(): void {
    const { clientWidth, clientHeight } = this.#canvas;
    const ratio = Math.min(2, devicePixelRatio || 1);
    const [width, height] = [
      Math.max(1, Math.round(clientWidth * ratio)),
      Math.max(1, Math.round(clientHeight * ratio)),
    ];
    if (width === this.#canvas.width && height === this.#canvas.height) return;
    if (this.#canvas.width > 0)
      this.#camera.scale *= Math.min(width / this.#canvas.width, height / this.#canvas.height);
    this.#canvas.width = width;
    this.#canvas.height = height;
    this.#request();
  }

  #request(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => this.#draw());
  }

  #draw(): void {
    this.#isDue = false;
    const style = getComputedStyle(this.#canvas);
    const paper = pixelOf(style.getPropertyValue("--paper").trim() || "#ffffff");
    const ratio = this.#canvas.width / Math.max(1, this.#canvas.clientWidth);
    const { count } = this.#points;
    const base = count > 100_000 ? 0.6 : count > 20_000 ? 1.1 : count > 3000 ? 1.8 : 2.8;
    const [[left, right]] = this.#data.ranges;
    const zoom = Math.max(1, (this.#camera.scale * (right - left)) / this.#canvas.width);
    this.#painter.paint(
      this.#points,
      this.#colours,
      this.#camera,
      Math.min(7, base * Math.sqrt(zoom)) * ratio,
      paper,
    );
    const ink = style.getPropertyValue("--ink").trim() || "#000000";
    if (byId<HTMLInputElement>("prototypes-shown")?.checked)
      this.#drawPrototypes(ratio, ink, style.getPropertyValue("--paper").trim() || "#ffffff");
    this.#drawAxes(ratio, ink);
  }

  /** Two short arrows in the corner instead of axes, as a UMAP has no units. */
  #drawAxes(ratio: number, ink: string): void {
    const context = this.#context;
    const [x, y, length, tip] = [22 * ratio, this.#canvas.height - 22 * ratio, 54 * ratio, 4 * ratio];
    context.strokeStyle = context.fillStyle = ink;
    context.lineWidth = 1.5 * ratio;
    context.beginPath();
    context.moveTo(x, y - length);
    context.lineTo(x, y);
    context.lineTo(x + length, y);
    context.stroke();
    for (const [px, py, dx, dy] of [
      [x + length, y, 1, 0],
      [x, y - length, 0, -1],
    ] as const) {
      context.beginPath();
      context.moveTo(px + 2 * tip * dx, py + 2 * tip * dy);
      context.lineTo(px + tip * dy, py + tip * dx);
      context.lineTo(px - tip * dy, py - tip * dx);
      context.fill();
    }
    context.font = `${11 * ratio}px system-ui, sans-serif`;
    context.textBaseline = "alphabetic";
    context.fillText("UMAP 1", x + 4 * ratio, y + 15 * ratio);
    context.save();
    context.translate(x - 8 * ratio, y - 4 * ratio);
    context.rotate(-Math.PI / 2);
    context.fillText("UMAP 2", 0, 0);
    context.restore();
  }

  #drawPrototypes(ratio: number, ink: string, paper: string): void {
    const context = this.#context;
    context.font = `600 ${12 * ratio}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    const drawnLabels: [x: number, y: number, width: number][] = [];
    for (const { name, x, y, colours } of this.#data.prototypes) {
      const px = this.#canvas.width / 2 + (x - this.#camera.x) * this.#camera.scale;
      const py = this.#canvas.height / 2 - (y - this.#camera.y) * this.#camera.scale;
      context.beginPath();
      context.arc(px, py, 7 * ratio, 0, 2 * Math.PI);
      context.fillStyle = colours[paperOf(paper)];
      context.fill();
      context.lineWidth = 2 * ratio;
      context.strokeStyle = ink;
      context.stroke();
      const shown = name.length > 26 ? `${name.slice(0, 25)}\u2026` : name;
      const width = context.measureText(shown).width;
      const isRight = px + 12 * ratio + width > this.#canvas.width;
      const at = isRight ? px - 12 * ratio - width : px + 12 * ratio;
      const isCovered = drawnLabels.some(
        ([a, b, w]) => Math.abs(b - py) < 13 * ratio && at < a + w && a < at + width,
      );
      if (isCovered) continue;
      drawnLabels.push([at, py, width]);
      context.lineWidth = 4 * ratio;
      context.strokeStyle = paper;
      context.lineJoin = "round";
      context.strokeText(shown, at, py);
      context.fillStyle = ink;
      context.fillText(shown, at, py);
    }
  }

  #valuesOf(colouring: ViewerColouring): Uint8Array | Uint16Array {
    let values = this.#values.get(colouring.id);
    if (!values) {
      values = colouring.kind === "groups" ? uint16OfText(colouring.values) : bytesOfText(colouring.values);
      this.#values.set(colouring.id, values);
    }
    return values;
  }

  /** The background of the theme. */
  #paper(): Paper {
    return paperOf(getComputedStyle(this.#canvas).getPropertyValue("--paper").trim() || "#ffffff");
  }

  #recolour(): void {
    const chosen = byId<HTMLSelectElement>("colouring")?.value;
    const next = this.#data.colourings.find(({ id }) => id === chosen) ?? this.#colouring;
    if (next !== this.#colouring) this.#picked.clear();
    this.#colouring = next;
    const values = this.#valuesOf(next);
    const style = getComputedStyle(this.#canvas);
    const ink = style.getPropertyValue("--ink").trim() || "#000000";
    const colours = next.kind === "groups" ? next.colours![this.#paper()] : this.#data.ramp;
    const palette = colours.map((colour) => pixelOf(colour === inkColour ? ink : colour));
    const grey = pixelOf(style.getPropertyValue("--reference").trim() || "#c9cdd2");
    const missing = pixelOf(this.#data.missing);
    const referenceAs = byId<HTMLSelectElement>("reference-as")?.value ?? "coloured";
    const none = next.kind === "groups" ? 65535 : 255;
    for (let point = 0; point < this.#points.count; point++) {
      const cell = this.#cells[point]!;
      const isReference = cell < this.#data.reference;
      const value = values[cell]!;
      if (isReference && referenceAs === "hidden") this.#colours[point] = 0;
      else if (isReference && referenceAs === "grey") this.#colours[point] = grey;
      else if (this.#picked.size > 0 && !this.#picked.has(value)) this.#colours[point] = grey;
      else if (value === none) this.#colours[point] = isReference ? grey : missing;
      else if (next.isExpression && value === 0) this.#colours[point] = grey;
      else
        this.#colours[point] =
          next.kind === "groups"
            ? palette[value]!
            : palette[Math.round((value / 254) * (palette.length - 1))]!;
    }
    this.#writeLegend(values);
    this.#writeMarks();
    this.#request();
  }

  /** Explains marks outside the legend of groups or numbers: greys, and large dots. */
  #writeMarks(): void {
    const values = this.#valuesOf(this.#colouring);
    const none = this.#colouring.kind === "groups" ? 65535 : 255;
    const { reference } = this.#data;
    const referenceAs = byId<HTMLSelectElement>("reference-as")?.value ?? "coloured";
    const lacks = (from: number, to: number): boolean => values.subarray(from, to).includes(none);
    const entries: [kind: string, text: string][] = [];
    if (reference > 0 && referenceAs === "grey") entries.push(["reference", "cell of the reference"]);
    else if (reference > 0 && referenceAs === "coloured" && lacks(0, reference))
      entries.push(["reference", "cell of the reference without a value"]);
    if (lacks(reference, values.length)) entries.push(["missing", "cell of the query without a value"]);
    if (this.#picked.size > 0) entries.push(["reference", "cell of a group that is not chosen"]);
    if (byId<HTMLInputElement>("prototypes-shown")?.checked)
      entries.push(["prototype", "prototype of a cell type"]);
    byId("marks")!.replaceChildren(
      ...entries.map(([kind, text]) => {
        const entry = document.createElement("li");
        entry.append(Object.assign(document.createElement("span"), { className: `mark ${kind}` }), text);
        return entry;
      }),
    );
  }

  /** Writes the legend: a colour bar, or a table of groups with their numbers of cells. */
  #writeLegend(values: Uint8Array | Uint16Array): void {
    const legend = byId("legend")!;
    const { kind, title } = this.#colouring;
    const head = document.createElement("caption");
    head.textContent = title;
    byId("view-title")!.textContent = `Cells by ${title}`;
    legend.replaceChildren(head, ...(kind === "number" ? [this.#rampRow()] : this.#groupRows(values)));
  }

  #rampRow(): HTMLTableRowElement {
    const { range = [0, 1], isExpression } = this.#colouring;
    const [low, high] = range;
    const bar = document.createElement("canvas");
    bar.width = this.#data.ramp.length;
    bar.height = 1;
    bar.setAttribute("aria-hidden", "true");
    const context = bar.getContext("2d")!;
    this.#data.ramp.forEach((colour, i) => {
      context.fillStyle = colour;
      context.fillRect(i, 0, 1, 1);
    });
    const place = Object.assign(document.createElement("td"), { className: "ramp" });
    place.append(bar);
    const row = document.createElement("tr");
    row.append(
      cellOf("td", isExpression ? `${short(low)} (grey)` : short(low)),
      place,
      cellOf("td", short(high)),
    );
    return row;
  }

  /** A heading, and a row per group: its colour, and how many cells it has. */
  #groupRows(values: Uint8Array | Uint16Array): HTMLTableRowElement[] {
    const { names = [] } = this.#colouring;
    const [reference, query] = [new Uint32Array(names.length), new Uint32Array(names.length)];
    values.forEach(
      (value, cell) => value < names.length && (cell < this.#data.reference ? reference : query)[value]!++,
    );
    const sources = [
      ...(this.#data.query > 0 ? [{ name: "query", cells: query }] : []),
      ...(this.#data.reference > 0 ? [{ name: "reference", cells: reference }] : []),
    ];
    const titles = document.createElement("tr");
    titles.append(cellOf("th", "group"), ...sources.map(({ name }) => cellOf("th", name)));
    return [
      titles,
      ...names.flatMap((name, group) => {
        // a type of the file's labels, or of the model, that no cell has
        if (query[group] === 0 && reference[group] === 0) return [];
        const first = document.createElement("td");
        first.append(this.#groupButton(name, group));
        const row = document.createElement("tr");
        row.append(first, ...sources.map(({ cells }) => cellOf("td", cells[group]!.toLocaleString("en-US"))));
        return [row];
      }),
    ];
  }

  #groupButton(name: string, group: number): HTMLButtonElement {
    const colour = this.#colouring.colours![this.#paper()][group]!;
    const button = document.createElement("button");
    button.type = "button";
    button.dataset["group"] = String(group);
    button.setAttribute("aria-pressed", String(this.#picked.has(group)));
    button.title = "show only this group, or this group with others already chosen";
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = colour === inkColour ? "var(--ink)" : colour;
    button.append(swatch, name);
    button.addEventListener("click", () => {
      if (!this.#picked.delete(group)) this.#picked.add(group);
      this.#recolour();
      // the legend is new: its button of this group
      byId("legend")!.querySelector<HTMLButtonElement>(`button[data-group="${group}"]`)?.focus();
    });
    return button;
  }

  #zoom(factor: number, px = this.#canvas.width / 2, py = this.#canvas.height / 2): void {
    const camera = this.#camera;
    const [x, y] = [
      camera.x + (px - this.#canvas.width / 2) / camera.scale,
      camera.y - (py - this.#canvas.height / 2) / camera.scale,
    ];
    camera.scale *= factor;
    camera.x = x - (px - this.#canvas.width / 2) / camera.scale;
    camera.y = y + (py - this.#canvas.height / 2) / camera.scale;
    this.#request();
  }

  #pan(dx: number, dy: number): void {
    this.#camera.x -= dx / this.#camera.scale;
    this.#camera.y += dy / this.#camera.scale;
    this.#request();
  }

  #listen(): void {
    const canvas = this.#canvas;
    const ratio = (): number => canvas.width / Math.max(1, canvas.clientWidth);
    const pointers = new Map<number, PointerEvent>();
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, event);
    });
    for (const name of ["pointerup", "pointercancel"] as const)
      canvas.addEventListener(name, (event) => pointers.delete(event.pointerId));
    canvas.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return this.#describeCellAt(event.offsetX * ratio(), event.offsetY * ratio());
      const others = [...pointers.values()].filter(({ pointerId }) => pointerId !== event.pointerId);
      if (others.length === 1) {
        const [other] = others;
        const distanceTo = (pointer: PointerEvent): number =>
          Math.hypot(pointer.offsetX - other!.offsetX, pointer.offsetY - other!.offsetY);
        this.#zoom(
          distanceTo(event) / Math.max(1, distanceTo(before)),
          ((event.offsetX + other!.offsetX) / 2) * ratio(),
          ((event.offsetY + other!.offsetY) / 2) * ratio(),
        );
      } else
        this.#pan((event.offsetX - before.offsetX) * ratio(), (event.offsetY - before.offsetY) * ratio());
      pointers.set(event.pointerId, event);
    });
    canvas.addEventListener("pointerleave", () => (byId("told")!.textContent = ""));
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.#zoom(Math.exp(-event.deltaY * 0.002), event.offsetX * ratio(), event.offsetY * ratio());
      },
      { passive: false },
    );
    const keys: Readonly<Record<string, () => void>> = {
      ArrowLeft: () => this.#pan(60, 0),
      ArrowRight: () => this.#pan(-60, 0),
      ArrowUp: () => this.#pan(0, 60),
      ArrowDown: () => this.#pan(0, -60),
      "+": () => this.#zoom(1.3),
      "=": () => this.#zoom(1.3),
      "-": () => this.#zoom(1 / 1.3),
      "0": () => this.reset(),
    };
    canvas.addEventListener("keydown", (event) => {
      const act = keys[event.key];
      if (!act || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      act();
    });
    byId("zoom-in")?.addEventListener("click", () => this.#zoom(1.5));
    byId("zoom-out")?.addEventListener("click", () => this.#zoom(1 / 1.5));
    byId("zoom-all")?.addEventListener("click", () => this.reset());
  }

  /** Writes the values of the cell under the pointer. */
  #describeCellAt(px: number, py: number): void {
    const ratio = this.#canvas.width / Math.max(1, this.#canvas.clientWidth);
    const point = nearestPoint(
      this.#points,
      this.#colours,
      this.#camera,
      this.#canvas.width,
      this.#canvas.height,
      px,
      py,
      8 * ratio,
    );
    const description = byId("told")!;
    if (point < 0) {
      description.textContent = "";
      return;
    }
    const cell = this.#cells[point]!;
    const isReference = cell < this.#data.reference;
    const known = this.#data.colourings.flatMap((colouring) => {
      const value = this.#valuesOf(colouring)[cell]!;
      if (colouring.kind === "groups")
        return value === 65535 ? [] : [`${colouring.title}: ${colouring.names![value]!}`];
      const [low, high] = colouring.range!;
      return value === 255 ? [] : [`${colouring.title}: ${short(low + (value / 254) * (high - low))}`];
    });
    description.textContent = [
      isReference
        ? "reference cell"
        : `query cell ${(cell - this.#data.reference + 1).toLocaleString("en-US")}`,
      ...known,
    ].join(" \u00b7 ");
  }
}

/**
 * The reference is drawn below the query; within each, cells are in a fixed scattered order, so that file
 * order does not decide which group hides another.
 */
function drawingOrder({ reference, query }: ViewerData): Uint32Array {
  const order = new Uint32Array(reference + query);
  for (const [start, count] of [
    [0, reference],
    [reference, query],
  ] as const) {
    let step = Math.max(1, Math.floor(count * 0.618));
    while (count > 0 && gcd(step, count) !== 1) step++;
    for (let i = 0, at = 0; i < count; i++, at = (at + step) % count) order[start + i] = start + at;
  }
  return order;
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** Which theme a background (#rrggbb) is of. */
function paperOf(background: string): Paper {
  return Number.parseInt(background.slice(1, 3), 16) < 128 ? "dark" : "light";
}

/** #rrggbb as a pixel of an image, opaque. */
function pixelOf(colour: string): number {
  const value = Number.parseInt(colour.slice(1), 16);
  return (0xff000000 | ((value & 255) << 16) | (value & 0xff00) | (value >> 16)) >>> 0;
}

function cellOf(tag: "td" | "th", text: string): HTMLTableCellElement {
  const cell = document.createElement(tag);
  cell.textContent = text;
  if (tag === "th") cell.scope = "col";
  return cell;
}

function short(value: number): string {
  return String(Number(value.toPrecision(3)));
}

/** Selects that show one of several figures. */
function listenForChoices(): void {
  for (const select of document.querySelectorAll<HTMLSelectElement>("select[data-choice]")) {
    const figures = [...document.querySelectorAll<HTMLElement>(`[data-of="${select.dataset["choice"]}"]`)];
    const show = (): void =>
      figures.forEach((figure) => (figure.hidden = figure.dataset["option"] !== select.value));
    select.addEventListener("change", show);
    show();
    select.closest<HTMLElement>(".choice")!.hidden = false;
  }
}

function listenForCopies(): void {
  const button = byId("copy-methods");
  button?.addEventListener("click", () => {
    const text = byId("methods-text")!;
    const range = document.createRange();
    range.selectNodeContents(text);
    getSelection()?.removeAllRanges();
    getSelection()?.addRange(range);
    void navigator.clipboard?.writeText(text.innerText).then(
      () => (button.textContent = "Copied"),
      () => (button.textContent = "Selected: copy with Ctrl-C"),
    );
  });
}

function listenForTheme(): void {
  const select = byId<HTMLSelectElement>("theme");
  select?.addEventListener("change", () => {
    if (select.value === "auto") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = select.value;
  });
}

const data = byId("cell-data");
if (data) CellView.show(JSON.parse(data.textContent) as ViewerData);
listenForChoices();
listenForCopies();
listenForTheme();
document.documentElement.classList.add("scripted");
