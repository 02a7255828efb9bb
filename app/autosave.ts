// Autosave: the work is kept in IndexedDB, so that a reload or a crash loses nothing. Each tab has its own
// record; a new tab offers the newest record of the others.
import { effect, signal, untracked } from "@preact/signals";
import { answerSignals, keptAnswers, restoreAnswers, type KeptAnswers } from "./kept-answers.js";
import { readColumnOrGene, readGenes } from "./reading.js";
import { reopenedView } from "./session.js";
import {
  announcement,
  changeView,
  isUnsaved,
  job,
  nothing,
  replaceWork,
  step,
  tell,
  work,
  type Step,
  type Work,
} from "./state.js";

const database = "scpoli";
/** Larger files are not copied into the browser's storage: they are chosen again. */
const mostKept = 600 * 2 ** 20;
const mostRecords = 2;
const waitMs = 700;

/** Large parts, each written only when it has changed. */
const workParts = ["query", "reference", "model", "result", "annotation"] as const;
const parts = [...workParts, "answers"] as const;
type WorkPart = (typeof workParts)[number];
type Part = (typeof parts)[number];

interface WorkRecord {
  readonly tab: string;
  readonly saved: Date;
  readonly step: Step;
  readonly isUnsaved: boolean;
  /** what it is, in words */
  readonly what: string;
  readonly rest: Omit<Work, WorkPart>;
}

/** Work of an earlier visit, offered to continue. */
export const earlier = signal<WorkRecord | null>(null);
/** When the work was last written. */
export const kept = signal<Date | null>(null);
/** Whether everything is kept: false from a change until it is written. */
export const isKept = signal(false);
// for tests
effect(() => void (document.documentElement.dataset["kept"] = isKept.value ? "yes" : "no"));

/** The same through reloads of this tab, another in every other tab. */
function tabId(): string {
  const key = "scpoli-tab";
  const id = sessionStorage.getItem(key) ?? crypto.randomUUID();
  sessionStorage.setItem(key, id);
  return id;
}

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(database, 1);
    request.addEventListener("upgradeneeded", () => {
      request.result.createObjectStore("records", { keyPath: "tab" });
      request.result.createObjectStore("parts");
    });
    request.addEventListener("success", () => resolve(request.result));
    request.addEventListener("error", () => reject(request.error!));
  });
}

type Stores = Readonly<Record<"records" | "parts", IDBObjectStore>>;

/** One transaction over both stores. */
async function ask<T>(
  mode: IDBTransactionMode,
  use: (stores: Stores) => readonly IDBRequest<T>[],
): Promise<T[]> {
  const opened = await open();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = opened.transaction(["records", "parts"], mode);
      const requests = use({
        records: transaction.objectStore("records"),
        parts: transaction.objectStore("parts"),
      });
      transaction.addEventListener("complete", () => resolve(requests.map(({ result }) => result)));
      transaction.addEventListener("error", () => reject(transaction.error!));
      transaction.addEventListener("abort", () => reject(transaction.error!));
    });
  } finally {
    opened.close();
  }
}

const keyOf = (tab: string, part: Part): string => `${tab} ${part}`;

async function allRecords(): Promise<WorkRecord[]> {
  const [records] = await ask("readonly", (stores) => [stores.records.getAll()]);
  return (records as WorkRecord[]).toSorted((a, b) => Number(b.saved) - Number(a.saved));
}

interface KeptWork {
  readonly work: Work;
  readonly answers: KeptAnswers | undefined;
}

async function readWork({ tab, rest }: WorkRecord): Promise<KeptWork> {
  const values = await ask("readonly", (stores) => parts.map((part) => stores.parts.get(keyOf(tab, part))));
  const { answers, ...saved } = Object.fromEntries(parts.map((part, i) => [part, values[i] ?? null]));
  return { work: { ...nothing, ...rest, ...saved }, answers: (answers as KeptAnswers | null) ?? undefined };
}

async function forget(tab: string): Promise<void> {
  await ask<undefined>("readwrite", (stores) => [
    stores.records.delete(tab),
    ...parts.map((part) => stores.parts.delete(keyOf(tab, part))),
  ]);
}

/** The work without files too large for the browser's storage. */
function small(now: Work): Work {
  const bytes = (files: readonly { readonly file: File }[]): number =>
    files.reduce((sum, { file }) => sum + file.size, 0);
  const { query, reference } = now;
  return {
    ...now,
    query: query && bytes(query.files) > mostKept ? { ...query, files: [] } : query,
    reference: reference && bytes(reference.files) > mostKept ? null : reference,
  };
}

