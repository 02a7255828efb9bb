// A large query in the built page: opened, mapped, drawn, panned, selected by a lasso, recoloured. Part of
// bench/browser.ts. The canvas of the cells counts its frames; without a graphics card the processor draws
// them (SwiftShader), so a computer with one is faster.
import { execFileSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Locator, Page } from "playwright-core";
import { pageHeaders } from "../dist/cli/app-headers.js";
import { serveFolder } from "../dist/platform/server-node.js";
import { launchBrowser } from "../test/browser.ts";
import { memoryBelow } from "./browser-page.ts";
import { simulate } from "./simulate.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

export interface Drawn {
  readonly cells: number;
  /** seconds from the choice of the file until its content is shown */
  readonly opened: number;
  /** seconds from the click on "Map the cells" until the cells are labelled and drawn */
  readonly drawn: number;
  /** frames per second while the mouse drags the cells */
  readonly panFrames: number;
  /** frames of the page per second while a lasso is drawn */
  readonly lassoFrames: number;
  /** seconds from the end of each gesture until the cells have their new colours */
  readonly lassoed: number;
  readonly brushed: number;
  readonly threshold: number;
  /** seconds from the click until a gene's expression, read from the file, colours the cells */
  readonly gene: number;
  /** peak memory of all processes of the browser, in bytes */
  readonly memory: number;
}

/**
 * Creates missing inputs in a folder: a query with new samples, and a model with landmarks.
 */
async function inputs(
  folder: string,
  reference: string,
  cells: number,
  genes: number,
): Promise<{ readonly query: string; readonly model: string }> {
  const [query, model] = [
    join(folder, `query-${cells}.h5ad`),
    join(folder, `drawn-model-of-${basename(reference, ".h5ad")}`),
  ];
  if (!existsSync(query)) await simulate(query, { cells, genes }, 4);
  if (!existsSync(join(model, "model.json"))) {
    rmSync(model, { recursive: true, force: true });
    execFileSync(
      process.execPath,
      [
        join(root, "dist/cli.js"),
        "train",
        reference,
        "-o",
        model,
        "--condition-key",
        "batch",
        "--cell-type-key",
        "cell_type",
        "--epochs",
        "3",
        "--quiet",
      ],
      { stdio: "ignore" },
    );
  }
  return { query, model };
}

const seconds = async (run: () => Promise<unknown>): Promise<number> => {
  const start = performance.now();
  await run();
  return (performance.now() - start) / 1000;
};
const isIdle = (page: Page): Promise<unknown> =>
  page.waitForFunction(() => document.querySelector(".job") === null, null, { timeout: 400_000 });
const framesOf = (page: Page): Promise<number> =>
  page.evaluate(() =>
    Number(document.querySelector<HTMLElement>(".cells > .plot-place canvas")?.dataset["frames"] ?? 0),
  );
/** Seconds from an action until the cells are redrawn. */
const untilDrawn = async (page: Page, action: () => Promise<unknown>): Promise<number> => {
  const before = await framesOf(page);
  return seconds(async () => {
    await action();
    await page.waitForFunction(
      (frames) =>
        Number(document.querySelector<HTMLElement>(".cells > .plot-place canvas")!.dataset["frames"]) >
        frames,
      before,
      { polling: "raf", timeout: 120_000 },
    );
  });
};

async function chooseFiles(page: Page, role: string, button: RegExp, paths: string): Promise<void> {
  const [chooser] = await Promise.all([
    page.waitForEvent("filechooser"),
    page.locator(`[data-role=${role}]`).getByRole("button", { name: button }).click(),
  ]);
  await chooser.setFiles(paths);
}

/**
 * Presses the mouse button at the first of some positions in an element, and moves to the others for some
 * seconds.
 * @returns frames per second; the button stays down
 */
