// What is saved, made from the work as it is: thresholds that were dragged are those of the file.
import { queryConditions } from "./conditions.js";
import { working } from "./actions.js";
import { coloring, paint } from "./coloring.js";
import { pngPicture, svgPicture, type Picture } from "./charts/picture.js";
import type { Plot } from "scpoli";
import { runJob } from "./jobs.js";
import type { MappingResult } from "./protocol.js";
import { geneColouring } from "./sample-colours.js";
import { unknown, verdict, work } from "./state.js";
import { drawn, labelPlaces } from "./views/cells.js";

export interface SavedFile {
  readonly file: Blob;
  readonly name: string;
}

function stem(): string {
  return (work.value.query?.info.name ?? work.value.model?.name ?? "scpoli").replace(
    /(\.(h5ad|h5|zarr|zip))+$/,
    "",
  );
}

/** The results as they are written, with the thresholds of now. */
export function currentAdditions({ additions, levels }: MappingResult): MappingResult["additions"] {
  const { thresholds } = work.value.view;
  const obs = { ...additions.obs };
  levels.forEach(
    ({ key }, level) => (obs[`${key}_unknown`] = { kind: "boolean", values: unknown.value[level]! }),
  );
  const own = additions.uns?.["scpoli"];
  const limits = Object.fromEntries(levels.map(({ key }, level) => [key, thresholds[level] ?? "none"]));
  return {
    ...additions,
    obs,
    uns: {
      ...additions.uns,
      ...(isDict(own) && {
        scpoli: { ...own, thresholds: limits, verdict: JSON.stringify(verdict.value) },
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

export async function saveModel(): Promise<SavedFile> {
  const model = work.value.result?.model ?? work.value.model!;
  const [only] = model.files;
  if (model.files.length === 1 && only!.path.endsWith(".zip"))
    return { file: only!.file, name: `${model.name}.zip` };
  const [packed] = await runJob(({ jobs }) => jobs.repackModel(model.files, model.name));
  return { file: packed!.file, name: `${model.name}.zip` };
}

/** One row per cell, as text. */
export async function saveTable(): Promise<SavedFile> {
  const { query, result } = work.value;
  const { levels, conditions, positions, projection } = result!;
  const names = await runJob(({ jobs }) => jobs.readCellNames(query!.files));
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
    number(positions[2 * cell]!),
    number(positions[2 * cell + 1]!),
  ]);
  const text = [header, ...rows].map((row) => row.map(quoted).join(",")).join("\n");
  return { file: new Blob([`${text}\n`], { type: "text/csv" }), name: `${stem()}-cells.csv` };
}

const number = (value: number): string => String(Number(value.toPrecision(7)));
const quoted = (text: string): string => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

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
    plots.samplesPlot(map!, [0, 1], geneColouring(map!, condition!)),
  );
}

export async function savePicture(kind: "svg" | "png"): Promise<SavedFile> {
  const { result, view } = work.value;
  const shown = coloring.value!;
  const { width, height } = drawn.size.value;
  const picture: Picture = {
    coloring: shown,
    colours: paint(shown, view, result!.cells),
    positions: result!.positions,
    background: view.showReference ? (result!.reference?.positions ?? null) : null,
    labels: view.showLabels && shown.groups ? labelPlaces(shown.groups, result!.positions) : [],
    camera: drawn.camera.value,
    width,
    height,
    axes:
      result!.projection === "UMAP"
        ? "UMAP of the reference"
        : "First two principal components of the latent space",
  };
  return {
    file: kind === "svg" ? svgPicture(picture) : await pngPicture(picture),
    name: `${stem()}-cells.${kind}`,
  };
}
