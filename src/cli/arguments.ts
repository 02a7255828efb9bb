// Parsers of flag values: each converts the text of a flag to a library option, or throws what it expected.
import { InvalidArgumentError, Option } from "commander";
import { fileStatus, readText } from "#platform";
import { ScPoliError } from "../contract/errors.js";
import {
  defaults,
  type EarlyStopping,
  type NameMap,
  type Threshold,
  type TrainOptions,
  type UnlabeledOptions,
} from "../contract/options.js";

/** What AnnData.open reads, in the help of every argument that takes cells. */
export const readableFile =
  "an .h5ad file, an AnnData-Zarr store, a 10x Genomics file or folder, or a modality of MuData " +
  "(FILE.h5mu/NAME)";

/** What modelPath accepts, in the help of every argument that takes a model. */
export const readableModel =
  "the model: a folder, a zip or tar file of one, or NAME@VERSION of scpoli models";

/** `donor,assay`; `\,` is a comma in a name. A repeated flag adds to the list. */
export function names(text: string, previous: readonly string[] = []): string[] {
  const parts = splitAtCommas(text);
  if (parts.some((part) => part === ""))
    throw new InvalidArgumentError("Expected names separated by commas, none empty.");
  return [...previous, ...parts];
}

/** One name, which may contain commas. A repeated flag adds to the list. */
export function oneName(text: string, previous: readonly string[] = []): string[] {
  return [...previous, text];
}

/** `KEY=VALUE,VALUE`; a repeated flag adds to the record. */
export function valuesByKey(
  text: string,
  previous: Readonly<Record<string, readonly string[]>> = {},
): Record<string, readonly string[]> {
  const { key, value } = keyAndValue(text, "KEY=VALUE,...");
  return { ...previous, [key]: [...(previous[key] ?? []), ...names(value)] };
}

/**
 * `donor=patient` (the model's key and the file's column), or only columns, in the order of the model's keys.
 */
export type RenamedKeys = readonly { readonly key: string | null; readonly column: string }[];
export function renamedKeys(text: string, previous: RenamedKeys = []): RenamedKeys {
  return [
    ...previous,
    ...names(text).map((part) => {
      if (!part.includes("=")) return { key: null, column: part };
      const { key, value } = keyAndValue(part, "KEY=COLUMN");
      return { key, column: value };
    }),
  ];
}

/**
 * Maps the model's condition keys or annotation levels to columns of the file.
 * @param flag - name of the flag, for error messages
 * @throws ScPoliError "usage" if the model lacks a key, or there are more columns than keys
 */
export function columnsOfKeys(
  renamed: RenamedKeys | undefined,
  modelKeys: readonly string[],
  flag = "--condition-key",
): Record<string, string> | undefined {
  if (renamed === undefined) return undefined;
  const keys = modelKeys.map((key) => `'${key}'`).join(", ");
  const entries = renamed.map(({ key, column }, position) => {
    const modelKey = key ?? modelKeys[position];
    if (modelKey === undefined || !modelKeys.includes(modelKey))
      throw new ScPoliError(
        "usage",
        `${flag} ${key === null ? column : `${key}=${column}`}: the model's ` +
          `${flag === "--condition-key" ? "condition keys" : "annotation levels"} are ${keys || "none"}. ` +
          "Write KEY=COLUMN with one of these as KEY.",
        { modelKeys },
      );
    return [modelKey, column] as const;
  });
  return Object.fromEntries(entries);
}

/**
 * `--condition-value`: the condition of all cells of a file, by condition key.
 * @param texts - NAME if there is one key, else KEY=NAME
 * @throws ScPoliError "usage" if the key is unclear or repeated
 */
