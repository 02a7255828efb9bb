// Which cells are left out together when labels and novelty are calibrated: those of a donor. Samples of one
// donor resemble each other more than a query's do.
import type { Conditions } from "../data/labels.js";
import type { SampleMetadata } from "../data/sample-metadata.js";

/** Names of columns that tell whose cells they are. */
const donorName = /donor|patient|subject|individual/i;

/** What is left out as a whole. */
export interface Units {
  /** column that tells it */
  readonly key: string;
  /** (N) */
  readonly codes: Int32Array;
}

/**
 * With several condition keys the one that is named as a donor's (donor, patient, subject, individual), else
 * the one with the most values. With one key a column of that name that is constant within its conditions and
 * joins several of them, else the key itself.
 * @param metadata - per key; null where it is not known
 */
export function unitsOf(
  conditions: readonly Conditions[],
  metadata: readonly SampleMetadata[] | null,
): Units {
  if (conditions.length > 1) {
    const largest = [...conditions].sort((a, b) => b.names.length - a.names.length)[0]!;
    const { key, codes } =
      conditions.find((own) => donorName.test(own.key) && own.names.length > 1) ?? largest;
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
