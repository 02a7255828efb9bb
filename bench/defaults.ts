// npm run study:defaults [-- SET or VARIANT ...]: which defaults label and integrate best on left-out
// conditions of the references, one factor at a time. The queries of the other benches are never used: only
// conditions of the reference are left out in turn, mapped without their labels, and scored. Every run is a
// line of bench/results/defaults.csv and is not repeated; docs/benchmarks/defaults.md is made from them.
// Needs ../shared/data, except for the simulated sets. SCPOLI_STUDY=large adds the atlas of 100,000 cells.
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AnnData, ScPoli, ScPoliError, type TrainOptions } from "../dist/index.js";
import { readSafetensors, writeSafetensors } from "../dist/storage/safetensors.js";
import { chooseEpochs } from "../dist/training/optimization.js";
import { finalists, writeDefaults, type StudyRow } from "./defaults-document.ts";
import { simulateOverlapping } from "./overlapping-atlas.ts";
import { accuracyAndF1, integrationOf } from "./label-scores.ts";
import { labels, writeRows } from "./rows.ts";
import { configurations, sharedData } from "./transfer.ts";

/** A reference, and groups of its conditions that are left out in turn. */
interface StudySet {
  readonly name: string;
  readonly file: string;
  readonly condition: string;
  readonly label: string;
  /** values of `groupKey` (default: the condition) that are never used */
  readonly query: readonly string[];
  readonly groupKey?: string;
  readonly groups: readonly (readonly string[])[];
  readonly simulated?: { readonly cells: number; readonly genes: number; readonly seed: number };
}

const queryOf = (name: string): readonly string[] => configurations.find((one) => one.name === name)!.query;
const sets: readonly StudySet[] = [
  {
    name: "panc8",
    file: "panc8",
    condition: "batch",
    label: "cell_type",
    query: queryOf("panc8"),
    groups: [["smartseq2"], ["fluidigmc1"], ["indrop1"]],
  },
  {
    name: "pbmc3",
    file: "pbmc3",
    condition: "donor",
    label: "cell_type",
    query: queryOf("pbmc3"),
    groups: [["3pv1"], ["3pv2"]],
  },
  {
    name: "pbmc3-broad",
    file: "pbmc3",
    condition: "donor",
    label: "cell_type_broad",
    query: queryOf("pbmc3"),
    groups: [["3pv1"], ["3pv2"]],
  },
  {
    name: "simulated",
    file: "simulated",
    condition: "batch",
    label: "cell_type",
    query: [],
    groups: [["batch0", "batch1"], ["batch2"]],
    simulated: { cells: 2000, genes: 600, seed: 1 },
  },
  {
    name: "mixology",
    file: "mixology",
    condition: "batch",
    label: "cell_type",
    query: ["dropseq_3cl"],
    groups: [["celseq2_3cl"]],
  },
  {
    name: "primates",
    file: "primates",
    condition: "clone",
    label: "cell_type",
    query: ["human"],
    groupKey: "species",
    groups: [["gorilla"]],
  },
  {
    name: "kang16",
    file: "kang16",
    condition: "sample",
    label: "cell_type",
    query: queryOf("kang16"),
    groups: [["patient_1015_ctrl", "patient_1015_stim"]],
  },
  {
    name: "simulated-large",
    file: "simulated-large",
    condition: "batch",
    label: "cell_type",
    query: [],
    groups: [["batch0", "batch1"]],
    simulated: { cells: 100_000, genes: 600, seed: 2 },
  },
];

/** Options changed by a variant; `pretrainingShare` and `steps` (a factor) determine the epochs. */
interface Variant {
  readonly name: string;
  readonly options: Omit<TrainOptions, "conditionKeys">;
  readonly pretrainingShare?: number;
  readonly steps?: number;
  /** epochs until the KL term has its whole weight, as a share of pretraining; default 1 */
  readonly annealing?: number;
}
const typeSum = { distanceReduction: "type-sum" } as const;
/** all cells weigh the same, as by default until the distance was averaged over cells */
const equal = { typeBalance: 0 } as const;
const both = { prototypeLoss: "both", eta: 10, etaCrossEntropy: 50, ...typeSum, ...equal } as const;
const crossEntropy = { prototypeLoss: "cross-entropy", etaCrossEntropy: 50, ...equal } as const;
const wide = { hiddenLayerSizes: [128] };
const whole = { earlyStopping: false } as const;
/**
 * The distance averaged over cells, with a latent space of 20 and embeddings of 10.
 * @param eta - weight of the distance
 */
