// How fast 200,000 points pan in a report, in this machine's Chromium without a graphics card: frames per
// second over a drag of two seconds, and the size of the file. Writes bench/results/report.csv.
//   npm run bench:report
import { mkdtempSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import { Random } from "../dist/numerics/random.js";
import { cellViewData, cellViewHtml } from "../dist/report/cell-view.js";
import type { QueryCells, ReferenceCells } from "../dist/report/cells.js";
import { pageHtml } from "../dist/report/html.js";

const [cells, landmarks, types] = [Number(process.argv[2] ?? 180_000), 20_000, 30];
const random = new Random(0, "bench");
const names = Array.from({ length: types }, (_, i) => `type ${i}`);
const centres = names.map(() => [10 * random.normal(), 10 * random.normal()] as const);
function blob(count: number): { codes: Int32Array; umap: Float32Array } {
  const codes = Int32Array.from({ length: count }, () => random.below(types));
  return {
    codes,
    umap: Float32Array.from(
      { length: 2 * count },
      (_, at) => centres[codes[at >> 1]!]![at & 1]! + random.normal(),
    ),
  };
}
const [query, reference] = [blob(cells), blob(landmarks)];
const uncertainty = Float64Array.from({ length: cells }, () => random.uniform());
const mapped: QueryCells = {
  cells,
  umap: query.umap,
  conditions: [
    { key: "donor", column: "donor", names: ["a", "b"], codes: query.codes.map((code) => code % 2) },
  ],
  verdict: null,
  clusters: [],
  facts: {},
  levels: [
    {
      key: "cell_type",
      types: names,
      predicted: query.codes,
      uncertainty,
      probability: uncertainty,
      novelty: null,
      notFlagged: null,
      unknown: new Uint8Array(cells),
      threshold: 0.5,
      uncertaintyBy: "distance",
      given: null,
    },
  ],
};
const model: ReferenceCells = {
  cells: landmarks,
  umap: reference.umap,
  conditions: [],
  labels: [
    {
      key: "cell_type",
      names,
      codes: reference.codes,
      uncertainty: new Float32Array(landmarks),
      nearest: reference.codes,
    },
  ],
  prototypes: [],
};
const path = join(mkdtempSync(join(tmpdir(), "scpoli-bench-")), "report.html");
writeFileSync(
  path,
  await pageHtml(
    "bench",
    "",
    [{ id: "cells-view", title: "Cells", content: cellViewHtml(cellViewData(model, mapped, [])!, mapped) }],
    "",
  ),
);

const browser = await chromium.launch({
  executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});
const page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
await page.addInitScript("globalThis.__name = (value) => value"); // what tsx calls for named functions
await page.goto(pathToFileURL(path).href);
await page.waitForSelector("html.scripted");
/** Simulates a drag. Each frame waits for the previous one, so that the rate is that of drawing alone. */
const result = await page.evaluate(async () => {
  const canvas = document.querySelector<HTMLCanvasElement>("#cells")!;
  const send = (type: string, x: number): boolean =>
    canvas.dispatchEvent(
      new PointerEvent(type, {
        pointerId: 1,
        clientX: canvas.getBoundingClientRect().left + x,
        clientY: canvas.getBoundingClientRect().top + 200,
        bubbles: true,
      }),
    );
  canvas.setPointerCapture = () => undefined;
  send("pointerdown", 300);
  const times: number[] = [];
  const start = performance.now();
  while (performance.now() - start < 2000) {
    send("pointermove", 300 + 100 * Math.sin(performance.now() / 200));
    times.push(await new Promise<number>((done) => requestAnimationFrame(done)));
  }
  send("pointerup", 300);
  const gaps = times
    .slice(1)
    .map((time, i) => time - times[i]!)
    .sort((a, b) => a - b);
  return {
    frames: (1000 * gaps.length) / gaps.reduce((sum, gap) => sum + gap, 0),
    median: 1000 / gaps[gaps.length >> 1]!,
    slowest: gaps.at(-1)!,
    pixels: `${canvas.width} x ${canvas.height}`,
  };
});
await browser.close();
const timings = [result.frames, result.median, result.slowest].map((value) => value.toFixed(1));
const rows = [
  "points,canvas,frames_per_second,median_frames_per_second,slowest_frame_ms,file_mb",
  [cells + landmarks, result.pixels, ...timings, (statSync(path).size / 1e6).toFixed(2)].join(","),
];
console.log(rows.join("\n"));
writeFileSync(new URL("results/report.csv", import.meta.url), `${rows.join("\n")}\n`);
