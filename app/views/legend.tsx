// What the colours mean, and the choice of what they show. The legend is also a list of the groups for those
// who do not see the picture.
import { computed, signal } from "@preact/signals";
import { colourBy } from "../actions.js";
import { coloring } from "../coloring.js";
import { rampColour } from "../colours.js";
import { runJob } from "../jobs.js";
import type { MappingResult } from "../protocol.js";
import { changeView, isBusy, work, type ColourBy } from "../state.js";
import { count, percent, short } from "../text.js";
import { cellsWhere, pick } from "./cells.js";

/** Names of the query's genes, once they were asked for. */
const genes = signal<{ readonly of: object; readonly names: readonly string[] } | null>(null);
const geneText = signal("");
const found = computed(() => {
  const text = geneText.value.trim().toLowerCase();
  if (text === "" || !genes.value) return [];
  const starts = genes.value.names.filter((name) => name.toLowerCase().startsWith(text));
  return starts.slice(0, 40);
});

export function Legend({ result }: { readonly result: MappingResult }) {
  const { query, view } = work.value;
  const shown = coloring.value;
  const options = choices(
    result,
    query?.info.inspection.columns.filter(({ kind }) => kind !== "unreadable").map(({ name }) => name) ?? [],
  );
  const current = JSON.stringify(view.colourBy);
  return (
    <section class="legend" aria-labelledby="legend-title">
      <h2 id="legend-title" class="unseen">
        Colours
      </h2>
      <label class="stacked">
        <span>Colour by</span>
        <select
          value={current}
          disabled={isBusy.value}
          onChange={(event) => colourBy(JSON.parse(event.currentTarget.value) as ColourBy)}
        >
          {view.colourBy.kind === "gene" && <option value={current}>gene {view.colourBy.name}</option>}
          {options.map(({ group, entries }) => (
            <optgroup key={group} label={group}>
              {entries.map(({ name, by }) => (
                <option key={name} value={JSON.stringify(by)}>
                  {name}
                </option>
              ))}
            </optgroup>
          ))}
        </select>
      </label>
      <GeneField />
      {shown?.groups && (
        <Groups entries={shown.groups.entries} codes={shown.groups.codes} total={result.cells} />
      )}
      {shown?.range && (
        <div class="ramp">
          <p>{shown.title}</p>
          <svg
            viewBox="0 0 220 12"
            preserveAspectRatio="none"
            shape-rendering="crispEdges"
            role="img"
            aria-label={`From ${short(shown.range.low)}, dark blue, to ${short(shown.range.high)}, yellow`}
          >
            {Array.from({ length: 55 }, (_, i) => (
              <rect key={i} x={i * 4} y="0" width="4.5" height="12" fill={rampColour(i / 54)} />
            ))}
          </svg>
          <p class="ends">
            <span>{short(shown.range.low)}</span>
            <span>{short(shown.range.high)}</span>
          </p>
        </div>
      )}
      <fieldset class="switches">
        <legend class="unseen">What is shown</legend>
        {result.reference && (
          <Switch
            checked={view.showReference}
            onChange={(showReference) => changeView("show the reference", { showReference })}
            text="Reference cells, grey"
          />
        )}
        <Switch
          checked={view.showPrototypes}
          onChange={(showPrototypes) => changeView("show prototypes", { showPrototypes })}
          text="Prototypes, ◆"
        />
        <Switch
          checked={view.showLabels}
          onChange={(showLabels) => changeView("show names", { showLabels })}
          text="Names on clusters"
        />
      </fieldset>
    </section>
  );
}

function Switch({
  checked,
  onChange,
  text,
}: {
  readonly checked: boolean;
  readonly onChange: (checked: boolean) => void;
  readonly text: string;
}) {
  return (
    <label class="choice">
      <input type="checkbox" checked={checked} onChange={(event) => onChange(event.currentTarget.checked)} />
      <span>{text}</span>
    </label>
  );
}

interface Choice {
  readonly group: string;
  readonly entries: readonly { readonly name: string; readonly by: ColourBy }[];
}

