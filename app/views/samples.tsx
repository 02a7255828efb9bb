// Samples by their embeddings, linked with the cells both ways: samples show their share of the selected
// cells, and brushed samples select their cells.
import { useSignal } from "@preact/signals";
import type { TargetedPointerEvent } from "preact";
import { normalEllipse, placeLabels, type LabelPlace, type Plot } from "scpoli/plots";
import { linearTicks, useWidth } from "../charts/axes.js";
import { SaveChart } from "../charts/save-chart.js";
import type { MappingResult, SampleMap } from "../protocol.js";
import {
  coloursOf,
  geneColouring,
  sampleColours,
  SampleLegend,
  type SampleColouring,
} from "../sample-colours.js";
import { spreadOf } from "../sample-spread.js";
import type { Plots } from "../saving.js";
import { work } from "../state.js";
import { count, percent, short } from "../text.js";
import { clearSelection, modeOf, select, type SelectionMode } from "../selecting.js";

const height = 236;
const margin = { top: 10, right: 12, bottom: 34, left: 46 };

export function SamplesPanel({ result }: { readonly result: MappingResult }) {
  const key = useSignal(0);
  const samples = result.samples[Math.min(key.value, result.samples.length - 1)];
  if (!samples) return null;
  return (
    <section class="samples" aria-labelledby="samples-title">
      <header class="row">
        <h3 id="samples-title">
          Samples <span class="hint">their embeddings; drag to select some and see their cells</span>
        </h3>
        {result.samples.length > 1 && (
          <select
            aria-label="Sample column"
            value={key.value}
            onChange={(event) => (key.value = Number(event.currentTarget.value))}
          >
            {result.samples.map((one, k) => (
              <option key={one.key} value={k}>
                {one.key}
              </option>
            ))}
          </select>
        )}
      </header>
      <SampleScatter
        result={result}
        samples={samples}
        position={Math.min(key.value, result.samples.length - 1)}
        components={[0, 1]}
      />
    </section>
  );
}

interface ScatterProps {
  readonly result: MappingResult;
  readonly samples: SampleMap;
  /** of the condition key in the model */
  readonly position: number;
  /** axes, from 0 */
  readonly components: readonly [number, number];
  /**
   * what colours them. Default: the gene that colours the cells, else reference grey and query in the colours
   * of its conditions
   */
  readonly colouring?: SampleColouring | null;
}

export function SampleScatter({
  result,
  samples,
  position,
  components,
  colouring: chosen = null,
}: ScatterProps) {
  const [ref, width] = useWidth(340);
  const condition = result.conditions[position]!;
  const colouring = chosen ?? geneColouring(samples, condition);
  const colours = colouring ? coloursOf(colouring) : sampleColours(samples, result, position);
  const layout = layoutOf(samples, components, condition, width);
  const { names } = samples;
  const rowOf = new Map(names.map((name, row) => [name, row]));
  const shares = selectedShares(work.value.view.selection?.cells ?? null, condition, rowOf, names.length);
  const brush = useBrush((inside, event) =>
    selectSamples(
      names.filter((_, sample) => inside(layout.points[sample]!)),
      condition,
      samples.key,
      modeOf(event),
    ),
  );
  const draw = (plots: Plots): Plot =>
    plots.samplesPlot(samples, components, colouring, sampleColours(samples, result, position, "light"));
  return (
    <figure class="chart" ref={ref}>
      <svg
        class="brushed"
        width={width}
        height={height}
        role="group"
        aria-label={`${names.length} samples of ${samples.key}`}
        {...brush.handlers}
      >
        <ScatterAxes width={width} x={layout.x} y={layout.y} />
        <SampleMarks
          samples={samples}
          condition={condition}
          layout={layout}
          shares={shares}
          fills={names.map((name, sample) =>
            colouring || condition.names.includes(name) ? colours[sample] : undefined,
          )}
        />
        {brush.box && <rect class="brush" {...brush.box} />}
      </svg>
      {colouring && <SampleLegend colouring={colouring} />}
      <div class="chart-foot">
        <ScatterKey
          isColoured={colouring !== null}
          hasSelection={shares !== null}
          hasSpreads={samples.spreads !== undefined}
        />
        <SaveChart name={`Samples of ${samples.key}`} plot={draw} />
      </div>
    </figure>
  );
}

