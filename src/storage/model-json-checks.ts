// Validates `model.json`: types, lengths and ranges of all entries. Adds what earlier versions lack.
import {
  type HeadJson,
  type HeadLevel,
  type HeadTraining,
  type NoveltyJson,
  formatVersion,
  type ModelJson,
  type LandmarksJson,
  storedOptions,
} from "../model/stored-model.js";
import {
  distanceReductions,
  prototypeLosses,
  type ConditionEncoding,
  type ModelOptions,
  type DistanceReduction,
  type PrototypeLoss,
  type ReconLoss,
} from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import type { SampleMetadata } from "../data/sample-metadata.js";
import { modelOptions } from "../model/parameters.js";
import { Checker, shown } from "./checker.js";

export function checkJson(parsed: unknown, check: Checker): ModelJson {
  const entries = check.object(parsed, "the content");
  const format = checkFormat(check, entries);
  const genes = check.names(entries.genes, "genes", 1);
  const { keys, conditions, combinations } = checkConditions(check, entries);
  return {
    format_version: formatVersion,
    scpoli_version: check.text(entries.scpoli_version, "scpoli_version"),
    model: checkModel(check, entries.model, genes.length, keys.length),
    ...checkAtacCounts(check, entries.atac_counts),
    ...(entries.feature_types !== undefined && {
      feature_types: check.names(entries.feature_types, "feature_types", 1),
    }),
    genes,
    condition_keys: keys,
    conditions,
    reference_conditions: check
      .list(
        entries.reference_conditions,
        "reference_conditions",
        (value, name) => check.whole(value, name, 1),
        keys.length,
      )
      .map((n, key) => check.whole(n, `reference_conditions[${key}]`, 1, conditions[key]!.length)),
    combinations,
    ...checkCellTypes(check, entries),
    ...checkPrototypeLoss(check, entries.prototype_loss),
    unlabeled_prototypes: checkUnlabeled(check, entries.unlabeled_prototypes ?? []),
    ...(entries.sample_metadata === undefined
      ? {}
      : {
          sample_metadata: check.list(
            entries.sample_metadata,
            "sample_metadata",
            (value, name) => checkMetadata(check, value, name),
            keys.length,
          ),
        }),
    head: checkHead(check, entries, format),
    landmarks: checkLandmarks(check, entries.landmarks ?? null),
    provenance: check.object(entries.provenance, "provenance"),
  };
}

/** @throws ScPoliError "model" if this is no model, or one of a newer format */
function checkFormat(check: Checker, entries: Readonly<Record<string, unknown>>): number {
  const { where } = check;
  if (!Number.isSafeInteger(entries.format_version))
    throw new ScPoliError("model", `${where} is not a scpoli model: it has no format_version.`, {
      path: where,
    });
  const format = check.whole(entries.format_version, "format_version", 1);
  if (format > formatVersion)
    throw new ScPoliError(
      "model",
      `${where} was made by a newer scpoli (${shown(entries.scpoli_version)}): its format is ${format}, ` +
        `but this version reads up to ${formatVersion}. Update scpoli: npm install scpoli@latest.`,
      { path: where, format_version: format },
    );
  return format;
}

/** Condition keys, the conditions of each, and the combinations as codes of the conditions. */
function checkConditions(
  check: Checker,
  entries: Readonly<Record<string, unknown>>,
): { readonly keys: string[] } & Pick<ModelJson, "conditions" | "combinations"> {
  const keys = check.names(entries.condition_keys, "condition_keys", 1);
  const conditions = check.list(
    entries.conditions,
    "conditions",
    (value, name) => check.names(value, name, 1),
    keys.length,
  );
  const combinations = check.list(entries.combinations, "combinations", (value, name) => {
    const codes = check.list(value, name, (code, codeName) => check.whole(code, codeName, 0), keys.length);
    codes.forEach((code, key) => check.whole(code, `${name}[${key}]`, 0, conditions[key]!.length - 1));
    return codes;
  });
  if (combinations.length === 0) check.fail("combinations is empty");
  if (new Set(combinations.map(String)).size < combinations.length)
    check.fail("combinations has a duplicate");
  return { keys, conditions, combinations };
}

function checkPrototypeLoss(check: Checker, value: unknown): Pick<ModelJson, "prototype_loss"> {
  if (value === undefined) return {};
  const entries = check.object(value, "prototype_loss");
  const loss = check.text(entries.loss, "prototype_loss.loss") as PrototypeLoss;
  if (!prototypeLosses.includes(loss))
    check.fail(`prototype_loss.loss is "${loss}"; expected ${prototypeLosses.join(", ")}`);
  const reduction = check.text(
    entries.distance_reduction ?? "type-sum",
    "prototype_loss.distance_reduction",
  ) as DistanceReduction;
  if (!distanceReductions.includes(reduction))
    check.fail(
      `prototype_loss.distance_reduction is "${reduction}"; expected ${distanceReductions.join(", ")}`,
    );
  const weight = (name: string): number => check.number(entries[name], `prototype_loss.${name}`, 0);
  return {
    prototype_loss: {
      loss,
      eta: weight("eta"),
      eta_cross_entropy: weight("eta_cross_entropy"),
      distance_reduction: reduction,
      type_balance: weight("type_balance"),
    },
  };
}

