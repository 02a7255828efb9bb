// What the colours mean, and the choice of what they show. The legend is also a list of the groups for those
// who do not see the picture.
import { signal } from "@preact/signals";
import { colourBy } from "../reading.js";
import { coloring, type Groups, type Range } from "../coloring.js";
import { colourOfValue } from "../coloring.js";
import type { MappingResult } from "../protocol.js";
import { cellsWhere, clearSelection, modeOf, select, visible } from "../selecting.js";
import { changeView, isBusy, theme, work, type ColourBy } from "../state.js";
import { count, percent, short } from "../text.js";
import { ColourOptions } from "./colour-options.js";
import { Checkbox } from "./controls.js";
import { FilterPanel } from "./filters.js";
import { GeneField } from "./gene-field.js";
import { SecondMapChoice } from "./second-map.js";

export function Legend({ result }: { readonly result: MappingResult }) {
  const shown = coloring.value;
  return (
    <section class="legend" aria-labelledby="legend-title">
      <h2 id="legend-title" class="unseen">
        Colours
      </h2>
      <ColourChoice result={result} />
      <GeneField
        label="or by a gene"
        action="Show"
        onChoose={(name) => void colourBy({ kind: "gene", name })}
      />
      {shown?.groups && <GroupList groups={shown.groups} total={result.cells} />}
      {shown?.range && <Ramp title={shown.title} range={shown.range} />}
      <FilterPanel result={result} />
      <ShownParts hasReference={result.reference !== null} />
    </section>
  );
}

function ColourChoice({ result }: { readonly result: MappingResult }) {
  const { view } = work.value;
  const current = JSON.stringify(view.colourBy);
  return (
    <label class="stacked">
      <span>Colour by</span>
      <select
        value={current}
        disabled={isBusy.value}
        onChange={async ({ currentTarget }) => {
          await colourBy(JSON.parse(currentTarget.value) as ColourBy);
          // a choice that failed is not what is shown
          currentTarget.value = JSON.stringify(work.value.view.colourBy);
        }}
      >
        {view.colourBy.kind === "gene" && <option value={current}>gene {view.colourBy.name}</option>}
        <ColourOptions result={result} />
      </select>
    </label>
  );
}

/** Whether reference, prototypes and names are drawn. */
function ShownParts({ hasReference }: { readonly hasReference: boolean }) {
  const { view } = work.value;
  const shown = coloring.value;
  return (
    <fieldset class="switches">
      <legend class="unseen">What is shown</legend>
      {hasReference && (
        <label class="choice">
          <span>Reference</span>
          <select
            value={view.reference}
            onChange={(event) =>
              changeView("show the reference", {
                reference: event.currentTarget.value as typeof view.reference,
              })
            }
          >
            <option value="grey">grey</option>
            <option value="coloured">coloured</option>
            <option value="hidden">hidden</option>
          </select>
        </label>
      )}
      {view.reference === "coloured" && shown && !shown.groups?.reference && (
        <p class="hint">The model does not hold this for the reference's cells: they stay grey.</p>
      )}
      <SecondMapChoice />
      <Checkbox
        checked={view.showPrototypes}
        onChange={(showPrototypes) => changeView("show prototypes", { showPrototypes })}
        text="Prototypes, ◆"
      />
      <Checkbox
        checked={view.showLabels}
        onChange={(showLabels) => changeView("show names", { showLabels })}
        text="Names on clusters"
      />
    </fieldset>
  );
}

function Ramp({ title, range }: { readonly title: string; readonly range: Range }) {
  const { low, high, isExpression } = range;
  return (
    <div class="ramp">
      <p>{title}</p>
      <svg
        viewBox="0 0 220 12"
        preserveAspectRatio="none"
        shape-rendering="crispEdges"
        role="img"
        aria-label={`From ${short(low)}${isExpression ? ", grey," : ""} to ${short(high)}`}
      >
        {Array.from({ length: 55 }, (_, i) => (
          <rect
            key={i}
            x={i * 4}
            y="0"
            width="4.5"
            height="12"
            fill={colourOfValue(range, low + ((high - low) * i) / 54, theme.value)}
          />
        ))}
      </svg>
      <p class="ends">
        <span>
          {short(low)}
          {isExpression ? " (grey)" : ""}
        </span>
        <span>{short(high)}</span>
      </p>
    </div>
  );
}

/** From so many groups on they can be searched. */
const searchedFrom = 13;
const searched = signal("");

interface Row {
  readonly name: string;
  readonly colour: string;
  /** entry of the groups */
  readonly code: number;
  /** cells of the query that are shown */
  readonly cells: number;
  readonly reference: number | null;
}

