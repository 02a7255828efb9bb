// Results of the page for the example: verdict, markers of unknown clusters, comparison of groups, filters,
// labels by hand; nothing is lost on reload. Numbers equal those of the library and the command line.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Locator } from "playwright-core";
import {
  AnnData,
  cellQuality,
  compareSamples,
  findMarkers,
  markerGeneSets,
  markerTable,
  readGeneSets,
  ScPoli,
} from "../dist/index.js";
import { factorize } from "../dist/data/labels.js";
import { Random } from "../dist/numerics/random.js";
import { TestPage } from "./browser.ts";
import { scpoli, temporaryFolder } from "./command.ts";
import {
  choose,
  draw,
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

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = temporaryFolder();
const url = await serve();
const browser = await launchDrawingBrowser();

type Place = readonly [x: number, y: number];

/** Cells of the query in a saved picture, in its pixels; those outside a selection are faded. */
const dotsOf = (svg: string): { readonly at: Place; readonly isFaded: boolean }[] =>
  [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)" [^>]* fill-opacity="(0.88|0.11)"/g)].map(
    ([, x, y, opacity]) => ({ at: [Number(x), Number(y)], isFaded: opacity === "0.11" }),
  );

/** Even-odd rule by the angle that the outline turns around the place. */
function isInside([x, y]: Place, corners: readonly Place[]): boolean {
  const turns = corners.map(([x1, y1], i) => {
    const [x2, y2] = corners[(i + 1) % corners.length]!;
    const [a, b] = [
      [x1 - x, y1 - y],
      [x2 - x, y2 - y],
    ] as const;
    return Math.atan2(a[0] * b[1] - a[1] * b[0], a[0] * b[0] + a[1] * b[1]);
  });
  return Math.round(turns.reduce((sum, turn) => sum + turn, 0) / (2 * Math.PI)) % 2 !== 0;
}

