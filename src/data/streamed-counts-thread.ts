// Worker thread of streamed-counts.ts: opens the file again and reads ahead of the training.
import { produceItems } from "#platform";
import { AnnData } from "../anndata/anndata.js";
import { openPlace } from "./count-places.js";
import { readInOrder, type OrderedRows, type OrderTask } from "./ordered-rows.js";

await produceItems<OrderTask, OrderedRows>(async function* (task, spare) {
  const data = await AnnData.open(task.path);
  try {
    yield* readInOrder({ ...openPlace(data, task.name), values: task.values }, task, spare);
  } finally {
    data.close();
  }
});
