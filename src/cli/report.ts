// Summaries of models and mappings as plain text.
import type { EpochLosses } from "../contract/options.js";
import type { MappingSummary, LevelSummary } from "../mapping/mapping.js";
import { leastCounts } from "../labels/shallow-cells.js";
import type { ModelSummary } from "../api/scpoli.js";
import { count, counted, listed, percent, significant, table } from "./text.js";

/** Summary of a model: size, conditions, cell types, architecture, training, prototypes. */
export function modelText(
  folder: string,
  {
    cells,
    genes,
    conditions,
    reference_conditions,
    cell_types,
    model,
    parameters,
    condition_parameters,
    atac_counts,
    prototypes,
    sample_metadata,
    provenance,
  }: ModelSummary,
): string {
  const lines = [
    `${folder}: ${cells === null ? "" : `${counted(cells, "reference cell")}, `}` +
      `${counted(genes, "gene")}, ${count(parameters)} parameters`,
    "",
  ];
  const rows: string[][] = Object.entries(conditions).map(([key, names]) => {
    const added = names.length - reference_conditions[key]!;
    return [
      `conditions, ${key}`,
      `${names.length}: ${listed(names)}${added > 0 ? ` (the last ${added} by mapping)` : ""}`,
    ];
  });
  for (const [key, columns] of Object.entries(sample_metadata))
    if (columns.length > 0) rows.push([`metadata of each ${key}`, `${columns.length}: ${listed(columns)}`]);
  for (const [key, types] of Object.entries(cell_types))
    rows.push([`cell types, ${key}`, `${Object.keys(types).length}: ${listed(Object.keys(types))}`]);
  rows.push(
    ["hidden layers", model.hidden_layer_sizes.join(", ")],
    ["latent space", String(model.latent_dim)],
    [
      "likelihood",
      model.recon_loss +
        (atac_counts === "reads" ? ", scATAC read counts converted to fragment counts" : "") +
        (atac_counts === "fragments" ? ", scATAC fragment counts" : ""),
    ],
  );
  rows.push([
    "conditions enter",
    conditionsText(
      model.condition_encoding ?? "embedding",
      model.embedding_dims,
      condition_parameters,
      Object.keys(conditions).length,
    ),
  ]);
  rows.push(...trainingRows(provenance));
  lines.push(table(rows));
  if (prototypes.length > 0) lines.push("", prototypesText(prototypes));
  return lines.join("\n");
}

function conditionsText(
  encoding: string,
  dims: readonly number[],
  counts: ModelSummary["condition_parameters"],
  keys: number,
): string {
  const { embedding, one_hot: oneHot, embedding_width: E, widest_embedding: widest } = counts;
  const bound = keys === 1 ? `; ${E} ${E < widest ? "<" : ">="} NH / (N + H) = ${significant(widest)}` : "";
  return encoding === "embedding"
    ? `as embeddings of ${dims.join(", ")}: ${count(embedding)} parameters (one-hot: ` +
        `${count(oneHot)}${bound})`
    : `one-hot: ${count(oneHot)} parameters (embeddings of ${E}: ${count(embedding)}${bound})`;
}

/** Table of prototypes. Imported models may lack cell numbers and spreads, shown as dashes. */
function prototypesText(prototypes: ModelSummary["prototypes"]): string {
  const rows = prototypes.map(({ name, levels, cells, spread, nearest, distance }) => [
    name,
    levels.length > 0 ? levels.join(", ") : "unlabelled",
    cells || "-",
    cells === 0 && spread === 0 ? "-" : significant(spread),
    nearest ?? "",
    distance === null ? "" : significant(distance),
  ]);
  return table(rows, ["prototype", "level", "cells", "spread", "nearest", "distance"]);
}

function trainingRows({ epochs_run, best_epoch, losses, queries }: ModelSummary["provenance"]): string[][] {
  const rows: string[][] = [];
  if (typeof epochs_run === "number" && typeof best_epoch === "number")
    rows.push(["epochs", `${count(epochs_run)} run; weights of epoch ${count(best_epoch)}`]);
  const epochLosses = losses as EpochLosses | null | undefined;
  if (epochLosses) {
    const { train, validation } = epochLosses;
    const validationText = validation ? ` (validation ${significant(validation.total)})` : "";
    rows.push(["loss", `${significant(train.total)}${validationText}`]);
  }
  if (Array.isArray(queries) && queries.length > 0) rows.push(["queries mapped", count(queries.length)]);
  return rows;
}

