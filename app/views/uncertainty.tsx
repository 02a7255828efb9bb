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
  if (!level) return null;
  const what = level.flagged?.by ?? "novelty";
  const threshold = view.thresholds[view.level] ?? null;
  const unknownCells = unknown.value[view.level]!;
  const flagged = unknownCells.reduce((sum, value) => sum + value, 0);
  const parts = { result, level, threshold, flagged };
  return (
    <section class="uncertainty" aria-labelledby="novelty-title">
      <header class="row">
        <h3 id="novelty-title">{what === "novelty" ? "Novelty" : "Uncertainty"}</h3>
        {result.levels.length > 1 && <LevelChoice result={result} />}
        <button
          class="quiet link"
          disabled={flagged === 0}
          onClick={() => select(cellsWhere(unknownCells, 1), "unknown")}
        >
          {count(flagged)} unknown ({percent(flagged / result.cells)})
        </button>
      </header>
      {level.notFlagged && <p class="hint">No cell is flagged by default; {pageWords(level.notFlagged)}.</p>}
      <NoveltyHistogram {...parts} />
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
      <ThresholdField {...parts} />
    </section>
  );
}

function LevelChoice({ result }: { readonly result: MappingResult }) {
  return (
    <select
      aria-label="Annotation level"
      value={work.value.view.level}
      onChange={(event) => changeView("change the level", { level: Number(event.currentTarget.value) })}
    >
      {result.levels.map(({ key }, level) => (
        <option key={key} value={level}>
          {key}
        </option>
      ))}
    </select>
  );
}

/** The level that is shown, and its cells above the threshold. */
interface Flagged {
  readonly result: MappingResult;
  readonly level: MappingResult["levels"][number];
  readonly threshold: Limit;
  readonly flagged: number;
}

function setThreshold(value: Limit): void {
  const { view } = work.value;
  changeView(
    "move the threshold",
    { thresholds: view.thresholds.map((present, level) => (level === view.level ? value : present)) },
    { joins: true },
  );
}

/** All cells by their novelty; a drag moves the threshold. */
function NoveltyHistogram({ result, level, threshold, flagged }: Flagged) {
  const [ref, width] = useWidth(340);
  const flags = unknown.value[work.value.view.level];
  const values = level.flagged?.values;
  const counts = useMemo(() => histogram(values ?? new Float32Array(0)), [values]);
  const above = useMemo(() => histogram(values ?? new Float32Array(0), flags), [values, flags]);
  const what = level.flagged?.by ?? "novelty";
  const most = Math.max(1, ...counts);
  const scales: Scales = {
    width,
    x: (value) => margin.left + value * (width - margin.left - margin.right),
    y: (value) => height - margin.bottom - (value / most) * (height - margin.top - margin.bottom),
  };
  const drag = (event: PointerEvent): void => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    const value = (event.clientX - box.left - margin.left) / (width - margin.left - margin.right);
    setThreshold(Math.round(1000 * Math.min(1, Math.max(0, value))) / 1000);
  };
  return (
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
        <HistogramAxes {...scales} most={most} what={what} />
        <Bars {...scales} counts={counts} above={above} />
        {threshold !== null && (
          <g class="threshold">
            <line
              x1={scales.x(threshold)}
              x2={scales.x(threshold)}
              y1={margin.top - 8}
              y2={height - margin.bottom}
            />
            <circle cx={scales.x(threshold)} cy={margin.top - 8} r="4.5" />
          </g>
        )}
      </svg>
    </figure>
  );
}

/** Pixels of a novelty, and of a number of cells. */
interface Scales {
  readonly width: number;
  readonly x: (value: number) => number;
  readonly y: (cells: number) => number;
}

function HistogramAxes({
  width,
  x,
  y,
  most,
  what,
}: Scales & { readonly most: number; readonly what: string }) {
  return (
    <>
      {linearTicks(0, most, 3).map((tick) => (
        <g key={tick} class="tick">
          <line x1={margin.left} x2={width - margin.right} y1={y(tick)} y2={y(tick)} />
          <text x={margin.left - 5} y={y(tick)} dy="0.32em" text-anchor="end">
            {count(tick)}
          </text>
        </g>
      ))}
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
    </>
  );
}

function Bars({
  x,
  y,
  counts,
  above,
}: Scales & { readonly counts: readonly number[]; readonly above: readonly number[] }) {
  const bottom = height - margin.bottom;
  return (
    <>
      {counts.map((value, bin) => {
        const place = { x: x(bin / bins) + 0.5, width: Math.max(1, x(1 / bins) - x(0) - 1) };
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
    </>
  );
}

function ThresholdField({ level, threshold, flagged }: Flagged) {
  return (
    <label class="row tight threshold-field">
      <span>Threshold</span>
      <input
        type="range"
        min={0}
        max={1}
        step={0.005}
        value={threshold ?? 1}
        disabled={!level.flagged}
        onInput={(event) => setThreshold(event.currentTarget.valueAsNumber)}
        onChange={endGesture}
        aria-valuetext={threshold === null ? "none" : `${threshold}, ${count(flagged)} cells unknown`}
      />
      <output>{threshold === null ? "none" : threshold.toFixed(3)}</output>
      <button
        class="quiet"
        onClick={() => (endGesture(), setThreshold(level.threshold), endGesture())}
        disabled={threshold === level.threshold}
      >
        Reset
      </button>
    </label>
  );
}

/** @param flags - only the values flagged */
function histogram(values: Float32Array, flags?: Uint8Array): number[] {
  const counts = new Array<number>(bins).fill(0);
  for (const [cell, value] of values.entries())
    if (!flags || flags[cell]) counts[Math.min(bins - 1, Math.max(0, Math.floor(value * bins)))]!++;
  return counts;
}
