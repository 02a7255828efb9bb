// A browser for tests, driven by playwright-core: Debian's chromium, or the one of Playwright that
// SCPOLI_BROWSER names (chromium, firefox, webkit). And a page that uses the package as another project
// would.
import { execFile, execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import {
  chromium,
  firefox,
  webkit,
  type Browser,
  type BrowserContextOptions,
  type BrowserType,
  type Page,
} from "playwright-core";

const root = fileURLToPath(new URL("..", import.meta.url));
const places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/**
 * Path of chromium (CHROMIUM names another one), which is installed from Debian's packages where it is
 * missing.
 */
function chromiumPath(): string {
  const named = process.env["CHROMIUM"];
  if (named) return named;
  if (!places.some((path) => existsSync(path))) {
    execFileSync("apt-get", ["update"], { stdio: "ignore" });
    execFileSync("apt-get", ["install", "-y", "--no-install-recommends", "chromium"], { stdio: "ignore" });
  }
  return places.find((path) => existsSync(path))!;
}

const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--enable-precise-memory-info",
];

/**
 * Starts a headless browser.
 * @param more - flags of chromium, which other browsers do not get
 */
export function launchBrowser(more: readonly string[] = []): Promise<Browser> {
  const name = process.env["SCPOLI_BROWSER"];
  if (name) {
    const browsers: Readonly<Record<string, BrowserType>> = { chromium, firefox, webkit };
    const browser = browsers[name];
    if (!browser)
      throw new Error(`SCPOLI_BROWSER is '${name}'; it can be ${Object.keys(browsers).join(", ")}.`);
    return browser.launch(browser === chromium ? { args: [...flags, ...more] } : {});
  }
  return chromium.launch({ executablePath: chromiumPath(), headless: true, args: [...flags, ...more] });
}

/**
 * test/browser-page in a window of its own, and what it did that it should not: errors, and requests that
 * leave its origin.
 */
export class TestPage {
  readonly errors: string[] = [];
  readonly foreign: string[] = [];

  private constructor(readonly page: Page) {}

  static async open(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<TestPage> {
    const context = await browser.newContext(options);
    const opened = new TestPage(await context.newPage());
    opened.page.setDefaultTimeout(90_000); // of a machine that has other work, too
    context.on("request", (request) => {
      const { origin, protocol } = new URL(request.url());
      if (protocol !== "blob:" && protocol !== "data:" && origin !== new URL(url).origin)
        opened.foreign.push(request.url());
    });
    opened.page.on("console", (message) => message.type() === "error" && opened.errors.push(message.text()));
    opened.page.on("pageerror", (error) => opened.errors.push(String(error)));
    await opened.page.goto(url);
    return opened;
  }

  /** Puts files of this machine into the page's file input. */
  choose(paths: readonly string[]): Promise<void> {
    return this.page.setInputFiles("#files", paths);
  }

  /** Runs a job of worker.js, with the files that were chosen last. */
  job<T>(name: string, options: object = {}): Promise<T> {
    return this.page.evaluate(
      ([job, settings]) =>
        (window as unknown as { job(name: string, options: object): Promise<T> }).job(job, settings),
      [name, options] as const,
    );
  }

  /** @param paths - in the worker. Default: the files' names */
  async register(files: readonly string[], paths?: readonly string[]): Promise<void> {
    await this.choose(files);
    await this.job("register", { paths });
  }

  /** Saves the file that a job hands out. @returns `path` */
  async save(name: string, options: object, path: string): Promise<string> {
    const [download] = await Promise.all([
      this.page.waitForEvent("download"),
      this.page.evaluate(
        ([job, settings]) =>
          (window as unknown as { save(name: string, options: object): Promise<void> }).save(job, settings),
        [name, options] as const,
      ),
    ]);
    await download.saveAs(path);
    return path;
  }
}

/**
 * Bundles test/browser-page by Vite in a new folder where this package is installed.
 * @returns the folder of the static files
 */
export async function buildTestPage(folder: string): Promise<string> {
  mkdirSync(join(folder, "node_modules"), { recursive: true });
  symlinkSync(root, join(folder, "node_modules", "scpoli"));
  cpSync(join(root, "test", "browser-page"), join(folder, "page"), { recursive: true });
  const built = join(folder, "built");
  await promisify(execFile)(process.execPath, [
    join(root, "node_modules", "vite", "bin", "vite.js"),
    "build",
    join(folder, "page"),
    "--outDir",
    built,
  ]);
  return built;
}
