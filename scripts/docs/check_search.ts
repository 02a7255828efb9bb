// Checks the search of the built site (docs/.vitepress/dist) in a browser without a network: known words lead
// to the pages that explain them, and nothing is requested from another site. Exit code 1 if there are
// problems.
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { serveFolder } from "../../src/platform/server-node.ts";
import { launchBrowser } from "../../test/browser.ts";

const site = fileURLToPath(new URL("../../docs/.vitepress/dist", import.meta.url));

/** Words, and a page that must be among the results shown first. */
const searches = [
  ["unknown", "/tutorials/unknown-cells.html"],
  ["annotation", "/tutorials/map-patients.html"],
  ["Slurm", "/how-to/clusters.html"],
  ["model.pt", "/tutorials/from-scarches.html"],
] as const;
/** Results that a reader sees without scrolling far. */
const shown = 5;

const base = process.env["DOCS_BASE"] ?? "/";
const server = await serveFolder(site, 0, {});
const browser = await launchBrowser();
try {
  const context = await browser.newContext();
  const foreign: string[] = [];
  await context.route(
    (url) => url.origin !== new URL(server.url).origin,
    (route) => {
      foreign.push(route.request().url());
      return route.abort();
    },
  );
  const page = await context.newPage();
  await page.goto(server.url, { waitUntil: "networkidle" });
  for (const [words, expected] of searches) {
    const pages = await resultsOf(page, words);
    const rank = pages.indexOf(expected) + 1;
    console.log(`${words}: ${expected} is result ${rank || "-"}`);
    if (rank === 0 || rank > shown) {
      process.exitCode = 1;
      console.error(`'${words}' leads to ${pages.slice(0, shown).join(", ") || "nothing"}`);
    }
  }
  console.log(`${foreign.length} requests to other sites`);
  for (const url of foreign) console.error(url);
  if (foreign.length > 0) process.exitCode = 1;
} finally {
  await browser.close();
  await server.close();
}

/** Types words into the search box. @returns paths of the pages found, best first, each once */
async function resultsOf(page: Page, words: string): Promise<string[]> {
  await page.locator(".DocSearch-Button").first().click();
  await page.locator(".VPLocalSearchBox .search-input").fill(words);
  await page.locator(".VPLocalSearchBox .result").first().waitFor({ timeout: 20_000 });
  await page.waitForTimeout(500); // the list follows the last letter
  const links = await page
    .locator(".VPLocalSearchBox .result")
    .evaluateAll((results) => results.map((result) => (result as HTMLAnchorElement).pathname));
  await page.keyboard.press("Escape");
  return [...new Set(links.map((path) => `/${path.slice(base.length)}`))];
}
