// scpoli compare: compares gene expression within cell types, and cell type abundance, between two groups of
// samples.
import { InvalidArgumentError, type Command } from "commander";
import { AnnData } from "../anndata/anndata.js";
import type { RunSettings } from "../contract/options.js";
import { compareSamples, type Comparison } from "../comparison/compare.js";
import {
  comparisonGeneSets,
  comparisonTables,
  writeComparison,
  writeComparisonTables,
} from "../comparison/comparison-file.js";
import { readGeneSets } from "../data/gene-set-file.js";
import { geneSetsText } from "./gene-sets.js";
import { names, readableFile, valuesByKey, whole } from "./arguments.js";
import { layerFlag } from "./counts-flags.js";
import { checkOutputs } from "./outputs.js";
import { writtenText } from "./report.js";
import { addRunFlags, run, type Result, type RunFlags } from "./session.js";
import { listed, percent, table } from "./text.js";

interface CompareFlags extends RunFlags {
  readonly between: readonly [string, string, string];
  readonly sampleKey: string;
  readonly within?: string;
  readonly covariates?: readonly string[];
  readonly minCells?: number;
  readonly layer?: string;
  readonly geneSets?: string;
  readonly output?: string;
  readonly tables?: string;
  readonly keyAdded?: string;
}

/** `condition=stim,ctrl` */
export function twoGroups(text: string): readonly [string, string, string] {
  const form = "Expected COLUMN=FIRST,SECOND, such as condition=stim,ctrl.";
  if (!text.includes("=")) throw new InvalidArgumentError(form);
  const [[column, values]] = Object.entries(valuesByKey(text)) as [[string, readonly string[]]];
  if (values.length !== 2) throw new InvalidArgumentError(form);
  return [column, values[0]!, values[1]!];
}

export function addCompare(program: Command): void {
  const command = program
    .command("compare")
    .summary("compare two groups of samples: expression in each cell type, abundance of the types")
    .description(
      "Compares two groups of samples. Counts are summed over the cells of each sample and type and " +
        "tested with " +
        "limma-voom (moderated t); the unit is the sample, not the cell. Shares of types are compared as " +
        "log " +
        "ratios to the geometric mean of all types.",
    )
    .argument("<file>", `raw counts: ${readableFile}`)
    .requiredOption(
      "--between <column=first,second>",
      "obs column and two of its values; fold changes are first over second: condition=stim,ctrl",
      twoGroups,
    )
    .requiredOption(
      "--sample-key <column>",
      "obs column of the samples (patients, donors); samples with cells of both groups are compared as pairs",
    )
    .option(
      "--within <column>",
      "obs column of cell types, each compared separately (default: all cells together)",
    )
    .option(
      "--covariates <columns>",
      "obs columns to adjust for, constant within samples: donor (pairs), batch, age",
      names,
    )
    .option("--min-cells <n>", "minimum cells of a type for a sample to be included (default: 10)", whole(1))
    .option(
      "--gene-sets <file>",
      "a .gmt file of gene sets to test for over-representation among higher and lower genes",
    )
    .addOption(layerFlag())
    .optionsGroup("Output:")
    .option("-o, --output <file>", 'a copy of the file with the tables in uns["scpoli_compare"]')
    .option("--tables <folder>", "write every table as CSV")
    .option("--key-added <name>", "name in uns (default: scpoli_compare)")
    .action((path: string, flags: CompareFlags) => run(flags, (settings) => compare(path, flags, settings)));
  addRunFlags(command).addHelpText(
    "after",
    "\nExample:\n  scpoli compare mapped.h5ad --between condition=stim,ctrl --within cell_type_pred " +
      "--sample-key donor --tables stim\n  scpoli compare atlas.h5ad --between disease=T2D,healthy " +
      "--within cell_type --sample-key patient --covariates sex,age -o t2d.h5ad",
  );
}

