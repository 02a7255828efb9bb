// Predicted types: cells and probability of each, composition of the samples, and the user's labels.
import { labelCounts, renameAnnotation, renameLabel } from "../annotation.js";
import { coloringBy } from "../coloring.js";
import type { LevelResult, MappingResult } from "../protocol.js";
import { cellsWhere, select, visible } from "../selecting.js";
import { unknown, work } from "../state.js";
import { count, percent } from "../text.js";
import { DataTable, type TableColumn } from "./data-table.js";
import { PlotView } from "./plot-view.js";

interface TypeRow {
  readonly type: string;
  readonly cells: number;
  readonly unknownCells: number;
  readonly probability: number | null;
  readonly reference: number | null;
}

export function TypesPanel({ result }: { readonly result: MappingResult }) {
  const { view, annotation } = work.value;
  const level = result.levels[view.level];
  if (!level) return <p class="empty">This model has no cell types.</p>;
  return (
    <>
      <section aria-labelledby="types-title">
        <h3 id="types-title">
          Cell types{" "}
          <span class="hint">
            {level.key}
            {visible.value ? ", of the cells shown" : ""}
          </span>
        </h3>
        <DataTable
          caption={`Cell types of ${level.key}`}
          file={`types-${level.key}`}
          rows={typeRows(result, view.level, unknown.value[view.level]!, visible.value)}
          keyOf={({ type }) => type}
          most={20}
          columns={typeColumns(level)}
        />
      </section>
      <Composition result={result} />
      {annotation && <Labels title={annotation.title} />}
    </>
  );
}

const typeColumns = ({ predicted, types }: LevelResult): readonly TableColumn<TypeRow>[] => [
  {
    name: "type",
    value: ({ type }) => type,
    show: ({ type }) => (
      <button
        class="quiet link plain-link"
        title={`Select the cells that are called ${type}`}
        onClick={() => select(cellsWhere(predicted, types.indexOf(type)), `called ${type}`)}
      >
        {type}
      </button>
    ),
  },
  { name: "cells", hint: "called so, unknown ones included", value: ({ cells }) => cells },
  {
    name: "unknown",
    hint: "of these cells",
    value: ({ unknownCells }) => unknownCells,
    show: ({ unknownCells, cells }) =>
      `${count(unknownCells)} (${percent(unknownCells / Math.max(1, cells), 0)})`,
  },
  {
    name: "median prob.",
    hint: "median probability of the label",
    value: ({ probability }) => probability,
    show: ({ probability }) => (probability === null ? "–" : probability.toFixed(2)),
  },
  {
    name: "reference",
    hint: "cells of the reference that the model carries",
    value: ({ reference }) => reference,
  },
];

function typeRows(
  { levels, reference }: MappingResult,
  at: number,
  flags: Uint8Array,
  shown: Uint8Array | null,
): TypeRow[] {
  const level = levels[at]!;
  const landmarks = reference?.levels[at];
  const cellsOf = level.types.map((): number[] => []);
  level.predicted.forEach((code, cell) => {
    if (!shown || shown[cell]) cellsOf[code]!.push(cell);
  });
  return level.types
    .map((type, code): TypeRow => {
      const cells = cellsOf[code]!;
      const sorted = Float32Array.from(cells, (cell) => level.probability[cell]!).sort();
      return {
        type,
        cells: cells.length,
        unknownCells: cells.reduce((sum, cell) => sum + flags[cell]!, 0),
        probability: cells.length > 0 ? sorted[cells.length >> 1]! : null,
        reference: landmarks ? landmarks.reduce((sum, one) => sum + Number(one === code), 0) : null,
      };
    })
    .sort((a, b) => b.cells - a.cells || (b.reference ?? 0) - (a.reference ?? 0));
}

/** What each sample is made of: the numbers of cells behind `scpoli report`'s composition, too. */
function Composition({ result }: { readonly result: MappingResult }) {
  const { view } = work.value;
  const types = coloringBy({ kind: "predicted", level: view.level })?.groups;
  if (!types) return null;
  return (
    <section aria-labelledby="composition-title">
      <h3 id="composition-title">Composition of the samples</h3>
      {result.conditions.map((condition) => (
        <PlotView
          key={condition.key}
          name={`Composition by ${condition.key}`}
          depends={[result, types, visible.value]}
          plot={(plots) =>
            plots.compositionPlot(condition, types, result.levels[view.level]!.key, visible.value)
          }
        />
      ))}
    </section>
  );
}

/** Labels by hand, to be renamed. */
function Labels({ title }: { readonly title: string }) {
  return (
    <section aria-labelledby="labels-title">
      <h3 id="labels-title">Your labels</h3>
      <label class="row tight">
        <span>Saved as</span>
        <input type="text" value={title} onChange={(event) => renameAnnotation(event.currentTarget.value)} />
      </label>
      <ul class="labels">
        {labelCounts().map(({ name, cells }) => (
          <li key={name} class="row tight">
            <input
              type="text"
              aria-label={`Rename ${name}`}
              value={name}
              onChange={(event) => renameLabel(name, event.currentTarget.value.trim())}
            />
            <span class="amount">{count(cells)}</span>
          </li>
        ))}
      </ul>
      <p class="hint">
        Renaming a label as another one joins the two. Saved with the results, and in the table of cells.
      </p>
    </section>
  );
}
