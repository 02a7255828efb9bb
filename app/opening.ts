// Opens cells, models and saved sessions; the kind of a dropped file decides.
import { coverageLimits } from "./checks.js";
import { newDataFile, proposedColumns } from "./conditions.js";
import { kindOf } from "./files.js";
import { guarded, working } from "./job-status.js";
import type { LocalFile, ModelInfo } from "./protocol.js";
import { openSession } from "./session.js";
import {
  announcement,
  change,
  columns,
  dismissErrors,
  dismissOld,
  embeddings,
  emptyView,
  expressions,
  isUnsaved,
  job,
  referenceMeans,
  step,
  tell,
  work,
  type DataFile,
} from "./state.js";
import { count, percent } from "./text.js";
import { pageWords } from "./words.js";
import { JobError } from "./worker/errors.js";

export type Role = "query" | "reference" | "model";

/**
 * Opens what was dropped or picked, as what it is; cells take the role of the place where they were dropped.
 */
export async function openFiles(files: readonly LocalFile[], role: Role): Promise<void> {
  if (files.length === 0) return;
  if (job.value)
    return tell("info", `${job.value.verb} is not done yet`, "Files can be opened when it has ended.");
  const kind = kindOf(files);
  dismissErrors();
  await guarded(`${files[0]!.path.split("/")[0]} could not be opened`, async () => {
    if (kind === "session") return openSavedSession(files[0]!.file);
    if (kind === "model" || role === "model") return openModelFiles(files);
    return openCells(files, role);
  });
}

async function openSavedSession(file: File): Promise<void> {
  await openSession(file);
  isUnsaved.value = false;
  step.value = work.value.result ? "explore" : "open";
  announcement.value = "The saved session is open.";
}

export async function openCells(files: readonly LocalFile[], role: "query" | "reference"): Promise<void> {
  const info = await working(`Looking into ${files[0]!.path.split("/")[0]}`, ({ jobs }) =>
    jobs.inspectFiles(files),
  );
  const file = newDataFile(files, info, work.value.model);
  const { query } = work.value;
  // the file that a saved session was made of
  const isBack =
    role === "query" &&
    query?.files.length === 0 &&
    query.info.name === info.name &&
    query.info.inspection.cells === info.inspection.cells;
  if (isBack) return giveBack(files, info);
  if (query) dismissOld(query.info.name);
  change(
    `open ${info.name}`,
    role === "query"
      ? { query: file, result: null, request: {}, addedTypes: [], annotation: null, view: emptyView }
      : { reference: file },
  );
  if (role === "query") {
    columns.value = expressions.value = new Map();
    embeddings.value = new Map();
  } else referenceMeans.value = new Map();
  const { cells, genes } = info.inspection;
  announcement.value = `${info.name}: ${count(cells)} cells, ${count(genes)} genes.`;
  if (role === "query") await lookAtCoverage();
}

/** Chooses the file of a reopened session's cells again. */
export async function chooseAgain(files: readonly LocalFile[]): Promise<void> {
  const { query } = work.value;
  if (files.length === 0 || !query || job.value) return;
  dismissErrors();
  await guarded(`${files[0]!.path.split("/")[0]} could not be opened`, async () => {
    const info = await working(`Looking into ${files[0]!.path.split("/")[0]}`, ({ jobs }) =>
      jobs.inspectFiles(files),
    );
    const [cells, expected] = [info.inspection.cells, query.info.inspection.cells];
    if (cells !== expected)
      throw new JobError(
        "file",
        `${info.name} has ${count(cells)} cells; the results are of ${query.info.name} with ` +
          `${count(expected)}. Choose that file.`,
      );
    await giveBack(files, info);
  });
}

async function giveBack(files: readonly LocalFile[], info: DataFile["info"]): Promise<void> {
  work.value = { ...work.value, query: { ...work.value.query!, files, info } };
  announcement.value = `${info.name} is open again.`;
  if (!work.value.query!.coverage) await lookAtCoverage();
}

export async function openModelFiles(files: readonly LocalFile[]): Promise<void> {
  const { model, notes } = await working(`Reading the model ${files[0]!.path.split("/")[0]}`, ({ jobs }) =>
    jobs.loadModelFiles(files),
  );
  for (const { level, message } of notes)
    if (level === "warning") tell("warning", model.name, pageWords(message), model.name);
  await useModel(model, `open the model ${model.name}`);
}

/** Makes a model the reference of the next mapping. */
export async function useModel(model: ModelInfo, label: string): Promise<void> {
  const { query } = work.value;
  change(label, {
    model,
    query: query && { ...query, conditionColumns: proposedColumns(model, query.info), coverage: null },
  });
  announcement.value = `${model.name}: a model of ${count(model.genes.length)} genes.`;
  await lookAtCoverage();
}

async function lookAtCoverage(): Promise<void> {
  const { query, model } = work.value;
  if (!query || !model || query.files.length === 0) return;
  const coverage = await working("Comparing the genes", ({ jobs }) =>
    jobs.readCoverage(query.files, model.files),
  );
  if (work.value.query !== query || work.value.model !== model) return;
  work.value = { ...work.value, query: { ...query, coverage } };
  if (coverage.found / coverage.model < coverageLimits.warn)
    tell(
      "warning",
      `Only ${percent(coverage.found / coverage.model)} of the model's genes are in ${query.info.name}`,
      `Missing, for example: ${coverage.missing.slice(0, 6).join(", ")}. They count as zero.`,
      query.info.name,
    );
}

/** Opens a model or cells from an address of this site; the page's policy allows no other. */
export async function openAddress(address: string, role: Role): Promise<void> {
  await guarded("The address could not be opened", async () => {
    const url = new URL(address, document.baseURI);
    if (url.origin !== location.origin)
      throw new JobError(
        "refused",
        `${url.host} is another site, and this page talks to none but its own, so that nothing can leave ` +
          "this computer. Download the file there and open it here.",
      );
    const answer = await fetch(url);
    if (!answer.ok)
      throw new JobError(
        "file",
        `There is nothing at ${url.pathname} (${answer.status} ${answer.statusText}).`,
      );
    const name = url.pathname.split("/").at(-1) || "download";
    const files = [{ path: name, file: new File([await answer.blob()], name) }];
    if (kindOf(files) === "model" || role === "model") return openModelFiles(files);
    return openCells(files, role);
  });
}
