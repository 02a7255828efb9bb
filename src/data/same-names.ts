// Recognises equivalent names: 1, 1.0 and "1"; TRUE and True; and names that differ only in case or spaces.

/** Canonical spelling of a number or boolean: "1" for "1.0", "True" for "TRUE". */
export function plainName(name: string): string {
  const integer = /^([+-]?\d+)\.0+$/.exec(name)?.[1];
  if (integer !== undefined) return integer === "-0" ? "0" : integer;
  if (/^true$/i.test(name)) return "True";
  return /^false$/i.test(name) ? "False" : name;
}

/**
 * Gives names the spelling of known ones if they are the same number or boolean: models of other programs and
 * of older versions have conditions such as "1.0".
 */
export function spelledAs(names: readonly string[], known: readonly string[]): string[] {
  const exact = new Set(known);
  const spelling = new Map(known.map((name) => [plainName(name), name]));
  return names.map((name) => (exact.has(name) ? name : (spelling.get(plainName(name)) ?? name)));
}

/** Two spellings that a reader would consider one name. */
export type NamePair = readonly [name: string, other: string];

/**
 * Removes differences that readers overlook: case, spaces, and the characters that R and file formats use
 * instead.
 */
function bare(name: string): string {
  return plainName(name.trim())
    .normalize("NFKC")
    .toLowerCase()
    .replace(/[\s_]+|(?<=\D)\.(?=\D)/g, "");
}

/** Names that are not known, but differ from a known one only in case or spaces. */
export function similarNames(names: readonly string[], known: readonly string[]): NamePair[] {
  const exact = new Set(known);
  const bareKnown = new Map([...known].reverse().map((name) => [bare(name), name]));
  return names.flatMap((name): NamePair[] => {
    const other = exact.has(name) ? undefined : bareKnown.get(bare(name));
    return other === undefined ? [] : [[name, other]];
  });
}

/** Names of a list that differ only in case or spaces, each with the first such name. */
export function similarAmong(names: readonly string[]): NamePair[] {
  const first = new Map<string, string>();
  return names.flatMap((name): NamePair[] => {
    const key = bare(name);
    const other = first.get(key);
    if (other === undefined) first.set(key, name);
    return other === undefined ? [] : [[name, other]];
  });
}

/** "'b cell' and 'B cell', 'T  cell' and 'T cell'" */
export function shownPairs(pairs: readonly NamePair[], most = 8): string {
  const shown = pairs.slice(0, most).map(([name, other]) => `'${name}' and '${other}'`);
  return pairs.length > most ? `${shown.join(", ")} and ${pairs.length - most} more pairs` : shown.join(", ");
}