const perCell = (
  eta: number,
  etaCrossEntropy: number,
  other: Variant["options"] = {},
): Variant["options"] => ({
  prototypeLoss: "both",
  distanceReduction: "cell-mean",
  eta,
  etaCrossEntropy,
  typeBalance: 0.5,
  latentDim: 20,
  embeddingDims: 10,
  ...wide,
  ...whole,
  ...other,
});
const narrow = { embeddingDims: 5 } as const;
const formerWidths = { latentDim: 10, typeBalance: 0, ...narrow } as const;
/** Weights of the distance and of the cross-entropy. */
const means = [
  [10, 50],
  [20, 50],
  [20, 100],
  [20, 200],
  [40, 50],
  [40, 100],
  [40, 200],
  [40, 400],
] as const;
const classification = { earlyStopping: { metric: "classification" } } as const;
const variants: readonly Variant[] = [
  { name: "distance 1, sqrt(G)", options: { prototypeLoss: "distance", eta: 1, ...typeSum, ...equal } },
  { name: "both 10/50, 128", options: { ...both, ...wide } },
  { name: "cross-entropy 50, 128", options: { ...crossEntropy, ...wide } },
  { name: "distance 1, 128", options: { prototypeLoss: "distance", eta: 1, ...typeSum, ...equal, ...wide } },
  {
    name: "distance 50, 128",
    options: { prototypeLoss: "distance", eta: 50, ...typeSum, ...equal, ...wide },
  },
  { name: "both 10/50, sqrt(G)", options: both },
  { name: "both 10/50, 128, stop by classification", options: { ...both, ...wide, ...classification } },
  { name: "both 10/50, 128, no early stopping", options: { ...both, ...wide, earlyStopping: false } },
  { name: "both 2/50, 128", options: { ...both, eta: 2, ...wide } },
  { name: "both 10/50, 128, balance 0.5", options: { ...both, ...wide, typeBalance: 0.5 } },
  { name: "both 10/50, 64", options: { ...both, hiddenLayerSizes: [64] } },
  { name: "both 10/50, 128, pretraining 0.5", options: { ...both, ...wide }, pretrainingShare: 0.5 },
  { name: "cross-entropy 50, 128, no early stopping", options: { ...crossEntropy, ...wide, ...whole } },
  { name: "both 5/50, 128, no early stopping", options: { ...both, eta: 5, ...wide, ...whole } },
  { name: "both 2/50, 128, no early stopping", options: { ...both, eta: 2, ...wide, ...whole } },
  {
    name: "cross-entropy 50, 128, no early stopping, pretraining 0.5",
    options: { ...crossEntropy, ...wide, ...whole },
    pretrainingShare: 0.5,
  },
  {
    name: "both 2/50, 128, no early stopping, pretraining 0.5",
    options: { ...both, eta: 2, ...wide, ...whole },
    pretrainingShare: 0.5,
  },
  {
    name: "cross-entropy 50, 128, no early stopping, dropout 0.2",
    options: { ...crossEntropy, ...wide, ...whole, dropout: 0.2 },
  },
  { name: "both 10/50, 128, a quarter of the steps", options: { ...both, ...wide }, steps: 0.25 },
  { name: "both 10/50, 128, half of the steps", options: { ...both, ...wide }, steps: 0.5 },
  { name: "both 10/50, 128, twice the steps", options: { ...both, ...wide }, steps: 2 },
  {
    name: "both 2/50, 128, no early stopping, latent space of 20",
    options: { ...both, eta: 2, ...wide, ...whole, latentDim: 20 },
  },
  {
    name: "both 5/50, 128, no early stopping, latent space of 20",
    options: { ...both, eta: 5, ...wide, ...whole, latentDim: 20 },
  },
  {
    name: "both 2/50, 128, no early stopping, embeddings of 10",
    options: { ...both, eta: 2, ...wide, ...whole, embeddingDims: 10 },
  },
  {
    name: "both 2/50, 128, no early stopping, half the annealing",
    options: { ...both, eta: 2, ...wide, ...whole },
    annealing: 0.5,
  },
  {
    name: "mean 10/50, latent space of 10, balance 0, embeddings of 5",
    options: perCell(10, 50, formerWidths),
  },
  { name: "mean 10/50, balance 0, embeddings of 5", options: perCell(10, 50, { typeBalance: 0, ...narrow }) },
  {
    name: "mean 20/50, latent space of 10, embeddings of 5",
    options: perCell(20, 50, { latentDim: 10, ...narrow }),
  },
  { name: "mean 40/50, balance 1, embeddings of 5", options: perCell(40, 50, { typeBalance: 1, ...narrow }) },
  ...[10, 20, 40, 80].map((eta) => ({
    name: `mean ${eta}/50, embeddings of 5`,
    options: perCell(eta, 50, narrow),
  })),
  ...means.map(([eta, weight]) => ({ name: `mean ${eta}/${weight}`, options: perCell(eta, weight) })),
];
/** Variants that are run on the large atlas. */
const ofLarge = [
  "distance 1, sqrt(G)",
  "both 2/50, 128, no early stopping",
  "both 5/50, 128, no early stopping",
  "cross-entropy 50, 128, no early stopping",
  "mean 20/50, embeddings of 5",
  ...means.map(([eta, weight]) => `mean ${eta}/${weight}`),
];

