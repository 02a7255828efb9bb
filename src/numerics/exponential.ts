// An exponential function with the same rounding on every JavaScript engine. ECMAScript does not specify the
// last digit of Math.exp, Math.log and Math.cos, and versions of V8 differ. In iterative methods such
// differences grow into another layout or clustering (neighbors.ts).

/** 2^-k for k from 0 */
const halves = powersOfHalf(1076);

/**
 * exp(x) for x <= 0, to within one unit in the last place.
 * Source: fdlibm's e_exp.c (Sun Microsystems): x = r - k ln 2 with |r| <= ln 2 / 2, exp(r) by a rational
 * function.
 */
export function expOfNegative(x: number): number {
  if (!(x > -745.2)) return Number.isNaN(x) ? NaN : 0;
  const k = Math.floor(0.5 - x * Math.LOG2E);
  const high = x + k * 6.9314718036912381649e-1;
  const low = -k * 1.90821492927058770002e-10;
  const r = high - low;
  const t = r * r;
  const c =
    r -
    t *
      (1.66666666666666019037e-1 +
        t *
          (-2.77777777770155933842e-3 +
            t *
              (6.61375632143793436117e-5 + t * (-1.6533902205465251539e-6 + t * 4.13813679705723846039e-8))));
  return (1 - (low - (r * c) / (2 - c) - high)) * halves[k]!;
}

function powersOfHalf(count: number): Float64Array {
  const powers = new Float64Array(count).fill(1);
  for (let k = 1; k < count; k++) powers[k] = powers[k - 1]! / 2;
  return powers;
}
