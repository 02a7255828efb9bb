// Combinations of conditions, which Python joins to one name ("donor1_10x"), taken apart, and joined again.
import type { StoredTensor } from "../model/stored-model.js";
import { ScPoliError } from "../contract/errors.js";

/** Steps of the search for all names together; only names that are made to confuse need more. */
const mostSteps = 1_000_000;

/**
 * Codes of the conditions that each joined name can stand for: usually one tuple, several where names contain
 * "_" in unlucky ways.
 * @param conditions - per key their names
 * @throws ScPoliError "model" where a name is made of no known conditions, or stands for too many
 */
export function splitCombinations(
  joined: readonly string[],
  conditions: readonly (readonly string[])[],
  where: string,
): number[][][] {
  const codeOf = conditions.map((names) => new Map(names.map((name, code) => [name, code])));
  let steps = 0;
  const split = (text: string, key: number): number[][] => {
    if (++steps > mostSteps)
      throw new ScPoliError(
        "model",
        `${where}: the names of the combinations of conditions can be read in too many ways.`,
        { path: where },
      );
    if (key === conditions.length - 1) {
      const code = codeOf[key]!.get(text);
      return code === undefined ? [] : [[code]];
    }
    const found: number[][] = [];
    for (let at = text.indexOf("_"); at >= 0; at = text.indexOf("_", at + 1)) {
      const code = codeOf[key]!.get(text.slice(0, at));
      if (code !== undefined)
        for (const rest of split(text.slice(at + 1), key + 1)) found.push([code, ...rest]);
    }
    return found;
  };
  return joined.map((name) => {
    const codes = split(name, 0);
    if (codes.length === 0)
      throw new ScPoliError(
        "model",
        `${where}: the combination '${name.slice(0, 60)}' is not made of known conditions.`,
        { path: where, combination: name },
      );
    return codes;
  });
}

export function joinedName(codes: readonly number[], conditions: readonly (readonly string[])[]): string {
  return codes.map((code, key) => conditions[key]![code]!).join("_");
}

/** Theta, (G, C), with these of its columns in this order. */
export function withColumns({ shape, data }: StoredTensor, columns: readonly number[]): StoredTensor {
  const [G, C] = [shape[0]!, shape[1]!];
  const result = new Float32Array(G * columns.length);
  for (let g = 0; g < G; g++)
    columns.forEach((column, c) => (result[g * columns.length + c] = data[g * C + column]!));
  return { shape: [G, columns.length], data: result };
}
