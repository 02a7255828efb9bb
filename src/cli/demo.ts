// scpoli demo: the main job on the cells that come with the package. Two wells of blood cells are left out of
// the reference, mapped onto it, and their cell types, which the mapping does not see, are compared with
// those it gives.
import type { Command } from "commander";
import { makeFolder, packageFile } from "#platform";
import { AnnData } from "../anndata/anndata.js";
import type { RunSettings } from "../config.js";
import { factorize } from "../data/labels.js";
import { ScPoli } from "../scpoli.js";
import { checkOutputs } from "./outputs.js";
import { writtenText } from "./report.js";
import { reportMapping } from "./report-file.js";
import { addRunFlags, run, type Result, type RunFlags } from "./session.js";
import { counted, listed, percent, table } from "./text.js";

const conditionKey = "well";
const cellTypeKey = "cell_type";

export function addDemo(program: Command): void {
  const command = program
    .command("demo")
    .summary("the main job on cells that come with the package")
    .description(
      "The main job on 700 blood cells that come with the package: train on some wells, map the others, compare the cell types. What an earlier demo has left in the folder is replaced.",
    )
    .option("-o, --output <folder>", "folder for what it writes", "scpoli-demo")
    .action((flags: RunFlags & { readonly output: string }) =>
      run(flags, (settings) => demo(flags.output, settings)),
    );
  addRunFlags(command);
}

async function demo(folder: string, settings: RunSettings): Promise<Result> {
  const [modelFolder, output, report] = [`${folder}/model`, `${folder}/query.h5ad`, `${folder}/report.html`];
  await makeFolder(folder);
  await checkOutputs({ inputs: [], h5ad: [output], report: [report], models: [modelFolder], force: true });
  const reference = await AnnData.open(packageFile("data/demo_reference.h5ad"));
  const query = await AnnData.open(packageFile("data/demo_query.h5ad"));
  try {
    const model = await ScPoli.train(reference, {
      ...settings,
      conditionKeys: [conditionKey],
      cellTypeKeys: [cellTypeKey],
    });
    await model.save(modelFolder, { force: true });
    const mapping = await model.map(query, { ...settings, output, force: true });
    await reportMapping(report, output, mapping.model, {}, settings, reference.path);
    const { codes, names } = factorize(await query.obs.column(cellTypeKey));
    const [level] = mapping.predictions;
    const predicted = Array.from(level!.predicted, (type) => model.stored.json.cell_types[type]!);
    const scores = score(
      Array.from(codes, (code) => names[code] ?? ""),
      predicted,
      level!.unknown,
    );
    const { conditions } = mapping.summary();
    const wells = listed(conditions.map(({ condition }) => condition));
    const told = [
      `${counted(reference.nObs, "cell")} of the reference, ${query.nObs} of the query (${conditionKey} ${wells}). The query file carries its true cell types; the mapping did not look at them.`,
      "",
      scoreText(scores),
      "",
      writtenText([modelFolder, output, report]),
    ];
    return {
      json: {
        ...scores,
        reference_cells: reference.nObs,
        query_cells: query.nObs,
        written: [modelFolder, output, report],
      },
      text: told.join("\n"),
    };
  } finally {
    reference.close();
    query.close();
  }
}

interface Scores {
  /** share of all cells whose type is right */
  readonly accuracy: number;
  /** mean over the types of the harmonic mean of precision and recall */
  readonly macro_f1: number;
  readonly cell_types: readonly {
    readonly name: string;
    readonly cells: number;
    readonly right: number;
    readonly unknown: number;
    readonly f1: number;
  }[];
}

function score(truth: readonly string[], predicted: readonly string[], unknown: Uint8Array): Scores {
  const cellTypes = [...new Set(truth)].sort().map((name) => {
    const own = truth.filter((type) => type === name).length;
    const called = predicted.filter((type) => type === name).length;
    const right = truth.filter((type, cell) => type === name && predicted[cell] === name).length;
    const flagged = truth.filter((type, cell) => type === name && unknown[cell] === 1).length;
    return { name, cells: own, right, unknown: flagged, f1: (2 * right) / (own + called) };
  });
  return {
    accuracy: cellTypes.reduce((sum, { right }) => sum + right, 0) / truth.length,
    macro_f1: cellTypes.reduce((sum, { f1 }) => sum + f1, 0) / cellTypes.length,
    cell_types: cellTypes,
  };
}

function scoreText({ accuracy, macro_f1, cell_types }: Scores): string {
  const rows = cell_types.map(({ name, cells, right, unknown }) => [
    name,
    cells,
    right,
    percent(right / cells),
    unknown,
  ]);
  return `${table(rows, ["cell type", "cells", "right", "accuracy", "unknown"])}\n\n  accuracy ${percent(accuracy)}, macro F1 ${macro_f1.toFixed(2)}`;
}
