// Condition values that the file does not provide: the user names the condition of all cells (10x files,
// files of one donor). Also reads the conditions of a query with the model's names.
import type { CategoricalColumn, DataFrame } from "../anndata/dataframe.js";
import { ScPoliError } from "../contract/errors.js";
import { factorize, readConditions, type Conditions } from "./labels.js";
import { shownPairs, similarNames, spelledAs } from "./same-names.js";
import type { EmbedOptions, Note } from "../contract/options.js";

/** One value for every cell. */
export function constantColumn(length: number, value: string): CategoricalColumn {
  return { kind: "categorical", length, codes: new Int32Array(length), categories: [value], ordered: false };
}

/**
 * Adds a constant column to obs for each condition given for the whole file.
 * @param values - name of the condition, by condition key
 * @throws ScPoliError "usage" for an empty name; "refused" if the file has a column of this name with other
 * values, unless `force`
 */
export async function withConditionValues(
  obs: DataFrame,
  values: Readonly<Record<string, string>> = {},
  { force }: { readonly force?: boolean } = {},
): Promise<DataFrame> {
  const entries = Object.entries(values);
  if (entries.length === 0) return obs;
  for (const [key, value] of entries) {
    if (value.trim() === "")
      throw new ScPoliError("usage", `The condition of '${key}' is empty; give the sample a name.`);
    if (force || !obs.columnNames.includes(key)) continue;
    const { names } = factorize(await obs.column(key));
    if (names.length !== 1 || names[0] !== value)
      throw new ScPoliError(
        "refused",
        `obs has a column '${key}' (${shown(names)}), but '${value}' is given as the condition of all ` +
          `cells. Omit --condition-value to use the column, or use --force to use '${value}'.`,
        { key, value },
      );
  }
  return {
    length: obs.length,
    columnNames: [...new Set([...obs.columnNames, ...Object.keys(values)])],
    index: () => obs.index(),
    column: async (name) =>
      values[name] === undefined ? obs.column(name) : constantColumn(obs.length, values[name]),
  };
}

/**
 * Reads the conditions of a file with the model's names: 1.0 becomes "1" if the model has "1". Warns about
 * new names that differ from a known one only in case or spaces.
 * @param known - the model's conditions for each of `keys`
 * @throws ScPoliError "key" as `readConditions`, "usage" for a key that the model does not have, or that is
 * given both a column and a value
 */
export async function readQueryConditions(
  obs: DataFrame,
  keys: readonly string[],
  known: readonly (readonly string[])[],
  options: Pick<EmbedOptions, "conditionKeys" | "conditionValues" | "force">,
  note: (note: Note) => void,
): Promise<Conditions[]> {
  const { conditionKeys = {}, conditionValues = {} } = options;
  const duplicate = Object.keys(conditionValues).find((key) => conditionKeys[key] !== undefined);
  if (duplicate !== undefined)
    throw new ScPoliError(
      "usage",
      `The condition '${duplicate}' is given both a column (${conditionKeys[duplicate]}) and a value ` +
        `(${conditionValues[duplicate]}); omit one of them.`,
      { key: duplicate },
    );
  const full = await withConditionValues(obs, conditionValues, options);
  const conditions: Conditions[] = [];
  for (const [k, key] of keys.entries()) {
    const isGiven = conditionValues[key] !== undefined;
    const factor = await readConditions(full, isGiven ? key : (conditionKeys[key] ?? key), {
      advice: "fill the column",
      note,
    });
    const names = spelledAs(factor.names, known[k] ?? []);
    const pairs = similarNames(names, known[k] ?? []);
    if (pairs.length > 0)
      note({
        level: "warning",
        message:
          `Conditions of '${key}' that differ from the model's only in case or spaces are treated as ` +
          `new: ${shownPairs(pairs)}. If they are the same, spell them as in the model.`,
      });
    conditions.push({ key, codes: factor.codes, names });
  }
  return conditions;
}

/** @throws ScPoliError "usage" for a value of a key that is not in `keys` */
export function checkValueKeys(
  values: Readonly<Record<string, string>> | undefined,
  keys: readonly string[],
): void {
  const unknownKey = Object.keys(values ?? {}).find((key) => !keys.includes(key));
  if (unknownKey !== undefined)
    throw new ScPoliError(
      "usage",
      `There is no condition key '${unknownKey}' for the given value; ` +
        `the keys are ${keys.map((key) => `'${key}'`).join(", ")}.`,
      { key: unknownKey },
    );
}

function shown(names: readonly string[]): string {
  const first = names.slice(0, 3).map((name) => `'${name}'`);
  return names.length === 0 ? "empty" : `${first.join(", ")}${names.length > 3 ? ", ..." : ""}`;
}
