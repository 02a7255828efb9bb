// The page as a user has it: the built static files, served by `scpoli app`, in Chromium. Screenshots of every state, in both themes, are left in .cache/screenshots.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { unzipSync } from "fflate";
import type { Download, Page } from "playwright-core";
import { AnnData, ScPoli, writeH5ad } from "../dist/index.js";
import { launchBrowser, TestPage } from "./browser.ts";
import { temporaryFolder } from "./command.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = temporaryFolder();
const screenshots = join(root, ".cache", "screenshots");
mkdirSync(screenshots, { recursive: true });
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const shared = join(root, "..", "shared");

const url = await serve();
const browser = await launchBrowser(["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]);
after(() => browser.close());

/** Starts `scpoli app`. @returns the page's address */
function serve(): Promise<string> {
  const server = spawn(process.execPath, [join(root, "dist", "cli.js"), "app", "--port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
  after(() => void server.kill());
  return new Promise((resolve, reject) => {
    server.stdout.once("data", (text: Buffer) => resolve(text.toString().trim()));
    server.once("exit", (code) => reject(new Error(`scpoli app ended with ${code}`)));
  });
}

const isIdle = (page: Page): Promise<unknown> => page.waitForFunction(() => document.querySelector(".job") === null, null, { timeout: 120_000 });

/** Looks at a state in both themes: a screenshot of each, and no serious fault found by axe. */
async function look(page: Page, name: string): Promise<void> {
  for (const theme of ["light", "dark"]) {
    const button = page.getByRole("button", { name: `Switch to the ${theme} theme` });
    if (await button.count()) await button.click();
    await page.mouse.move(700, 895);
    await page.waitForTimeout(150);
    await page.screenshot({ path: join(screenshots, `${name}-${theme}.png`) });
    await page.evaluate(axe);
    const faults = await page.evaluate(async () => {
      const { violations } = await (globalThis as unknown as { axe: { run(): Promise<{ violations: { id: string; impact: string; nodes: { html: string; failureSummary: string }[] }[] }> } }).axe.run();
      return violations.filter(({ impact }) => impact === "serious" || impact === "critical").map(({ id, nodes }) => `${id}: ${nodes[0]!.html.slice(0, 200)} ${nodes[0]!.failureSummary.slice(0, 300)}`);
    });
    assert.deepEqual(faults, [], `${name}, ${theme}`);
  }
  await page.getByRole("button", { name: "Switch to the light theme" }).click();
}

/** Gives files, or a folder, to a place where they could be dropped. */
async function choose(page: Page, role: "query" | "reference" | "model", what: RegExp, paths: string | string[]): Promise<void> {
  const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.locator(`[data-role=${role}]`).getByRole("button", { name: what }).click()]);
  await chooser.setFiles(paths);
  await page.waitForTimeout(100);
  await isIdle(page);
}

async function save(page: Page, id: string): Promise<string> {
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator(`#save-${id}`).click()]) as [Download, void];
  const path = join(folder, download.suggestedFilename());
  await download.saveAs(path);
  return path;
}

async function fill(page: Page, summary: string, fields: Readonly<Record<string, string>>, choices: Readonly<Record<string, string>> = {}): Promise<void> {
  await page.getByText(summary).click();
  const field = (label: string, element: string) => page.locator(".fields label").filter({ has: page.getByText(label, { exact: true }) }).locator(element);
  for (const [label, value] of Object.entries(fields)) await field(label, "input").fill(value);
  for (const [label, value] of Object.entries(choices)) await field(label, "select").selectOption(value);
}

const step = (page: Page, name: string) => page.getByRole("navigation", { name: "Steps" }).getByRole("button", { name, exact: true });

/** The model of the example, as Node trains it. */
let expectedModel: ScPoli | null = null;

