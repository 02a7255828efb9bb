// What a text says where a value is missing. The one list of the project: columns of obs, tables of metadata
// and everything else that holds names ask here.

/**
 * How programs write a missing value, in lower case and without blanks around: pandas and NumPy (None, <NA>,
 * NaN, NaT), R (NA), SQL and JSON (null), spreadsheets (#N/A), and people.
 */
const missingTexts = new Set([
  "",
  "none",
  "nan",
  "-nan",
  "nat",
  "<na>",
  "na",
  "n/a",
  "n.a.",
  "n.a",
  "#n/a",
  "#n/a n/a",
  "#na",
  "#null!",
  "null",
  "<null>",
  "nil",
  "pd.na",
  "np.nan",
  "numpy.nan",
  "na_character_",
  "na_integer_",
  "na_real_",
  "<none>",
  "<nan>",
  "1.#ind",
  "-1.#ind",
  "1.#qnan",
  "-1.#qnan",
  "-",
  "--",
  "---",
  ".",
  "?",
  "missing",
  "not available",
]);

/** What people write besides that where a cell has no cell type. */
const unlabeledTexts = new Set([
  "none",
  "unknown",
  "unlabeled",
  "unlabelled",
  "unassigned",
  "not assigned",
  "unannotated",
  "not annotated",
  "undefined",
]);

/**
 * Whether a text stands for a missing value, in any case and with blanks around. "none" in small letters is
 * what people call no treatment and the like: a value, while "None" is what programs write.
 */
export function isMissing(text: string): boolean {
  const trimmed = text.trim();
  return trimmed !== "none" && missingTexts.has(trimmed.toLowerCase());
}

/**
 * Whether a name in a column of cell types means "no label": a missing value, or "unknown", "unassigned" and
 * the like, in any case.
 * @param more - further names of the user, taken exactly
 */
export function isUnlabeled(name: string | null, more: readonly string[] = []): boolean {
  return (
    name === null || isMissing(name) || unlabeledTexts.has(name.trim().toLowerCase()) || more.includes(name)
  );
}

/** Texts of missing values and the number of their cells; null where nothing is written. */
export type MissingCells = ReadonlyMap<string | null, number>;

/** "'None', '<NA>', empty": how missing values are written, the most frequent first. */
export function writtenAs(missing: MissingCells): string {
  const isEmpty = (text: string | null): boolean => text === null || text.trim() === "";
  const texts = [...missing]
    .sort(([, a], [, b]) => b - a)
    .flatMap(([text]) => (isEmpty(text) ? [] : [`'${text}'`]));
  const shown = [...texts, ...([...missing.keys()].some(isEmpty) ? ["empty"] : [])];
  return shown.length > 6 ? `${shown.slice(0, 6).join(", ")}, ...` : shown.join(", ");
}
