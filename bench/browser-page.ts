// The page of test/browser-page for benches: built, served with the headers of `scpoli app`, opened in
// Chromium.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pageHeaders } from "../dist/cli/app-headers.js";
import { serveFolder } from "../dist/platform/server-node.js";
import { buildTestPage, launchBrowser, TestPage } from "../test/browser.ts";

/**
 * Memory of a process and all its descendants, shared pages counted once (proportional set size).
 */
export function memoryBelow(root: number): number {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      parents.set(Number(name), Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${name}/stat`, "utf8"))?.[1]));
    } catch {
      // it has just ended
    }
  }
  const isBelow = (id: number): boolean => id === root || (parents.has(id) && isBelow(parents.get(id)!));
  let bytes = 0;
  for (const id of parents.keys()) {
    if (id === root || !isBelow(id)) continue;
    try {
      bytes +=
        1024 * Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${id}/smaps_rollup`, "utf8"))?.[1] ?? 0);
    } catch {
      // it has just ended
    }
  }
  return bytes;
}

export interface BenchPage {
  readonly page: TestPage;
  readonly folder: string;
  /** Peak memory of all processes of the browser since the last call, in bytes. */
  peak(): number;
  close(): Promise<void>;
}

export async function openBenchPage(): Promise<BenchPage> {
  const folder = mkdtempSync(join(tmpdir(), "scpoli-bench-"));
  const served = await serveFolder(await buildTestPage(join(folder, "page")), 0, pageHeaders);
  const browser = await launchBrowser();
  const page = await TestPage.open(browser, served.url);
  let most = 0;
  const timer = setInterval(() => (most = Math.max(most, memoryBelow(process.pid))), 250);
  return {
    page,
    folder,
    peak: () => {
      const peak = most;
      most = 0;
      return peak;
    },
    close: async () => {
      clearInterval(timer);
      await browser.close();
      await served.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
