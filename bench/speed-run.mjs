// One measurement of `bench/speed.ts` in a separate process; prints one JSON object. Plain JavaScript: a
// TypeScript loader would add its own memory. usage: speed-run.mjs train FILE SIMD EPOCHS WIDTH LATENT
// EMBEDDING | model FILE MODEL SIMD (one whole training, saved) | embed FILE MODEL OUT SIMD | read FILE
import { existsSync, readFileSync } from "node:fs";
import { AnnData, ScPoli } from "../dist/index.js";

const [mode, file, ...rest] = process.argv.slice(2);
const seconds = (since) => (performance.now() - since) / 1000;
const keys = { conditionKeys: ["batch"], cellTypeKeys: ["cell_type"] };
/**
 * Seconds per epoch, between the ends of two epochs of a run: without reading and start, but with validation
 * and prototypes. The first epoch, in which the runtime compiles, does not count. The time after the last
 * one, mostly for the head, is reported separately.
 */
async function perEpoch(simd, epochs, width, latentDim, embeddingDims) {
  const data = await AnnData.open(file);
  const ends = [];
  await ScPoli.train(data, {
    ...keys,
    hiddenLayerSizes: [width],
    latentDim,
    embeddingDims,
    epochs: 1 + 2 * epochs,
    pretrainingEpochs: 1 + epochs,
    earlyStopping: false,
    landmarks: false,
    simd,
    threads: 2,
    onProgress: ({ epoch, done }) =>
      epoch !== undefined && done === epoch && (ends[epoch - 1] = performance.now()),
  });
  const finished = performance.now();
  data.close();
  const between = (from, to) => (ends[to - 1] - ends[from - 1]) / 1000 / (to - from);
  return {
    pretraining_s: between(1, 1 + epochs),
    finetuning_s: between(1 + epochs, 1 + 2 * epochs),
    head_s: (finished - ends.at(-1)) / 1000,
  };
}

/** Loaded before timing starts, by both programs, as part of the start of the process. */
async function loadedHdf5() {
  const h5wasm = await import("h5wasm/node");
  await h5wasm.ready;
  return h5wasm;
}

/** Time of h5wasm alone for the three arrays of X. */
async function readAlone(path) {
  const h5wasm = await loadedHdf5();
  const started = performance.now();
  const opened = new h5wasm.File(path, "r");
  for (const name of ["indptr", "indices", "data"]) {
    const dataset = opened.get(`X/${name}`);
    const length = dataset.shape[0];
    const step = 1 << 22;
    for (let start = 0; start < length; start += step)
      dataset.slice([[start, Math.min(length, start + step)]]);
  }
  opened.close();
  return seconds(started);
}

let result;
if (mode === "train") {
  result = await perEpoch(rest[0], ...rest.slice(1).map(Number));
} else if (mode === "model") {
  const data = await AnnData.open(file);
  await (
    await ScPoli.train(data, {
      ...keys,
      epochs: 2,
      pretrainingEpochs: 1,
      simd: rest[1],
      threads: 2,
    })
  ).save(rest[0], { force: true });
  result = {};
} else if (mode === "embed") {
  const model = await ScPoli.load(rest[0]);
  await loadedHdf5();
  const started = performance.now();
  const data = await AnnData.open(file);
  await model.embed(data, { output: rest[1], force: true, simd: rest[2], threads: 2 });
  data.close();
  result = { embed_s: seconds(started), cells: data.nObs };
} else result = { read_s: await readAlone(file) };
console.log(JSON.stringify({ ...result, peak_mb: peakMegabytes() }));

/**
 * Peak resident memory of this process. `maxRSS` would include that of the parent process.
 */
function peakMegabytes() {
  const status = existsSync("/proc/self/status") ? readFileSync("/proc/self/status", "utf8") : "";
  const kilobytes = /VmHWM:\s*(\d+)/.exec(status)?.[1];
  return Math.round(Number(kilobytes ?? process.resourceUsage().maxRSS) / 1024);
}
