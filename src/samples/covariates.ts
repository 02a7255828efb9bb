// Covariates: metadata of the samples, as predictors of a linear model or as classes.
import type { MetadataValue, SampleMetadata } from "../data/sample-metadata.js";
import { byCodePoint } from "../data/labels.js";
import { ScPoliError } from "../contract/errors.js";
import { dummies } from "../statistics/linear-model.js";

/**
 * categorical: unordered levels, dummy variables in a model; ordinal: ordered levels, their ranks 0, 1, ...
 * in a model; number: used as it is.
 */
export type CovariateKind = "categorical" | "ordinal" | "number";

/** A column of sample metadata. */
export interface Covariate {
  /** Name of the column */
  readonly name: string;
  /** How its values enter a model */
  readonly kind: CovariateKind;
  /** (S) numbers, or names of levels; null if unknown */
  readonly values: readonly (string | number | null)[];
  /** names of the levels that occur, ordinal: from low to high; empty for numbers */
  readonly levels: readonly string[];
}

/**
 * Kinds of columns. By default, numbers are numbers, ordered categories are ordinal, and all others are
 * categorical.
 */
export interface CovariateKinds {
  /** by column, its levels from low to high */
  readonly ordinal?: Readonly<Record<string, readonly string[]>>;
  /** numeric columns to treat as categories */
  readonly categorical?: readonly string[];
}

/**
 * Makes a covariate from metadata values.
 * @throws ScPoliError "usage" if an ordinal covariate has a value that is not one of its levels
 */
export function covariateOf(
  name: string,
  given: readonly MetadataValue[],
  { ordinal = {}, categorical = [] }: CovariateKinds = {},
  levels?: readonly string[],
): Covariate {
  const order = ordinal[name] ?? levels;
  if (
    !order &&
    !categorical.includes(name) &&
    given.every((value) => value === null || typeof value === "number")
  )
    return { name, kind: "number", values: given, levels: [] };
  const values = given.map((value) =>
    value === null ? null : typeof value === "boolean" ? (value ? "True" : "False") : String(value),
  );
  const distinct = new Set(values.filter((value) => value !== null));
  if (!order || categorical.includes(name))
    return { name, kind: "categorical", values, levels: [...distinct].sort(byCodePoint) };
  const other = [...distinct].find((value) => !order.includes(value));
  if (other !== undefined)
    throw new ScPoliError(
      "usage",
      `Covariate '${name}' has the value '${other}', which is not one of its levels ` +
        `${order.map((level) => `'${level}'`).join(", ")}. List all levels from low to high.`,
      { covariate: name, value: other },
    );
  return { name, kind: "ordinal", values, levels: order.filter((level) => distinct.has(level)) };
}

/**
 * Covariates of the given samples, one per column.
 * @throws ScPoliError "key" if `kinds` names a missing column; "usage" as `covariateOf`
 */
export function covariatesOf(
  metadata: SampleMetadata,
  samples: readonly string[],
  kinds: CovariateKinds = {},
): Covariate[] {
  for (const name of [...Object.keys(kinds.ordinal ?? {}), ...(kinds.categorical ?? [])])
    if (!metadata.columns.includes(name))
      throw new ScPoliError(
        "key",
        `The samples have no metadata '${name}'; there are ` +
          `${metadata.columns.map((column) => `'${column}'`).join(", ") || "none"}.`,
        { covariate: name },
      );
  return metadata.columns.map((name, at) =>
    covariateOf(
      name,
      samples.map((sample) => metadata.samples[sample]?.[at] ?? null),
      kinds,
      metadata.levels?.[name],
    ),
  );
}

/** Samples whose value is known, ascending. */
export function knownSamples({ values }: Covariate): Int32Array {
  return Int32Array.from(values.keys()).filter((sample) => values[sample] !== null);
}

/** Values of a covariate for some samples, with levels as codes. */
export function codesOf({ kind, values, levels }: Covariate, samples: Int32Array): Float64Array {
  return Float64Array.from(samples, (sample) =>
    kind === "number" ? (values[sample] as number) : levels.indexOf(values[sample] as string),
  );
}

/**
 * Reason why a covariate cannot be tested: it does not vary among the samples, or each sample has a different
 * level; null if it can.
 */
export function uselessBecause(
  covariate: Covariate,
  samples: Int32Array,
): "constant" | "all different" | null {
  const distinct = new Set(codesOf(covariate, samples)).size;
  if (distinct < 2) return "constant";
  return covariate.kind === "categorical" && distinct >= samples.length ? "all different" : null;
}

/** Design columns without the intercept, for samples with known values. */
export function predictorsOf(covariate: Covariate, samples: Int32Array): Float64Array[] {
  const codes = codesOf(covariate, samples);
  if (covariate.kind !== "categorical") return [codes];
  const used = [...new Set(codes)].sort((a, b) => a - b);
  return dummies(
    codes.map((code) => used.indexOf(code)),
    used.length,
  );
}
