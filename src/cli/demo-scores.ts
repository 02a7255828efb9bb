// Compares the demo's predicted labels with the true ones.
import { percent, table } from "./text.js";

export interface CellScores {
  /** among cells of reference types: share with the right label */
  readonly accuracy: number;
  /** among cells of reference types: share flagged unknown */
  readonly known_flagged: number;
  readonly cell_types: readonly {
    readonly name: string;
    readonly cells: number;
    readonly is_known: boolean;
    readonly right: number;
    readonly unknown: number;
  }[];
}

/**
 * @param truth - (N) names
 * @param predicted - (N) names, all of them known to the reference
 * @param unknown - (N) 1 where flagged
 */
export function scoreCells(
  truth: readonly string[],
  predicted: readonly string[],
  unknown: Uint8Array,
): CellScores {
  const known = new Set(predicted);
  const cellTypes = [...new Set(truth)].sort().map((name) => {
    const cells = truth.flatMap((type, cell) => (type === name ? [cell] : []));
    return {
      name,
      cells: cells.length,
      is_known: known.has(name),
      right: cells.filter((cell) => predicted[cell] === name).length,
      unknown: cells.filter((cell) => unknown[cell] === 1).length,
    };
  });
  const ofKnown = cellTypes.filter(({ is_known: isKnown }) => isKnown);
  const sum = (key: "cells" | "right" | "unknown"): number =>
    ofKnown.reduce((total, cellType) => total + cellType[key], 0);
  return {
    accuracy: sum("right") / sum("cells"),
    known_flagged: sum("unknown") / sum("cells"),
    cell_types: cellTypes,
  };
}

export function scoreText({ accuracy, known_flagged: flagged, cell_types: cellTypes }: CellScores): string {
  const rows = cellTypes.map(({ name, cells, is_known: isKnown, right, unknown }) => [
    name,
    cells,
    isKnown ? percent(right / cells) : "not in the reference",
    unknown,
  ]);
  return (
    `${table(rows, ["cell type", "cells", "label right", "unknown"])}\n\n` +
    `  Of the known types, ${percent(accuracy)} of the cells have the right label and ${percent(flagged)} ` +
    "are flagged unknown."
  );
}