function choices(result: MappingResult, names: readonly string[]): Choice[] {
  const levels = result.levels.map(({ key, novelty }, level): Choice => ({
    group: key,
    entries: [
      { name: `${key}: predicted type`, by: { kind: "predicted", level } },
      { name: `${key}: uncertainty`, by: { kind: "uncertainty", level } },
      ...(novelty ? [{ name: `${key}: novelty`, by: { kind: "novelty" as const, level } }] : []),
      { name: `${key}: probability`, by: { kind: "probability", level } },
      { name: `${key}: nearest prototype`, by: { kind: "nearest", level } },
    ],
  }));
  const mapping = [
    ...result.conditions.map(({ key }, k): Choice["entries"][number] => ({
      name: `${key} (condition)`,
      by: { kind: "condition", key: k },
    })),
    ...(result.clusters ? [{ name: "cluster", by: { kind: "cluster" } as const }] : []),
  ];
  const columns: Choice = {
    group: "Columns of the query",
    entries: names.map((name) => ({ name, by: { kind: "column", name } })),
  };
  return [...levels, { group: "Mapping", entries: mapping }, columns].filter(
    ({ entries }) => entries.length > 0,
  );
}

function GeneField() {
  const { query } = work.value;
  const load = async (): Promise<void> => {
    if (!query || query.files.length === 0 || genes.value?.of === query.files) return;
    const names = await runJob(({ jobs }) => jobs.readGeneNames(query.files));
    genes.value = { of: query.files, names };
  };
  const choose = (event: Event): void => {
    event.preventDefault();
    const text = geneText.value.trim();
    const name = genes.value?.names.find((one) => one.toLowerCase() === text.toLowerCase()) ?? text;
    if (name !== "") void colourBy({ kind: "gene", name });
  };
  return (
    <form class="stacked" onSubmit={choose}>
      <label for="gene">or by a gene</label>
      <div class="row tight">
        <input
          id="gene"
          type="text"
          list="genes"
          autoComplete="off"
          spellcheck={false}
          placeholder="CD8A"
          value={geneText}
          onFocus={load}
          onInput={(event) => (geneText.value = event.currentTarget.value)}
        />
        <button disabled={isBusy.value || geneText.value.trim() === ""}>Show</button>
      </div>
      <datalist id="genes">
        {found.value.map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
    </form>
  );
}

/** The groups, most cells first. Clicking one picks its cells, with Ctrl or Shift shows it alone. */
function Groups({
  entries,
  codes,
  total,
}: {
  readonly entries: readonly { readonly name: string; readonly colour: string; readonly cells: number }[];
  readonly codes: Int32Array;
  readonly total: number;
}) {
  const { isolated, selection } = work.value.view;
  const shown = entries
    .map((entry, code) => ({ ...entry, code }))
    .filter(({ cells }) => cells > 0)
    .sort((a, b) => b.cells - a.cells);
  const isolate = (name: string): void =>
    changeView("show groups alone", {
      isolated: isolated.includes(name) ? isolated.filter((one) => one !== name) : [...isolated, name],
    });
  const onClick = (event: MouseEvent, name: string, code: number): void => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return isolate(name);
    pick(selection?.how === name ? new Uint32Array(0) : cellsWhere(codes, code), name);
  };
  return (
    <>
      <ul class="groups">
        {shown.map(({ name, colour, cells, code }) => (
          <li key={name}>
            <button
              class="group"
              aria-pressed={selection?.how === name || isolated.includes(name)}
              data-faded={isolated.length > 0 && !isolated.includes(name) ? "" : undefined}
              title={`${name}: ${count(cells)} cells, ${percent(cells / total)}. Click to pick them, Ctrl-click to show them alone`}
              onClick={(event) => onClick(event, name, code)}
            >
              <svg viewBox="0 0 10 10" aria-hidden="true">
                <circle cx="5" cy="5" r="4.5" fill={colour} />
              </svg>
              <span class="text">{name}</span>
              <span class="amount">{count(cells)}</span>
            </button>
          </li>
        ))}
      </ul>
      {isolated.length > 0 && (
        <button class="quiet" onClick={() => changeView("show groups alone", { isolated: [] })}>
          Show all groups
        </button>
      )}
    </>
  );
}
