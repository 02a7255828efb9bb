// Transferred labels scored against known labels, as figures: reliability of the probabilities, errors by
// uncertainty, detection of wrong labels and unknown types, and accuracy by share of cells kept.
import { scoreLabelTransfer, type LabelTransfer, type Roc } from "../evaluation/label-transfer.js";
import { lineChart, type Series } from "../plots/line-chart.js";
import { missingColour } from "../plots/palette.js";
import type { Plot } from "../plots/svg.js";
import type { Groups, LevelCells } from "./cells.js";

const whole = [0, 1] as const;
const diagonal = (name: string): Series => ({
  name,
  isDashed: true,
  colour: missingColour,
  points: [
    [0, 0],
    [1, 1],
  ],
});
const grouped = (cells: number): string => cells.toLocaleString("en-US");
const short = (value: number): string => value.toFixed(3);

/**
 * Scores predictions against the labels in the file. Types that only the file has are unknown to the model.
 */
export function scoreLevel(
  { types, predicted, uncertainty, novelty, probability, unknown }: LevelCells,
  given: Groups,
): LabelTransfer {
  const cells = Int32Array.from(given.codes.keys()).filter(
    (cell) => given.codes[cell]! >= 0 && predicted[cell]! >= 0,
  );
  const select = (values: Float64Array): Float64Array => Float64Array.from(cells, (cell) => values[cell]!);
  return scoreLabelTransfer({
    truth: cells.map((cell) => given.codes[cell]!),
    predicted: cells.map((cell) => predicted[cell]!),
    names: given.names,
    isKnown: Uint8Array.from(given.names, (_, name) => (name < types.length ? 1 : 0)),
    uncertainty: select(uncertainty),
    novelty: novelty && select(novelty),
    probability: select(probability),
    flagged: Uint8Array.from(cells, (cell) => unknown[cell]!),
  });
}

/**
 * @param of - name of the labels, for titles
 * @param isProbability - whether the uncertainty is 1 - the probability of the label
 */
export function transferFigures(
  {
    calibration,
    errors,
    errors_by_uncertainty: errorRoc,
    unknown_types_by_uncertainty,
    unknown_types_by_novelty,
    kept,
  }: LabelTransfer,
  of: string,
  isProbability: boolean,
): Plot[] {
  const unknown = unknown_types_by_novelty ?? unknown_types_by_uncertainty;
  return [
    ...(calibration ? [reliability(calibration, of)] : []),
    ...(errors ? [errorsByUncertainty(errors, of, isProbability)] : []),
    ...(errorRoc || unknown
      ? [
          rocCurves(
            [
              ["wrong labels", errorRoc],
              [unknown_types_by_novelty ? "unknown types, by novelty" : "unknown types", unknown],
            ],
            of,
          ),
        ]
      : []),
    ...(kept ? [accuracyOfKept(kept, of)] : []),
  ];
}

function reliability(
  { expected_calibration_error: error, bins }: NonNullable<LabelTransfer["calibration"]>,
  of: string,
): Plot {
  const known = bins.flatMap(({ cells, probability, accuracy }) =>
    probability === null || accuracy === null ? [] : [{ cells, point: [probability, accuracy] as const }],
  );
  return {
    ...lineChart({
      title: `Reliability of the probability: ${of}`,
      isSquare: true,
      x: { label: "mean probability of the prediction, by tenths", range: whole },
      y: { label: "share of right labels", range: whole },
      series: [
        {
          name: `share right, with numbers of cells (calibration error ${short(error)})`,
          isDotted: true,
          points: known.map(({ point }) => point),
          labels: known.map(({ cells }) => grouped(cells)),
        },
        diagonal("perfect calibration"),
      ],
    }),
    table: {
      columns: ["probability", "cells", "mean probability", "share of right labels"],
      rows: bins.map((bin) => [
        `${bin.from} to ${bin.to}`,
        bin.cells,
        bin.probability ?? "",
        bin.accuracy ?? "",
      ]),
    },
  };
}

/** @param isProbability - whether the uncertainty is 1 - a probability and so predicts the share of errors */
function errorsByUncertainty(
  { bins }: NonNullable<LabelTransfer["errors"]>,
  of: string,
  isProbability: boolean,
): Plot {
  const known = bins.flatMap(({ cells, uncertainty, wrong }) =>
    uncertainty === null || wrong === null ? [] : [{ cells, point: [uncertainty, wrong] as const }],
  );
  return {
    ...lineChart({
      title: `Errors by uncertainty: ${of}`,
      isSquare: true,
      x: { label: "mean uncertainty (0 sure, 1 unsure), by tenths", range: whole },
      y: { label: "share of wrong labels", range: whole },
      series: [
        {
          name: "share wrong, with numbers of cells",
          isDotted: true,
          points: known.map(({ point }) => point),
          labels: known.map(({ cells }) => grouped(cells)),
        },
        ...(isProbability ? [diagonal("perfect calibration")] : []),
      ],
    }),
    table: {
      columns: ["uncertainty", "cells", "mean uncertainty", "share of wrong labels"],
      rows: bins.map((bin) => [
        `${bin.from} to ${bin.to}`,
        bin.cells,
        bin.uncertainty ?? "",
        bin.wrong ?? "",
      ]),
    },
  };
}

function rocCurves(curves: readonly (readonly [what: string, roc: Roc | null])[], of: string): Plot {
  const series = curves.flatMap(([what, roc]): Series[] => {
    if (!roc) return [];
    const points = roc.curve.map(({ false_positive_rate: x, true_positive_rate: y }): [number, number] => [
      x,
      y,
    ]);
    return [
      {
        name: `${what}: ${short(roc.auroc)} (${roc.positives.toLocaleString("en-US")})`,
        points: [[0, 0], ...points],
      },
    ];
  });
  const rows = curves.flatMap(
    ([what, roc]) =>
      roc?.curve
        .filter((_, i) => i % 5 === 0)
        .map((step) => [what, step.uncertainty, step.false_positive_rate, step.true_positive_rate]) ?? [],
  );
  return {
    ...lineChart({
      title: `Detecting wrong labels and unknown types (ROC): ${of}`,
      isSquare: true,
      legend: "to be detected: AUROC (cells)",
      x: { label: "share of the other cells above the threshold", range: whole },
      y: { label: "share detected above the threshold", range: whole },
      series: [...series, diagonal("by chance")],
    }),
    table: {
      columns: ["to be detected", "uncertainty above", "share of the others", "share detected"],
      rows,
    },
  };
}

function accuracyOfKept(kept: NonNullable<LabelTransfer["kept"]>, of: string): Plot {
  return {
    ...lineChart({
      title: `Accuracy of the cells kept: ${of}`,
      isSquare: true,
      x: { label: "share of cells kept, most certain first", range: whole },
      y: { label: "share of right labels", range: whole },
      series: [
        {
          name: "cells kept",
          points: kept.map(({ share, accuracy }): [number, number] => [share, accuracy]),
        },
      ],
    }),
    table: {
      columns: ["share of cells kept", "uncertainty up to", "share of right labels"],
      rows: kept
        .filter((_, i) => i % 5 === 0 || i === kept.length - 1)
        .map(({ share, uncertainty, accuracy }) => [share, uncertainty, accuracy]),
    },
  };
}
