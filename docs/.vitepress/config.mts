// The documentation's site: built into docs/.vitepress/dist, with its search index inside, so that it works offline.
import { readFileSync, readdirSync } from "node:fs";
import { defineConfig, type DefaultTheme } from "vitepress";

const docs = new URL("..", import.meta.url);

/** A page under its first heading. @param page - its path without .md */
function item(page: string): DefaultTheme.SidebarItem {
  const text = readFileSync(new URL(`${page}.md`, docs), "utf8");
  return { text: /^# (.*)$/m.exec(text)?.[1]?.replaceAll("`", "") ?? page, link: `/${page}` };
}

/** The pages of a folder by name, the index left out. */
function itemsOf(folder: string): DefaultTheme.SidebarItem[] {
  const names = readdirSync(new URL(`${folder}/`, docs)).filter(
    (name) => name.endsWith(".md") && name !== "index.md",
  );
  return names.sort().map((name) => item(`${folder}/${name.slice(0, -3)}`));
}

export default defineConfig({
  title: "scpoli",
  description:
    "Build single-cell references, map patients onto them, and analyse samples: scPoli for AnnData files",
  base: process.env["DOCS_BASE"] ?? "/",
  cleanUrls: false,
  lastUpdated: false,
  // Angle brackets in the text are names of columns and types, never HTML.
  markdown: { html: false },
  head: [["meta", { name: "referrer", content: "no-referrer" }]],
  themeConfig: {
    search: { provider: "local" },
    outline: [2, 3],
    nav: [
      { text: "Start", link: "/start/install" },
      { text: "Tutorials", link: "/tutorials/map-patients" },
      { text: "How-to", link: "/how-to/files-and-counts" },
      { text: "Explanation", link: "/method" },
      { text: "Reference", link: "/reference/command-line/" },
      { text: "Benchmarks", link: "/quality" },
    ],
    sidebar: [
      { text: "Start", items: ["start/install", "start/five-minutes", "start/page"].map(item) },
      {
        text: "Tutorials",
        items: ["tutorials/map-patients", "tutorials/unknown-cells", "tutorials/samples"].map(item),
      },
      {
        text: "How-to",
        items: [...itemsOf("how-to"), ...["python", "r", "models", "scale-out", "federated"].map(item)],
      },
      { text: "Explanation", items: ["method", "differences", "evaluation", "defaults"].map(item) },
      {
        text: "Reference",
        items: [
          {
            text: "Command line",
            link: "/reference/command-line/",
            items: itemsOf("reference/command-line"),
            collapsed: true,
          },
          { text: "Library", link: "/reference/api/" },
          ...["formats", "inputs"].map(item),
        ],
      },
      {
        text: "Benchmarks",
        items: ["quality", "labels", "performance", "samples", "answers", "modalities", "browser"].map(item),
      },
    ],
    footer: { message: "MIT licence. The method: De Donno et al., Nature Methods 2023." },
  },
});
