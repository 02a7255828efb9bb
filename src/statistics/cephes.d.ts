// Declarations of the functions used of the package cephes, whose package.json does not point to its own.
declare module "cephes" {
  /** resolves when the functions can be called */
  export const compiled: Promise<void>;
  /** complementary error function */
  export function erfc(x: number): number;
  /** regularised incomplete beta function */
  export function incbet(a: number, b: number, x: number): number;
  /** logarithm of the gamma function */
  export function lgam(x: number): number;
  /** digamma function */
  export function psi(x: number): number;
  /** Hurwitz's zeta function: sum over k >= 0 of (k + q)^-x */
  export function zeta(x: number, q: number): number;
}
