// The page lists the models of its site: from the index that comes with it, and from one that a lab has put
// in its place. No request leaves the origin, and nothing is opened that differs from the index.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { pageHeaders } from "../dist/cli/app-headers.js";
import type { IndexEntry } from "../dist/cli/registry/index-file.js";
import { serveFolder } from "../dist/platform/node.js";
import { TestPage } from "./browser.ts";
import { temporaryFolder } from "./command.ts";
import { isIdle, launchDrawingBrowser, look, serve } from "./page-driver.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const browser = await launchDrawingBrowser();

test("the index that comes with the page lists the demo's model, which opens", async () => {
  const { page, errors, foreign } = await TestPage.open(browser, await serve());
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.getByText("1 model of this site").click();
  const row = await page.locator(".site-models li").innerText();
  for (const part of ["demo-blood 1", "Homo sapiens, blood", "1,156 cells", "1,500 genes", "7 cell types"])
    assert.ok(row.includes(part), `${part} in ${row}`);
  assert.match(row, /\d\.\d MB · licence MIT/);
  await look(page, "models-of-the-site");
  await page.getByRole("button", { name: "Open the model demo-blood 1" }).click();
  await page.locator(".data .name").getByText("demo-blood-1", { exact: true }).waitFor();
  await isIdle(page);
  assert.deepEqual(errors, []);
  assert.deepEqual(foreign, []);
});

describe("the index of a lab", () => {
  const site = join(temporaryFolder(), "site");
  let served: Awaited<ReturnType<typeof serveFolder>>;
  let url: string;
  let entry: IndexEntry;

  before(async () => {
    cpSync(join(root, "dist", "app"), site, { recursive: true });
    const content = readFileSync(join(root, "data", "models", "demo-blood-1.zip"));
    mkdirSync(join(site, "models", "files"));
    writeFileSync(join(site, "models", "files", "whole.zip"), content);
    writeFileSync(join(site, "models", "files", "cut.zip"), content.subarray(0, 5000));
    writeFileSync(join(site, "models", "files", "longer.zip"), Buffer.concat([content, content]));
    const changed = Buffer.from(content);
    changed[5000]! ^= 1;
    writeFileSync(join(site, "models", "files", "changed.zip"), changed);
    const { models } = JSON.parse(readFileSync(join(root, "data", "models", "index.json"), "utf8")) as {
      models: IndexEntry[];
    };
    entry = { ...models[0]!, urls: ["files/whole.zip"], licence: "", cells: null };
    assert.equal(entry.sha256, createHash("sha256").update(content).digest("hex"));
    served = await serveFolder(site, 0, pageHeaders);
    url = served.url;
  });

  after(() => served.close());

  /** Opens the page of a site with this index; null: without one. */
  async function open(index: string | null): Promise<TestPage> {
    const path = join(site, "models", "index.json");
    if (index === null) rmSync(path);
    else writeFileSync(path, index);
    const opened = await TestPage.open(browser, url);
    await opened.page.getByRole("heading", { name: "Reference model" }).waitFor();
    return opened;
  }
  const indexOf = (...models: readonly object[]): string => JSON.stringify({ format: 1, models });

  test("is read anew at each visit, the newest version first", async () => {
    const { page, errors, foreign } = await open(
      indexOf(...["1.9", "1.10"].map((version) => ({ ...entry, version })), {
        ...entry,
        name: "elsewhere",
        urls: ["https://models.example/atlas.zip"],
      }),
    );
    // a second visit is served by the service worker
    await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
    await page.reload();
    await page.getByText("3 models of this site").click();
    const names = await page.locator(".site-models li strong").allInnerTexts();
    assert.deepEqual(names, ["demo-blood", "demo-blood", "elsewhere"]);
    assert.match(
      await page.locator(".site-models li").first().innerText(),
      /demo-blood 1\.10[\s\S]*not given/,
    );
    assert.match(await page.locator(".site-models li").last().innerText(), /on another site/);
    assert.equal(await page.locator(".site-models button").count(), 2);
    await page.getByRole("button", { name: "Open the model demo-blood 1.10" }).click();
    await page.locator(".data .name").getByText("demo-blood-1.10", { exact: true }).waitFor();
    writeFileSync(join(site, "models", "index.json"), indexOf({ ...entry, name: "other" }));
    const second = await page.context().newPage();
    await second.goto(url);
    await second.getByText("1 model of this site").waitFor();
    assert.deepEqual(errors, []);
    assert.deepEqual(foreign, []);
  });

  test("with files that differ from it opens none of them", async () => {
    const files = ["changed", "cut", "longer", "nowhere"];
    const { page, foreign } = await open(
      indexOf(...files.map((name) => ({ ...entry, name, urls: [`files/${name}.zip`] }))),
    );
    await page.getByText("4 models of this site").click();
    for (const [name, says] of [
      ["changed", /changed\.zip has another checksum than the index gives; it was not opened/],
      ["cut", /cut\.zip has 5000 bytes instead of the \d+ that the index gives/],
      ["longer", /longer\.zip is larger than the \d+ bytes that the index gives/],
      ["nowhere", /There is no model at \/models\/files\/nowhere\.zip/],
    ] as const) {
      await page.getByRole("button", { name: `Open the model ${name} 1` }).click();
      await page.getByText(says).waitFor();
      await isIdle(page);
      assert.equal(await page.locator(".data .name").count(), 0, name);
    }
    assert.deepEqual(foreign, []);
  });

  test("that has a second address for a model falls back to it", async () => {
    const { page } = await open(indexOf({ ...entry, urls: ["files/nowhere.zip", "files/whole.zip"] }));
    await page.getByText("1 model of this site").click();
    await page.getByRole("button", { name: "Open the model demo-blood 1" }).click();
    await page.locator(".data .name").getByText("demo-blood-1", { exact: true }).waitFor();
  });

  test("that is damaged is reported; a web page in its place is no index", async () => {
    const damaged = await open('{"format": 1, "models": [{}]}');
    await damaged.page.getByText("The models of this site cannot be listed").waitFor();
    await damaged.page.getByText(/models\[0\]\.sha256 is not a string/).waitFor();
    const page = await open("<!doctype html><title>Start</title>");
    await page.page.waitForLoadState("networkidle");
    assert.equal(await page.page.locator(".site-models").count(), 0);
    assert.deepEqual(page.errors, []);
  });

  test("that is missing shows nothing", async () => {
    const { page, foreign } = await open(null);
    await page.waitForLoadState("networkidle");
    assert.equal(await page.locator(".site-models").count(), 0);
    assert.equal(await page.locator(".message").count(), 0);
    assert.deepEqual(foreign, []);
  });
});
