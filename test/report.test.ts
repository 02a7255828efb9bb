// Reports: one HTML file that a browser opens without an error, a request or a serious fault of
// accessibility, in both themes and on a phone; hostile names stay text; the same input gives the same bytes.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Page } from "playwright-core";
import { AnnData, makeReport, readExpression, ScPoli, ScPoliError } from "../dist/index.js";
import { bytesOfText, type ViewerData } from "../dist/report/viewer-data.js";
import { folder, makeAtlas, texts } from "./atlas.ts";
import { launchBrowser } from "./browser.ts";
import { scpoli } from "./command.ts";

const at = (name: string): string => join(folder, name);
const hostile = `</script><img src=x onerror="alert('1')">&amp; B`;
const quick = {
  hiddenLayerSizes: [32],
  epochs: 60,
  alphaEpochAnneal: 20,
  eta: 5,
  conditionKeys: ["donor"],
  cellTypeKeys: ["cell_type", "lineage"],
};
const naming = (type: string): string => (type === "B" ? hostile : type);
const reference = await makeAtlas("reference", {
  cells: 400,
  conditions: ["d1", "d2", `d3 ${hostile}`],
  label: naming,
});
const query = await makeAtlas("query", {
  cells: 150,
  conditions: ["q1", "q2"],
  seed: 2,
  label: (type, cell) => (cell % 10 === 0 ? "unheard of" : naming(type)),
});
const model = await ScPoli.train(reference, quick);
const mapping = await model.map(query, { epochs: 10, output: at("mapped.h5ad") });
await mapping.model.save(at("model"));

/** Screenshots for visual inspection, in the cache folder. */
const pictures = fileURLToPath(new URL("../.cache/screenshots/", import.meta.url));
mkdirSync(pictures, { recursive: true });
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

