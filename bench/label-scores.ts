// Scores of the benches that leave conditions out: labels against the truth, and integration.
import { scoreIntegration } from "../dist/evaluation/integration.js";
import { mean } from "../dist/numerics/descriptive.js";

/** Share of right labels, and F1 averaged over the types of the truth. */
export function accuracyAndF1(truth: readonly string[], predicted: readonly string[]): [number, number] {
  const right = truth.filter((type, i) => type === predicted[i]).length / truth.length;
  // of the types that the left-out cells have
  const f1 = [...new Set(truth)].map((type) => {
    let [both, labelled, other] = [0, 0, 0];
    truth.forEach((one, i) => {
      if (one === type) labelled++;
      if (predicted[i] === type) other++;
      if (one === type && predicted[i] === type) both++;
    });
    return (2 * both) / (labelled + other);
  });
  return [right, mean(f1)];
}

/** Share of pairs in which the first kind has the larger value, ties counting half. */
export function auroc(isFirst: readonly boolean[], values: ArrayLike<number>): number {
  const order = Array.from(isFirst.keys()).sort((a, b) => values[a]! - values[b]!);
  let [sum, firsts] = [0, 0];
  for (let from = 0; from < order.length;) {
    let to = from;
    while (to < order.length && values[order[to]!] === values[order[from]!]) to++;
    for (let at = from; at < to; at++)
      if (isFirst[order[at]!]) {
        sum += (from + to - 1) / 2 + 1;
        firsts++;
      }
    from = to;
  }
  return (sum - (firsts * (firsts + 1)) / 2) / (firsts * (isFirst.length - firsts));
}

/** Expected calibration error of probabilities, ten bins. */
export function calibrationError(probability: readonly number[], isRight: readonly boolean[]): number {
  const bins = Array.from({ length: 10 }, (): number[] => []);
  probability.forEach((p, cell) => bins[Math.min(9, Math.ceil(p * 10) - 1)]!.push(cell));
  return (
    bins
      .filter(({ length }) => length > 0)
      .reduce(
        (sum, cells) =>
          sum +
          cells.length *
            Math.abs(
              mean(cells.map((cell) => probability[cell]!)) -
                mean(cells.map((cell) => Number(isRight[cell]))),
            ),
        0,
      ) / probability.length
  );
}

/** Integration of cells in latent space: parts, and their total of 60 % biology and 40 % mixing. */
export async function integrationOf(
  points: Float32Array,
  D: number,
  types: string[],
  conditions: string[],
  seed: number,
) {
  const code = (values: readonly string[]): { codes: Int32Array; names: string[] } => {
    const names = [...new Set(values)].sort();
    return { codes: Int32Array.from(values, (value) => names.indexOf(value)), names };
  };
  const [ofTypes, ofConditions] = [code(types), code(conditions)];
  const metrics = await scoreIntegration(
    {
      points,
      D,
      types: ofTypes.codes,
      typeNames: ofTypes.names,
      conditions: ofConditions.codes,
      conditionNames: ofConditions.names,
    },
    {
      metrics: [
        "cell_type_silhouette",
        "kmeans_nmi",
        "kmeans_ari",
        "condition_silhouette",
        "graph_connectivity",
      ],
      threads: 1,
      seed,
      exactCells: 10_000,
    },
  );
  const value = (name: keyof typeof metrics): number => metrics[name]?.value ?? NaN;
  const biology = [value("cell_type_silhouette"), value("kmeans_nmi"), value("kmeans_ari")];
  const mixing = [value("condition_silhouette"), value("graph_connectivity")];
  return { biology, mixing, total: 0.6 * mean(biology) + 0.4 * mean(mixing) };
}
