// A browser for tests: Debian's chromium, driven by playwright-core, and a page that uses the package as another project would.
import { execFile, execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { chromium, type Browser, type Page } from "playwright-core";
import { temporaryFolder } from "./command.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Path of chromium (CHROMIUM names another one), which is installed from Debian's packages where it is missing. */
function chromiumPath(): string {
  const named = process.env["CHROMIUM"];
  if (named) return named;
  if (!places.some((path) => existsSync(path))) {
    execFileSync("apt-get", ["update"], { stdio: "ignore" });
    execFileSync("apt-get", ["install", "-y", "--no-install-recommends", "chromium"], { stdio: "ignore" });
  }
  return places.find((path) => existsSync(path))!;
}

const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-precise-memory-info"];

/** A browser that is there until the tests of the file have run. */
export async function launchBrowser(more: readonly string[] = []): Promise<Browser> {
  const browser = await chromium.launch({ executablePath: chromiumPath(), headless: true, args: [...flags, ...more] });
  after(() => browser.close());
  return browser;
}

/** A page, and what it did that it should not: errors, and requests that leave its origin. */
export async function openPage(browser: Browser, url: string): Promise<{ readonly page: Page; readonly errors: string[]; readonly foreign: string[] }> {
  const context = await browser.newContext();
  const [errors, foreign]: [string[], string[]] = [[], []];
  context.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (protocol !== "blob:" && protocol !== "data:" && origin !== new URL(url).origin) foreign.push(request.url());
  });
  const page = await context.newPage();
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(url);
  return { page, errors, foreign };
}

/** Bundles test/browser-page by Vite in a folder where this package is installed. @returns the folder of the static files */
export async function buildTestPage(): Promise<string> {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(root, join(folder, "node_modules", "scpoli"));
  cpSync(join(root, "test", "browser-page"), join(folder, "page"), { recursive: true });
  const built = join(folder, "built");
  await promisify(execFile)(process.execPath, [join(root, "node_modules", "vite", "bin", "vite.js"), "build", join(folder, "page"), "--outDir", built]);
  return built;
}
