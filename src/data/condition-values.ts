// Conditions that a file says nothing of: one sample without a column (10x files, a file of one donor), named
// by whoever runs. Then the conditions of a query, in the words of its model.
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
 * obs with a column for each condition that is named for the whole file.
 * @param values - by condition key, the name of the condition
 * @throws ScPoliError "usage" for an empty name; "refused" where the file has a column of this name with
 * other values, unless `force`
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
      throw new ScPoliError("usage", `The condition of '${key}' is an empty name; give the sample a name.`);
    if (force || !obs.columnNames.includes(key)) continue;
    const { names } = factorize(await obs.column(key));
    if (names.length !== 1 || names[0] !== value)
      throw new ScPoliError(
        "refused",
        `obs has a column '${key}' (${shown(names)}), but '${value}' is given as the condition of all cells. Leave --condition-value out to take the column; --force takes '${value}' all the same.`,
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
 * Conditions of a file in the words of a model: 1.0 is "1" where the model has "1". New names that differ
 * from a known one in case or blanks alone are warned of.
 * @param known - per key of `keys`, the model's conditions
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
  const both = Object.keys(conditionValues).find((key) => conditionKeys[key] !== undefined);
  if (both !== undefined)
    throw new ScPoliError(
      "usage",
      `The condition '${both}' is given both a column (${conditionKeys[both]}) and a value (${conditionValues[both]}); leave one of them out.`,
      { key: both },
    );
  const full = await withConditionValues(obs, conditionValues, options);
  const conditions: Conditions[] = [];
  for (const [k, key] of keys.entries()) {
    const isGiven = conditionValues[key] !== undefined;
    const own = await readConditions(full, isGiven ? key : (conditionKeys[key] ?? key), {
      advice: "fill the column",
      note,
    });
    const names = spelledAs(own.names, known[k] ?? []);
    const pairs = similarNames(names, known[k] ?? []);
    if (pairs.length > 0)
      note({
        level: "warning",
        message: `Conditions of '${key}' that differ from the model's in case or blanks alone are new ones to it: ${shownPairs(pairs)}. Where they are the same, write them in the file as the model does.`,
      });
    conditions.push({ key, codes: own.codes, names });
  }
  return conditions;
}

/** @throws ScPoliError "usage" for a value of a key that is none of `keys` */
export function checkValueKeys(
  values: Readonly<Record<string, string>> | undefined,
  keys: readonly string[],
): void {
  const other = Object.keys(values ?? {}).find((key) => !keys.includes(key));
  if (other !== undefined)
    throw new ScPoliError(
      "usage",
      `There is no condition key '${other}' to give a value; the keys are ${keys.map((key) => `'${key}'`).join(", ")}.`,
      { key: other },
    );
}

function shown(names: readonly string[]): string {
  const first = names.slice(0, 3).map((name) => `'${name}'`);
  return names.length === 0 ? "empty" : `${first.join(", ")}${names.length > 3 ? ", ..." : ""}`;
}
