// What a user can do, each as one function: jobs are started, results and errors end up in the state.
import { coverageLimits } from "./checks.js";
import { proposedSample, queryConditions } from "./conditions.js";
import { kindOf } from "./files.js";
import { runJob, startSession, type Session } from "./jobs.js";
import type {
  CellColumn,
  LocalFile,
  MappingResult,
  MapRequest,
  ModelInfo,
  TrainRequest,
} from "./protocol.js";
import { openSession } from "./session.js";
import {
  announcement,
  change,
  changeView,
  columns,
  emptyView,
  expressions,
  isUnsaved,
  job,
  referenceMeans,
  replaceWork,
  step,
  tell,
  work,
  type ColourBy,
  type DataFile,
  type JobState,
} from "./state.js";
import { count, percent } from "./text.js";
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
  await guarded(`${files[0]!.path.split("/")[0]} could not be opened`, async () => {
    if (kind === "session") return openSavedSession(files[0]!.file);
    if (kind === "model" || role === "model") return openModelFiles(files);
    return openCells(files, role);
  });
}

async function openSavedSession(file: File): Promise<void> {
  const opened = await openSession(file);
  replaceWork(opened);
  isUnsaved.value = false;
  step.value = opened.result ? "explore" : "open";
  announcement.value = "The saved session is open.";
}

async function openCells(files: readonly LocalFile[], role: "query" | "reference"): Promise<void> {
  const info = await working(`Looking into ${files[0]!.path.split("/")[0]}`, ({ jobs }) =>
    jobs.inspectFiles(files),
  );
  const { condition_candidates: conditions, cell_type_candidates: types } = info.inspection;
  const { model } = work.value;
  const file: DataFile = {
    files,
    info,
    conditionKeys: conditions.slice(0, 1).map(({ name }) => name),
    cellTypeKeys: types.slice(0, 1).map(({ name }) => name),
    conditionColumns: model
      ? proposedColumns(
          model,
          info.inspection.columns.map(({ name }) => name),
          conditions.map(({ name }) => name),
        )
      : {},
    sampleName: proposedSample(info.name, info.inspection.columns.length),
    coverage: null,
  };
  const { query, result } = work.value;
  const isBack =
    role === "query" &&
    result !== null &&
    query?.files.length === 0 &&
    query.info.name === info.name &&
    query.info.inspection.cells === info.inspection.cells;
  // the file that a saved session was made of
  if (isBack) return change(`open ${info.name}`, { query: { ...query, files, info } });
  change(
    `open ${info.name}`,
    role === "query" ? { query: file, result: null, view: emptyView } : { reference: file },
  );
  if (role === "query") columns.value = expressions.value = new Map();
  else referenceMeans.value = new Map();
  announcement.value = `${info.name}: ${count(info.inspection.cells)} cells, ${count(info.inspection.genes)} genes.`;
  if (role === "query") await lookAtCoverage();
}

async function openModelFiles(files: readonly LocalFile[]): Promise<void> {
  const { model, notes } = await working(`Reading the model ${files[0]!.path.split("/")[0]}`, ({ jobs }) =>
    jobs.loadModelFiles(files),
  );
  for (const { level, message } of notes) if (level === "warning") tell("warning", model.name, message);
  await useModel(model, `open the model ${model.name}`);
}

/** Makes a model the one that queries are mapped onto. */
export async function useModel(model: ModelInfo, label: string): Promise<void> {
  const { query } = work.value;
  const names = query?.info.inspection.columns.map(({ name }) => name) ?? [];
  const conditionColumns = proposedColumns(
    model,
    names,
    query?.info.inspection.condition_candidates.map(({ name }) => name) ?? [],
  );
  change(label, { model, query: query && { ...query, conditionColumns, coverage: null } });
  announcement.value = `${model.name}: a model of ${count(model.genes.length)} genes.`;
  await lookAtCoverage();
}

/** For each condition key of the model the column of that name, else the likeliest. */
function proposedColumns(
  { summary }: ModelInfo,
  names: readonly string[],
  candidates: readonly string[],
): Record<string, string> {
  return Object.fromEntries(
    Object.keys(summary.conditions).map((key, k) => [
      key,
      names.includes(key) ? key : (candidates[k] ?? candidates[0] ?? ""),
    ]),
  );
}

async function lookAtCoverage(): Promise<void> {
  const { query, model } = work.value;
  if (!query || !model) return;
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
    );
}

/** The cells that come with the page. */
export async function openExample(): Promise<void> {
  await guarded("The example could not be opened", async () => {
    const files = await Promise.all(["kang_reference.h5ad", "kang_query.h5ad"].map(fetchFile));
    await openCells([files[0]!], "reference");
    await openCells([files[1]!], "query");
  });
}

