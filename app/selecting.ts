// Selections of cells: by lasso, group or sample; added to or removed from the present selection.
import { computed } from "@preact/signals";
import { coloringBy } from "./coloring.js";
import { announcement, changeView, work, type Filter } from "./state.js";
import { counted } from "./text.js";

export type SelectionMode = "replace" | "add" | "remove";

/** Shift adds cells, Alt removes them. */
export function modeOf({
  shiftKey,
  altKey,
}: {
  readonly shiftKey: boolean;
  readonly altKey: boolean;
}): SelectionMode {
  return shiftKey ? "add" : altKey ? "remove" : "replace";
}

/** @param how - in words; cells that a filter hides are left out */
export function select(cells: Uint32Array, how: string, mode: SelectionMode = "replace"): void {
  const { selection } = work.value.view;
  const shown = visible.value ? cells.filter((cell) => visible.value![cell]) : cells;
  const next =
    mode === "replace" || !selection
      ? mode === "remove"
        ? new Uint32Array(0)
        : shown
      : combined(selection.cells, shown, mode);
  const words =
    mode === "replace" || !selection ? how : `${selection.how} ${mode === "add" ? "and" : "without"} ${how}`;
  changeView("select cells", { selection: next.length > 0 ? { cells: next, how: words } : null });
  announcement.value =
    next.length > 0 ? `${counted(next.length, "cell")} selected: ${words}.` : "No cells are selected.";
}

export function clearSelection(): void {
  if (work.value.view.selection) select(new Uint32Array(0), "");
}

function combined(before: Uint32Array, cells: Uint32Array, mode: "add" | "remove"): Uint32Array {
  const set = new Set(before);
  for (const cell of cells)
    if (mode === "add") set.add(cell);
    else set.delete(cell);
  return Uint32Array.from(set).sort();
}

export function cellsWhere(codes: ArrayLike<number>, code: number): Uint32Array {
  const cells: number[] = [];
  for (let cell = 0; cell < codes.length; cell++) if (codes[cell] === code) cells.push(cell);
  return Uint32Array.from(cells);
}

/** (N) 1 where every filter shows the cell; null without filters */
export const visible = computed<Uint8Array | null>(() => visibleBy(work.value.view.filters));

/** What filters show; @param filters - some of those of the view */
export function visibleBy(filters: readonly Filter[]): Uint8Array | null {
  const { result } = work.value;
  const active = filters.filter(({ hidden, range }) => hidden.length > 0 || range !== null);
  if (!result || active.length === 0) return null;
  const shown = new Uint8Array(result.cells).fill(1);
  for (const { by, hidden, range } of active) {
    const values = coloringBy(by);
    if (values?.groups) {
      const { entries, codes } = values.groups;
      const isHidden = entries.map(({ name }) => hidden.includes(name));
      for (let cell = 0; cell < codes.length; cell++) if (isHidden[codes[cell]!]) shown[cell] = 0;
    } else if (values?.range && range) {
      const [low, high] = range;
      values.range.values.forEach((value, cell) => {
        if (!(value >= low && value <= high)) shown[cell] = 0;
      });
    }
  }
  return shown;
}
