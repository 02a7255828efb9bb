// The weights of the finished model.
import type { StoredTensor } from "../model/stored-model.js";

/** Largest norm of an embedding row that no engine rescales at look-up. */
const longestRow = 1 - 2e-6;

/** Parameters with embedding rows scaled to norms below 1, as look-up would scale them. */
export function settled(parameters: ReadonlyMap<string, StoredTensor>): Map<string, StoredTensor> {
  return new Map(
    [...parameters].map(([name, tensor]) => [
      name,
      name.startsWith("embeddings.") ? shortened(tensor) : tensor,
    ]),
  );
}

function shortened({ shape, data }: StoredTensor): StoredTensor {
  const width = shape[1]!;
  const rows = data.slice();
  for (let start = 0; start < rows.length; start += width) {
    const row = rows.subarray(start, start + width);
    const norm = Math.hypot(...row);
    if (norm > 1 - 1e-6) row.forEach((value, e) => (row[e] = (value * longestRow) / norm));
  }
  return { shape, data: rows };
}
