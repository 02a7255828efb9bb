// scpoli inspect: what is in an AnnData file, or in a model.
import type { Command } from "commander";
import { AnnData } from "../anndata/anndata.js";
import type { RunSettings } from "../contract/options.js";
import { exitCodes } from "../contract/errors.js";
import { inspect, type Candidate, type Inspection } from "../api/inspect.js";
import { isModel } from "../storage/model-files.js";
import { ScPoli } from "../api/scpoli.js";
import { modelText } from "./report.js";
import { modalityFlag } from "./counts-flags.js";
import { addRunFlags, run, type Result, type RunFlags } from "./session.js";
import { count, counted, table } from "./text.js";

interface InspectFlags extends RunFlags {
  readonly modality?: string;
}

export function addInspect(program: Command): void {
  const command = program
    .command("inspect")
    .summary("what is in a file or a model")
    .description(
      "What is in an AnnData file: its size, its columns, where raw counts are, and which columns look like conditions and cell types. Also reads models. Exit code 3 where a column or a matrix cannot be read; the rest is told all the same.",
    )
    .argument("<file>", "an .h5ad file, an AnnData-Zarr folder, what 10x CellRanger wrote, or a model")
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

function inspectionText(path: string, found: Inspection): string {
  const lines = [`${path}: ${counted(found.cells, "cell")}, ${counted(found.genes, "gene")}`, ""];
  if (found.cellxgene) {
    const { schema_version, title, gene_symbols } = found.cellxgene;
    lines.push(
      `A file of the CELLxGENE schema (${schema_version})${title === null ? "" : `: ${title}`}.${gene_symbols === null ? "" : ` Gene symbols in var["${gene_symbols}"].`}`,
      "",
    );
  }
  lines.push(found.counts === null ? "No raw counts found:" : `Raw counts in ${found.counts}:`);
  lines.push(table(found.places.map(({ place, holds }) => [place, holds])), "");
  if (found.feature_types && Object.keys(found.feature_types).length > 1)
    lines.push(
      "Features by type (gene expression is modelled; --feature-types asks for others):",
      table(Object.entries(found.feature_types)),
      "",
    );
  lines.push(`Columns of obs (${found.obs_columns}):`);
  lines.push(
    table(found.columns.map(({ name, kind, distinct }) => [name, kind, `${count(distinct)} distinct`])),
    "",
  );
  if (found.unreadable.length > 0) lines.push(`Cannot be read: ${found.unreadable.join(", ")}.`, "");
  lines.push(
    ...candidates("conditions", found.condition_candidates),
    ...candidates("cell types", found.cell_type_candidates),
  );
  const [condition = found.obs_columns === 0 ? { name: "sample" } : undefined] = found.condition_candidates;
  const [cellType] = found.cell_type_candidates;
  if (found.counts !== null && condition)
    lines.push(
      "",
      "To train on it:",
      `  scpoli train ${path} -o model --condition-key ${condition.name}${"distinct" in condition ? "" : " --condition-value NAME"}${cellType ? ` --cell-type-key ${cellType.name}` : ""}`,
    );
  return lines.join("\n");
}

function candidates(what: string, found: readonly Candidate[]): string[] {
  if (found.length === 0) return [`No column looks like ${what}.`];
  return [
    `Looks like ${what}:`,
    table(found.map(({ name, distinct, why }) => [name, `${count(distinct)} distinct`, why])),
  ];
}
