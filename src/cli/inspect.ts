// scpoli inspect: shows the contents of an AnnData file or a model.
import type { Command } from "commander";
import { AnnData } from "../anndata/anndata.js";
import type { RunSettings } from "../contract/options.js";
import { exitCodes } from "../contract/errors.js";
import { inspect, type Candidate, type Inspection } from "../api/inspect.js";
import { isModel } from "../storage/model-files.js";
import { ScPoli } from "../api/scpoli.js";
import { modelText } from "./report.js";
import { modalityFlag } from "./counts-flags.js";
import { readableFile } from "./arguments.js";
import { addRunFlags, run, type Result, type RunFlags } from "./session.js";
import { count, counted, table } from "./text.js";

interface InspectFlags extends RunFlags {
  readonly modality?: string;
}

export function addInspect(program: Command): void {
  const command = program
    .command("inspect")
    .summary("show what is in a file or a model")
    .description(
      "Shows the size and columns of an AnnData file, where raw counts are, and which columns look like " +
        "conditions and cell types. Also reads models. If a column or a matrix cannot be read, the rest is " +
        "shown and the exit code is 3.",
    )
    .argument("<file>", `${readableFile}, or a model`)
    .addOption(modalityFlag())
    .action((path: string, flags: InspectFlags) =>
      run(flags, (settings) => inspectPath(path, flags, settings)),
    );
  addRunFlags(command).addHelpText("after", "\nExample:\n  scpoli inspect pbmc.h5ad");
}

async function inspectPath(path: string, { modality }: InspectFlags, settings: RunSettings): Promise<Result> {
  if (modality === undefined && (await isModel(path))) {
    const summary = (await ScPoli.load(path, settings)).summary();
    return { json: summary, text: modelText(path, summary) };
  }
  const data = await AnnData.open(path, { modality });
  try {
    const inspection = await inspect(data, settings.onNote);
    return {
      json: inspection,
      text: inspectionText(path, inspection),
      exitCode: inspection.unreadable.length > 0 ? exitCodes.format : 0,
    };
  } finally {
    data.close();
  }
}

function inspectionText(path: string, inspection: Inspection): string {
  const lines = [`${path}: ${counted(inspection.cells, "cell")}, ${counted(inspection.genes, "gene")}`, ""];
  if (inspection.cellxgene) {
    const { schema_version, title, gene_symbols } = inspection.cellxgene;
    lines.push(
      `CELLxGENE schema ${schema_version}${title === null ? "" : `: ${title}`}.` +
        (gene_symbols === null ? "" : ` Gene symbols in var["${gene_symbols}"].`),
      "",
    );
  }
  lines.push(
    inspection.counts === null
      ? "No raw counts. What the matrices hold:"
      : `Raw counts in ${inspection.counts}:`,
  );
  lines.push(table(inspection.places.map(({ place, holds }) => [place, holds])), "");
  if (inspection.feature_types && Object.keys(inspection.feature_types).length > 1)
    lines.push(
      "Features by type (gene expression is modelled; --feature-types selects others):",
      table(Object.entries(inspection.feature_types)),
      "",
    );
  lines.push(`Columns of obs (${inspection.obs_columns}):`);
  lines.push(
    table(inspection.columns.map(({ name, kind, distinct }) => [name, kind, `${count(distinct)} distinct`])),
    "",
  );
  if (inspection.unreadable.length > 0)
    lines.push(`Cannot be read: ${inspection.unreadable.join(", ")}.`, "");
  lines.push(
    ...candidates("conditions", inspection.condition_candidates),
    ...candidates("cell types", inspection.cell_type_candidates),
  );
  const [condition = inspection.obs_columns === 0 ? { name: "sample" } : undefined] =
    inspection.condition_candidates;
  const [cellType] = inspection.cell_type_candidates;
  if (inspection.counts !== null && condition)
    lines.push(
      "",
      "To train on it:",
      `  scpoli train ${path} -o model --condition-key ${condition.name}` +
        ("distinct" in condition ? "" : " --condition-value NAME") +
        (cellType ? ` --cell-type-key ${cellType.name}` : ""),
    );
  return lines.join("\n");
}

function candidates(what: string, inspection: readonly Candidate[]): string[] {
  if (inspection.length === 0) return [`No column looks like ${what}.`];
  return [
    `Looks like ${what}:`,
    table(inspection.map(({ name, distinct, why }) => [name, `${count(distinct)} distinct`, why])),
  ];
}
