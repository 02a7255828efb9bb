// All metrics of one embedding. Exact up to 50,000 cells; beyond, metrics of all pairs or of the whole graph
// are estimated from random draws, with a standard error.
import { allPairs } from "../kernel-modules/pairs.js";
import type { Neighbors } from "../graph/neighbors.js";
import { mean } from "../numerics/descriptive.js";
import { Random } from "../numerics/random.js";
import { countCodes, isolatedTypes, subsetOf, type LabelledCells } from "./cells.js";
import { isolatedLabelF1, kMeansAgreement, leidenAgreement, leidenClusters } from "./clusters.js";
import { graphConnectivity } from "./graph-connectivity.js";
import { lisi, scaleConditionLisi, scaleTypeLisi, weightedMedian } from "./lisi.js";
import { metricNames, type Metric, type MetricName, type Metrics } from "./metrics.js";
import { pcRegression, varianceBetween } from "./pc-regression.js";
import {
  cellTypeSilhouette,
  conditionSilhouette,
  isolatedLabelSilhouette,
  silhouettes,
} from "./silhouettes.js";

/** Numbers of neighbours without the cell itself, which scIB includes in its 15 and 90. */
const graphNeighbors = 14;
const lisiNeighbors = 89;
/** Number of random draws for a standard error. */
export const draws = 5;
/**
 * Number of cells per draw for graphs, as a share of `exactCells`: five draws cost about twice an exact run.
 */
const graphShare = 0.4;
/** Total number of rows drawn, and minimum per cell type and draw. */
const leastRows = 2000;
const leastRowsOfType = 10;

export interface IntegrationOptions {
  /** default: all */
  readonly metrics?: readonly MetricName[];
  /**
   * share of variance between conditions before integration, for PC regression, or the reason why it is
   * unknown
   */
  readonly before?: { readonly varianceBetween: number } | { readonly reason: string };
  /** maximum number of cells for which all metrics are exact. Default 50,000 */
  readonly exactCells?: number;
  readonly seed?: number;
  readonly threads?: number;
  /** called with the share done, 0..1; throwing stops the work */
  readonly onProgress?: (share: number) => void;
}

export const defaultExactCells = 50_000;

type Values = { [name in MetricName]?: number | null };
type Reasons = { [name in MetricName]?: string };

/**
 * Metrics that come from rows (cells against all others), and from a graph of all cells that are looked at.
 */
const rowMetrics: readonly MetricName[] = [
  "cell_type_silhouette",
  "isolated_label_silhouette",
  "condition_silhouette",
  "clisi",
  "ilisi",
];
const leidenMetrics: readonly MetricName[] = ["leiden_nmi", "leiden_ari", "isolated_label_f1"];
const kMeansMetrics: readonly MetricName[] = ["kmeans_nmi", "kmeans_ari"];
const graphMetrics: readonly MetricName[] = [...leidenMetrics, "graph_connectivity"];

/**
 * @param cells - positions, cell types and conditions
 * @returns a value or a reason for each requested metric
 * @throws ScPoliError "memory"
 */
export async function scoreIntegration(
  cells: LabelledCells,
  options: IntegrationOptions = {},
): Promise<Metrics> {
  const {
    metrics = metricNames,
    exactCells = defaultExactCells,
    before = { reason: "there are no positions before integration to compare with" },
  } = options;
  const reasons = whyNot(cells);
  if ("reason" in before) reasons.pc_regression ??= before.reason;
  const wanted = new Set(metrics.filter((name) => reasons[name] === undefined));
  const run = new Run(cells, wanted, options);
  const computed: Metrics =
    cells.types.length <= exactCells ? await run.exactly() : await run.sampled(exactCells);
  const all: Record<string, Metric> = {};
  for (const name of metricNames.filter((name) => metrics.includes(name))) {
    const reason = reasons[name];
    if (reason !== undefined) all[name] = { value: null, standard_error: null, reason };
    else if (name === "pc_regression" && "varianceBetween" in before) {
      const value = pcRegression(
        before.varianceBetween,
        varianceBetween(cells.points, cells.D, cells.conditions, cells.conditionNames.length),
      );
      all[name] = {
        value,
        standard_error: null,
        ...(value === null && { reason: "the condition explained no variance before integration" }),
      };
    } else all[name] = computed[name]!;
  }
  return all;
}

