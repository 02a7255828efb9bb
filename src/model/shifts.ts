// What a condition has more than the reference, whatever the type of its cells: taken off before cells of a
// query are compared with known ones.

/** Cells of a type that its shift counts as much as this many cells that have none. */
export const shiftPrior = 20;
/**
 * Weight of the whole query's shift, or of none, in that of one condition; a type with many cells weighs 1.
 */
export const sharedWeight = 0.5;

/**
 * Fewer cells say so little that their condition has the whole query's shift, which also bounds the memory of
 * thousands of conditions.
 */
const leastCells = 5;

/** Cells whose shifts are found. */
export interface ShiftedCells {
  /** (n) */
  readonly conditions: Int32Array;
  /** (n) predicted type */
  readonly position: Int32Array;
  /** numbers per cell */
  readonly F: number;
  /** adds the numbers of one cell to `into` from `offset` on */
  readonly add: (cell: number, into: Float64Array, offset: number) => void;
}

/**
 * Per condition: the mean over the predicted types of the difference of their means, a type of n cells
 * counting n / (n + 20). A condition that says little of it (few cells) is drawn to what the whole query has.
 * @param means - (K, F) of the reference's types
 * @param known - (K) cells of each; a type without any says nothing
 */
export function shiftsOf(
  { conditions, position, F, add }: ShiftedCells,
  means: Float32Array,
  known: ArrayLike<number>,
): Map<number, Float64Array> {
  const members = new Map<number, number[]>();
  conditions.forEach((condition, i) => {
    const own = members.get(condition);
    if (own) own.push(i);
    else members.set(condition, [i]);
  });
  const K = known.length;
  const shared = new Float64Array(F);
  let sharedSum = 0;
  const ofTypes = new Float64Array(K * F);
  const sums: { readonly condition: number; readonly sum: Float64Array; readonly weight: number }[] = [];
  for (const [condition, own] of members) {
    const n = new Int32Array(K);
    ofTypes.fill(0);
    for (const i of own) {
      n[position[i]!]!++;
      add(i, ofTypes, position[i]! * F);
    }
    const sum = new Float64Array(F);
    let weight = 0;
    for (let type = 0; type < K; type++) {
      if (n[type] === 0 || known[type] === 0) continue;
      const w = n[type]! / (n[type]! + shiftPrior);
      weight += w;
      for (let f = 0; f < F; f++) sum[f]! += w * (ofTypes[type * F + f]! / n[type]! - means[type * F + f]!);
    }
    for (let f = 0; f < F; f++) shared[f]! += sum[f]!;
    sharedSum += weight;
    if (own.length >= leastCells) sums.push({ condition, sum, weight });
  }
  const whole = shared.map((value) => value / Math.max(1e-9, sharedSum));
  const shifts = new Map<number, Float64Array>([...members.keys()].map((condition) => [condition, whole]));
  for (const { condition, sum, weight } of sums) {
    for (let f = 0; f < F; f++) sum[f] = (sum[f]! + sharedWeight * whole[f]!) / (weight + sharedWeight);
    shifts.set(condition, sum);
  }
  return shifts;
}
