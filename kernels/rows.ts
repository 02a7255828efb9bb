// Checks and sums stored counts from a file (int32 genes, float32 counts) row by row, packs them, and gathers
// rows in any order. A separate module with its own memory and a single thread, see
// src/kernel-modules/rows.ts.

/** First free byte. */
export function freeFrom(): usize {
  return __heap_base;
}

/** Mask of the values that are whole, non-negative and less than `limit`; false for NaN. */
// @ts-ignore: decorator
@inline
function counts4(values: v128, limit: v128): v128 {
  return v128.and(
    v128.and(f32x4.ge(values, f32x4.splat(0)), f32x4.lt(values, limit)),
    f32x4.eq(f32x4.trunc(values), values),
  );
}

// @ts-ignore: decorator
@inline
function isCount(value: f32, limit: f32): bool {
  return value >= 0 && value < limit && trunc(value) == value;
}

/**
 * Total of each row, summed in float64: exact below 2^53, in any order.
 * @param values - float32
 * @param indptr - (rows + 1)
 * @param totals - (rows) receives them as float32
 * @returns 0 if a value is not a count
 */
export function sumRows(values: usize, indptr: usize, rows: i32, totals: usize): i32 {
  const limit = f32x4.splat(Infinity);
  let good = i32x4.splat(-1);
  for (let row: usize = 0; row < (<usize>rows) << 2; row += 4) {
    let at = values + (load<usize>(indptr + row) << 2);
    const end = values + (load<usize>(indptr + row, 4) << 2);
    let low = f64x2.splat(0),
      high = f64x2.splat(0);
    for (; at + 16 <= end; at += 16) {
      const four = v128.load(at);
      good = v128.and(good, counts4(four, limit));
      low = f64x2.add(low, f64x2.promote_low_f32x4(four));
      high = f64x2.add(high, f64x2.promote_low_f32x4(v128.shuffle<i32>(four, four, 2, 3, 2, 3)));
    }
    const both = f64x2.add(low, high);
    let total = f64x2.extract_lane(both, 0) + f64x2.extract_lane(both, 1);
    for (; at < end; at += 4) {
      const value = load<f32>(at);
      if (!isCount(value, Infinity)) return 0;
      total += <f64>value;
    }
    if (!i32x4.all_true(good)) return 0;
    store<f32>(totals + row, <f32>total);
  }
  return 1;
}

/**
 * Start of the counts of each row that does not fit into 8 bits, among those of all such rows; -1 for rows
 * that fit.
 * @param counts - float32
 * @param indptr - (rows + 1)
 * @param largeFrom - (rows) receives them
 * @returns the number of counts of such rows
 */
export function findLarge(counts: usize, indptr: usize, rows: i32, largeFrom: usize): i32 {
  const limit = f32x4.splat(256);
  let large = 0;
  for (let row: usize = 0; row < (<usize>rows) << 2; row += 4) {
    const start = load<i32>(indptr + row),
      stop = load<i32>(indptr + row, 4);
    let at = counts + ((<usize>start) << 2);
    const end = counts + ((<usize>stop) << 2);
    let small = i32x4.splat(-1);
    for (; at + 16 <= end; at += 16) small = v128.and(small, counts4(v128.load(at), limit));
    let isSmall: bool = i32x4.all_true(small);
    for (; at < end; at += 4) isSmall = isSmall && isCount(load<f32>(at), 256);
    store<i32>(largeFrom + row, isSmall ? -1 : large);
    if (!isSmall) large += stop - start;
  }
  return large;
}

/**
 * Genes below 65,536 in 16 bits.
 * @param genes - int32, readable to a multiple of eight
 * @param n - of them
 * @param to - uint16, writable likewise
 */
export function narrowGenes(genes: usize, n: i32, to: usize): void {
  for (const end = genes + ((<usize>n) << 2); genes < end; genes += 32, to += 16)
    v128.store(to, i16x8.narrow_i32x4_u(v128.load(genes), v128.load(genes, 16)));
}

/**
 * Counts below 256 in 8 bits; others are lost.
 * @param counts - float32, readable to a multiple of eight
 * @param n - of them
 * @param to - uint8, writable likewise
 */
export function narrowCounts(counts: usize, n: i32, to: usize): void {
  for (const end = counts + ((<usize>n) << 2); counts < end; counts += 32, to += 8) {
    const eight = i16x8.narrow_i32x4_s(
      i32x4.trunc_sat_f32x4_s(v128.load(counts)),
      i32x4.trunc_sat_f32x4_s(v128.load(counts, 16)),
    );
    v128.store64_lane(to, i8x16.narrow_i16x8_u(eight, eight), 0);
  }
}

/** Copies the counts of large rows, row after row. */
export function copyLarge(counts: usize, indptr: usize, rows: i32, largeFrom: usize, to: usize): void {
  for (let row: usize = 0; row < (<usize>rows) << 2; row += 4) {
    const from = load<i32>(largeFrom + row),
      start = load<usize>(indptr + row);
    if (from >= 0)
      memory.copy(
        to + ((<usize>from) << 2),
        counts + (start << 2),
        (load<usize>(indptr + row, 4) - start) << 2,
      );
  }
}

/**
 * Concatenates pieces of memory.
 * @param from - (n) start of each piece @param bytes - (n) of each
 */
export function gather(from: usize, bytes: usize, n: i32, to: usize): void {
  for (let piece: usize = 0; piece < (<usize>n) << 2; piece += 4) {
    const length = load<usize>(bytes + piece);
    memory.copy(to, load<usize>(from + piece), length);
    to += length;
  }
}
