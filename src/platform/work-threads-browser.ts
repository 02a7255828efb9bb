// The modules of background threads, in a browser. Each address is written out beside its
// Worker: so bundlers find it. A module that such a thread itself imports must not import this one: bundlers
// refuse a worker that would start itself.
import { useWorkThreads } from "./background-threads-browser.js";

/** To be called by what a user's code imports. */
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
