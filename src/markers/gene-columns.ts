// Transposes sparse expression from cells to genes: for a range of genes, the nonzero values with the group
// of each cell. Memory is bounded; genes that do not fit are left to another pass over the file.
import type { ExpressionBlock } from "../data/expression-blocks.js";

/** Entries of one gene, by ascending value. */
export interface SortedEntries {
  readonly length: number;
  /** ascending; equal values have equal keys, negative values come first */
  readonly keys: Uint32Array;
  /** low 32 bits of float64 values; null if values are float32 */
  readonly lowKeys: Uint32Array | null;
  readonly groups: Uint16Array;
  /** entries below zero */
  readonly negative: number;
}

const entriesPerChunk = 64;

/** Bytes of an entry: key, group, and the share of a chunk's link. */
export function bytesPerEntry(isDouble: boolean): number {
  return (isDouble ? 10 : 6) + 4 / entriesPerChunk;
}

/**
 * Chunks of entries, linked per gene. Values are kept as unsigned keys in the order of the numbers: the bits
 * of a float, with the sign bit set for positive values and all bits flipped for negative ones.
 */
export class GeneColumns {
  private readonly keys: Uint32Array;
  private readonly lowKeys: Uint32Array | null;
  private readonly groups: Uint16Array;
  /** next chunk of the same gene, or next free chunk */
  private readonly next: Int32Array;
  private readonly first: Int32Array;
  /** place of a gene's next entry; at the start of a chunk where it has none to be filled */
  private readonly place: Int32Array;
  private readonly lengths: Int32Array;
  private used = 0;
  private free = -1;
  private limit: number;
  private readonly scratch = new Scratch();

  /**
   * @param genes - G of the matrix
   * @param start - first gene of the range
   * @param capacity - entries
   * @param isDouble - whether values are float64
   */
  constructor(
    genes: number,
    readonly start: number,
    capacity: number,
    private readonly isDouble: boolean,
  ) {
    const chunks = Math.ceil(capacity / entriesPerChunk) + 1;
    const entries = chunks * entriesPerChunk;
    this.keys = new Uint32Array(entries);
    this.lowKeys = isDouble ? new Uint32Array(entries) : null;
    this.groups = new Uint16Array(entries);
    this.next = new Int32Array(chunks).fill(-1);
    this.limit = genes;
    this.first = new Int32Array(genes).fill(-1);
    this.place = new Int32Array(genes);
    this.lengths = new Int32Array(genes);
  }

  /** End of the range of genes that fit. */
  get end(): number {
    return this.limit;
  }

  /** @param groupOf - group of each cell of the file; -1 leaves a cell out */
  add(block: ExpressionBlock, groupOf: Int32Array): void {
    const { start, rows, indptr, indices, values } = block;
    const { keys, lowKeys, groups, place, lengths } = this;
    const number = new (this.isDouble ? Float64Array : Float32Array)(1);
    const bits = new Uint32Array(number.buffer);
    const high = this.isDouble ? 1 : 0;
    for (let row = 0; row < rows; row++) {
      const group = groupOf[start + row]!;
      if (group < 0) continue;
      for (let k = indptr[row]!; k < indptr[row + 1]!; k++) {
        const gene = indices[k]!;
        if (gene < this.start || gene >= this.limit) continue;
        let at = place[gene]!;
        if (at % entriesPerChunk === 0) {
          at = this.chunkFor(gene);
          if (at < 0) continue;
        }
        number[0] = values[k]!;
        const word = bits[high]!;
        const isNegative = word >>> 31 === 1;
        keys[at] = isNegative ? ~word : word | 0x80000000;
        if (lowKeys) lowKeys[at] = isNegative ? ~bits[0]! : bits[0]!;
        groups[at] = group;
        place[gene] = at + 1;
        lengths[gene]!++;
      }
    }
  }

  /** The entries of a gene; valid until the next call. */
  sorted(gene: number): SortedEntries {
    const length = this.lengths[gene]!;
    const { keys, lowKeys, groups, scratch } = this;
    scratch.reserve(length, this.isDouble);
    let filled = 0;
    for (let chunk = this.first[gene]!; filled < length; chunk = this.next[chunk]!) {
      const from = chunk * entriesPerChunk;
      const to = from + Math.min(entriesPerChunk, length - filled);
      scratch.keys.set(keys.subarray(from, to), filled);
      if (lowKeys) scratch.lowKeys.set(lowKeys.subarray(from, to), filled);
      scratch.groups.set(groups.subarray(from, to), filled);
      filled += to - from;
    }
    return scratch.sort(length, this.isDouble);
  }

