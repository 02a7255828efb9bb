// Converts raw counts and annotations of any readable file into a collection: a sharded AnnData-Zarr 3 store
// with its rows shuffled once and the smallest types that fit, so that sequential reads give mixed
// minibatches.
// Or into an .h5ad file, in the original order. Memory grows only with the annotations.
// Source: the idea of annbatch (scverse).
import { provideWorkThreads } from "#threads";
import type { AnnData } from "../anndata/anndata.js";
import { checkOutputFile } from "../anndata/output-file.js";
import { writeH5ad } from "../anndata/write.js";
import { ScPoliError } from "../contract/errors.js";
import { checkOptionNames, convertOptionNames, runSettingNames } from "../contract/option-names.js";
import type { ConvertOptions } from "../contract/options.js";
import { countsFrom, findCounts, type CountsPlace } from "../data/count-places.js";
import { readAnnotations } from "./annotations.js";
import { checkedBlocks } from "./checked-blocks.js";
import { Collection, type Conversion } from "./collection.js";

provideWorkThreads();

/**
 * Writes the counts and annotations of a file to `output`: an .h5ad file if the name ends so, else a Zarr
 * collection.
 * @throws ScPoliError "counts" if there are none, "output", "refused" if `output` exists and `force` is not
 * set, "interrupted" (continue with `resume`)
 */
export async function convert(
  data: AnnData,
  output: string,
  options: ConvertOptions = {},
): Promise<Conversion> {
  checkOptionNames("convert", options, { ...runSettingNames, ...convertOptionNames });
  if (output.endsWith(".h5ad")) await checkOutputFile(output, "h5ad", options.force ?? false);
  const place = await findCounts(data, options.layer, {
    ...options,
    orAllFeatures: true,
    note: options.onNote,
  });
  for (const message of data.notes) options.onNote?.({ level: "info", message });
  options.onNote?.({ level: "info", message: `${countsFrom(place)}.` });
  return output.endsWith(".h5ad")
    ? toH5ad(data, place, output, options)
    : new Collection(data, place, output, options).write();
}

async function toH5ad(
  data: AnnData,
  place: CountsPlace,
  output: string,
  options: ConvertOptions,
): Promise<Conversion> {
  if (options.shuffle)
    throw new ScPoliError(
      "usage",
      "--shuffle writes Zarr collections only. Use an output name that ends with .zarr.",
    );
  let stored = 0;
  const X = async function* () {
    for await (const { start, block } of checkedBlocks(place, 0, options)) {
      stored += block.values.length;
      yield block;
      options.onProgress?.({ stage: "writing", done: start + block.rows, total: place.matrix.rows });
    }
  };
  await writeH5ad(
    output,
    { ...(await readAnnotations(data, place, null, options)), X: X() },
    { compression: 1, force: options.force },
  );
  return {
    cells: place.matrix.rows,
    genes: place.matrix.columns,
    stored,
    counts: place.name,
    shuffled: false,
    types: null,
  };
}
