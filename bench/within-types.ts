// npm run study:within-types: does a sharper latent space erase variation within types? Trains on kang16 with
// `cell_type` only, with the default and other prototype losses and with the published preset. Finer types
// that were not labelled are predicted from a cell's neighbours, stimulation from neighbours of the same type
// (of all donors, and of other donors only) and from the sample embeddings. Results:
// bench/results/within-types.csv, a section of docs/benchmarks/defaults.md.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AnnData, ScPoli, type TrainOptions } from "../dist/index.js";
import { rowsOf } from "../dist/graph/neighbors.js";
import { NearestRows } from "../dist/kernel-modules/nearest.js";
import { labels } from "./rows.ts";
import { writeSection } from "./sections.ts";
import { sharedData } from "./transfer.ts";

const root = new URL("..", import.meta.url).pathname;
const csv = join(root, "bench/results/within-types.csv");
const seeds = [0, 1].slice(0, Number(process.env["SEEDS"] ?? 2));
const genes = Number(process.env["GENES"] ?? 1000);
const perCell = (eta: number, etaCrossEntropy: number): Partial<TrainOptions> => ({
  eta,
  etaCrossEntropy,
  distanceReduction: "cell-mean",
  typeBalance: 0.5,
  latentDim: 20,
});
const variants: readonly (readonly [string, Partial<TrainOptions>])[] = [
  ["default: distance 40 per cell, cross-entropy 200", {}],
  ["distance 40 per cell, cross-entropy 50", perCell(40, 50)],
  ["distance 20 per cell, cross-entropy 50", perCell(20, 50)],
  [
    "distance 2 per type, cross-entropy 50, latent space of 10",
    { eta: 2, distanceReduction: "type-sum", typeBalance: 0, latentDim: 10 },
  ],
  ["cross-entropy 200 alone", { prototypeLoss: "cross-entropy" }],
  ["no prototype loss", { prototypeLoss: "off" }],
  ["published preset", { preset: "published" }],
  ["published preset, 128 hidden units", { preset: "published", hiddenLayerSizes: [128] }],
  ["default, donors as conditions", { conditionKeys: ["donor"] }],
];
const figures = [
  "fine_types",
  "stimulation_of_cells",
  "stimulation_across_donors",
  "stimulation_of_samples",
] as const;
type Row = Readonly<Record<(typeof figures)[number], number>> & {
  readonly variant: string;
  readonly seed: number;
};

/**
 * Share of the cells whose label is that of most of their 15 nearest other cells in the same group.
 * @param points - (N, D)
 * @param donorOf - if given, neighbours are cells of other donors only
 */
function shareLikeNeighbors(
  points: Float32Array,
  D: number,
  cells: readonly number[],
  labelOf: readonly string[],
  groupOf: (cell: number) => string,
  donorOf?: readonly string[],
): number {
  let right = 0;
  for (const group of new Set(cells.map(groupOf))) {
    const ofGroup = cells.filter((cell) => groupOf(cell) === group);
    for (const donor of new Set(ofGroup.map((cell) => donorOf?.[cell]))) {
      const searching = ofGroup.filter((cell) => donorOf?.[cell] === donor);
      const searched = donorOf ? ofGroup.filter((cell) => donorOf[cell] !== donor) : ofGroup;
      // without donors, a cell is the nearest to itself
      const k = Math.min(16, searched.length);
      if (k < 2) continue;
      const { indices } = new NearestRows(rowsOf(points, searched, D), D).find(
        rowsOf(points, searching, D),
        k,
      );
      searching.forEach((cell, row) => {
        const others = Array.from(indices.subarray(row * k, (row + 1) * k), (place) => searched[place]!);
        const nearest = others.filter((other) => other !== cell).slice(0, 15);
        if (mostFrequent(nearest.map((other) => labelOf[other]!)) === labelOf[cell]) right++;
      });
    }
  }
  return right / cells.length;
}

function mostFrequent(values: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a)[0]![0];
}

/**
 * Leave-one-out accuracy of assigning samples to the class with the nearest mean.
 */
function separatedSamples(rows: Float32Array, E: number, classes: readonly string[]): number {
  const right = classes.filter((actual, sample) => {
    const distance = (name: string): number => {
      const members = classes.flatMap((other, i) => (other === name && i !== sample ? [i] : []));
      let sum = 0;
      for (let e = 0; e < E; e++) {
        const center = members.reduce((total, i) => total + rows[i * E + e]!, 0) / members.length;
        sum += (rows[sample * E + e]! - center) ** 2;
      }
      return sum;
    };
    return [...new Set(classes)].every((name) => name === actual || distance(actual) < distance(name));
  });
  return right.length / classes.length;
}