describe("the example, mapped", async () => {
  const { page, errors, foreign } = await TestPage.open(browser, url);
  await page.setViewportSize({ width: 1440, height: 900 });
  const plot = page.locator(".plot-place");
  const selected = async (): Promise<number> =>
    Number(
      /([\d,]+) cells? selected/.exec(await page.locator(".selection").innerText())![1]!.replace(",", ""),
    );
  const tab = (name: string): Promise<void> => page.getByRole("tab", { name }).click();
  const tool = (name: RegExp): Promise<void> => page.getByRole("button", { name }).click();
  const whole = [
    [0.01, 0.01],
    [0.99, 0.01],
    [0.99, 0.99],
    [0.01, 0.99],
    [0.01, 0.02],
  ] as const;
  const legendRow = (name: string): Locator => page.locator(".legend .group", { hasText: name }).first();
  const pictureOfCells = async (): Promise<string> => {
    const buttons = page.getByRole("group", { name: "Save the picture of the cells" });
    return readFileSync(await saved(page, buttons.getByRole("button", { name: "SVG" }), folder), "utf8");
  };
  let file = "";
  let [shownType, shownGenes]: [string, string[]] = ["", []];

  test("one click opens it mapped, with the verdict; Back goes to the start", async () => {
    await page.getByRole("button", { name: "See an example, mapped" }).click();
    await page.locator(".explore").waitFor();
    assert.equal(
      await page.locator(".job").count(),
      0,
      "nothing is computed: it was when the page was built",
    );
    assert.match(await page.locator(".verdict").innerText(), /Clusters like no known type: \d+ of/);
    await page.goBack();
    await page.getByText("Your cells (query)").waitFor();
    await page.goForward();
    await page.locator(".explore").waitFor();
    await step(page, "Save").click();
    file = await save(page, "h5ad", folder);
    await step(page, "Explore").click();
  });

  test("a lasso selects the enclosed cells: after zooming, panning and a reset", async () => {
    await page.getByRole("button", { name: "Reset view" }).click();
    await tool(/Lasso/);
    await draw(page, plot, whole);
    assert.equal(await selected(), 720, "everything is in the picture");
    const box = (await plot.boundingBox())!;
    const [x, y] = [box.x + 0.5 * box.width, box.y + 0.5 * box.height];
    await page.mouse.move(x, y);
    await page.mouse.wheel(0, -400);
    await draw(page, plot, whole);
    const zoomed = await selected();
    assert.ok(zoomed > 0 && zoomed < 720, `${zoomed} cells are in sight, though the lasso was chosen`);
    await tool(/Move and zoom/);
    await page.mouse.move(x, y);
    await page.mouse.down();
    await page.mouse.move(x - 0.4 * box.width, y, { steps: 5 });
    await page.mouse.up();
    await tool(/Lasso/);
    await draw(page, plot, whole);
    assert.notEqual(await selected(), zoomed, "other cells are in sight after moving");
    await plot.focus();
    await page.keyboard.press("0");
    await draw(page, plot, whole);
    assert.equal(await selected(), 720, "after the reset all of them");
    await draw(page, plot, [
      [0.01, 0.01],
      [0.45, 0.01],
      [0.45, 0.99],
      [0.01, 0.99],
      [0.01, 0.02],
    ]);
    const left = await selected();
    await page.keyboard.down("Alt");
    await draw(page, plot, whole);
    await page.keyboard.up("Alt");
    assert.equal(await page.locator(".selection").count(), 0, "Alt takes away");
    await draw(page, plot, [
      [0.45, 0.01],
      [0.99, 0.01],
      [0.99, 0.99],
      [0.45, 0.99],
      [0.45, 0.02],
    ]);
    const right = await selected();
    assert.equal(left + right, 720);
    await page.keyboard.down("Shift");
    await draw(page, plot, whole);
    await page.keyboard.up("Shift");
    assert.equal(await selected(), 720, "Shift adds");
    await page.keyboard.press("Escape");
    await tool(/Move and zoom/);
  });

  test("random lassos select exactly the cells inside: zoomed, moved, resized, in other views", async () => {
    const random = new Random(7, "lassos");
    const upTo = (least: number, most: number): number => least + (most - least) * random.uniform();
    const zoomAndMove = async (): Promise<void> => {
      const box = (await plot.boundingBox())!;
      await tool(/Move and zoom/);
      await page.mouse.move(box.x + upTo(0.2, 0.8) * box.width, box.y + 0.5 * box.height);
      await page.mouse.wheel(0, upTo(-250, 60));
      await page.mouse.down();
      await page.mouse.move(box.x + 0.5 * box.width, box.y + upTo(0.3, 0.7) * box.height, { steps: 3 });
      await page.mouse.up();
    };
    const changes: readonly (() => Promise<unknown>)[] = [
      () => plot.press("0"),
      zoomAndMove,
      () => page.setViewportSize({ width: 1180, height: 760 }),
      zoomAndMove,
      () => tab("Types"),
      () => step(page, "Save").click(),
      () => tool(/Reset view/),
      () => page.setViewportSize({ width: 1440, height: 900 }),
      zoomAndMove,
      () => tab("Overview"),
      () => plot.press("0"),
    ];
    let enclosed = 0;
    for (const change of changes) {
      await change();
      await step(page, "Explore").click();
      await tool(/Lasso/);
      const box = (await plot.boundingBox())!;
      const corners = Array.from({ length: 3 + random.below(10) }, (): Place => [
        Math.round(upTo(2, box.width - 2)),
        Math.round(upTo(2, box.height - 2)),
      ]);
      const [left, top] = [Math.ceil(box.x), Math.ceil(box.y)];
      for (const [i, [x, y]] of corners.entries()) {
        await page.mouse.move(left + x, top + y);
        if (i === 0) await page.mouse.down();
      }
      await page.mouse.up();
      const outline = corners.map(([x, y]) => [x + left - box.x, y + top - box.y] as const);
      const inside = dotsOf(await pictureOfCells()).filter(({ at }) => isInside(at, outline));
      assert.equal(
        (await page.locator(".selection").count()) > 0 ? await selected() : 0,
        inside.length,
        `${change}, corners ${JSON.stringify(outline)}`,
      );
      assert.ok(inside.every(({ isFaded }) => !isFaded));
      enclosed += inside.length;
      if (inside.length > 0) await tool(/Clear selection/);
    }
    assert.ok(enclosed > 300, `${enclosed} cells in all lassos`);
    await tool(/Move and zoom/);
  });

  test("points and labels of the picture are drawn with the same camera", async () => {
    // in the picture, the dots of a type surround its label, also after zooming and a reset
    await plot.focus();
    await page.keyboard.press("+");
    await page.keyboard.press("0");
    // names would cover dots
    await page.getByLabel("Names on clusters").uncheck();
    const svg = await pictureOfCells();
    const dots = [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, cx, cy]) => [
      Number(cx),
      Number(cy),
    ]);
    const drawnDots = async (): Promise<number> =>
      page.evaluate(
        async ([png, points]) => {
          const bytes = Uint8Array.from(atob(png), (sign) => sign.charCodeAt(0));
          const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
          const canvas = new OffscreenCanvas(image.width, image.height);
          const context = canvas.getContext("2d")!;
          context.drawImage(image, 0, 0);
          const { data } = context.getImageData(0, 0, image.width, image.height);
          return points.filter(([cx, cy]) => {
            const at = 4 * (Math.round(cy!) * image.width + Math.round(cx!));
            return data[at]! + data[at + 1]! + data[at + 2]! < 740;
          }).length;
        },
        [(await plot.screenshot()).toString("base64"), dots] as const,
      );
    // while the camera moves a machine without a graphics card draws fewer points
    let drawn = 0;
    for (let attempt = 0; attempt < 8 && drawn <= 0.95 * dots.length; attempt++) {
      await page.waitForTimeout(500);
      drawn = await drawnDots();
    }
    assert.ok(
      drawn > 0.95 * dots.length,
      `${drawn} of ${dots.length} dots are drawn where the picture has them`,
    );
    await page.getByLabel("Names on clusters").check();
    assert.match(svg, /reference/);
    assert.match(svg, /prototype of a type/);
  });

  test("cells of the query and of the reference say what they are under the pointer", async () => {
    const svg = await pictureOfCells();
    // cells of the reference are fainter than those of the query; dots of the legend are not faint at all
    const dots = (opacity: string): (readonly [number, number])[] =>
      [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)" r="[\d.]+" fill="#\w+" fill-opacity="([\d.]+)"/g)]
        .filter((match) => match[3] === opacity)
        .map(([, x, y]) => [Number(x), Number(y)]);
    const [query, reference] = [dots("0.88"), dots("0.59")];
    assert.equal(query.length, 720);
    const distance = (a: readonly [number, number], b: readonly [number, number]): number =>
      Math.hypot(a[0] - b[0], a[1] - b[1]);
    const free = reference.find((dot) => query.every((other) => distance(dot, other) > 14))!;
    const box = (await plot.boundingBox())!;
    const cardAt = async ([x, y]: readonly [number, number]): Promise<string> => {
      await page.mouse.move(box.x + x + 3, box.y + y, { steps: 2 });
      await page.mouse.move(box.x + x, box.y + y, { steps: 2 });
      await page.locator(".tooltip").waitFor();
      return page.locator(".tooltip").innerText();
    };
    const ofQuery = await cardAt(query.at(-1)!);
    assert.match(ofQuery, /probability \d+\s%, novelty \d\.\d\d\s+sample: P\d+_(ctrl|stim)/);
    assert.doesNotMatch(ofQuery, /uncertainty/, "one number says how sure a label is");
    const ofReference = await cardAt(free);
    assert.match(ofReference, /Reference cell\s+[A-Z].*\s+sample: P\d+_(ctrl|stim)/);
    await page.screenshot({ path: join(screenshots, "19-hover.png") });
    await page.mouse.move(5, 5);
    await page.locator(".tooltip").waitFor({ state: "detached" });
  });

  test("unknown clusters come with their markers and what makes them new: those of the library", async () => {
    await tab("Unknown cells");
    const first = page.locator(".clusters > li").first();
    await first.locator("dd").last().locator(".gene").first().waitFor({ timeout: 60_000 });
    const text = await first.innerText();
    assert.match(text, /Differs by\s+more\s+\w+/);
    const cluster = /Cluster (\d+)/.exec(text)![1]!;
    const shown = await first.locator("dd").last().locator(".gene").allInnerTexts();
    const mapped = await AnnData.open(file);
    const markers = await findMarkers(mapped, { groups: "scpoli_cluster" });
    const expected = markerTable(markers, { top: 20 })
      .filter((row) => row["group"] === cluster && Number(row["log2_fold_change"]) > 0)
      .map((row) => row["symbol"]);
    assert.deepEqual(shown, expected.slice(0, shown.length));
    assert.ok(
      shown.some((gene) => ["CD79A", "MS4A1", "CD74"].includes(gene)),
      `B cells, which the reference lacks, are known by ${shown.join(", ")}`,
    );
    mapped.close();
    await first.locator(".group").click();
    await look(page, "20-unknown-cluster");
  });

  test("a label by hand is given, renamed, undone and redone", async () => {
    const cells = await selected();
    await page.getByLabel("Label for these cells").fill("B cell");
    await page.getByRole("button", { name: "Label", exact: true }).click();
    await legendRow("B cell").waitFor();
    assert.match(await legendRow("B cell").innerText(), new RegExp(`B cell\\s+${cells}`));
    await tab("Types");
    await page.getByLabel("Rename B cell").fill("B cells");
    await page.getByLabel("Rename B cell").blur();
    await legendRow("B cells").waitFor();
    await page.getByRole("button", { name: "Undo" }).click();
    await page.getByLabel("Rename B cell", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Redo" }).click();
    await page.getByLabel("Rename B cells", { exact: true }).waitFor();
    await page.locator(".library-plot svg").first().waitFor();
    await look(page, "21-types");
    await tab("Unknown cells");
    await page.getByRole("button", { name: "Label clusters by majority" }).click();
    await legendRow("CD14+ Monocytes").waitFor();
    await page.getByRole("button", { name: "Undo" }).click();
  });

  test("filters: cells that are hidden are in no count and no lasso", async () => {
    await page.getByLabel("Colour by").selectOption({ label: "cell_type: predicted type" });
    await page.getByText("Filter cells").click();
    await page.getByLabel("Filter by").selectOption({ label: "sample (query and reference)" });
    const filter = page.getByRole("group", { name: /^sample/ });
    await filter.getByRole("button", { name: "none" }).click();
    await filter.getByText("P1244_ctrl").click();
    const shown = Number(
      /Filter cells: (\d+) of 720/.exec(await page.locator(".filters summary").innerText())![1],
    );
    assert.ok(shown > 50 && shown < 300, `${shown} cells`);
    await tool(/Lasso/);
    await draw(page, plot, whole);
    assert.equal(await selected(), shown);
    const counted = (await page.locator(".legend .groups .amount").allInnerTexts()).map(Number);
    assert.ok(counted.slice(0, 8).reduce((sum, n) => sum + n, 0) >= shown);
    await page.getByLabel("Filter by").selectOption({ label: "cell_type: novelty" });
    await page.locator(".filter-range input").first().fill("0.5");
    const fewer = Number(
      /Filter cells: (\d+) of 720/.exec(await page.locator(".filters summary").innerText())![1],
    );
    assert.ok(fewer < shown, `${fewer} of ${shown}`);
    await look(page, "22-filters");
    await page.locator(".filters").getByRole("button", { name: "Clear", exact: true }).click();
    await tool(/Move and zoom/);
    await page.keyboard.press("Escape");
  });

  test("the reference is coloured, and has its names", async () => {
    await page.locator(".legend .switches select").selectOption("coloured");
    await page.waitForTimeout(300);
    await look(page, "23-reference");
    await page.locator(".legend .switches select").selectOption("grey");
  });

  test("genes: zeros in grey, side by side, as dots and violins", async () => {
    await tab("Genes");
    await page.getByLabel("or paste a list").fill("CD79A, CST3 NKG7");
    await page.getByRole("button", { name: "Add all" }).click();
    await page.locator(".gene-map").nth(2).waitFor();
    await page.locator(".library-plot svg").nth(3).waitFor();
    const value = await page.evaluate(() => document.querySelector(".library-plot title")!.textContent);
    assert.match(value!, /Genes by/);
    await page.getByLabel("or by a gene").fill("d79a");
    await page.getByRole("button", { name: "Show", exact: true }).click();
    await page.locator(".ramp").getByText("(grey)").waitFor();
    assert.ok((await page.locator(".cluster-label").count()) > 3, "clusters keep their names");
    await page.getByRole("button", { name: "Find marker genes of each group" }).click();
    await page.getByRole("group", { name: /^Marker genes of/ }).waitFor({ timeout: 60_000 });
    await isIdle(page);
    const sets = join(folder, "sets.gmt");
    writeFileSync(
      sets,
      "B cells\tmarkers\tCD79A\tMS4A1\tCD74\nMonocytes\tmarkers\tCST3\tLYZ\tS100A8\tS100A9\n",
    );
    const [chooser] = await Promise.all([
      page.waitForEvent("filechooser"),
      page.getByRole("button", { name: "Test gene sets (.gmt)" }).click(),
    ]);
    await chooser.setFiles(sets);
    const group = await page.getByLabel("Marker genes of", { exact: true }).inputValue();
    const table = page.getByRole("group", { name: `Gene sets among the marker genes of ${group}` });
    await table.waitFor({ timeout: 60_000 });
    const mapped = await AnnData.open(file);
    const typed = await mapped.obs.column("cell_type_pred");
    const flags = await mapped.obs.column("cell_type_unknown");
    assert.ok(typed.kind === "categorical" && flags.kind === "boolean");
    const found = await markerGeneSets(
      await findMarkers(mapped, {
        codes: {
          codes: typed.codes.map((code, cell) => (flags.values[cell] ? typed.categories.length : code)),
          names: [...typed.categories, "unknown"],
        },
      }),
      await readGeneSets(sets),
    );
    mapped.close();
    assert.deepEqual(
      await table.locator("tbody td:first-child").allInnerTexts(),
      found.filter((row) => row["group"] === group).map((row) => row["set"]),
    );
    await isIdle(page);
    await look(page, "24-genes");
  });

  test("samples are compared as the library does", async () => {
    await tab("Compare");
    await page.getByLabel("Compare by").selectOption({ label: "condition (2)" });
    await page.getByLabel("Samples or patients").selectOption({ label: "donor (3)" });
    await page.getByLabel("This group").selectOption("stim");
    await page.getByLabel("against").selectOption("ctrl");
    await page.getByRole("button", { name: "Compare", exact: true }).click();
    const table = page.getByRole("group", { name: /^Genes of / });
    await table.waitFor({ timeout: 60_000 });
    await isIdle(page);
    const mapped = await AnnData.open(file);
    const { types } = await compareSamples(mapped, {
      between: ["condition", "stim", "ctrl"],
      sampleKey: "donor",
      within: "cell_type_pred",
    });
    mapped.close();
    const { type, genes } = types.find(({ reason }) => reason === null)!;
    assert.equal(await page.getByLabel("Type", { exact: true }).inputValue(), type);
    shownType = type;
    shownGenes = await table.locator("tbody .gene").allInnerTexts();
    assert.deepEqual(
      shownGenes,
      genes.slice(0, 15).map(({ symbol }) => symbol),
    );
    await look(page, "25-compare");
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.getByRole("button", { name: "Copy the command: Compare stim with ctrl" }).click();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    assert.match(copied, /^scpoli compare kang_query-mapped\.h5ad/);
    await page.getByLabel("Colour by").selectOption({ label: "cell_type: predicted type" });
    await legendRow("CD14+ Monocytes").click();
    await page
      .locator("p", { hasText: "A" })
      .getByRole("button", { name: "Take the selection" })
      .first()
      .click();
    await page.getByRole("button", { name: "Compare the cells" }).click();
    await page
      .getByRole("heading", { name: "CD14+ Monocytes against all other cells" })
      .waitFor({ timeout: 60_000 });
    await isIdle(page);
  });

  test("the commands that are copied give the same labels and the same comparison", async () => {
    await step(page, "Save").click();
    const commands = await page.locator(".commands code").allInnerTexts();
    const data = join(root, "data");
    const run = async (verb: string): Promise<void> => {
      const command = commands.find((one) => one.startsWith(`scpoli ${verb} `))!;
      const words = command.replaceAll("\\\n", " ").split(/\s+/).slice(1);
      const args = words.map((one) =>
        one === "kang_query.h5ad"
          ? join(data, one)
          : one === "demo-blood-1.zip"
            ? join(data, "models", one)
            : one === "sets.gmt"
              ? join(folder, one)
              : /^(kang_query-|demo-blood)/.test(one)
                ? join(folder, `cli-${one}`)
                : one,
      );
      const { code, stderr } = await scpoli(args);
      assert.equal(code, 0, stderr);
    };
    await run("map");
    await run("compare");
    const [pageFile, commandFile] = await Promise.all(
      [file, join(folder, "cli-kang_query-mapped.h5ad")].map((path) => AnnData.open(path)),
    );
    const labels = async (mapped: AnnData): Promise<string[]> => {
      const { codes, names } = factorize(await mapped.obs.column("cell_type_pred"));
      return Array.from(codes, (one) => names[one]!);
    };
    assert.deepEqual(await labels(pageFile!), await labels(commandFile!));
    const compared = readFileSync(join(folder, "cli-kang_query-stim-ctrl", "genes.csv"), "utf8");
    assert.deepEqual(
      shownGenes,
      compared
        .split("\n")
        .filter((line) => line.startsWith(`${shownType},`))
        .slice(0, shownGenes.length)
        .map((line) => line.split(",")[2]),
    );
    pageFile!.close();
    commandFile!.close();
    await look(page, "26-save");
  });

  test("a reload loses nothing: result, labels, colours and the theme", async () => {
    await page.getByRole("button", { name: "Switch to the dark theme" }).click();
    await step(page, "Explore").click();
    await page.getByLabel("Colour by").selectOption({ label: "annotation (yours)" });
    await page.waitForTimeout(100);
    await page.locator("html[data-kept=yes]").waitFor();
    await page.reload();
    await page.locator(".explore").waitFor();
    await legendRow("B cells").waitFor();
    // the panel that was open, with its answers
    const table = page.getByRole("group", { name: /^Genes of / });
    await table.waitFor();
    assert.deepEqual(await table.locator("tbody .gene").allInnerTexts(), shownGenes);
    assert.equal(await page.getByLabel("Samples or patients").inputValue(), "donor");
    await page.getByRole("heading", { name: "CD14+ Monocytes against all other cells" }).waitFor();
    await tab("Unknown cells");
    await page.locator(".clusters .gene").first().waitFor();
    await tab("Genes");
    await page.getByRole("group", { name: /^Marker genes of/ }).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.dataset["theme"]), "dark");
    await page.getByLabel("or by a gene").fill("CST3");
    await page.getByRole("button", { name: "Show", exact: true }).click();
    await page.locator(".ramp").getByText("CST3").waitFor();
    await page.getByRole("button", { name: "Switch to the light theme" }).click();
  });

  test("the quality of the cells is measured as the library does, before they are mapped", async () => {
    await step(page, "Open").click();
    await page.getByText("Quality of the cells").click();
    await page.getByRole("button", { name: "Measure counts per cell" }).click();
    const panel = page.locator("details", { hasText: "Quality of the cells" });
    await panel.locator(".library-plot svg").nth(1).waitFor();
    await isIdle(page);
    const query = await AnnData.open(join(root, "data", "kang_query.h5ad"));
    const { counts, genes } = await cellQuality(query);
    query.close();
    const text = await panel.innerText();
    for (const [name, values] of [
      ["Counts per cell", counts],
      ["Genes per cell", genes],
    ] as const) {
      const sorted = Float32Array.from(values).sort();
      const [low, middle, high] = [0.05, 0.5, 0.95].map((share) =>
        sorted[Math.floor(share * (sorted.length - 1))]!.toLocaleString("en-US", {
          maximumFractionDigits: 0,
        }),
      );
      assert.ok(
        text.includes(`${middle} (${low} to ${high})`),
        `${name}: ${middle} (${low} to ${high})\n${text}`,
      );
    }
    await look(page, "29-quality");
    await step(page, "Explore").click();
  });

  test("a session without counts asks for its file and accepts no other", async () => {
    await step(page, "Save").click();
    const session = await save(page, "session", folder);
    const again = await TestPage.open(browser, url);
    await choose(again.page, "query", /a file/, session);
    await again.page.getByText("Choose kang_query.h5ad again.").waitFor();
    await step(again.page, "Map").click();
    assert.ok(await again.page.getByRole("button", { name: "Map the cells" }).isDisabled());
    await step(again.page, "Explore").click();
    const colours = again.page.getByLabel("Colour by");
    const before = await colours.inputValue();
    await colours.selectOption({ label: "donor" });
    await again.page.getByText("donor could not be read").waitFor();
    assert.equal(await colours.inputValue(), before, "a choice that failed is not what is shown");
    await look(again.page, "27-choose-again");
    const chooseFile = async (path: string): Promise<void> => {
      const [chooser] = await Promise.all([
        again.page.waitForEvent("filechooser"),
        again.page.getByRole("button", { name: "Choose the file" }).click(),
      ]);
      await chooser.setFiles(path);
    };
    await chooseFile(join(root, "data", "kang_reference.h5ad"));
    await again.page.getByText(/has 1,156 cells; the results are of/).waitFor();
    await chooseFile(join(root, "data", "kang_query.h5ad"));
    await again.page.getByText("Choose kang_query.h5ad again.").waitFor({ state: "detached" });
    assert.equal(await again.page.locator(".message.error").count(), 0, "the error has gone with its cause");
    await step(again.page, "Explore").click();
    await again.page.getByLabel("or by a gene").fill("CST3");
    await again.page.getByRole("button", { name: "Show", exact: true }).click();
    await again.page.locator(".ramp").getByText("CST3").waitFor();
    assert.deepEqual([again.errors, again.foreign], [[], []]);
    await again.page.context().close();
    const full = await save(page, "session-counts", folder);
    const third = await TestPage.open(browser, url);
    await choose(third.page, "query", /a file/, full);
    await third.page.locator(".explore").waitFor();
    assert.equal(await third.page.locator(".choose-again").count(), 0);
    await third.page.context().close();
  });

  test("an embedding of the file is a second map, whose selections are those of both", async () => {
    const other = await TestPage.open(browser, url);
    await other.page.setViewportSize({ width: 1440, height: 900 });
    await choose(other.page, "model", /a zip file/, join(root, "data", "models", "demo-blood-1.zip"));
    await choose(other.page, "query", /a file/, file);
    await other.page.getByRole("button", { name: /^Map 720 cells onto/ }).click();
    await fill(other.page, "Options of the mapping", {});
    await other.page.getByLabel(/Learn an embedding for each new sample/).uncheck();
    await other.page.getByRole("button", { name: "Map the cells" }).click();
    await other.page.locator(".explore").waitFor({ timeout: 120_000 });
    await isIdle(other.page);
    await other.page.getByLabel("Second map").selectOption("X_umap_scpoli");
    const map = other.page.locator(".second-map .plot-place");
    await map.locator("svg.draws").waitFor();
    await draw(other.page, map, whole);
    await other.page.locator(".selection h3", { hasText: "720 cells selected" }).waitFor();
    await draw(other.page, map, [
      [0.01, 0.01],
      [0.5, 0.01],
      [0.5, 0.99],
      [0.01, 0.99],
      [0.01, 0.02],
    ]);
    const text = await other.page.locator(".selection h3").innerText();
    const embedded = await AnnData.open(file);
    const { values } = await embedded.obsm("X_umap_scpoli");
    embedded.close();
    const xs = Array.from({ length: 720 }, (_, cell) => Number(values[2 * cell]));
    const middle = (Math.min(...xs) + Math.max(...xs)) / 2;
    const left = xs.filter((x) => x < middle).length;
    assert.ok(
      Math.abs(Number(/^(\d+) cells/.exec(text)![1]) - left) <= 3,
      `${text}; ${left} are left of the middle`,
    );
    await look(other.page, "30-second-map");
    assert.deepEqual([other.errors, other.foreign], [[], []]);
    await other.page.context().close();
  });

  test("on a phone, a tap shows the selected cell", async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    await step(page, "Explore").click();
    await page.getByLabel("Colour by").selectOption({ label: "annotation (yours)" });
    await legendRow("B cells").click();
    await page.locator(".selection-strip").waitFor();
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0);
    for (const name of ["Overview", "Unknown cells", "Types", "Genes", "Compare", "Samples", "Metrics"]) {
      await tab(name);
      await page.waitForTimeout(150);
      assert.ok(
        (await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0,
        `${name} is too wide`,
      );
      await page.screenshot({
        path: join(screenshots, `28-phone-${name.toLowerCase().replace(" ", "-")}.png`),
        fullPage: true,
      });
    }
  });

  test("the model that was trained here is saved, not the one that was mapped onto", async () => {
    await page.setViewportSize({ width: 1440, height: 900 });
    await step(page, "Open").click();
    await choose(page, "reference", /a file/, join(root, "data", "kang_reference.h5ad"));
    await step(page, "Train").click();
    await fill(page, "Options of the training", { Epochs: "3" });
    await page.getByRole("button", { name: "Train on 1,156 cells" }).click();
    await page.getByRole("heading", { name: "The trained model" }).waitFor({ timeout: 120_000 });
    const path = await saved(page, page.getByRole("button", { name: "Save the model" }), folder);
    const { stored } = await ScPoli.load(path);
    assert.equal((stored.json.provenance["history"] as unknown[]).length, 3);
    await step(page, "Save").click();
    const mapped = await ScPoli.load(await save(page, "mapped-model", folder));
    assert.ok(mapped.stored.json.conditions[0]!.includes("P1244_ctrl"));
  });

  test("no error on the console, no request left the origin, no flag outside of the commands", async () => {
    assert.deepEqual(errors, []);
    assert.deepEqual(foreign, []);
    for (const name of ["Open", "Map", "Explore"]) {
      await step(page, name).click();
      assert.doesNotMatch(await page.locator("body").innerText(), /--[a-z]/, name);
    }
  });
});