/** Metrics that are not defined for these cells. */
function whyNot(cells: LabelledCells): Reasons {
  const reasons: Reasons = {};
  const say = (names: readonly MetricName[], reason: string): void =>
    names.forEach((name) => (reasons[name] ??= reason));
  const [T, C, N] = [cells.typeNames.length, cells.conditionNames.length, cells.types.length];
  if (N < 6) say(metricNames, `there are ${N} cells`);
  if (T < 2)
    say(
      ["cell_type_silhouette", "isolated_label_silhouette", ...leidenMetrics, ...kMeansMetrics, "clisi"],
      "there is one cell type",
    );
  if (C < 2)
    say(
      ["condition_silhouette", "pc_regression", "ilisi", "isolated_label_f1", "isolated_label_silhouette"],
      "there is one condition",
    );
  if (isolatedTypes(cells).conditions === C)
    say(["isolated_label_f1"], "every cell type occurs in every condition, so none is isolated");
  return reasons;
}

/** Computes the metrics of one embedding. */
class Run {
  readonly #isolated: readonly number[];
  readonly #sizes: Int32Array;
  readonly #seed: number;

  constructor(
    private readonly cells: LabelledCells,
    private readonly wanted: ReadonlySet<MetricName>,
    private readonly options: IntegrationOptions,
  ) {
    this.#isolated = isolatedTypes(cells).types;
    this.#sizes = countCodes(cells.types, cells.typeNames.length);
    this.#seed = options.seed ?? 0;
  }

