// Starts the modules of background workers in a browser. Each URL is a literal inside its Worker call, so
// that bundlers find it. A module imported by such a worker must not import this one: bundlers reject workers
// that would start themselves.
import { useWorkThreads } from "./background-threads-browser.js";

/** Called by the modules that a user's code imports. */
export function provideWorkThreads(): void {
  useWorkThreads({
    "read-ahead": () =>
      new Worker(new URL("../anndata/read-ahead-thread.js", import.meta.url), { type: "module" }),
    "streamed-counts": () =>
      new Worker(new URL("../data/streamed-counts-thread.js", import.meta.url), { type: "module" }),
    "background-work": () =>
      new Worker(new URL("../mapping/background-work-thread.js", import.meta.url), { type: "module" }),
  });
}