const data = await AnnData.open(join(sharedData, "kang16.h5ad"));
const [types, fine, stimulation] = [
  await labels(data, "cell_type"),
  await labels(data, "cell_type_fine"),
  await labels(data, "condition"),
];
const donors = await labels(data, "donor");
const samples = await labels(data, "sample");
const typeOf = (cell: number): string => types[cell]!;
const all = Array.from(types.keys());
const cellsWithFineType = all.filter((cell) => fine[cell] !== "Unknown");

mkdirSync(join(root, "bench/results"), { recursive: true });
const header = `variant,seed,${figures.join(",")}`;
if (!existsSync(csv)) writeFileSync(csv, `${header}\n`);
const read = (): Row[] =>
  readFileSync(csv, "utf8")
    .trim()
    .split("\n")
    .slice(1)
    .map((line) => {
      const [, variant, rest] = /^"([^"]*)",(.*)$/.exec(line)!;
      const [seed, ...values] = rest!.split(",").map(Number);
      return {
        variant: variant!,
        seed: seed!,
        ...(Object.fromEntries(figures.map((figure, i) => [figure, values[i]!])) as Record<
          (typeof figures)[number],
          number
        >),
      };
    });
for (const seed of seeds)
  for (const [variant, options] of variants) {
    if (read().some((row) => row.variant === variant && row.seed === seed)) continue;
    const model = await ScPoli.train(data, {
      conditionKeys: ["sample"],
      cellTypeKeys: ["cell_type"],
      genes,
      landmarks: false,
      threads: 1,
      seed,
      ...options,
    });
    const { latent } = await model.embed(data, { threads: 1 });
    const { json, tensors } = model.stored;
    const D = json.model.latent_dim;
    const names = json.conditions[0]!;
    const row: Row = {
      variant,
      seed,
      fine_types: shareLikeNeighbors(latent, D, cellsWithFineType, fine, () => "all"),
      stimulation_of_cells: shareLikeNeighbors(latent, D, all, stimulation, typeOf),
      stimulation_across_donors: shareLikeNeighbors(latent, D, all, stimulation, typeOf, donors),
      stimulation_of_samples: names.every((name) => samples.includes(name))
        ? separatedSamples(
            tensors.get("embeddings.0.weight")!.data,
            json.model.embedding_dims[0]!,
            names.map((name) => stimulation[samples.indexOf(name)]!),
          )
        : NaN,
    };
    const values = figures.map((figure) => row[figure].toFixed(4));
    writeFileSync(csv, `${readFileSync(csv, "utf8")}"${variant}",${seed},${values.join(",")}\n`);
    console.log(variant, seed, values.join(" "));
  }
data.close();

const mean = (variant: string, figure: (typeof figures)[number]): string => {
  const values = read()
    .filter((row) => row.variant === variant)
    .map((row) => row[figure]);
  const average = values.reduce((a, b) => a + b, 0) / values.length;
  return Number.isNaN(average) ? "" : average.toFixed(3);
};
/** Figures of the default and of the published preset. */
const versus = (figure: (typeof figures)[number]): string =>
  `${mean(variants[0]![0], figure)} against ${mean("published preset", figure)}`;
writeSection(join(root, "docs/benchmarks/defaults.md"), "What varies within types", [
  `kang16, ${genes} genes, \`cell_type\` (8 types) as the only labels, seeds ${seeds.join(" and ")}: ` +
    `shares of the cells whose finer type (\`cell_type_fine\`, which the model has not seen) most of ` +
    "their 15 nearest cells have; whose stimulation most of the 15 nearest cells of their type have, among " +
    "the cells of all donors and among those of other donors; of the samples that are nearest to the mean " +
    "embedding of their own condition, each left out in turn.",
  `Beside the published preset, the default keeps finer types (${versus("fine_types")}) and shows less of ` +
    `the stimulation in the latent space (${versus("stimulation_of_cells")}), from which the effects of ` +
    `the samples are to be removed; the sample embeddings hold it (${versus("stimulation_of_samples")}). ` +
    `With donors as conditions, what differs between the samples of a donor stays in the latent space ` +
    `(${mean("default, donors as conditions", "stimulation_of_cells")}).`,
  "Made by `npm run study:within-types` (`bench/results/within-types.csv`).",
  "",
  "| prototype loss | finer types | stimulation, cells | cells, other donors | stimulation, samples |",
  "| --- | --- | --- | --- | --- |",
  ...variants
    .filter(([variant]) => read().some((row) => row.variant === variant))
    .map(([variant]) => `| ${variant} | ${figures.map((figure) => mean(variant, figure)).join(" | ")} |`),
]);