test("scpoli report, map --report and train --report write one self-contained file below 5 MB", async () => {
  const outcomes = await Promise.all([
    scpoli([
      "report",
      at("mapped.h5ad"),
      "--model",
      at("model"),
      "-o",
      at("report.html"),
      "--genes",
      "gene1,gene2",
    ]),
    scpoli(["report", at("model"), "-o", at("model.html"), "--quiet"]),
    scpoli([
      "train",
      reference.path,
      "-o",
      at("small"),
      "--condition-key",
      "donor",
      "--cell-type-key",
      "cell_type",
      "--epochs",
      "5",
      "--hidden",
      "8",
      "--report",
      at("train.html"),
    ]),
  ]);
  outcomes.push(
    await scpoli([
      "map",
      query.path,
      "--reference",
      at("small"),
      "-o",
      at("again.h5ad"),
      "--epochs",
      "2",
      "--report",
      at("map.html"),
      "--reference-data",
      reference.path,
    ]),
  );
  for (const { code, stderr } of outcomes) assert.equal(code, 0, stderr);
  for (const name of ["report", "model", "train", "map"]) {
    const html = readFileSync(at(`${name}.html`), "utf8");
    assert.ok(statSync(at(`${name}.html`)).size < 5e6);
    assert.match(
      html,
      /Content-Security-Policy" content="default-src 'none'; script-src 'sha256-[\w+/=]+'; style-src 'sha256-/,
    );
    assert.ok(!/(src|href)="(?!#)/.test(html), name);
    assert.ok(!html.includes("<img") && html.split("</script>").length === 3, `${name} has markup in a name`);
    assert.ok(!html.includes(folder), `${name} names a path`);
  }
  const html = readFileSync(at("report.html"), "utf8");
  const ids = [...html.matchAll(/<section id="([^"]*)"/g)].map(([, id]) => id);
  assert.deepEqual(ids, [
    "summary",
    "cells-view",
    "genes",
    "labels",
    "uncertainty",
    "composition",
    "samples",
    "training",
    "options",
    "methods",
  ]);
  for (const words of [
    "From label to prediction: lineage",
    "Reliability of the probability: lineage",
    "Errors by uncertainty: lineage",
    "Detecting wrong labels and unknown types (ROC): cell_type",
    "unknown types, by novelty: ",
    "Accuracy of the cells kept: cell_type",
    "threshold 0.95",
    "Total loss",
    "adjusted R",
    "gene1",
    "De Donno, C. et al.",
  ])
    assert.ok(html.includes(words), words);
  for (const [, svg] of html.matchAll(/(<svg [\s\S]*?<\/svg>)/g))
    assert.match(svg!, /plot-title.*plot-label/s, "a figure without a title or labels");
});

/** Cells of a report, decoded: of a gene's colouring the values, NaN where a cell has none. */
function geneIn(
  html: string,
  id: string,
): { readonly title: string; readonly values: number[]; readonly step: number; readonly reference: number } {
  const data = JSON.parse(
    /<script type="application\/json" id="cell-data">(.*?)<\/script>/s.exec(html)![1]!,
  ) as ViewerData;
  const {
    title,
    values,
    range: [, high],
  } = data.colourings.find((colouring) => colouring.id === id) as ViewerData["colourings"][number] & {
    readonly range: readonly [number, number];
  };
  return {
    title,
    values: Array.from(bytesOfText(values), (byte) => (byte === 255 ? NaN : (byte * high) / 254)),
    step: high / 254,
    reference: data.reference,
  };
}

describe("with the file that the model was trained on, the reference has genes, too:", () => {
  test("landmarks are coloured by the expression of their cells, and samples by means", async () => {
    const file = await AnnData.open(at("mapped.h5ad"));
    const [expressed] = await readExpression(reference, ["gene1"]);
    const samples = await mapping.model.samples({ data: reference });
    for (const mapped of [null, file]) {
      const html = await makeReport({ model: mapping.model, mapped, reference, samples, genes: ["gene1"] });
      const { title, values, step, reference: landmarks } = geneIn(html, "gene-0");
      assert.equal(title, "gene1 (log1p of counts per 10,000)");
      assert.equal(landmarks, 400);
      expressed!.forEach((value, cell) =>
        assert.ok(
          Math.abs(values[cell]! - value) <= 0.51 * step,
          `landmark ${cell} has ${values[cell]}, its cell ${value}`,
        ),
      );
      if (mapped)
        (await readExpression(query, ["gene1"]))[0]!.forEach((value, cell) =>
          assert.ok(Math.abs(values[400 + cell]! - value) <= 0.51 * step),
        );
      const genes = /<section id="genes".*?<\/section>/s.exec(html)![0];
      assert.match(
        genes,
        mapped
          ? /Cells of the reference and query by expression of gene1/
          : /Cells of the reference by expression of gene1/,
      );
      // of the means: three samples of the reference, two of the query
      const known = [
        ...genes.matchAll(
          /<tr><td>([^<]*)<\/td><td class="number">[^<]*<\/td><td class="number">[^<]*<\/td><td class="number">([^<]*)<\/td><\/tr>/g,
        ),
      ]
        .map(([, name, mean]) => [name, mean] as const)
        .filter(([, mean]) => mean !== "");
      assert.deepEqual(
        known.map(([name]) => name!.slice(0, 2)),
        mapped ? ["d1", "d2", "d3", "q1", "q2"] : ["d1", "d2", "d3"],
      );
      const donors = await texts(reference, "donor");
      const expressedInDonor = expressed!.filter((_, cell) => donors[cell] === "d1");
      assert.ok(
        Math.abs(
          Number(known[0]![1]) -
            expressedInDonor.reduce((sum, value) => sum + value, 0) / expressedInDonor.length,
        ) < 1e-3,
      );
    }
    file.close();
  });

  test("train --report uses its input, report and map need --reference-data", async () => {
    const { code, stderr } = await scpoli([
      "report",
      at("model"),
      "--reference-data",
      reference.path,
      "-o",
      at("genes.html"),
      "--genes",
      "gene3",
    ]);
    assert.equal(code, 0, stderr);
    for (const [name, count] of [
      ["genes", 400],
      ["train", 400],
      ["map", 550],
    ] as const) {
      const { values } = geneIn(readFileSync(at(`${name}.html`), "utf8"), "gene-0");
      assert.equal(values.filter(Number.isFinite).length, count, name);
    }
  });

  test("genes that cannot be shown are reported", async () => {
    const notes: string[] = [];
    await makeReport({
      model: mapping.model,
      reference: query,
      genes: ["gene1"],
      onNote: ({ message }) => notes.push(message),
    });
    assert.match(
      notes.join(),
      /lacks 400 of the 400 reference cells that the model carries: it is not the file that the model was trained on/,
    );
    await assert.rejects(
      makeReport({ model: mapping.model, reference, genes: ["gene1", "no gene"] }),
      (error) =>
        error instanceof ScPoliError && error.kind === "key" && /has no gene 'no gene'/.test(error.message),
    );
    for (const wrong of [
      [at("model"), "--genes", "gene1"],
      [at("mapped.h5ad"), "--reference-data", reference.path],
    ])
      assert.equal((await scpoli(["report", ...wrong, "-o", at("no.html")])).code, 2, wrong.join(" "));
    assert.equal(
      (
        await scpoli([
          "map",
          query.path,
          "--reference",
          at("model"),
          "-o",
          at("no.h5ad"),
          "--reference-data",
          reference.path,
        ])
      ).code,
      2,
    );
  });
});

test("a folder of scArches is a model, too", async () => {
  await mapping.model.export(at("python"));
  const { code, stderr } = await scpoli(["report", at("python"), "-o", at("python.html")]);
  assert.equal(code, 0, stderr);
  assert.deepEqual(
    [...readFileSync(at("python.html"), "utf8").matchAll(/<section id="([^"]*)"/g)].map(([, id]) => id),
    ["summary", "samples", "options", "methods"],
  );
});

test("the same input gives the same bytes, from the library as from the command line", async () => {
  const file = await AnnData.open(at("mapped.h5ad"));
  const make = (): Promise<string> => makeReport({ model: mapping.model, mapped: file });
  const first = await make();
  assert.equal(await make(), first);
  assert.ok(!/20\d\d-\d\d-\d\d/.test(first), "a date");
  file.close();
});

test("a file that was not mapped, and metrics that are no JSON, are errors that say so", async () => {
  await assert.rejects(
    makeReport({ mapped: query }),
    (error) =>
      error instanceof ScPoliError &&
      error.kind === "format" &&
      /was not written by `scpoli map`/.test(error.message),
  );
  const plain = await scpoli(["report", query.path, "-o", at("no.html")]);
  assert.equal(plain.code, 3, plain.stderr);
  writeFileSync(at("metrics.txt"), "overall 0.7");
  assert.equal(
    (await scpoli(["report", at("model"), "-o", at("no.html"), "--metrics", at("metrics.txt")])).code,
    3,
  );
  writeFileSync(at("metrics.json"), JSON.stringify({ embeddings: [{ embedding: "X_scpoli" }] }));
  const other = await scpoli(["report", at("model"), "-o", at("no.html"), "--metrics", at("metrics.json")]);
  assert.equal(other.code, 3);
  assert.match(other.stderr, /not the output of `scpoli evaluate --json`/);
  const { stdout } = await scpoli([
    "evaluate",
    at("mapped.h5ad"),
    "--condition-key",
    "donor",
    "--cell-type-key",
    "cell_type",
    "--pred",
    "cell_type_pred",
    "--json",
    "--quiet",
  ]);
  writeFileSync(at("metrics.json"), stdout);
  const { code, stderr } = await scpoli([
    "report",
    at("model"),
    "-o",
    at("metrics.html"),
    "--metrics",
    at("metrics.json"),
  ]);
  assert.equal(code, 0, stderr);
  const accuracy = (JSON.parse(stdout) as { label_transfer: { accuracy: number } }).label_transfer.accuracy;
  const html = readFileSync(at("metrics.html"), "utf8");
  assert.ok(html.includes(`<dt>labels, accuracy</dt><dd>${accuracy.toFixed(3)}</dd>`));
  for (const words of [
    "Reliability of the probability: evaluated labels",
    "Detecting wrong labels and unknown types (ROC): evaluated labels",
  ])
    assert.ok(html.includes(words), words);
});

const browser = await launchBrowser();
after(() => browser.close());

describe("in Chromium", () => {
  const faults: string[] = [];
  const open = async (options: object): Promise<Page> => {
    const page = await (await browser.newContext(options)).newPage();
    page.on("console", (message) => faults.push(`console: ${message.text()}`));
    page.on("pageerror", (error) => faults.push(String(error)));
    page.on(
      "request",
      (request) => request.url().startsWith("file:") || faults.push(`request: ${request.url()}`),
    );
    page.on("dialog", (dialog) => faults.push(`dialog: ${dialog.message()}`));
    await page.goto(pathToFileURL(at("report.html")).href);
    await page.waitForSelector("html.scripted");
    return page;
  };
  /** How many colours the canvas shows. */
  const coloursSeen = (page: Page): Promise<number> =>
    page.evaluate(() => {
      const canvas = document.querySelector<HTMLCanvasElement>("#cells")!;
      return new Set(
        new Uint32Array(canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height).data.buffer),
      ).size;
    });

  for (const [name, options] of Object.entries({
    light: { colorScheme: "light", viewport: { width: 1200, height: 900 } },
    dark: { colorScheme: "dark", viewport: { width: 1200, height: 900 } },
    phone: { colorScheme: "light", viewport: { width: 375, height: 800 }, hasTouch: true },
  })) {
    test(`${name}: no error, no request, no overflow, no serious accessibility issue`, async () => {
      faults.length = 0;
      const page = await open(options);
      assert.ok((await coloursSeen(page)) > 4);
      assert.ok(
        await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
        "wider than the screen",
      );
      const context = page.context();
      const violations = await page.evaluate(
        `(() => { ${axe}; return axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) ` +
          `=> violations.filter(({ impact }) => impact === "serious" || impact === "critical").map(({ id, ` +
          `nodes }) => id + ": " + nodes.slice(0, 3).map(({ html }) => html.slice(0, 160)).join(" | ` +
          `"))); })()`,
      );
      assert.deepEqual(violations, []);
      await page.screenshot({ path: join(pictures, `report-${name}.png`), fullPage: true });
      assert.deepEqual(faults, []);
      await context.close();
    });
  }

  test("cells are coloured, hidden and selected by keyboard and pointer", async () => {
    faults.length = 0;
    const page = await open({ viewport: { width: 1200, height: 900 } });
    const picture = (): Promise<string> =>
      page.evaluate(() => document.querySelector<HTMLCanvasElement>("#cells")!.toDataURL());
    const changes = async (act: () => Promise<unknown>): Promise<void> => {
      const before = await picture();
      await act();
      await page.evaluate(
        () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
      );
      assert.ok((await picture()) !== before, "the picture has not changed");
    };
    await page.uncheck("#prototypes-shown");
    for (const [value, title] of await page
      .locator("#colouring option")
      .evaluateAll((elements) =>
        elements.map((option) => [(option as HTMLOptionElement).value, option.textContent!] as const),
      )) {
      await page.selectOption("#colouring", value);
      assert.equal(await page.locator("#legend caption").textContent(), title);
    }
    for (const option of ["uncertainty-0", "condition-0", "gene-0"])
      await changes(() => page.selectOption("#colouring", option));
    await changes(() => page.selectOption("#reference-as", "hidden"));
    await changes(() => page.selectOption("#reference-as", "coloured"));
    await page.selectOption("#colouring", "predicted-0");
    await changes(() => page.locator("#legend button").first().press("Enter"));
    assert.equal(await page.locator("#legend button").first().getAttribute("aria-pressed"), "true");
    await page.focus("#cells");
    for (const key of ["ArrowLeft", "ArrowUp", "+", "-", "0"]) await changes(() => page.keyboard.press(key));
    await changes(() => page.click("#zoom-in"));
    const box = (await page.locator("#cells").boundingBox())!;
    await page.mouse.move(box.x + 200, box.y + 200);
    await page.mouse.down();
    await changes(() => page.mouse.move(box.x + 260, box.y + 230, { steps: 3 }));
    await page.mouse.up();
    await page.click("#zoom-all");
    let shownText = "";
    for (let x = 10; x < box.width && shownText === ""; x += 8)
      for (let y = 10; y < box.height && shownText === ""; y += 40) {
        await page.mouse.move(box.x + x, box.y + y);
        shownText = (await page.locator("#told").textContent()) ?? "";
      }
    assert.match(shownText, /(reference|query) cell.*cell_type, predicted/);
    assert.equal(await page.locator("#legend").evaluate((legend) => legend.querySelector("img")), null);
    const shown = page.locator('[data-of="samples-0"]:visible');
    assert.equal(await shown.count(), 1);
    const options = await page.locator('[data-choice="samples-0"] option').count();
    if (options > 1) await page.selectOption('[data-choice="samples-0"]', String(options - 1));
    assert.equal(await shown.getAttribute("data-option"), String(options - 1));
    assert.deepEqual(faults, []);
  });
});
