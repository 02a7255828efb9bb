// "Did you mean ...": suggests names similar to one that does not exist.
import { ScPoliError } from "./errors.js";

/**
 * Up to `count` names, nearest first: those that contain the name or are contained in it, then by edit
 * distance. Case is ignored.
 */
export function nearestNames(name: string, names: readonly string[], count = 3): string[] {
  const wanted = name.toLowerCase();
  return names
    .map((candidate) => ({ candidate, distance: distance(wanted, candidate.toLowerCase()) }))
    .filter(({ candidate, distance }) => distance <= Math.max(2, Math.max(name.length, candidate.length) / 2))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, count)
    .map(({ candidate }) => candidate);
}

/** The error for a name that does not exist. @param missing - what is missing, as a full sentence */
export function missingKey(
  missing: string,
  name: string,
  names: readonly string[],
  details: Readonly<Record<string, unknown>> = {},
): ScPoliError {
  const quoted = (list: readonly string[]) => list.map((item) => `"${item}"`).join(", ");
  const nearest = nearestNames(name, names);
  const advice =
    names.length === 0
      ? "There are none."
      : nearest.length > 0
        ? `Did you mean ${quoted(nearest)}?`
        : `There are ${quoted(names.slice(0, 10))}` +
          (names.length > 10 ? `, and ${names.length - 10} more.` : ".");
  return new ScPoliError("key", `${missing} ${advice}`, { ...details, key: name, nearest });
}

/** Levenshtein distance; 1 where one name contains the other. */
function distance(a: string, b: string): number {
  if (a === b) return 0;
  if (a.length > 2 && b.length > 2 && (a.includes(b) || b.includes(a))) return 1;
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}
