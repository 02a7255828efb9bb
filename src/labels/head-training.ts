// Training of the head (head.ts) on the labelled cells of the reference. Penalty, type weights, temperature,
// left-out recall and novelty come from cross-validation over conditions.
import { ScPoliError } from "../contract/errors.js";
import type { RunSettings } from "../contract/options.js";
import type { Dataset } from "../data/minibatches.js";
import type { CountTransform } from "../engine/engine.js";
import { rowsAt } from "../kernel-modules/sparse-cells.js";
import type { HeadJson, HeadLevel, LeftOutLabels, StoredTensor } from "../model/stored-model.js";
import { HeadCells } from "./head-cells.js";
import { calibrateLevel, noveltyTensors } from "./head-novelty.js";
import { classifyByHead, headColumns } from "./head.js";
import { leaveOut, readLabelledCells, sampleTypes } from "./labelled-cells.js";
import { LeftOutHeads } from "./left-out-heads.js";
import type { LinearModel } from "./logistic.js";

/** A head as it is stored. */
export interface TrainedHead {
  readonly json: HeadJson;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** L-BFGS settings of the fit on all cells. */
const wholeFit = { mostSteps: 20, tolerance: 1e-4 };
/** Maximum number of cells in cross-validation, sampled with rare types first. */
const mostCalibrationCells = 2500;
/** The note on a level whose novelty is not calibrated. */
export function notCalibrated(key: string, reason: string): string {
  return `Novelty of '${key}' is not calibrated: ${reason}. No cell of a query is flagged unknown.`;
}

/**
 * Trains the head, and calibrates it and the novelty scores.
 * @param levels - per level the rows of its types
 * @param cells - training cells (`chooseHeadCells`)
 * @param units - (N) donor, or condition, of each cell of the data set: the units of cross-validation
 * @param transform - transformation of the counts (`headTransform`)
 * @throws ScPoliError "interrupted"
 */
export async function trainHead(
  dataset: Dataset,
  levels: readonly (readonly number[])[],
  cells: Int32Array,
  units: Int32Array,
  settings: RunSettings,
  transform: CountTransform,
): Promise<TrainedHead> {
  const { whole, heads, folds } = await readHeadCells(dataset, levels, cells, units, settings, transform);
  const fit = await heads.choose();
  const model = whole.fit({ ...fit, start: heads.meanModel(), ...wholeFit });
  const json: HeadJson = {
    levels: levels.map((types, level) => ({ types, temperature: heads.temperature(level) })),
    training: { inverse_penalty: fit.inversePenalty, type_exponent: fit.exponent },
  };
  const tensors = headTensors(model, dataset.counts.genes);
  const described: HeadLevel[] = [];
  for (const [level, fitted] of json.levels.entries()) {
    await yieldToEvents(settings);
    const quality = leftOutLabels(heads, json, level, units);
    const scored = { ...fitted, ...(quality && { left_out: quality }) };
    const novelty = calibrateLevel(dataset, whole, heads, json, level, units, folds, settings.seed ?? 0);
    if (typeof novelty === "string") {
      described.push({ ...scored, not_calibrated: novelty });
      continue;
    }
    described.push({ ...scored, novelty: novelty.json });
    for (const [name, tensor] of noveltyTensors(novelty, level, dataset.counts.genes))
      tensors.set(name, tensor);
  }
  return { json: { ...json, levels: described }, tensors };
}

/** All training cells with their folds, and a sample of them for cross-validation. */
async function readHeadCells(
  dataset: Dataset,
  levels: readonly (readonly number[])[],
  cells: Int32Array,
  units: Int32Array,
  settings: RunSettings,
  transform: CountTransform,
): Promise<{ readonly whole: HeadCells; readonly heads: LeftOutHeads; readonly folds: Int32Array }> {
  const seed = settings.seed ?? 0;
  const rows = await readLabelledCells(dataset, cells, transform);
  const folds = leaveOut(
    cells.map((cell) => units[cell]!),
    seed,
  );
  const indexOf = new Map(Array.from(cells, (cell, i) => [cell, i]));
  const sample = sampleTypes(dataset, cells, mostCalibrationCells, seed, "calibration").map((cell) =>
    indexOf.get(cell)!,
  );
  const sampled = sample.map((i) => cells[i]!);
  return {
    whole: new HeadCells(dataset, levels, cells, rows),
    heads: new LeftOutHeads(
      new HeadCells(dataset, levels, sampled, rowsAt(rows, sample)),
      sample.map((i) => folds[i]!),
      () => yieldToEvents(settings),
    ),
    folds,
  };
}

function headTensors({ weight, bias }: LinearModel, G: number): Map<string, StoredTensor> {
  const R = bias.length;
  return new Map([
    [
      "head.weight",
      {
        shape: [R, G],
        data: Float32Array.from({ length: R * G }, (_, at) => weight[(at % G) * R + Math.floor(at / G)]!),
      },
    ],
    ["head.bias", { shape: [R], data: Float32Array.from(bias) }],
  ]);
}

/** Yields to the event loop. @throws ScPoliError "interrupted" */
async function yieldToEvents({ signal }: RunSettings): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 0));
  if (signal?.aborted)
    throw new ScPoliError("interrupted", "Stopped while the head was trained; the network is.");
}

/** @returns recall on the left-out cells; null with fewer than two units */
function leftOutLabels(
  heads: LeftOutHeads,
  json: HeadJson,
  level: number,
  units: Int32Array,
): LeftOutLabels | null {
  const columns = headColumns(json, level);
  const { position } = classifyByHead(json.levels[level]!, columns, heads.scores);
  const labels = heads.cells.positions(level);
  const [right, all] = [new Int32Array(columns.K), new Int32Array(columns.K)];
  const donors = new Set<number>();
  heads.cells.cells.forEach((cell, i) => {
    if (!heads.isJudged(i, level)) return;
    donors.add(units[cell]!);
    all[labels[i]!]!++;
    if (position[i] === labels[i]) right[labels[i]!]!++;
  });
  if (donors.size < 2) return null;
  const recalls = [...right].flatMap((count, k) => (all[k]! > 0 ? [count / all[k]!] : []));
  return {
    cells: all.reduce((sum, count) => sum + count, 0),
    units: donors.size,
    mean_recall: Number((recalls.reduce((sum, recall) => sum + recall, 0) / recalls.length).toFixed(4)),
  };
}
