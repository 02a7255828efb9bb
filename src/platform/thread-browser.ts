// A thread of the wasm engine in a browser: instantiates the kernels on the shared memory and runs their
// loop; see threads-browser.ts.
import type { ThreadTask } from "./threads.js";
import { workerScope } from "./worker-scope.js";

workerScope.addEventListener("message", ({ data }) => {
  const { module, memory, thread, failedAddress } = data as ThreadTask;
  const { work } = new WebAssembly.Instance(module, { env: { memory } }).exports as {
    work(thread: number): void;
  };
  workerScope.postMessage("started");
  try {
    work(thread);
  } catch {
    Atomics.store(new Int32Array(memory.buffer), failedAddress / 4, 1);
  }
  workerScope.postMessage("ended");
});
workerScope.postMessage("listens");
