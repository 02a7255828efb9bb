// Sparse cells against dense directions and profiles, in float64: products with tables, and how large a
// neighbourhood's mean expression is. A module of its own with its own memory and one thread, see
// src/kernel-modules/profiles.ts.
//
// Rows of a table of P columns are padded to an even number of float64: two are computed at once. Sums over
// cells are made in the order of the cells.

/** First byte that is free. */
export function freeFrom(): usize {
  return __heap_base;
}

/**
 * Products of sparse rows with a table: out (n, P) = rows (n, G) x table (G, P).
 * @param indptr - (n + 1) int32 @param indices - int32 @param values - float32 @param width - P, even
 */
export function project(
  indptr: usize,
  indices: usize,
  values: usize,
  n: i32,
  table: usize,
  width: i32,
  out: usize,
): void {
  const rowBytes = (<usize>width) << 3;
  memory.fill(out, 0, <usize>n * rowBytes);
  for (let row = 0; row < n; row++, out += rowBytes) {
    const end = load<i32>(indptr + ((<usize>(row + 1)) << 2));
    for (let at = load<i32>(indptr + ((<usize>row) << 2)); at < end; at++) {
      const from = table + <usize>load<i32>(indices + ((<usize>at) << 2)) * rowBytes;
      const value = f64x2.splat(<f64>load<f32>(values + ((<usize>at) << 2)));
      for (let p: usize = 0; p < rowBytes; p += 16)
        v128.store(out + p, f64x2.add(v128.load(out + p), f64x2.mul(value, v128.load(from + p))));
    }
  }
}

/**
 * Adds the products of the rows' transpose with another table: table (G, P) += rows (n, G) transposed x own
 * (n, P).
 */
export function addBack(
  indptr: usize,
  indices: usize,
  values: usize,
  n: i32,
  own: usize,
  width: i32,
  table: usize,
): void {
  const rowBytes = (<usize>width) << 3;
  for (let row = 0; row < n; row++, own += rowBytes) {
    const end = load<i32>(indptr + ((<usize>(row + 1)) << 2));
    for (let at = load<i32>(indptr + ((<usize>row) << 2)); at < end; at++) {
      const to = table + <usize>load<i32>(indices + ((<usize>at) << 2)) * rowBytes;
      const value = f64x2.splat(<f64>load<f32>(values + ((<usize>at) << 2)));
      for (let p: usize = 0; p < rowBytes; p += 16)
        v128.store(to + p, f64x2.add(v128.load(to + p), f64x2.mul(value, v128.load(own + p))));
    }
  }
}

/**
 * The square of the mean of some cells, less shifts and a centre, each gene times its scale.
 * @param genes - G, even
 * @param members - (count) int32 rows
 * @param taken, cells - (takenCount) int32: shifts, and how many of the members each is taken off for
 * @param shifts - (n, G) @param row - (G) to work in
 */
export function squareOfMean(
  indptr: usize,
  indices: usize,
  values: usize,
  genes: i32,
  members: usize,
  count: i32,
  taken: usize,
  cells: usize,
  takenCount: i32,
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
  for (let i = 0; i < takenCount; i++) {
    const shift = shifts + <usize>load<i32>(taken + ((<usize>i) << 2)) * rowBytes;
    const own = f64x2.splat(<f64>load<i32>(cells + ((<usize>i) << 2)));
    for (let at: usize = 0; at < rowBytes; at += 16)
      v128.store(row + at, f64x2.sub(v128.load(row + at), f64x2.mul(own, v128.load(shift + at))));
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
