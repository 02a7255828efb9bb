// Damaged models: folders of scArches with changed, missing or repeated bytes in the pickle or the PyTorch
// file, and damaged models in a single file.
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { checkStored } from "../dist/storage/model-folder.js";
import { ScPoliError } from "../dist/contract/errors.js";
import { Random } from "../dist/numerics/random.js";
import { importScArches } from "../dist/scarches/import.js";
import { ScPoli } from "../dist/api/scpoli.js";

export interface Fuzz {
  /** folder of model folders, and which of them */
  readonly models: string;
  readonly names: readonly string[];
  readonly count: number;
  readonly seed: number;
  /** where damaged copies are written; removed at the end */
  readonly folder: string;
}

export interface FuzzResult {
  readonly imported: number;
  readonly refused: number;
  /** the longest import */
  readonly seconds: number;
}

/** @throws AssertionError for an error without a name, or a model that is not whole */
export function fuzzModels({ models, names, count, seed, folder }: Fuzz): Promise<FuzzResult> {
  const random = new Random(seed, "fuzz models");
  return countOutcomes(count, folder, async (i) => {
    const name = names[i % names.length]!;
    cpSync(join(models, name), folder, { recursive: true });
    const file = random.uniform() < 0.6 ? "attr.pkl" : "model_params.pt";
    const { bytes, what } = mutated(readFileSync(join(folder, file)), random);
    writeFileSync(join(folder, file), bytes);
    return {
      what: `mutation ${i} of ${name}/${file} (${what}, seed ${seed})`,
      read: () => importScArches(folder),
    };
  });
}

/** The same for models that are one file. @param paths - of the files */
export function fuzzArchives({
  paths,
  count,
  seed,
  folder,
}: Pick<Fuzz, "count" | "seed" | "folder"> & {
  readonly paths: readonly string[];
}): Promise<FuzzResult> {
  const random = new Random(seed, "fuzz archives");
  return countOutcomes(count, folder, async (i) => {
    const path = paths[i % paths.length]!;
    const damaged = join(folder, basename(path));
    const { bytes, what } = mutated(readFileSync(path), random);
    writeFileSync(damaged, bytes);
    return {
      what: `mutation ${i} of ${basename(path)} (${what}, seed ${seed})`,
      read: async () => (await ScPoli.load(damaged)).stored,
    };
  });
}

/** @param damage - writes a damaged model to `folder`, and reads it */
async function countOutcomes(
  count: number,
  folder: string,
  damage: (
    i: number,
  ) => Promise<{ readonly what: string; readonly read: () => ReturnType<typeof importScArches> }>,
): Promise<FuzzResult> {
  let [imported, refused, seconds] = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    mkdirSync(folder, { recursive: true });
    const { what, read } = await damage(i);
    const started = performance.now();
    try {
      checkStored(await read(), "a damaged model", "");
      imported++;
    } catch (error) {
      if (!(error instanceof ScPoliError) || (error.kind !== "model" && error.kind !== "file"))
        assert.fail(`${what}: ${(error as Error).stack ?? String(error)}`);
      refused++;
    }
    seconds = Math.max(seconds, (performance.now() - started) / 1000);
    rmSync(folder, { recursive: true });
  }
  return { imported, refused, seconds };
}

/** Draws a position in some bytes. */
function positionIn(bytes: Uint8Array, random: Random): number {
  return random.below(Math.max(1, bytes.length));
}

/** A change of a few bytes: in place, or as a new array. */
type Change = (bytes: Uint8Array, random: Random) => Uint8Array | void;

const changes: readonly (readonly [name: string, Change])[] = [
  ["a random byte", (bytes, random) => void (bytes[positionIn(bytes, random)] = random.below(256))],
  ["a flipped bit", (bytes, random) => void (bytes[positionIn(bytes, random)]! ^= 1 << random.below(8))],
  [
    "four bytes of ones",
    (bytes, random) => void bytes.fill(255, positionIn(bytes, random), positionIn(bytes, random) + 4),
  ],
  [
    "eight random bytes",
    (bytes, random) => {
      const at = positionIn(bytes, random);
      for (let b = 0; b < 8; b++) bytes[at + b] = random.below(256);
    },
  ],
  ["cut short", (bytes, random) => bytes.slice(0, positionIn(bytes, random))],
  [
    "a piece left out",
    (bytes, random) => {
      const at = positionIn(bytes, random);
      return Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(at + 1 + random.below(40))]);
    },
  ],
  [
    "a piece twice",
    (bytes, random) => {
      const [at, length] = [positionIn(bytes, random), 1 + random.below(40)];
      return Uint8Array.from([...bytes.subarray(0, at + length), ...bytes.subarray(at)]);
    },
  ],
  [
    "an extreme number",
    (bytes, random) => {
      const at = positionIn(bytes, random);
      const number = extremes[random.below(extremes.length)]!;
      bytes.set(number.slice(0, Math.max(0, bytes.length - at)), at);
    },
  ],
  [
    "pieces exchanged",
    (bytes, random) => {
      const [a, b] = [positionIn(bytes, random), positionIn(bytes, random)];
      const piece = bytes.slice(a, a + 12);
      bytes.copyWithin(a, b, b + 12);
      bytes.set(piece.subarray(0, Math.max(0, bytes.length - b)), b);
    },
  ],
];

/** Little-endian 0, largest and smallest int32, and 1. */
const extremes = [
  [0, 0, 0, 0],
  [255, 255, 255, 127],
  [0, 0, 0, 128],
  [1, 0, 0, 0],
];

/** One to three changes of a few bytes each. */
function mutated(
  original: Uint8Array,
  random: Random,
): { readonly bytes: Uint8Array; readonly what: string } {
  let bytes: Uint8Array = original.slice();
  const names: string[] = [];
  for (let n = 1 + random.below(3); n > 0; n--) {
    const [name, change] = changes[random.below(changes.length)]!;
    bytes = change(bytes, random) ?? bytes;
    names.push(name);
  }
  return { bytes, what: names.join(", ") };
}