export function conditionValues(
  texts: readonly string[] | undefined,
  keys: readonly string[],
): Record<string, string> | undefined {
  if (texts === undefined) return undefined;
  const entries = texts.map((text) => {
    const at = text.indexOf("=");
    if (at > 0 && keys.includes(text.slice(0, at))) return [text.slice(0, at), text.slice(at + 1)] as const;
    if (keys.length === 1) return [keys[0]!, text] as const;
    throw new ScPoliError(
      "usage",
      `--condition-value ${text}: there are ${keys.length} condition keys (${keys.join(", ")}). ` +
        "Write KEY=NAME with one of these as KEY.",
      { keys },
    );
  });
  const repeated = entries.find(([key], i) => entries.findIndex(([other]) => other === key) < i);
  if (repeated)
    throw new ScPoliError("usage", `--condition-value gives '${repeated[0]}' two values; give one.`, {
      key: repeated[0],
    });
  return Object.fromEntries(entries);
}

/** `--condition-value`: the condition of all cells, for files of one sample. */
export const conditionValueFlag = (): Option =>
  new Option(
    "--condition-value <name>",
    "the condition of all cells, if the file has no column for it (10x files, single samples): NAME, or " +
      "KEY=NAME (repeated) if there are several keys",
  ).argParser(oneName);

/** A whole number in [least, most]. */
export function whole(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^[+-]?\d+$/.test(text.trim()) ? Number(text) : NaN;
    if (!(value >= least && value <= most))
      throw new InvalidArgumentError(`Expected a whole number ${range(least, most)}.`);
    return value;
  };
}

/** A number in [least, most]. */
export function real(least: number, most = Infinity): (text: string) => number {
  return (text) => {
    const value = text.trim() === "" ? NaN : Number(text);
    if (!Number.isFinite(value) || value < least || value > most)
      throw new InvalidArgumentError(`Expected a number ${range(least, most)}.`);
    return value;
  };
}

/** `128,64`: whole numbers of at least `least`. */
export function wholes(least: number): (text: string) => number[] {
  const one = whole(least);
  return (text) => text.split(",").map(one);
}

/** `500M`, `4G`: an amount of memory, returned in bytes. */
export function amountOfMemory(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?) ?([KMGT])i?B?$/i.exec(text.trim()) ?? [];
  const value = Number(number) * 1024 ** (1 + "KMGT".indexOf((unit ?? "").toUpperCase()));
  if (!(value > 0)) throw new InvalidArgumentError("Expected an amount of memory such as 500M or 4G.");
  return value;
}

/** `on`, `off`, or the patience in epochs. */
export function earlyStopping(text: string): Partial<EarlyStopping> | false {
  if (text === "off") return false;
  if (text === "on") return defaults.earlyStopping;
  if (/^\d+$/.test(text) && Number(text) >= 1) return { patience: Number(text) };
  throw new InvalidArgumentError("Expected on, off, or the number of epochs to wait for an improvement.");
}

/** `auto`, `none`, a number in 0..1, or a quantile such as `q0.95`. */
export function threshold(text: string): Threshold {
  if (text === "auto" || text === "none") return text;
  const isQuantile = text.startsWith("q");
  const number = isQuantile ? text.slice(1) : text;
  const value = number.trim() === "" ? NaN : Number(number);
  if (!(value >= 0 && value <= 1))
    throw new InvalidArgumentError("Expected auto, none, a number in 0..1, or a quantile such as q0.95.");
  return isQuantile ? { quantile: value } : value;
}

/** `leiden`, `louvain`, `kmeans:20` or `off`. */
export function unlabeledPrototypes(text: string): UnlabeledOptions["unlabeledPrototypes"] {
  if (text === "leiden" || text === "louvain") return text;
  if (text === "off") return false;
  const clusters = /^kmeans:(\d+)$/.exec(text)?.[1];
  if (clusters === undefined || Number(clusters) < 1)
    throw new InvalidArgumentError("Expected leiden, louvain, kmeans:N with the number of clusters, or off.");
  return { kmeans: Number(clusters) };
}

/** `encoder`, `decoder` or `both`: networks that get the condition embeddings. */
export function injectCondition(text: string): ("encoder" | "decoder")[] {
  const parts = text === "both" ? ["encoder", "decoder"] : [text];
  if (!parts.every((part) => part === "encoder" || part === "decoder"))
    throw new InvalidArgumentError("Expected encoder, decoder or both.");
  return parts;
}

