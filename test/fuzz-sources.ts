// Original files of a fuzz run: every kind of file and folder that is read, as written by anndata, scpoli and
// CellRanger.
import { mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { AnnData } from "../dist/anndata/anndata.js";
import { convert } from "../dist/api/convert.js";
import { runPython } from "./python/environment.ts";
import { writeTenxFolder, writeTenxH5 } from "./tenx.ts";

/** Paths by kind. */
export interface FuzzSources {
  readonly h5ad: readonly string[];
  readonly zarr: readonly string[];
  readonly tenx: readonly string[];
}

/** @param folder - an empty one */
export async function makeFuzzSources(folder: string): Promise<FuzzSources> {
  const [h5ad, zarr, tenx] = ["h5ad", "zarr", "tenx"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  for (const path of [h5ad, zarr, tenx]) mkdirSync(path);
  runPython("anndata_files.py", "make", h5ad);
  runPython("linked_files.py", h5ad);
  const others = join(folder, "others");
  mkdirSync(others);
  runPython("other_files.py", others);
  runPython("zarr_files.py", "make", zarr);
  const data = await AnnData.open(join(h5ad, "full.h5ad"));
  await convert(data, join(zarr, "collection.zarr"), {
    shuffle: true,
    shardSizes: { chunk: 64, shard: 256 },
  });
  data.close();
  const list = (path: string, ending: RegExp): string[] =>
    readdirSync(path)
      .filter((name) => ending.test(name))
      .sort()
      .map((name) => join(path, name));
  const filters = fileURLToPath(new URL("fixtures/filters.h5ad", import.meta.url));
  return {
    h5ad: [
      ...list(h5ad, /\.h5ad$/).filter((path) => statSync(path).size > 1000),
      filters,
      join(others, "both.h5mu"),
    ],
    zarr: list(zarr, /\.(zarr|zip)$/),
    tenx: [
      await writeTenxH5(join(tenx, "v3.h5"), "matrix"),
      await writeTenxH5(join(tenx, "v2.h5"), "GRCh38"),
      writeTenxFolder(join(tenx, "new"), true),
      writeTenxFolder(join(tenx, "old"), false),
    ],
  };
}
