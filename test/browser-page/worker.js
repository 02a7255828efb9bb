// The library in a worker, through its public entries alone.
import { AnnData, convert, inspect, ScPoli } from "scpoli";
import { file, files, forget, register, registerModel, registerUrl, zip } from "scpoli/browser";
import { mappingSpeed, trainingSpeed } from "./measure.js";
// not public: what all reading and writing rests on
import { StoredFile } from "../node_modules/scpoli/dist/platform/stored-file.js";

const jobs = {
  exercise,
  mappingSpeed,
  trainingSpeed,
  isolated: () => globalThis.crossOriginIsolated,
  register: ({ paths }, chosen) =>
    chosen.forEach((content, i) => register(content, paths?.[i] ?? content.name)),
  registerUrl: ({ address, path }) => registerUrl(address, path),
  registerModel: (_, chosen) => registerModel(chosen),
  files: ({ path }) => files(path),
  forget: ({ path }) => forget(path),
  file: ({ path }) => file(path),
  zip: ({ path }) => zip(path),
  inspect: ({ path }) => withData(path, (data) => inspect(data)),
  convert: ({ path, output, ...options }) => withData(path, (data) => convert(data, output, options)),
  layers: ({ path }) =>
    withData(path, async (data) =>
      Promise.all(
        data.layers.map(async (name) => [
          name,
          await sumOf(data.layer(name)).catch((error) => `${error.kind}: ${error.message}`),
        ]),
      ),
    ),
  open: ({ path }) =>
    withData(path, async (data) => ({ cells: data.nObs, genes: data.nVars, sum: await sumOf(data.X) })),
  size: ({ path }) => withData(path, async (data) => ({ cells: data.nObs, bytes: file(path).size })),
  summary: async ({ model }) => (await ScPoli.load(model)).summary(),
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

/**
 * Random reads, writes and cuts of a file, beside the same on an array.
 * @returns how many disagreed, and how many there were
 */
async function exercise({ steps, bytes }) {
  let state = 1;
  const random = (below) => (state = (state * 48271) % 2147483647) % below;
  const start = Uint8Array.from({ length: bytes }, () => random(256));
  const stored = new StoredFile(new Blob([start]));
  let expected = start;
  let wrong = 0;
  for (let step = 0; step < steps; step++) {
    const position = random(expected.length + 1000);
    const length = random(step % 7 === 0 ? 400_000 : 5000);
    const kind = random(10);
    if (kind < 4) {
      const part = Uint8Array.from({ length }, () => random(256));
      stored.write(position, part);
      if (length > 0 && position + length > expected.length)
        expected = lengthened(expected, position + length);
      expected.set(part, position);
    } else if (kind === 4) {
      const size = random(2 * bytes);
      stored.truncate(size);
      expected = lengthened(expected, size);
    } else if (kind === 5) {
      const content = new Uint8Array(await stored.blob().arrayBuffer());
      if (content.length !== expected.length || content.some((byte, i) => byte !== expected[i])) wrong++;
    } else {
      const into = new Uint8Array(length);
      const done = stored.read(position, into);
      const wanted = expected.subarray(position, position + length);
      if (done !== wanted.length || wanted.some((byte, i) => byte !== into[i])) wrong++;
    }
  }
  return { wrong, bytes: stored.bytes, expected: expected.length };
}

function lengthened(bytes, length) {
  const longer = new Uint8Array(length);
  longer.set(bytes.subarray(0, length));
  return longer;
}

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
  return Array.from(values).reduce((sum, value) => sum + value, 0);
}

self.onmessage = async ({ data: { name, options, files: chosen } }) => {
  try {
    self.postMessage({ result: await jobs[name](options, chosen) });
  } catch (error) {
    self.postMessage({ error: `${error.kind ?? error.name}: ${error.message}` });
  }
};
