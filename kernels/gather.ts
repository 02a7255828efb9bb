// Values at byte offsets, four at a time.

/** Converts byte offsets in a row to offsets in a row of a group. */
// @ts-ignore: decorator
@inline
export function inGroup(offsets: v128): v128 {
  return v128.or(v128.and(i32x4.shl(offsets, 2), i32x4.splat(-64)), v128.and(offsets, i32x4.splat(15)));
}

// @ts-ignore: decorator
@inline
export function gather(base: usize, offsets: v128): v128 {
  let v = v128.load_zero<u32>(base + <usize>i32x4.extract_lane(offsets, 0));
  v = v128.load_lane<u32>(base + <usize>i32x4.extract_lane(offsets, 1), v, 1);
  v = v128.load_lane<u32>(base + <usize>i32x4.extract_lane(offsets, 2), v, 2);
  return v128.load_lane<u32>(base + <usize>i32x4.extract_lane(offsets, 3), v, 3);
}

/** Adds lane by lane, as two lanes may have the same offset. */
// @ts-ignore: decorator
@inline
export function scatter(base: usize, offsets: v128, values: v128): void {
  add(base + <usize>i32x4.extract_lane(offsets, 0), f32x4.extract_lane(values, 0));
  add(base + <usize>i32x4.extract_lane(offsets, 1), f32x4.extract_lane(values, 1));
  add(base + <usize>i32x4.extract_lane(offsets, 2), f32x4.extract_lane(values, 2));
  add(base + <usize>i32x4.extract_lane(offsets, 3), f32x4.extract_lane(values, 3));
}

// @ts-ignore: decorator
@inline
function add(at: usize, x: f32): void {
  store<f32>(at, load<f32>(at) + x);
}
