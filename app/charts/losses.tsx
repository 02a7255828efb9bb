// Losses by epoch, drawn while they come: total of training and validation on the left axis scaled to what is
// there, the terms as thin lines on request.
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
  const series = (["train", "validation"] as const).map((part) => ({
    part,
    points: epochs.flatMap(({ epoch, losses }) => {
      const value = losses[part]?.[term];
      return value !== undefined && Number.isFinite(value) ? [{ epoch, value }] : [];
    }),
  }));
  const values = series.flatMap(({ points }) => points.map(({ value }) => value));
  const [low, high] = bounds(values);
  const x = (epoch: number): number =>
    margin.left + ((epoch - 1) / Math.max(1, planned - 1)) * (width - margin.left - margin.right);
  const y = (value: number): number =>
    height -
    margin.bottom -
    ((value - low) / Math.max(1e-9, high - low)) * (height - margin.top - margin.bottom);
  const last = epochs.at(-1)?.losses;
  const offered = terms.filter(
    ({ term }) => term !== "crossEntropy" || last?.train.crossEntropy !== undefined,
  );
  return (
    <figure class="chart" ref={ref}>
      <figcaption class="row">
        <span>Loss per cell, mean of an epoch</span>
        <select
          aria-label="Which loss"
          value={term}
          onChange={(event) => setTerm(event.currentTarget.value as Term)}
        >
          {offered.map((one) => (
            <option key={one.term} value={one.term}>
              {one.name}
            </option>
          ))}
        </select>
      </figcaption>
      <svg
        width={width}
        height={height}
        role="img"
        aria-label={
          `${terms.find((one) => one.term === term)!.name} loss over ${epochs.length} of ` +
          `${planned} epochs${last ? `, now ${short(last.train[term] ?? 0)}` : ""}`
        }
      >
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
        <svg
          class="clipped"
          x={margin.left}
          y={margin.top}
          width={Math.max(0, width - margin.left - margin.right)}
          height={height - margin.top - margin.bottom}
          viewBox={
            `${margin.left} ${margin.top} ${Math.max(0, width - margin.left - margin.right)} ` +
            `${height - margin.top - margin.bottom}`
          }
        >
          {series.map(({ part, points }) => (
            <path
              key={part}
              class={`line ${part}`}
              d={points
                .map(
                  ({ epoch, value }, i) =>
                    `${i === 0 ? "M" : "L"}${x(epoch).toFixed(1)},${y(value).toFixed(1)}`,
                )
                .join("")}
            />
          ))}
        </svg>
      </svg>
      <div class="chart-foot">
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
        {epochs.length > 1 && (
          <SaveChart
            name={`Loss, ${term}`}
            plot={(plots) => plots.lossesPlot(epochs, term, terms.find((one) => one.term === term)!.name)}
          />
        )}
      </div>
    </figure>
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