/** An axis: its scale in pixels, its ticks and its name. */
interface SampleAxis {
  readonly scale: (value: number) => number;
  readonly ticks: readonly number[];
  readonly name: string;
}

/** Where samples, their ellipses and their names are, in pixels. */
interface Layout {
  readonly x: SampleAxis;
  readonly y: SampleAxis;
  readonly points: readonly Point[];
  readonly ellipses: readonly (Ellipse | undefined)[];
  readonly labels: readonly (LabelPlace | null)[];
}

/** Radius that holds 95 % of a normal distribution in two dimensions, in standard deviations. */
const ellipseReach = Math.sqrt(5.991);

function layoutOf(
  samples: SampleMap,
  components: readonly [number, number],
  condition: Condition,
  width: number,
): Layout {
  const { names, scores, dimensions, variance } = samples;
  const axisOf = (component: number, from: number, to: number) => {
    const values = names.map((_, sample) => scores[sample * dimensions + component] ?? 0);
    // the axes hold the ellipses whole
    const ends = values.flatMap((value, sample) => {
      const variance = spreadOf(samples, sample, [component, component])?.xx ?? 0;
      return [value - ellipseReach * Math.sqrt(variance), value + ellipseReach * Math.sqrt(variance)];
    });
    const share = variance[component];
    const name = `PC${component + 1}${share === undefined ? "" : `, ${percent(share, 0)} of the variance`}`;
    return { values, axis: { ...scaled(ends, from, to), name } };
  };
  const across = axisOf(components[0], margin.left, width - margin.right);
  const up = axisOf(components[1], height - margin.bottom, margin.top);
  const [x, y] = [across.axis, up.axis];
  const points = names.map((_, sample): Point => [
    x.scale(across.values[sample]!),
    y.scale(up.values[sample]!),
  ]);
  const ellipses = names.map((_, sample) => {
    const spread = spreadOf(samples, sample, components);
    if (!spread) return undefined;
    const { rx, ry, angle } = normalEllipse(spread, x.scale(1) - x.scale(0), y.scale(1) - y.scale(0));
    return { rx, ry, transform: `rotate(${angle})` };
  });
  return { x, y, points, ellipses, labels: namePlaces(points, names, condition.names, width) };
}

type Point = readonly [x: number, y: number];

/** Attributes of an ellipse around a sample. */
interface Ellipse {
  readonly rx: number;
  readonly ry: number;
  readonly transform: string;
}

/** A rectangle that is drawn with the pointer. @param onEnd - what to do with the points inside */
function useBrush(onEnd: (inside: (point: Point) => boolean, event: PointerEvent) => void) {
  const corners = useSignal<readonly [number, number, number, number] | null>(null);
  const place = (event: PointerEvent): Point => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const end = (event: PointerEvent): void => {
    const box = corners.value;
    corners.value = null;
    if (!box || Math.abs(box[2] - box[0]) + Math.abs(box[3] - box[1]) < 6) return;
    const [left, right] = [Math.min(box[0], box[2]), Math.max(box[0], box[2])];
    const [top, bottom] = [Math.min(box[1], box[3]), Math.max(box[1], box[3])];
    onEnd(([x, y]) => x >= left && x <= right && y >= top && y <= bottom, event);
  };
  const drawn = corners.value;
  return {
    handlers: {
      onPointerDown: (event: TargetedPointerEvent<SVGSVGElement>) => {
        if ((event.target as Element).closest(".sample")) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        const [x, y] = place(event);
        corners.value = [x, y, x, y];
      },
      onPointerMove: (event: PointerEvent) => {
        const [x, y] = place(event);
        if (corners.value) corners.value = [corners.value[0], corners.value[1], x, y];
      },
      onPointerUp: end,
      onPointerCancel: () => void (corners.value = null),
    },
    box: drawn && {
      x: Math.min(drawn[0], drawn[2]),
      y: Math.min(drawn[1], drawn[3]),
      width: Math.abs(drawn[2] - drawn[0]),
      height: Math.abs(drawn[3] - drawn[1]),
    },
  };
}