function checkMetadata(check: Checker, value: unknown, name: string): SampleMetadata {
  const table = check.object(value, name);
  const columns = check.names(table.columns, `${name}.columns`, 0);
  const cell = (entry: unknown, entryName: string): string | number | boolean | null => {
    if (entry !== null && typeof entry !== "string" && typeof entry !== "boolean")
      return check.number(entry, entryName, -Number.MAX_VALUE);
    return entry;
  };
  const samples = Object.entries(check.object(table.samples, `${name}.samples`));
  const levels = Object.entries(check.object(table.levels ?? {}, `${name}.levels`)).map(
    ([column, levelNames]) => [column, check.names(levelNames, `${name}.levels.${column}`, 1)] as const,
  );
  return {
    ...(levels.length > 0 && { levels: Object.fromEntries(levels) }),
    columns,
    samples: Object.fromEntries(
      samples.map(([sample, cells]) => [
        sample,
        check.list(cells, `${name}.samples.${sample}`, cell, columns.length),
      ]),
    ),
  };
}

function checkModel(check: Checker, value: unknown, genes: number, keys: number): ModelJson["model"] {
  const entries = check.object(value, "model");
  const wholes = (name: string): number[] =>
    check.list(entries[name], `model.${name}`, (entry, entryName) => check.whole(entry, entryName, 1));
  const given: ModelOptions = {
    hiddenLayerSizes: wholes("hidden_layer_sizes"),
    latentDim: check.whole(entries.latent_dim, "model.latent_dim", 1),
    conditionEncoding: check.text(
      entries.condition_encoding ?? "embedding",
      "model.condition_encoding",
    ) as ConditionEncoding,
    embeddingDims: wholes("embedding_dims"),
    injectCondition: check.names(
      entries.inject_condition,
      "model.inject_condition",
      1,
    ) as ModelOptions["injectCondition"],
    reconLoss: check.text(entries.recon_loss, "model.recon_loss") as ReconLoss,
    dropout: check.number(entries.dropout, "model.dropout", 0, 1),
  };
  if (given.hiddenLayerSizes.length === 0) check.fail("model.hidden_layer_sizes is empty");
  try {
    modelOptions(given, genes, keys);
  } catch (error) {
    check.fail(`in model, ${(error as Error).message.replace(/\.$/, "")}`);
  }
  return storedOptions(given);
}

function checkAtacCounts(check: Checker, value: unknown): Pick<ModelJson, "atac_counts"> {
  if (value === undefined) return {};
  if (value !== "reads" && value !== "fragments")
    check.fail(`atac_counts is ${shown(value)}, expected "reads" or "fragments"`);
  return { atac_counts: value };
}

function checkCellTypes(
  check: Checker,
  entries: Readonly<Record<string, unknown>>,
): Pick<ModelJson, "cell_type_keys" | "cell_types" | "levels" | "prototype_counts" | "calibration"> {
  const keys = check.names(entries.cell_type_keys, "cell_type_keys", 0);
  const types = check.names(entries.cell_types, "cell_types", keys.length > 0 ? 1 : 0);
  const levels = check.list(
    entries.levels,
    "levels",
    (value, name) => {
      const rows = check.list(value, name, (row, rowName) => check.whole(row, rowName, 0, types.length - 1));
      if (rows.length === 0 || rows.some((row, i) => i > 0 && row <= rows[i - 1]!))
        check.fail(`${name} is ${shown(rows)}, expected ascending rows of cell_types`);
      return rows;
    },
    keys.length,
  );
  const used = new Set(levels.flat());
  const unused = types.find((_, row) => !used.has(row));
  if (unused !== undefined) check.fail(`cell type '${unused}' is in no level`);
  return {
    cell_type_keys: keys,
    cell_types: types,
    levels,
    prototype_counts: check.list(
      entries.prototype_counts,
      "prototype_counts",
      (value, name) => check.whole(value, name, 0),
      types.length,
    ),
    calibration: check.list(
      entries.calibration,
      "calibration",
      (value, name) => {
        const level = check.object(value, name);
        return {
          distance_scale: check.number(level.distance_scale, `${name}.distance_scale`, Number.MIN_VALUE),
          probability_scale: check.number(
            level.probability_scale,
            `${name}.probability_scale`,
            Number.MIN_VALUE,
          ),
          threshold: check.number(level.threshold, `${name}.threshold`, 0, 1),
          cells: check.whole(level.cells, `${name}.cells`, 0),
        };
      },
      keys.length,
    ),
  };
}

