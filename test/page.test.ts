// The page as a user has it: the built static files, served by `scpoli app`, in Chromium.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { unzipSync } from "fflate";
import { AnnData, convert, ScPoli, writeH5ad } from "../dist/index.js";
import { TestPage } from "./browser.ts";
import { temporaryFolder } from "./command.ts";
import {
  choose,
  draw,
  drop,
  fill,
  isIdle,
  launchDrawingBrowser,
  look,
  save,
  saved,
  screenshots,
  serve,
  step,
} from "./page-driver.ts";
import { runPython } from "./python/environment.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = temporaryFolder();
const url = await serve();
const browser = await launchDrawingBrowser();

/** The model of the example, as Node trains it. */
let expectedModel: ScPoli | null = null;

describe("the whole flow on the built-in example", async () => {
  const { page, errors, foreign } = await TestPage.open(browser, url);
  await page.setViewportSize({ width: 1440, height: 900 });

  test("labelled cells and a query open, and their content is shown", async () => {
    await page.getByRole("button", { name: "See an example, mapped" }).waitFor();
    assert.match(await page.locator("header").innerText(), /Nothing leaves this computer/);
    await look(page, "1-start");
    await page.getByRole("button", { name: "or train a reference on the five patients" }).click();
    await page.getByRole("button", { name: "Train on 1,156 cells" }).waitFor();
    await isIdle(page);
    await step(page, "Open").click();
    await choose(page, "query", /a file/, join(root, "data", "kang_query.h5ad"));
    const text = await page.locator("main").innerText();
    for (const part of [
      "kang_query.h5ad",
      "kang_reference.h5ad",
      "720",
      "1,156",
      "1,500",
      "in X",
      "sample",
      "cell_type",
    ])
      assert.ok(text.includes(part), part);
    await look(page, "2-opened");
  });

  test("a model is trained, with a pause, on the same bytes as in Node", async () => {
    await step(page, "Train").click();
    await fill(page, "Options of the training", { Epochs: "24" });
    await fill(page, "Options of the model", {}, { Speed: "plain" });
    await look(page, "3-train");
    await page.getByRole("button", { name: "Train on 1,156 cells" }).click();
    await page
      .getByText(/cells\/s/)
      .first()
      .waitFor();
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByRole("button", { name: "Continue" }).waitFor();
    const asked: string[] = [];
    page.once("dialog", (dialog) => {
      asked.push(dialog.message());
      void dialog.dismiss();
    });
    await page.getByRole("button", { name: "Discard" }).click();
    assert.match(asked[0]!, /What it has learnt is lost/);
    await look(page, "4-training-paused");
    await page.getByRole("button", { name: "Continue" }).click();
    await page.getByRole("heading", { name: "The trained model" }).waitFor({ timeout: 120_000 });
    await look(page, "5-trained");
    const path = await saved(page, page.getByRole("button", { name: "Save the model" }), folder);
    const reference = await AnnData.open(join(root, "data", "kang_reference.h5ad"));
    const expected = await ScPoli.train(reference, {
      conditionKeys: ["sample"],
      cellTypeKeys: ["cell_type"],
      epochs: 24,
      simd: "plain",
    });
    const unpacked = join(folder, "unpacked");
    mkdirSync(unpacked);
    for (const [name, bytes] of Object.entries(unzipSync(readFileSync(path))))
      writeFileSync(join(unpacked, name.split("/").at(-1)!), bytes);
    const { stored } = await ScPoli.load(unpacked);
    assert.deepEqual([...stored.tensors.keys()].sort(), [...expected.stored.tensors.keys()].sort());
    for (const [name, { data }] of expected.stored.tensors)
      assert.deepEqual(stored.tensors.get(name)!.data, data, name);
    expectedModel = expected;
  });

  test("mapping shows all views; labels and latent equal Node's to the byte", async () => {
    await step(page, "Map").click();
    await fill(page, "Options of the mapping", {}, { Speed: "plain" });
    await look(page, "6-map");
    await page.getByRole("button", { name: "Map the cells" }).click();
    await page.locator(".explore").waitFor({ timeout: 120_000 });
    await page.waitForTimeout(800);
    await look(page, "7-explore");
    assert.match(await page.locator(".verdict").innerText(), /Genes of the model in the query: 100 %/);
    await step(page, "Save").click();
    const path = await save(page, "h5ad", folder);
    const written = await AnnData.open(path);
    await page.locator(".save", { hasText: "saved" }).first().waitFor();
    const query = await AnnData.open(join(root, "data", "kang_query.h5ad"));
    const mapping = await expectedModel!.map(query, { simd: "plain", unlabeledPrototypes: "leiden" });
    assert.equal(written.nObs, query.nObs, "cells out are cells in");
    assert.deepEqual((await written.obsm("X_scpoli")).values, mapping.latent);
    const predicted = await written.obs.column("cell_type_pred");
    assert.ok(predicted.kind === "categorical");
    const { json } = mapping.model.stored;
    assert.deepEqual(
      Array.from(predicted.codes, (code) => predicted.categories[code]),
      Array.from(mapping.predictions[0]!.predicted, (row) => json.cell_types[row]),
    );
    written.close();
    const [before, after] = JSON.parse(
      runPython("open_mapped.py", join(root, "data", "kang_query.h5ad"), path),
    ) as { cells: number; names: string[]; obs: string[]; obsm: Record<string, number[]>; X: string }[];
    assert.deepEqual(
      [after!.cells, after!.names, after!.X],
      [before!.cells, before!.names, before!.X],
      "anndata finds the same cells and counts",
    );
    assert.deepEqual(after!.obsm["X_scpoli"], [720, json.model.latent_dim]);
    assert.ok(after!.obs.includes("cell_type_pred"));
  });

  test("the threshold recolours at once, with undo; cells and samples are linked", async () => {
    await step(page, "Explore").click();
    const slider = page.getByRole("slider");
    const unknown = async (): Promise<number> =>
      Number(/(\d+) unknown/.exec(await page.locator(".uncertainty").innerText())![1]);
    const before = await unknown();
    await slider.fill("0.3");
    assert.ok((await unknown()) > before, "a lower threshold makes more cells unknown");
    assert.match(await page.locator(".legend").innerText(), new RegExp(`unknown\\s+${await unknown()}`));
    await page.getByRole("button", { name: "Undo" }).click();
    assert.equal(await unknown(), before);
    await draw(page, page.locator(".histogram"), [
      [0.9, 0.4],
      [0.6, 0.4],
      [0.3, 0.4],
    ]);
    assert.ok((await unknown()) > before, "the threshold can be dragged in the histogram");
    await page.getByRole("button", { name: "Undo" }).click();
    assert.equal(await unknown(), before, "and a drag is one step");
    await page.locator(".sample.query").first().press("Enter");
    assert.match(await page.locator(".selection").innerText(), /cells selected/);
    const picked = async (): Promise<number> =>
      Number(/(\d+) cells selected/.exec(await page.locator(".selection").innerText())![1]);
    const plot = page.locator(".plot-place");
    await page.getByRole("button", { name: /Lasso/ }).click();
    await draw(page, plot, [
      [0.02, 0.02],
      [0.98, 0.02],
      [0.98, 0.98],
      [0.02, 0.98],
      [0.02, 0.03],
    ]);
    assert.equal(await picked(), 720);
    await draw(page, plot, [
      [0.02, 0.02],
      [0.5, 0.02],
      [0.5, 0.98],
      [0.02, 0.98],
      [0.02, 0.03],
    ]);
    const left = await picked();
    assert.ok(left > 10 && left < 710, `${left} cells on the left`);
    assert.equal(await page.locator(".sample .ring").count(), 6, "the samples of the query show their share");
    await look(page, "8-picked");
    await page.getByRole("button", { name: /Box/ }).click();
    await draw(page, plot, [
      [0.02, 0.02],
      [0.3, 0.5],
      [0.5, 0.98],
    ]);
    assert.equal(await picked(), left, "a box picks the same");
    await page.getByRole("button", { name: "Clear selection" }).click();
  });

  test("samples are brushed, and their cells are picked", async () => {
    const brush = async (ends: (xs: number[]) => readonly [number, number]): Promise<string> => {
      await page.locator(".brushed").scrollIntoViewIfNeeded();
      const dots = await Promise.all(
        (await page.locator(".sample.query circle:first-of-type").all()).map(
          async (circle) => (await circle.boundingBox())!,
        ),
      );
      const [from, to] = ends(dots.map(({ x, width }) => x + width / 2));
      await page.mouse.move(from, Math.min(...dots.map(({ y }) => y)) - 10);
      await page.mouse.down();
      await page.mouse.move(to, Math.max(...dots.map(({ y, height }) => y + height)) + 10, { steps: 4 });
      assert.equal(await page.locator(".brush").count(), 1);
      await page.mouse.up();
      return page.locator(".selection").innerText();
    };
    assert.match(
      await brush((xs) => [Math.min(...xs) - 12, Math.max(...xs) + 12]),
      /720 cells selected sample P1244_ctrl/,
    );
    assert.match(
      await brush((xs) => {
        const sorted = xs.sort((a, b) => a - b);
        const gaps = sorted.slice(1).map((x, i) => x - sorted[i]!);
        const widest = gaps.indexOf(Math.max(...gaps));
        return [sorted[0]! - 12, (sorted[widest]! + sorted[widest + 1]!) / 2];
      }),
      /360 cells selected sample P1244_stim, P1256_stim, P1488_stim,/,
    );
    await page.getByRole("button", { name: "Clear selection" }).click();
  });

  test("cells are coloured by a gene, a column and the uncertainty; samples are analysed", async () => {
    await page.getByLabel("or by a gene").fill("CST3");
    await page.getByRole("button", { name: "Show", exact: true }).click();
    await page.getByText("CST3, log1p of counts per 10,000").waitFor();
    await look(page, "9-gene");
    await page.locator(".samples").getByText("CST3, mean of log1p per 10,000").waitFor();
    const svg = readFileSync(
      await saved(page, page.locator(".samples .save-chart").getByRole("button", { name: "SVG" }), folder),
      "utf8",
    );
    const [analysis] = await expectedModel!.samples({
      data: await AnnData.open(join(root, "data", "kang_reference.h5ad")),
    });
    const { means, genes } = analysis!.genes!.expression;
    for (const [sample, name] of analysis!.samples.names.entries()) {
      const mean = Number(new RegExp(`<title>${name}, ([\\d.]+)</title>`).exec(svg)![1]);
      assert.ok(
        Math.abs(mean - means.values[sample * means.columns + genes.indexOf("CST3")]!) < 0.006,
        `${name}: ${mean}`,
      );
    }
    await page.getByLabel("Colour by").selectOption({ label: "cell_type" });
    await page.locator(".group", { hasText: "B cells" }).first().waitFor();
    await page.getByLabel("Colour by").selectOption({ label: "cell_type: uncertainty" });
    await page.locator(".ramp").waitFor();
    await page.getByRole("tab", { name: "Samples" }).click();
    await page.getByLabel("Metadata and genes from").selectOption("reference");
    await page.getByRole("button", { name: "Analyse" }).click();
    await page.getByRole("heading", { name: "Genes correlated with" }).waitFor({ timeout: 60_000 });
    await isIdle(page);
    await look(page, "10-samples");
  });

  test("metrics compare with the labels that the query brings", async () => {
    await page.getByRole("tab", { name: "Metrics" }).click();
    await page.getByLabel("True cell types in").selectOption("cell_type");
    await page.getByRole("button", { name: "Evaluate" }).click();
    await page.getByRole("heading", { name: "Label transfer" }).waitFor({ timeout: 60_000 });
    await isIdle(page);
    const accuracy = Number(/Accuracy\s+([\d.]+)\s%/.exec(await page.locator("#panel").innerText())![1]);
    assert.ok(accuracy > 30 && accuracy < 100, `${accuracy} %`);
    await look(page, "10-metrics");
    const confusion = page.getByRole("group", { name: "Save the picture: Confusion of cell types" });
    assert.match(
      readFileSync(await saved(page, confusion.getByRole("button", { name: "SVG" }), folder), "utf8"),
      /^<svg[\s\S]*true cell type/,
    );
    assert.equal(
      readFileSync(await saved(page, confusion.getByRole("button", { name: "PNG" }), folder))
        .subarray(1, 4)
        .toString(),
      "PNG",
    );
  });

  test("a cluster is inspected and named, and the query joins the model", async () => {
    await page.getByLabel("Colour by").selectOption({ label: "cell_type: predicted type" });
    await page.getByRole("tab", { name: "Unknown cells" }).click();
    await page.locator(".clusters .group").first().click();
    await look(page, "11-cluster");
    await page
      .locator(".selection")
      .getByLabel(/Name of a new cell type/)
      .fill("Something new");
    await page.getByRole("button", { name: "Add type" }).click();
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
    const table = readFileSync(await save(page, "csv", folder), "utf8")
      .trim()
      .split("\n");
    assert.equal(table.length, 721);
    assert.match(table[0]!, /^cell,sample,cell_type_pred,cell_type_prob,cell_type_uncert,cell_type_novelty/);
    assert.match(readFileSync(await save(page, "svg", folder), "utf8"), /^<svg[\s\S]*<circle[\s\S]*<\/svg>/);
    assert.equal(
      readFileSync(await save(page, "png", folder))
        .subarray(1, 4)
        .toString(),
      "PNG",
    );
    assert.match(
      readFileSync(await save(page, "samples-svg", folder), "utf8"),
      /^<svg[\s\S]*Samples \(sample\)[\s\S]*<\/svg>/,
    );
    assert.equal(
      readFileSync(await save(page, "samples-png", folder))
        .subarray(1, 4)
        .toString(),
      "PNG",
    );
    assert.match(readFileSync(await save(page, "report", folder), "utf8"), /<html[\s\S]*Text for Methods/);
    const session = await save(page, "session", folder);
    const again = await TestPage.open(browser, url);
    await again.page.getByRole("button", { name: "See an example, mapped" }).waitFor();
    await choose(again.page, "query", /a file/, session);
    await again.page.locator(".legend .group", { hasText: "Something new" }).waitFor();
    // it opens at the panel that was shown last
    await again.page.getByRole("tab", { name: "Overview" }).click();
    assert.match(await again.page.locator(".verdict").innerText(), /Genes of the model in the query/);
    assert.deepEqual([again.errors, again.foreign], [[], []]);
  });

  test("a phone shows it", async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    await step(page, "Explore").click();
    await page.waitForTimeout(500);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `${overflow} pixels too wide`);
    await page.screenshot({ path: join(screenshots, "14-phone.png"), fullPage: true });
    for (const name of ["Open", "Train", "Map", "Save"]) {
      await step(page, name).click();
      assert.ok(
        (await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0,
        `${name} is too wide`,
      );
      await page.screenshot({
        path: join(screenshots, `14-phone-${name.toLowerCase()}.png`),
        fullPage: true,
      });
    }
    await page.setViewportSize({ width: 1440, height: 900 });
  });

  test("no error on the console, and no request left the origin", () => {
    assert.deepEqual(errors, []);
    assert.deepEqual(foreign, []);
  });
});