/** Summary of a mapping: conditions, labels, predictions, clusters and verdict. */
export function mappingText(
  path: string,
  {
    verb,
    cells,
    counts,
    genes,
    conditions,
    epochs,
    labels,
    levels,
    clusters,
    verdict,
    shallow_cells,
  }: MappingSummary,
): string {
  const percentage = percent(genes.share, 0);
  const share = `${count(genes.found)} of the model's ${count(genes.model)} genes (${percentage})`;
  const lines = [
    `${path}: ${counted(cells, "cell")}, counts in ${counts}, ${share}` +
      (epochs > 0 ? `, ${counted(epochs, "epoch")}` : ""),
    "",
  ];
  const rows = conditions.map(({ key, condition, cells: conditionCells, kind, nearest }) => [
    key,
    condition,
    conditionCells,
    kind === "known"
      ? "known to the model"
      : `new${nearest === undefined ? "" : `, most similar to ${nearest}`}`,
  ]);
  lines.push(table(rows, ["key", "condition", "cells", "status"]));
  for (const level of labels ?? []) lines.push("", labelsText(level, verb));
  for (const level of levels) lines.push("", levelText(level, cells));
  if (shallow_cells > 0)
    lines.push(
      `  ${counted(shallow_cells, "cell")} unknown because of too few counts (below ${leastCounts})`,
    );
  if (clusters) lines.push("", clustersText(clusters));
  lines.push("", `Verdict: ${verdict.light}`, table(verdict.reasons.map(({ light, text }) => [light, text])));
  return lines.join("\n");
}

function labelsText(
  { key, column, known, new: added, unlabeled }: NonNullable<MappingSummary["labels"]>[number],
  verb: MappingSummary["verb"],
): string {
  const rows = [
    ...Object.entries(known).map(([type, cells]) => [type, cells, "known to the model"]),
    ...Object.entries(added).map(([type, cells]) => [
      type,
      cells,
      verb === "map" ? "new: gets a prototype" : "not in the model",
    ]),
  ];
  const header = [column === key ? key : `${key} (${column})`, "cells", "status"];
  return `${table(rows, header)}\n  ${counted(unlabeled, "cell")} without a label`;
}

function clustersText(clusters: NonNullable<MappingSummary["clusters"]>): string {
  const rows = clusters.map(({ cluster, cells, predicted, predicted_cells, unknown, novelty, is_novel }) => [
    String(cluster),
    cells,
    predicted === null ? "" : `${predicted} (${percent(cells > 0 ? predicted_cells / cells : 0, 0)})`,
    unknown,
    novelty === null || cells === 0 ? "" : `${novelty.toFixed(2)}${is_novel ? " novel" : ""}`,
  ]);
  const genes = clusters
    .filter(({ is_novel: isNovel }) => isNovel)
    .map(
      ({ cluster, genes_up: up, genes_down: down }) =>
        `  Cluster ${cluster} is unlike any mixture of known types: higher ${up.join(", ")}; ` +
        `lower ${down.join(", ")}`,
    );
  return [table(rows, ["scpoli_cluster", "cells", "main label", "unknown", "novelty"]), ...genes].join("\n");
}

function levelText(level: LevelSummary, cells: number): string {
  const { key, predicted, unknown, threshold, uncertainty, not_flagged: reason } = level;
  const rows = Object.entries(predicted)
    .sort(([, a], [, b]) => b - a)
    .map(([type, typeCells]) => [type, typeCells, percent(typeCells / cells)]);
  const limit =
    threshold === null
      ? `no cell flagged unknown${reason === null ? "" : `; ${reason}`}`
      : `${counted(unknown, "cell")} unknown (${uncertainty === "distance" ? "uncertainty" : "novelty"} ` +
        `above ${significant(threshold)})`;
  return `${table(rows, [`${key}_pred`, "cells", "share"])}\n  ${limit}${disagreementText(level)}`;
}

/** The number of cells that the other rule of labels gives another type. */
function disagreementText({ key, classifier, disagreeing }: LevelSummary): string {
  if (disagreeing === 0) return "";
  const cells = counted(disagreeing, "cell");
  return classifier === "head"
    ? `; ${cells} closer to the prototype of another type (${key}_prototype)`
    : `; ${cells} of another type by the classifier on genes (${key}_head)`;
}

export function writtenText(paths: readonly string[]): string {
  return `Written: ${listed(paths)}`;
}
