// The page on real data, when it is there (../shared): models of Python and of the command line, with and
// without cross-origin isolation, to the byte.
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { zipSync } from "fflate";
import type { Page } from "playwright-core";
import { configurations, openTransfer, sharedData } from "../bench/transfer.ts";
import { pageHeaders } from "../dist/cli/app-headers.js";
import { AnnData, ScPoli } from "../dist/index.js";
import { serveFolder } from "../dist/platform/server-node.js";
import { TestPage } from "./browser.ts";
import { scpoli, temporaryFolder } from "./command.ts";
import { choose, fill, launchDrawingBrowser, look, save, serve, step } from "./page-driver.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const interop = join(sharedData, "..", "interop");

describe("real data", { skip: existsSync(interop) ? false : "needs ../shared" }, async () => {
  const folder = temporaryFolder();
  const browser = await launchDrawingBrowser();

  /** Maps the open query with the plain kernels. @returns the path of the saved query */
  async function map(page: Page, setUp?: () => Promise<void>): Promise<string> {
    await step(page, "Map").click();
    await fill(page, "Options of the mapping", {}, { Speed: "plain" });
    await setUp?.();
    await page.getByRole("button", { name: "Map the cells" }).click();
    await page.locator(".explore").waitFor({ timeout: 120_000 });
    await step(page, "Save").click();
    return save(page, "h5ad", folder);
  }

  test("a model of scArches and its query, as in Node", async () => {
    const { page, errors, foreign } = await TestPage.open(browser, await serve());
    await choose(page, "query", /a file/, join(sharedData, "pbmc3.h5ad"));
    await choose(page, "model", /a folder/, join(interop, "pbmc", "reference"));
    const written = await AnnData.open(
      await map(page, async () => {
        await page.getByLabel(/Learn an embedding for each new sample/).uncheck();
        await page.getByLabel(/Find clusters in the query/).uncheck();
      }),
    );
    const model = await ScPoli.load(join(interop, "pbmc", "reference"));
    const mapping = await model.map(await AnnData.open(join(sharedData, "pbmc3.h5ad")), {
      simd: "plain",
      training: false,
    });
    assert.deepEqual((await written.obsm("X_scpoli")).values, mapping.latent);
    written.close();
    assert.deepEqual([errors, foreign], [[], []]);
  });

  describe("pancreas: a model of the command line", async () => {
    const at = (name: string): string => join(folder, name);
    const run = async (...args: string[]): Promise<void> => {
      const { code, stderr } = await scpoli(args);
      assert.equal(code, 0, stderr);
    };
    const queryAndModel = ["panc8-query.h5ad", "panc8-reference.h5ad"].map(at);
    before(async () => {
      (
        await openTransfer(
          configurations.find(({ name }) => name === "panc8")!,
          folder,
          "panc8",
        )
      ).close();
      await run(
        "train",
        queryAndModel[1]!,
        "-o",
        at("panc8"),
        "--condition-key",
        "batch",
        "--cell-type-key",
        "cell_type",
        "--epochs",
        "20",
        "--quiet",
      );
      await run(
        "map",
        queryAndModel[0]!,
        "--reference",
        at("panc8"),
        "-o",
        at("cli.h5ad"),
        "--simd",
        "plain",
        "--quiet",
      );
      cpSync(join(root, "dist", "app"), at("site"), { recursive: true });
      mkdirSync(join(at("site"), "models"), { recursive: true });
      writeFileSync(
        join(at("site"), "models", "panc8.zip"),
        zipSync(
          Object.fromEntries(
            ["model.json", "model.safetensors"].map((name) => [
              `panc8/${name}`,
              readFileSync(join(at("panc8"), name)),
            ]),
          ),
        ),
      );
    });

    for (const isIsolated of [true, false])
      test(
        isIsolated
          ? "from an address of the site, with threads"
          : "from an address of a site without isolation, on one thread",
        async () => {
          const served = await serveFolder(at("site"), 0, isIsolated ? pageHeaders : {});
          try {
            const { page, errors, foreign } = await TestPage.open(browser, served.url, {
              serviceWorkers: "block",
            });
            assert.equal(await page.evaluate(() => globalThis.crossOriginIsolated), isIsolated);
            await page.getByLabel("or a path on this server").fill("models/panc8.zip");
            await page.locator(".address").getByRole("button", { name: "Open" }).click();
            await page.locator(".name", { hasText: "panc8" }).waitFor();
            await choose(page, "query", /a file/, queryAndModel[0]!);
            const mapped = await AnnData.open(
              await map(page, () => page.getByLabel(/Find clusters in the query/).uncheck()),
            );
            const expected = await AnnData.open(at("cli.h5ad"));
            for (const name of ["X_scpoli", "X_umap_scpoli"])
              assert.deepEqual(await mapped.obsm(name), await expected.obsm(name), name);
            for (const name of [
              "cell_type_pred",
              "cell_type_prob",
              "cell_type_uncert",
              "cell_type_novelty",
              "cell_type_distance",
              "cell_type_unknown",
            ])
              assert.deepEqual(await mapped.obs.column(name), await expected.obs.column(name), name);
            assert.deepEqual(await mapped.obs.index(), await expected.obs.index());
            mapped.close();
            expected.close();
            await step(page, "Explore").click();
            await look(page, isIsolated ? "17-pancreas" : "18-pancreas-one-thread");
            assert.deepEqual([errors, foreign], [[], []]);
          } finally {
            await served.close();
          }
        },
      );
  });
});