describe("the whole flow on the built-in example", async () => {
  const { page, errors, foreign } = await TestPage.open(browser, url);
  await page.setViewportSize({ width: 1440, height: 900 });

  test("the example opens, and what was found is shown", async () => {
    await page.getByRole("button", { name: "Open the built-in example" }).waitFor();
    assert.match(await page.locator("header").innerText(), /Nothing leaves this computer/);
    await look(page, "1-start");
    await page.getByRole("button", { name: "Open the built-in example" }).click();
    await page.getByRole("button", { name: "Train a model on 519 cells" }).waitFor();
    await isIdle(page);
    const text = await page.locator("main").innerText();
    for (const part of ["demo_query.h5ad", "demo_reference.h5ad", "181", "519", "765", "in X", "well", "cell_type"]) assert.ok(text.includes(part), part);
    await look(page, "2-opened");
  });

  test("a model is trained, with a pause, on the same bytes as in Node", async () => {
    await step(page, "Train").click();
    await fill(page, "Options of the training", { Epochs: "24" });
    await fill(page, "Options of the model", {}, { Arithmetic: "plain" });
    await look(page, "3-train");
    await page.getByRole("button", { name: "Train on 519 cells" }).click();
    await page.getByText(/cells\/s/).first().waitFor();
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByRole("button", { name: "Continue" }).waitFor();
    await look(page, "4-training-paused");
    await page.getByRole("button", { name: "Continue" }).click();
    await page.getByRole("heading", { name: "The trained model" }).waitFor({ timeout: 120_000 });
    await look(page, "5-trained");
    await page.getByRole("button", { name: "Save the model" }).click();
    const path = await save(page, "model");
    const reference = await AnnData.open(join(root, "data", "demo_reference.h5ad"));
    const expected = await ScPoli.train(reference, { conditionKeys: ["well"], cellTypeKeys: ["cell_type"], epochs: 24, simd: "plain" });
    const unpacked = join(folder, "unpacked");
    mkdirSync(unpacked);
    for (const [name, bytes] of Object.entries(unzipSync(readFileSync(path)))) writeFileSync(join(unpacked, name.split("/").at(-1)!), bytes);
    const { stored } = await ScPoli.load(unpacked);
    assert.deepEqual([...stored.tensors.keys()].sort(), [...expected.stored.tensors.keys()].sort());
    for (const [name, { data }] of expected.stored.tensors) assert.deepEqual(stored.tensors.get(name)!.data, data, name);
    expectedModel = expected;
  });

  test("the query is mapped: verdict, cells, uncertainty, samples; labels and latents as in Node, to the byte; leaving asks until it is saved", async () => {
    await step(page, "Map").click();
    await fill(page, "Options of the mapping", {}, { Arithmetic: "plain" });
    await look(page, "6-map");
    await page.getByRole("button", { name: "Map the cells" }).click();
    await page.locator(".explore").waitFor({ timeout: 120_000 });
    await page.waitForTimeout(800);
    await look(page, "7-explore");
    assert.match(await page.locator(".verdict").innerText(), /of the model's genes are in the query/);
    await step(page, "Save").click();
    const asksBeforeLeaving = (): Promise<boolean> => page.evaluate(() => !dispatchEvent(new Event("beforeunload", { cancelable: true })));
    assert.equal(await asksBeforeLeaving(), true, "results that no file holds");
    const saved = await AnnData.open(await save(page, "h5ad"));
    await page.locator(".save", { hasText: "saved" }).first().waitFor();
    assert.equal(await asksBeforeLeaving(), false);
    const query = await AnnData.open(join(root, "data", "demo_query.h5ad"));
    const mapping = await expectedModel!.map(query, { simd: "plain", unlabeledPrototypes: "leiden" });
    assert.equal(saved.nObs, query.nObs, "cells out are cells in");
    assert.deepEqual((await saved.obsm("X_scpoli")).values, mapping.latent);
    const predicted = await saved.obs.column("cell_type_pred");
    assert.ok(predicted.kind === "categorical");
    const { json } = mapping.model.stored;
    assert.deepEqual(Array.from(predicted.codes, (code) => predicted.categories[code]), Array.from(mapping.predictions[0]!.predicted, (row) => json.cell_types[row]));
    saved.close();
  });

  test("the threshold recolours at once and can be undone; cells and samples are linked both ways", async () => {
    await step(page, "Explore").click();
    const slider = page.getByRole("slider");
    const unknown = async (): Promise<number> => Number(/(\d+) unknown/.exec(await page.locator(".uncertainty").innerText())![1]);
    const before = await unknown();
    await slider.fill("0.3");
    assert.ok((await unknown()) > before, "a lower threshold makes more cells unknown");
    assert.match(await page.locator(".legend").innerText(), new RegExp(`unknown\\s+${await unknown()}`));
    await page.getByRole("button", { name: "Undo" }).click();
    assert.equal(await unknown(), before);
    await page.locator(".sample.query").first().press("Enter");
    assert.match(await page.locator(".selection").innerText(), /cells picked/);
    const plot = (await page.locator(".plot").boundingBox())!;
    await page.getByRole("button", { name: /Draw around cells/ }).click();
    const corners = [[0.02, 0.02], [0.98, 0.02], [0.98, 0.98], [0.02, 0.98], [0.02, 0.03]] as const;
    for (const [i, [x, y]] of corners.entries()) {
      await page.mouse.move(plot.x + x * plot.width, plot.y + y * plot.height, { steps: 4 });
      if (i === 0) await page.mouse.down();
    }
    await page.mouse.up();
    assert.match(await page.locator(".selection").innerText(), /181 cells picked/);
    assert.equal(await page.locator(".sample .ring").count(), 2, "both samples of the query show their share");
    await look(page, "8-picked");
    await page.getByRole("button", { name: "Pick none" }).click();
  });

  test("cells are coloured by a gene, a column and the uncertainty; samples are analysed", async () => {
    await page.getByLabel("or by a gene").fill("CST3");
    await page.getByRole("button", { name: "Show", exact: true }).click();
    await page.getByText("CST3, log1p of counts per 10,000").waitFor();
    await look(page, "9-gene");
    await page.getByLabel("Colour by").selectOption({ label: "cell_type" });
    await page.locator(".group", { hasText: "CD34+" }).waitFor();
    await page.getByLabel("Colour by").selectOption({ label: "cell_type: uncertainty" });
    await page.locator(".ramp").waitFor();
    await page.getByRole("tab", { name: "Samples" }).click();
    await page.getByLabel("Metadata and genes from").selectOption("reference");
    await page.getByRole("button", { name: "Analyse" }).click();
    await page.getByRole("heading", { name: "Genes that go with" }).waitFor({ timeout: 60_000 });
    await isIdle(page);
    await look(page, "10-samples");
  });

  test("metrics compare with the labels that the query brings", async () => {
    await page.getByRole("tab", { name: "Metrics" }).click();
    await page.getByLabel("True cell types in").selectOption("cell_type");
    await page.getByRole("button", { name: "Evaluate" }).click();
    await page.getByRole("heading", { name: "Label transfer" }).waitFor({ timeout: 60_000 });
    await isIdle(page);
    const accuracy = Number(/Accuracy\s+([\d.]+) %/.exec(await page.locator("#panel").innerText())![1]);
    assert.ok(accuracy > 30 && accuracy < 100, `${accuracy} %`);
    await look(page, "10-metrics");
  });

  test("a cluster is inspected and named, and the query joins the model", async () => {
    await page.getByLabel("Colour by").selectOption({ label: "cell_type: predicted type" });
    await page.getByRole("tab", { name: "Unknown cells" }).click();
    await page.locator(".clusters .group").first().click();
    await look(page, "11-cluster");
    await page.locator(".clusters").getByLabel(/Name of a new cell type/).fill("Something new");
    await page.locator(".clusters").getByRole("button", { name: "Name" }).click();
    await page.locator(".legend .group", { hasText: "Something new" }).waitFor({ timeout: 60_000 });
    await isIdle(page);
    await page.getByRole("button", { name: "Add the query to the model" }).click();
    await page.getByRole("button", { name: "The query is in the model" }).waitFor();
    await isIdle(page);
    await look(page, "12-named");
  });

  test("everything is saved; the session opens again", async () => {
    await step(page, "Save").click();
    await look(page, "13-save");
    const table = readFileSync(await save(page, "csv"), "utf8").trim().split("\n");
    assert.equal(table.length, 182);
    assert.match(table[0]!, /^cell,well,cell_type_pred,cell_type_uncert/);
    assert.match(readFileSync(await save(page, "svg"), "utf8"), /^<svg[\s\S]*<circle[\s\S]*<\/svg>/);
    assert.equal(readFileSync(await save(page, "png")).subarray(1, 4).toString(), "PNG");
    assert.match(readFileSync(await save(page, "report"), "utf8"), /<html[\s\S]*Text for Methods/);
    const session = await save(page, "session");
    const again = await TestPage.open(browser, url);
    await again.page.getByRole("button", { name: "Open the built-in example" }).waitFor();
    await choose(again.page, "query", /a file/, session);
    await again.page.locator(".legend .group", { hasText: "Something new" }).waitFor();
    assert.match(await again.page.locator(".verdict").innerText(), /of the model's genes/);
    assert.deepEqual([again.errors, again.foreign], [[], []]);
  });

  test("a phone shows it", async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    await step(page, "Explore").click();
    await page.waitForTimeout(500);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `${overflow} pixels too wide`);
    await page.screenshot({ path: join(screenshots, "14-phone.png"), fullPage: true });
    await page.setViewportSize({ width: 1440, height: 900 });
  });

  test("no error on the console, and no request left the origin", () => {
    assert.deepEqual(errors, []);
    assert.deepEqual(foreign, []);
  });
});


