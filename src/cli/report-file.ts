// scpoli report: a model, a mapped file or both as one HTML file; and the flag --report of train and map, which write the same.
import { Option, type Command } from "commander";
import { fileStatus, readText, writeFile } from "#platform";
import { AnnData } from "../anndata/anndata.js";
import type { CountsOptions, EmbedOptions, RunSettings } from "../config.js";
import { factorize } from "../data/labels.js";
import { ScPoliError } from "../errors.js";
import { makeReport, type ReportOptions } from "../report/report.js";
import type { SampleAnalysis, SamplesOptions } from "../samples/analysis.js";
import { ScPoli } from "../scpoli.js";
import { columnsOfKeys, names, renamedKeys, type RenamedKeys } from "./arguments.js";
import { checkOutputs } from "./outputs.js";
import { writtenText } from "./report.js";
import { addRunFlags, run, type Result, type RunFlags } from "./session.js";

interface ReportFlags extends RunFlags {
  readonly output: string;
  readonly model?: string;
  readonly title?: string;
  readonly genes?: readonly string[];
  readonly metadata?: string;
  readonly metrics?: string;
  readonly cellTypeKey?: RenamedKeys;
}

export function addReport(program: Command): void {
  const command = program
    .command("report")
    .summary("a model or a mapped file as one HTML file to look at")
    .description("Writes one HTML file, readable offline: the cells' UMAP, composition, label transfer, uncertainty, verdict, samples, training, options, and a text for Methods.")
    .argument("<file|model>", "a file that map or embed has written, or the folder of a model")
    .requiredOption("-o, --output <file>", "the .html file to write")
    .option("--model <model>", "folder of the model that the file was mapped with (map --save-model): shows the reference below the query, samples and training")
    .option("--title <text>", "title of the report")
    .option("--genes <names>", "genes that cells and samples are coloured by (default: those that go best with the samples' first components)", names)
    .option("--metadata <file>", "a table of what is known of the samples (csv or tsv), as for scpoli samples")
    .option("--metrics <file>", "a file with what `scpoli evaluate --json` has printed")
    .option("--cell-type-key <column>", "obs column of the file's own labels, where it is named otherwise than in the model: annotation, or cell_type=annotation", renamedKeys)
    .action((path: string, flags: ReportFlags) => run(flags, (settings) => report(path, flags, settings)));
  addRunFlags(command).addHelpText("after", "\nExample:\n  scpoli report patients-mapped.h5ad --model patients-model -o patients.html");
}

/** `--report` of train and map. */
export function reportFlag(): Option {
  return new Option("--report <file>", "also write an HTML report to look at: cells, composition, uncertainty, samples, training");
}

async function report(path: string, flags: ReportFlags, settings: RunSettings): Promise<Result> {
  const { output, model: folder, force, metadata, metrics } = flags;
  await checkOutputs({ inputs: [path, ...[folder, metadata, metrics].filter((file) => file !== undefined)], files: [output], force });
  const isModel = (await fileStatus(path))?.kind === "folder" && (await fileStatus(`${path}/model.json`)) !== null;
  if (isModel && folder !== undefined) throw new ScPoliError("usage", `${path} is a model already; --model goes with a mapped file.`);
  const modelPath = isModel ? path : folder;
  const model = modelPath === undefined ? null : await ScPoli.load(modelPath, settings);
  const mapped = isModel ? null : await AnnData.open(path);
  try {
    const cellTypeKeys = columnsOfKeys(flags.cellTypeKey, model?.stored.json.cell_type_keys ?? flags.cellTypeKey?.flatMap(({ key }) => key ?? []) ?? [], "--cell-type-key");
    const samples = model ? await samplesFor(model, { ...settings, data: mapped ?? undefined, metadata }, await columnsIn(mapped)) : [];
    const html = await makeReport({ ...settings, title: flags.title, model, mapped, samples, genes: flags.genes, metrics: await readMetrics(metrics), cellTypeKeys });
    await writeFile(output, html);
    return { json: { sections: [...html.matchAll(/<section id="([^"]*)"/g)].map(([, id]) => id), written: [output] }, text: writtenText([output]) };
  } finally {
    mapped?.close();
  }
}

/** What `map` or `embed` has noted of the columns of the conditions. */
async function columnsIn(mapped: AnnData | null): Promise<Record<string, string> | undefined> {
  if (!mapped?.unsKeys.includes("scpoli")) return undefined;
  const facts = (await mapped.uns("scpoli")) as { readonly condition_columns?: Readonly<Record<string, unknown>> } | undefined;
  return facts?.condition_columns && Object.fromEntries(Object.entries(facts.condition_columns).map(([key, column]) => [key, String(column)]));
}

/** The samples of a model, where it has an embedding of them; with the cells of the file, where the model knows conditions of it (`map --save-model` saves one that does). */
async function samplesFor(model: ScPoli, { data, ...options }: SamplesOptions, conditionKeys: Record<string, string> = {}): Promise<SampleAnalysis[]> {
  const { json } = model.stored;
  if (json.model.condition_encoding === "one-hot") return [];
  for (const [k, key] of data ? json.condition_keys.entries() : []) {
    const column = conditionKeys[key] ?? key;
    const isKnown = data!.obs.columnNames.includes(column) && factorize(await data!.obs.column(column)).names.some((name) => json.conditions[k]!.includes(name));
    if (isKnown) continue;
    options.onNote?.({ level: "info", message: `The model knows no ${key} of the file, so that its samples are shown without the file's. Give the model that \`scpoli map --save-model\` has saved.` });
    return model.samples(options);
  }
  return model.samples({ ...options, data, conditionKeys });
}

/** What is shown of one run. */
export interface RunReport extends Pick<ReportOptions, "model" | "mapped"> {
  readonly model: ScPoli;
  /** cells of the samples: the training file, or the mapped one */
  readonly data: AnnData;
  readonly counts?: CountsOptions;
  readonly conditionKeys?: Record<string, string>;
  readonly cellTypeKeys?: Readonly<Record<string, string>>;
}

/** Writes the report of a run that has just been. */
export async function writeRunReport(output: string, { model, mapped, data, counts, conditionKeys, cellTypeKeys }: RunReport, settings: RunSettings): Promise<void> {
  const samples = await samplesFor(model, { ...settings, data, layer: counts?.layer, recoverCounts: counts?.recoverCounts }, conditionKeys);
  await writeFile(output, await makeReport({ ...settings, model, mapped, samples, cellTypeKeys }));
}

/** The report of a mapping, from the file as it was written. */
export async function reportMapping(report: string, output: string, model: ScPoli, { layer, recoverCounts, conditionKeys, cellTypeKeys }: EmbedOptions, settings: RunSettings): Promise<void> {
  const mapped = await AnnData.open(output);
  try {
    await writeRunReport(report, { model, mapped, data: mapped, counts: { layer, recoverCounts }, conditionKeys: conditionKeys && { ...conditionKeys }, cellTypeKeys }, settings);
  } finally {
    mapped.close();
  }
}

async function readMetrics(path: string | undefined): Promise<unknown> {
  if (path === undefined) return undefined;
  try {
    return JSON.parse(await readText(path)) as unknown;
  } catch (error) {
    if (error instanceof ScPoliError) throw error;
    throw new ScPoliError("file", `${path} is not JSON. --metrics reads what \`scpoli evaluate --json\` prints.`, { path }, { cause: error });
  }
}
