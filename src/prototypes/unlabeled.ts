// Unlabelled prototypes: their options, and their part in the prototype loss.
import { clusterPoints, type Clustering } from "../graph/clustering.js";
import { checkNumber, checkWhole, defaults, type UnlabeledOptions } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import type { Dataset } from "../data/minibatches.js";

/**
 * Checks the options for unlabelled prototypes.
 * @returns null if none are requested
 * @throws ScPoliError "usage" for an invalid value
 */
export function clusteringOf({
  unlabeledPrototypes: requested = false,
  resolution = defaults.resolution,
}: UnlabeledOptions): Clustering | null {
  if (requested === false) return null;
  const method = typeof requested === "object" ? "kmeans" : requested;
  if (!["leiden", "louvain", "kmeans"].includes(method))
    throw new ScPoliError(
      "usage",
      `unlabeledPrototypes is ${JSON.stringify(requested)}; expected "leiden", "louvain", { kmeans: ` +
        "number of clusters } or false.",
    );
  return {
    method,
    resolution: checkNumber("resolution", resolution, 1e-6),
    clusters:
      typeof requested === "object"
        ? checkWhole("unlabeledPrototypes.kmeans", requested.kmeans, 1, 65536)
        : 0,
  };
}

/** Unlabelled prototypes inside the prototype loss. */
export interface UnlabeledLoss {
  readonly clustering: Clustering;
  readonly weight: number;
  /** first row in the table of prototypes, and number of rows reserved for them */
  readonly from: number;
  readonly rows: number;
  /** cells without a label */
  readonly cells: Int32Array;
}

/**
 * Maximum number of communities in the table of prototypes during training; data sets usually have 10 to 100.
 */
const mostCommunities = 1024;

/** @returns undefined if the weight is 0 or every cell has a label @throws ScPoliError "usage" */
export function unlabeledLossOf(
  { unlabeledWeight = 0 }: UnlabeledOptions,
  clustering: Clustering | null,
  from: number,
  cells: Int32Array,
): UnlabeledLoss | undefined {
  const weight = checkNumber("unlabeledWeight", unlabeledWeight, 0);
  if (weight === 0) return undefined;
  if (!clustering)
    throw new ScPoliError("usage", "unlabeledWeight needs unlabelled prototypes: set unlabeledPrototypes.");
  return cells.length === 0
    ? undefined
    : {
        clustering,
        weight,
        from,
        rows: clustering.method === "kmeans" ? clustering.clusters : mostCommunities,
        cells,
      };
}

/**
 * Clusters the unlabelled cells and returns their rows in the table of prototypes.
 * @param latent - (cells, D)
 * @throws ScPoliError "usage" if there are more clusters than rows
 */
export function clusterRows(
  { clustering, from, rows }: UnlabeledLoss,
  latent: Float32Array,
  D: number,
  seed: number,
): Int32Array {
  const codes = clusterPoints(latent, D, clustering, seed);
  const clusters = codes.reduce((most, code) => Math.max(most, code + 1), 0);
  if (clusters > rows)
    throw new ScPoliError(
      "usage",
      `There are ${clusters} clusters of unlabelled cells, more than the ${rows} that the loss can hold. ` +
        "Choose a lower resolution.",
      { found: clusters },
    );
  return codes.map((code) => from + code);
}

/** Cells without a label at any level. */
export function unlabeledCells({
  labels,
  levels,
  combinations,
}: Pick<Dataset, "labels" | "levels" | "combinations">): Int32Array {
  return Int32Array.from(combinations.keys()).filter((cell) =>
    labels.subarray(cell * levels, (cell + 1) * levels).every((label) => label < 0),
  );
}
