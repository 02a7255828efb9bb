// Mapping the query onto the model, and naming cell types in the mapped model.
import { queryConditions } from "./conditions.js";
import { begin, report, reportNote, reportProgress } from "./job-status.js";
import { startSession, type Session } from "./jobs.js";
import { useModel } from "./opening.js";
import type { AddedType, MappingResult, MapRequest } from "./protocol.js";
import { announcement, change, emptyView, isUnsaved, job, step, tell, work } from "./state.js";
import { count, counted } from "./text.js";

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
    showResult(result, "map the query", request, []);
    step.value = "explore";
  });
}

/** Makes cells a cell type of the mapped model and labels the query again. */
export async function addCellType(type: AddedType): Promise<void> {
  const { query, result, request, addedTypes } = work.value;
  if (!query || !result || job.value) return;
  const before = result;
  const { name } = type;
  await withMapping(`Adding the type ${name}`, async ({ jobs, listener }) => {
    const named = await jobs.nameCellType(
      query.files,
      result.model.files,
      result.model.name,
      type,
      { ...request, ...queryConditions(query, Object.keys(result.model.summary.conditions)) },
      listener,
    );
    showResult(named, `add the type ${name}`, request, [...addedTypes, type]);
    tell(
      "info",
      `${name} is a cell type of the model now`,
      `${relabelled(before, named, name)} Undo (Ctrl+Z) takes it back.`,
    );
  });
}

/** Makes the mapped model the reference of the next query. */
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

/** Labels before and after, so that a user notices when a new type takes cells of another. */
function relabelled(before: MappingResult, after: MappingResult, name: string): string {
  const level = after.levels.findIndex(({ types }) => types.includes(name));
  const [old, now] = [before.levels[level], after.levels[level]];
  if (!old || !now) return "";
  const type = now.types.indexOf(name);
  const from = new Map<string, number>();
  let cells = 0;
  now.predicted.forEach((code, cell) => {
    if (code !== type) return;
    cells++;
    const was = old.types[old.predicted[cell]!]!;
    from.set(was, (from.get(was) ?? 0) + 1);
  });
  const sources = [...from].sort(([, a], [, b]) => b - a);
  const words = sources.slice(0, 3).map(([was, n]) => `${count(n)} were called ${was}`);
  const others = sources.slice(3).reduce((sum, [, n]) => sum + n, 0);
  if (others > 0) words.push(`${count(others)} something else`);
  return `${counted(cells, "cell")} got this label; before, ${words.join(", ")}.`;
}

export function stopMapping(): void {
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
    stopMapping();
  }
}

function showResult(
  result: MappingResult,
  label: string,
  request: MapRequest,
  addedTypes: readonly AddedType[],
): void {
  isUnsaved.value = true;
  const thresholds = result.levels.map(({ threshold }) => threshold);
  const hasLevels = result.levels.length > 0;
  const { view, result: before, annotation } = work.value;
  const isSameCells = before?.cells === result.cells && label !== "map the query";
  change(label, {
    result,
    request,
    addedTypes,
    annotation: isSameCells ? annotation : null,
    view: {
      ...emptyView,
      reference: view.reference,
      genes: view.genes,
      thresholds,
      colourBy: hasLevels ? { kind: "predicted", level: 0 } : { kind: "condition", key: 0 },
    },
  });
  announcement.value = `Mapped ${count(result.cells)} cells; the verdict is ${result.verdict.light}.`;
}
