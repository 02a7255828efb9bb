// Covariates: what is known of each sample, as predictors of a linear model or as classes.
import type { MetadataValue, SampleMetadata } from "../data/sample-metadata.js";
import { byCodePoint } from "../data/labels.js";
import { ScPoliError } from "../contract/errors.js";
import { dummies } from "../statistics/linear-model.js";

/**
 * categorical: levels without order, dummies in a model; ordinal: levels with an order, their ranks 0, 1, ...
 * in a model; number: itself.
 */
export type CovariateKind = "categorical" | "ordinal" | "number";

/** A column of what is known of the samples. */
export interface Covariate {
  /** Name of the column */
  readonly name: string;
  /** How its values are taken */
  readonly kind: CovariateKind;
  /** (S) numbers, or names of levels; null where not known */
  readonly values: readonly (string | number | null)[];
  /** names of the levels that occur, ordinal: from low to high; empty for numbers */
  readonly levels: readonly string[];
}

/**
 * How columns are to be taken; what is not named is taken as it is: numbers as numbers, ordered categories as
 * ordinal, all else as categories.
 */
export interface CovariateKinds {
  /** by column, its levels from low to high */
  readonly ordinal?: Readonly<Record<string, readonly string[]>>;
  /** columns of numbers that are names */
  readonly categorical?: readonly string[];
}

/**
 * A covariate of values as they were found.
 * @throws ScPoliError "usage" where an ordinal one has a value that is none of its levels
 */
export function covariateOf(
  name: string,
  found: readonly MetadataValue[],
  { ordinal = {}, categorical = [] }: CovariateKinds = {},
  levels?: readonly string[],
): Covariate {
  const order = ordinal[name] ?? levels;
  if (
    !order &&
    !categorical.includes(name) &&
    found.every((value) => value === null || typeof value === "number")
  )
    return { name, kind: "number", values: found, levels: [] };
  const values = found.map((value) =>
    value === null ? null : typeof value === "boolean" ? (value ? "True" : "False") : String(value),
  );
  const own = new Set(values.filter((value) => value !== null));
  if (!order || categorical.includes(name))
    return { name, kind: "categorical", values, levels: [...own].sort(byCodePoint) };
  const other = [...own].find((value) => !order.includes(value));
  if (other !== undefined)
    throw new ScPoliError(
      "usage",
      `Covariate '${name}' has the value '${other}', which is none of its levels ${order.map((level) => `'${level}'`).join(", ")}. Name all levels from low to high.`,
      { covariate: name, value: other },
    );
  return { name, kind: "ordinal", values, levels: order.filter((level) => own.has(level)) };
}

/**
 * Covariates of the samples named, a column each.
 * @throws ScPoliError "key" where `kinds` names a column that is not there; "usage" as `covariateOf`
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
        `The samples have no metadata '${name}'; there are ${metadata.columns.map((column) => `'${column}'`).join(", ") || "none"}.`,
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

/** A covariate as numbers of the samples named: levels as codes. */
export function codesOf({ kind, values, levels }: Covariate, samples: Int32Array): Float64Array {
  return Float64Array.from(samples, (sample) =>
    kind === "number" ? (values[sample] as number) : levels.indexOf(values[sample] as string),
  );
}

/**
 * Why a covariate can explain nothing: it does not vary among the samples named, or each of them has a level
 * of its own; null where it can.
 */
export function uselessBecause(
  covariate: Covariate,
  samples: Int32Array,
): "constant" | "all different" | null {
  const distinct = new Set(codesOf(covariate, samples)).size;
  if (distinct < 2) return "constant";
  return covariate.kind === "categorical" && distinct >= samples.length ? "all different" : null;
}

/** Columns of a design, without the intercept, for samples whose value is known. */
export function predictorsOf(covariate: Covariate, samples: Int32Array): Float64Array[] {
  const codes = codesOf(covariate, samples);
  if (covariate.kind !== "categorical") return [codes];
  const used = [...new Set(codes)].sort((a, b) => a - b);
  return dummies(
    codes.map((code) => used.indexOf(code)),
    used.length,
  );
}
