// One measurement of `bench/scale.ts` in a separate process; prints one JSON object. Plain JavaScript: a
// TypeScript loader would add its own memory. usage: scale-run.mjs train FILE always|never PRETRAINING
// FINE_TUNING | model FILE MODEL | map FILE MODEL always|never | embed FILE MODEL | convert FILE OUT
import { existsSync, readFileSync } from "node:fs";
import { AnnData, convert, ScPoli } from "../dist/index.js";

const [mode, file, ...rest] = process.argv.slice(2);
const settings = { threads: Number(process.env["THREADS"] ?? 2), force: true };
const labels = { cellTypeKeys: ["cell_type"] };
/** The published width: 64 units for 4,000 genes. */
const publishedWidth = ({ nVars }) => ({ hiddenLayerSizes: [Math.ceil(Math.sqrt(nVars))] });
const now = () => {
  const { user, system } = process.cpuUsage();
  return { seconds: performance.now() / 1000, processor: (user + system) / 1e6 };
};
/** Seconds and processor seconds from one moment to another, per epoch. */
const between = (from, to, epochs = 1) => ({
  seconds: (to.seconds - from.seconds) / epochs,
  processor_seconds: (to.processor - from.processor) / epochs,
});

/** Start (as precise as the progress events) and end of each epoch. */
class EpochClock {
  #begun = new Map();
  #ended = new Map();
  onProgress = ({ stage, done }) => {
    if (stage !== "pretraining" && stage !== "fine-tuning") return;
    if (Number.isInteger(done)) this.#ended.set(done, now());
    else if (!this.#begun.has(Math.floor(done))) this.#begun.set(Math.floor(done), { ...now(), done });
  };
  /**
   * Mean of the epochs [first, last]: between their ends if there are several; otherwise extrapolated from
   * the first progress event to the start.
   */
  epoch(first, last) {
    const end = this.#ended.get(last + 1);
    if (last > first) return between(this.#ended.get(first + 1), end, last - first);
    const begun = this.#begun.get(first);
    return between(begun, end, last + 1 - begun.done);
  }
}

const data = await AnnData.open(file);
const opened = now();
let result = {};
if (mode === "train") {
  const [stream, pretraining, fineTuning] = [rest[0], Number(rest[1]), Number(rest[2])];
  const clock = new EpochClock();
  const plan = {
    epochs: pretraining + fineTuning,
    pretrainingEpochs: pretraining,
    earlyStopping: false,
    stream,
  };
  await ScPoli.train(data, {
    conditionKeys: ["batch"],
    ...(fineTuning > 0 && labels),
    ...settings,
    ...plan,
    ...publishedWidth(data),
    onProgress: clock.onProgress,
  });
  const whole = between(opened, now());
  const pre = clock.epoch(0, pretraining - 1);
  const fine = fineTuning > 0 ? clock.epoch(pretraining, pretraining + fineTuning - 1) : null;
  result = {
    parts: {
      "an epoch of pretraining": pre,
      ...(fine && { "an epoch of fine-tuning": fine, "the whole run": whole }),
    },
  };
} else if (mode === "model") {
  const model = await ScPoli.train(data, {
    conditionKeys: ["batch"],
    ...labels,
    ...settings,
    ...publishedWidth(data),
    epochs: 4,
    pretrainingEpochs: 2,
  });
  await model.save(rest[0], { force: true });
} else if (mode === "convert") {
  await convert(data, rest[0], { shuffle: true, ...settings });
  result = { parts: { "": between(opened, now()) } };
} else {
  const model = await ScPoli.load(rest[0]);
  if (mode === "map")
    await model.map(data, {
      ...settings,
      knownConditions: "new",
      epochs: 1,
      earlyStopping: false,
      stream: rest[1],
    });
  else await model.embed(data, settings);
  result = { parts: { "": between(opened, now()) } };
}
const cells = data.nObs;
data.close();
console.log(JSON.stringify({ ...result, cells, peak_mb: peakMegabytes() }));

/**
 * Peak resident memory of this process. `maxRSS` would include that of the parent process.
 */
function peakMegabytes() {
  const status = existsSync("/proc/self/status") ? readFileSync("/proc/self/status", "utf8") : "";
  const kilobytes = /VmHWM:\s*(\d+)/.exec(status)?.[1];
  return Math.round(Number(kilobytes ?? process.resourceUsage().maxRSS) / 1024);
}
