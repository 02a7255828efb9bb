// Selects the values for a likelihood: raw counts, scATAC fragment counts (converted from read counts if
// needed), or normalised values unchanged. Source of the fragment counts: De Donno et al. 2023, Methods
// ("scATAC-seq data"): odd and even read counts are merged.
import type { AnnData } from "../anndata/anndata.js";
import type { AtacCounts, CountsOptions, Note, ReconLoss } from "../contract/options.js";
import { findCounts, findNumbers, type CountsPlace } from "./count-places.js";
import { ScPoliError } from "../contract/errors.js";
import { peaks, selectFeatures } from "./feature-types.js";

export interface ValuesOptions extends Omit<CountsOptions, "duplicateGenes"> {
  readonly reconLoss: ReconLoss;
  /** feature types of the model; undefined: gene expression, or a new model */
  readonly modelTypes?: readonly string[];
  /** Default: "auto" for poisson; for other likelihoods counts are unchanged. */
  readonly atacCounts?: AtacCounts | "auto";
  /** what the model was trained on; a query that looks different is reported */
  readonly trainedOn?: AtacCounts;
}

/** A matrix, and the kind of its counts if that matters. */
export interface FoundValues {
  readonly place: CountsPlace;
  readonly atacCounts?: AtacCounts;
}

/**
 * @throws ScPoliError as `findCounts`; "counts" if mse finds no matrix of numbers; "usage" for atacCounts
 * with mse
 */
export async function findValues(
  data: AnnData,
  options: ValuesOptions,
  note: (note: Note) => void,
): Promise<FoundValues> {
  const { reconLoss, atacCounts, trainedOn } = options;
  if (reconLoss === "mse") return findNormalizedValues(data, options, note);
  const place = await findCounts(data, options.layer, {
    ...options,
    modelTypes: options.modelTypes,
    preferredType: reconLoss === "poisson" ? peaks : undefined,
    note,
  });
  const requested = atacCounts ?? trainedOn ?? (reconLoss === "poisson" ? "auto" : undefined);
  if (requested === undefined) return { place };
  const { ones, twos } = await countOnesAndTwos(place);
  const detected: AtacCounts = twos > ones ? "reads" : "fragments";
  const used = requested === "auto" ? detected : requested;
  const differs = atacCounts === undefined && trainedOn !== undefined && detected !== trainedOn;
  const share = `${((100 * ones) / Math.max(1, ones + twos)).toFixed(0)} %`;
  note({
    level: differs ? "warning" : "info",
    message:
      `${place.name} ${requested === "auto" ? "looks like" : "is used as"} scATAC ` +
      (used === "reads"
        ? "read counts, converted to fragment counts: (x + 1) / 2 rounded down"
        : "fragment counts, unchanged") +
      ` (${share} of its ones and twos are ones)` +
      (differs
        ? `, as in the model, but looks like ${detected === "reads" ? "read" : "fragment"} counts. ` +
          `Use --atac-counts ${detected} to treat it as such.`
        : "."),
  });
  return { place: used === "reads" ? { ...place, values: "reads" } : place, atacCounts: used };
}

/** The values for mse. */
async function findNormalizedValues(
  data: AnnData,
  { layer, featureTypes, modelTypes, atacCounts }: ValuesOptions,
  note: (note: Note) => void,
): Promise<FoundValues> {
  if (atacCounts)
    throw new ScPoliError(
      "usage",
      "atacCounts is for counts; mse uses normalised values unchanged. Omit it, or use poisson.",
    );
  const place = await findNumbers(data, layer);
  const { holds, verdict } = place.verdicts.at(-1)!;
  note({
    level: "info",
    message:
      `mse uses the values of ${place.name} unchanged, without normalisation or log transformation ` +
      `(${verdict}).`,
  });
  if (holds === "counts")
    note({
      level: "warning",
      message:
        `${place.name} holds raw counts; mse is meant for log-normalised values. Use nb for counts, ` +
        "or name another matrix (--layer).",
    });
  return { place: await selectFeatures(place, { types: featureTypes, modelTypes, note }) };
}

/** Places of a look all over the file, and the rows of each. */
const looks = 16;
const rowsOfLook = 64;

async function countOnesAndTwos({ matrix }: CountsPlace): Promise<{ ones: number; twos: number }> {
  const rows = Math.min(rowsOfLook, matrix.rows);
  let [ones, twos] = [0, 0];
  for (const start of new Set(
    Array.from({ length: looks }, (_, look) => Math.floor(((matrix.rows - rows) * look) / (looks - 1))),
  )) {
    const { indptr, values } = await matrix.read(start, start + rows);
    for (let k = 0; k < indptr[rows]!; k++) {
      if (values[k] === 1) ones++;
      else if (values[k] === 2) twos++;
    }
  }
  return { ones, twos };
}
