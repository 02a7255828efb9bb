// The thread of streamed-counts.ts: opens the file again and reads blocks ahead of the training.
import { giveItems } from "#platform";
import { AnnData } from "../anndata/anndata.js";
import { openPlace } from "./count-places.js";
import { readBlocks, type BlocksRead, type BlocksTask } from "./streamed-counts.js";

await giveItems<BlocksTask, BlocksRead>(async function* (task) {
  const data = await AnnData.open(task.path);
  try {
    yield* readBlocks({ ...openPlace(data, task.name), values: task.values }, task);
  } finally {
    data.close();
  }
});
