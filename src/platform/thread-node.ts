// A thread of the wasm engine under Node: instantiates the kernels on the shared memory and runs their loop;
// see threads-node.ts.
import { parentPort, workerData } from "node:worker_threads";
import type { ThreadTask } from "./threads.js";

const { module, memory, thread, failedAddress } = workerData as ThreadTask;
const { work } = new WebAssembly.Instance(module, { env: { memory } }).exports as {
  work(thread: number): void;
};
parentPort!.postMessage("started");
try {
  work(thread);
} catch (error) {
  Atomics.store(new Int32Array(memory.buffer), failedAddress / 4, 1);
  throw error;
}