describe("dropped files are opened by their kind; training can be finished early", async () => {
  const { page, errors } = await TestPage.open(browser, url);
  const kept = join(folder, "kept");

  test("cells onto the place for a reference", async () => {
    await drop(page, page.locator("[data-role=reference]"), [join(root, "data", "kang_reference.h5ad")]);
    await page.getByRole("button", { name: "Train a model on 1,156 cells" }).click();
  });

  test("stop and keep: the model of the epochs that there were", async () => {
    await fill(page, "Options of the training", { Epochs: "5000" });
    await page.getByRole("button", { name: "Train on 1,156 cells" }).click();
    await page.getByRole("img", { name: /over [2-9]\d* of 5000 epochs/ }).waitFor();
    await drop(page, page.locator("main"), [join(root, "data", "kang_query.h5ad")], { isBusy: true });
    await page.getByText("Training is not done yet").waitFor();
    await page.getByRole("button", { name: "Stop and keep the model" }).click();
    await page.getByRole("heading", { name: "The trained model" }).waitFor();
    const epochs = Number(/Training: (\d+) epochs/.exec(await page.locator(".live").innerText())![1]);
    assert.ok(epochs >= 2 && epochs < 5000, `${epochs} epochs`);
    const path = await saved(page, page.getByRole("button", { name: "Save the model" }), folder);
    mkdirSync(kept);
    for (const [name, bytes] of Object.entries(unzipSync(readFileSync(path))))
      writeFileSync(join(kept, name.split("/").at(-1)!), bytes);
  });

  test("a folder and a file anywhere: a model and a query", async () => {
    await page.getByText("Nothing leaves this computer").click();
    await page.getByRole("button", { name: "Delete this work and start over" }).click();
    await page.keyboard.press("Escape");
    await drop(page, page.locator("main"), [kept]);
    await page.locator(".name", { hasText: "kept" }).waitFor();
    await drop(page, page.locator("main"), [join(root, "data", "kang_query.h5ad")]);
    await page.getByRole("button", { name: "Map 720 cells onto kept" }).waitFor();
    assert.equal(await page.locator(".drop-anywhere").count(), 0);
  });

  test("a Zarr store, whose copy with the results is one", async () => {
    const query = await AnnData.open(join(root, "data", "kang_query.h5ad"));
    await convert(query, join(folder, "query.zarr"));
    await drop(page, page.locator("main"), [join(folder, "query.zarr")]);
    // the previous file has as many cells, and its button stays until the store is open
    await page.getByText("query.zarr", { exact: true }).first().waitFor();
    await page.getByRole("button", { name: "Map 720 cells onto kept" }).click();
    await page.getByRole("button", { name: "Map the cells" }).click();
    await page.locator(".explore").waitFor({ timeout: 120_000 });
    await step(page, "Save").click();
    const path = await save(page, "h5ad", folder);
    assert.match(path, /query-mapped\.zarr\.zip$/);
    const written = await AnnData.open(path);
    assert.deepEqual(await written.obs.index(), await query.obs.index());
    assert.equal((await written.obsm("X_scpoli")).rows, 720);
    written.close();
    query.close();
    assert.deepEqual(errors, []);
  });
});

