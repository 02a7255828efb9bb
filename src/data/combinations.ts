// Combinations of conditions: the columns of theta. Tuples of codes, never joined names, so that no two can
// be mistaken for each other.

/** Numbers the combinations of conditions in the order in which they are met. */
export class Combinations {
  readonly #columns = new Map<string, number>();
  readonly codes: (readonly number[])[] = [];

  /** @param known - combinations that have columns already */
  constructor(known: readonly (readonly number[])[] = []) {
    known.forEach((codes) => this.column(codes));
  }

  /** Column of a combination, a new one where it is not known. */
  column(codes: readonly number[]): number {
    const key = codes.join(",");
    let column = this.#columns.get(key);
    if (column === undefined) {
      column = this.codes.push([...codes]) - 1;
      this.#columns.set(key, column);
    }
    return column;
  }

  /** Column of a combination, -1 where it is not known. */
  find(codes: readonly number[]): number {
    return this.#columns.get(codes.join(",")) ?? -1;
  }

  /** Column of each cell. @param conditions - per key (N) codes */
  columns(conditions: readonly Int32Array[]): Int32Array {
    return Int32Array.from(conditions[0]!, (_, cell) => this.column(conditions.map((codes) => codes[cell]!)));
  }
}