  /** Place of a new chunk's first entry; -1 if the gene no longer fits. */
  private chunkFor(gene: number): number {
    while (this.free < 0 && this.used === this.next.length) {
      this.giveUp();
      if (gene >= this.limit) return -1;
    }
    const chunk = this.free >= 0 ? this.free : this.used++;
    if (chunk === this.free) this.free = this.next[chunk]!;
    this.next[chunk] = -1;
    const length = this.lengths[gene]!;
    if (length === 0) this.first[gene] = chunk;
    else this.next[((this.place[gene]! - 1) / entriesPerChunk) | 0] = chunk;
    return chunk * entriesPerChunk;
  }

  /** Frees the chunks of the last genes, an eighth of the range or more. */
  private giveUp(): void {
    const limit = Math.max(this.start + 1, this.limit - Math.max(1, (this.limit - this.start) >> 3));
    if (limit === this.limit)
      throw new RangeError("could not allocate memory: the values of one gene do not fit in --memory");
    for (let gene = limit; gene < this.limit; gene++) {
      for (let chunk = this.first[gene]!; chunk >= 0;) {
        const after = this.next[chunk]!;
        this.next[chunk] = this.free;
        this.free = chunk;
        chunk = after;
      }
    }
    this.limit = limit;
  }
}

const bitsPerDigit = 11;
const digits = 1 << bitsPerDigit;

/** One gene's entries in contiguous arrays, sorted by a stable radix sort in linear time. */
class Scratch {
  keys = new Uint32Array(0);
  lowKeys = new Uint32Array(0);
  groups = new Uint16Array(0);
  private otherKeys = new Uint32Array(0);
  private otherLowKeys = new Uint32Array(0);
  private otherGroups = new Uint16Array(0);
  private readonly counts = new Int32Array(digits);

  reserve(length: number, isDouble: boolean): void {
    if (this.keys.length >= length) return;
    const size = Math.ceil(1.5 * length);
    [this.keys, this.otherKeys] = [new Uint32Array(size), new Uint32Array(size)];
    [this.groups, this.otherGroups] = [new Uint16Array(size), new Uint16Array(size)];
    if (isDouble) [this.lowKeys, this.otherLowKeys] = [new Uint32Array(size), new Uint32Array(size)];
  }

  sort(length: number, isDouble: boolean): SortedEntries {
    if (isDouble) for (let shift = 0; shift < 32; shift += bitsPerDigit) this.pass(length, shift, true, true);
    for (let shift = 0; shift < 32; shift += bitsPerDigit) this.pass(length, shift, false, isDouble);
    let negative = 0;
    while (negative < length && this.keys[negative]! < 0x80000000) negative++;
    return {
      length,
      keys: this.keys,
      lowKeys: isDouble ? this.lowKeys : null,
      groups: this.groups,
      negative,
    };
  }

  /** Sorts by one digit of the keys; skipped if all are equal. */
  private pass(length: number, shift: number, isLow: boolean, isDouble: boolean): void {
    const { keys, lowKeys, groups, otherKeys, otherLowKeys, otherGroups, counts } = this;
    const digitsOf = isLow ? lowKeys : keys;
    counts.fill(0);
    for (let i = 0; i < length; i++) counts[(digitsOf[i]! >>> shift) & (digits - 1)]!++;
    if (length === 0 || counts[(digitsOf[0]! >>> shift) & (digits - 1)] === length) return;
    let sum = 0;
    for (let digit = 0; digit < digits; digit++) {
      const count = counts[digit]!;
      counts[digit] = sum;
      sum += count;
    }
    for (let i = 0; i < length; i++) {
      const to = counts[(digitsOf[i]! >>> shift) & (digits - 1)]!++;
      otherKeys[to] = keys[i]!;
      otherGroups[to] = groups[i]!;
      if (isDouble) otherLowKeys[to] = lowKeys[i]!;
    }
    [this.keys, this.otherKeys] = [otherKeys, keys];
    [this.groups, this.otherGroups] = [otherGroups, groups];
    if (isDouble) [this.lowKeys, this.otherLowKeys] = [otherLowKeys, lowKeys];
  }
}