describe("wrong files are told in words, and the page lives on", async () => {
  const { page, errors } = await TestPage.open(browser, url);
  const at = (name: string, content: Uint8Array | string): string => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  const demo = readFileSync(join(root, "data", "demo_query.h5ad"));
  const numbers = join(folder, "no-counts.h5ad");
  await writeH5ad(numbers, { X: { rows: 3, columns: 2, values: Float32Array.of(0.5, 1.25, 2.5, 0, 0.75, 1.5) }, obs: { index: ["a", "b", "c"] }, var: { index: ["G1", "G2"] } });
  const empty = join(folder, "no-matrix.h5ad");
  await writeH5ad(empty, { X: null, obs: { index: ["a", "b"] }, var: { index: ["G1"] } });
  const damagedModel = join(folder, "damaged-model");
  mkdirSync(damagedModel);
  at("damaged-model/model.json", "{\"format_version\": 2, ");
  at("damaged-model/model.safetensors", new Uint8Array(8));
  const scvi = join(folder, "other-model");
  mkdirSync(scvi);
  at("other-model/attr.pkl", "no pickle");
  const cases: readonly [name: string, role: "query" | "reference" | "model", what: RegExp, path: string, message: RegExp][] = [
    ["a text called .h5ad", "query", /a file/, at("text.h5ad", "cell,gene\n1,2\n"), /HDF5/],
    ["half of a file", "query", /a file/, at("half.h5ad", demo.subarray(0, demo.length / 2)), /truncated|cut|HDF5/i],
    ["an empty file", "query", /a file/, at("empty.h5ad", ""), /empty/i],
    ["a picture", "query", /a file/, at("picture.png", Buffer.from("iVBORw0KGgoAAAANSUhEUg==", "base64")), /picture\.png/],
    ["a zip file that is no model", "model", /a zip file/, at("zip.zip", "PK nothing"), /zip\.zip/],
    ["a damaged model", "model", /a folder/, damagedModel, /model\.json/],
    ["something else than a model of scArches", "model", /a folder/, scvi, /pickle|attr\.pkl/],
    ["cells given as a model", "model", /a zip file/, at("cells.zip", demo), /cells\.zip/],
    ["a damaged session", "query", /a file/, at("work.scpoli", "PK nothing"), /no saved session/],
    ["a file without a matrix", "query", /a file/, empty, /no-matrix\.h5ad|none found/],
  ];
  for (const [name, role, what, path, message] of cases) {
    test(name, async () => {
      await choose(page, role, what, path);
      const main = page.locator(".messages .message, .data .message, .data .bad").first();
      await main.waitFor({ timeout: 20_000 });
      assert.match(await page.locator("body").innerText(), message);
      for (const button of await page.getByRole("button", { name: /^Dismiss/ }).all()) await button.click();
    });
  }

  test("values that are no counts are told when the file is opened", async () => {
    await choose(page, "query", /a file/, numbers);
    assert.match(await page.locator("main").innerText(), /No place holds raw counts/);
    await look(page, "15-no-counts");
  });

  test("an address on another site is refused", async () => {
    await page.getByLabel("or an address on this site").fill("https://example.org/model.zip");
    await page.locator(".address").getByRole("button", { name: "Open" }).click();
    await page.getByText(/is another site/).waitFor();
    await look(page, "16-error");
  });

  test("after all of it the example still opens", async () => {
    await choose(page, "query", /a file/, join(root, "data", "demo_query.h5ad"));
    assert.match(await page.locator("main").innerText(), /181/);
    assert.deepEqual(errors, []);
  });
});