const root = new URL("..", import.meta.url).pathname;
const cache = join(root, ".cache/defaults");
const csv = join(root, "bench/results/defaults.csv");
/** Seeds of the finalists; all other variants are run with the first. */
const seeds = [0, 1];
const columns = [
  "set",
  "left_out",
  "variant",
  "cells",
  "prototype_accuracy",
  "prototype_macro_f1",
  "head_accuracy",
  "head_macro_f1",
  "disagreement",
  "type_silhouette",
  "nmi",
  "ari",
  "condition_silhouette",
  "graph_connectivity",
  "integration",
  "epochs",
  "seed",
] as const satisfies readonly (keyof StudyRow)[];

/** Reference and left-out cells as files, with at most the 2,000 most variable genes. */
async function openSplit(set: StudySet, leftOut: readonly string[]) {
  const path = set.simulated ? join(cache, `${set.file}.h5ad`) : join(sharedData, `${set.file}.h5ad`);
  if (set.simulated && !existsSync(path)) await simulateOverlapping(path, set.simulated);
  const source = await AnnData.open(path);
  const groups = await labels(source, set.groupKey ?? set.condition);
  const rows = Int32Array.from(groups.keys());
  const files: AnnData[] = [];
  for (const [part, isIn] of [
    ["reference", (row: number) => !set.query.includes(groups[row]!) && !leftOut.includes(groups[row]!)],
    ["left-out", (row: number) => leftOut.includes(groups[row]!)],
  ] as const) {
    const file = join(cache, `${set.name}-${leftOut.join("+")}-${part}.h5ad`);
    if (!existsSync(file)) await writeRows(source, rows.filter(isIn), file);
    files.push(await AnnData.open(file));
  }
  source.close();
  return { reference: files[0]!, left: files[1]!, close: () => files.forEach((file) => file.close()) };
}

/** Trains up to fine-tuning, and keeps the checkpoint. */
async function pretrain(data: AnnData, options: TrainOptions, path: string): Promise<void> {
  const abort = new AbortController();
  await ScPoli.train(data, {
    ...options,
    checkpoint: path,
    checkpointSeconds: 1e6,
    signal: abort.signal,
    onProgress: ({ epoch, losses }) =>
      losses !== undefined && epoch === options.pretrainingEpochs && abort.abort(),
  }).catch(rethrowUnlessInterrupted);
}

/** The checkpoint that a run with other fine-tuning options would have at that point. */
async function adopt(data: AnnData, options: TrainOptions, pretrained: string, path: string): Promise<void> {
  const abort = new AbortController();
  await ScPoli.train(data, {
    ...options,
    checkpoint: path,
    signal: abort.signal,
    onProgress: ({ stage }) => stage === "pretraining" && abort.abort(),
  }).catch(rethrowUnlessInterrupted);
  const [started, common] = [path, pretrained].map((file) => readSafetensors(readFileSync(file), file));
  const stateOf = (tensors: typeof started): { owner: unknown; state: unknown } =>
    JSON.parse(new TextDecoder().decode(tensors!.get("state")!.data as Uint8Array));
  const state = { ...stateOf(common), owner: stateOf(started).owner };
  const data8 = new TextEncoder().encode(JSON.stringify(state));
  common!.set("state", { dtype: "U8", shape: [data8.length], data: data8 });
  writeFileSync(path, writeSafetensors(common!));
}

function rethrowUnlessInterrupted(error: unknown): void {
  if (!(error instanceof ScPoliError) || error.kind !== "interrupted") throw error;
}

