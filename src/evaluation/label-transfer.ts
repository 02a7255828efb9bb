// Quality of transferred labels: accuracy and F1 by type, confusion, calibration of probabilities, and
// detection of errors and unknown types by the uncertainty. Source: De Donno et al. 2023, Methods (weighted
// and macro F1); Guo et al. 2017 (calibration); definitions of scikit-learn where available.

/**
 * F1 scores of types with fewer cells are unreliable; a second macro average leaves such types out.
 */
const fewCells = 10;
const calibrationBins = 10;
/** Maximum number of points of a curve. */
const curvePoints = 101;

export interface TransferInput {
  /** (N) rows of `names` */
  readonly truth: Int32Array;
  readonly predicted: Int32Array;
  readonly names: readonly string[];
  /** (names) 1 if the model knows the type */
  readonly isKnown: Uint8Array;
  /** (N) high if unsure; NaN if missing. null: none */
  readonly uncertainty: Float64Array | null;
  /** (N) high if unlike every known type; NaN if missing. Default: none */
  readonly novelty?: Float64Array | null;
  /** (N) probability of the prediction, 0..1; NaN if missing. null: none */
  readonly probability: Float64Array | null;
  /** (N) 1 if the cell is flagged unknown. null: no flags */
  readonly flagged: Uint8Array | null;
}

interface TypeScore {
  readonly cell_type: string;
  /** false: the model does not know the type, so no prediction can be right */
  readonly known: boolean;
  readonly cells: number;
  readonly predicted: number;
  /** null without predictions */
  readonly precision: number | null;
  /** null without cells */
  readonly recall: number | null;
  readonly f1: number;
}

/** Receiver operating characteristic of a score for the detection of a class of cells. */
export interface Roc {
  /** numbers of cells to detect, and of others */
  readonly positives: number;
  readonly negatives: number;
  readonly auroc: number;
  /** by decreasing uncertainty */
  readonly curve: readonly {
    readonly uncertainty: number;
    readonly false_positive_rate: number;
    readonly true_positive_rate: number;
  }[];
}

/** Quality of transferred labels. */
export interface LabelTransfer {
  /** cells with a true label and a prediction */
  readonly cells: number;
  /** number of these whose type the model does not know; accuracy and F1 exclude them */
  readonly cells_of_unknown_types: number;
  /** Share of the cells of known types with the right label; null: no such cells */
  readonly accuracy: number | null;
  /** F1 of the types, weighted by their cells */
  readonly weighted_f1: number | null;
  /** Mean F1 of the types */
  readonly macro_f1: number | null;
  /** over the types with ten cells or more */
  readonly macro_f1_large: number | null;
  /** Scores of each type */
  readonly types: readonly TypeScore[];
  /** rows are true types, columns predicted ones, in the order of the names */
  readonly confusion: {
    /** True types, the rows */
    readonly truth: readonly string[];
    /** Predicted types, the columns */
    readonly predicted: readonly string[];
    /** Number of cells (truth, predicted) */
    readonly cells: readonly (readonly number[])[];
  };
  /** How the probabilities agree with the share of right labels; null: no probabilities */
  readonly calibration: {
    /** mean over cells of |confidence - accuracy| of their bin */
    readonly expected_calibration_error: number;
    /** Ten bins of the probability */
    readonly bins: readonly {
      /** Lower end of the bin */
      readonly from: number;
      /** Upper end of the bin */
      readonly to: number;
      /** Cells in the bin */
      readonly cells: number;
      /** Mean probability; null: no cells */
      readonly probability: number | null;
      /** Share of right labels; null: no cells */
      readonly accuracy: number | null;
    }[];
  } | null;
  /**
   * share of wrong labels by uncertainty, over cells of all types; labels of types that the model does not
   * know are always wrong
   */
  readonly errors: {
    /** Ten bins of the uncertainty */
    readonly bins: readonly {
      /** Lower end of the bin */
      readonly from: number;
      /** Upper end of the bin */
      readonly to: number;
      /** Cells in the bin */
      readonly cells: number;
      /** Mean uncertainty; null: no cells */
      readonly uncertainty: number | null;
      /** Share of wrong labels; null: no cells */
      readonly wrong: number | null;
    }[];
  } | null;
  /** null if there is only one class, or no uncertainty */
  readonly errors_by_uncertainty: Roc | null;
  /** ROC of the uncertainty for cells of unknown types; null: there are none */
  readonly unknown_types_by_uncertainty: Roc | null;
  /** detection by the novelty score, if any; `uncertainty` of its curve is the novelty score */
  readonly unknown_types_by_novelty: Roc | null;
  /** accuracy of the cells that remain when the most uncertain are left out */
  readonly kept:
    readonly { readonly share: number; readonly uncertainty: number; readonly accuracy: number }[] | null;
  /**
   * numbers of flagged cells, of those with an unknown type, and of those with a wrong label; share of cells
   * of unknown types that are flagged
   */
  readonly flags: {
    /** Cells that are flagged unknown */
    readonly flagged: number;
    /** Flagged cells whose type the predictor does not know */
    readonly of_unknown_types: number;
    /** Flagged cells with a wrong label */
    readonly wrong: number;
    /** Share of the cells of unknown types that is flagged; null: there are none */
    readonly unknown_found: number | null;
  } | null;
}

