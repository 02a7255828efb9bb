// The checkpoint of a training run: one file with everything needed to resume the optimisation, written
// atomically.
import { fileStatus, readBytes, readFile, writeFile } from "#platform";
import { ScPoliError } from "../contract/errors.js";
import type { Prototypes } from "../prototypes/prototypes.js";
import { readSafetensors, writeSafetensors, type Tensor } from "./safetensors.js";

import type { EpochLosses } from "../contract/options.js";
import type { Fingerprint } from "./fingerprint.js";

/** Writes the checkpoint, replacing the file atomically. */
export async function saveCheckpoint(path: string, snapshot: Snapshot, owner: Fingerprint): Promise<void> {
  const tensors = new Map<string, Tensor>();
  const add = (name: string, data: Float32Array): void =>
    void tensors.set(name, { dtype: "F32", shape: [data.length], data });
  for (const [name, data] of snapshot.parameters) add(`parameter/${name}`, data);
  for (const [name, { first, second }] of snapshot.moments) {
    add(`first/${name}`, first);
    add(`second/${name}`, second);
  }
  for (const [name, data] of snapshot.best?.parameters ?? []) add(`best/${name}`, data);
  const addPrototypes = (name: string, prototypes: Prototypes | null | undefined): void => {
    if (!prototypes) return;
    add(`${name}/means`, prototypes.means);
    add(`${name}/covariances`, prototypes.covariances);
    tensors.set(`${name}/counts`, {
      dtype: "F64",
      shape: [prototypes.counts.length],
      data: prototypes.counts,
    });
  };
  addPrototypes("prototypes", snapshot.prototypes);
  addPrototypes("best-prototypes", snapshot.best?.prototypes);
  const { clusters } = snapshot;
  if (clusters)
    tensors.set("clusters", { dtype: "F64", shape: [clusters.length], data: Float64Array.from(clusters) });
  const text = new TextEncoder().encode(JSON.stringify({ owner, state: snapshot.state }));
  tensors.set("state", { dtype: "U8", shape: [text.length], data: text });
  await writeFile(path, writeSafetensors(tensors));
}

/**
 * Checks that a checkpoint may be written at a path: only an existing checkpoint may be replaced.
 * @throws ScPoliError "output"
 */
export async function checkCheckpointPath(path: string): Promise<void> {
  const status = await fileStatus(path);
  if (status === null || (status.kind === "file" && (status.bytes === 0 || (await isCheckpoint(path)))))
    return;
  throw new ScPoliError(
    "output",
    `${path} is needed for training checkpoints, but already exists and is not a checkpoint, so it is not ` +
      "replaced. Move it, or choose another name.",
    { path },
  );
}

/** Whether the header of a safetensors file names the state of a training run. */
async function isCheckpoint(path: string): Promise<boolean> {
  const start = await readBytes(path, 0, 8);
  if (start.length < 8) return false;
  const length = Number(new DataView(start.buffer, start.byteOffset).getBigUint64(0, true));
  if (length > mostHeaderBytes) return false;
  return new TextDecoder().decode(await readBytes(path, 8, length)).includes('"state":');
}
const mostHeaderBytes = 1 << 24;

/**
 * Loads a checkpoint.
 * @throws ScPoliError "file" if it is missing or damaged, "refused" if it belongs to other data or options
 */
export async function loadCheckpoint(path: string, owner: Fingerprint): Promise<Snapshot> {
  const tensors = readSafetensors(await readFile(path), path);
  const stored = tensors.get("state");
  if (!stored)
    throw new ScPoliError(
      "file",
      `${path} is not a checkpoint of scpoli: it has no "state". Train again without resuming.`,
      { path },
    );
  const text: { owner: Fingerprint; state: TrainerState } = JSON.parse(new TextDecoder().decode(stored.data));
  if (text.owner !== owner)
    throw new ScPoliError(
      "refused",
      `${path} was left by a run on other data or with other options. Repeat the interrupted command, ` +
        "or train again without resuming.",
      { path },
    );
  const group = (prefix: string): Map<string, Float32Array> =>
    new Map(
      [...tensors]
        .filter(([name]) => name.startsWith(`${prefix}/`))
        .map(([name, { data }]) => [name.slice(prefix.length + 1), data as Float32Array]),
    );
  const prototypes = (name: string): Prototypes | null => {
    const counts = tensors.get(`${name}/counts`)?.data as Float64Array | undefined;
    if (!counts) return null;
    const means = tensors.get(`${name}/means`)!.data as Float32Array;
    const covariances = tensors.get(`${name}/covariances`)!.data as Float32Array;
    return { shape: [counts.length, means.length / counts.length], means, covariances, counts };
  };
  const [first, second, best] = [group("first"), group("second"), group("best")];
  return {
    state: text.state,
    parameters: group("parameter"),
    moments: new Map([...first].map(([name, data]) => [name, { first: data, second: second.get(name)! }])),
    prototypes: prototypes("prototypes"),
    clusters: tensors.has("clusters") ? Int32Array.from(tensors.get("clusters")!.data) : null,
    best: best.size > 0 ? { parameters: best, prototypes: prototypes("best-prototypes") } : null,
  };
}

/** Everything that changes during a run, besides the engine's parameters. */
export interface TrainerState {
  epoch: number;
  /** training cells of this epoch that have been processed */
  position: number;
  /** number of Adam steps so far */
  step: number;
  /** sums over the cells of this epoch */
  sums: { reconstruction: number; kl: number; prototype: number; crossEntropy: number };
  early: EarlyStoppingState;
  history: EpochLosses[];
}

/** A state with all its tensors. */
export interface Snapshot {
  readonly state: TrainerState;
  readonly parameters: ReadonlyMap<string, Float32Array>;
  readonly moments: ReadonlyMap<string, { readonly first: Float32Array; readonly second: Float32Array }>;
  readonly prototypes: Prototypes | null;
  readonly clusters: Int32Array | null;
  readonly best: {
    readonly parameters: ReadonlyMap<string, Float32Array>;
    readonly prototypes: Prototypes | null;
  } | null;
}

/** State of early stopping, in plain numbers for the checkpoint. */
export interface EarlyStoppingState {
  best: number | null;
  bestEpoch: number;
  /** epochs since the last improvement; `lrWaited`: since that or the last learning-rate reduction */
  waited: number;
  lrWaited: number;
  /** number of reductions so far */
  reductions: number;
}
