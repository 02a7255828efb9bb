// scpoli demo: train and map with cells in the package. The reference of lupus patients has no B cells. Other
// patients are mapped onto it. The demo compares labels with the truth, shows the unknown type and the genes
// that make it novel, and shows that samples separate by treatment, which the model is not given.
import type { Command } from "commander";
import { dataFile, makeFolder } from "#platform";
import { AnnData } from "../anndata/anndata.js";
import type { RunSettings } from "../contract/options.js";
import { factorize } from "../data/labels.js";
import type { ClusterSummary, Mapping } from "../mapping/mapping.js";
import { ScPoli } from "../api/scpoli.js";
import { samplePicture, treatmentOfNeighbors } from "./demo-samples.js";
import { scoreCells, scoreText, type CellScores } from "./demo-scores.js";
import { checkOutputs } from "./outputs.js";
import { writtenText } from "./report.js";
import { reportMapping } from "./report-file.js";
import { addRunFlags, run, type Result, type RunFlags } from "./session.js";
import { count, counted } from "./text.js";

const conditionKey = "sample";
const cellTypeKey = "cell_type";
/** Column of the treatment; the model is not given it. */
const treatmentKey = "condition";

export function addDemo(program: Command): void {
  const command = program
    .command("demo")
    .summary("train and map with example cells in the package")
    .description(
      "Runs the main steps on blood cells of lupus patients in the package: train on five patients, map " +
        "three others, find the cell type that the reference lacks, and compare the samples. Replaces the " +
        "outputs of an earlier demo in the folder.",
    )
    .option("-o, --output <folder>", "folder for the outputs", "scpoli-demo")
    .action((flags: RunFlags & { readonly output: string }) =>
      run(flags, (settings) => demo(flags.output, settings)),
    );
  addRunFlags(command);
}

async function demo(folder: string, settings: RunSettings): Promise<Result> {
  const files = [`${folder}/model`, `${folder}/query.h5ad`, `${folder}/report.html`];
  const [modelFolder, output, report] = files as [string, string, string];
  await makeFolder(folder);
  await checkOutputs({ inputs: [], h5ad: [output], report: [report], models: [modelFolder], force: true });
  const reference = await AnnData.open(dataFile("kang_reference.h5ad"));
  const query = await AnnData.open(dataFile("kang_query.h5ad"));
  try {
    const keys = { conditionKeys: [conditionKey], cellTypeKeys: [cellTypeKey] };
    const model = await ScPoli.train(reference, { ...settings, ...keys });
    await model.save(modelFolder, { force: true });
    const mapping = await model.map(query, {
      ...settings,
      force: true,
      output,
      unlabeledPrototypes: "leiden",
    });
    await reportMapping(report, output, mapping.model, {}, { ...settings, force: true }, reference.path);
    const cells = await scoreQuery(query, mapping);
    const samples = await describeSamples(mapping.model);
    const clusters = mapping.summary().clusters ?? [];
    return {
      json: {
        reference_cells: reference.nObs,
        query_cells: query.nObs,
        ...cells,
        clusters,
        samples: samples.json,
        written: files,
      },
      text: [
        `${count(reference.nObs)} cells of five patients are the reference; ${query.nObs} cells of three ` +
          "other patients are the query.\nEach patient gave a control sample and one stimulated with " +
          "interferon-beta. The reference has no B cells.",
        "Cell types of the query compared with the truth, which the mapping did not " +
          `see:\n\n${scoreText(cells)}`,
        novelText(clusters),
        samples.text,
        `${writtenText(files)}\n${nextSteps(files)}`,
      ].join("\n\n"),
    };
  } finally {
    reference.close();
    query.close();
  }
}

async function scoreQuery(query: AnnData, mapping: Mapping<ScPoli>): Promise<CellScores> {
  const { codes, names } = factorize(await query.obs.column(cellTypeKey));
  const [level] = mapping.predictions;
  return scoreCells(
    Array.from(codes, (code) => names[code] ?? ""),
    Array.from(level!.predicted, (type) => mapping.model.stored.json.cell_types[type] ?? ""),
    level!.unknown,
  );
}

function novelText(clusters: readonly ClusterSummary[]): string {
  const novel = clusters.filter(({ is_novel: isNovel }) => isNovel);
  if (novel.length === 0) return "No cluster of the query is novel.";
  const lines = novel.map(
    ({ cluster, cells, genes_up: up, genes_down: down }) =>
      `  cluster ${cluster}, ${counted(cells, "cell")}: higher ${up.slice(0, 8).join(", ")}; ` +
      `lower ${down.slice(0, 4).join(", ")}`,
  );
  return (
    "Novel clusters, unlike every known type, with genes that no mixture of known types explains:\n\n" +
    lines.join("\n")
  );
}

async function describeSamples(model: ScPoli): Promise<{ readonly json: object; readonly text: string }> {
  const [analysis] = await model.samples({ keys: [conditionKey] });
  const { names, isReference, metadata, embedding } = analysis!.samples;
  const column = metadata.columns.indexOf(treatmentKey);
  const groups = names.map((name) => String(metadata.samples[name]?.[column] ?? ""));
  const { right, mapped } = treatmentOfNeighbors(embedding, groups, isReference);
  const best = analysis!.associations
    .filter(({ covariate }) => covariate === treatmentKey)
    .reduce((a, b) => (b.adjusted_r2 > a.adjusted_r2 ? b : a));
  const letters = groups.map((group, row) => (isReference[row] ? group[0]! : group[0]!.toUpperCase()));
  return {
    json: { component: best.component, adjusted_r2: best.adjusted_r2, p: best.p_adjusted, right, mapped },
    text:
      "Samples by their embeddings (principal components; c: control, s: stimulated; capitals: new " +
      "patients):\n\n" +
      `${samplePicture(analysis!.components.scores, letters)}\n\n` +
      `  Treatment explains ${Math.round(best.adjusted_r2 * 100)} % of component ${best.component}. For ` +
      `${right} of ${mapped} new samples, the nearest reference sample has the same treatment.`,
  };
}

function nextSteps([, output, report]: readonly string[]): string {
  return [
    `Next: open ${report} in a browser; ${output} with anndata; \`scpoli markers ${output}`,
    `  --groups scpoli_cluster\`; \`scpoli inspect YOUR.h5ad\`, then \`scpoli train --help\`.`,
  ].join("\n");
}
