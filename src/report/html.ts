// The HTML page of a report: one file that loads nothing. Its Content-Security-Policy allows only the inline
// script and style, by their hashes.
import { reportMark } from "../anndata/output-file.js";
import { darkRules, escapeText, plotStyle, type Plot, type PlotTable } from "../plots/svg.js";
import { reportStyle, viewerScript } from "./viewer.generated.js";

export interface Section {
  readonly id: string;
  readonly title: string;
  /** HTML */
  readonly content: string;
}

/** @param lead - a sentence below the title */
export async function pageHtml(
  title: string,
  lead: string,
  sections: readonly Section[],
  foot: string,
): Promise<string> {
  const body = sections.map(sectionHtml).join("\n");
  // on screen: prints are on white
  const darkStyle =
    `@media screen and (prefers-color-scheme:dark){${darkRules(body, ":root:not([data-theme=light]) ")}}\n` +
    `@media screen{${darkRules(body, ":root[data-theme=dark] ")}}`;
  const style = `${reportStyle}\n${plotStyle}\n${darkStyle}`;
  const policy =
    `default-src 'none'; script-src '${await hashOf(viewerScript)}'; ` +
    `style-src '${await hashOf(style)}'; base-uri 'none'; form-action 'none'`;
  const links = sections.map(({ id, title: name }) => `<a href="#${id}">${escapeText(name)}</a>`).join("\n");
  const theme =
    '<label>Theme <select id="theme"><option value="auto">System</option>' +
    '<option value="light">Light</option><option value="dark">Dark</option></select></label>';
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
${reportMark}
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeText(title)}</title>
<style>${style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
<header><h1>${escapeText(title)}</h1><p>${escapeText(lead)}</p>${theme}</header>
<nav aria-label="sections"><div>${links}</div></nav>
<main id="main">
${body}
</main>
<footer><p>${escapeText(foot)}</p></footer>
<script>${viewerScript}</script>
</body>
</html>
`;
}

function sectionHtml({ id, title, content }: Section): string {
  return (
    `<section id="${id}" aria-labelledby="${id}-title"><h2 id="${id}-title">${escapeText(title)}</h2>\n` +
    `${content}\n</section>`
  );
}

/** A plot with its numbers as a table. @param attributes - HTML attributes of the figure */
export function figure({ title, svg, table }: Plot, attributes = ""): string {
  const region = `<div class="scroll" tabindex="0" role="region" aria-label="${escapeText(title)}">`;
  return `<figure${attributes}>${region}${svg}</div>${foldedTable(`Table: ${title}`, table)}</figure>`;
}

/** Plots in a grid; empty without plots. */
export function figures(plots: readonly Plot[]): string {
  return plots.length === 0 ? "" : `<div class="figures">${plots.map((plot) => figure(plot)).join("")}</div>`;
}

/** Several plots of which a select shows one; without JavaScript all are shown. */
export function choice(
  id: string,
  label: string,
  options: readonly { readonly name: string; readonly plot: Plot }[],
): string {
  const list = options.map(({ name }, i) => `<option value="${i}">${escapeText(name)}</option>`).join("");
  const select = `<select data-choice="${id}">${list}</select>`;
  const plots = options.map(({ plot }, i) => figure(plot, ` data-of="${id}" data-option="${i}"`));
  return `<div class="choice" hidden><label>${escapeText(label)} ${select}</label></div>` + plots.join("");
}

/** A table that a click unfolds. */
export function foldedTable(title: string, table: PlotTable): string {
  const name = escapeText(title);
  const region = `<div class="tall" tabindex="0" role="region" aria-label="${name}">`;
  return `<details><summary>${name}</summary>${region}${tableHtml(table)}</div></details>`;
}

export function tableHtml({ columns, rows }: PlotTable): string {
  const isNumber = columns.map(
    (_, column) =>
      rows.length > 0 && rows.every((row) => typeof row[column] === "number" || row[column] === ""),
  );
  const cell = (tag: "td" | "th", value: string | number, column: number): string => {
    const attributes = `${tag === "th" ? ' scope="col"' : ""}${isNumber[column] ? ' class="number"' : ""}`;
    const content = typeof value === "number" ? shortNumber(value) : escapeText(value);
    return `<${tag}${attributes}>${content}</${tag}>`;
  };
  const rowHtml = (tag: "td" | "th", row: readonly (string | number)[]): string =>
    `<tr>${row.map((value, i) => cell(tag, value, i)).join("")}</tr>`;
  const body = rows.map((row) => rowHtml("td", row)).join("\n");
  return `<table><thead>${rowHtml("th", columns)}</thead><tbody>${body}</tbody></table>`;
}

function shortNumber(value: number): string {
  if (!Number.isFinite(value)) return "";
  return Number.isInteger(value)
    ? value.toLocaleString("en-US")
    : escapeText(String(Number(value.toPrecision(4))));
}

async function hashOf(text: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return `sha256-${btoa(String.fromCharCode(...digest))}`;
}
