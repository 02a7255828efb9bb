// The cells that are picked: how many, what they are called, where they come from, and a name for them.
import { addToModel, nameCells } from "../actions.js";
import { Icon } from "../icons.js";
import type { MappingResult } from "../protocol.js";
import { isBusy, unknown, work } from "../state.js";
import { count, counted, percent } from "../text.js";
import { useState } from "preact/hooks";
import { pick } from "./cells.js";

/** @param canName - whether a name may be given here */
export function SelectionPanel({
  result,
  canName,
}: {
  readonly result: MappingResult;
  readonly canName: boolean;
}) {
  const { selection, level } = work.value.view;
  if (!selection) return null;
  const { cells, how } = selection;
  const own = result.levels[level];
  const flagged = unknown.value[level];
  const unknownCount = flagged ? cells.reduce((sum, cell) => sum + flagged[cell]!, 0) : 0;
  return (
    <section class="selection" aria-labelledby="selection-title">
      <header class="row">
        <h3 id="selection-title">
          {counted(cells.length, "cell")} picked{" "}
          <span class="hint">
            {how}, {percent(cells.length / result.cells)} of the query
          </span>
        </h3>
        <button
          class="quiet icon"
          aria-label="Pick none"
          title="Pick none (Escape)"
          onClick={() => pick(new Uint32Array(0), "")}
        >
          <Icon name="close" />
        </button>
      </header>
      <div class="columns-2 tight">
        {own && <Composition title={own.key} codes={own.predicted} names={own.types} cells={cells} />}
        {result.conditions.map(({ key, codes, names }) => (
          <Composition key={key} title={key} codes={codes} names={names} cells={cells} />
        ))}
      </div>
      {unknownCount > 0 && <p class="hint">{count(unknownCount)} of them unknown.</p>}
      {canName && <Naming level={own?.key} cells={{ rows: cells }} />}
    </section>
  );
}

/** Gives chosen cells a name of their own in the model. */
export function Naming({
  level,
  cells,
}: {
  readonly level: string | undefined;
  readonly cells: Parameters<typeof nameCells>[2];
}) {
  const [name, setName] = useState("");
  const submit = (event: Event): void => {
    event.preventDefault();
    if (name.trim() !== "") void nameCells(name.trim(), level, cells);
  };
  return (
    <form class="row tight naming" onSubmit={submit}>
      <input
        type="text"
        aria-label="Name of a new cell type for these cells"
        placeholder="name as a new cell type"
        value={name}
        onInput={(event) => setName(event.currentTarget.value)}
      />
      <button
        disabled={isBusy.value || name.trim() === ""}
        title="The mean of these cells becomes a prototype of the model, and all cells are labelled anew"
      >
        Name
      </button>
    </form>
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
          <li key={code}>
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