/** Restores the work of this tab after a reload, then saves every change. */
export async function startAutosave(): Promise<void> {
  let tab: string;
  try {
    tab = tabId();
    const records = await allRecords();
    const present = records.find((record) => record.tab === tab);
    const { query, model, reference } = work.peek();
    if (present && !query && !model && !reference) restore(present, await readWork(present));
    const newest = records.find((record) => record.tab !== tab);
    if (newest && !present) earlier.value = newest;
  } catch {
    return; // private windows of some browsers keep nothing
  }
  let waiting: ReturnType<typeof setTimeout> | undefined;
  effect(() => {
    const state = currentState();
    clearTimeout(waiting);
    isKept.value = false;
    waiting = setTimeout(() => void keep(tab, state), waitMs);
  });
}

interface State {
  readonly work: Work;
  readonly step: Step;
  readonly isUnsaved: boolean;
  /** values of the signals that hold answers, and what answers are about */
  readonly answers: readonly unknown[];
}

const currentState = (): State => ({
  work: work.value,
  step: step.value,
  isUnsaved: isUnsaved.value,
  answers: [
    ...answerSignals.map(({ value }) => value),
    work.value.result,
    work.value.query?.files,
    work.value.view.selection?.cells,
  ],
});

const areSame = (a: readonly unknown[], b: readonly unknown[]): boolean =>
  a.length === b.length && a.every((value, i) => value === b[i]);

/** What was written last. */
let written: { readonly work: Partial<Work>; readonly answers: readonly unknown[] } = {
  work: {},
  answers: [],
};

async function keep(tab: string, state: State): Promise<void> {
  const { work: now, step: shownStep, answers } = state;
  try {
    if (!now.query && !now.reference && !now.model) {
      written = { work: {}, answers: [] };
      return await forget(tab);
    }
    const stored = small(now);
    const { query: _, reference: __, model: ___, result: ____, annotation: _____, ...rest } = stored;
    const record: WorkRecord = {
      tab,
      saved: new Date(),
      step: shownStep,
      isUnsaved: state.isUnsaved,
      what: describe(now),
      rest,
    };
    await ask<IDBValidKey>("readwrite", (stores) => [
      stores.records.put(record),
      ...workParts
        .filter((part) => written.work[part] !== now[part])
        .map((part) => stores.parts.put(stored[part], keyOf(tab, part))),
      ...(areSame(written.answers, answers) ? [] : [stores.parts.put(keptAnswers(), keyOf(tab, "answers"))]),
    ]);
    written = { work: now, answers };
    kept.value = record.saved;
    const present = untracked(currentState);
    isKept.value = present.work === now && present.step === shownStep && areSame(present.answers, answers);
    for (const old of (await allRecords()).slice(mostRecords)) await forget(old.tab);
  } catch {
    kept.value = null; // the storage is full or forbidden: leaving the page asks first
  }
}

const describe = ({ query, model }: Work): string =>
  [query && `${query.info.name}, ${query.info.inspection.cells.toLocaleString("en-US")} cells`, model?.name]
    .filter(Boolean)
    .join(" on ");

function restore({ step: at, isUnsaved: wasUnsaved }: WorkRecord, { work: before, answers }: KeptWork): void {
  const { colourBy, genes, filters } = before.view;
  replaceWork({ ...before, view: reopenedView(before) });
  restoreAnswers(answers);
  isUnsaved.value = wasUnsaved;
  step.value = at;
  announcement.value = "Your work is back.";
  void (async () => {
    if (!before.query || before.query.files.length === 0 || job.value) return;
    const isThere = await Promise.all(filters.map(({ by }) => readColumnOrGene(by)));
    if (await readColumnOrGene(colourBy))
      work.value = { ...work.value, view: { ...work.value.view, colourBy } };
    if (genes.length > 0 && (await readGenes(genes))) changeView("look at genes", { genes });
    if (filters.length > 0) changeView("filter the cells", { filters: filters.filter((_, i) => isThere[i]) });
  })();
}

/** Continues the work of an earlier visit. */
export async function openEarlier(): Promise<void> {
  const wanted = earlier.value;
  earlier.value = null;
  if (!wanted) return;
  try {
    restore(wanted, await readWork(wanted));
  } catch (error) {
    tell("error", "The earlier work could not be opened", String(error));
  }
}

/** Forgets everything, here and in the browser's storage. */
export function startAfresh(): void {
  replaceWork(nothing);
  restoreAnswers(undefined);
  isUnsaved.value = false;
  step.value = "open";
  earlier.value = null;
}
