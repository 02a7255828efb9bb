// The example that comes with the page: blood cells, and a model to map them onto.
import { queryConditions } from "./conditions.js";
import { guarded } from "./job-status.js";
import { map } from "./mapping.js";
import { openCells, openModelFiles } from "./opening.js";
import type { LocalFile } from "./protocol.js";
import { isUnsaved, step, work } from "./state.js";
import { JobError } from "./worker/errors.js";

/** Enough for samples of the reference's own study, and done in a second or two. */
const exampleEpochs = 40;

/** The cells and the model that come with the page, mapped. */
export async function openExample(): Promise<void> {
  await guarded("The example could not be opened", async () => {
    const [model, query] = await Promise.all(["models/demo-blood-1.zip", "kang_query.h5ad"].map(fetchFile));
    await openModelFiles([model!]);
    await openCells([query!], "query");
    const { query: opened, model: known } = work.value;
    if (!opened || !known) return;
    await map({
      ...queryConditions(opened, Object.keys(known.summary.conditions)),
      unlabeledPrototypes: "leiden",
      epochs: exampleEpochs,
    });
    isUnsaved.value = false; // it can be opened again at any time
  });
}

/** Labelled cells to try a training on. */
export async function openExampleReference(): Promise<void> {
  await guarded("The example could not be opened", async () => {
    await openCells([await fetchFile("kang_reference.h5ad")], "reference");
    step.value = "train";
  });
}

async function fetchFile(name: string): Promise<LocalFile> {
  const answer = await fetch(new URL(`data/${name}`, document.baseURI));
  if (!answer.ok) throw new JobError("file", `${name} is not there (${answer.status} ${answer.statusText}).`);
  const path = name.split("/").at(-1)!;
  return { path, file: new File([await answer.blob()], path) };
}
