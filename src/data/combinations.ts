// Combinations of conditions: the columns of theta. They are tuples of codes, not joined names, which could
// collide.

/** Numbers the combinations of conditions in order of first occurrence. */
export class Combinations {
  readonly #columns = new Map<string, number>();
  readonly codes: (readonly number[])[] = [];

  /** @param known - combinations that already have columns */
  constructor(known: readonly (readonly number[])[] = []) {
    known.forEach((codes) => this.column(codes));
  }

  /** Column of a combination; adds a column for a new one. */
  column(codes: readonly number[]): number {
    const key = codes.join(",");
    let column = this.#columns.get(key);
    if (column === undefined) {
      column = this.codes.push([...codes]) - 1;
      this.#columns.set(key, column);
    }
    return column;
  }

  /** Column of a combination; -1 if it is unknown. */
  find(codes: readonly number[]): number {
    return this.#columns.get(codes.join(",")) ?? -1;
  }

  /** Column of each cell. @param conditions - (N) codes for each key */
  columns(conditions: readonly Int32Array[]): Int32Array {
    return Int32Array.from(conditions[0]!, (_, cell) => this.column(conditions.map((codes) => codes[cell]!)));
  }
}
