// The metrics of an integration: their names, and the scores that average them.
// Source: Luecken et al. 2022 (scIB); De Donno et al. 2023, Methods ("Integration metrics"); definitions of
// scib-metrics 0.5.10, isolated-label F1 of scib 1.1.7.
import { mean } from "../numerics/descriptive.js";

/**
 * Metrics of biological conservation; `mixingMetrics` measure the mixing of conditions. All in 0..1, 1 is
 * best.
 */
export const biologyMetrics = [
  "cell_type_silhouette",
  "isolated_label_f1",
  "isolated_label_silhouette",
  "leiden_nmi",
  "leiden_ari",
  "kmeans_nmi",
  "kmeans_ari",
  "clisi",
] as const;
export const mixingMetrics = [
  "condition_silhouette",
  "graph_connectivity",
  "pc_regression",
  "ilisi",
] as const;
export const metricNames = [...biologyMetrics, ...mixingMetrics] as const;
/** Name of an integration metric, as in scIB. */
export type MetricName = (typeof metricNames)[number];
/** Display names. */
export const metricTitles: Readonly<Record<MetricName, string>> = {
  cell_type_silhouette: "cell type silhouette",
  isolated_label_f1: "isolated label F1",
  isolated_label_silhouette: "isolated label silhouette",
  leiden_nmi: "NMI, Leiden",
  leiden_ari: "ARI, Leiden",
  kmeans_nmi: "NMI, k-means",
  kmeans_ari: "ARI, k-means",
  clisi: "cLISI",
  condition_silhouette: "condition silhouette",
  graph_connectivity: "graph connectivity",
  pc_regression: "PC regression",
  ilisi: "iLISI",
};

/** A metric of one embedding. */
export interface Metric {
  /** null if it cannot be computed, with a `reason` */
  readonly value: number | null;
  /** null if the value is exact */
  readonly standard_error: number | null;
  /** Why there is no value */
  readonly reason?: string;
}
/** Values of the metrics of one embedding. */
export type Metrics = { readonly [name in MetricName]?: Metric };

/** Means of metrics: overall = 0.6 biology + 0.4 mixing. */
export interface Scores {
  /** Mean of the metrics of biology; null: none could be computed */
  readonly biology: number | null;
  /** Mean of the metrics of mixing; null: none could be computed */
  readonly mixing: number | null;
  /** 0.6 biology + 0.4 mixing; null where one is missing */
  readonly overall: number | null;
  /** metrics of the score without a value, left out of the means */
  readonly without: readonly MetricName[];
}

/**
 * Metrics of each score. `paper`: the eight metrics of the paper. `kmeans`: NMI and ARI of k-means instead of
 * clusterings at many resolutions, as in the tables of docs/benchmarks/quality.md. cLISI and iLISI are in
 * neither.
 */
const scoreParts = {
  paper: {
    biology: [
      "cell_type_silhouette",
      "isolated_label_f1",
      "isolated_label_silhouette",
      "leiden_nmi",
      "leiden_ari",
    ],
    mixing: ["condition_silhouette", "graph_connectivity", "pc_regression"],
  },
  kmeans: {
    biology: ["cell_type_silhouette", "isolated_label_silhouette", "kmeans_nmi", "kmeans_ari"],
    mixing: ["condition_silhouette", "graph_connectivity", "pc_regression"],
  },
} as const satisfies Record<string, Record<"biology" | "mixing", readonly MetricName[]>>;
export type ScoreName = keyof typeof scoreParts;

/** Means of the available metrics of a score; null if there are none. */
export function scoresOf(metrics: Metrics, name: ScoreName): Scores {
  const parts = scoreParts[name];
  const [biology, mixing] = [meanOf(metrics, parts.biology), meanOf(metrics, parts.mixing)];
  const without = [...parts.biology, ...parts.mixing].filter(
    (metric) => (metrics[metric]?.value ?? null) === null,
  );
  return {
    biology,
    mixing,
    overall: biology === null || mixing === null ? null : 0.6 * biology + 0.4 * mixing,
    without,
  };
}

function meanOf(metrics: Metrics, names: readonly MetricName[]): number | null {
  const values = names.map((name) => metrics[name]?.value ?? null).filter((value) => value !== null);
  return values.length === 0 ? null : mean(values);
}
