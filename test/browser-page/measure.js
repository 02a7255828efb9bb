// Speeds of the library, measured alike in a page's worker and under Node.
import { AnnData, ScPoli } from "scpoli";

/**
 * Seconds of an epoch, from the end of one to that of another of the same run: reading and start are left
 * out. The first epoch, in which the runtime compiles, does not count. The model is kept under "speed-model".
 */
export async function trainingSpeed({ path, threads, simd, epochs = 4 }) {
  const data = await AnnData.open(path);
  const ends = [];
  const model = await ScPoli.train(data, {
    conditionKeys: ["batch"],
    cellTypeKeys: ["cell_type"],
    epochs: 1 + epochs,
    pretrainingEpochs: epochs,
    earlyStopping: false,
    landmarks: false,
    threads,
    simd,
    onProgress: ({ epoch, done }) =>
      epoch !== undefined && done === epoch && (ends[epoch - 1] ??= performance.now()),
  });
  await model.save("speed-model", { force: true });
  const cells = data.nObs;
  data.close();
  return (cells * (ends.length - 1)) / ((ends.at(-1) - ends[0]) / 1000);
}

/**
 * Cells per second of a mapping as a user waits for it: opened, read, one epoch for new conditions, embedded,
 * labelled, written.
 */
export async function mappingSpeed({ path, threads, simd }) {
  const model = await ScPoli.load("speed-model");
  const started = performance.now();
  const data = await AnnData.open(path);
  await model.map(data, {
    knownConditions: "new",
    epochs: 1,
    output: "speed-mapped.h5ad",
    force: true,
    threads,
    simd,
  });
  const cells = data.nObs;
  data.close();
  return cells / ((performance.now() - started) / 1000);
}
