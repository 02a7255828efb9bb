// JAX's random numbers, used by scib-metrics to initialise k-means: the same seed gives the same draws.
// Source: Salmon et al. 2011 (Threefry 2x32, 20 rounds); jax._src.random of JAX 0.10, with
// jax_threefry_partitionable at its default.

/** A key: two 32-bit words. */
export type Key = readonly [number, number];

const rotations = [
  [13, 15, 26, 6],
  [17, 29, 16, 24],
] as const;

function threefry([k0, k1]: Key, first: number, second: number): Key {
  const keys = [k0, k1, k0 ^ k1 ^ 0x1bd11bda];
  let [a, b] = [(first + k0) | 0, (second + k1) | 0];
  for (let group = 0; group < 5; group++) {
    for (const turn of rotations[group % 2]!) {
      a = (a + b) | 0;
      b = ((b << turn) | (b >>> (32 - turn))) ^ a;
    }
    a = (a + keys[(group + 1) % 3]!) | 0;
    b = (b + keys[(group + 2) % 3]! + group + 1) | 0;
  }
  return [a, b];
}

/** jax.random.PRNGKey. @param seed - whole number in 0..2^53 */
export function keyOf(seed: number): Key {
  return [Math.floor(seed / 2 ** 32) | 0, seed | 0];
}

/** jax.random.split */
export function split(key: Key, count: number): Key[] {
  return Array.from({ length: count }, (_, i) => threefry(key, 0, i));
}

/** 32 random bits for an index. */
function bitsAt(key: Key, place: number): number {
  const [a, b] = threefry(key, 0, place);
  return (a ^ b) >>> 0;
}

/** First element of jax.random.permutation(key, n): the draw of jax.random.choice without weights. */
export function firstOfPermutation(key: Key, n: number): number {
  const rounds = Math.ceil((3 * Math.log(Math.max(1, n))) / Math.log(0xffffffff));
  let order = Int32Array.from({ length: n }, (_, i) => i);
  for (let round = 0; round < rounds; round++) {
    const [next, sortKey] = split(key, 2) as [Key, Key];
    key = next;
    const keys = Float64Array.from({ length: n }, (_, place) => bitsAt(sortKey, place));
    const places = Int32Array.from({ length: n }, (_, place) => place).sort(
      (a, b) => keys[a]! - keys[b]! || a - b,
    );
    order = places.map((place) => order[place]!);
  }
  return order[0]!;
}

const least = 2 ** -126;

/**
 * jax.random.choice(key, n, (count,), replace=False, p=weights / total): the largest values of log p plus
 * Gumbel noise.
 */
export function choose(key: Key, weights: Float32Array, total: number, count: number): number[] {
  const [best, scores]: [number[], number[]] = [[], []];
  for (let place = 0; place < weights.length; place++) {
    if (weights[place] === 0) continue;
    const uniform = Math.max(least, (bitsAt(key, place) >>> 9) / 2 ** 23);
    const score = Math.fround(
      Math.fround(-Math.log(Math.fround(-Math.log(uniform)))) +
        Math.fround(Math.log(Math.fround(weights[place]! / total))),
    );
    let rank = best.length;
    while (rank > 0 && scores[rank - 1]! < score) rank--;
    if (rank >= count) continue;
    best.splice(rank, 0, place);
    scores.splice(rank, 0, score);
    best.length = scores.length = Math.min(count, best.length);
  }
  return best;
}
