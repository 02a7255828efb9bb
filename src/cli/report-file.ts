// scpoli report: shows a model, a mapped file or both as one HTML file. Also implements --report of train and
// map.
import { Option, type Command } from "commander";
import { readText, writeFile } from "#platform";
import { AnnData } from "../anndata/anndata.js";
import type { EmbedOptions, RunSettings } from "../contract/options.js";
import { factorize } from "../data/labels.js";
import { spelledAs } from "../data/same-names.js";
import { ScPoliError } from "../contract/errors.js";
import { makeReport, type ReportOptions } from "../report/report.js";
import type { SampleAnalysis, SamplesOptions } from "../samples/analysis.js";
import { isModel } from "../storage/model-files.js";
import { ScPoli } from "../api/scpoli.js";
import { columnsOfKeys, names, renamedKeys, type RenamedKeys } from "./arguments.js";
import { checkOutputs } from "./outputs.js";
import { writtenText } from "./report.js";
import { modelPath as namedModel } from "./registry/registry.js";
import { addRunFlags, run, type Result, type RunFlags } from "./session.js";

interface ReportFlags extends RunFlags {
  readonly output: string;
  readonly model?: string;
  readonly referenceData?: string;
  readonly title?: string;
  readonly genes?: readonly string[];
  readonly metadata?: string;
  readonly metrics?: string;
  readonly cellTypeKey?: RenamedKeys;
}

export function addReport(program: Command): void {
  const command = program
    .command("report")
    .summary("write an HTML report of a model or a mapped file")
    .description(
      "Writes one HTML file that works offline: UMAP of the cells, composition, label transfer, " +
        "uncertainty, verdict, samples, training, options, and a text for the methods section.",
    )
    .argument("<file|model>", "a file written by map or embed, or a model folder, also of scArches")
    .requiredOption("-o, --output <file>", "the .html file to write")
    .option(
      "--model <model>",
      "the model that the file was mapped with (map --save-model): adds the reference behind the query, " +
        "samples and training",
    )
    .addOption(referenceDataFlag())
    .option("--title <text>", "title of the report")
    .option(
      "--genes <names>",
      "genes to colour cells and samples by (default: those most correlated with the samples' first " +
        "components)",
      names,
    )
    .option("--metadata <file>", "a table of sample metadata (csv or tsv), as for scpoli samples")
    .option("--metrics <file>", "a file with the output of `scpoli evaluate --json`")
    .option(
      "--cell-type-key <column>",
      "obs column of the file's labels, if it has another name than in the model: annotation, or " +
        "cell_type=annotation",
      renamedKeys,
    )
    .action((path: string, flags: ReportFlags) => run(flags, (settings) => report(path, flags, settings)));
  addRunFlags(command).addHelpText(
    "after",
    "\nExample:\n  scpoli report patients-mapped.h5ad --model patients-model -o patients.html\n  scpoli " +
      "report atlas-model --reference-data atlas.h5ad --genes CD3D,MS4A1 -o atlas.html",
  );
}

/** `--report` of train and map. */
export function reportFlag(): Option {
  return new Option(
    "--report <file>",
    "also write an HTML report: cells, composition, uncertainty, samples, training",
  );
}

/** Models store no counts, so expression in the reference needs the training file. */
export function referenceDataFlag(): Option {
  return new Option(
    "--reference-data <file>",
    "the file that the model was trained on, to colour the reference's cells and samples by genes in the " +
      "report",
  );
}

