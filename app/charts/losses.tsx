// Losses by epoch, drawn during training: of training and of validation cells, total or one term.
import { useState } from "preact/hooks";
import type { EpochLosses } from "scpoli";
import { short } from "../text.js";
import { linearTicks, useWidth } from "./axes.js";
import { SaveChart } from "./save-chart.js";

export interface EpochEntry {
  readonly epoch: number;
  readonly losses: EpochLosses;
}
type Term = "total" | "reconstruction" | "kl" | "prototype" | "crossEntropy";
const terms: readonly { readonly term: Term; readonly name: string }[] = [
  { term: "total", name: "total" },
  { term: "reconstruction", name: "reconstruction" },
  { term: "kl", name: "KL divergence" },
  { term: "prototype", name: "distance to prototypes" },
  { term: "crossEntropy", name: "cross-entropy of types" },
];
const height = 190;
const margin = { top: 8, right: 12, bottom: 34, left: 58 };

type Part = "train" | "validation";
type Points = readonly { readonly epoch: number; readonly value: number }[];
interface Line {
  readonly part: Part;
  readonly points: Points;
}

/** Pixels of an epoch and of a loss. */
interface Scales {
  readonly width: number;
  readonly x: (epoch: number) => number;
  readonly y: (loss: number) => number;
}

/** @param planned - epochs of the whole run: the width of the chart */
export function LossChart({
  epochs,
  planned,
}: {
  readonly epochs: readonly EpochEntry[];
  readonly planned: number;
}) {
  const [term, setTerm] = useState<Term>("total");
  const [ref, width] = useWidth(420);
  const lines = (["train", "validation"] as const).map((part) => ({
    part,
    points: lossesOf(epochs, part, term),
  }));
  const [low, high] = bounds(lines.flatMap(({ points }) => points.map(({ value }) => value)));
  const inner = { width: width - margin.left - margin.right, height: height - margin.top - margin.bottom };
  const scales: Scales = {
    width,
    x: (epoch) => margin.left + ((epoch - 1) / Math.max(1, planned - 1)) * inner.width,
    y: (value) => height - margin.bottom - ((value - low) / Math.max(1e-9, high - low)) * inner.height,
  };
  const last = epochs.at(-1)?.losses;
  const { name } = terms.find((one) => one.term === term)!;
  return (
    <figure class="chart" ref={ref}>
      <figcaption class="row">
        <span>Loss per cell, mean of an epoch</span>
        <TermChoice term={term} last={last} onChange={setTerm} />
      </figcaption>
      <svg
        width={width}
        height={height}
        role="img"
        aria-label={
          `${name} loss over ${epochs.length} of ` +
          `${planned} epochs${last ? `, now ${short(last.train[term] ?? 0)}` : ""}`
        }
      >
        <LossAxes {...scales} range={[low, high]} planned={planned} />
        <Lines {...scales} lines={lines} />
      </svg>
      <div class="chart-foot">
        <LineKeys term={term} last={last} />
        {epochs.length > 1 && (
          <SaveChart name={`Loss, ${term}`} plot={(plots) => plots.lossesPlot(epochs, term, name)} />
        )}
      </div>
    </figure>
  );
}

function lossesOf(epochs: readonly EpochEntry[], part: Part, term: Term): Points {
  return epochs.flatMap(({ epoch, losses }) => {
    const value = losses[part]?.[term];
    return value !== undefined && Number.isFinite(value) ? [{ epoch, value }] : [];
  });
}

/** @param last - losses of the last epoch: terms that it lacks are not offered */
function TermChoice({
  term,
  last,
  onChange,
}: {
  readonly term: Term;
  readonly last: EpochLosses | undefined;
  readonly onChange: (term: Term) => void;
}) {
  const offered = terms.filter(
    (one) => one.term !== "crossEntropy" || last?.train.crossEntropy !== undefined,
  );
  return (
    <select
      aria-label="Which loss"
      value={term}
      onChange={(event) => onChange(event.currentTarget.value as Term)}
    >
      {offered.map((one) => (
        <option key={one.term} value={one.term}>
          {one.name}
        </option>
      ))}
    </select>
  );
}

function LossAxes({
  width,
  x,
  y,
  range: [low, high],
  planned,
}: Scales & { readonly range: readonly [number, number]; readonly planned: number }) {
  return (
    <>
      {linearTicks(low, high, 4).map((tick) => (
        <g key={tick} class="tick">
          <line x1={margin.left} x2={width - margin.right} y1={y(tick)} y2={y(tick)} />
          <text x={margin.left - 6} y={y(tick)} dy="0.32em" text-anchor="end">
            {short(tick)}
          </text>
        </g>
      ))}
      {linearTicks(1, planned, 5)
        .filter(Number.isInteger)
        .map((tick) => (
          <text key={tick} class="tick" x={x(tick)} y={height - margin.bottom + 15} text-anchor="middle">
            {tick}
          </text>
        ))}
      <text class="axis" x={(margin.left + width - margin.right) / 2} y={height - 3} text-anchor="middle">
        epoch
      </text>
    </>
  );
}

/** The curves, clipped to the axes: the first losses may be far above them. */
function Lines({ width, x, y, lines }: Scales & { readonly lines: readonly Line[] }) {
  const inner = {
    width: Math.max(0, width - margin.left - margin.right),
    height: height - margin.top - margin.bottom,
  };
  return (
    <svg
      class="clipped"
      x={margin.left}
      y={margin.top}
      {...inner}
      viewBox={`${margin.left} ${margin.top} ${inner.width} ${inner.height}`}
    >
      {lines.map(({ part, points }) => (
        <path
          key={part}
          class={`line ${part}`}
          d={points
            .map(
              ({ epoch, value }, i) => `${i === 0 ? "M" : "L"}${x(epoch).toFixed(1)},${y(value).toFixed(1)}`,
            )
            .join("")}
        />
      ))}
    </svg>
  );
}

function LineKeys({ term, last }: { readonly term: Term; readonly last: EpochLosses | undefined }) {
  return (
    <ul class="legend-row">
      <li>
        <span class="line-key train" />
        training{last ? ` ${short(last.train[term] ?? 0)}` : ""}
      </li>
      <li>
        <span class="line-key validation" />
        validation{last?.validation ? ` ${short(last.validation[term] ?? 0)}` : ""}
      </li>
    </ul>
  );
}

/** Room for the later, smaller losses: the first epochs' steep fall is cut off. */
function bounds(values: readonly number[]): [number, number] {
  if (values.length === 0) return [0, 1];
  const sorted = [...values].sort((a, b) => a - b);
  const low = sorted[0]!;
  const high = sorted[Math.floor(0.97 * (sorted.length - 1))]!;
  const room = Math.max(0.04 * (high - low), 1e-6 * Math.abs(high), 1e-9);
  return [Math.max(low - room, low >= 0 ? 0 : -Infinity), high + room];
}