function ScatterAxes({
  width,
  x,
  y,
}: {
  readonly width: number;
  readonly x: SampleAxis;
  readonly y: SampleAxis;
}) {
  return (
    <>
      {x.ticks.map((tick) => (
        <g key={tick} class="tick">
          <line x1={x.scale(tick)} x2={x.scale(tick)} y1={margin.top} y2={height - margin.bottom} />
          <text x={x.scale(tick)} y={height - margin.bottom + 14} text-anchor="middle">
            {short(tick)}
          </text>
        </g>
      ))}
      {y.ticks.map((tick) => (
        <g key={tick} class="tick">
          <line x1={margin.left} x2={width - margin.right} y1={y.scale(tick)} y2={y.scale(tick)} />
          <text x={margin.left - 5} y={y.scale(tick)} dy="0.32em" text-anchor="end">
            {short(tick)}
          </text>
        </g>
      ))}
      <text class="axis" x={(margin.left + width - margin.right) / 2} y={height - 3} text-anchor="middle">
        {x.name}
      </text>
      <text
        class="axis"
        transform={`translate(11,${(margin.top + height - margin.bottom) / 2}) rotate(-90)`}
        text-anchor="middle"
      >
        {y.name}
      </text>
    </>
  );
}

function SampleMarks({
  samples,
  condition,
  layout: { points, ellipses, labels },
  shares,
  fills,
}: {
  readonly samples: SampleMap;
  readonly condition: Condition;
  readonly layout: Layout;
  readonly shares: Float64Array | null;
  readonly fills: readonly (string | undefined)[];
}) {
  return (
    <>
      {samples.names.map((name, sample) => (
        <SampleSpread
          key={name}
          at={points[sample]!}
          ellipse={ellipses[sample]}
          fill={fills[sample]}
          isFaded={shares !== null && !(shares[sample]! > 0)}
        />
      ))}
      {samples.names.map((name, sample) => (
        <SampleMark
          key={name}
          samples={samples}
          sample={sample}
          condition={condition}
          at={points[sample]!}
          share={shares && (shares[sample] ?? 0)}
          fill={fills[sample]}
          label={labels[sample] ?? null}
        />
      ))}
    </>
  );
}

/** Where a sample's positions with other cells would be; below all samples and names. */
function SampleSpread({
  at,
  ellipse,
  fill,
  isFaded,
}: {
  readonly at: Point;
  readonly ellipse: Ellipse | undefined;
  readonly fill: string | undefined;
  readonly isFaded: boolean;
}) {
  if (!ellipse) return null;
  return (
    <ellipse
      class={isFaded ? "spread faded" : "spread"}
      rx={ellipse.rx}
      ry={ellipse.ry}
      transform={`translate(${at[0]},${at[1]}) ${ellipse.transform}`}
      style={fill === undefined ? undefined : { fill, stroke: fill }}
    />
  );
}

/** A sample; one of the query selects its cells. */
function SampleMark({
  samples,
  sample,
  condition,
  at,
  share,
  fill,
  label,
}: {
  readonly samples: SampleMap;
  readonly sample: number;
  readonly condition: Condition;
  readonly at: Point;
  /** share of its cells that are selected; null: none are */
  readonly share: number | null;
  readonly fill: string | undefined;
  readonly label: LabelPlace | null;
}) {
  const name = samples.names[sample]!;
  const isQuery = condition.names.includes(name);
  const selectOne = (event: MouseEvent | KeyboardEvent): void =>
    selectSamples([name], condition, samples.key, modeOf(event));
  const asButton = {
    role: "button" as const,
    tabindex: 0,
    onClick: selectOne,
    onKeyDown: (event: KeyboardEvent) =>
      (event.key === "Enter" || event.key === " ") && (event.preventDefault(), selectOne(event)),
  };
  return (
    <g
      class={`sample ${isQuery ? "query" : "reference"} ${share === 0 ? "faded" : ""}`}
      transform={`translate(${at[0]},${at[1]})`}
      {...(isQuery ? asButton : {})}
    >
      <title>
        {`${name}\n${samples.isReference[sample] ? "reference" : "query"}` +
          (isQuery ? `, ${count(cellsOf(condition, name))} cells here` : "") +
          (share !== null && isQuery ? `, ${percent(share)} of them selected` : "")}
      </title>
      <circle r={isQuery ? 5.5 : 4} style={fill === undefined ? undefined : { fill }} />
      {label && (
        <text x={label.dx} y={label.dy} text-anchor={label.anchor} aria-hidden="true">
          {name}
        </text>
      )}
      {share !== null && share > 0 && <circle class="ring" r={7 + 5 * share} />}
    </g>
  );
}

