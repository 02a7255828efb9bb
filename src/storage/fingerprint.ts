// Fingerprints tie checkpoint files to the run that wrote them.
import { sha256 } from "#platform";

/** Hash of a run's options and data. A run resumes only from its own checkpoints. */
export type Fingerprint = string;

/** SHA-256 of options and names (as JSON) and of the bytes of arrays. */
export function fingerprint(options: unknown, ...arrays: Digestible[]): Promise<Fingerprint> {
  const text = JSON.stringify([options, arrays.map(({ length }) => length)]);
  const bytes = arrays.map(
    ({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength),
  );
  return sha256([new TextEncoder().encode(text), ...bytes]);
}

type Digestible = Int32Array | Float32Array | Float64Array;
