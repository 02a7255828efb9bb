// SVG as text: elements, escaped texts, and the frame that all plots share. Colours of ink and lines are
// classes, so that one picture serves light and dark pages.

/** A plot: the picture, and the same numbers as a table for those who cannot see it. */
export interface Plot {
  /** Title, also drawn */
  readonly title: string;
  /** The picture; `standaloneSvg` makes a file of it */
  readonly svg: string;
  /** The numbers drawn */
  readonly table: PlotTable;
}
/** The numbers behind a plot, as a table. */
export interface PlotTable {
  /** Names of the columns */
  readonly columns: readonly string[];
  /** A row per thing drawn */
  readonly rows: readonly (readonly (string | number)[])[];
}

type Attributes = Readonly<Record<string, string | number | undefined>>;

/** An element; its content is SVG already. Numbers are rounded to a hundredth of a pixel. */
export function element(name: string, attributes: Attributes, content = ""): string {
  const written = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(
      ([key, value]) =>
        ` ${key}="${typeof value === "number" ? Number(value.toFixed(2)) : escapeText(String(value))}"`,
    );
  return `<${name}${written.join("")}>${content}</${name}>`;
}

/**
 * Text for HTML and SVG, content or attribute: no character of it is markup. Control characters, which XML
 * cannot hold, become a replacement sign.
 */
export function escapeText(text: string): string {
  return (
    text
      // oxlint-disable-next-line no-control-regex -- XML has no place for them
      .replace(/[\0-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]/g, "\ufffd")
      .replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
  );
}

export interface TextOptions {
  readonly anchor?: "start" | "middle" | "end";
  readonly kind?: "title" | "label" | "tick" | "value";
  /** degrees around the place */
  readonly rotate?: number;
  /** characters, then an ellipsis, with the whole text as a tooltip */
  readonly most?: number;
}

export function text(
  x: number,
  y: number,
  content: string,
  { anchor = "start", kind = "tick", rotate, most = Infinity }: TextOptions = {},
): string {
  const characters = Array.from(content);
  const isCut = characters.length > most;
  const shown = isCut ? `${characters.slice(0, most - 1).join("")}\u2026` : content;
  const transform = rotate === undefined ? undefined : `rotate(${rotate} ${x.toFixed(2)} ${y.toFixed(2)})`;
  return element(
    "text",
    { x, y, class: `plot-${kind}`, "text-anchor": anchor, transform },
    `${escapeText(shown)}${isCut ? element("title", {}, escapeText(content)) : ""}`,
  );
}

export function line(x1: number, y1: number, x2: number, y2: number, kind: "axis" | "grid" | "mark"): string {
  return element("line", { x1, y1, x2, y2, class: `plot-${kind}` });
}

/** About as many pixels as a text of 12 pixels takes. */
export function widthOf(content: string): number {
  return 6.6 * Array.from(content).length;
}

/** @param description - what is seen, for screen readers */
export function picture(
  width: number,
  height: number,
  title: string,
  description: string,
  content: readonly string[],
): string {
  const head = element("title", {}, escapeText(title)) + element("desc", {}, escapeText(description));
  return element(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      class: width < 480 ? "plot plot-small" : "plot",
      viewBox: `0 0 ${width} ${Math.ceil(height)}`,
      width,
      height: Math.ceil(height),
      role: "img",
      "aria-label": `${title}. ${description}`,
    },
    `${head}${text(0, 14, title, { kind: "title", most: Math.floor(width / 7.4) })}${content.join("")}`,
  );
}

/** What the classes of plots look like; a page says what --ink, --faint, --line and --paper are. */
export const plotStyle = [
  ".plot{font-family:system-ui,-apple-system,'Segoe UI',sans-serif}",
  ".plot text{fill:var(--ink,#1c2024)}",
  ".plot .plot-on-bright{fill:#000000}",
  ".plot .plot-on-dark{fill:#ffffff}",
  ".plot-title{font-size:13px;font-weight:600}",
  ".plot-label{font-size:12px}",
  ".plot-tick,.plot-value{font-size:11px}",
  ".plot-axis{stroke:var(--faint,#5b6470);stroke-width:1}",
  ".plot-grid{stroke:var(--line,#d9dde2);stroke-width:1}",
  ".plot-mark{stroke:var(--ink,#1c2024);stroke-width:1.5;stroke-dasharray:5 4}",
  ".plot-empty{fill:var(--line,#d9dde2)}",
  ".plot-edge{stroke:var(--paper,#ffffff);stroke-width:1}",
  ".plot-rim{stroke:var(--faint,#5b6470);stroke-width:1}",
].join("\n");

const dark =
  "@media (prefers-color-scheme:dark){.plot{--ink:#e8eaed;--faint:#9aa3ad;--line:#3a4048;--paper:#14171c;background:#14171c}}";

/** The same picture as a file of its own. */
export function standaloneSvg({ svg }: Pick<Plot, "svg">): string {
  return svg.replace(">", `><style>${plotStyle}\n${dark}</style>`);
}
