// The index of a model registry: one static JSON file. It is untrusted input: names are restricted to safe
// characters, URLs to http(s) or files in the folder of the index, and every model has a checksum.
import { ScPoliError } from "../../contract/errors.js";

/** Index format that this program writes, and the newest that it reads. */
const indexFormat = 1;

/** A model in the index. */
export interface IndexEntry {
  readonly name: string;
  readonly version: string;
  /** URLs of the zip file, absolute or relative to the index; tried in order */
  readonly urls: readonly string[];
  readonly bytes: number;
  /** lower-case hexadecimal */
  readonly sha256: string;
  /** `format_version` of its model.json */
  readonly format_version: number;
  readonly description: string;
  /** SPDX identifier; "" if not given */
  readonly licence: string;
  readonly organism: string;
  readonly tissue: string;
  readonly cells: number | null;
  readonly genes: number;
  /** kind of gene names: "ensembl", "symbols" or "other" */
  readonly gene_ids: string;
  readonly condition_keys: readonly string[];
  readonly cell_type_keys: readonly string[];
  readonly cell_types: number;
  readonly doi: string;
  /** Markdown */
  readonly card: string;
}

export interface ModelIndex {
  readonly models: readonly IndexEntry[];
}

const namePattern = /^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$/;
const longestName = 80;
/** Control characters, which a terminal may execute, but for those of lines. */
// oxlint-disable-next-line no-control-regex
const controlCharacters = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/;

/**
 * Whether a text is a valid name of a model or version: letters, digits, _ and -, with single dots between.
 */
export function isName(text: string): boolean {
  return text.length <= longestName && namePattern.test(text);
}

/** Parses `NAME@VERSION` or `NAME` (version null: the newest). null if the text is neither. */
export function parseModelName(
  text: string,
): { readonly name: string; readonly version: string | null } | null {
  const [name = "", version = null, ...more] = text.split("@");
  if (!isName(name) || more.length > 0 || (version !== null && !isName(version))) return null;
  return { name, version: version === "latest" ? null : version };
}

/**
 * Parses an index.
 * @param where - its path or URL, for error messages
 * @throws ScPoliError "file" if it is damaged, in a newer format, or has an invalid entry
 */
export function readIndex(text: string, where: string): ModelIndex {
  const fail = (what: string): never => {
    throw new ScPoliError("file", `${where} is not an index of models: ${what}.`, { path: where });
  };
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    fail(text.trimStart().startsWith("<") ? "it is a web page" : "it is not JSON");
  }
  const { format, models } = (parsed ?? {}) as { format?: unknown; models?: unknown };
  if (!Number.isSafeInteger(format) || !Array.isArray(models)) return fail("it lacks format or models");
  if ((format as number) > indexFormat)
    return fail(
      `its format is ${String(format)}, but this version reads up to ${indexFormat}; update scpoli`,
    );
  const modelNames = new Set<string>();
  const entries = models.map((value: unknown, at) => {
    const entry = readEntry(value, (what) => fail(`models[${at}]${what}`));
    const name = `${entry.name}@${entry.version}`;
    if (modelNames.has(name)) fail(`it has ${name} twice`);
    modelNames.add(name);
    return entry;
  });
  return { models: entries };
}

function readEntry(value: unknown, fail: (what: string) => never): IndexEntry {
  const fields = (
    typeof value === "object" && value !== null ? value : fail(" is not an object")
  ) as Readonly<Record<string, unknown>>;
  const text = (name: string, fallback?: string): string => {
    const field = fields[name] ?? fallback;
    if (typeof field !== "string") return fail(`.${name} is not a string`);
    return controlCharacters.test(field) ? fail(`.${name} has control characters`) : field;
  };
  const wholeNumber = (name: string): number => {
    const field = fields[name];
    return Number.isSafeInteger(field) && (field as number) >= 0
      ? (field as number)
      : fail(`.${name} is not a number`);
  };
  const stringList = (name: string): string[] => {
    const field = fields[name];
    if (!Array.isArray(field) || !field.every((entry) => typeof entry === "string"))
      return fail(`.${name} is not a list of strings`);
    return field.some((entry) => controlCharacters.test(entry))
      ? fail(`.${name} has control characters`)
      : field;
  };
  const validName = (name: string): string => {
    const field = text(name);
    return isName(field) ? field : fail(`.${name} '${field.slice(0, 40)}' is not a valid name`);
  };
  const sha256 = text("sha256").toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(sha256)) fail(".sha256 is not a SHA-256 checksum");
  const urls = stringList("urls");
  if (urls.length === 0) fail(".urls is empty");
  return {
    name: validName("name"),
    version: validName("version"),
    urls,
    bytes: wholeNumber("bytes"),
    sha256,
    format_version: wholeNumber("format_version"),
    description: text("description", ""),
    licence: text("licence", ""),
    organism: text("organism", ""),
    tissue: text("tissue", ""),
    cells: fields["cells"] === null || fields["cells"] === undefined ? null : wholeNumber("cells"),
    genes: wholeNumber("genes"),
    gene_ids: text("gene_ids", "other"),
    condition_keys: stringList("condition_keys"),
    cell_type_keys: stringList("cell_type_keys"),
    cell_types: wholeNumber("cell_types"),
    doi: text("doi", ""),
    card: text("card", ""),
  };
}

/** Entry of the newest version. Version parts are compared as numbers if both are numbers, else as text. */
export function newest(entries: readonly IndexEntry[]): IndexEntry | undefined {
  return [...entries].sort((a, b) => compareVersions(b.version, a.version))[0];
}

function compareVersions(a: string, b: string): number {
  const [left, right] = [a.split("."), b.split(".")];
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const [x = "0", y = "0"] = [left[at], right[at]];
    const isNumbers = /^\d+$/.test(x) && /^\d+$/.test(y);
    const order = isNumbers ? Number(x) - Number(y) : x < y ? -1 : x > y ? 1 : 0;
    if (order !== 0) return order;
  }
  return 0;
}

/** The index as JSON text, sorted by name and version. */
export function indexText(models: readonly IndexEntry[]): string {
  const sorted = [...models].sort((a, b) =>
    a.name === b.name ? compareVersions(a.version, b.version) : a.name < b.name ? -1 : 1,
  );
  return `${JSON.stringify({ format: indexFormat, models: sorted }, null, 2)}\n`;
}
