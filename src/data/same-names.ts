// Names that are the same to a person: 1, 1.0 and "1"; TRUE and True; and those that differ in case or blanks
// alone.

/** A number or truth value as everything here writes it: "1.0" is "1", "TRUE" is "True". */
export function plainName(name: string): string {
  const whole = /^([+-]?\d+)\.0+$/.exec(name)?.[1];
  if (whole !== undefined) return whole === "-0" ? "0" : whole;
  if (/^true$/i.test(name)) return "True";
  return /^false$/i.test(name) ? "False" : name;
}

/**
 * Names in the spelling of others where they are the same number or truth value: models of other programs
 * and of older versions have conditions such as "1.0".
 */
export function spelledAs(names: readonly string[], known: readonly string[]): string[] {
  const exact = new Set(known);
  const spelling = new Map(known.map((name) => [plainName(name), name]));
  return names.map((name) => (exact.has(name) ? name : (spelling.get(plainName(name)) ?? name)));
}

/** Two spellings of what is one name to a person. */
export type NamePair = readonly [name: string, other: string];

/** Without what a person does not see: case, blanks, and what R and file formats write in their place. */
function bare(name: string): string {
  return plainName(name.trim())
    .normalize("NFKC")
    .toLowerCase()
    .replace(/[\s_]+|(?<=\D)\.(?=\D)/g, "");
}

/** Names that are none of the known ones, but differ from one of them in case or blanks alone. */
export function similarNames(names: readonly string[], known: readonly string[]): NamePair[] {
  const exact = new Set(known);
  const bareKnown = new Map([...known].reverse().map((name) => [bare(name), name]));
  return names.flatMap((name): NamePair[] => {
    const other = exact.has(name) ? undefined : bareKnown.get(bare(name));
    return other === undefined ? [] : [[name, other]];
  });
}

/** Names of one list that differ in case or blanks alone: each of them with the first such one. */
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
