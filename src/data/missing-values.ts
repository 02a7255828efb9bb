// Spellings of missing values. The only such list of the project: columns of obs, metadata tables and
// everything else that holds names use it.

/**
 * Spellings of missing values, in lower case and trimmed: pandas and NumPy (None, <NA>, NaN, NaT), R (NA),
 * SQL and JSON (null), spreadsheets (#N/A), and manual entries.
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

/** Further spellings for cells without a cell type. */
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
 * Whether a string means a missing value, ignoring case and surrounding spaces. Lower-case "none" is a value
 * (commonly "no treatment"), while "None" is written by programs.
 */
export function isMissing(text: string): boolean {
  const trimmed = text.trim();
  return trimmed !== "none" && missingTexts.has(trimmed.toLowerCase());
}

/**
 * Whether a name in a column of cell types means "no label": a missing value, or "unknown", "unassigned" and
 * the like, in any case.
 * @param more - further names given by the user, matched exactly
 */
export function isUnlabeled(name: string | null, more: readonly string[] = []): boolean {
  return (
    name === null || isMissing(name) || unlabeledTexts.has(name.trim().toLowerCase()) || more.includes(name)
  );
}

/** Spellings of missing values with their number of cells; null for an absent value. */
export type MissingCells = ReadonlyMap<string | null, number>;

/** Spellings of missing values, most frequent first: "'None', '<NA>', empty". */
export function writtenAs(missing: MissingCells): string {
  const isEmpty = (text: string | null): boolean => text === null || text.trim() === "";
  const texts = [...missing]
    .sort(([, a], [, b]) => b - a)
    .flatMap(([text]) => (isEmpty(text) ? [] : [`'${text}'`]));
  const shown = [...texts, ...([...missing.keys()].some(isEmpty) ? ["empty"] : [])];
  return shown.length > 6 ? `${shown.slice(0, 6).join(", ")}, ...` : shown.join(", ");
}