export function scoreLabelTransfer(input: TransferInput): LabelTransfer {
  const { truth, predicted, isKnown, uncertainty, novelty, probability } = input;
  const all = Array.from(truth.keys());
  const known = all.filter((cell) => isKnown[truth[cell]!]);
  const types = typeScores(input, known);
  const inKnown = types.filter((type) => type.known && type.cells + type.predicted > 0);
  const average = (scores: readonly TypeScore[], weight: (score: TypeScore) => number): number | null => {
    const total = scores.reduce((sum, score) => sum + weight(score), 0);
    return total === 0 ? null : scores.reduce((sum, score) => sum + weight(score) * score.f1, 0) / total;
  };
  const isWrong = (cell: number): boolean => truth[cell] !== predicted[cell];
  const withUncertainty = uncertainty ? all.filter((cell) => !Number.isNaN(uncertainty[cell]!)) : [];
  return {
    cells: truth.length,
    cells_of_unknown_types: truth.length - known.length,
    accuracy: known.length === 0 ? null : known.filter((cell) => !isWrong(cell)).length / known.length,
    weighted_f1: average(inKnown, ({ cells }) => cells),
    macro_f1: average(inKnown, () => 1),
    macro_f1_large: average(
      inKnown.filter(({ cells }) => cells >= fewCells),
      () => 1,
    ),
    types,
    confusion: confusion(input),
    calibration: probability && calibration(known, probability, (cell) => !isWrong(cell)),
    errors: uncertainty && errors(withUncertainty, uncertainty, isWrong),
    errors_by_uncertainty: uncertainty && roc(withUncertainty, uncertainty, isWrong),
    unknown_types_by_uncertainty:
      uncertainty && roc(withUncertainty, uncertainty, (cell) => !isKnown[truth[cell]!]),
    unknown_types_by_novelty: novelty
      ? roc(
          all.filter((cell) => !Number.isNaN(novelty[cell]!)),
          novelty,
          (cell) => !isKnown[truth[cell]!],
        )
      : null,
    kept: uncertainty && keptAccuracy(withUncertainty, uncertainty, (cell) => !isWrong(cell)),
    flags: flags(input, all, isWrong),
  };
}

/**
 * Precision and the number of predictions are over cells of known types, like accuracy and F1; recall of
 * unknown types is always 0.
 */
function typeScores(
  { truth, predicted, names, isKnown }: TransferInput,
  known: readonly number[],
): TypeScore[] {
  const [cells, calls, right] = [
    new Int32Array(names.length),
    new Int32Array(names.length),
    new Int32Array(names.length),
  ];
  for (const type of truth) cells[type]!++;
  for (const cell of known) {
    calls[predicted[cell]!]!++;
    if (truth[cell] === predicted[cell]) right[truth[cell]!]!++;
  }
  return names.flatMap((cell_type, type) => {
    const [n, p, r] = [cells[type]!, calls[type]!, right[type]!];
    if (n + p === 0) return [];
    return [
      {
        cell_type,
        known: isKnown[type] === 1,
        cells: n,
        predicted: p,
        precision: p === 0 ? null : r / p,
        recall: n === 0 ? null : r / n,
        f1: (2 * r) / (n + p),
      },
    ];
  });
}

function confusion({ truth, predicted, names }: TransferInput): LabelTransfer["confusion"] {
  const [rows, columns] = [truth, predicted].map((codes) => [...new Set(codes)].sort((a, b) => a - b)) as [
    number[],
    number[],
  ];
  const [rowOf, columnOf] = [
    new Map(rows.map((type, i) => [type, i])),
    new Map(columns.map((type, i) => [type, i])),
  ];
  const cells = rows.map(() => columns.map(() => 0));
  truth.forEach((type, cell) => cells[rowOf.get(type)!]![columnOf.get(predicted[cell]!)!]!++);
  return { truth: rows.map((type) => names[type]!), predicted: columns.map((type) => names[type]!), cells };
}

/**
 * Bins of equal width over values in 0..1: number of cells, sum of values, and number of hits in each.
 */
