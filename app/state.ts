// State of the page, as signals. The work of a user is one immutable object, `work`; undo restores an
// earlier one.
import { computed, signal } from "@preact/signals";
import { theme } from "./theme.js";
import { withUnknownShare, type EpochLosses, type Note, type Progress, type Verdict } from "scpoli";
import type {
  AddedType,
  CellColumn,
  Coverage,
  DataInfo,
  LevelResult,
  Limit,
  LocalFile,
  MappingResult,
  MapRequest,
  ModelInfo,
  SampleMeans,
} from "./protocol.js";

export { theme };

/** Panels beside the cells. */
export type Tab = "overview" | "unknown" | "types" | "genes" | "compare" | "samples" | "metrics";

export type Step = "open" | "train" | "map" | "explore" | "save";

/** A file of cells and what the user wants of its columns. */
export interface DataFile {
  readonly files: readonly LocalFile[];
  readonly info: DataInfo;
  /** as a reference: obs columns of conditions and cell types */
  readonly conditionKeys: readonly string[];
  readonly cellTypeKeys: readonly string[];
  /** as a query: obs column of each condition key of the model */
  readonly conditionColumns: Readonly<Record<string, string>>;
  /**
   * the sample that all cells are of, where no column is chosen; missing in sessions saved by earlier
   * versions
   */
  readonly sampleName?: string;
  readonly coverage: Coverage | null;
}

/** Labels that a user gives cells by hand, whatever the model says; it stays as it is. */
export interface Annotation {
  /** column of obs that they are saved in */
  readonly title: string;
  readonly names: readonly string[];
  /** (N) label of each cell, -1 for none */
  readonly codes: Int32Array;
}

/** What the cells are coloured by. */
export type ColourBy =
  | {
      readonly kind: "predicted" | "nearest" | "head" | "uncertainty" | "novelty" | "probability";
      readonly level: number;
    }
  | { readonly kind: "condition"; readonly key: number }
  | { readonly kind: "cluster" }
  | { readonly kind: "annotation" }
  | { readonly kind: "column"; readonly name: string }
  | { readonly kind: "gene"; readonly name: string };

/** Cells that were selected, and how, in words. */
export interface Selection {
  readonly cells: Uint32Array;
  readonly how: string;
}

/** Cells that are shown: those of some groups, or with a number in a range. */
export interface Filter {
  readonly by: ColourBy;
  /** groups that are hidden, by name */
  readonly hidden: readonly string[];
  /** numbers that are shown; null: all */
  readonly range: readonly [number, number] | null;
}

/** How the cells are looked at and judged. */
export interface View {
  readonly colourBy: ColourBy;
  /** level whose novelty the histogram shows */
  readonly level: number;
  /** per level; null: no cell is unknown */
  readonly thresholds: readonly Limit[];
  readonly selection: Selection | null;
  /** names of the legend that are shown alone; empty: all */
  readonly isolated: readonly string[];
  readonly reference: "grey" | "coloured" | "hidden";
  readonly filters: readonly Filter[];
  /** genes that are looked at side by side */
  readonly genes: readonly string[];
  /** key of obsm in the query's file that is drawn as a second map; null: none */
  readonly secondMap: string | null;
  readonly showPrototypes: boolean;
  readonly showLabels: boolean;
}

export interface Work {
  readonly reference: DataFile | null;
  readonly query: DataFile | null;
  readonly model: ModelInfo | null;
  readonly result: MappingResult | null;
  /** what the result was asked for with */
  readonly request: MapRequest;
  /** cell types added to the mapped model since the mapping, in order */
  readonly addedTypes: readonly AddedType[];
  readonly annotation: Annotation | null;
  readonly view: View;
}

export interface JobState {
  readonly verb: string;
  readonly progress: Progress | null;
  /** one entry per epoch of the job so far */
  readonly losses: readonly { readonly epoch: number; readonly losses: EpochLosses }[];
  readonly notes: readonly Note[];
  readonly status: "running" | "pausing" | "paused" | "finishing";
}

export interface Message {
  readonly id: number;
  readonly level: "error" | "warning" | "info";
  readonly title: string;
  readonly text: string;
  /** name of the file that the message is about */
  readonly about?: string | undefined;
}

export const emptyView: View = {
  colourBy: { kind: "predicted", level: 0 },
  level: 0,
  thresholds: [],
  selection: null,
  isolated: [],
  reference: "grey",
  filters: [],
  genes: [],
  secondMap: null,
  showPrototypes: true,
  showLabels: true,
};
export const nothing: Work = {
  reference: null,
  query: null,
  model: null,
  result: null,
  request: {},
  addedTypes: [],
  annotation: null,
  view: emptyView,
};

export const work = signal<Work>(nothing);
export const step = signal<Step>("open");
export const tab = signal<Tab>("overview");
export const job = signal<JobState | null>(null);
export const messages = signal<readonly Message[]>([]);
/** Text for screen readers. */
export const announcement = signal("");
/** Columns and genes of the query that have been read. */
export const columns = signal<ReadonlyMap<string, CellColumn>>(new Map());
export const expressions = signal<ReadonlyMap<string, Float32Array>>(new Map());
/** By key of obsm, (N, 2) positions of the query's cells that have been read. */
export const embeddings = signal<ReadonlyMap<string, Float32Array>>(new Map());
/** By gene, the mean expression in the reference's samples where its cells are open. */
export const referenceMeans = signal<ReadonlyMap<string, SampleMeans>>(new Map());
/** Whether there are results that no file holds yet. */
export const isUnsaved = signal(false);