async function fetchFile(name: string): Promise<LocalFile> {
  const answer = await fetch(new URL(`data/${name}`, document.baseURI));
  if (!answer.ok) throw new JobError("file", `${name} is not there (${answer.status} ${answer.statusText}).`);
  return { path: name, file: new File([await answer.blob()], name) };
}

/** Opens a model or cells from an address of this site; the page's policy allows no other. */
export async function openAddress(address: string, role: Role): Promise<void> {
  await guarded("The address could not be opened", async () => {
    const url = new URL(address, document.baseURI);
    if (url.origin !== location.origin)
      throw new JobError(
        "refused",
        `${url.host} is another site, and this page talks to none but its own, so that nothing can leave this computer. Download the file there and open it here.`,
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

/* ---- training ---- */

let training: Session | null = null;

export async function train(request: TrainRequest): Promise<void> {
  const { reference } = work.value;
  if (!reference || job.value) return;
  training = startSession({ onProgress: reportProgress, onNote: reportNote });
  const name = `${reference.info.name.replace(/\.(h5ad|zarr|zip|h5)$/g, "")}-model`;
  const { jobs, listener } = training;
  begin("Training");
  await untilTrained(() => jobs.trainModel(reference.files, name, request, listener));
}

/** Waits for the training; one that was paused stays, with its worker. */
async function untilTrained(start: () => Promise<ModelInfo>): Promise<void> {
  try {
    const model = await start();
    endTraining();
    isUnsaved.value = true;
    await useModel(model, "train a model");
  } catch (error) {
    if (error instanceof JobError && error.kind === "interrupted" && job.value?.status === "pausing") {
      setJob({ status: "paused" });
      announcement.value = "Training is paused.";
      return;
    }
    const wasStopped = training === null;
    endTraining();
    if (!wasStopped) report("Training stopped", error);
  }
}

export async function pauseTraining(): Promise<void> {
  setJob({ status: "pausing" });
  await training?.jobs.pauseTraining();
}

export async function continueTraining(): Promise<void> {
  const session = training;
  if (!session) return;
  setJob({ status: "running" });
  await untilTrained(() => session.jobs.continueTraining());
}

/** Ends the training after this epoch and keeps the model. */
export async function finishTraining(): Promise<void> {
  const session = training;
  if (!session) return;
  const wasPaused = job.value?.status === "paused";
  setJob({ status: "finishing" });
  await session.jobs.finishTraining();
  if (wasPaused) await untilTrained(() => session.jobs.continueTraining());
}

/** Ends the training; nothing is kept. */
export function discardTraining(): void {
  const session = training;
  training = null;
  session?.end();
  job.value = null;
}

function endTraining(): void {
  training?.end();
  training = null;
  job.value = null;
}

/* ---- mapping ---- */

let mapping: Session | null = null;

export async function map(request: MapRequest): Promise<void> {
  const { query, model } = work.value;
  if (!query || !model || job.value) return;
  await withMapping("Mapping", async ({ jobs, listener }) => {
    const result = await jobs.mapQuery(
      query.files,
      model.files,
      `${model.name}-with-query`,
      request,
      listener,
    );
    showResult(result, "map the query", request);
    step.value = "explore";
  });
}

/** What the last mapping was asked for, for what is computed after it. */
let lastRequest: MapRequest = {};

export async function nameCells(
  name: string,
  level: string | undefined,
  cells: { readonly clusters?: readonly number[]; readonly rows?: Uint32Array },
): Promise<void> {
  const { query, result } = work.value;
  if (!query || !result || job.value) return;
  await withMapping(`Naming ${name}`, async ({ jobs, listener }) => {
    const named = await jobs.nameCellType(
      query.files,
      result.model.files,
      result.model.name,
      { name, level, ...cells },
      { ...lastRequest, ...queryConditions(query, Object.keys(result.model.summary.conditions)) },
      listener,
    );
    showResult(named, `name ${name}`, lastRequest);
    announcement.value = `${name} is a cell type of the model now.`;
  });
}

/** Takes the mapped model as the one that the next query is mapped onto. */
export async function addToModel(): Promise<void> {
  const { result } = work.value;
  if (!result) return;
  await useModel(result.model, "add the query to the model");
  tell(
    "info",
    "The query is part of the model now",
    "The next query is mapped onto the reference with these samples and names. Save the model to keep it.",
  );
}

export function stopJob(): void {
  if (stopWorking) return stopWorking();
  if (training) return discardTraining();
  const session = mapping;
  mapping = null;
  session?.end();
  job.value = null;
}

async function withMapping(verb: string, run: (session: Session) => Promise<void>): Promise<void> {
  mapping = startSession({ onProgress: reportProgress, onNote: reportNote });
  begin(verb);
  try {
    await run(mapping);
  } catch (error) {
    if (mapping) report(`${verb} stopped`, error);
  } finally {
    stopJob();
  }
}

function showResult(result: MappingResult, label: string, request: MapRequest): void {
  lastRequest = request;
  isUnsaved.value = true;
  const thresholds = result.levels.map(({ threshold }) => threshold);
  const hasLevels = result.levels.length > 0;
  change(label, {
    result,
    view: {
      ...emptyView,
      thresholds,
      colourBy: hasLevels ? { kind: "predicted", level: 0 } : { kind: "condition", key: 0 },
    },
  });
  announcement.value = `Mapped ${count(result.cells)} cells; the verdict is ${result.verdict.light}.`;
}

/* ---- colours ---- */

/** Colours the cells by something, which is read first where it lies in the file. */
export async function colourBy(colour: ColourBy): Promise<void> {
  const { query } = work.value;
  await guarded("The cells could not be coloured", async () => {
    if (colour.kind === "column" && !columns.value.has(colour.name)) {
      const column = await withFiles(query, (files) =>
        runJob<CellColumn>(({ jobs }) => jobs.readColumn(files, colour.name)),
      );
      columns.value = new Map([...columns.value, [colour.name, column]]);
    }
    if (colour.kind === "gene" && !expressions.value.has(colour.name)) {
      const values = await withFiles(query, (files) =>
        working(`Reading ${colour.name}`, ({ jobs, listener }) =>
          jobs.readGene(files, colour.name, listener),
        ),
      );
      expressions.value = new Map([...expressions.value, [colour.name, values]]);
      await readReferenceMeans(colour.name);
    }
    changeView("change the colours", { colourBy: colour, isolated: [] });
  });
}

/** The gene in the reference's samples too, where its cells are open and have it. */
async function readReferenceMeans(gene: string): Promise<void> {
  const { reference, result } = work.value;
  const keys =
    result?.conditions
      .map(({ key }) => key)
      .filter((key) => reference?.info.inspection.columns.some(({ name }) => name === key)) ?? [];
  if (!reference || keys.length === 0) return;
  try {
    const means = await working(`Reading ${gene} of the reference`, ({ jobs, listener }) =>
      jobs.readGeneMeans(reference.files, gene, keys, listener),
    );
    referenceMeans.value = new Map([...referenceMeans.value, [gene, means]]);
  } catch (error) {
    // the reference lacks the gene: its samples stay grey
    if (!(error instanceof JobError && error.kind === "key")) throw error;
  }
}

async function withFiles<T>(
  query: DataFile | null,
  use: (files: readonly LocalFile[]) => Promise<T>,
): Promise<T> {
  if (!query || query.files.length === 0)
    throw new JobError(
      "file",
      "This needs the query's file. Open it again on the page Open: a saved session holds results, not counts.",
    );
  return use(query.files);
}

/* ---- how jobs show ---- */

function begin(verb: string): void {
  job.value = { verb, progress: null, losses: [], notes: [], status: "running" };
}

function setJob(next: Partial<JobState>): void {
  if (job.value) job.value = { ...job.value, ...next };
}

function reportProgress(progress: NonNullable<JobState["progress"]>): void {
  const current = job.value;
  if (!current) return;
  const { epoch, done, losses } = progress;
  const isEndOfEpoch = epoch !== undefined && losses && done === epoch;
  // an epoch may be told twice: by its last minibatch, with the losses of the one before, and by its end
  setJob({
    progress,
    ...(isEndOfEpoch && {
      losses: [...current.losses.filter((told) => told.epoch < epoch), { epoch, losses }],
    }),
  });
}

function reportNote(note: JobState["notes"][number]): void {
  setJob({ notes: [...(job.value?.notes ?? []), note] });
}

let stopWorking: (() => void) | null = null;

/**
 * A short job with its name on the page while it goes on; a training that is paused stays so behind it.
 * @throws JobError "interrupted" where it was cancelled
 */
export async function working<T>(verb: string, run: (session: Session) => Promise<T>): Promise<T> {
  const before = job.value;
  const cancelled = new Promise<never>(
    (_, reject) => (stopWorking = () => reject(new JobError("interrupted", `${verb} was cancelled.`))),
  );
  begin(verb);
  try {
    return await runJob((session) => Promise.race([run(session), cancelled]), {
      onProgress: reportProgress,
      onNote: reportNote,
    });
  } finally {
    job.value = before;
    stopWorking = null;
  }
}

/** Runs something that may fail; the page lives on. */
export async function guarded(title: string, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (error instanceof JobError && error.kind === "interrupted") announcement.value = error.message;
    else report(title, error);
  }
}

function report(title: string, error: unknown): void {
  tell("error", title, error instanceof Error ? error.message : String(error));
}
