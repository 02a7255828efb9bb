// Seeded random numbers. Noise and dropout masks are hashes of (seed, stream, row, column), so that they do
// not depend on the engine or the number of threads. Shuffles and initial values come from a small generator.

function mix(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d);
  h = Math.imul(h ^ (h >>> 15), 0x846ca68b);
  return (h ^ (h >>> 16)) >>> 0;
}

/** 32 random bits for (stream, row, column) and a seed; the kernels compute the same bits. */
export function hash32(seed: number, stream: number, row: number, column: number): number {
  return mix(
    seed ^
      mix(Math.imul(stream, 0x9e3779b9) ^ mix(Math.imul(row, 0x85ebca6b) ^ mix((column + 0x165667b1) | 0))),
  );
}

/**
 * Hash streams of the noise. Dropout masks use streams layer + 1, so the first 0x4e00 are reserved for them.
 */
const normalStreams = [0x4e01, 0x4e02] as const;

/** Standard normal value for (row, column), by the Box-Muller transform. */
export function hashNormal(seed: number, row: number, column: number): number {
  const u1 = ((hash32(seed, normalStreams[0], row, column) >>> 8) + 1) / 2 ** 24;
  const u2 = (hash32(seed, normalStreams[1], row, column) >>> 8) / 2 ** 24;
  return Math.sqrt(-2 * Math.log(u1)) * Math.cos(2 * Math.PI * u2);
}

/** Whether dropout keeps a unit. */
export function isKept(seed: number, layer: number, row: number, column: number, rate: number): boolean {
  return (hash32(seed, layer + 1, row, column) >>> 8) / 2 ** 24 >= rate;
}

/** A seeded generator. Generators with different `purpose` are independent. */
export class Random {
  readonly #seed: number;
  #counter = 0;

  constructor(seed: number, purpose: string) {
    let h = 0;
    for (let i = 0; i < purpose.length; i++) h = mix(h ^ purpose.charCodeAt(i));
    this.#seed = mix(seed ^ h);
  }

  /** 32 random bits */
  bits(): number {
    return hash32(this.#seed, 0x5eed, this.#counter++, 0);
  }

  /** in [0, 1), 53 bits */
  uniform(): number {
    return ((this.bits() >>> 5) * 2 ** 26 + (this.bits() >>> 6)) / 2 ** 53;
  }

  /** whole number in [0, n) */
  below(n: number): number {
    return Math.floor(this.uniform() * n);
  }

  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }

  /** Shuffles in place (Fisher-Yates). */
  shuffle<T extends Int32Array | Uint32Array | unknown[]>(values: T): T {
    for (let i = values.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const kept = values[i]!;
      values[i] = values[j]!;
      values[j] = kept;
    }
    return values;
  }

  /**
   * k distinct whole numbers in [0, n), ascending; all n if k >= n. Uses Floyd's algorithm: k draws for any
   * n.
   */
  sample(n: number, k: number): Int32Array {
    if (k >= n) return Int32Array.from({ length: n }, (_, i) => i);
    const sample = new Set<number>();
    for (let last = n - k; last < n; last++) {
      const drawn = this.below(last + 1);
      sample.add(sample.has(drawn) ? last : drawn);
    }
    return Int32Array.from(sample).sort();
  }
}
