// Files to save, made from the present work: with moved thresholds and manual labels.
import { stemOf } from "./added-types.js";
import { queryConditions } from "./conditions.js";
import { csvOf } from "./csv.js";
import { working } from "./job-status.js";
import { coloringFor, paint, paintReference } from "./coloring.js";
import { pngPicture, svgPicture, type Picture } from "./charts/picture.js";
import type { Plot } from "scpoli";
import { runJob } from "./jobs.js";
import type { MappingResult } from "./protocol.js";
import { geneColouring, sampleColours } from "./sample-colours.js";
import { visible } from "./selecting.js";
import { columns, unknown, verdict, work } from "./state.js";
import { toPixels } from "./charts/camera.js";
import { drawn } from "./drawn.js";
import { placedLabels, shownPrototypes } from "./views/cell-labels.js";

export interface SavedFile {
  readonly file: Blob;
  readonly name: string;
}

function stem(): string {
  const { query, model } = work.value;
  return query ? stemOf(query) : (model?.name ?? "scpoli");
}

/** The results to write, with the present thresholds. */
export function currentAdditions({ additions, levels }: MappingResult): MappingResult["additions"] {
  const { thresholds } = work.value.view;
  const obs = { ...additions.obs };
  levels.forEach(
    ({ key }, level) => (obs[`${key}_unknown`] = { kind: "boolean", values: unknown.value[level]! }),
  );
  const { annotation } = work.value;
  if (annotation)
    obs[annotation.title] = { kind: "categorical", codes: annotation.codes, categories: annotation.names };
  const entry = additions.uns?.["scpoli"];
  const limits = Object.fromEntries(levels.map(({ key }, level) => [key, thresholds[level] ?? "none"]));
  return {
    ...additions,
    obs,
    uns: {
      ...additions.uns,
      ...(isDict(entry) && {
        scpoli: { ...entry, thresholds: limits, verdict: JSON.stringify(verdict.value) },
      }),
    },
  };
}

type Uns = NonNullable<MappingResult["additions"]["uns"]>[string];

function isDict(value: Uns | undefined): value is { readonly [key: string]: Uns } {
  return typeof value === "object" && !Array.isArray(value) && !("rows" in value);
}

export async function saveAnnotatedFile(): Promise<SavedFile> {
  const { query, result } = work.value;
  const file = await runJob(({ jobs }) =>
    jobs.saveAnnotated(query!.files, currentAdditions(result!), `${stem()}-mapped`),
  );
  return { file, name: file.name };
}

export async function saveReport(): Promise<SavedFile> {
  const { query, result } = work.value;
  const file = await working("Writing the report", ({ jobs, listener }) =>
    jobs.writeReport(
      query!.files,
      currentAdditions(result!),
      result!.model.files,
      queryConditions(query!, Object.keys(result!.model.summary.conditions)).conditionKeys,
      listener,
    ),
  );
  return { file, name: `${stem()}-report.html` };
}

/** The model that queries are mapped onto, or the one that the mapping has made of it. */
export async function saveModel(which: "reference" | "mapped"): Promise<SavedFile> {
  const model = which === "mapped" ? work.value.result!.model : work.value.model!;
  const [only] = model.files;
  if (model.files.length === 1 && only!.path.endsWith(".zip"))
    return { file: only!.file, name: `${model.name}.zip` };
  const [packed] = await runJob(({ jobs }) => jobs.repackModel(model.files, model.name));
  return { file: packed!.file, name: `${model.name}.zip` };
}

