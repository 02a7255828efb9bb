// The cells that are selected: how many, what they are called, where they come from, their marker genes, and
// a label for them.
import { useState } from "preact/hooks";
import { addCellType, addToModel } from "../mapping.js";
import { annotate } from "../annotation.js";
import { predictedCodes, unknownName } from "../coloring.js";
import { Icon } from "../icons.js";
import type { AddedType, MappingResult } from "../protocol.js";
import { clearSelection } from "../selecting.js";
import { isBusy, unknown, work } from "../state.js";
import { count, counted, percent } from "../text.js";
import { CopyCommand } from "./copy-command.js";
import { SelectionMarkers } from "./marker-list.js";

export function SelectionPanel({ result }: { readonly result: MappingResult }) {
  const { selection, level } = work.value.view;
  if (!selection) return null;
  const { cells, how } = selection;
  const shownLevel = result.levels[level];
  return (
    <section class="selection" aria-labelledby="selection-title">
      <header class="row">
        <h3 id="selection-title">
          {counted(cells.length, "cell")} selected{" "}
          <span class="hint">
            {how}, {percent(cells.length / result.cells)} of the query
          </span>
        </h3>
        <button
          class="quiet icon"
          aria-label="Clear selection"
          title="Clear selection (Escape)"
          onClick={clearSelection}
        >
          <Icon name="close" />
        </button>
      </header>
      <div class="columns-2 tight">
        {shownLevel && (
          <Composition
            title={shownLevel.key}
            codes={predictedCodes(shownLevel, unknown.value[level])}
            names={[...shownLevel.types, unknownName]}
            cells={cells}
          />
        )}
        {result.conditions.map(({ key, codes, names }) => (
          <Composition key={key} title={key} codes={codes} names={names} cells={cells} />
        ))}
      </div>
      <SelectionMarkers cells={cells} how={how} />
      <LabelForm cells={cells} />
      <NewType level={shownLevel?.key} rows={cells} />
    </section>
  );
}

/** A label of the user's own; the model stays as it is. */
function LabelForm({ cells }: { readonly cells: Uint32Array }) {
  const [name, setName] = useState("");
  const submit = (event: Event): void => {
    event.preventDefault();
    if (name.trim() === "") return;
    annotate(cells, name.trim());
    setName("");
  };
  return (
    <form class="row tight naming" onSubmit={submit}>
      <input
        type="text"
        aria-label="Label for these cells"
        placeholder="label for these cells"
        list="labels"
        value={name}
        onInput={(event) => setName(event.currentTarget.value)}
      />
      <button
        disabled={name.trim() === ""}
        title="Labels these cells in a column of your own; the model and its predictions stay as they are"
      >
        Label
      </button>
      <datalist id="labels">
        {work.value.annotation?.names.map((one) => (
          <option key={one} value={one} />
        ))}
      </datalist>
    </form>
  );
}

/** What makes chosen cells a cell type of the model. */
function NewType({ level, rows }: Omit<AddedType, "name">) {
  const [name, setName] = useState("");
  const submit = (event: Event): void => {
    event.preventDefault();
    if (name.trim() !== "") void addCellType({ name: name.trim(), level, rows });
  };
  return (
    <form class="row tight naming" onSubmit={submit}>
      <input
        type="text"
        aria-label="Name of a new cell type of the model"
        placeholder="or: new type in the model"
        value={name}
        onInput={(event) => setName(event.currentTarget.value)}
      />
      <button
        disabled={isBusy.value || name.trim() === "" || !hasCounts()}
        title={
          hasCounts()
            ? "The mean of these cells becomes a prototype of the model, and all cells are labelled anew"
            : "Needs the file of your cells: choose it again"
        }
      >
        Add type
      </button>
    </form>
  );
}

function hasCounts(): boolean {
  return (work.value.query?.files.length ?? 0) > 0;
}

/** The types that were added, with what gives them on the command line. */
export function AddedTypes() {
  const { addedTypes } = work.value;
  if (addedTypes.length === 0) return null;
  return (
    <>
      <p class="hint">
        Added to the model:{" "}
        {addedTypes.map(({ name, rows }) => `${name} (${count(rows.length)} cells)`).join(", ")}.
      </p>
      <CopyCommand id="add-types" />
    </>
  );
}

/** Takes the mapped model, with its new samples and names, for the queries to come. */
export function AddToModel() {
  const { model, result } = work.value;
  const isAdded = model === result?.model;
  return (
    <button disabled={isBusy.value || isAdded} onClick={addToModel}>
      {isAdded ? "The query is in the model" : "Add the query to the model"}
    </button>
  );
}

const mostRows = 6;

function Composition({
  title,
  codes,
  names,
  cells,
}: {
  readonly title: string;
  readonly codes: Int32Array;
  readonly names: readonly string[];
  readonly cells: Uint32Array;
}) {
  const counts = new Map<number, number>();
  for (const cell of cells) counts.set(codes[cell]!, (counts.get(codes[cell]!) ?? 0) + 1);
  const rows = [...counts].sort(([, a], [, b]) => b - a);
  return (
    <div class="composition">
      <h4>{title}</h4>
      <ul>
        {rows.slice(0, mostRows).map(([code, n]) => (
          <li key={code} title={`${names[code] ?? "missing"}: ${count(n)} cells`}>
            <span class="text">{names[code] ?? "missing"}</span>
            <meter
              min={0}
              max={cells.length}
              value={n}
              aria-label={`${names[code] ?? "missing"}: ${count(n)} cells`}
            />
            <span class="amount">{count(n)}</span>
          </li>
        ))}
        {rows.length > mostRows && <li class="hint">and {rows.length - mostRows} more</li>}
      </ul>
    </div>
  );
}
