// The data sets of bench:peers: reference and query, and paths of their prepared files.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { configurations, sharedData, type Configuration } from "../transfer.ts";

export interface PeerSet extends Configuration {
  /** obs column of the query's values; default: the conditions */
  readonly queryKey?: string;
  /** scATAC: counts are fragments, all peaks are used, models take this likelihood */
  readonly likelihood?: "poisson";
}

const configurationNamed = (name: string): Configuration => configurations.find((one) => one.name === name)!;
export const sets: readonly PeerSet[] = [
  ...["panc8", "pbmc3", "pbmc3-broad"].map(configurationNamed),
  {
    name: "mixology",
    file: "mixology",
    condition: "batch",
    label: "cell_type",
    queryKey: "technology",
    query: ["dropseq"],
  },
  {
    name: "primates",
    file: "primates",
    condition: "clone",
    label: "cell_type",
    queryKey: "species",
    query: ["human"],
  },
  ...["kang16", "onek1k"].map(configurationNamed),
  {
    name: "bone_marrow_atac",
    file: "bone_marrow_atac",
    condition: "donor",
    label: "cell_type",
    query: ["D5"],
    likelihood: "poisson",
  },
];

const root = new URL("../..", import.meta.url).pathname;
export const cache = join(root, ".cache/peers");
export const source = ({ file }: PeerSet): string => join(sharedData, `${file}.h5ad`);

/** The folder of prepare.py, and its arguments. */
export const folderOf = ({ name }: PeerSet): string => join(cache, "data", name);
export function preparation(set: PeerSet): string[] {
  return [
    source(set),
    folderOf(set),
    "--condition",
    set.condition,
    "--label",
    set.label,
    "--query-key",
    set.queryKey ?? set.condition,
    "--query-values",
    set.query.join(","),
    ...(set.likelihood ? ["--genes", "1000000", "--fragments"] : []),
  ];
}
export const isPrepared = (set: PeerSet): boolean => existsSync(join(folderOf(set), "truth.h5ad"));
