// Over-represented gene sets as text.
import type { Rows } from "../anndata/tables.js";
import { table } from "./text.js";

const significanceLevel = 0.05;
/** Number of gene sets shown; files hold all. */
const shownSets = 12;

/**
 * A table of the sets with a corrected P below 0.05, empty if there are none.
 * @param title - of the first column
 * @param keys - columns that say whose genes were tested
 */
export function geneSetsText(rows: Rows, title: string, keys: readonly string[]): string[] {
  const enriched = rows.filter((row) => (row.p_adjusted as number) < significanceLevel).slice(0, shownSets);
  if (enriched.length === 0) return [];
  return [
    "",
    table(
      enriched.map((row) => [
        keys.map((key) => String(row[key])).join(", "),
        String(row.set),
        `${String(row.overlap)} of ${String(row.size)}`,
        (row.p_adjusted as number).toPrecision(2),
      ]),
      [title, "set", "overlap", "P"],
    ),
  ];
}
