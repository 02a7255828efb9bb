// What each label of each cell weighs in the prototype loss; one place for both engines.
import { ScPoliError } from "../errors.js";
import type { EngineOptions, Floats } from "./engine.js";

/**
 * A label weighs one over the number of cells of the minibatch that have it: each prototype counts by the
 * mean distance of its cells. Labels of unlabelled prototypes weigh that, over the number of unlabelled
 * prototypes in the minibatch (their means are averaged, not summed), times their weight. Source:
 * `prototype_labeled_loss` and `prototype_unlabeled_loss` of scArches.
 *
 * @param labels - rows of the prototype table, -1 for none
 * @param counts - (K) scratch
 * @param shares - receives one per label, 0 for none
 */
export function labelShares(
  labels: Int32Array,
  { unlabeled }: Pick<EngineOptions, "unlabeled">,
  counts: Int32Array,
  shares: Floats,
): void {
  counts.fill(0);
  for (const label of labels) {
    if (label >= counts.length)
      throw new ScPoliError(
        "usage",
        `the minibatch has label ${label}; expected -1 to ${counts.length - 1}.`,
      );
    if (label >= 0) counts[label]!++;
  }
  const from = unlabeled?.from ?? counts.length;
  let used = 0;
  for (let label = from; label < counts.length; label++) if (counts[label]! > 0) used++;
  const weight = used > 0 ? unlabeled!.weight / used : 0;
  labels.forEach((label, i) => (shares[i] = label < 0 ? 0 : (label < from ? 1 : weight) / counts[label]!));
}
