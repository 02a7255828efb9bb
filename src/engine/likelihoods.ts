// Likelihoods of one cell in float64 with their gradients, written like the formulas, for the reference
// engine. x (G) counts; mu, rate (G) means; theta (G) inverse dispersions.
import { digamma, lgamma } from "./gamma.js";

const likelihoodEps = 1e-8;

/** Negative log-likelihood of one cell, summed over genes. Source: nb() in scArches' losses. */
export function nbLoss(x: Float64Array, mu: Float64Array, theta: Float64Array): number {
  const eps = likelihoodEps;
  let loss = 0;
  x.forEach((count, g) => {
    const [m, t] = [mu[g]!, theta[g]!];
    const logSum = Math.log(t + m + eps);
    loss -= t * (Math.log(t + eps) - logSum) + count * (Math.log(m + eps) - logSum);
    if (count > 0) loss -= lgamma(count + t) - lgamma(t) - lgamma(count + 1);
  });
  return loss;
}

/** Gradients of `nbLoss`: with respect to mu, and to theta's logarithm. */
export function nbGradient(
  x: Float64Array,
  mu: Float64Array,
  theta: Float64Array,
): { dmu: Float64Array; dtheta: Float64Array } {
  const eps = likelihoodEps;
  const dmu = new Float64Array(x.length);
  const dtheta = new Float64Array(x.length);
  x.forEach((count, g) => {
    const [m, t] = [mu[g]!, theta[g]!];
    const sum = t + m + eps;
    dmu[g] = (t + count) / sum - count / (m + eps);
    let d = Math.log(t + eps) - Math.log(sum) + t / (t + eps) - (t + count) / sum;
    if (count > 0) d += digamma(count + t) - digamma(t);
    dtheta[g] = -t * d;
  });
  return { dmu, dtheta };
}

/** ln(1 + e^x) */
function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}
function sigmoid(x: number): number {
  return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
}

/** `nbLoss` of one gene with count 0: t ln((t + mu) / t). */
function nbLossOfZero(mu: number, theta: number): number {
  return theta * Math.log((theta + mu + likelihoodEps) / (theta + likelihoodEps));
}

/**
 * Negative log-likelihood of one cell with excess zeros of probability sigmoid(d) (zero inflation). Source:
 * zinb() in scArches' losses.
 * @param dropout - d
 */
export function zinbLoss(
  x: Float64Array,
  mu: Float64Array,
  theta: Float64Array,
  dropout: Float64Array,
): number {
  let loss = nbLoss(x, mu, theta);
  dropout.forEach((d, g) => {
    const zero = nbLossOfZero(mu[g]!, theta[g]!);
    // a count: softplus(d) more than nb; a zero: softplus(-d) - softplus(-d - zero), instead of nb's
    loss += x[g]! > 0 ? softplus(d) : softplus(-d) - softplus(-d - zero) - zero;
  });
  return loss;
}

/**
 * Gradients of `zinbLoss`: those of nb (for a zero, times the probability that it is not an excess zero), and
 * with respect to d.
 */
export function zinbGradient(
  x: Float64Array,
  mu: Float64Array,
  theta: Float64Array,
  dropout: Float64Array,
): { dmu: Float64Array; dtheta: Float64Array; ddropout: Float64Array } {
  const { dmu, dtheta } = nbGradient(x, mu, theta);
  const ddropout = dropout.map((d, g) => {
    if (x[g]! > 0) return sigmoid(d);
    const ofNb = sigmoid(-d - nbLossOfZero(mu[g]!, theta[g]!));
    dmu[g]! *= ofNb;
    dtheta[g]! *= ofNb;
    return ofNb - sigmoid(-d);
  });
  return { dmu, dtheta, ddropout };
}

/** Negative log-likelihood of one cell. Source: torch's Poisson, as in poisson() of scArches' losses. */
export function poissonLoss(x: Float64Array, rate: Float64Array): number {
  let loss = 0;
  x.forEach((count, g) => {
    loss += rate[g]! - (count > 0 ? count * Math.log(rate[g]!) - lgamma(count + 1) : 0);
  });
  return loss;
}
