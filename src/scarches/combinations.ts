// Joins names of conditions to combinations as scArches does ("donor1_10x"), and splits joined names.
import type { StoredTensor } from "../model/stored-model.js";
import { ScPoliError } from "../contract/errors.js";

/** Limit on the steps of the search for all names; only maliciously chosen names need more. */
const mostSteps = 1_000_000;

/**
 * Codes of the conditions that each joined name can stand for: usually one tuple, but several if names with
 * "_" are ambiguous.
 * @param conditions - names per key
 * @throws ScPoliError "model" if a name does not consist of known conditions, or is too ambiguous
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
    const readings: number[][] = [];
    for (let at = text.indexOf("_"); at >= 0; at = text.indexOf("_", at + 1)) {
      const code = codeOf[key]!.get(text.slice(0, at));
      if (code !== undefined)
        for (const rest of split(text.slice(at + 1), key + 1)) readings.push([code, ...rest]);
    }
    return readings;
  };
  return joined.map((name) => {
    const codes = split(name, 0);
    if (codes.length === 0)
      throw new ScPoliError(
        "model",
        `${where}: the combination '${name.slice(0, 60)}' does not consist of known conditions.`,
        { path: where, combination: name },
      );
    return codes;
  });
}

export function joinedName(codes: readonly number[], conditions: readonly (readonly string[])[]): string {
  return codes.map((code, key) => conditions[key]![code]!).join("_");
}

/** Selects columns of theta, (G, C). */
export function withColumns({ shape, data }: StoredTensor, columns: readonly number[]): StoredTensor {
  const [G, C] = [shape[0]!, shape[1]!];
  const result = new Float32Array(G * columns.length);
  for (let g = 0; g < G; g++)
    columns.forEach((column, c) => (result[g * columns.length + c] = data[g * C + column]!));
  return { shape: [G, columns.length], data: result };
}
