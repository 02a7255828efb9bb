// Calibration of novelty for each level of the head, on the cells of left-out conditions.
import type { Dataset } from "../data/minibatches.js";
import { rowsAt } from "../kernel-modules/sparse-cells.js";
import type { HeadJson, StoredTensor } from "../model/stored-model.js";
import { trainNovelty } from "../novelty/novelty-training.js";
import type { StoredNovelty } from "../novelty/novelty.js";
import { ProfileSums } from "../novelty/profile-training.js";
import type { TypeProfiles } from "../novelty/profiles.js";
import type { HeadCells } from "./head-cells.js";
import { classifyByHead, headColumns } from "./head.js";
import type { LeftOutHeads } from "./left-out-heads.js";

/** Maximum number of conditions with separate profiles: those with the most cells. */
const mostConditions = 24;

/** @returns the novelty model of a level, or the reason why it is not calibrated */
export function calibrateLevel(
  dataset: Dataset,
  whole: HeadCells,
  heads: LeftOutHeads,
  json: HeadJson,
  level: number,
  units: Int32Array,
  folds: Int32Array,
  seed: number,
): StoredNovelty | string {
  const columns = headColumns(json, level);
  if (columns.K < 2) return "it has one cell type";
  if (new Set(whole.cells.map((cell) => units[cell]!)).size < 2)
    return "the reference has a single condition, so none can be left out";
  const { cells } = heads;
  const judged = Int32Array.from(cells.cells.keys()).filter((i) => heads.isJudged(i, level));
  const { position, probability } = classifyByHead(json.levels[level]!, columns, heads.scores);
  const positions = cells.positions(level);
  const novelty = trainNovelty(
    {
      rows: rowsAt(cells.rows, judged),
      genes: dataset.counts.genes,
      labels: judged.map((i) => positions[i]!),
      conditions: judged.map((i) => dataset.combinations[cells.cells[i]!]!),
      units: judged.map((i) => units[cells.cells[i]!]!),
      folds: judged.map((i) => heads.folds[i]!),
      prediction: {
        position: judged.map((i) => position[i]!),
        probability: Float32Array.from(judged, (i) => probability[i]!),
      },
      profilesWithout: profilesOf(dataset, whole, level, folds),
    },
    seed,
  );
  return novelty ?? "too few cells of the reference remain when a condition is left out";
}

/** @returns a function of a fold: profiles of a level's types without that fold; null: of all cells */
function profilesOf(
  { combinations, counts }: Dataset,
  whole: HeadCells,
  level: number,
  folds: Int32Array,
): (fold: number | null) => TypeProfiles {
  const { cells, rows, levels } = whole;
  const sizes = new Map<number, number>();
  for (const cell of cells) sizes.set(combinations[cell]!, (sizes.get(combinations[cell]!) ?? 0) + 1);
  const largest = [...sizes]
    .sort(([a, m], [b, n]) => n - m || a - b)
    .slice(0, mostConditions)
    .map(([combination]) => combination);
  const groupOf = new Map(largest.map((combination, i) => [combination, i]));
  const foldCount = Math.max(...folds) + 1;
  // the cells of other conditions form one group per fold
  const groups = cells.map((cell, i) => groupOf.get(combinations[cell]!) ?? largest.length + folds[i]!);
  const foldOf = new Int32Array(largest.length + foldCount);
  groups.forEach((group, i) => (foldOf[group] = folds[i]!));
  const sums = new ProfileSums(foldOf.length, largest.length, levels[level]!.length, counts.genes);
  sums.add(rows, whole.positions(level), groups);
  return (fold) => sums.profiles((group) => foldOf[group] !== fold);
}

export function noveltyTensors(
  { json, profiles, company, alone }: StoredNovelty,
  level: number,
  genes: number,
): [string, StoredTensor][] {
  const width = 3 + 3 * json.neighborhoods.length;
  const tensor = (name: string, columns: number, data: Float32Array): [string, StoredTensor] => [
    `novelty.${level}.${name}`,
    { shape: [data.length / columns, columns], data },
  ];
  return [
    tensor("profiles", genes, profiles.means),
    tensor("displacements", genes, profiles.displacements),
    tensor("variances", genes, profiles.variances),
    tensor("company", width, company),
    tensor("alone", width, alone),
  ];
}
