// A report of the example: marker genes of unknown clusters as the library finds them, composition with the
// unknown cells, and a print that is white, whole and without controls.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { AnnData, findMarkers, makeReport, markerTable, ScPoli } from "../dist/index.js";
import { launchBrowser } from "./browser.ts";
import { temporaryFolder } from "./command.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = temporaryFolder();
const pictures = join(root, ".cache", "screenshots");
mkdirSync(pictures, { recursive: true });

const model = await ScPoli.load(join(root, "data", "models", "demo-blood-1.zip"));
const query = await AnnData.open(join(root, "data", "kang_query.h5ad"));
const output = join(folder, "mapped.h5ad");
const mapping = await model.map(query, { epochs: 20, unlabeledPrototypes: "leiden", output });
const mapped = await AnnData.open(output);
const html = await makeReport({ model: mapping.model, mapped });
writeFileSync(join(folder, "report.html"), html);

test("marker genes of the clusters like no known type are those of scpoli markers", async () => {
  const novel = mapping.summary().clusters!.filter(({ is_novel: isNovel }) => isNovel);
  assert.ok(novel.length > 0);
  const rows = markerTable(await findMarkers(mapped, { groups: "scpoli_cluster" }), { top: 25 });
  for (const { cluster, cells } of novel) {
    const line = new RegExp(`<h3>Cluster ${cluster}: ${cells} cells[^<]*</h3><p>([^<]*)</p>`).exec(html)![1]!;
    const expected = rows
      .filter((row) => row["group"] === String(cluster) && Number(row["log2_fold_change"]) > 0)
      .slice(0, 10)
      .map((row) => row["symbol"]);
    assert.deepEqual(line.split(", "), expected);
  }
});

test("the composition counts flagged cells as such: as many as the file has", () => {
  const section = /<section id="composition"[\s\S]*?<\/section>/.exec(html)![0];
  const [table] = /<table>[\s\S]*?<\/table>/.exec(section)!;
  const heads = [...table.matchAll(/<th[^>]*>([^<]*)<\/th>/g)].map(([, text]) => text);
  const column = heads.indexOf("unknown");
  assert.ok(column > 0, heads.join(", "));
  const counts = [...table.matchAll(/<tr>((?:<td.*?<\/td>)+)<\/tr>/g)].map(([, row]) =>
    Number([...row!.matchAll(/<td[^>]*>([^<]*)<\/td>/g)][column]![1]!.replace(",", "")),
  );
  assert.equal(
    counts.reduce((sum, n) => sum + n, 0),
    mapping.summary().levels[0]!.unknown,
  );
});

test("the legend of the cells counts unknown cells apart, as the page does", () => {
  const { colourings, reference } = JSON.parse(
    /<script type="application\/json" id="cell-data">(.*?)<\/script>/.exec(html)![1]!,
  ) as { colourings: { id: string; names: string[]; values: string }[]; reference: number };
  const { names, values } = colourings.find(({ id }) => id === "predicted-0")!;
  const codes = new Uint16Array(Uint8Array.from(atob(values), (sign) => sign.charCodeAt(0)).buffer);
  const counts = names.map(
    (_, code) => codes.subarray(reference).filter((cellCode) => cellCode === code).length,
  );
  const { predicted, unknown, unknown_by_type } = mapping.summary().levels[0]!;
  for (const [code, name] of names.entries())
    assert.equal(
      counts[code],
      name === "unknown" ? unknown : (predicted[name] ?? 0) - (unknown_by_type[name] ?? 0),
      name,
    );
});

test("no group without cells in the legend, light cells in print, a phone scrolls down only", async () => {
  const browser = await launchBrowser();
  after(() => browser.close());
  const context = await browser.newContext({
    colorScheme: "dark",
    viewport: { width: 390, height: 844 },
    isMobile: true,
  });
  const page = await context.newPage();
  await page.goto(pathToFileURL(join(folder, "report.html")).href);
  await page.waitForSelector("html.scripted #legend td");
  for (const row of await page.locator("#legend tr:has(td)").allInnerTexts())
    assert.match(row, /\t[\d,]*[1-9]/, "a type that only the labels of the file have has no row");
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
  // as a print does: the cells are drawn at once, and as before after it
  const corners = await page.evaluate(() =>
    ["", "beforeprint", "afterprint"].map((event) => {
      if (event !== "") dispatchEvent(new Event(event));
      const canvas = document.querySelector<HTMLCanvasElement>("#cells")!;
      return [...canvas.getContext("2d")!.getImageData(2, 2, 1, 1).data].slice(0, 3).join(" ");
    }),
  );
  assert.deepEqual(corners, ["20 23 28", "255 255 255", "20 23 28"]);
});

test("in print: white paper in the dark theme, no controls, nothing cut off", async () => {
  const browser = await launchBrowser();
  after(() => browser.close());
  const page = await (await browser.newContext({ colorScheme: "dark" })).newPage();
  await page.goto(pathToFileURL(join(folder, "report.html")).href);
  await page.waitForSelector("html.scripted");
  await page.emulateMedia({ media: "print", colorScheme: "dark" });
  // no named function in what the page evaluates: the loader of the tests would wrap it
  const [body, legend, ...hidden] = await page.evaluate(() =>
    ["body", ".legend", "nav", ".controls", "header label", "details"].map((selector) => {
      const { backgroundColor, color, display, maxHeight, overflowY, printColorAdjust } = getComputedStyle(
        document.querySelector(selector)!,
      );
      return { backgroundColor, color, display, maxHeight, overflowY, printColorAdjust };
    }),
  );
  assert.equal(body!.backgroundColor, "rgb(255, 255, 255)");
  assert.equal(body!.color, "rgb(28, 32, 36)");
  assert.equal(body!.printColorAdjust, "exact");
  assert.deepEqual(
    hidden.map(({ display }) => display),
    ["none", "none", "none", "none"],
  );
  assert.deepEqual([legend!.maxHeight, legend!.overflowY], ["none", "visible"]);
  const pdf = await page.pdf({ path: join(pictures, "report-print.pdf"), format: "A4" });
  const pages = pdf.toString("latin1").match(/\/Type\s*\/Page\b/g)!.length;
  assert.ok(pages >= 2 && pages < 30, `${pages} pages`);
  await page.emulateMedia({ media: "screen", colorScheme: "light" });
  await page.setViewportSize({ width: 1200, height: 900 });
  const least = await page.evaluate(() =>
    Math.min(
      ...[...document.querySelectorAll<SVGTextElement>(".plot text")]
        .filter((text) => text.ownerSVGElement!.clientWidth > 0)
        .map((text) => {
          const svg = text.ownerSVGElement!;
          return parseFloat(getComputedStyle(text).fontSize) * (svg.clientWidth / svg.viewBox.baseVal.width);
        }),
    ),
  );
  assert.ok(least >= 10.5, `${least} px is the smallest text of a chart`);
});