describe("the example with an added cell type", async () => {
  const { page, errors } = await TestPage.open(browser, url);
  await page.setViewportSize({ width: 1440, height: 900 });

  test("the copied commands give the same labels as the page", async () => {
    await page.getByRole("button", { name: "See an example, mapped" }).click();
    await page.locator(".explore").waitFor();
    await step(page, "Map").click();
    await page.getByText("Options of the mapping").click();
    await page.getByLabel("Unknown cells").selectOption({ label: "novelty above ..." });
    await page.getByLabel("Novelty", { exact: true }).fill("0.8");
    await page.getByLabel("Speed").selectOption({ label: "bit-identical everywhere" });
    await page.getByRole("button", { name: /^Map the cells|^Map again/ }).click();
    await page.locator(".explore").waitFor();
    await isIdle(page);
    await page.getByRole("tab", { name: "Unknown cells" }).click();
    for (const [cluster, name] of [
      ["Cluster 5", "First, new"],
      ["Cluster 4", "Second's type"],
    ] as const) {
      await page.locator(".clusters .group", { hasText: cluster }).click();
      await page.getByLabel(/Name of a new cell type/).fill(name);
      await page.getByRole("button", { name: "Add type" }).click();
      await page.locator(".legend .group", { hasText: name }).waitFor();
      await isIdle(page);
    }
    assert.match(
      await page.locator(".unknown").innerText(),
      /Added to the model: First, new \(\d+ cells\), Second's type \(\d+ cells\)/,
    );
    await look(page, "29-added-types");
    await page.getByRole("button", { name: "Undo" }).click();
    assert.match(
      await page.locator(".unknown").innerText(),
      /Added to the model: First, new \(\d+ cells\)\./,
    );
    await page.getByRole("button", { name: "Redo" }).click();
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.getByRole("button", { name: "Copy the command: Add your cell types" }).click();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    await step(page, "Save").click();
    await page.locator(".commands").waitFor();
    const map = (await page.locator(".commands code").allInnerTexts()).find((one) =>
      /^scpoli map/.test(one),
    )!;
    assert.match(copied, /^scpoli embed [^]*--threshold 0\.8/m);

    const place = mkdtempSync(join(folder, "commands-"));
    await save(page, "added-types", place);
    copyFileSync(join(root, "data", "kang_query.h5ad"), join(place, "kang_query.h5ad"));
    copyFileSync(join(root, "data", "models", "demo-blood-1.zip"), join(place, "demo-blood-1.zip"));
    // a POSIX shell reads the commands, as for a user
    writeFileSync(
      join(place, "commands.sh"),
      [
        "set -e",
        `scpoli() { "${process.execPath}" "${join(root, "dist", "cli.js")}" "$@"; }`,
        map,
        `${copied}\n`,
      ].join("\n"),
    );
    execFileSync("sh", ["commands.sh"], { cwd: place, stdio: "pipe" });

    const pageFile = await AnnData.open(await save(page, "h5ad", folder));
    const commandFile = await AnnData.open(join(place, "kang_query-relabelled.h5ad"));
    const labels = async (mapped: AnnData, column: string): Promise<(string | undefined)[]> => {
      const { codes, names } = factorize(await mapped.obs.column(column));
      return Array.from(codes, (one) => names[one]);
    };
    for (const column of ["cell_type_pred", "cell_type_unknown"]) {
      const shown = await labels(pageFile, column);
      assert.deepEqual(shown, await labels(commandFile, column), column);
      if (column === "cell_type_pred")
        assert.ok(shown.includes("First, new") && shown.includes("Second's type"));
    }
    pageFile.close();
    commandFile.close();
    assert.match(readFileSync(join(place, "kang_query-report.html"), "utf8"), /Second's type/);
    assert.deepEqual(errors, []);
  });
});
