// scpoli models: list, fetch, pack and verify models of a registry.
import { Option, type Command } from "commander";
import { fileStatus, pathBeside, readFile, readText, sha256, writeFile } from "#platform";
import type { RunSettings } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import {
  cardOf,
  kindOfGenes,
  modelCard,
  readCard,
  withFields,
  type CardFields,
} from "../storage/model-card.js";
import { checkModelFolder, loadModel, saveModel } from "../storage/model-folder.js";
import { type StoredModel, formatVersion } from "../model/stored-model.js";
import { isModel } from "../storage/model-files.js";
import { writtenText } from "./report.js";
import { indexText, isName, readIndex, type IndexEntry } from "./registry/index-file.js";
import { Registry } from "./registry/registry.js";
import { addRunFlags, run, type Result, type RunFlags } from "./session.js";
import { count, table } from "./text.js";

interface ModelsFlags extends RunFlags {
  readonly offline?: boolean;
}

const registryHelp =
  "\nSCPOLI_MODELS sets the index: a URL, a folder or a file (default: the index in this package).\n" +
  "SCPOLI_CACHE sets the cache folder (default: the system's). HTTPS_PROXY and NO_PROXY are respected.";

export function addModels(program: Command): void {
  const models = program
    .command("models")
    .summary("use published models: list, pull, info, pack, verify")
    .description("Published models from an index. Use one for mapping with --reference NAME@VERSION.")
    .addHelpText("after", registryHelp);
  const verb = (name: string, summary: string): Command =>
    models
      .command(name)
      .summary(summary)
      .description(`${summary[0]!.toUpperCase()}${summary.slice(1)}.`);
  const offline = (): Option => new Option("--offline", "do not use the network, only the cache");
  addRunFlags(
    verb("list", "list the models of the index")
      .addOption(offline())
      .action((flags: ModelsFlags) => run(flags, (settings) => list(flags, settings))),
  );
  addRunFlags(
    verb("pull", "download a model into the cache and verify it")
      .argument("<name>", "NAME or NAME@VERSION")
      .addOption(offline())
      .action((name: string, flags: ModelsFlags) => run(flags, (settings) => pull(name, flags, settings))),
  );
  addRunFlags(
    verb("info", "show a model's card and its entry in the index")
      .argument("<name|model>", "NAME or NAME@VERSION, or a path")
      .addOption(offline())
      .action((name: string, flags: ModelsFlags) => run(flags, (settings) => info(name, flags, settings))),
  );
  addPack(verb("pack", "pack a model and its card into one file, with an entry for an index"));
  addRunFlags(
    verb("verify", "verify the checksums of the models in the cache")
      .addOption(offline())
      .action((flags: ModelsFlags) => run(flags, (settings) => verify(flags, settings))),
  );
}

interface PackFlags extends RunFlags {
  readonly output: string;
  readonly name?: string;
  readonly release?: string;
  readonly index?: string;
  readonly licence?: string;
  readonly organism?: string;
  readonly tissue?: string;
  readonly doi?: string;
  readonly description?: string;
}

function addPack(command: Command): void {
  command
    .argument("<model>", "the model: a folder, or a zip or tar file of one")
    .requiredOption("-o, --output <file>", "the .zip file to write")
    .option("--name <name>", "name in the index (default: the file's name)")
    .option("--release <version>", "version in the index (default: 1)")
    .option("--index <file>", "also add it to this index.json; created if missing")
    .option("--licence <text>", "licence of the model, preferably an SPDX identifier: CC-BY-4.0")
    .option("--organism <text>", "organism of the cells: Homo sapiens")
    .option("--tissue <text>", "tissue of the cells")
    .option("--doi <text>", "DOI of the data or the paper")
    .option("--description <text>", "one-sentence description")
    .action((model: string, flags: PackFlags) => run(flags, () => pack(model, flags)));
  addRunFlags(command).addHelpText(
    "after",
    "\nExample:\n  scpoli models pack atlas-model -o models/atlas-1.zip --name atlas --release 1 --index " +
      "models/index.json --licence CC-BY-4.0 --organism 'Homo sapiens'",
  );
}

async function list(flags: ModelsFlags, settings: RunSettings): Promise<Result> {
  const registry = await Registry.open(settings, flags);
  const isCached = await Promise.all(registry.index.models.map((entry) => registry.isCached(entry)));
  const rows = registry.index.models.map((entry, i) => [
    `${entry.name}@${entry.version}`,
    entry.organism || "-",
    entry.tissue || "-",
    entry.cells === null ? "-" : count(entry.cells),
    count(entry.genes),
    count(entry.cell_types),
    entry.licence || "-",
    `${(entry.bytes / 1e6).toFixed(1)} MB`,
    isCached[i] ? "cached" : "",
  ]);
  const header = ["model", "organism", "tissue", "cells", "genes", "types", "licence", "size", ""];
  return {
    json: {
      index: registry.source,
      models: registry.index.models.map(({ card: _, ...entry }, i) => ({ ...entry, kept: isCached[i] })),
    },
    text: rows.length === 0 ? `${registry.source} has no models.` : table(rows, header),
  };
}