test("a model of scArches and its query, as in Node to the byte", { skip: existsSync(join(shared, "interop")) ? false : "needs ../shared/interop" }, async () => {
  const { page, errors, foreign } = await TestPage.open(browser, url);
  await choose(page, "query", /a file/, join(shared, "data", "pbmc3.h5ad"));
  await choose(page, "model", /a folder/, join(shared, "interop", "pbmc", "reference"));
  await step(page, "Map").click();
  await fill(page, "Options of the mapping", {}, { Arithmetic: "plain" });
  await page.getByLabel(/Learn an embedding for each new sample/).uncheck();
  await page.getByLabel(/Find clusters in the query/).uncheck();
  await page.getByRole("button", { name: "Map the cells" }).click();
  await page.locator(".explore").waitFor({ timeout: 120_000 });
  await step(page, "Save").click();
  const saved = await AnnData.open(await save(page, "h5ad"));
  const model = await ScPoli.load(join(shared, "interop", "pbmc", "reference"));
  const mapping = await model.map(await AnnData.open(join(shared, "data", "pbmc3.h5ad")), { simd: "plain", training: false });
  assert.deepEqual((await saved.obsm("X_scpoli")).values, mapping.latent);
  saved.close();
  assert.deepEqual([errors, foreign], [[], []]);
});
