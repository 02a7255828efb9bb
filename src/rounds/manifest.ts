// Describes the content of a file of a training in rounds, for the people who approve its export.
import { readFile, sha256 } from "#platform";
import { readSafetensors } from "../storage/safetensors.js";
import { ScPoliError } from "../contract/errors.js";

/** One array or JSON entry of a file. */
interface ManifestEntry {
  readonly name: string;
  readonly type: string;
  readonly shape: readonly number[];
  readonly meaning: string;
}

export interface Manifest {
  readonly path: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly kind: string;
  /** a sentence: whether the file has one row per cell anywhere */
  readonly has_rows_per_cell: boolean;
  readonly entries: readonly ManifestEntry[];
}

/** Meaning of arrays, by name prefix. */
const meanings: readonly (readonly [start: string, meaning: string])[] = [
  ["ranking.", "per gene: how variable it is, summed over conditions"],
  [
    "parameter/",
    "weights of the network; rows or columns of the shard's own conditions where they are tables",
  ],
  ["momentum/", "momentum of the outer step"],
  ["prototypes.counts", "cells of each cell type, estimated"],
  ["prototypes.squares", "sums of squares of latent positions by cell type"],
  ["prototypes.sums", "sums of latent positions by cell type"],
  ["prototypes", "mean latent position of each cell type"],
  ["types.", "by cell type: cells, sums and products of latent positions"],
  ["size_factors", "histogram of the cells' total counts"],
  ["distances.", "histogram of distances to the nearest prototype"],
  ["surprise.", "log-likelihood of the labels under a few widths of the probability"],
  ["held_out.", "a row per cell: positions and labels of cells held out"],
  ["sample.", "a row per cell: positions, labels, conditions and counts of a sample of cells"],
  ["first/", "Adam's first moments; stay with the shard"],
  ["second/", "Adam's second moments; stay with the shard"],
];

/** Arrays with one row per cell. */
const perCell = /^(held_out|sample)\./;

/** @throws ScPoliError "model" for a file of a different kind */
export async function readManifest(path: string): Promise<Manifest> {
  const bytes = await readFile(path);
  const tensors = readSafetensors(bytes, path);
  const text = tensors.get("json");
  const json = text && (JSON.parse(new TextDecoder().decode(text.data)) as Record<string, unknown>);
  if (typeof json?.["kind"] !== "string")
    throw new ScPoliError("model", `${path} is not a file of a training in rounds.`, { path });
  const arrays = [...tensors].filter(([name]) => name !== "json");
  return {
    path,
    sha256: await sha256([bytes]),
    bytes: bytes.length,
    kind: json["kind"],
    has_rows_per_cell: arrays.some(([name]) => perCell.test(name)),
    entries: [
      ...arrays.map(([name, { dtype, shape }]) => ({
        name,
        type: dtype,
        shape,
        meaning: meanings.find(([start]) => name.startsWith(start))?.[1] ?? "not known to this version",
      })),
      ...Object.entries(json).map(([name, value]) => ({
        name: `json: ${name}`,
        type: Array.isArray(value) ? "list" : typeof value,
        shape: Array.isArray(value) ? [value.length] : [],
        meaning: typeof value === "object" ? "" : String(value),
      })),
    ],
  };
}