async function drag(
  page: Page,
  place: Locator,
  at: (share: number) => readonly [number, number],
  durationSeconds: number,
  frames: (page: Page) => Promise<number>,
): Promise<number> {
  const box = (await place.boundingBox())!;
  const move = (share: number): Promise<void> => {
    const [x, y] = at(share);
    return page.mouse.move(box.x + x * box.width, box.y + y * box.height);
  };
  await move(0);
  await page.mouse.down();
  const [start, before] = [performance.now(), await frames(page)];
  for (let share = 0; share < 1; share = (performance.now() - start) / 1000 / durationSeconds)
    await move(Math.min(1, share));
  return ((await frames(page)) - before) / ((performance.now() - start) / 1000);
}

/** Frames of the whole page, counted by itself. */
async function countPageFrames(page: Page): Promise<(page: Page) => Promise<number>> {
  await page.evaluate(
    "pageFrames = 0; requestAnimationFrame(function count() { pageFrames++; requestAnimationFrame(count); })",
  );
  return (counted) => counted.evaluate<number>("pageFrames");
}

/** Frames per second of dragging, and seconds until the page shows a change, on a mapped query. */
async function interactionSpeed(
  page: Page,
): Promise<Pick<Drawn, "panFrames" | "lassoFrames" | "lassoed" | "brushed" | "threshold" | "gene">> {
  const plot = page.locator(".plot-place");
  const panFrames = await drag(
    page,
    plot,
    (share) => [0.5 + 0.3 * Math.sin(12 * share), 0.5 + 0.2 * Math.sin(8 * share)],
    4,
    framesOf,
  );
  await page.mouse.up();
  await page.getByRole("button", { name: "Reset view" }).click();
  await page.getByRole("button", { name: /Lasso/ }).click();
  const pageFrames = await countPageFrames(page);
  const lassoFrames = await drag(
    page,
    plot,
    (share) => [0.5 + 0.35 * Math.cos(6.2 * share), 0.5 + 0.4 * Math.sin(6.2 * share)],
    4,
    pageFrames,
  );
  const lassoed = await untilDrawn(page, () => page.mouse.up());
  await page.getByRole("button", { name: "Clear selection" }).click();
  const threshold = await untilDrawn(page, () => page.getByRole("slider").fill("0.3"));
  const samples = page.locator(".brushed");
  await samples.scrollIntoViewIfNeeded();
  await drag(page, samples, (share) => [0.16 + 0.8 * share, 0.06 + 0.76 * share], 1, pageFrames);
  const brushed = await untilDrawn(page, () => page.mouse.up());
  await page.getByLabel("or by a gene").fill("gene7");
  const gene = await untilDrawn(page, () => page.getByRole("button", { name: "Show", exact: true }).click());
  return { panFrames, lassoFrames, lassoed, threshold, brushed, gene };
}

/** @param reference - file of the cells that the model is trained on, once */
export async function drawnSpeed(
  folder: string,
  reference: string,
  cells: number,
  genes: number,
): Promise<Drawn> {
  const { query, model } = await inputs(folder, reference, cells, genes);
  const served = await serveFolder(join(root, "dist/app"), 0, pageHeaders);
  const browser = await launchBrowser(["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]);
  let memory = 0;
  const timer = setInterval(() => (memory = Math.max(memory, memoryBelow(process.pid))), 250);
  try {
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 }, serviceWorkers: "block" });
    await page.goto(served.url);
    await chooseFiles(page, "model", /a folder/, model);
    await page.locator(".name", { hasText: "drawn-model" }).waitFor();
    await isIdle(page);
    const shown = page.getByRole("button", { name: `Map ${cells.toLocaleString("en-US")} cells onto` });
    const opened = await seconds(async () => {
      await chooseFiles(page, "query", /a file/, query);
      await shown.waitFor({ timeout: 120_000 });
      await isIdle(page);
    });
    await shown.click();
    const drawn = await seconds(async () => {
      await page.getByRole("button", { name: "Map the cells" }).click();
      await page.waitForFunction(
        () =>
          Number(document.querySelector<HTMLElement>(".cells > .plot-place canvas")?.dataset["frames"] ?? 0) >
          0,
        null,
        { polling: "raf", timeout: 400_000 },
      );
      await isIdle(page);
    });
    return { cells, opened, drawn, ...(await interactionSpeed(page)), memory };
  } finally {
    clearInterval(timer);
    await browser.close();
    await served.close();
  }
}