  async exactly(): Promise<Metrics> {
    const { cells } = this;
    const hasPairs = this.#wants([...rowMetrics, ...graphMetrics]);
    if (!hasPairs && !this.#wants(kMeansMetrics)) return {};
    const values: Values = {};
    if (hasPairs) {
      const rows = Int32Array.from(cells.types.keys());
      const pairs = await this.#pairs(
        cells,
        this.#wants(["clisi", "ilisi"]) ? lisiNeighbors : graphNeighbors,
        rows,
        0,
        0.3,
      );
      Object.assign(
        values,
        this.#ofRows(pairs, rows),
        await this.#ofGraph(cells, firstOf(pairs, graphNeighbors), 0, 0.3, 0.95),
      );
    }
    Object.assign(values, this.#ofKMeans(cells, 0));
    return toMetrics(values, () => null);
  }

  /**
   * Rows are drawn against all cells, so that their metrics are estimated without bias; graphs are made of
   * draws.
   */
  async sampled(exactCells: number): Promise<Metrics> {
    const values: Values = {};
    const errors: Values = {};
    if (this.#wants(rowMetrics)) await this.#sampledRows(exactCells, values, errors);
    if (this.#wants([...graphMetrics, ...kMeansMetrics]))
      await this.#sampledGraphs(Math.floor(graphShare * exactCells), values, errors);
    return toMetrics(values, (name) => errors[name] ?? null);
  }

  async #sampledRows(exactCells: number, values: Values, errors: Values): Promise<void> {
    const { cells } = this;
    const perDraw = Math.ceil(Math.max(leastRows, exactCells ** 2 / cells.types.length) / draws);
    const drawn = Array.from({ length: draws }, (_, draw) => this.#drawRows(perDraw, draw));
    const rows = Int32Array.from(drawn.flatMap((rowsOfDraw) => Array.from(rowsOfDraw)));
    const pairs = await this.#pairs(cells, this.#wants(["clisi", "ilisi"]) ? lisiNeighbors : 0, rows, 0, 0.3);
    Object.assign(values, this.#ofRows(pairs, rows));
    let start = 0;
    const ofDraws = drawn.map((rowsOfDraw) => {
      const end = start + rowsOfDraw.length;
      const part = this.#ofRows(rowsOf(pairs, start, end), rowsOfDraw);
      start = end;
      return part;
    });
    Object.assign(errors, standardErrors(ofDraws));
  }

  /** Rows of one draw: each type in proportion, with a minimum. */
  #drawRows(most: number, draw: number): Int32Array {
    const { types } = this.cells;
    const order = new Random(this.#seed, `rows ${draw}`).shuffle(Int32Array.from(types.keys()));
    const left = this.#sizes.map((size) =>
      Math.min(size, Math.max(leastRowsOfType, Math.round((most * size) / types.length))),
    );
    return order.filter((cell) => left[types[cell]!]!-- > 0).sort();
  }

  async #sampledGraphs(size: number, values: Values, errors: Values): Promise<void> {
    const { cells } = this;
    const ofDraws: Values[] = [];
    for (let draw = 0; draw < draws; draw++) {
      const rows = new Random(this.#seed, `cells ${draw}`)
        .shuffle(Int32Array.from(cells.types.keys()))
        .slice(0, size)
        .sort();
      const subset = subsetOf(cells, rows);
      const [from, to] = [0.3 + (0.7 * draw) / draws, 0.3 + (0.7 * (draw + 1)) / draws];
      const part: Values = {};
      if (this.#wants(graphMetrics)) {
        const pairs = await this.#pairs(
          subset,
          graphNeighbors,
          Int32Array.from(rows.keys()),
          from,
          from + (to - from) / 4,
        );
        Object.assign(part, await this.#ofGraph(subset, pairs, draw, from + (to - from) / 4, to));
      }
      ofDraws.push({ ...part, ...this.#ofKMeans(subset, draw) });
    }
    for (const name of Object.keys(ofDraws[0]!) as MetricName[])
      values[name] = mean(ofDraws.map((part) => part[name]!));
    Object.assign(errors, standardErrors(ofDraws));
  }

  #pairs(
    { points, D, types, conditions }: LabelledCells,
    nearest: number,
    rows: Int32Array,
    from: number,
    to: number,
  ) {
    const { threads } = this.options;
    return allPairs(
      { points, D, types, conditions, rows, nearest },
      { threads, onProgress: (share) => this.#tell(from + share * (to - from)) },
    );
  }

  /** @param rows - cell of each row of `pairs`; each type's rows stand for all of its cells */
  #ofRows(pairs: Awaited<ReturnType<typeof allPairs>>, rows: Int32Array): Values {
    const { cells, wanted } = this;
    const values: Values = {};
    const means = silhouettes(pairs, rows, cells);
    if (wanted.has("cell_type_silhouette"))
      values.cell_type_silhouette = cellTypeSilhouette(means, this.#sizes);
    if (wanted.has("isolated_label_silhouette"))
      values.isolated_label_silhouette = isolatedLabelSilhouette(means, this.#isolated);
    if (wanted.has("condition_silhouette")) values.condition_silhouette = conditionSilhouette(means);
    if (!this.#wants(["clisi", "ilisi"])) return values;
    const drawn = countCodes(
      rows.map((cell) => cells.types[cell]!),
      cells.typeNames.length,
    );
    const weights = Float64Array.from(
      rows,
      (cell) => this.#sizes[cells.types[cell]!]! / drawn[cells.types[cell]!]!,
    );
    const [ofTypes, ofConditions] = lisi(pairs, [cells.types, cells.conditions]) as [
      Float64Array,
      Float64Array,
    ];
    if (wanted.has("clisi"))
      values.clisi = scaleTypeLisi(weightedMedian(ofTypes, weights), cells.typeNames.length);
    if (wanted.has("ilisi"))
      values.ilisi = scaleConditionLisi(weightedMedian(ofConditions, weights), cells.conditionNames.length);
    return values;
  }

  async #ofGraph(
    { types, typeNames }: LabelledCells,
    neighbors: Neighbors,
    draw: number,
    from: number,
    to: number,
  ): Promise<Values> {
    const { wanted } = this;
    const values: Values = {};
    if (wanted.has("graph_connectivity"))
      values.graph_connectivity = graphConnectivity(neighbors, types, typeNames.length);
    if (!this.#wants(leidenMetrics)) return values;
    const clusters = await leidenClusters(neighbors, this.#seed + draw, async (share) =>
      this.#tell(from + share * (to - from)),
    );
    const { nmi, ari } = leidenAgreement(clusters, types);
    if (wanted.has("leiden_nmi")) values.leiden_nmi = nmi;
    if (wanted.has("leiden_ari")) values.leiden_ari = ari;
    if (wanted.has("isolated_label_f1"))
      values.isolated_label_f1 = isolatedLabelF1(clusters, types, this.#isolated);
    return values;
  }

  #ofKMeans({ points, D, types, typeNames }: LabelledCells, draw: number): Values {
    if (!this.#wants(kMeansMetrics)) return {};
    const { nmi, ari } = kMeansAgreement(points, D, types, typeNames.length, this.#seed + draw);
    return {
      ...(this.wanted.has("kmeans_nmi") && { kmeans_nmi: nmi }),
      ...(this.wanted.has("kmeans_ari") && { kmeans_ari: ari }),
    };
  }

  #wants(names: readonly MetricName[]): boolean {
    return names.some((name) => this.wanted.has(name));
  }

  #tell(share: number): void {
    this.options.onProgress?.(Math.min(1, share));
  }
}

/** The nearest of each cell's neighbours. */
function firstOf({ k, indices, distances }: Neighbors, most: number): Neighbors {
  const few = Math.min(k, most);
  const N = k === 0 ? 0 : indices.length / k;
  const first = { k: few, indices: new Int32Array(N * few), distances: new Float64Array(N * few) };
  for (let i = 0; i < N; i++) {
    first.indices.set(indices.subarray(i * k, i * k + few), i * few);
    first.distances.set(distances.subarray(i * k, i * k + few), i * few);
  }
  return first;
}

/** Rows [start, end) of a result. */
function rowsOf(
  pairs: Awaited<ReturnType<typeof allPairs>>,
  start: number,
  end: number,
): Awaited<ReturnType<typeof allPairs>> {
  const { k } = pairs;
  return {
    ownType: pairs.ownType.subarray(start, end),
    otherType: pairs.otherType.subarray(start, end),
    ownCondition: pairs.ownCondition.subarray(start, end),
    otherCondition: pairs.otherCondition.subarray(start, end),
    k,
    indices: pairs.indices.subarray(start * k, end * k),
    distances: pairs.distances.subarray(start * k, end * k),
  };
}

/** Standard error of the mean of draws, of each metric. */
function standardErrors(ofDraws: readonly Values[]): Values {
  const errors: Values = {};
  for (const name of Object.keys(ofDraws[0]!) as MetricName[]) {
    const values = ofDraws.map((part) => part[name] ?? NaN);
    const center = mean(values);
    const variance = values.reduce((sum, value) => sum + (value - center) ** 2, 0) / (values.length - 1);
    errors[name] = Math.sqrt(variance / values.length);
  }
  return errors;
}

function toMetrics(values: Values, errorOf: (name: MetricName) => number | null): Metrics {
  const metrics: Record<string, Metric> = {};
  for (const name of Object.keys(values) as MetricName[]) {
    const value = values[name]!;
    metrics[name] =
      value === null
        ? { value, standard_error: null, reason: "no cell type occurs in several conditions" }
        : { value, standard_error: errorOf(name) };
  }
  return metrics;
}
