// Drives the page in Chromium for tests: opens and drops files, chooses options, checks states. Screenshots
// of every state, in both themes, are left in .cache/screenshots.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import type { Browser, Download, Locator, Page } from "playwright-core";
import { launchBrowser } from "./browser.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
export const screenshots = join(root, ".cache", "screenshots");
mkdirSync(screenshots, { recursive: true });
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** A browser that draws WebGL without a graphics card. */
export async function launchDrawingBrowser(): Promise<Browser> {
  const browser = await launchBrowser(["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]);
  after(() => browser.close());
  return browser;
}

/** Starts `scpoli app`. @returns the page's address */
export function serve(): Promise<string> {
  const server = spawn(process.execPath, [join(root, "dist", "cli.js"), "app", "--port", "0"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  after(() => void server.kill());
  return new Promise((resolve, reject) => {
    server.stdout.once("data", (text: Buffer) => resolve(text.toString().trim()));
    server.once("exit", (code) => reject(new Error(`scpoli app ended with ${code}`)));
  });
}

export const isIdle = (page: Page): Promise<unknown> =>
  page.waitForFunction(() => document.querySelector(".job") === null, null, { timeout: 120_000 });

/** Looks at a state in both themes: a screenshot of each, and no serious fault found by axe. */
export async function look(page: Page, name: string): Promise<void> {
  for (const theme of ["light", "dark"]) {
    const button = page.getByRole("button", { name: `Switch to the ${theme} theme` });
    if (await button.count()) await button.click();
    await page.mouse.move(700, 895);
    await page.waitForTimeout(150);
    await page.screenshot({ path: join(screenshots, `${name}-${theme}.png`) });
    await page.evaluate(axe);
    const faults = await page.evaluate(async () => {
      const { violations } = await (
        globalThis as unknown as {
          axe: {
            run(): Promise<{
              violations: { id: string; impact: string; nodes: { html: string; failureSummary: string }[] }[];
            }>;
          };
        }
      ).axe.run();
      return violations
        .filter(({ impact }) => impact === "serious" || impact === "critical")
        .map(
          ({ id, nodes }) =>
            `${id}: ${nodes[0]!.html.slice(0, 200)} ${nodes[0]!.failureSummary.slice(0, 300)}`,
        );
    });
    assert.deepEqual(faults, [], `${name}, ${theme}`);
  }
  await page.getByRole("button", { name: "Switch to the light theme" }).click();
}

/** Drops files, or a folder, on an element. */
export async function choose(
  page: Page,
  role: "query" | "reference" | "model",
  what: RegExp,
  paths: string | string[],
): Promise<void> {
  const [chooser] = await Promise.all([
    page.waitForEvent("filechooser"),
    page.locator(`[data-role=${role}]`).getByRole("button", { name: what }).click(),
  ]);
  await chooser.setFiles(paths);
  await page.waitForTimeout(100);
  await isIdle(page);
}

/** Saves by a button of the page Save. @returns the path of what was saved */
export async function save(page: Page, id: string, folder: string): Promise<string> {
  return saved(page, page.locator(`#save-${id}`), folder);
}

/** Clicks what hands out a file. @returns its path */
export async function saved(page: Page, button: Locator, folder: string): Promise<string> {
  const [download] = (await Promise.all([page.waitForEvent("download"), button.click()])) as [Download, void];
  const path = join(folder, download.suggestedFilename());
  await download.saveAs(path);
  return path;
}

/** Opens options and fills them in. */
export async function fill(
  page: Page,
  summary: string,
  fields: Readonly<Record<string, string>>,
  choices: Readonly<Record<string, string>> = {},
): Promise<void> {
  await page.getByText(summary).click();
  const field = (label: string, element: string) =>
    page
      .locator(".fields label")
      .filter({ has: page.getByText(label, { exact: true }) })
      .locator(element);
  for (const [label, value] of Object.entries(fields)) await field(label, "input").fill(value);
  for (const [label, value] of Object.entries(choices)) await field(label, "select").selectOption(value);
}

export const step = (page: Page, name: string) =>
  page.getByRole("navigation", { name: "Steps" }).getByRole("button", { name, exact: true });

/** Drags files and folders of this machine onto a place of the page and lets them go. */
export async function drop(
  page: Page,
  place: Locator,
  files: readonly string[],
  { isBusy = false }: { readonly isBusy?: boolean } = {},
): Promise<void> {
  const box = (await place.boundingBox())!;
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const session = await page.context().newCDPSession(page);
  for (const type of ["dragEnter", "dragOver", "drop"] as const)
    await session.send("Input.dispatchDragEvent", {
      type,
      x,
      y,
      data: { items: [], files: [...files], dragOperationsMask: 1 },
    });
  await session.detach();
  await page.waitForTimeout(100);
  if (!isBusy) await isIdle(page);
}

/**
 * Draws with the mouse over a place: from the first corner to the last, each as shares of its width and
 * height.
 */
export async function draw(
  page: Page,
  place: Locator,
  corners: readonly (readonly [number, number])[],
): Promise<void> {
  const box = (await place.boundingBox())!;
  for (const [i, [x, y]] of corners.entries()) {
    await page.mouse.move(box.x + x * box.width, box.y + y * box.height, { steps: 4 });
    if (i === 0) await page.mouse.down();
  }
  await page.mouse.up();
}
