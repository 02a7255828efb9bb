// scpoli markers: finds marker genes of groups of cells by Wilcoxon rank-sum tests.
import type { Command } from "commander";
import { writeFile } from "#platform";
import { AnnData } from "../anndata/anndata.js";
import type { RunSettings } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { findMarkers, type Markers } from "../markers/markers.js";
import { markerTable, writeMarkers } from "../markers/markers-file.js";
import { markerGeneSets } from "../markers/marker-gene-sets.js";
import { csvOf } from "../anndata/tables.js";
import { readGeneSets } from "../data/gene-set-file.js";
import { geneSetsText } from "./gene-sets.js";
import { amountOfMemory, names, readableFile, valuesByKey, whole } from "./arguments.js";
import { checkOutputs } from "./outputs.js";
import { writtenText } from "./report.js";
import { addRunFlags, run, type Result, type RunFlags } from "./session.js";
import { counted, percent, table } from "./text.js";

interface MarkersFlags extends RunFlags {
  readonly groups?: string;
  readonly select?: Readonly<Record<string, readonly string[]>>;
  readonly only?: readonly string[];
  readonly against?: string;
  readonly layer?: string;
  readonly memory?: number;
  readonly output?: string;
  readonly csv?: string;
  readonly geneSets?: string;
  readonly geneSetsCsv?: string;
  readonly top?: number;
  readonly keyAdded?: string;
}

export function addMarkers(program: Command): void {
  const command = program
    .command("markers")
    .summary("find marker genes of clusters, cell types or selected cells")
    .description(
      "Tests every gene in every group of cells against all other cells with the tie-corrected Wilcoxon " +
        "rank-sum test, as scanpy's rank_genes_groups does. The unit is the cell: to compare conditions or " +
        "patients, use compare, whose unit is the sample.",
    )
    .argument("<file>", readableFile)
    .option("-o, --output <file>", 'a copy of the file with the results in uns["rank_genes_groups"]')
    .option("--csv <file>", "a CSV table with a row per group and gene")
    .option("--gene-sets-csv <file>", "a CSV table with a row per group and gene set (needs --gene-sets)")
    .optionsGroup("Which cells:")
    .option("--groups <column>", "obs column: one group per value (clusters, cell types, flags)")
    .option(
      "--select <key=values>",
      "or one group of cells selected by obs column, e.g. cluster=12,14 (repeat with other keys to " +
        "select cells " +
        "that match all)",
      valuesByKey,
    )
    .option("--only <names>", "groups to report; all others still serve as other cells (default: all)", names)
    .option("--against <name>", "compare each group with this group only (default: with all other cells)")
    .optionsGroup("Values and results:")
    .option(
      "--layer <name>",
      "the values: X, raw, or a layer; counts are normalised, other values are used as they are " +
        "(default: the raw counts if there are any, else X)",
    )
    .option("--top <n>", "number of genes to write per group, highest scores first (default: all)", whole(1))
    .option(
      "--gene-sets <file>",
      "a .gmt file of gene sets to test for over-representation among the top 100 markers of each group",
    )
    .option("--key-added <name>", "name in uns (default: rank_genes_groups)")
    .option(
      "--memory <amount>",
      "memory for the values; genes that do not fit need further passes over the file (default: 1G)",
      amountOfMemory,
    )
    .action((path: string, flags: MarkersFlags) => run(flags, (settings) => markers(path, flags, settings)));
  addRunFlags(command).addHelpText(
    "after",
    "\nExample:\n  scpoli markers mapped.h5ad --groups cell_type_pred -o markers.h5ad --csv " +
      "markers.csv\n  scpoli markers mapped.h5ad --select scpoli_cluster=4 --csv unknown.csv\n  scpoli " +
      "markers mapped.h5ad --groups cell_type_pred --only 'CD8 T' --against 'CD4 T'",
  );
}

async function markers(path: string, flags: MarkersFlags, settings: RunSettings): Promise<Result> {
  const { groups, select, only, against, layer, memory, output, csv, top, keyAdded, force } = flags;
  if (flags.geneSetsCsv !== undefined && flags.geneSets === undefined)
    throw new ScPoliError("usage", "--gene-sets-csv needs --gene-sets with a .gmt file of gene sets.");
  const sets = flags.geneSets === undefined ? [] : await readGeneSets(flags.geneSets);
  await checkOutputs({
    inputs: [path, flags.geneSets],
    h5ad: [output],
    table: [csv, flags.geneSetsCsv],
    force,
  });
  const data = await AnnData.open(path);
  try {
    const result = await findMarkers(data, { ...settings, groups, select, only, against, layer, memory });
    const geneSets = await markerGeneSets(result, sets);
    if (output !== undefined)
      await writeMarkers(data, output, result, { top, keyAdded, force, geneSets, onNote: settings.onNote });
    if (flags.geneSetsCsv !== undefined) await writeFile(flags.geneSetsCsv, csvOf(geneSets));
    if (csv !== undefined) await writeFile(csv, csvOf(markerTable(result, { top })));
    const written = [output, csv, flags.geneSetsCsv].filter((file) => file !== undefined);
    const text = [markersText(result), ...geneSetsText(geneSets, "group", ["group"])].join("\n");
    return {
      json: {
        key: result.key,
        against: result.against,
        values: result.isNormalized ? `${result.place}, log1p of counts per 10,000` : result.place,
        groups: result.groups.map(({ name, cells }) => ({ name, cells })),
        top_genes: markerTable(result, { top: shownInJson }),
        gene_sets: geneSets,
        written,
      },
      text: written.length > 0 ? `${text}\n\n${writtenText(written)}` : text,
    };
  } finally {
    data.close();
  }
}

/** Number of genes shown per group; the files hold all. */
const shownInJson = 20;
const shownInText = 5;

function markersText(result: Markers): string {
  const rows = markerTable(result, { top: shownInText });
  const other = result.against === null ? "other cells" : result.against;
  const lines = rows.map((row) => [
    row.rank === 1 ? String(row.group) : "",
    String(row.symbol),
    (row.score as number).toFixed(1),
    (row.log2_fold_change as number).toFixed(2),
    percent(row.share as number, 0),
    percent(row.other_share as number, 0),
    (row.auc as number).toFixed(2),
    (row.specificity as number).toFixed(2),
    (row.p_adjusted as number).toPrecision(2),
  ]);
  const cells = result.groups.reduce((sum, group) => sum + group.cells, 0);
  const header = ["group", "gene", "score", "log2 fold change", "share", "others", "AUC", "specificity", "P"];
  return (
    `${counted(result.groups.length, "group")} of ${counted(cells, "cell")} (${result.key}) against ` +
    other +
    `\n\n${table(lines, header)}\n  (share: share of cells that express the gene; specificity: the group's ` +
    "mean divided by the sum of all groups' means; P: corrected)"
  );
}
