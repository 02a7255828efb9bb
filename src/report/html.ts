// The page around a report: one file that asks for nothing. Its Content-Security-Policy lets in its own
// script and style, by their hashes, and forbids all else.
import { reportMark } from "../anndata/output-file.js";
import { escapeText, plotStyle, type Plot, type PlotTable } from "../plots/svg.js";
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
  const style = `${reportStyle}\n${plotStyle}`;
  const policy = `default-src 'none'; script-src '${await hashOf(viewerScript)}'; style-src '${await hashOf(style)}'; base-uri 'none'; form-action 'none'`;
  const links = sections.map(({ id, title: name }) => `<a href="#${id}">${escapeText(name)}</a>`).join("\n");
  const theme = `<label>Theme <select id="theme"><option value="auto">System</option><option value="light">light</option><option value="dark">dark</option></select></label>`;
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
${sections.map(({ id, title: name, content }) => `<section id="${id}" aria-labelledby="${id}-title"><h2 id="${id}-title">${escapeText(name)}</h2>\n${content}\n</section>`).join("\n")}
</main>
<footer><p>${escapeText(foot)}</p></footer>
<script>${viewerScript}</script>
</body>
</html>
`;
}

/** A plot with its numbers as a table. @param attributes - of the figure, HTML */
export function figure({ title, svg, table }: Plot, attributes = ""): string {
  return `<figure${attributes}><div class="scroll" tabindex="0" role="region" aria-label="${escapeText(title)}">${svg}</div>${foldedTable(`Table: ${title}`, table)}</figure>`;
}

/** Plots beside each other where there is room; nothing for none. */
export function figures(plots: readonly Plot[]): string {
  return plots.length === 0 ? "" : `<div class="figures">${plots.map((plot) => figure(plot)).join("")}</div>`;
}

/** One of several plots at a time, by a choice; all of them without a script. */
export function choice(
  id: string,
  label: string,
  options: readonly { readonly name: string; readonly plot: Plot }[],
): string {
  const list = options.map(({ name }, i) => `<option value="${i}">${escapeText(name)}</option>`).join("");
  return `<div class="choice" hidden><label>${escapeText(label)} <select data-choice="${id}">${list}</select></label></div>${options.map(({ plot }, i) => figure(plot, ` data-of="${id}" data-option="${i}"`)).join("")}`;
}

export function foldedTable(title: string, table: PlotTable): string {
  return `<details><summary>${escapeText(title)}</summary><div class="tall" tabindex="0" role="region" aria-label="${escapeText(title)}">${tableHtml(table)}</div></details>`;
}

export function tableHtml({ columns, rows }: PlotTable): string {
  const isNumber = columns.map(
    (_, column) =>
      rows.length > 0 && rows.every((row) => typeof row[column] === "number" || row[column] === ""),
  );
  const cell = (tag: "td" | "th", value: string | number, column: number): string =>
    `<${tag}${tag === "th" ? ' scope="col"' : ""}${isNumber[column] ? ' class="number"' : ""}>${typeof value === "number" ? shortNumber(value) : escapeText(value)}</${tag}>`;
  return `<table><thead><tr>${columns.map((name, i) => cell("th", name, i)).join("")}</tr></thead><tbody>${rows.map((row) => `<tr>${row.map((value, i) => cell("td", value, i)).join("")}</tr>`).join("\n")}</tbody></table>`;
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
