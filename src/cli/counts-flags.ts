// The flags on where the counts of a file are and what is made of them.
import { Option } from "commander";
import type { CountsOptions } from "../contract/options.js";
import { names } from "./arguments.js";

export const modalityFlag = (): Option =>
  new Option("--modality <name>", "of MuData (.h5mu), a file of several AnnData: the one to read, e.g. rna");
export const layerFlag = (): Option =>
  new Option("--layer <name>", "where the counts are: X, raw, or a layer (default: found)");
export const recoverCountsFlag = (): Option =>
  new Option(
    "--recover-counts",
    "where there are none, recover them from log1p of counts per 10,000, or per another total of all cells; refused where that is not exact",
  );
export const roundCountsFlag = (): Option =>
  new Option(
    "--round-counts",
    "where there are none, round fractional counts (of SoupX, DecontX, alevin-fry, RSEM, ...)",
  );
export const featureTypesFlag = (otherwise = '"Gene Expression"'): Option =>
  new Option(
    "--feature-types <types>",
    `features that are modelled, where var tells their types: "Antibody Capture", Peaks, "CRISPR Guide Capture", ... or all (default: ${otherwise})`,
  ).argParser(names);
export const duplicateGenesFlag = (): Option =>
  new Option(
    "--duplicate-genes <how>",
    "a gene in more than one column: refuse, or sum its columns (default: refuse)",
  ).choices(["refuse", "sum"]);

export function countsOptions(flags: CountsOptions): CountsOptions {
  const { layer, recoverCounts, roundCounts, featureTypes, duplicateGenes } = flags;
  return { layer, recoverCounts, roundCounts, featureTypes, duplicateGenes };
}