function checkUnlabeled(check: Checker, value: unknown): ModelJson["unlabeled_prototypes"] {
  const prototypes = check.list(value, "unlabeled_prototypes", (entry, name) => {
    const { cluster, cells } = check.object(entry, name);
    return {
      cluster: check.whole(cluster, `${name}.cluster`, 0),
      cells: check.whole(cells, `${name}.cells`, 0),
    };
  });
  if (prototypes.some(({ cluster }, i) => i > 0 && cluster <= prototypes[i - 1]!.cluster))
    check.fail("unlabeled_prototypes is not in ascending order");
  return prototypes;
}

/** First model format with the current novelty model (novelty.ts). */
const noveltyVersion = 7;

/** Why the novelty of earlier models is not calibrated. */
export const earlierVersion = "the model is of an earlier version";

/** Novelty tensors of earlier formats, which are ignored. */
export const otherNovelty = /^(novelty\.|head\.(means|axes)$)/;

export function hadOtherNovelty({
  format_version: format,
  head,
}: Pick<ModelJson, "format_version" | "head">): boolean {
  return format < noveltyVersion && head !== null && head !== undefined;
}

/** Checks the classification head, which models of early versions lack. */
function checkHead(
  check: Checker,
  entries: Readonly<Record<string, unknown>>,
  format: number,
): HeadJson | null {
  const value = entries.head ?? null;
  if (value === null) return null;
  const known = entries.levels as number[][];
  const head = check.object(value, "head");
  const levels = check.list(head.levels, "head.levels", (entry, name, position) => {
    const level = check.object(entry, name);
    const types = check.list(level.types, `${name}.types`, (row, rowName) => check.whole(row, rowName, 0));
    const knownTypes = known[position] ?? [];
    if (
      types.length === 0 ||
      types.some((row, i) => !knownTypes.includes(row) || (i > 0 && row <= types[i - 1]!))
    )
      check.fail(`${name}.types is ${shown(types)}, expected ascending rows of its level`);
    return {
      types,
      temperature: check.number(level.temperature, `${name}.temperature`, Number.MIN_VALUE),
      ...checkLeftOut(check, level.left_out, `${name}.left_out`),
      ...checkCalibrated(check, level, name, format),
    };
  });
  if (levels.length === 0) check.fail("head.levels is empty");
  return { levels, ...checkHeadTraining(check, head.training) };
}

function checkLeftOut(check: Checker, value: unknown, name: string): Pick<HeadLevel, "left_out"> {
  if (value === undefined) return {};
  const entries = check.object(value, name);
  return {
    left_out: {
      cells: check.whole(entries.cells, `${name}.cells`, 1),
      units: check.whole(entries.units, `${name}.units`, 2),
      mean_recall: check.number(entries.mean_recall, `${name}.mean_recall`, 0, 1),
    },
  };
}

function checkCalibrated(
  check: Checker,
  level: Readonly<Record<string, unknown>>,
  name: string,
  format: number,
): Pick<HeadLevel, "novelty" | "not_calibrated"> {
  if (format < noveltyVersion) return { not_calibrated: earlierVersion };
  if (level.novelty !== undefined) return { novelty: checkNovelty(check, level.novelty, `${name}.novelty`) };
  return level.not_calibrated === undefined
    ? {}
    : { not_calibrated: check.text(level.not_calibrated, `${name}.not_calibrated`) };
}

function checkHeadTraining(check: Checker, value: unknown): { readonly training?: HeadTraining } {
  if (value === undefined) return {};
  const entries = check.object(value, "head.training");
  return {
    training: {
      inverse_penalty: check.number(
        entries.inverse_penalty,
        "head.training.inverse_penalty",
        Number.MIN_VALUE,
      ),
      type_exponent: check.number(entries.type_exponent, "head.training.type_exponent", 0, 1),
    },
  };
}

function checkNovelty(check: Checker, value: unknown, name: string): NoveltyJson {
  const entries = check.object(value, name);
  const sizes = check.list(entries.neighborhoods, `${name}.neighborhoods`, (entry, entryName) =>
    check.whole(entry, entryName, 0),
  );
  if (sizes[0] !== 0 || sizes.some((size, i) => i > 0 && size <= sizes[i - 1]!))
    check.fail(`${name}.neighborhoods is ${shown(sizes)}, expected ascending numbers from 0 on`);
  const cells = entries.donor_cells;
  return {
    neighborhoods: sizes,
    units: check.whole(entries.units, `${name}.units`, 2),
    ...(cells !== undefined && { donor_cells: check.whole(cells, `${name}.donor_cells`, 1) }),
  };
}

function checkLandmarks(check: Checker, value: unknown): LandmarksJson | null {
  if (value === null) return null;
  const entries = check.object(value, "landmarks");
  const cells = check.whole(entries.cells, "landmarks.cells", 1);
  const sizeFactors = check.list(
    entries.size_factors,
    "landmarks.size_factors",
    (entry, name) => check.number(entry, name, 0),
    3,
  );
  return {
    cells,
    of: check.whole(entries.of, "landmarks.of", cells),
    size_factors: [sizeFactors[0]!, sizeFactors[1]!, sizeFactors[2]!],
    neighbor_distance: check.number(entries.neighbor_distance, "landmarks.neighbor_distance", 0),
  };
}
