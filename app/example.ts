// The example that comes with the page: blood cells, mapped onto a model when the page was built.
import { exampleFiles, sessionName } from "./example-files.js";
import { guarded } from "./job-status.js";
import { openCells } from "./opening.js";
import type { LocalFile } from "./protocol.js";
import { showSession } from "./session.js";
import { announcement, isUnsaved, job, step } from "./state.js";
import { count } from "./text.js";
import { JobError } from "./worker/errors.js";

/** The cells and the model that come with the page, mapped. */
export async function openExample(): Promise<void> {
  if (job.value) return;
  await guarded("The example could not be opened", async () => {
    const [session, query, model] = await Promise.all(
      [sessionName, exampleFiles.query, exampleFiles.model].map(fetchFile),
    );
    const { unpackSession } = await import("./session-file.js");
    const mapped = await unpackSession(session!.file);
    showSession({
      ...mapped,
      query: mapped.query && { ...mapped.query, files: [query!] },
      model: mapped.model && { ...mapped.model, files: [model!] },
    });
    isUnsaved.value = false; // it can be opened again at any time
    step.value = "explore";
    announcement.value = `The example is open: ${count(mapped.result?.cells ?? 0)} cells, mapped.`;
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