async function compare(path: string, flags: CompareFlags, settings: RunSettings): Promise<Result> {
  const { between, sampleKey, within, covariates, minCells, layer, output, tables, keyAdded, force } = flags;
  const sets = flags.geneSets === undefined ? [] : await readGeneSets(flags.geneSets);
  await checkOutputs({
    inputs: [path, flags.geneSets],
    h5ad: [output],
    folders: [{ path: tables, ending: ".csv" }],
    force,
  });
  const data = await AnnData.open(path);
  try {
    const options = { between, sampleKey, within, covariates, minCells, layer };
    const comparison = await compareSamples(data, { ...settings, ...options });
    if (output !== undefined)
      await writeComparison(data, output, comparison, { keyAdded, force, onNote: settings.onNote });
    const geneSets = await comparisonGeneSets(comparison, sets);
    const written = [
      ...(output === undefined ? [] : [output]),
      ...(tables === undefined ? [] : await writeComparisonTables(tables, comparison, geneSets)),
    ];
    const text = [
      comparisonText(comparison),
      ...geneSetsText(geneSets, "genes of", ["type", "direction"]),
    ].join("\n");
    return {
      json: { ...comparisonJson(comparison), gene_sets: geneSets, written },
      text: written.length > 0 ? `${text}\n\n${writtenText(written)}` : text,
    };
  } finally {
    data.close();
  }
}

/** Number of genes shown per type; the files hold all. */
const shownGenes = 20;

function comparisonJson(comparison: Comparison): object {
  const { genes: _, ...tables } = comparisonTables(comparison);
  const top = comparisonTables({
    ...comparison,
    types: comparison.types.map((type) => ({ ...type, genes: type.genes.slice(0, shownGenes) })),
  }).genes;
  const { column, first, second, sampleKey, within, covariates, isPaired, place } = comparison;
  return {
    column,
    first,
    second,
    sample_key: sampleKey,
    within,
    covariates,
    is_paired: isPaired,
    counts: place,
    ...tables,
    types: tables.types,
    top_genes: [...(top ?? [])].sort((a, b) => (a.p as number) - (b.p as number)),
  };
}

const significanceLevel = 0.05;

function comparisonText(comparison: Comparison): string {
  const { column, first, second, sampleKey, types, abundance, covariates } = comparison;
  const significant = (sign: number, genes: Comparison["types"][number]["genes"]): number =>
    genes.filter((row) => row.adjustedP < significanceLevel && Math.sign(row.log2FoldChange) === sign).length;
  const lines = [
    `${column}: ${first} over ${second}; the unit is ${sampleKey}` +
      (covariates.length > 0 ? `, adjusted for ${listed(covariates)}` : ""),
    "",
    table(
      types.map((row) =>
        row.reason === null
          ? [
              row.type,
              `${row.samples[0]}, ${row.samples[1]}`,
              row.genes.length,
              significant(1, row.genes),
              significant(-1, row.genes),
              row.genes
                .slice(0, 5)
                .map(({ symbol, log2FoldChange }) => `${symbol} (${log2FoldChange.toFixed(1)})`)
                .join(", "),
            ]
          : [row.type, `${row.samples[0]}, ${row.samples[1]}`, "", "", "", `not compared: ${row.reason}`],
      ),
      ["type", "samples", "genes", "up", "down", "top genes (log2 fold change)"],
    ),
    `  (up, down: genes with corrected P below ${significanceLevel})`,
  ];
  if (abundance.length > 0)
    lines.push(
      "",
      table(
        abundance.map((row) => [
          row.type,
          percent(row.shares[0]),
          percent(row.shares[1]),
          row.log2Ratio.toFixed(2),
          row.p.toPrecision(2),
          row.adjustedP.toPrecision(2),
        ]),
        ["share of cells", first, second, "log2 ratio", "P", "corrected"],
      ),
      "  (log2 ratio: relative to the geometric mean of all types, so that growth of one type does not " +
        "make all others seem to shrink)",
    );
  return lines.join("\n");
}
