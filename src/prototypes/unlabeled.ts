// Unlabelled prototypes: how they are asked for, and their part in the prototype loss.
import { clusterPoints, type Clustering } from "../graph/clustering.js";
import { checkNumber, checkWhole, defaults, type UnlabeledOptions } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import type { Dataset } from "../data/minibatches.js";

/**
 * @returns null where no unlabelled prototypes are asked for
 * @throws ScPoliError "usage" for a value out of range
 */
export function clusteringOf({
  unlabeledPrototypes: asked = false,
  resolution = defaults.resolution,
}: UnlabeledOptions): Clustering | null {
  if (asked === false) return null;
  const method = typeof asked === "object" ? "kmeans" : asked;
  if (!["leiden", "louvain", "kmeans"].includes(method))
    throw new ScPoliError(
      "usage",
      `unlabeledPrototypes is ${JSON.stringify(asked)}; expected "leiden", "louvain", { kmeans: number of clusters } or false.`,
    );
  return {
    method,
    resolution: checkNumber("resolution", resolution, 1e-6),
    clusters:
      typeof asked === "object" ? checkWhole("unlabeledPrototypes.kmeans", asked.kmeans, 1, 65536) : 0,
  };
}

/** Unlabelled prototypes inside the prototype loss. */
export interface UnlabeledLoss {
  readonly clustering: Clustering;
  readonly weight: number;
  /** row of the first one in the table of prototypes, and rows that are kept for them */
  readonly from: number;
  readonly rows: number;
  /** cells without a label */
  readonly cells: Int32Array;
}

/**
 * Room for communities in the table of prototypes while training; of a usual data set there are 10 to 100.
 */
const mostCommunities = 1024;

/** @returns undefined where the weight is 0, or every cell has a label @throws ScPoliError "usage" */
export function unlabeledLossOf(
  { unlabeledWeight = 0 }: UnlabeledOptions,
  clustering: Clustering | null,
  from: number,
  cells: Int32Array,
): UnlabeledLoss | undefined {
  const weight = checkNumber("unlabeledWeight", unlabeledWeight, 0);
  if (weight === 0) return undefined;
  if (!clustering)
    throw new ScPoliError(
      "usage",
      "unlabeledWeight needs unlabelled prototypes: say how they are found (unlabeledPrototypes).",
    );
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
 * Rows of the table of prototypes of the unlabelled cells, found in their latent space.
 * @param latent - (cells, D) @throws ScPoliError "usage" where there are more clusters than rows
 */
export function clusterRows(
  { clustering, from, rows }: UnlabeledLoss,
  latent: Float32Array,
  D: number,
  seed: number,
): Int32Array {
  const codes = clusterPoints(latent, D, clustering, seed);
  const found = codes.reduce((most, code) => Math.max(most, code + 1), 0);
  if (found > rows)
    throw new ScPoliError(
      "usage",
      `There are ${found} clusters of unlabelled cells, more than the ${rows} that the loss can hold. Choose a lower resolution.`,
      { found },
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