function ScatterKey({
  isColoured,
  hasSelection,
  hasSpreads,
}: {
  readonly isColoured: boolean;
  readonly hasSelection: boolean;
  readonly hasSpreads: boolean;
}) {
  return (
    <ul class="legend-row">
      {!isColoured && (
        <>
          <li>
            <span class="dot reference" />
            reference
          </li>
          <li>
            <span class="dot query" />
            query, each in its colour
          </li>
        </>
      )}
      {hasSelection && <li>ring: share of its cells that are selected</li>}
      {hasSpreads && <li>ellipse: where 95 % of its positions with other cells would be</li>}
    </ul>
  );
}

const mostNamed = 40;

/**
 * Where names go: inside the axes, those of the query first; of the reference none where there are many.
 * @param points - in pixels @returns per sample; null where there is no room
 */
function namePlaces(
  points: readonly (readonly [number, number])[],
  names: readonly string[],
  queryNames: readonly string[],
  width: number,
): (LabelPlace | null)[] {
  const order = names
    .map((name, sample) => ({ sample, isQuery: queryNames.includes(name) }))
    .filter(({ isQuery }) => isQuery || names.length <= mostNamed)
    .sort((a, b) => Number(b.isQuery) - Number(a.isQuery));
  const places = new Array<LabelPlace | null>(names.length).fill(null);
  // every sample is in the way of a name, named or not
  const others = names.flatMap((_, sample) => (order.some((one) => one.sample === sample) ? [] : [sample]));
  const all = [...order.map(({ sample }) => sample), ...others];
  const shifted = all.map((sample) => [points[sample]![0] - margin.left, points[sample]![1]] as const);
  const inner = width - margin.left - margin.right;
  placeLabels(
    shifted,
    all.map((sample) => names[sample]!),
    inner,
  ).forEach((place, i) => {
    const y = points[all[i]!]![1] + (place?.dy ?? 0);
    if (i < order.length && place && y > margin.top && y < height - margin.bottom) places[all[i]!] = place;
  });
  return places;
}

type Condition = MappingResult["conditions"][number];

function cellsOf({ names, codes }: Condition, name: string): number {
  const code = names.indexOf(name);
  return codes.reduce((sum, one) => sum + (one === code ? 1 : 0), 0);
}

function selectSamples(
  names: readonly string[],
  condition: Condition,
  key: string,
  mode: SelectionMode,
): void {
  const wanted = condition.names.map((name) => names.includes(name));
  if (!wanted.includes(true)) return mode === "replace" ? clearSelection() : undefined;
  const cells: number[] = [];
  condition.codes.forEach((code, cell) => wanted[code] && cells.push(cell));
  const selected = condition.names.filter((_, code) => wanted[code]);
  const more = selected.length - 3;
  select(
    Uint32Array.from(cells),
    `${key} ${selected.slice(0, 3).join(", ")}${more > 0 ? ` and ${more} more` : ""}`,
    mode,
  );
}

/** Of each sample the share of its query cells that are selected; null where none are. */
function selectedShares(
  cells: Uint32Array | null,
  { codes, names }: Condition,
  rowOf: ReadonlyMap<string, number>,
  samples: number,
): Float64Array | null {
  if (!cells) return null;
  const [selected, all] = [new Float64Array(samples), new Float64Array(samples)];
  const rows = names.map((name) => rowOf.get(name) ?? -1);
  const add = (into: Float64Array, code: number): void =>
    void (code >= 0 && rows[code]! >= 0 && into[rows[code]!]!++);
  for (const code of codes) add(all, code);
  for (const cell of cells) add(selected, codes[cell]!);
  return selected.map((value, sample) => value / Math.max(1, all[sample]!));
}

function scaled(values: readonly number[], from: number, to: number): Pick<SampleAxis, "scale" | "ticks"> {
  const finite = values.filter(Number.isFinite);
  const [least, most] = [Math.min(...finite), Math.max(...finite)];
  const room = 0.08 * (most - least || 1);
  const [low, high] = [least - room, most + room];
  return {
    scale: (value) => from + ((value - low) / (high - low)) * (to - from),
    ticks: linearTicks(low, high, 4),
  };
}
