// What is under the pointer: a cell of the query with its labels, or one of the reference.
import { coloring } from "../coloring.js";
import type { Hit } from "../charts/points.js";
import type { LevelResult, MappingResult } from "../protocol.js";
import { columns, unknown, work } from "../state.js";
import { percent, short } from "../text.js";

export function CellTooltip({
  result,
  at,
  size: { width, height },
}: {
  readonly result: MappingResult;
  readonly at: Hit & { readonly x: number; readonly y: number };
  readonly size: { readonly width: number; readonly height: number };
}) {
  return (
    <div
      class="tooltip"
      style={{
        left: `${Math.max(4, Math.min(at.x + 14, width - 230))}px`,
        top: `${Math.max(4, Math.min(at.y + 12, height - 120))}px`,
      }}
    >
      {at.set === "cells" ? (
        <QueryCell result={result} cell={at.point} />
      ) : (
        <ReferenceCell result={result} cell={at.point} />
      )}
    </div>
  );
}

function QueryCell({ result, cell }: { readonly result: MappingResult; readonly cell: number }) {
  const shown = coloring.value;
  const { colourBy } = work.value.view;
  const isOther =
    colourBy.kind === "annotation" || (colourBy.kind === "column" && columns.value.has(colourBy.name));
  return (
    <>
      {shown?.range && (
        <p>
          <strong>{short(shown.range.values[cell]!)}</strong> {shown.title}
        </p>
      )}
      {result.levels.map((level, l) => (
        <p key={level.key}>
          <strong>{level.types[level.predicted[cell]!]}</strong>
          {unknown.value[l]?.[cell] ? " (unknown)" : ""}
          <br />
          <span class="hint">{confidence(level, cell)}</span>
        </p>
      ))}
      {result.conditions.map(({ key, names, codes }) => (
        <p key={key} class="hint">
          {key}: {names[codes[cell]!] ?? "missing"}
        </p>
      ))}
      {isOther && shown?.groups && (
        <p class="hint">
          {shown.title}: {shown.groups.entries[shown.groups.codes[cell]!]?.name}
        </p>
      )}
    </>
  );
}

/**
 * One number that says how sure the label is, and one how new the cell: not two that contradict each other.
 */
function confidence({ probability, uncertainty, novelty, flagged }: LevelResult, cell: number): string {
  const sure =
    flagged?.by === "uncertainty"
      ? `uncertainty by distance ${short(uncertainty[cell]!)}`
      : `probability ${percent(probability[cell]!, 0)}`;
  return novelty ? `${sure}, novelty ${novelty[cell]!.toFixed(2)}` : sure;
}

function ReferenceCell({ result, cell }: { readonly result: MappingResult; readonly cell: number }) {
  const { reference, levels } = result;
  if (!reference) return null;
  return (
    <>
      <p class="hint">Reference cell</p>
      {levels.map(({ key, types }, level) => (
        <p key={key}>
          <strong>{types[reference.levels[level]?.[cell] ?? -1] ?? "no label"}</strong>
        </p>
      ))}
      {reference.conditions?.map(({ key, names, codes }) => (
        <p key={key} class="hint">
          {key}: {names[codes[cell]!] ?? "missing"}
        </p>
      ))}
    </>
  );
}