async function studyRun(
  set: StudySet,
  leftOut: readonly string[],
  variant: Variant,
  seed: number,
): Promise<StudyRow> {
  const { reference, left, close } = await openSplit(set, leftOut);
  try {
    const common = commonOptions(reference, set, variant, seed);
    // early stopping by the prototype loss, unless a variant changes it
    const options: TrainOptions = { ...common, earlyStopping: { metric: "prototype" }, ...variant.options };
    const pretrained = join(
      cache,
      `${set.name}-${leftOut.join("+")}-${networkName(options, variant)}.checkpoint`,
    );
    if (!existsSync(pretrained)) await pretrain(reference, common, pretrained);
    const checkpoint = join(cache, `${process.pid}.checkpoint`);
    await adopt(reference, options, pretrained, checkpoint);
    const model = await ScPoli.train(reference, { ...options, checkpoint, resume: true });
    rmSync(checkpoint);
    return {
      set: set.name,
      left_out: leftOut.join("+"),
      variant: variant.name,
      ...(await scoresOf(model, reference, left, set, seed)),
      epochs: (model.stored.json.provenance["epochs_run"] as number) ?? 0,
      seed,
    };
  } finally {
    close();
  }
}

/** Options of pretraining, which variants of the prototype loss share. */
function commonOptions(reference: AnnData, set: StudySet, variant: Variant, seed: number): TrainOptions {
  const { pretrainingShare: share = 0.9, annealing = 1, steps = 1, options } = variant;
  const epochs = Math.round(chooseEpochs(Math.ceil(0.9 * reference.nObs), 128, "training") * steps);
  return {
    conditionKeys: [set.condition],
    cellTypeKeys: [set.label],
    embeddingDims: options.embeddingDims ?? 5,
    genes: reference.nVars > 2000 ? 2000 : undefined,
    sampleMetadata: false,
    landmarks: false,
    threads: 1,
    seed,
    epochs,
    pretrainingEpochs: Math.floor(share * epochs),
    alphaEpochAnneal: annealing * share * epochs,
    hiddenLayerSizes: options.hiddenLayerSizes ?? [Math.ceil(Math.sqrt(Math.min(2000, reference.nVars)))],
    latentDim: options.latentDim ?? 10,
    dropout: options.dropout,
    weightDecay: options.weightDecay,
  };
}

/** Part of the name of a pretrained network: what distinguishes it from others of the same cells. */
function networkName(
  options: TrainOptions,
  { pretrainingShare: share = 0.9, annealing = 1 }: Variant,
): string {
  const { hiddenLayerSizes: widths, latentDim = 10, dropout = "", weightDecay = "", epochs, seed } = options;
  return [
    ...[widths, latentDim, share, epochs, dropout, weightDecay],
    ...(seed! > 0 ? [seed] : []),
    ...(options.embeddingDims === 5 ? [] : [`embeddings${String(options.embeddingDims)}`]),
    ...(annealing === 1 ? [] : [`annealing${annealing}`]),
  ].join("-");
}

/** Labels of the left-out cells, and integration of all cells. */
async function scoresOf(
  model: ScPoli,
  reference: AnnData,
  left: AnnData,
  { label, condition }: StudySet,
  seed: number,
): Promise<Omit<StudyRow, "set" | "left_out" | "variant" | "epochs" | "seed">> {
  const mapping = await model.map(left, { threads: 1, seed });
  const inside = await model.embed(reference, { threads: 1 });
  const { cell_types: names, model: sizes } = model.stored.json;
  const prediction = mapping.predictions[0]!;
  const nameOf = (codes: Int32Array): string[] => Array.from(codes, (code) => names[code]!);
  const truth = await labels(left, label);
  const known = new Set(names);
  const cells = Array.from(truth.keys()).filter((cell) => known.has(truth[cell]!));
  const pick = (values: readonly string[]): string[] => cells.map((cell) => values[cell]!);
  const [byPrototype, byHead] = [nameOf(prediction.nearest), nameOf(prediction.headLabels!)];
  const latent = new Float32Array(inside.latent.length + mapping.latent.length);
  latent.set(inside.latent);
  latent.set(mapping.latent, inside.latent.length);
  const { biology, mixing, total } = await integrationOf(
    latent,
    sizes.latent_dim,
    [...(await labels(reference, label)), ...truth],
    [...(await labels(reference, condition)), ...(await labels(left, condition))],
    seed,
  );
  const [prototypeAccuracy, prototypeF1] = accuracyAndF1(pick(truth), pick(byPrototype));
  const [headAccuracy, headF1] = accuracyAndF1(pick(truth), pick(byHead));
  return {
    cells: cells.length,
    prototype_accuracy: prototypeAccuracy,
    prototype_macro_f1: prototypeF1,
    head_accuracy: headAccuracy,
    head_macro_f1: headF1,
    disagreement: byPrototype.filter((type, i) => type !== byHead[i]).length / truth.length,
    type_silhouette: biology[0]!,
    nmi: biology[1]!,
    ari: biology[2]!,
    condition_silhouette: mixing[0]!,
    graph_connectivity: mixing[1]!,
    integration: total,
  };
}