async function pull(name: string, flags: ModelsFlags, settings: RunSettings): Promise<Result> {
  const registry = await Registry.open(settings, flags);
  const entry = registry.entry(name);
  const path = await registry.pull(entry, settings);
  const full = `${entry.name}@${entry.version}`;
  return {
    json: { model: full, path, sha256: entry.sha256, bytes: entry.bytes },
    text:
      `${full} is in the cache: ${path}.\nTo use it: scpoli map QUERY.h5ad --reference ${full} -o ` +
      "MAPPED.h5ad",
  };
}

async function info(name: string, flags: ModelsFlags, settings: RunSettings): Promise<Result> {
  if (await isModel(name)) {
    const stored = await loadModel(name);
    const card = (await cardOf(name)) ?? modelCard(stored.json);
    return { json: { model: name, card, fields: readCard(card) }, text: card.trimEnd() };
  }
  const registry = await Registry.open(settings, flags);
  const entry = registry.entry(name);
  const { card, ...fields } = entry;
  const rows = Object.entries(fields).map(([field, value]) => [
    field,
    Array.isArray(value) ? value.join(", ") : String(value ?? "-"),
  ]);
  return { json: entry, text: [table(rows), "", card].join("\n").trimEnd() };
}

async function pack(path: string, flags: PackFlags): Promise<Result> {
  const { output, force = false, index } = flags;
  const fileName = output.replace(/^.*[\\/]/, "");
  const name = flags.name ?? fileName.replace(/(-\d[\w.]*)?\.zip$/i, "");
  const version = flags.release ?? "1";
  if (!/\.zip$/i.test(output))
    throw new ScPoliError("usage", `--output ${output}: expected the name of a .zip file.`, { output });
  for (const [flag, text] of [
    ["--name", name],
    ["--release", version],
  ] as const)
    if (!isName(text))
      throw new ScPoliError(
        "usage",
        `${flag} ${text}: expected letters and digits, with . _ - in between.`,
        {},
      );
  const stored = await loadModel(path);
  const cardFields: CardFields = {
    licence: flags.licence,
    organism: flags.organism,
    tissue: flags.tissue,
    doi: flags.doi,
    description: flags.description,
  };
  const card = withFields((await cardOf(path)) ?? modelCard(stored.json), cardFields);
  await checkModelFolder(output, force);
  // check the index before anything is written
  const url = index === undefined ? fileName : urlInIndex(index, output);
  const models =
    index !== undefined && (await fileStatus(index)) ? readIndex(await readText(index), index).models : [];
  const others = models.filter((other) => other.name !== name || other.version !== version);
  if (others.length < models.length && !force)
    throw new ScPoliError("refused", `${index} already has ${name}@${version}; --force replaces it.`, {
      index,
    });
  await saveModel(output, stored, { force, card });
  const content = await readFile(output);
  const digest = await sha256([content]);
  const entry = entryOf({ name, version, stored, card, url, bytes: content.length, digest });
  const written = [output];
  if (index !== undefined) {
    await writeFile(index, indexText([...others, entry]));
    written.push(index);
  }
  const missingFields = ["licence", "organism", "tissue"].filter(
    (field) => !readCard(card)[field as keyof CardFields],
  );
  return {
    json: { ...entry, written },
    text: [
      ...(missingFields.length > 0 ? [`Not filled in yet: ${missingFields.join(", ")}.`, ""] : []),
      writtenText(written),
    ].join("\n"),
  };
}

/**
 * URL of a model's file in an index: its path relative to the folder of the index.
 * @throws ScPoliError "usage" if the file is outside of that folder
 */
function urlInIndex(index: string, file: string): string {
  const url = pathBeside(index, file);
  if (url !== null) return url;
  throw new ScPoliError("usage", `${file} must be in the folder of ${index} or a folder below it.`, {
    index,
    file,
  });
}

function entryOf({
  name,
  version,
  stored: { json },
  card,
  url,
  bytes,
  digest,
}: {
  readonly name: string;
  readonly version: string;
  readonly stored: StoredModel;
  readonly card: string;
  readonly url: string;
  readonly bytes: number;
  readonly digest: string;
}): IndexEntry {
  const fields = readCard(card);
  const cells = json.provenance["cells"];
  return {
    name,
    version,
    urls: [url],
    bytes,
    sha256: digest,
    format_version: formatVersion,
    description: fields.description ?? "",
    licence: fields.licence ?? "",
    organism: fields.organism ?? "",
    tissue: fields.tissue ?? "",
    cells: typeof cells === "number" ? cells : null,
    genes: json.genes.length,
    gene_ids: kindOfGenes(json.genes),
    condition_keys: json.condition_keys,
    cell_type_keys: json.cell_type_keys,
    cell_types: json.cell_types.length,
    doi: fields.doi ?? "",
    card,
  };
}

async function verify(flags: ModelsFlags, settings: RunSettings): Promise<Result> {
  const registry = await Registry.open(settings, flags);
  const { checked, damaged } = await registry.damaged();
  if (damaged.length > 0)
    throw new ScPoliError(
      "file",
      `${damaged.length} of ${checked} models in the cache are damaged: ${damaged.join(", ")}. ` +
        "scpoli models pull downloads them again.",
      { damaged },
    );
  return { json: { checked, damaged }, text: `${checked} models in the cache, all intact.` };
}