/** The groups, most cells first; those of the reference alone below. */
function GroupList({ groups, total }: { readonly groups: Groups; readonly total: number }) {
  const { entries, codes } = groups;
  const shown = visible.value ? visibleCounts(groups, visible.value) : entries.map(({ cells }) => cells);
  const text = searched.value.trim().toLowerCase();
  const isSearched = entries.length >= searchedFrom;
  const rows = entries
    .map((entry, code): Row => ({ ...entry, code, cells: shown[code]! }))
    .filter(({ name }) => !isSearched || name.toLowerCase().includes(text));
  const ofQuery = rows.filter(({ code }) => entries[code]!.cells > 0).sort((a, b) => b.cells - a.cells);
  const ofReference = rows
    .filter(({ code, reference }) => entries[code]!.cells === 0 && (reference ?? 0) > 0)
    .sort((a, b) => b.reference! - a.reference!);
  return (
    <>
      {isSearched && (
        <input
          type="search"
          class="search"
          aria-label="Search the legend"
          placeholder={`Search ${entries.length} groups`}
          value={searched}
          onInput={(event) => (searched.value = event.currentTarget.value)}
        />
      )}
      <div class="groups">
        <ul>
          {ofQuery.map((row) => (
            <QueryRow key={row.name} row={row} codes={codes} total={total} />
          ))}
        </ul>
        {ofReference.length > 0 && (
          <>
            <p class="hint groups-title">Only in the reference</p>
            <ul>
              {ofReference.map((row) => (
                <ReferenceRow key={row.name} row={row} />
              ))}
            </ul>
          </>
        )}
        {rows.length === 0 && <p class="hint">No group has this in its name.</p>}
      </div>
      {work.value.view.isolated.length > 0 && (
        <button class="quiet" onClick={() => changeView("show groups alone", { isolated: [] })}>
          Show all groups
        </button>
      )}
    </>
  );
}

/** A click selects the group's cells, with Ctrl it is shown alone. */
function QueryRow({
  row: { name, colour, cells, code },
  codes,
  total,
}: {
  readonly row: Row;
  readonly codes: Int32Array;
  readonly total: number;
}) {
  return (
    <GroupRow
      name={name}
      colour={colour}
      amount={count(cells)}
      title={
        `${name}: ${count(cells)} cells, ${percent(cells / total)}. Click to select them, ` +
        "Shift-click to add them, Ctrl-click to show them alone"
      }
      onClick={(event) => {
        if (event.ctrlKey || event.metaKey) return isolate(name);
        const mode = modeOf(event);
        if (mode === "replace" && work.value.view.selection?.how === name) return clearSelection();
        select(cellsWhere(codes, code), name, mode);
      }}
    />
  );
}

function ReferenceRow({ row: { name, colour, reference } }: { readonly row: Row }) {
  return (
    <GroupRow
      name={name}
      colour={colour}
      amount={count(reference!)}
      title={`${name}: no cell of yours, ${count(reference!)} of the reference. Click to see where they are`}
      onClick={() => isolateInReference(name)}
    />
  );
}

function visibleCounts({ entries, codes }: Groups, shown: Uint8Array): number[] {
  const cells = entries.map(() => 0);
  codes.forEach((code, cell) => {
    if (shown[cell]) cells[code]!++;
  });
  return cells;
}

function isolate(name: string): void {
  const { isolated } = work.value.view;
  changeView("show groups alone", {
    isolated: isolated.includes(name) ? isolated.filter((one) => one !== name) : [...isolated, name],
  });
}

/** Shows where the reference has a type that the query lacks. */
function isolateInReference(name: string): void {
  const { isolated } = work.value.view;
  changeView("show a type of the reference", {
    reference: "coloured",
    isolated: isolated.length === 1 && isolated[0] === name ? [] : [name],
  });
}

function GroupRow({
  name,
  colour,
  amount,
  title,
  onClick,
}: {
  readonly name: string;
  readonly colour: string;
  readonly amount: string;
  readonly title: string;
  readonly onClick: (event: MouseEvent) => void;
}) {
  const { isolated, selection } = work.value.view;
  return (
    <li>
      <button
        class="group"
        aria-pressed={selection?.how === name || isolated.includes(name)}
        data-faded={isolated.length > 0 && !isolated.includes(name) ? "" : undefined}
        title={title}
        onClick={onClick}
      >
        <svg viewBox="0 0 10 10" aria-hidden="true">
          <circle cx="5" cy="5" r="4.5" fill={colour} />
        </svg>
        <span class="text">{name}</span>
        <span class="amount">{amount}</span>
      </button>
    </li>
  );
}
