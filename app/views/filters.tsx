// Filters by group and by number. The counts of each filter are those of the cells that pass the others.
import { readColumnOrGene } from "../reading.js";
import { coloringBy, type Groups, type Range } from "../coloring.js";
import { Icon } from "../icons.js";
import type { MappingResult } from "../protocol.js";
import { visible, visibleBy } from "../selecting.js";
import { changeView, endGesture, isBusy, work, type ColourBy, type Filter } from "../state.js";
import { count, short } from "../text.js";
import { ColourOptions } from "./colour-options.js";

export function FilterPanel({ result }: { readonly result: MappingResult }) {
  const { filters } = work.value.view;
  const shown = visible.value;
  const cells = shown ? shown.reduce((sum, one) => sum + one, 0) : result.cells;
  const add = async (by: ColourBy): Promise<void> => {
    if (filters.some((filter) => isSame(filter.by, by)) || !(await readColumnOrGene(by))) return;
    changeView("add a filter", { filters: [...work.value.view.filters, { by, hidden: [], range: null }] });
  };
  const { colourBy } = work.value.view;
  return (
    <details class="more filters" open={filters.length > 0}>
      <summary>Filter cells{shown ? `: ${count(cells)} of ${count(result.cells)} shown` : ""}</summary>
      {filters.map((filter) => (
        <OneFilter key={JSON.stringify(filter.by)} filter={filter} filters={filters} result={result} />
      ))}
      <div class="row tight">
        <select
          aria-label="Filter by"
          value=""
          disabled={isBusy.value}
          onChange={(event) => {
            if (event.currentTarget.value !== "") void add(JSON.parse(event.currentTarget.value) as ColourBy);
            event.currentTarget.value = "";
          }}
        >
          <option value="">add a filter ...</option>
          {colourBy.kind === "gene" && <option value={JSON.stringify(colourBy)}>gene {colourBy.name}</option>}
          <ColourOptions result={result} />
        </select>
        {filters.length > 0 && (
          <button class="quiet" onClick={() => changeView("clear the filters", { filters: [] })}>
            Clear
          </button>
        )}
      </div>
    </details>
  );
}

const isSame = (a: ColourBy, b: ColourBy): boolean => JSON.stringify(a) === JSON.stringify(b);

function put(filter: Filter, next: Partial<Filter>): void {
  changeView(
    "filter the cells",
    {
      filters: work.value.view.filters.map((one) => (isSame(one.by, filter.by) ? { ...one, ...next } : one)),
    },
    { joins: next.range !== undefined },
  );
}

function OneFilter({
  filter,
  filters,
  result,
}: {
  readonly filter: Filter;
  readonly filters: readonly Filter[];
  readonly result: MappingResult;
}) {
  const values = coloringBy(filter.by);
  const others = visibleBy(filters.filter(({ by }) => !isSame(by, filter.by)));
  const title = values?.title ?? (filter.by.kind === "column" ? filter.by.name : filter.by.kind);
  return (
    <fieldset class="filter">
      <legend class="row tight">
        <span>{title}</span>
        <button
          type="button"
          class="quiet icon"
          aria-label={`Remove the filter ${title}`}
          onClick={() =>
            changeView("remove a filter", { filters: filters.filter(({ by }) => !isSame(by, filter.by)) })
          }
        >
          <Icon name="close" />
        </button>
      </legend>
      {!values && <p class="hint">Its values were not read yet: the file is not open.</p>}
      {values?.groups && <GroupBoxes filter={filter} groups={values.groups} others={others} />}
      {values?.range && <RangeFields filter={filter} range={values.range} total={result.cells} />}
    </fieldset>
  );
}

function GroupBoxes({
  filter,
  groups: { entries, codes },
  others,
}: {
  readonly filter: Filter;
  readonly groups: Groups;
  readonly others: Uint8Array | null;
}) {
  const counts = entries.map(() => 0);
  codes.forEach((code, cell) => {
    if (!others || others[cell]) counts[code]!++;
  });
  const { hidden } = filter;
  const rows = entries
    .map((entry, code) => ({ ...entry, shown: counts[code]! }))
    .filter(({ cells }) => cells > 0);
  return (
    <>
      <div class="filter-groups">
        {rows.map(({ name, shown }) => (
          <label key={name} class="choice">
            <input
              type="checkbox"
              checked={!hidden.includes(name)}
              onChange={() =>
                put(filter, {
                  hidden: hidden.includes(name) ? hidden.filter((one) => one !== name) : [...hidden, name],
                })
              }
            />
            <span class="text">{name}</span>
            <span class="amount">{count(shown)}</span>
          </label>
        ))}
      </div>
      <p class="row tight">
        <button class="quiet small" onClick={() => put(filter, { hidden: [] })}>
          all
        </button>
        <button class="quiet small" onClick={() => put(filter, { hidden: rows.map(({ name }) => name) })}>
          none
        </button>
      </p>
    </>
  );
}

function RangeFields({
  filter,
  range: { low, high },
}: {
  readonly filter: Filter;
  readonly range: Range;
  readonly total: number;
}) {
  const [from, to] = filter.range ?? [low, high];
  const slider = (name: string, value: number, set: (value: number) => readonly [number, number]) => (
    <label class="row tight">
      <span>{name}</span>
      <input
        type="range"
        min={low}
        max={high}
        step={(high - low) / 200}
        value={value}
        aria-valuetext={short(value)}
        onInput={(event) => put(filter, { range: set(event.currentTarget.valueAsNumber) })}
        onChange={endGesture}
      />
      <output>{short(value)}</output>
    </label>
  );
  return (
    <div class="filter-range">
      {slider("from", from, (value) => [Math.min(value, to), to])}
      {slider("to", to, (value) => [from, Math.max(value, from)])}
    </div>
  );
}
