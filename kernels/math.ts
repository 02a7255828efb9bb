// Vector arithmetic on four floats: SIMD helpers, and exp, log, log1p, cos with error bounds (tested in
// test/kernels.test.ts).
//
// Each function reduces its argument to a small interval and evaluates a polynomial there.

/** a * b + c; one rounding in the relaxed build, two in the plain one. */
// @ts-ignore: decorator
@inline
export function mad(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

// @ts-ignore: decorator
@inline
export function splat(x: f32): v128 {
  return f32x4.splat(x);
}

// @ts-ignore: decorator
@inline
export function sum4(v: v128): f32 {
  return (
    f32x4.extract_lane(v, 0) +
    f32x4.extract_lane(v, 1) +
    (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3))
  );
}

// @ts-ignore: decorator
@inline
export function max4(v: v128): f32 {
  return max(
    max(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)),
    max(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)),
  );
}

/** The four sums of four vectors. */
// @ts-ignore: decorator
@inline
export function sums4(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.add(v128.shuffle<f32>(c, d, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f32>(ab, cd, 0, 1, 4, 5), v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
}

/** All ones in lanes whose column, counted from `column`, is before `end`. */
// @ts-ignore: decorator
@inline
export function lanesBefore(column: i32, end: i32): v128 {
  return i32x4.lt_s(i32x4.add(i32x4.splat(column), i32x4(0, 1, 2, 3)), i32x4.splat(end));
}

/**
 * Constants are stored in memory, each four times, and loaded before a loop: compilers would otherwise
 * rebuild a constant in every iteration, with three instructions, as they move pure operations into loops,
 * but not loads.
 */
const constants: usize = 1280;
// @ts-ignore: decorator
@inline
export function constant(i: usize): v128 {
  return v128.load(constants + (i << 4));
}
/** Initialises the constants, once. */
export function storeConstants(): void {
  // exp2: floor, 1.5 * 2^23, coefficients from the highest
  put(0, -126);
  put(1, 12582912);
  put(2, 0.0013264724);
  put(3, 0.009671513);
  put(4, 0.055507336);
  put(5, 0.24022242);
  put(6, 0.693147);
  put(7, 1);
  put(8, log2e);
  // log4: bits of sqrt(1/2), mask of the mantissa, coefficients from the highest, ln 2
  v128.store(constants + 9 * 16, i32x4.splat(0x3f3504f3));
  v128.store(constants + 10 * 16, i32x4.splat(0x7fffff));
  put(11, -0.10082284);
  put(12, 0.16180478);
  put(13, -0.17243242);
  put(14, 0.19906886);
  put(15, -0.24971227);
  put(16, 0.33334714);
  put(17, -0.5000032);
  put(18, 0.69314718);
  // byte offsets of the lanes
  v128.store(constants + 24 * 16, i32x4(0, 4, 8, 12));
  // Adam
  put(19, 0.9);
  put(20, 0.1);
  put(21, 0.999);
  put(22, 0.001);
  put(23, 0.01);
}
function put(i: usize, x: f32): void {
  v128.store(constants + (i << 4), splat(x));
}

/**
 * 2^y, relative error < 2e-7 on [-126, 127]; y is clamped from below only. Minimax of degree 5 on [-1/2, 1/2]
 * (error 9e-8). The constants are 0 to 7.
 */
// @ts-ignore: decorator
@inline
export function exp2(
  y: v128,
  floor: v128,
  magic: v128,
  c5: v128,
  c4: v128,
  c3: v128,
  c2: v128,
  c1: v128,
  one: v128,
): v128 {
  y = f32x4.pmax(y, floor);
  // adding 1.5 * 2^23 rounds to a whole number, which is then in the low bits
  const shifted = f32x4.add(y, magic);
  const r = f32x4.sub(y, f32x4.sub(shifted, magic));
  // evaluated in pairs: a third of the dependency chain of Horner's scheme
  const r2 = f32x4.mul(r, r);
  const p = mad(mad(mad(c5, r, c4), r2, mad(c3, r, c2)), r2, mad(c1, r, one));
  return i32x4.add(p, i32x4.shl(shifted, 23));
}

export const log2e: f32 = 1.44269504;

/** e^x, relative error < 2e-7 + 1e-7 |x| on [-87, 88]; x is clamped to that range. */
// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  const y = f32x4.mul(f32x4.pmin(x, splat(88)), splat(log2e));
  return exp2(
    y,
    constant(0),
    constant(1),
    constant(2),
    constant(3),
    constant(4),
    constant(5),
    constant(6),
    constant(7),
  );
}

/**
 * ln x, relative error < 3e-7 (absolute 2e-7 where |ln x| < 1); x positive, finite and not subnormal. Minimax
 * of degree 8 on [sqrt(1/2), sqrt(2)). The constants are 7 and 9 to 18.
 */
// @ts-ignore: decorator
@inline
export function log(
  x: v128,
  one: v128,
  root: v128,
  mantissa: v128,
  c8: v128,
  c7: v128,
  c6: v128,
  c5: v128,
  c4: v128,
  c3: v128,
  c2: v128,
  ln2: v128,
): v128 {
  // x = m 2^k with m in [sqrt(1/2), sqrt(2))
  const bits = i32x4.sub(x, root);
  const k = f32x4.convert_i32x4_s(i32x4.shr_s(bits, 23));
  const f = f32x4.sub(i32x4.add(v128.and(bits, mantissa), root), one);
  const f2 = f32x4.mul(f, f);
  const p = mad(mad(mad(c8, f2, mad(c7, f, c6)), f2, mad(c5, f, c4)), f2, mad(c3, f, c2));
  return mad(k, ln2, mad(p, f2, f));
}

/** `log` with its constants. */
// @ts-ignore: decorator
@inline
export function log4(x: v128): v128 {
  return log(
    x,
    constant(7),
    constant(9),
    constant(10),
    constant(11),
    constant(12),
    constant(13),
    constant(14),
    constant(15),
    constant(16),
    constant(17),
    constant(18),
  );
}

/**
 * Correction of ln t for the rounding of t = 1 + u; `r` is 1 / t. ln(1 + u) = log4(t) + roundingOf(u, t, r),
 * relative error < 3e-7 for u > -0.3.
 */
// @ts-ignore: decorator
@inline
export function roundingOf(u: v128, t: v128, r: v128): v128 {
  return f32x4.mul(f32x4.sub(u, f32x4.sub(t, splat(1))), r);
}

/** ln(1 + u), relative error < 3e-7 for u > -0.3, finite. */
// @ts-ignore: decorator
@inline
export function log1p4(u: v128): v128 {
  const t = f32x4.add(u, splat(1));
  return f32x4.add(log4(t), f32x4.div(f32x4.sub(u, f32x4.sub(t, splat(1))), t));
}

/** cos(2 pi u) for u in [0, 1), absolute error < 3e-7. */
// @ts-ignore: decorator
@inline
export function cosTurns4(u: v128): v128 {
  // cos(2 pi u) = sin(2 pi (|u - 1/2| - 1/4)), whose argument lies in [-pi/2, pi/2]
  const x = f32x4.mul(f32x4.sub(f32x4.abs(f32x4.sub(u, splat(0.5))), splat(0.25)), splat(6.28318531));
  const x2 = f32x4.mul(x, x);
  let p = splat(-2.5052108e-8);
  p = mad(p, x2, splat(2.7557319e-6));
  p = mad(p, x2, splat(-1.984127e-4));
  p = mad(p, x2, splat(8.3333333e-3));
  p = mad(p, x2, splat(-0.16666667));
  return mad(f32x4.mul(p, x2), x, x);
}

/** ln Gamma(y) - ((y - 1/2) ln y - y + ln(2 pi) / 2), absolute error < 1e-8 for y >= 8. */
// @ts-ignore: decorator
@inline
export function stirling(y: v128): v128 {
  const r = f32x4.div(splat(1), y),
    r2 = f32x4.mul(r, r);
  return f32x4.mul(r, mad(r2, mad(r2, splat(1.0 / 1260.0), splat(-1.0 / 360.0)), splat(1.0 / 12.0)));
}

/** ln y - digamma(y), absolute error < 3e-8 for y >= 8. */
// @ts-ignore: decorator
@inline
export function digammaTail(y: v128): v128 {
  const r = f32x4.div(splat(1), y),
    r2 = f32x4.mul(r, r);
  return mad(r2, mad(r2, splat(-1.0 / 120.0), splat(1.0 / 12.0)), f32x4.mul(r, splat(0.5)));
}
