// Flags for locating and preparing the counts of a file.
import { Option } from "commander";
import type { CountsOptions } from "../contract/options.js";
import { names } from "./arguments.js";

export const modalityFlag = (): Option =>
  new Option("--modality <name>", "modality to read from a MuData file (.h5mu), e.g. rna");
export const layerFlag = (): Option =>
  new Option("--layer <name>", "where the counts are: X, raw, or a layer (default: searched)");
export const recoverCountsFlag = (): Option =>
  new Option(
    "--recover-counts",
    "if the file has no counts, recover them from log1p of counts per 10,000 or per another fixed total; " +
      "refused unless exact",
  );
export const roundCountsFlag = (): Option =>
  new Option(
    "--round-counts",
    "if the file has no counts, round fractional counts (from SoupX, DecontX, alevin-fry, RSEM, ...)",
  );
export const featureTypesFlag = (fallback = '"Gene Expression"'): Option =>
  new Option(
    "--feature-types <types>",
    'feature types to model, if var has them: "Antibody Capture", Peaks, "CRISPR Guide Capture", ... or ' +
      `all (default: ${fallback})`,
  ).argParser(names);
export const duplicateGenesFlag = (): Option =>
  new Option(
    "--duplicate-genes <how>",
    "genes that occur in several columns: refuse, or sum the columns (default: refuse)",
  ).choices(["refuse", "sum"]);

export function countsOptions(flags: CountsOptions): CountsOptions {
  const { layer, recoverCounts, roundCounts, featureTypes, duplicateGenes } = flags;
  return { layer, recoverCounts, roundCounts, featureTypes, duplicateGenes };
}
