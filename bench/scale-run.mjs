// One measurement of `bench/scale.ts` in a process of its own; prints one JSON object. Plain JavaScript: a TypeScript loader would add its own memory.
// usage: scale-run.mjs train FILE always|never EPOCHS | model FILE MODEL | map FILE MODEL always|never | embed FILE MODEL
import { existsSync, readFileSync } from "node:fs";
import { AnnData, ScPoli } from "../dist/index.js";

const [mode, file, ...rest] = process.argv.slice(2);
const threads = Number(process.env["THREADS"] ?? 2);
const settings = { threads, force: true };
const keys = { conditionKeys: ["batch"], cellTypeKeys: ["cell_type"] };

/** Seconds and processor seconds from the end of the reading on. */
class Clock {
  #start = null;
  onProgress = ({ stage }) => {
    if (this.#start === null && stage !== "reading" && stage !== "variable genes") this.#start = this.#now();
  };
  constructor() {
    this.opened = this.#now();
  }
  elapsed() {
    const [start, now] = [this.#start ?? this.opened, this.#now()];
    return { seconds: now.seconds - start.seconds, processor_seconds: now.processor - start.processor, reading_seconds: start.seconds - this.opened.seconds };
  }
  #now() {
    const { user, system } = process.cpuUsage();
    return { seconds: performance.now() / 1000, processor: (user + system) / 1e6 };
  }
}

const data = await AnnData.open(file);
const clock = new Clock();
const { onProgress } = clock;
let result = {};
if (mode === "train") {
  const [stream, epochs] = [rest[0], Number(rest[1])];
  await ScPoli.train(data, { ...keys, ...settings, epochs, pretrainingEpochs: epochs, earlyStopping: false, stream, onProgress });
  result = clock.elapsed();
} else if (mode === "model") {
  const model = await ScPoli.train(data, { ...keys, ...settings, epochs: 4, pretrainingEpochs: 2 });
  await model.save(rest[0], { force: true });
} else if (mode === "map") {
  const model = await ScPoli.load(rest[0]);
  await model.map(data, { ...settings, knownConditions: "new", epochs: 1, earlyStopping: false, stream: rest[1], onProgress });
  result = clock.elapsed();
} else {
  const model = await ScPoli.load(rest[0]);
  await model.embed(data, settings);
  result = clock.elapsed();
}
const cells = data.nObs;
data.close();
console.log(JSON.stringify({ ...result, cells, peak_mb: peakMegabytes() }));

/** Peak resident memory of this process. `maxRSS` would count the process that started it, where that was larger. */
function peakMegabytes() {
  const status = existsSync("/proc/self/status") ? readFileSync("/proc/self/status", "utf8") : "";
  const kilobytes = /VmHWM:\s*(\d+)/.exec(status)?.[1];
  return Math.round(Number(kilobytes ?? process.resourceUsage().maxRSS) / 1024);
}