async function report(path: string, flags: ReportFlags, settings: RunSettings): Promise<Result> {
  const { output, model: folder, referenceData, force, metadata, metrics } = flags;
  await checkOutputs({
    inputs: [path, folder, referenceData, metadata, metrics],
    report: [output],
    force,
  });
  const hasModel = await isModel(path);
  if (hasModel && folder !== undefined)
    throw new ScPoliError("usage", `${path} is already a model; use --model only with a mapped file.`);
  const modelPath = hasModel ? path : folder;
  if (modelPath === undefined && referenceData !== undefined)
    throw new ScPoliError(
      "usage",
      "--reference-data is the file that a model was trained on: give the model with --model.",
    );
  if (hasModel && flags.genes && referenceData === undefined)
    throw new ScPoliError(
      "usage",
      "Models store no counts to colour by --genes: give the file that it was trained on with " +
        "--reference-data.",
    );
  const model =
    modelPath === undefined ? null : await ScPoli.load(await namedModel(modelPath, settings), settings);
  const mapped = hasModel ? null : await AnnData.open(path);
  const reference = referenceData === undefined ? null : await AnnData.open(referenceData);
  try {
    const cellTypeKeys = columnsOfKeys(
      flags.cellTypeKey,
      model?.stored.json.cell_type_keys ?? flags.cellTypeKey?.flatMap(({ key }) => key ?? []) ?? [],
      "--cell-type-key",
    );
    const samples = model
      ? await samplesFor(
          model,
          { ...settings, data: reference ?? mapped ?? undefined, metadata },
          reference ? undefined : await recordedColumns(mapped),
        )
      : [];
    const html = await makeReport({
      ...settings,
      title: flags.title,
      model,
      mapped,
      reference,
      samples,
      genes: flags.genes,
      metrics: await readMetrics(metrics),
      cellTypeKeys,
    });
    await writeFile(output, html);
    return {
      json: { sections: [...html.matchAll(/<section id="([^"]*)"/g)].map(([, id]) => id), written: [output] },
      text: writtenText([output]),
    };
  } finally {
    mapped?.close();
    reference?.close();
  }
}

/** The condition columns that `map` or `embed` recorded in the file. */
async function recordedColumns(mapped: AnnData | null): Promise<Record<string, string> | undefined> {
  if (!mapped?.unsKeys.includes("scpoli")) return undefined;
  const facts = (await mapped.uns("scpoli")) as
    { readonly condition_columns?: Readonly<Record<string, unknown>> } | undefined;
  return (
    facts?.condition_columns &&
    Object.fromEntries(Object.entries(facts.condition_columns).map(([key, column]) => [key, String(column)]))
  );
}

/**
 * Analyses the samples of a model with condition embeddings. The file's cells are included if the model knows
 * a condition of them for each key (a model saved by `map --save-model` does).
 */
async function samplesFor(
  model: ScPoli,
  { data, ...options }: SamplesOptions,
  conditionKeys: Record<string, string> = {},
): Promise<SampleAnalysis[]> {
  const { json } = model.stored;
  if (json.model.condition_encoding === "one-hot") return [];
  for (const [k, key] of data ? json.condition_keys.entries() : []) {
    const column = conditionKeys[key] ?? key;
    const fileCondition = options.conditionValues?.[key];
    const fileConditions =
      fileCondition !== undefined
        ? [fileCondition]
        : data!.obs.columnNames.includes(column)
          ? factorize(await data!.obs.column(column)).names
          : [];
    const isKnown = spelledAs(fileConditions, json.conditions[k]!).some((name) =>
      json.conditions[k]!.includes(name),
    );
    if (isKnown) continue;
    options.onNote?.({
      level: "info",
      message:
        `The model knows no ${key} of the file, so only the model's samples are shown. To include the ` +
        "file's, give the model saved by `scpoli map --save-model`.",
    });
    return model.samples(options);
  }
  return model.samples({ ...options, data, conditionKeys });
}

/** Contents of the report of one run. */
interface RunReport extends Pick<ReportOptions, "mapped" | "cellTypeKeys"> {
  readonly model: ScPoli;
  /** cells of the samples: the training file or the mapped file, read with `options` */
  readonly data: AnnData;
  readonly options: EmbedOptions;
}

/**
 * Writes the report of the current run. If `data` is not the mapped file, it is the training file.
 */
export async function writeRunReport(
  output: string,
  { model, mapped, data, options, cellTypeKeys }: RunReport,
  settings: RunSettings,
): Promise<void> {
  const { layer, recoverCounts, conditionKeys, conditionValues } = options;
  const samples = await samplesFor(
    model,
    { ...settings, data, layer, recoverCounts, conditionValues },
    conditionKeys && { ...conditionKeys },
  );
  await writeFile(
    output,
    await makeReport({
      ...settings,
      model,
      mapped,
      ...(data !== mapped && { reference: data, referenceOptions: options }),
      samples,
      cellTypeKeys,
    }),
  );
}

/**
 * Writes the report of a mapping from the mapped file.
 * @param referenceData - see `referenceDataFlag`
 */
export async function reportMapping(
  report: string,
  output: string,
  model: ScPoli,
  options: EmbedOptions,
  settings: RunSettings,
  referenceData?: string,
): Promise<void> {
  const mapped = await AnnData.open(output);
  const reference = referenceData === undefined ? null : await AnnData.open(referenceData);
  try {
    await writeRunReport(
      report,
      {
        model,
        mapped,
        data: reference ?? mapped,
        options: reference ? {} : options,
        cellTypeKeys: options.cellTypeKeys,
      },
      settings,
    );
  } finally {
    mapped.close();
    reference?.close();
  }
}

async function readMetrics(path: string | undefined): Promise<unknown> {
  if (path === undefined) return undefined;
  try {
    return JSON.parse(await readText(path)) as unknown;
  } catch (error) {
    if (error instanceof ScPoliError) throw error;
    throw new ScPoliError(
      "file",
      `${path} is not JSON. --metrics expects the output of \`scpoli evaluate --json\`.`,
      { path },
      { cause: error },
    );
  }
}
