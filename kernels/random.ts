// Random bits as a hash of seed, stream, row and column: the same as in src/numerics/random.ts, for four
// columns at once.

// @ts-ignore: decorator
@inline
function mix4(h: v128): v128 {
  h = i32x4.mul(v128.xor(h, i32x4.shr_u(h, 16)), i32x4.splat(0x7feb352d));
  h = i32x4.mul(v128.xor(h, i32x4.shr_u(h, 15)), i32x4.splat(0x846ca68b));
  return v128.xor(h, i32x4.shr_u(h, 16));
}

/** The upper 24 of 32 random bits, for columns `column` to `column` + 3. */
// @ts-ignore: decorator
@inline
export function random24(seed: u32, stream: i32, row: i32, column: i32): v128 {
  let h = mix4(i32x4.add(i32x4.splat(column + 0x165667b1), i32x4(0, 1, 2, 3)));
  h = mix4(v128.xor(h, i32x4.splat(row * 0x85ebca6b)));
  h = mix4(v128.xor(h, i32x4.splat(stream * 0x9e3779b9)));
  return i32x4.shr_u(mix4(v128.xor(h, i32x4.splat(seed))), 8);
}
