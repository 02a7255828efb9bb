// What a likelihood takes from a file: raw counts, scATAC fragment counts (made of read counts where need
// be), or normalised values as they are. Source of the fragment counts: De Donno et al. 2023, Methods
// ("scATAC-seq data"): odd and even read counts are taken together.
import type { AnnData } from "../anndata/anndata.js";
import type { AtacCounts, CountsOptions, Note, ReconLoss } from "../contract/options.js";
import { findCounts, findNumbers, type CountsPlace } from "./count-places.js";
import { ScPoliError } from "../contract/errors.js";
import { peaks, selectFeatures } from "./feature-types.js";

export interface ValuesOptions extends Omit<CountsOptions, "duplicateGenes"> {
  readonly reconLoss: ReconLoss;
  /** types of features that the model knows; undefined: gene expression, or it is to be trained */
  readonly modelTypes?: readonly string[];
  /** Default: "auto" for poisson; for others counts stay as they are. */
  readonly atacCounts?: AtacCounts | "auto";
  /** what the model was trained on: a query that looks otherwise is told */
  readonly trainedOn?: AtacCounts;
}

/** A place, and what its counts were found to be where that matters. */
export interface FoundValues {
  readonly place: CountsPlace;
  readonly atacCounts?: AtacCounts;
}

/**
 * @throws ScPoliError as `findCounts`; "counts" where mse meets no matrix of numbers; "usage" for atacCounts
 * with mse
 */
export async function findValues(
  data: AnnData,
  options: ValuesOptions,
  note: (note: Note) => void,
): Promise<FoundValues> {
  const { reconLoss, layer, atacCounts, trainedOn } = options;
  const features = {
    types: options.featureTypes,
    modelTypes: options.modelTypes,
    preferred: reconLoss === "poisson" ? peaks : undefined,
    note,
  };
  if (reconLoss === "mse") {
    if (atacCounts)
      throw new ScPoliError(
        "usage",
        "atacCounts is for counts; mse takes normalised values as they are. Leave it out, or take poisson.",
      );
    const place = await findNumbers(data, layer);
    const { holds, verdict } = place.found.at(-1)!;
    note({
      level: "info",
      message: `mse takes the values of ${place.name} as they are, neither normalised nor logarithmised (${verdict}).`,
    });
    if (holds === "counts")
      note({
        level: "warning",
        message: `${place.name} holds raw counts; mse is meant for normalised, logarithmised values. Take nb for counts, or name another matrix (--layer).`,
      });
    return { place: await selectFeatures(place, features) };
  }
  const place = await findCounts(data, layer, {
    ...options,
    modelTypes: features.modelTypes,
    preferredType: features.preferred,
    note,
  });
  const asked = atacCounts ?? trainedOn ?? (reconLoss === "poisson" ? "auto" : undefined);
  if (asked === undefined) return { place };
  const { ones, twos } = await countOnesAndTwos(place);
  const looks: AtacCounts = twos > ones ? "reads" : "fragments";
  const is = asked === "auto" ? looks : asked;
  const percent = (n: number): string => `${((100 * n) / Math.max(1, ones + twos)).toFixed(0)} %`;
  note({
    level: atacCounts === undefined && trainedOn !== undefined && looks !== trainedOn ? "warning" : "info",
    message:
      `${place.name} ${asked === "auto" ? "looks like" : "is taken as"} scATAC ${is === "reads" ? "read counts, made fragment counts: (x + 1) / 2 rounded down" : "fragment counts, left as they are"}` +
      ` (of its ones and twos ${percent(ones)} are ones)${atacCounts === undefined && trainedOn !== undefined && looks !== trainedOn ? `, as in the model, but looks like ${looks === "reads" ? "read" : "fragment"} counts. --atac-counts ${looks} takes it so` : ""}.`,
  });
  return { place: is === "reads" ? { ...place, values: "reads" } : place, atacCounts: is };
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