function binned(
  cells: readonly number[],
  values: Float64Array,
  isHit: (cell: number) => boolean,
): { from: number; to: number; cells: number; sum: number; hits: number }[] {
  const bins = Array.from({ length: calibrationBins }, (_, bin) => ({
    from: bin / calibrationBins,
    to: (bin + 1) / calibrationBins,
    cells: 0,
    sum: 0,
    hits: 0,
  }));
  for (const cell of cells) {
    const bin =
      bins[Math.max(0, Math.min(calibrationBins - 1, Math.ceil(values[cell]! * calibrationBins) - 1))]!;
    bin.cells++;
    bin.sum += values[cell]!;
    if (isHit(cell)) bin.hits++;
  }
  return bins;
}

function calibration(
  cells: readonly number[],
  probability: Float64Array,
  isRight: (cell: number) => boolean,
): LabelTransfer["calibration"] {
  const known = cells.filter((cell) => !Number.isNaN(probability[cell]!));
  if (known.length === 0) return null;
  const bins = binned(known, probability, isRight);
  return {
    expected_calibration_error:
      bins.reduce((sum, bin) => sum + Math.abs(bin.sum - bin.hits), 0) / known.length,
    bins: bins.map(({ sum, hits, ...bin }) => ({
      ...bin,
      probability: bin.cells === 0 ? null : sum / bin.cells,
      accuracy: bin.cells === 0 ? null : hits / bin.cells,
    })),
  };
}

function errors(
  cells: readonly number[],
  uncertainty: Float64Array,
  isWrong: (cell: number) => boolean,
): LabelTransfer["errors"] {
  if (cells.length === 0) return null;
  return {
    bins: binned(cells, uncertainty, isWrong).map(({ sum, hits, ...bin }) => ({
      ...bin,
      uncertainty: bin.cells === 0 ? null : sum / bin.cells,
      wrong: bin.cells === 0 ? null : hits / bin.cells,
    })),
  };
}

/** null if all or none are positive. Equal uncertainties are one step of the curve. */
function roc(
  cells: readonly number[],
  uncertainty: Float64Array,
  isPositive: (cell: number) => boolean,
): Roc | null {
  const positives = cells.filter(isPositive).length;
  const negatives = cells.length - positives;
  if (positives === 0 || negatives === 0) return null;
  const order = [...cells].sort((a, b) => uncertainty[b]! - uncertainty[a]! || a - b);
  const curve: Roc["curve"][number][] = [];
  let [truePositives, falsePositives, area, lastTrue, lastFalse] = [0, 0, 0, 0, 0];
  order.forEach((cell, place) => {
    if (isPositive(cell)) truePositives++;
    else falsePositives++;
    const value = uncertainty[cell]!;
    if (place + 1 < order.length && uncertainty[order[place + 1]!] === value) return;
    area += ((falsePositives - lastFalse) * (truePositives + lastTrue)) / 2;
    [lastTrue, lastFalse] = [truePositives, falsePositives];
    curve.push({
      uncertainty: value,
      false_positive_rate: falsePositives / negatives,
      true_positive_rate: truePositives / positives,
    });
  });
  return { positives, negatives, auroc: area / (positives * negatives), curve: thinned(curve) };
}

function keptAccuracy(
  cells: readonly number[],
  uncertainty: Float64Array,
  isRight: (cell: number) => boolean,
): LabelTransfer["kept"] {
  if (cells.length === 0) return null;
  const order = [...cells].sort((a, b) => uncertainty[a]! - uncertainty[b]! || a - b);
  const kept: { share: number; uncertainty: number; accuracy: number }[] = [];
  let right = 0;
  order.forEach((cell, place) => {
    if (isRight(cell)) right++;
    const value = uncertainty[cell]!;
    if (place + 1 === order.length || uncertainty[order[place + 1]!] !== value)
      kept.push({ share: (place + 1) / order.length, uncertainty: value, accuracy: right / (place + 1) });
  });
  return thinned(kept);
}

/** Evenly spaced points, including the first and the last. */
function thinned<T>(points: readonly T[]): T[] {
  if (points.length <= curvePoints) return [...points];
  return Array.from(
    { length: curvePoints },
    (_, i) => points[Math.round((i * (points.length - 1)) / (curvePoints - 1))]!,
  );
}

function flags(
  { truth, isKnown, flagged }: TransferInput,
  all: readonly number[],
  isWrong: (cell: number) => boolean,
): LabelTransfer["flags"] {
  if (!flagged) return null;
  const flaggedCells = all.filter((cell) => flagged[cell]);
  const unknown = all.filter((cell) => !isKnown[truth[cell]!]);
  const detected = unknown.filter((cell) => flagged[cell]).length;
  return {
    flagged: flaggedCells.length,
    of_unknown_types: detected,
    wrong: flaggedCells.filter(isWrong).length,
    unknown_found: unknown.length === 0 ? null : detected / unknown.length,
  };
}
