// Products of sparse cells with dense tables (float32), and squared norms of the mean expression of
// neighbourhoods (float64). A separate module with its own memory and a single thread, see
// src/kernel-modules/profiles.ts.
//
// Rows of a table of P columns are padded to a multiple of four. Sums over cells run in the order of the
// cells.

/** First free byte. */
export function freeFrom(): usize {
  return __heap_base;
}

/**
 * Products of sparse rows with a table, in float32: out (n, P) = rows (n, G) x table (G, P). Sixteen columns
 * are summed in registers at a time; sums run in the order of the row's values.
 * @param indptr - (n + 1) int32 @param indices - int32 @param values - float32
 * @param width - P, a multiple of four
 * @param used - (n) uint8: rows with 0 are skipped, and their products stay zero
 */
export function project(
  indptr: usize,
  indices: usize,
  values: usize,
  n: i32,
  table: usize,
  width: i32,
  out: usize,
  used: usize,
): void {
  const rowBytes = (<usize>width) << 2;
  memory.fill(out, 0, <usize>n * rowBytes);
  for (let row = 0; row < n; row++, out += rowBytes) {
    if (load<u8>(used + <usize>row) == 0) continue;
    const start = indptr + ((<usize>row) << 2);
    const first = (<usize>load<i32>(start)) << 2;
    const end = (<usize>load<i32>(start, 4)) << 2;
    let column: usize = 0;
    for (; column + 64 <= rowBytes; column += 64) {
      let sum0 = f32x4.splat(0);
      let sum1 = f32x4.splat(0);
      let sum2 = f32x4.splat(0);
      let sum3 = f32x4.splat(0);
      for (let at = first; at < end; at += 4) {
        const from = table + <usize>load<i32>(indices + at) * rowBytes + column;
        const value = v128.load32_splat(values + at);
        sum0 = f32x4.add(sum0, f32x4.mul(value, v128.load(from)));
        sum1 = f32x4.add(sum1, f32x4.mul(value, v128.load(from, 16)));
        sum2 = f32x4.add(sum2, f32x4.mul(value, v128.load(from, 32)));
        sum3 = f32x4.add(sum3, f32x4.mul(value, v128.load(from, 48)));
      }
      v128.store(out + column, sum0);
      v128.store(out + column, sum1, 16);
      v128.store(out + column, sum2, 32);
      v128.store(out + column, sum3, 48);
    }
    for (; column < rowBytes; column += 16) {
      let sum = f32x4.splat(0);
      for (let at = first; at < end; at += 4) {
        const from = table + <usize>load<i32>(indices + at) * rowBytes + column;
        sum = f32x4.add(sum, f32x4.mul(v128.load32_splat(values + at), v128.load(from)));
      }
      v128.store(out + column, sum);
    }
  }
}

/**
 * Adds the products of the rows' transpose with another table, in float32: table (G, P) += rows (n, G)
 * transposed x perCell (n, P). Sixteen columns of a row are kept in registers at a time.
 * @param width - P, a multiple of four @param used - (n) uint8: rows with 0 are skipped
 */
export function addBack(
  indptr: usize,
  indices: usize,
  values: usize,
  n: i32,
  perCell: usize,
  width: i32,
  table: usize,
  used: usize,
): void {
  const rowBytes = (<usize>width) << 2;
  for (let row = 0; row < n; row++, perCell += rowBytes) {
    if (load<u8>(used + <usize>row) == 0) continue;
    const start = indptr + ((<usize>row) << 2);
    const first = (<usize>load<i32>(start)) << 2;
    const end = (<usize>load<i32>(start, 4)) << 2;
    let column: usize = 0;
    for (; column + 64 <= rowBytes; column += 64) {
      const perCell0 = v128.load(perCell + column);
      const perCell1 = v128.load(perCell + column, 16);
      const perCell2 = v128.load(perCell + column, 32);
      const perCell3 = v128.load(perCell + column, 48);
      for (let at = first; at < end; at += 4) {
        const to = table + <usize>load<i32>(indices + at) * rowBytes + column;
        const value = v128.load32_splat(values + at);
        v128.store(to, f32x4.add(v128.load(to), f32x4.mul(value, perCell0)));
        v128.store(to, f32x4.add(v128.load(to, 16), f32x4.mul(value, perCell1)), 16);
        v128.store(to, f32x4.add(v128.load(to, 32), f32x4.mul(value, perCell2)), 32);
        v128.store(to, f32x4.add(v128.load(to, 48), f32x4.mul(value, perCell3)), 48);
      }
    }
    for (; column < rowBytes; column += 16) {
      const four = v128.load(perCell + column);
      for (let at = first; at < end; at += 4) {
        const to = table + <usize>load<i32>(indices + at) * rowBytes + column;
        v128.store(to, f32x4.add(v128.load(to), f32x4.mul(v128.load32_splat(values + at), four)));
      }
    }
  }
}

/**
 * The squared norm of the mean of some cells, minus shifts and a centre, each gene times its scale.
 * @param genes - G, even
 * @param members - (count) int32 rows
 * @param shiftRows, cells - (shiftCount) int32: shifts to subtract, and the number of members of each
 * @param shifts - (n, G) @param row - (G) to work in
 */
export function squareOfMean(
  indptr: usize,
  indices: usize,
  values: usize,
  genes: i32,
  members: usize,
  count: i32,
  shiftRows: usize,
  cells: usize,
  shiftCount: i32,
  shifts: usize,
  centre: usize,
  scale: usize,
  row: usize,
): f64 {
  const rowBytes = (<usize>genes) << 3;
  memory.fill(row, 0, rowBytes);
  for (let i = 0; i < count; i++) {
    const start = indptr + ((<usize>load<i32>(members + ((<usize>i) << 2))) << 2);
    const end = load<i32>(start, 4);
    for (let at = load<i32>(start); at < end; at++) {
      const to = row + ((<usize>load<i32>(indices + ((<usize>at) << 2))) << 3);
      store<f64>(to, load<f64>(to) + <f64>load<f32>(values + ((<usize>at) << 2)));
    }
  }
  for (let i = 0; i < shiftCount; i++) {
    const shift = shifts + <usize>load<i32>(shiftRows + ((<usize>i) << 2)) * rowBytes;
    const weight = f64x2.splat(<f64>load<i32>(cells + ((<usize>i) << 2)));
    for (let at: usize = 0; at < rowBytes; at += 16)
      v128.store(row + at, f64x2.sub(v128.load(row + at), f64x2.mul(weight, v128.load(shift + at))));
  }
  const share = f64x2.splat(<f64>count);
  let squares = f64x2.splat(0);
  for (let at: usize = 0; at < rowBytes; at += 16) {
    const value = f64x2.mul(
      f64x2.sub(f64x2.div(v128.load(row + at), share), v128.load(centre + at)),
      v128.load(scale + at),
    );
    squares = f64x2.add(squares, f64x2.mul(value, value));
  }
  return f64x2.extract_lane(squares, 0) + f64x2.extract_lane(squares, 1);
}
