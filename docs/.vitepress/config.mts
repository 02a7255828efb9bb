// The documentation's site: built into docs/.vitepress/dist, with its search index inside, so that it works
// offline.
import { readFileSync, readdirSync } from "node:fs";
import { defineConfig, type DefaultTheme } from "vitepress";

const docs = new URL("..", import.meta.url);
const base = process.env["DOCS_BASE"] ?? "/";

/** A page under its first heading. @param page - its path without .md */
function item(page: string): DefaultTheme.SidebarItem {
  const text = readFileSync(new URL(`${page}.md`, docs), "utf8");
  return { text: /^# (.*)$/m.exec(text)?.[1]?.replaceAll("`", "") ?? page, link: `/${page}` };
}

/** Pages of a folder, in the order given. */
const items = (folder: string, ...names: string[]): DefaultTheme.SidebarItem[] =>
  names.map((name) => item(`${folder}/${name}`));

/** The pages of a folder by name, the index left out. */
function itemsOf(folder: string): DefaultTheme.SidebarItem[] {
  const names = readdirSync(new URL(`${folder}/`, docs)).filter(
    (name) => name.endsWith(".md") && name !== "index.md",
  );
  return names.sort().map((name) => item(`${folder}/${name.slice(0, -3)}`));
}

/** The id of a heading: names of code keep their underscores, as links of the API's reference have them. */
function slugify(heading: string): string {
  return heading
    .normalize("NFKD")
    .replace(/[\u0300-\u036f]/g, "")
    .toLowerCase()
    .replace(/[^\p{L}\p{N}_]+/gu, "-")
    .replace(/^-+|-+$/g, "");
}

/** The pages, in the order of the sidebar. */
const groups: readonly { folder: string; text: string; items: DefaultTheme.SidebarItem[] }[] = [
  { folder: "start", text: "Start", items: items("start", "install", "five-minutes", "page") },
  {
    folder: "tutorials",
    text: "Tutorials",
    items: items(
      "tutorials",
      ...["map-patients", "unknown-cells", "samples", "atac", "species", "from-scarches", "from-seurat"],
    ),
  },
  {
    folder: "how-to",
    text: "How-to",
    items: items(
      "how-to",
      ...["files-and-counts", "memory", "read-results", "share-models", "model-registry"],
      ...["clusters", "federated", "expression", "browser", "troubleshooting"],
    ),
  },
  {
    folder: "explanation",
    text: "Explanation",
    items: items(
      "explanation",
      ...["model", "mapping", "prototypes", "uncertainty-and-novelty", "samples"],
      ...["markers-and-comparisons", "differences", "terms"],
    ),
  },
  {
    folder: "reference",
    text: "Reference",
    items: [
      {
        text: "Command line",
        link: "/reference/command-line/",
        items: itemsOf("reference/command-line"),
        collapsed: true,
      },
      ...items("reference", "library"),
      ...items("reference", "python", "formats", "inputs", "metrics"),
    ],
  },
  {
    folder: "benchmarks",
    text: "Benchmarks",
    items: items(
      "benchmarks",
      ...["quality", "labels", "samples", "sample-uncertainty", "markers-and-comparisons", "modalities"],
      ...["evaluation", "defaults", "speed", "scale", "browser", "costs", "scale-out", "rounds", "cluster"],
      "data-sets",
    ),
  },
];

/** Weight of a page in the search: tutorials come before options, and options before members of the library. */
function searchWeight(id: string): number {
  if (id.includes("/reference/api/")) return 0.1;
  if (/\/(tutorials|start)\//.test(id)) return 3;
  return /\/(how-to|explanation)\//.test(id) ? 1.5 : 1;
}

/** The sidebar on the pages of a folder: its group is open, and the tutorials on the first pages. */
function sidebarOf(folder: string): DefaultTheme.SidebarItem[] {
  return groups.map((group) => ({
    text: group.text,
    items: group.items,
    collapsed: group.folder !== folder && !(folder === "start" && group.folder === "tutorials"),
  }));
}

export default defineConfig({
  title: "scpoli",
  description:
    "Build single-cell references, map patients onto them, and analyse samples: scPoli for AnnData files",
  base,
  cleanUrls: false,
  lastUpdated: false,
  // Angle brackets in the text are names of columns and types, never HTML.
  markdown: { html: false, anchor: { slugify } },
  // The generated reference is most of the site; its chunks are as large as they are.
  vite: { build: { chunkSizeWarningLimit: 4000 } },
  head: [
    ["meta", { name: "referrer", content: "no-referrer" }],
    // the page is part of the site (docs:app)
    ["link", { rel: "icon", href: `${base}app/icon.svg` }],
  ],
  // The members of the library are not in the sidebar, so they have no neighbours in it.
  transformPageData(page) {
    if (page.relativePath.startsWith("reference/api/"))
      Object.assign(page.frontmatter, { prev: false, next: false });
  },
  themeConfig: {
    search: {
      provider: "local",
      options: {
        miniSearch: {
          searchOptions: {
            boostDocument: searchWeight,
          },
        },
      },
    },
    outline: [2, 3],
    nav: [
      { text: "Start", link: "/start/install", activeMatch: "/start/" },
      { text: "Tutorials", link: "/tutorials/map-patients", activeMatch: "/tutorials/" },
      { text: "How-to", link: "/how-to/files-and-counts", activeMatch: "/how-to/" },
      { text: "Explanation", link: "/explanation/model", activeMatch: "/explanation/" },
      { text: "Reference", link: "/reference/command-line/", activeMatch: "/reference/" },
      { text: "Benchmarks", link: "/benchmarks/quality", activeMatch: "/benchmarks/" },
    ],
    sidebar: Object.fromEntries(groups.map(({ folder }) => [`/${folder}/`, sidebarOf(folder)])),
    footer: { message: "MIT licence. The method: De Donno et al., Nature Methods 2023." },
  },
});
