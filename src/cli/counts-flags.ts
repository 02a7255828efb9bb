// The flags on where the counts of a file are and what is made of them.
import { Option } from "commander";
import type { CountsOptions } from "../config.js";

export const layerFlag = (): Option =>
  new Option("--layer <name>", "where the counts are: X, raw, or a layer (default: found)");
export const recoverCountsFlag = (): Option =>
  new Option(
    "--recover-counts",
    "where there are none, recover them from log1p of counts per 10,000; refused where that is not exact",
  );
export const duplicateGenesFlag = (): Option =>
  new Option(
    "--duplicate-genes <how>",
    "a gene in more than one column: refuse, or sum its columns (default: refuse)",
  ).choices(["refuse", "sum"]);

export function countsOptions({ layer, recoverCounts, duplicateGenes }: CountsOptions): CountsOptions {
  return { layer, recoverCounts, duplicateGenes };
}
