// scpoli collect: puts the results of many mappings into one table and one report.
import type { Command } from "commander";
import { readText, writeFile } from "#platform";
import { csvOf } from "../anndata/tables.js";
import type { MappingSummary } from "../mapping/mapping.js";
import { ScPoliError } from "../contract/errors.js";
import { collectedColumns, collectedHtml, collectedRows, type CollectedQuery } from "../report/collected.js";
import { checkOutputs } from "./outputs.js";
import { writtenText } from "./report.js";
import { addRunFlags, run, type Result, type RunFlags } from "./session.js";

interface CollectFlags extends RunFlags {
  readonly output: string;
  readonly report?: string;
}

export function addCollect(program: Command): void {
  const command = program
    .command("collect")
    .summary("put the results of many mappings into one table and one report")
    .description(
      "Reads the results that map or embed print with --json, one file per query, and writes one table " +
        "with a row per query, level and cell type: cells, unknown cells, novel clusters, verdict and its " +
        "reasons.",
    )
    .argument("<results...>", "files with the output of `scpoli map --json`; their names name the queries")
    .requiredOption("-o, --output <table>", "the table to write, tab-separated")
    .option("--report <file>", "also write an HTML report over all queries")
    .action((paths: string[], flags: CollectFlags) => run(flags, () => collect(paths, flags)));
  addRunFlags(command).addHelpText(
    "after",
    "\nExample:\n  scpoli collect mapped/*.json -o queries.tsv --report queries.html",
  );
}

async function collect(paths: readonly string[], flags: CollectFlags): Promise<Result> {
  const { output, report, force } = flags;
  await checkOutputs({ inputs: paths, table: [output], report: [report], force });
  const queries: CollectedQuery[] = [];
  for (const path of paths) queries.push({ name: nameOf(path), summary: await readSummary(path) });
  const rows = collectedRows(queries);
  await writeFile(output, csvOf(rows, { fields: collectedColumns, delimiter: "\t" }));
  if (report !== undefined) await writeFile(report, await collectedHtml(queries));
  const written = [output, ...(report === undefined ? [] : [report])];
  return { json: { queries: queries.length, rows: rows.length, written }, text: writtenText(written) };
}

function nameOf(path: string): string {
  return path.replace(/^.*[\\/]/, "").replace(/\.json$/, "");
}

/** @throws ScPoliError "format" if the file is not the output of a mapping */
async function readSummary(path: string): Promise<MappingSummary> {
  const text = await readText(path);
  let value: Partial<MappingSummary> | null;
  try {
    value = JSON.parse(text) as Partial<MappingSummary> | null;
  } catch {
    value = null;
  }
  if (
    !value ||
    typeof value.cells !== "number" ||
    !Array.isArray(value.levels) ||
    typeof value.verdict?.light !== "string" ||
    value.levels.some((level) => typeof level?.unknown_by_type !== "object")
  )
    throw new ScPoliError(
      "format",
      `${path} is not the output of \`scpoli map --json\` of this version. Map the query again and save ` +
        "what it prints.",
      { path },
    );
  return value as MappingSummary;
}
