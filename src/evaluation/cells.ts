// The scored cells: positions, cell types and conditions as codes, and counts of them.

/** Cells with a cell type and a condition each. */
export interface LabelledCells {
  /** (N, D) finite */
  readonly points: Float32Array;
  readonly D: number;
  /** (N) rows of `typeNames`, all of which occur */
  readonly types: Int32Array;
  readonly typeNames: readonly string[];
  /** (N) rows of `conditionNames`, all of which occur */
  readonly conditions: Int32Array;
  readonly conditionNames: readonly string[];
}

/** Number of cells with each code. */
export function countCodes(codes: Int32Array, names: number): Int32Array {
  const counts = new Int32Array(names);
  for (const code of codes) counts[code]!++;
  return counts;
}

/** (types, conditions) numbers of cells. */
export function cellsByCondition({
  types,
  typeNames,
  conditions,
  conditionNames,
}: Omit<LabelledCells, "points" | "D">): Int32Array {
  const counts = new Int32Array(typeNames.length * conditionNames.length);
  types.forEach((type, cell) => counts[type * conditionNames.length + conditions[cell]!]!++);
  return counts;
}

/** A subset of the cells. Names do not change, so some may not occur. */
export function subsetOf(cells: LabelledCells, rows: Int32Array): LabelledCells {
  const { points, D, types, conditions } = cells;
  const subset = new Float32Array(rows.length * D);
  rows.forEach((row, place) => subset.set(points.subarray(row * D, (row + 1) * D), place * D));
  return {
    ...cells,
    points: subset,
    types: rows.map((row) => types[row]!),
    conditions: rows.map((row) => conditions[row]!),
  };
}

/**
 * Types that occur in the fewest conditions. If that is every condition, none is isolated for scib's F1
 * score; the silhouette of scib-metrics uses all of them. Source: get_isolated_labels in scib 1.1.7,
 * _get_isolated_labels in scib-metrics 0.5.10.
 */
export function isolatedTypes(cells: Omit<LabelledCells, "points" | "D">): {
  readonly types: number[];
  readonly conditions: number;
} {
  const C = cells.conditionNames.length;
  const counts = cellsByCondition(cells);
  const conditionCounts = cells.typeNames.map((_, type) =>
    counts.subarray(type * C, (type + 1) * C).reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0),
  );
  const conditions = Math.min(...conditionCounts.filter((count) => count > 0));
  return {
    types: [...conditionCounts.keys()].filter((type) => conditionCounts[type] === conditions),
    conditions,
  };
}
