// Tails of the F, t, normal and hypergeometric distributions. Small tails are computed directly, never as one
// minus the other tail, so that small P values are accurate. The incomplete beta function and log gamma come
// from Moshier's Cephes (the package cephes), formerly used by SciPy; test/statistics.test.ts compares with
// SciPy.
import { ScPoliError } from "../contract/errors.js";

/** Tail probabilities. */
export interface Distributions {
  /** P(F >= f) of Fisher's F, degrees of freedom above 0. NaN if f is NaN, 0 for Infinity. */
  fUpperTail(f: number, numeratorDf: number, denominatorDf: number): number;
  /** P(|Z| >= |z|) of the standard normal distribution. NaN if z is NaN */
  normalTwoSided(z: number): number;
  /** P(|T| >= |t|) of Student's t. NaN if t is NaN, 0 for plus or minus Infinity. */
  tTwoSided(t: number, df: number): number;
  /**
   * P(X >= hits) if `drawn` of `total` items are drawn and `marked` of them are marked.
   * @throws ScPoliError "usage" for impossible numbers
   */
  hypergeometricUpperTail(hits: number, total: number, marked: number, drawn: number): number;
}

/** Above this value, Cephes reports an underflow although P is not yet 0. */
const largestForErfc = 37;

/** 2 phi(z) / z times the first terms of the asymptotic series, whose error is below 105 / z^8. */
function normalTail(z: number): number {
  const series = 1 - 1 / z ** 2 + 3 / z ** 4 - 15 / z ** 6;
  return Math.exp(-(z ** 2) / 2 - Math.log(z) + Math.log(Math.sqrt(2 / Math.PI) * series));
}

/** Derivatives of the logarithm of the gamma function, for positive numbers. */
export interface GammaDerivatives {
  digamma(x: number): number;
  trigamma(x: number): number;
}

/** As `loadDistributions`. */
export async function loadGammaDerivatives(): Promise<GammaDerivatives> {
  const { compiled, psi, zeta } = await import("cephes");
  await compiled;
  return { digamma: psi, trigamma: (x) => zeta(2, x) };
}

let loaded: Promise<Distributions> | undefined;

/** The distributions; the first call compiles their WebAssembly. */
export function loadDistributions(): Promise<Distributions> {
  return (loaded ??= load());
}

async function load(): Promise<Distributions> {
  const { compiled, erfc, incbet, lgam } = await import("cephes");
  await compiled;
  const logChoose = (n: number, k: number): number => lgam(n + 1) - lgam(k + 1) - lgam(n - k + 1);
  return {
    fUpperTail(f, numeratorDf, denominatorDf) {
      if (!(f > 0)) return Number.isNaN(f) ? NaN : 1;
      return incbet(denominatorDf / 2, numeratorDf / 2, denominatorDf / (denominatorDf + numeratorDf * f));
    },
    normalTwoSided(z) {
      const size = Math.abs(z);
      return size > largestForErfc ? normalTail(size) : erfc(size * Math.SQRT1_2);
    },
    tTwoSided(t, df) {
      return Number.isNaN(t) ? NaN : incbet(df / 2, 0.5, df / (df + t * t));
    },
    hypergeometricUpperTail(hits, total, marked, drawn) {
      for (const [name, value, most] of [
        ["total", total, Infinity],
        ["marked", marked, total],
        ["drawn", drawn, total],
        ["hits", hits, Infinity],
      ] as const)
        if (!Number.isInteger(value) || value < 0 || value > most)
          throw new ScPoliError(
            "usage",
            `Hypergeometric distribution: ${name} is ${value}, expected a whole number from 0 to ${most}.`,
            { [name]: value },
          );
      const least = Math.max(0, marked + drawn - total);
      const most = Math.min(marked, drawn);
      if (hits <= least) return 1;
      if (hits > most) return 0;
      const probability = (k: number): number =>
        Math.exp(logChoose(marked, k) + logChoose(total - marked, drawn - k) - logChoose(total, drawn));
      /** P(X = k + 1) / P(X = k) */
      const ratio = (k: number): number =>
        ((marked - k) * (drawn - k)) / ((k + 1) * (total - marked - drawn + k + 1));
      // above the mode, sum the tail; below it, one minus the other tail, which is then the small one
      const isUpper = hits > ((marked + 1) * (drawn + 1)) / (total + 2);
      let sum = 0;
      let term = probability(isUpper ? hits : hits - 1);
      if (isUpper) for (let k = hits; k <= most && term > 1e-17 * sum; term *= ratio(k++)) sum += term;
      else for (let k = hits - 1; k >= least && term > 1e-17 * sum; term /= ratio(--k)) sum += term;
      return isUpper ? Math.min(1, sum) : Math.max(0, 1 - sum);
    },
  };
}
