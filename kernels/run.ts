// The record of one run of a program: the minibatch and its parameters, at a fixed address, read by every
// thread.
//
// The host writes it before each run; the order of the fields is repeated in src/engine/wasm-run.ts. Every
// field takes 4 bytes.

// @ts-ignore: decorator
@unmanaged
export class Run {
  // threads.ts
  plan: usize;
  threads: i32;
  /** incremented at each run; workers sleep on it */
  epoch: i32;
  /** number of threads at the barrier, and number of times it has opened */
  arrived: i32;
  opened: i32;
  /** 1: workers end */
  stopped: i32;
  /** 1 after a trap in some thread */
  failed: i32;
  /** iterations that a thread spins before it sleeps */
  spins: i32;
  /** per thread: start of its scratch memory */
  scratch: usize;

  // the minibatch
  rows: i32;
  indptr: usize;
  indices: usize;
  counts: usize;
  /** (rows) start of each row in the stored counts; -1: already filled by the host */
  sources: usize;
  /** counts of many cells, 16-bit genes and 8-bit counts */
  keptIndices: usize;
  keptCounts: usize;
  /** log1p of the counts, at the same positions */
  logCounts: usize;
  sizeFactors: usize;
  /** 1 / rows */
  share: f32;
  seed: u32;
  klWeight: f32;
  prototypeWeight: f32;
  crossEntropyWeight: f32;

  // Adam: learning rate / (1 - beta1^step), 1 / sqrt(1 - beta2^step)
  rate: f32;
  correction: f32;

  // theta: slots are the combinations present in this minibatch, segments are neighbouring cells of one
  // combination inside one block of rows
  slots: i32;
  /** (slots) combination of each slot */
  slotCombination: usize;
  /** (rows) slot of each cell */
  rowSlot: usize;
  /** (rows) segment that sums the cell's gradient of theta, -1 if the combination is frozen */
  rowSegment: usize;
  /** (segments, genes): theta's gradient, before the factor theta */
  segmentSums: usize;
  /** (C) first segment of each combination, -1 if none */
  firstSegment: usize;
  /** (segments) the next one of the same combination, -1 at the end */
  nextSegment: usize;
  /** (slots, genes) theta, and (slots, genes) 1 / (theta + eps) after it */
  theta: usize;
  inverseTheta: usize;
  /** (segments) slot of each segment */
  segmentSlot: usize;

  // prototypes
  /** (rows, levels) prototype of each label, -1 if there is none */
  labels: usize;
  /** (rows, levels) one over the number of cells with that label in the minibatch */
  labelShares: usize;
  /** (rows, levels) weight of each label in the cross-entropy */
  crossEntropyShares: usize;
  levels: i32;
  prototypes: usize;
  /** bytes from one prototype to the next */
  prototypeStride: usize;
  /** (levels) prototypes of each level, for the cross-entropy (cross-entropy.ts) */
  levelPrototypes: usize;

  // losses of each cell, float64
  reconstruction: usize;
  kl: usize;
  prototypeLoss: usize;
  crossEntropy: usize;
}

// @ts-ignore: decorator
@inline
export function run(): Run {
  return changetype<Run>(1024);
}

/**
 * Rows of a block: one thread takes a block through all operations of a region, reading the output layer's
 * weights once for all of its rows. The last blocks are smaller, which balances the load. Multiples of 4, the
 * rows of a matrix tile.
 */
export const blockRows = 16;
export const smallBlockRows = 8;
const rowsInSmallBlocks = 32;

function largeBlocks(rows: i32): i32 {
  return max(rows - rowsInSmallBlocks, 0) / blockRows;
}
export function blockCount(rows: i32): i32 {
  const large = largeBlocks(rows);
  return large + (rows - large * blockRows + smallBlockRows - 1) / smallBlockRows;
}
/** First row of a block; of the one after the last: at least `rows`. */
export function blockStart(rows: i32, index: i32): i32 {
  const large = min(index, largeBlocks(rows));
  return large * blockRows + (index - large) * smallBlockRows;
}

/** This thread's scratch memory; each thread has its own instance of the module, so its own globals. */
export let scratch: usize = 0;
export function setScratch(thread: i32): void {
  scratch = load<usize>(run().scratch + ((<usize>thread) << 2));
}
