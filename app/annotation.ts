// Manual labels: free-text names for cells, independent of the model's predictions. Each change can be
// undone.
import { coloringBy } from "./coloring.js";
import type { MappingResult } from "./protocol.js";
import { announcement, change, unknown, work, type Annotation } from "./state.js";
import { counted } from "./text.js";

const defaultTitle = "annotation";

function current(result: MappingResult): Annotation {
  return (
    work.value.annotation ?? { title: defaultTitle, names: [], codes: new Int32Array(result.cells).fill(-1) }
  );
}

/** Labels cells; an empty name removes their label. */
export function annotate(cells: Uint32Array, name: string): void {
  const { result } = work.value;
  if (!result) return;
  const before = current(result);
  const names = name === "" || before.names.includes(name) ? before.names : [...before.names, name];
  const codes = before.codes.slice();
  const code = name === "" ? -1 : names.indexOf(name);
  for (const cell of cells) codes[cell] = code;
  put(name === "" ? "remove labels" : `label ${name}`, { ...before, names, codes });
  announcement.value = `${counted(cells.length, "cell")} labelled ${name === "" ? "nothing" : name}.`;
}

/** Renames a label; the name of another label merges the two. */
export function renameLabel(from: string, to: string): void {
  const { annotation } = work.value;
  if (!annotation || to === "" || from === to) return;
  const names = annotation.names.map((name) => (name === from ? to : name));
  put(`rename ${from}`, { ...annotation, names });
}

export function renameAnnotation(title: string): void {
  const { result } = work.value;
  if (result && title.trim() !== "")
    put("rename the annotation", { ...current(result), title: title.trim() });
}

/** Labels every cell by the most frequent prediction in its cluster, "unknown" included. */
export function annotateByMajority(): void {
  const { result, view } = work.value;
  const level = result?.levels[view.level];
  if (!result?.clusters || !level) return;
  const flags = unknown.value[view.level];
  const votes = result.clusters.numbers.map(() => new Int32Array(level.types.length + 1));
  result.clusters.codes.forEach((cluster, cell) => {
    votes[cluster]![flags?.[cell] ? level.types.length : level.predicted[cell]!]!++;
  });
  const winners = votes.map((counts) => counts.indexOf(Math.max(...counts)));
  put("label clusters by majority", {
    title: work.value.annotation?.title ?? defaultTitle,
    names: [...level.types, "unknown"],
    codes: result.clusters.codes.map((cluster) => winners[cluster] ?? -1),
  });
}

/** Stores an annotation without unused and duplicate names. */
function put(label: string, { title, names, codes }: Annotation): void {
  const used = new Set<string>();
  for (const code of codes) if (code >= 0) used.add(names[code]!);
  const kept = [...new Set(names)].filter((name) => used.has(name));
  const rows = names.map((name) => kept.indexOf(name));
  change(label, {
    annotation: { title, names: kept, codes: codes.map((code) => (code < 0 ? -1 : rows[code]!)) },
    view: { ...work.value.view, colourBy: { kind: "annotation" }, isolated: [] },
  });
}

/** Cells with each label. */
export function labelCounts(): readonly { readonly name: string; readonly cells: number }[] {
  return (coloringBy({ kind: "annotation" })?.groups?.entries ?? []).filter(({ name }) =>
    work.value.annotation?.names.includes(name),
  );
}
