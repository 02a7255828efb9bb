// The page with the cells of one sample and no column of samples, as 10x CellRanger writes them.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { AnnData, ScPoli, writeH5ad } from "../dist/index.js";
import { factorize } from "../dist/data/labels.js";
import { TestPage } from "./browser.ts";
import { temporaryFolder } from "./command.ts";
import { choose, isIdle, launchDrawingBrowser, save, serve, step } from "./page-driver.ts";
import { simulate } from "./simulate.ts";
import { writeCounts10x } from "./tenx.ts";

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const url = await serve();
const browser = await launchDrawingBrowser();

test("a file with one sample is named on the page; the saved file has the name", async () => {
  const good = simulate({ cells: 120, genes: 30 });
  await writeH5ad(at("reference.h5ad"), good.data);
  await writeCounts10x(at("patient.h5"), at("mtx"), {
    ...good,
    names: good.data.var.index,
    types: undefined,
  });
  const data = await AnnData.open(at("reference.h5ad"));
  const model = await ScPoli.train(data, {
    conditionKeys: ["donor"],
    cellTypeKeys: ["cell_type"],
    epochs: 4,
    threads: 1,
  });
  data.close();
  await model.save(at("model"));

  const { page, errors } = await TestPage.open(browser, url);
  await choose(page, "reference", /file/, at("patient.h5"));
  const name = page.getByLabel("All cells are of one sample, named").first();
  assert.equal(await name.inputValue(), "patient");
  await step(page, "Train").click();
  await page.getByRole("button", { name: "Train on 120 cells" }).waitFor();
  assert.ok(await page.getByRole("button", { name: "Train on 120 cells" }).isEnabled());
  await page.getByLabel("All cells are of one sample, named").fill("");
  await page.getByLabel("All cells are of one sample, named").blur();
  await page.getByText("name the sample that all cells are of").waitFor();

  await step(page, "Open").click();
  await choose(page, "model", /folder/, at("model"));
  await choose(page, "query", /file/, at("patient.h5"));
  await step(page, "Map").click();
  await page.getByLabel("All cells are of one sample, named").fill("patient 1");
  await page.getByLabel("All cells are of one sample, named").blur();
  await page.getByRole("button", { name: "Map the cells" }).click();
  await page.locator(".explore").waitFor({ timeout: 120_000 });
  await isIdle(page);
  await step(page, "Save").click();
  const mapped = await AnnData.open(await save(page, "h5ad", folder));
  assert.deepEqual(factorize(await mapped.obs.column("donor")).names, ["patient 1"]);
  mapped.close();
  assert.deepEqual(errors, []);
});
