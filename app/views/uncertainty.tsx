// Unknown cells: the novelty of all cells, with the threshold above which a cell is unknown. Dragging it
// recolours at once.
import { useMemo } from "preact/hooks";
import { linearTicks, useWidth } from "../charts/axes.js";
import { SaveChart } from "../charts/save-chart.js";
import type { Limit, MappingResult } from "../protocol.js";
import { changeView, endGesture, unknown, work } from "../state.js";
import { count, percent } from "../text.js";
import { pageWords } from "../words.js";
import { cellsWhere, select } from "../selecting.js";

const bins = 50;
const height = 138;
const margin = { top: 16, right: 10, bottom: 32, left: 42 };

export function NoveltyPanel({ result }: { readonly result: MappingResult }) {
  const { view } = work.value;
  const level = result.levels[view.level];
  const [ref, width] = useWidth(340);
  const flags = unknown.value[view.level];
  const values = level?.flagged?.values;
  const counts = useMemo(() => histogram(values ?? new Float32Array(0)), [values]);
  const above = useMemo(() => histogram(values ?? new Float32Array(0), flags), [values, flags]);
  if (!level) return null;
  const what = level.flagged?.by ?? "novelty";
  const threshold = view.thresholds[view.level] ?? null;
  const unknownCells = unknown.value[view.level]!;
  const flagged = unknownCells.reduce((sum, value) => sum + value, 0);
  const most = Math.max(1, ...counts);
  const x = (value: number): number => margin.left + value * (width - margin.left - margin.right);
  const y = (value: number): number =>
    height - margin.bottom - (value / most) * (height - margin.top - margin.bottom);
  const set = (value: Limit): void =>
    changeView(
      "move the threshold",
      { thresholds: view.thresholds.map((own, l) => (l === view.level ? value : own)) },
      { joins: true },
    );
  const drag = (event: PointerEvent): void => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    const value = (event.clientX - box.left - margin.left) / (width - margin.left - margin.right);
    set(Math.round(1000 * Math.min(1, Math.max(0, value))) / 1000);
  };
  return (
    <section class="uncertainty" aria-labelledby="novelty-title">
      <header class="row">
        <h3 id="novelty-title">{what === "novelty" ? "Novelty" : "Uncertainty"}</h3>
        {result.levels.length > 1 && (
          <select
            aria-label="Annotation level"
            value={view.level}
            onChange={(event) => changeView("change the level", { level: Number(event.currentTarget.value) })}
          >
            {result.levels.map(({ key }, l) => (
              <option key={key} value={l}>
                {key}
              </option>
            ))}
          </select>
        )}
        <button
          class="quiet link"
          disabled={flagged === 0}
          onClick={() => select(cellsWhere(unknownCells, 1), "unknown")}
        >
          {count(flagged)} unknown ({percent(flagged / result.cells)})
        </button>
      </header>
      {level.notFlagged && <p class="hint">No cell is flagged by default; {pageWords(level.notFlagged)}.</p>}
      <figure class="chart" ref={ref}>
        <svg
          class="histogram"
          width={width}
          height={height}
          role="img"
          aria-label={
            `Histogram of the ${what} of ${count(result.cells)} cells; ${count(flagged)} above ` +
            `the threshold ${threshold ?? "none"}`
          }
          onPointerDown={(event) => {
            event.preventDefault(); // no text is selected by the drag
            event.currentTarget.setPointerCapture(event.pointerId);
            drag(event);
          }}
          onPointerMove={(event) => event.currentTarget.hasPointerCapture(event.pointerId) && drag(event)}
          onPointerUp={endGesture}
        >
          {linearTicks(0, most, 3).map((tick) => (
            <g key={tick} class="tick">
              <line x1={margin.left} x2={width - margin.right} y1={y(tick)} y2={y(tick)} />
              <text x={margin.left - 5} y={y(tick)} dy="0.32em" text-anchor="end">
                {count(tick)}
              </text>
            </g>
          ))}
          {counts.map((value, bin) => {
            const place = { x: x(bin / bins) + 0.5, width: Math.max(1, x(1 / bins) - x(0) - 1) };
            const bottom = height - margin.bottom;
            return (
              <g key={bin}>
                <rect class="bar" {...place} y={y(value)} height={Math.max(0, bottom - y(value))} />
                <rect
                  class="bar above"
                  {...place}
                  y={y(above[bin]!)}
                  height={Math.max(0, bottom - y(above[bin]!))}
                />
              </g>
            );
          })}
          {[0, 0.25, 0.5, 0.75, 1].map((tick) => (
            <text key={tick} class="tick" x={x(tick)} y={height - margin.bottom + 14} text-anchor="middle">
              {tick}
            </text>
          ))}
          <text class="axis" x={(x(0) + x(1)) / 2} y={height - 3} text-anchor="middle">
            {what === "novelty"
              ? "novelty, 0 like known types to 1 like none"
              : "uncertainty, 0 sure to 1 unsure"}
          </text>
          {threshold !== null && (
            <g class="threshold">
              <line x1={x(threshold)} x2={x(threshold)} y1={margin.top - 8} y2={height - margin.bottom} />
              <circle cx={x(threshold)} cy={margin.top - 8} r="4.5" />
            </g>
          )}
        </svg>
      </figure>
      <div class="chart-foot">
        <span class="hint">
          {flagged > 0 && (
            <>
              <span class="unknown-key" aria-hidden="true" /> unknown
            </>
          )}
        </span>
        <SaveChart
          name={`${what} of ${level.key}`}
          plot={(plots) =>
            plots.flaggedPlot(
              level.key,
              level.flagged ?? { by: "novelty", values: new Float32Array(0) },
              unknownCells,
              threshold,
            )
          }
        />
      </div>
      <label class="row tight threshold-field">
        <span>Threshold</span>
        <input
          type="range"
          min={0}
          max={1}
          step={0.005}
          value={threshold ?? 1}
          disabled={!level.flagged}
          onInput={(event) => set(event.currentTarget.valueAsNumber)}
          onChange={endGesture}
          aria-valuetext={threshold === null ? "none" : `${threshold}, ${count(flagged)} cells unknown`}
        />
        <output>{threshold === null ? "none" : threshold.toFixed(3)}</output>
        <button
          class="quiet"
          onClick={() => (endGesture(), set(level.threshold), endGesture())}
          disabled={threshold === level.threshold}
        >
          Reset
        </button>
      </label>
    </section>
  );
}

/** @param flags - only the values flagged */
function histogram(values: Float32Array, flags?: Uint8Array): number[] {
  const counts = new Array<number>(bins).fill(0);
  for (const [cell, value] of values.entries())
    if (!flags || flags[cell]) counts[Math.min(bins - 1, Math.max(0, Math.floor(value * bins)))]!++;
  return counts;
}
