// The prototype losses of the reference engine, each followed by its gradient.
import type { Operations } from "./engine.js";
import { crossEntropyShares, distanceShares, levelWeights } from "./label-shares.js";
import type { Recording } from "./reference-recording.js";

/** A label of a cell in the cross-entropy over the prototypes of its level. */
interface Decision {
  readonly cell: number;
  /** weight of the label */
  readonly share: number;
  readonly label: number;
  /** prototypes of the level, and the probability of each */
  readonly rows: readonly number[];
  readonly probabilities: Float64Array;
  /** -ln of the label's probability */
  readonly loss: number;
}

export function prototypeOperations(
  recording: Recording,
): Pick<
  Operations,
  "prototypeLoss" | "prototypeLossBackward" | "prototypeCrossEntropy" | "prototypeCrossEntropyBackward"
> {
  const { add, array, prototypes } = recording;
  return {
    prototypeLoss: (z, p) =>
      add((run) => {
        if (run.prototypeWeight === 0) return;
        run.prototype = 0;
        eachLabel(
          recording,
          z.columns,
          array(z),
          (difference, share) => (run.prototype += share * distance(difference, p)),
        );
      }),
    prototypeLossBackward: (z, p, dz) =>
      add(({ prototypeWeight }) => {
        if (prototypeWeight === 0) return;
        eachLabel(recording, z.columns, array(z), (difference, share, b) => {
          const length = distance(difference, p);
          if (length === 0) return;
          difference.forEach((v, d) => {
            array(dz)[b * z.columns + d]! +=
              prototypeWeight * share * Math.sign(v) * (Math.abs(v) / length) ** (p - 1);
          });
        });
      }),

    prototypeCrossEntropy: (z) =>
      add((run) => {
        if (run.crossEntropyWeight === 0) return;
        run.crossEntropy = 0;
        eachDecision(recording, z.columns, array(z), ({ share, loss }) => (run.crossEntropy += share * loss));
      }),
    prototypeCrossEntropyBackward: (z, dz) =>
      add(({ crossEntropyWeight }) => {
        if (crossEntropyWeight === 0) return;
        const D = z.columns;
        eachDecision(recording, D, array(z), ({ cell, share, label, rows, probabilities }) =>
          rows.forEach((row, k) => {
            const dlogit = crossEntropyWeight * share * (probabilities[k]! - Number(row === label));
            for (let d = 0; d < D; d++)
              array(dz)[cell * D + d]! -= dlogit * (array(z)[cell * D + d]! - prototypes[row * D + d]!);
          }),
        );
      }),
  };
}

/** For every label of every cell: cell minus prototype, and the label's weight. */
function eachLabel(
  { options, cells, prototypes: table }: Recording,
  D: number,
  z: Float64Array,
  visit: (difference: Float64Array, share: number, b: number) => void,
): void {
  const { levels, prototypes } = options;
  const labels = cells.labels.subarray(0, cells.rows * levels);
  const shares = new Float64Array(labels.length);
  distanceShares(labels, options, levelWeights(options), new Int32Array(prototypes[0]), shares);
  labels.forEach((label, i) => {
    const b = Math.floor(i / levels);
    if (label >= 0)
      visit(
        z.slice(b * D, (b + 1) * D).map((v, d) => v - table[label * D + d]!),
        shares[i]!,
        b,
      );
  });
}

/** For every label of every cell: probabilities of the types of its level, softmax(-|z - c|^2 / 2). */
function eachDecision(
  { options, cells, prototypes: table }: Recording,
  D: number,
  z: Float64Array,
  visit: (decision: Decision) => void,
): void {
  const { levels, levelPrototypes = [] } = options;
  const labels = cells.labels.subarray(0, cells.rows * levels);
  const shares = new Float64Array(labels.length);
  crossEntropyShares(labels, options, levelWeights(options), shares);
  labels.forEach((label, i) => {
    const share = shares[i]!;
    if (share === 0) return;
    const [cell, { rows }] = [Math.floor(i / levels), levelPrototypes[i % levels]!];
    const logits = Float64Array.from(rows, (row) => {
      let sum = 0;
      for (let d = 0; d < D; d++) sum += (z[cell * D + d]! - table[row * D + d]!) ** 2;
      return -sum / 2;
    });
    const largest = Math.max(...logits);
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
    visit({
      cell,
      share,
      label,
      rows,
      probabilities: logits.map((logit) => Math.exp(logit - largest) / total),
      loss: largest + Math.log(total) - logits[rows.indexOf(label)]!,
    });
  });
}

function distance(difference: Float64Array, p: number): number {
  return difference.reduce((sum, v) => sum + Math.abs(v) ** p, 0) ** (1 / p);
}