/* ---- undo ---- */

interface Past {
  readonly label: string;
  readonly work: Work;
}
const deepest = 60;
const past = signal<readonly Past[]>([]);
const future = signal<readonly Past[]>([]);
export const undoLabel = computed(() => past.value.at(-1)?.label ?? null);
export const redoLabel = computed(() => future.value.at(-1)?.label ?? null);
let lastLabel = "";

/**
 * Changes the work by a step that can be undone.
 * @param options.joins - steps of one gesture (a dragged threshold) become one
 */
export function change(
  label: string,
  next: Partial<Work>,
  { joins = false }: { readonly joins?: boolean } = {},
): void {
  if (!joins || lastLabel !== label || past.value.length === 0)
    past.value = [...past.value.slice(-deepest + 1), { label, work: work.value }];
  lastLabel = label;
  future.value = [];
  work.value = { ...work.value, ...next };
}

export function changeView(label: string, next: Partial<View>, options?: { readonly joins?: boolean }): void {
  change(label, { view: { ...work.value.view, ...next } }, options);
}

/** Ends a gesture: the next change of the same name is a step of its own. */
export function endGesture(): void {
  lastLabel = "";
}

export function undo(): void {
  const step = past.value.at(-1);
  if (!step) return;
  past.value = past.value.slice(0, -1);
  future.value = [...future.value, { label: step.label, work: work.value }];
  work.value = step.work;
  endGesture();
  announcement.value = `Undone: ${step.label}`;
}

export function redo(): void {
  const step = future.value.at(-1);
  if (!step) return;
  future.value = future.value.slice(0, -1);
  past.value = [...past.value, { label: step.label, work: work.value }];
  work.value = step.work;
  endGesture();
  announcement.value = `Redone: ${step.label}`;
}

/** Replaces everything, as when a session is opened. */
export function replaceWork(next: Work): void {
  past.value = [];
  future.value = [];
  work.value = next;
  columns.value = new Map();
  expressions.value = new Map();
  embeddings.value = new Map();
  referenceMeans.value = new Map();
}

/* ---- messages ---- */

let nextMessage = 1;

/** How long a message stays, in ms: errors stay until something is done about them. */
const lifetimes = { info: 9_000, warning: 30_000, error: Infinity } as const;

/** @param about - name of the file that the message is about; it is dismissed with the file */
export function tell(level: Message["level"], title: string, text = "", about?: string): void {
  const same = messages.value.find((message) => message.title === title && message.text === text);
  if (same) return;
  const id = nextMessage++;
  messages.value = [...messages.value.slice(-3), { id, level, title, text, about }];
  if (Number.isFinite(lifetimes[level])) setTimeout(() => dismiss(id), lifetimes[level]);
}

/** Called when something succeeds. */
export function dismissErrors(): void {
  messages.value = messages.value.filter(({ level }) => level !== "error");
}

/** Dismisses the messages about a file. */
export function dismissOld(about: string): void {
  messages.value = messages.value.filter((message) => message.about !== about);
}

export function dismiss(id: number): void {
  messages.value = messages.value.filter((message) => message.id !== id);
}

/* ---- what follows from the work ---- */

/** Per level, 1 where a cell is unknown by the threshold of now. */
export const unknown = computed<readonly Uint8Array[]>(() => {
  const { result, view } = work.value;
  return (result?.levels ?? []).map((level, l) => flagsAt(level, view.thresholds[l] ?? null));
});

/**
 * At the library's threshold the library's flags. At another one the cells above it, and those flagged at any
 * threshold: cells with hardly any counts.
 */
function flagsAt(
  { flagged, predicted, unknown: libraryFlags, threshold }: LevelResult,
  now: Limit,
): Uint8Array {
  if (now === threshold) return libraryFlags;
  if (!flagged || now === null) return new Uint8Array(predicted.length);
  return Uint8Array.from(flagged.values, (value, cell) => {
    const isShallow = libraryFlags[cell] === 1 && threshold !== null && !(value > threshold);
    return value > now || isShallow ? 1 : 0;
  });
}

/** The verdict with the flags of now. */
export const verdict = computed<Verdict | null>(() => {
  const { result, view } = work.value;
  const [level] = result?.levels ?? [];
  if (!result || !level || (view.thresholds[0] ?? null) === level.threshold) return result?.verdict ?? null;
  const [flags] = unknown.value;
  const isFlagging = flags !== undefined && (view.thresholds[0] ?? null) !== null;
  return withUnknownShare(
    result.verdict,
    isFlagging ? flags.reduce((sum, flag) => sum + flag, 0) / Math.max(1, result.cells) : null,
  );
});

export const isBusy = computed(() => job.value !== null && job.value.status !== "paused");