/**
 * `--genes`: a number, else a file of names (one per line), else a column of var.
 * @throws ScPoliError "file" if the text looks like a path but there is no such file, or the file is empty
 */
export async function readGenes(text: string): Promise<TrainOptions["genes"]> {
  if (/^\d+$/.test(text)) return whole(1)(text);
  const status = await fileStatus(text);
  if (status && status.kind !== "folder") {
    const genes = (await readText(text))
      .split(/\r?\n/)
      .map((line) => line.trim())
      .filter((line) => line !== "");
    if (genes.length === 0)
      throw new ScPoliError("file", `${text} has no gene names. --genes expects one name per line.`, {
        path: text,
      });
    return genes;
  }
  if (/[/\\]|\.(txt|csv|tsv)$/.test(text))
    throw new ScPoliError(
      "file",
      `--genes ${text}: there is no such file. Expected a number, a file of names (one per line), or a ` +
        "column of var.",
      { path: text },
    );
  return { varColumn: text };
}

/**
 * `--gene-map`, `--label-map`: a file of two columns, the name in the file and the new one, separated by a
 * tab or a comma. Quotes around names are removed. A header row is allowed and read as a pair.
 * @throws ScPoliError "file" if it is missing or empty, or a line does not have two columns
 */
export async function readNameMap(path: string | undefined): Promise<NameMap | undefined> {
  if (path === undefined) return undefined;
  const expected =
    "Expected two columns, the name in the file and the new one, separated by a tab or a comma.";
  const status = await fileStatus(path);
  if (status === null || status.kind === "folder")
    throw new ScPoliError("file", `There is no file ${path}. ${expected}`, { path });
  const lines = (await readText(path)).replace(/^\uFEFF/, "").split(/\r?\n/);
  const pairs = lines.flatMap((line, at): [string, string][] => {
    if (line.trim() === "") return [];
    const fields = line.includes("\t")
      ? line.split("\t")
      : [...line.matchAll(/(?:^|,)("(?:[^"]|"")*"|[^,]*)/g)].map(([, field]) => field!);
    const [name, newName, ...more] = fields.map((field) =>
      field
        .trim()
        .replace(/^"(.*)"$/, "$1")
        .replaceAll('""', '"'),
    );
    if (!name || newName === undefined || more.length > 0)
      throw new ScPoliError(
        "file",
        `${path}, line ${at + 1}: '${line.slice(0, 80)}' has ` +
          `${name ? `${fields.length} column${fields.length === 1 ? "" : "s"}` : "no first name"}. ` +
          expected,
        { path, line: at + 1 },
      );
    return [[name, newName]];
  });
  if (pairs.length === 0) throw new ScPoliError("file", `${path} is empty. ${expected}`, { path });
  return pairs;
}

/** @param fallback - default of the flag, for its help */
export function atacCountsOption(fallback: string): Option {
  return new Option(
    "--atac-counts <kind>",
    "kind of scATAC counts: reads are converted to fragments, (x + 1) / 2 rounded down; auto: reads if 2 " +
      `is more frequent than 1 (default: ${fallback})`,
  ).choices(["reads", "fragments", "auto"]);
}

function splitAtCommas(text: string): string[] {
  return text.split(/(?<!\\),/).map((part) => part.replaceAll("\\,", ",").trim());
}

function keyAndValue(text: string, form: string): { key: string; value: string } {
  const at = text.indexOf("=");
  if (at < 1 || at === text.length - 1) throw new InvalidArgumentError(`Expected ${form}.`);
  return { key: text.slice(0, at), value: text.slice(at + 1) };
}

function range(least: number, most: number): string {
  if (least === -Infinity || least === Number.MIN_SAFE_INTEGER) return `of at most ${most}`;
  return most === Infinity || most === Number.MAX_SAFE_INTEGER
    ? `of at least ${least}`
    : `from ${least} to ${most}`;
}
