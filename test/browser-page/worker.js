// The library in a worker, through its public entries alone.
import { AnnData, convert, inspect, ScPoli } from "scpoli";
import { file, files, forget, register, registerModel, registerUrl, zip } from "scpoli/browser";

const jobs = {
  isolated: () => globalThis.crossOriginIsolated,
  register: ({ paths }, chosen) => chosen.forEach((content, i) => register(content, paths?.[i] ?? content.name)),
  registerUrl: ({ address, path }) => registerUrl(address, path),
  registerModel: (_, chosen) => registerModel(chosen),
  files: ({ path }) => files(path),
  forget: ({ path }) => forget(path),
  file: ({ path }) => file(path),
  zip: ({ path }) => zip(path),
  inspect: async ({ path }) => inspect(path),
  convert: async ({ path, output, ...options }) => convert(path, output, options),
  open: ({ path }) => withData(path, async (data) => ({ cells: data.nObs, genes: data.nVars, sum: await sumOf(data.X) })),
  train: ({ path, model, ...options }) =>
    withData(path, async (data) => {
      const trained = await ScPoli.train(data, options);
      await trained.save(model, { force: true });
      return trained.summary().cells;
    }),
  map: ({ path, model, ...options }) =>
    withData(path, async (data) => {
      const started = performance.now();
      const mapping = await (await ScPoli.load(model)).map(data, options);
      return { summary: mapping.summary(), seconds: (performance.now() - started) / 1000 };
    }),
};

async function withData(path, use) {
  const data = await AnnData.open(path);
  try {
    return await use(data);
  } finally {
    data.close();
  }
}

async function sumOf(matrix) {
  const { values } = await matrix.read(0, matrix.rows);
  return values.reduce((sum, value) => sum + value, 0);
}

self.onmessage = async ({ data: { name, options, files: chosen } }) => {
  try {
    self.postMessage({ result: await jobs[name](options, chosen) });
  } catch (error) {
    self.postMessage({ error: `${error.kind ?? error.name}: ${error.message}` });
  }
};
