// The index of a registry of models: one static JSON file. Nothing in it is trusted: names cannot leave their
// folder, addresses cannot leave the protocols and the folder of the index, and every model has a checksum.
import { ScPoliError } from "../../contract/errors.js";

/** Version of the index that this program writes, and the newest that it reads. */
export const indexFormat = 1;

/** A model in the index. */
export interface IndexEntry {
  readonly name: string;
  readonly version: string;
  /** where its zip file is, relative to the index or whole; the first that answers is taken */
  readonly urls: readonly string[];
  readonly bytes: number;
  /** in lower-case hexadecimal digits */
  readonly sha256: string;
  /** `format_version` of its model.json */
  readonly format_version: number;
  readonly description: string;
  /** SPDX identifier; "" where it is not told */
  readonly licence: string;
  readonly organism: string;
  readonly tissue: string;
  readonly cells: number | null;
  readonly genes: number;
  /** kind of the genes' names: "ensembl", "symbols" or "other" */
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

/** Whether a text can name a model or a version: letters, digits, and . _ - between them. */
export function isName(text: string): boolean {
  return text.length <= longestName && namePattern.test(text);
}

/** `NAME@VERSION`, or `NAME` alone: its newest version. null where the text is neither. */
export function parseModelName(
  text: string,
): { readonly name: string; readonly version: string | null } | null {
  const [name = "", version = null, ...more] = text.split("@");
  if (!isName(name) || more.length > 0 || (version !== null && !isName(version))) return null;
  return { name, version: version === "latest" ? null : version };
}

/**
 * @param where - the index, for error texts
 * @throws ScPoliError "file" where it is damaged, newer than this program, or asks for what must not be
 */
export function readIndex(text: string, where: string): ModelIndex {
  const fail = (what: string): never => {
    throw new ScPoliError("file", `${where} is no index of models: ${what}.`, { path: where });
  };
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    fail(text.trimStart().startsWith("<") ? "it is a web page" : "it is not JSON");
  }
  const { format, models } = (parsed ?? {}) as { format?: unknown; models?: unknown };
  if (!Number.isSafeInteger(format) || !Array.isArray(models)) return fail("it has no format and no models");
  if ((format as number) > indexFormat)
    return fail(`its format is ${String(format)}, this version reads up to ${indexFormat}; update scpoli`);
  const seen = new Set<string>();
  const entries = models.map((value: unknown, at) => {
    const entry = readEntry(value, (what) => fail(`models[${at}]${what}`));
    const name = `${entry.name}@${entry.version}`;
    if (seen.has(name)) fail(`it has ${name} twice`);
    seen.add(name);
    return entry;
  });
  return { models: entries };
}

function readEntry(value: unknown, fail: (what: string) => never): IndexEntry {
  const fields = (typeof value === "object" && value !== null ? value : fail(" is no object")) as Readonly<
    Record<string, unknown>
  >;
  const text = (name: string, otherwise?: string): string => {
    const field = fields[name] ?? otherwise;
    return typeof field === "string" ? field : fail(`.${name} is no text`);
  };
  const whole = (name: string): number => {
    const field = fields[name];
    return Number.isSafeInteger(field) && (field as number) >= 0
      ? (field as number)
      : fail(`.${name} is no number`);
  };
  const texts = (name: string): string[] => {
    const field = fields[name];
    return Array.isArray(field) && field.every((entry) => typeof entry === "string")
      ? field
      : fail(`.${name} is no list of texts`);
  };
  const named = (name: string): string => {
    const field = text(name);
    return isName(field) ? field : fail(`.${name} '${field.slice(0, 40)}' is no name`);
  };
  const sha256 = text("sha256").toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(sha256)) fail(".sha256 is no checksum");
  const urls = texts("urls");
  if (urls.length === 0) fail(".urls is empty");
  return {
    name: named("name"),
    version: named("version"),
    urls,
    bytes: whole("bytes"),
    sha256,
    format_version: whole("format_version"),
    description: text("description", ""),
    licence: text("licence", ""),
    organism: text("organism", ""),
    tissue: text("tissue", ""),
    cells: fields["cells"] === null || fields["cells"] === undefined ? null : whole("cells"),
    genes: whole("genes"),
    gene_ids: text("gene_ids", "other"),
    condition_keys: texts("condition_keys"),
    cell_type_keys: texts("cell_type_keys"),
    cell_types: whole("cell_types"),
    doi: text("doi", ""),
    card: text("card", ""),
  };
}

/** Newest version of a name: the parts of versions are compared as numbers where both are. */
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

/** The index as text, one model per block, models in the order of their names. */
export function indexText(models: readonly IndexEntry[]): string {
  const sorted = [...models].sort((a, b) =>
    a.name === b.name ? compareVersions(a.version, b.version) : a.name < b.name ? -1 : 1,
  );
  return `${JSON.stringify({ format: indexFormat, models: sorted }, null, 2)}\n`;
}