/** One row per cell, as text. */
export async function saveTable(): Promise<SavedFile> {
  const { query, result } = work.value;
  const { levels, conditions, positions, projection, clusters } = result!;
  const { annotation, view } = work.value;
  const selected = new Set(view.selection?.cells);
  const names = await runJob(({ jobs }) => jobs.readCellNames(query!.files));
  // columns that were looked at
  const read = [...columns.value].filter(([name]) => !conditions.some(({ key }) => key === name));
  const header = [
    "cell",
    ...conditions.map(({ key }) => key),
    ...levels.flatMap(({ key }) => [
      `${key}_pred`,
      `${key}_prob`,
      `${key}_uncert`,
      `${key}_novelty`,
      `${key}_unknown`,
      `${key}_distance`,
    ]),
    ...(clusters ? ["cluster"] : []),
    ...(annotation ? [annotation.title] : []),
    "selected",
    ...read.map(([name]) => name),
    `${projection.toLowerCase()}_1`,
    `${projection.toLowerCase()}_2`,
  ];
  const rows = names.map((name, cell) => [
    name,
    ...conditions.map((condition) => condition.names[condition.codes[cell]!] ?? ""),
    ...levels.flatMap(({ types, predicted, uncertainty, novelty, probability, distance }, level) => [
      types[predicted[cell]!]!,
      number(probability[cell]!),
      number(uncertainty[cell]!),
      novelty ? number(novelty[cell]!) : "",
      unknown.value[level]![cell] ? "True" : "False",
      number(distance[cell]!),
    ]),
    ...(clusters ? [String(clusters.numbers[clusters.codes[cell]!] ?? "")] : []),
    ...(annotation ? [annotation.names[annotation.codes[cell]!] ?? ""] : []),
    selected.has(cell) ? "True" : "False",
    ...read.map(([, column]) =>
      column.kind === "groups" ? (column.names[column.codes[cell]!] ?? "") : number(column.values[cell]!),
    ),
    number(positions[2 * cell]!),
    number(positions[2 * cell + 1]!),
  ]);
  return { file: new Blob([csvOf(header, rows)], { type: "text/csv" }), name: `${stem()}-cells.csv` };
}

/** One row per sample of each condition key: its components. */
export async function saveSampleTable(): Promise<SavedFile> {
  const { samples } = work.value.result!;
  const components = Math.max(...samples.map(({ dimensions }) => dimensions));
  const header = ["key", "sample", "source", ...Array.from({ length: components }, (_, k) => `PC${k + 1}`)];
  const rows = samples.flatMap(({ key, names, isReference, scores, dimensions }) =>
    names.map((name, sample) => [
      key,
      name,
      isReference[sample] ? "reference" : "query",
      ...Array.from({ length: components }, (_, k) =>
        k < dimensions ? number(scores[sample * dimensions + k]!) : "",
      ),
    ]),
  );
  return { file: new Blob([csvOf(header, rows)], { type: "text/csv" }), name: `${stem()}-samples.csv` };
}

const number = (value: number): string =>
  Number.isFinite(value) ? String(Number(value.toPrecision(7))) : "";

export type Plots = typeof import("./plots.js");

/** A chart of the page as a picture. @param what - it is, for the file's name */
export async function savePlot(
  kind: "svg" | "png",
  what: string,
  plot: (plots: Plots) => Plot,
): Promise<SavedFile> {
  const plots = await import("./plots.js");
  const drawing = plot(plots);
  return {
    file:
      kind === "svg"
        ? new Blob([plots.svgOf(drawing)], { type: "image/svg+xml" })
        : await plots.pngOf(drawing),
    name: `${stem()}-${what.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-")}.${kind}`,
  };
}

/** The samples of the first condition key on their first components, coloured as they are now. */
export function saveSamples(kind: "svg" | "png"): Promise<SavedFile> {
  const {
    samples: [map],
    conditions: [condition],
  } = work.value.result!;
  return savePlot(kind, "samples", (plots) =>
    plots.samplesPlot(
      map!,
      [0, 1],
      geneColouring(map!, condition!),
      sampleColours(map!, work.value.result!, 0, "light"),
    ),
  );
}

/** On white, for a figure: what is drawn now, with the colours that show on white. */
export async function savePicture(kind: "svg" | "png"): Promise<SavedFile> {
  const { result, view } = work.value;
  const { cells, positions, reference, projection } = result!;
  const shown = coloringFor("light")!;
  const { width, height } = drawn.size.value;
  const camera = drawn.camera.value;
  const pixels = (x: number, y: number): readonly [number, number] => toPixels(camera, width, height, x, y);
  const picture: Picture = {
    coloring: shown,
    colours: paint(shown, view, cells, visible.value, "light"),
    positions,
    background:
      reference && view.reference !== "hidden"
        ? {
            positions: reference.positions,
            colours: paintReference(shown, view, reference.positions.length / 2, "light"),
          }
        : null,
    labels: view.showLabels ? placedLabels(result!, pixels, width) : [],
    prototypes: view.showPrototypes
      ? shownPrototypes(result!, view.level).map(({ x, y }) => pixels(x, y))
      : [],
    camera,
    width,
    height,
    axes:
      projection === "UMAP" ? "UMAP of the reference" : "First two principal components of the latent space",
  };
  return {
    file: kind === "svg" ? svgPicture(picture) : await pngPicture(picture),
    name: `${stem()}-cells.${kind}`,
  };
}
