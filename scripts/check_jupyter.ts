// Checks the Python package in JupyterLab: runs a notebook that ends with `scpoli.show(...)` in headless
// Chromium, and inspects its report.
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { launchBrowser } from "../test/browser.ts";

const cells = [
  "import scpoli\nreference, query = scpoli.demo()",
  'mapping = scpoli.read("demo-blood@1").map(query, epochs=2, quiet=True)',
  "scpoli.show(query, mapping.model, height=600)",
];

const minute = 60_000;

/**
 * @param python - of an environment with jupyterlab and the package
 * @param env - of the server: its PATH has no Node
 * @param screenshot - file to write, for visual inspection
 * @returns a summary in one line
 * @throws AssertionError if the report is not shown correctly
 */
export async function checkShow(python: string, env: NodeJS.ProcessEnv, screenshot: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "scpoli-jupyter-"));
  writeFileSync(join(folder, "show.ipynb"), JSON.stringify(notebook()));
  const token = randomBytes(16).toString("hex");
  const server = spawn(
    python,
    [
      ...["-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0"],
      ...[`--IdentityProvider.token=${token}`, `--ServerApp.root_dir=${folder}`],
    ],
    { env: { ...env, SCPOLI_CACHE: join(folder, "cache"), JUPYTER_CONFIG_DIR: join(folder, "config") } },
  );
  const browser = await launchBrowser();
  try {
    const address = await addressOf(server);
    const page = await browser.newPage({ viewport: { width: 1400, height: 1000 } });
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(error.message));
    await page.goto(`${address}/lab/tree/show.ipynb?token=${token}`, { timeout: 3 * minute });
    await runAll(page);
    const seen = await lookAtReport(page);
    await page.screenshot({ path: screenshot });
    assert.deepEqual(errors, [], "errors in the page");
    return seen;
  } finally {
    await browser.close();
    server.kill("SIGTERM");
    await new Promise((resolve) => (server.exitCode === null ? server.once("exit", resolve) : resolve(0)));
    rmSync(folder, { recursive: true, force: true });
  }
}

function notebook(): object {
  return {
    nbformat: 4,
    nbformat_minor: 5,
    metadata: { kernelspec: { name: "python3", display_name: "Python 3", language: "python" } },
    cells: cells.map((source, at) => ({
      id: `cell-${at}`,
      cell_type: "code",
      execution_count: null,
      metadata: {},
      outputs: [],
      source,
    })),
  };
}

function addressOf(server: ChildProcess): Promise<string> {
  let output = "";
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.once("exit", (code) => reject(new Error(`JupyterLab has ended with code ${code}:\n${output}`)));
    server.stderr!.on("data", (piece: Buffer) => {
      output += piece.toString();
      const [, address] = /(http:\/\/127\.0\.0\.1:\d+)\//.exec(output) ?? [];
      if (address) resolve(address);
    });
  });
}

async function runAll(page: Page): Promise<void> {
  await page
    .locator(".jp-Notebook .jp-CodeCell")
    .nth(2)
    .waitFor({ timeout: 3 * minute });
  // the kernel is ready when its name is shown
  await page.locator(".jp-NotebookPanel-toolbar").getByText("Python 3").first().waitFor({ timeout: minute });
  await page.getByRole("menuitem", { name: "Run", exact: true }).click();
  await page.getByRole("menuitem", { name: "Run All Cells", exact: true }).click();
}

async function lookAtReport(page: Page): Promise<string> {
  const frame = page.locator('.jp-OutputArea iframe[title="scPoli report"]');
  const failure = page.locator('.jp-OutputArea [data-mime-type="application/vnd.jupyter.stderr"]');
  await frame.waitFor({ timeout: 5 * minute }).catch(async (error: unknown) => {
    throw new Error(`No report is shown. ${await failure.allInnerTexts().then(String)}`, { cause: error });
  });
  await frame.scrollIntoViewIfNeeded();
  const report = page.frameLocator('.jp-OutputArea iframe[title="scPoli report"]');
  const title = await report.locator("h1").first().innerText({ timeout: minute });
  const figures = await report.locator("svg").count();
  const canvas = report.locator("canvas").first();
  await canvas.waitFor({ timeout: minute });
  const box = (await frame.boundingBox())!;
  assert.equal(Math.round(box.height), 600);
  assert.ok(box.width > 600, `the report is ${box.width} pixels wide`);
  assert.ok(figures > 3, `${figures} figures`);
  return `"${title}", ${figures} figures and the view of cells`;
}
