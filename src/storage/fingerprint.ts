// Fingerprints: what a file of an interrupted run belongs to.
import { sha256 } from "#platform";

/** What the checkpoint belongs to: options and data. A run goes on only from its own. */
export type Fingerprint = string;

/** SHA-256 of options and names (as JSON) and of every bit of arrays. */
export function fingerprint(options: unknown, ...arrays: Digestible[]): Promise<Fingerprint> {
  const text = JSON.stringify([options, arrays.map(({ length }) => length)]);
  const bytes = arrays.map(
    ({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength),
  );
  return sha256([new TextEncoder().encode(text), ...bytes]);
}

type Digestible = Int32Array | Float32Array | Float64Array;
