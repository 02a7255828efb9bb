// SVG as text: elements, escaped text, and the frame shared by all plots. Colours of text and lines are CSS
// classes, so that one picture works on light and dark pages.
import { coloursOnDark } from "./palette.js";

/** A plot: the picture, and the same numbers as a table, for accessibility. */
export interface Plot {
  /** Title, also drawn */
  readonly title: string;
  /** The picture, for use in a page; `standaloneSvg` turns it into a file */
  readonly svg: string;
  /** The numbers drawn */
  readonly table: PlotTable;
}
/** The numbers behind a plot, as a table. */
export interface PlotTable {
  /** Names of the columns */
  readonly columns: readonly string[];
  /** One row per item drawn */
  readonly rows: readonly (readonly (string | number)[])[];
}

type Attributes = Readonly<Record<string, string | number | undefined>>;

/** An SVG element. Numbers are rounded to 0.01. @param content - SVG, not escaped again */
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
 * Escapes text for HTML and SVG, as content or attribute. Control characters, which XML does not allow,
 * become U+FFFD.
 */
export function escapeText(text: string): string {
  return (
    text
      // oxlint-disable-next-line no-control-regex -- XML does not allow them
      .replace(/[\0-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]/g, "\ufffd")
      .replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
  );
}

export interface TextOptions {
  readonly anchor?: "start" | "middle" | "end";
  readonly kind?: "title" | "label" | "tick" | "value";
  /** rotation about the position, in degrees */
  readonly rotate?: number;
  /** maximum number of characters; longer text is cut with an ellipsis and shown in full in a tooltip */
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

/** Approximate width of a text of font size 12, in pixels. */
export function widthOf(content: string): number {
  return 6.6 * Array.from(content).length;
}

/** The frame of a plot, with its title. @param description - for screen readers */
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

/** Styles of the classes of plots; the page defines --ink, --faint, --line and --paper. */
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

const darkColours = ".plot{--ink:#e8eaed;--faint:#9aa3ad;--line:#3a4048;--paper:#14171c;background:#14171c}";

/** The picture as the content of an SVG file, with its styles. */
export function standaloneSvg({ svg }: Pick<Plot, "svg">): string {
  const darkStyle = `@media (prefers-color-scheme:dark){${darkColours}${darkRules(svg)}}`;
  return svg.replace(">", `><style>${plotStyle}\n${darkStyle}</style>`);
}

/**
 * Style rules for the colours of types, groups and samples in pictures that are others on a dark background.
 * @param svg - one picture, or a text with several
 * @param scope - selector of an element around the pictures
 */
export function darkRules(svg: string, scope = ""): string {
  const rules: string[] = [];
  for (const [colour, onDark] of coloursOnDark())
    for (const attribute of ["fill", "stroke"])
      if (svg.includes(`${attribute}="${colour}"`))
        rules.push(`${scope}.plot [${attribute}="${colour}"]{${attribute}:${onDark}}`);
  return rules.join("");
}