function readRows(): StudyRow[] {
  if (!existsSync(csv)) return [];
  const [, ...lines] = readFileSync(csv, "utf8").trim().split("\n");
  return lines.map((line) => {
    // names of variants contain commas and are quoted
    const values = [...line.matchAll(/"([^"]*)"|([^,]+)/g)].map((match) => match[1] ?? match[2]!);
    return Object.fromEntries(
      columns.map((column, i) => [column, i < 3 ? values[i]! : Number(values[i])]),
    ) as unknown as StudyRow;
  });
}

function appendRow(row: StudyRow): void {
  if (!existsSync(csv)) writeFileSync(csv, `${columns.join(",")}\n`);
  const text = (value: string | number): string =>
    typeof value === "string" ? `"${value}"` : String(Number(value.toFixed(4)));
  appendFileSync(csv, `${columns.map((column) => text(row[column])).join(",")}\n`);
}

interface StudyJob {
  readonly set: StudySet;
  readonly group: readonly string[];
  readonly variant: Variant;
  readonly seed: number;
}

/** All runs of the study, those of the finalists first. @param requested - names of sets and of variants */
function* jobs(requested: readonly string[], isLarge: boolean): Generator<StudyJob> {
  const isFinalist = ({ name }: Variant): boolean => finalists.includes(name);
  const others = variants.filter((variant) => !isFinalist(variant));
  const runs = [
    ...seeds.flatMap((seed) => variants.filter(isFinalist).map((variant) => ({ variant, seed }))),
    ...others.map((variant) => ({ variant, seed: seeds[0]! })),
  ];
  const requestedVariants = requested.filter((name) => variants.some((variant) => variant.name === name));
  const requestedSets = requested.filter((name) => !requestedVariants.includes(name));
  for (const { variant, seed } of runs) {
    if (requestedVariants.length > 0 && !requestedVariants.includes(variant.name)) continue;
    for (const set of sets) {
      const large = set.name === "simulated-large";
      if (requestedSets.length > 0 ? !requestedSets.includes(set.name) : large && !isLarge) continue;
      if (large && (!ofLarge.includes(variant.name) || seed > 0)) continue;
      for (const group of set.groups) yield { set, group, variant, seed };
    }
  }
}

mkdirSync(cache, { recursive: true });
const missingFiles = sets.filter(
  (set) => !set.simulated && !existsSync(join(sharedData, `${set.file}.h5ad`)),
);
for (const { name, file } of missingFiles)
  console.log(`${name} is left out: ../shared/data has no ${file}.h5ad`);
for (const { set, group, variant, seed } of jobs(
  process.argv.slice(2),
  process.env["SCPOLI_STUDY"] === "large",
)) {
  const isDone = readRows().some(
    (row) =>
      row.set === set.name &&
      row.left_out === group.join("+") &&
      row.variant === variant.name &&
      row.seed === seed,
  );
  if (isDone || missingFiles.includes(set)) continue;
  const start = process.cpuUsage().user;
  const row = await studyRun(set, group, variant, seed);
  appendRow(row);
  console.log(
    `${set.name} ${row.left_out}, ${variant.name}, seed ${seed}: ` +
      `prototype ${row.prototype_accuracy.toFixed(3)} / ${row.prototype_macro_f1.toFixed(3)}, ` +
      `head ${row.head_accuracy.toFixed(3)} / ${row.head_macro_f1.toFixed(3)}, ` +
      `integration ${row.integration.toFixed(3)} ` +
      `(${((process.cpuUsage().user - start) / 1e6).toFixed(0)} s of processor time)`,
  );
}
writeDefaults(
  join(root, "docs/benchmarks/defaults.md"),
  readRows(),
  variants.map(({ name }) => name),
);