describe("invalid files give clear errors, and the page keeps working", async () => {
  const { page, errors } = await TestPage.open(browser, url);
  const at = (name: string, content: Uint8Array | string): string => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  const demo = readFileSync(join(root, "data", "kang_query.h5ad"));
  const numbers = join(folder, "no-counts.h5ad");
  await writeH5ad(numbers, {
    X: { rows: 3, columns: 2, values: Float32Array.of(0.5, 1.25, 2.5, 0, 0.75, 1.5) },
    obs: { index: ["a", "b", "c"] },
    var: { index: ["G1", "G2"] },
  });
  const empty = join(folder, "no-matrix.h5ad");
  await writeH5ad(empty, { X: null, obs: { index: ["a", "b"] }, var: { index: ["G1"] } });
  const damagedModel = join(folder, "damaged-model");
  mkdirSync(damagedModel);
  at("damaged-model/model.json", '{"format_version": 2, ');
  at("damaged-model/model.safetensors", new Uint8Array(8));
  const scvi = join(folder, "other-model");
  mkdirSync(scvi);
  at("other-model/attr.pkl", "no pickle");
  const cases: readonly [
    name: string,
    role: "query" | "reference" | "model",
    what: RegExp,
    path: string,
    message: RegExp,
  ][] = [
    ["a text called .h5ad", "query", /a file/, at("text.h5ad", "cell,gene\n1,2\n"), /HDF5/],
    [
      "half of a file",
      "query",
      /a file/,
      at("half.h5ad", demo.subarray(0, demo.length / 2)),
      /truncated|cut|HDF5/i,
    ],
    ["an empty file", "query", /a file/, at("empty.h5ad", ""), /empty/i],
    [
      "a picture",
      "query",
      /a file/,
      at("picture.png", Buffer.from("iVBORw0KGgoAAAANSUhEUg==", "base64")),
      /picture\.png/,
    ],
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

  test("values that are not counts are reported when the file is opened", async () => {
    await choose(page, "query", /a file/, numbers);
    assert.match(await page.locator("main").innerText(), /No matrix of this file holds raw counts/);
    await look(page, "15-no-counts");
  });

  test("an address on another site is refused", async () => {
    await page.getByLabel("or a path on this server").fill("https://example.org/model.zip");
    await page.locator(".address").getByRole("button", { name: "Open" }).click();
    await page.getByText(/is another site/).waitFor();
    await look(page, "16-error");
  });

  test("after all of it the example still opens", async () => {
    await choose(page, "query", /a file/, join(root, "data", "kang_query.h5ad"));
    assert.match(await page.locator("main").innerText(), /720/);
    assert.deepEqual(errors, []);
  });
});
