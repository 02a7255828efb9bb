// Groups of cells left out together when labels and novelty are calibrated: cells of one donor. Samples of
// one donor resemble each other more than samples of a query resemble the reference.
import type { Conditions } from "../data/labels.js";
import type { SampleMetadata } from "../data/sample-metadata.js";

/** Names of donor columns. */
const donorName = /donor|patient|subject|individual/i;

/** Groups of cells that are left out together. */
export interface Units {
  /** column of the groups */
  readonly key: string;
  /** (N) */
  readonly codes: Int32Array;
}

/**
 * Selects the column to group by. With several condition keys: the key with a donor name (donor, patient,
 * subject, individual), else the one with the most values. With one key: a metadata column with a donor name
 * that joins several conditions, else the key itself.
 * @param metadata - per key; null if unknown
 */
export function unitsOf(
  conditions: readonly Conditions[],
  metadata: readonly SampleMetadata[] | null,
): Units {
  if (conditions.length > 1) {
    const largest = [...conditions].sort((a, b) => b.names.length - a.names.length)[0]!;
    const { key, codes } =
      conditions.find((condition) => donorName.test(condition.key) && condition.names.length > 1) ?? largest;
    return { key, codes };
  }
  const { key, codes, names } = conditions[0]!;
  const table = metadata?.[0];
  for (const [column, name] of table?.columns.entries() ?? []) {
    if (!donorName.test(name) || donorName.test(key)) continue;
    const values = names.map((sample) => table!.samples[sample]![column]!);
    const distinct = [...new Set(values)];
    if (values.some((value) => value === null) || distinct.length < 2 || distinct.length === names.length)
      continue;
    return { key: name, codes: codes.map((code) => distinct.indexOf(values[code]!)) };
  }
  return { key, codes };
}
