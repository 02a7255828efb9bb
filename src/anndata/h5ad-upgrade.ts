// Upgrades the copy of an old .h5ad file so that current anndata versions can read it after columns are
// added:
// tables of anndata 0.6 and older become groups of columns, and elements without an encoding attribute get
// one.
// Everything else is unchanged.
import type { AnnData } from "./anndata.js";
import { ScPoliError } from "../contract/errors.js";
import type { H5adWriter } from "./h5ad-elements.js";
import { sparseEncoding, type Shape } from "./stored-matrix.js";
import { openFrame } from "./stored-frame.js";
import { TableFrame } from "./stored-table.js";

/** Parts of an old file that are rewritten. */
export interface OldParts {
  readonly frames: Readonly<Record<string, TableFrame>>;
  readonly hasTableObsm: boolean;
  /** entries to drop, by group */
  readonly left: ReadonlyMap<string, readonly string[] | "all">;
}

export async function oldParts(writer: H5adWriter, source: AnnData): Promise<OldParts> {
  const frames: Record<string, TableFrame> = {};
  const left = new Map<string, readonly string[] | "all">();
  const labels: string[] = [];
  for (const [name, frame] of Object.entries({ obs: source.obs, var: source.var })) {
    if (!(frame instanceof TableFrame)) continue;
    frames[name] = frame;
    left.set(name, "all");
    labels.push(...(await frame.usedLabels().catch(() => [])));
  }
  if (labels.length > 0) left.set("uns", labels); // the labels move into their columns
  const hasTableObsm = writer.file.kind(writer.at("/obsm")) === "dataset";
  if (hasTableObsm) left.set("obsm", "all");
  return { frames, hasTableObsm, left };
}

/**
 * Rewrites the parts listed by `oldParts`.
 * @param added - names that will be added; existing entries of these names are dropped
 * @returns columns of obs that are kept
 */
export async function writeOldParts(
  writer: H5adWriter,
  source: AnnData,
  { frames, hasTableObsm }: OldParts,
  added: { readonly obs: readonly string[]; readonly obsm: readonly string[] },
  onWarning?: (message: string) => void,
): Promise<readonly string[]> {
  let kept = source.obs.columnNames;
  for (const [name, frame] of Object.entries(frames)) {
    const wanted =
      name === "obs" ? frame.columnNames.filter((column) => !added.obs.includes(column)) : frame.columnNames;
    writer.frame(`/${name}`, await frame.index(), wanted, frame.indexName);
    const written: string[] = [];
    for (const column of wanted) {
      await tolerate(async () => {
        const values = await frame.asWritten(column);
        if ("kind" in values) writer.column(`/${name}/${column}`, values);
        else writer.array(`/${name}/${column}`, values);
        written.push(column);
      }, onWarning);
    }
    if (written.length < wanted.length) writer.attribute(`/${name}`, "column-order", written);
    if (name === "obs") kept = written;
  }
  if (hasTableObsm) {
    writer.group("/obsm", "dict", "0.1.0");
    for (const name of source.obsmKeys.filter((key) => !added.obsm.includes(key))) {
      await tolerate(async () => writer.matrix(`/obsm/${name}`, await source.obsm(name)), onWarning);
    }
  }
  return kept;
}

/** Runs `write`; a column that cannot be read is skipped with a warning. */
export async function tolerate(
  write: () => Promise<void>,
  onWarning?: (message: string) => void,
): Promise<void> {
  try {
    await write();
  } catch (error) {
    if (!(error instanceof ScPoliError)) throw error;
    onWarning?.(`${error.message} It is left out of the copy.`);
  }
}

/** Encodings of groups whose entries are elements themselves. */
const known = new Set([
  "anndata",
  "raw",
  "dict",
  "dataframe",
  "csr_matrix",
  "csc_matrix",
  "categorical",
  "nullable-integer",
  "nullable-boolean",
  "nullable-string-array",
]);

const tablePaths = new Set(["/obs", "/var", "/raw/var"]);

/**
 * Adds the missing encoding attributes. Fixed-length strings and tables are skipped: without the attribute,
 * anndata reads them with the rules of their version.
 */
export function stampEncodings(writer: H5adWriter, source: AnnData): void {
  new EncodingStamps(writer, source).visit("");
}

class EncodingStamps {
  readonly #seen = new Set<number>();

  constructor(
    private readonly writer: H5adWriter,
    private readonly source: AnnData,
  ) {}

  /** Stamps what is at a path and, in a known encoding, what is below it. */
  visit(path: string): void {
    const { writer } = this;
    const { file } = writer;
    const at = writer.at(path);
    const kind = path === "" ? "group" : file.kind(at);
    if (kind === "dataset") return this.#stampDataset(path);
    if (kind !== "group" || this.#seen.has(writer.address(path))) return;
    this.#seen.add(writer.address(path));
    const encoding = file.text(at, "encoding-type") ?? this.#stampGroup(path);
    if (encoding === undefined || !known.has(encoding)) return;
    for (const name of file.keys(at))
      if (!(path === "" && name.startsWith("raw."))) this.visit(`${path}/${name}`);
  }

  #encode(path: string, type: string, version: string): string {
    this.writer.encode(path, type, version);
    return type;
  }

  #stampGroup(path: string): string | undefined {
    const { writer } = this;
    const { file } = writer;
    const at = writer.at(path);
    const keys = file.keys(at);
    if (path === "") return this.#encode(path, "anndata", "0.1.0");
    if (path === "/raw") return this.#encode(path, "raw", "0.1.0");
    if (tablePaths.has(path) || keys.includes("_index")) return this.#stampFrame(path, keys);
    const shape = this.#shapeAt(path);
    const sparse = sparseEncoding(file, at, shape);
    if (sparse !== undefined) return this.#stampSparse(path, sparse, shape);
    if (keys.includes("codes") && keys.includes("categories")) {
      if (!file.attributeNames(at).includes("ordered")) writer.attribute(path, "ordered", Int8Array.of(0));
      return this.#encode(path, "categorical", "0.2.0");
    }
    if (keys.includes("values") && keys.includes("mask"))
      return this.#encode(path, nullableType(file.dataset(`${at}/values`).dtype), "0.1.0");
    return /^\/(obs|var)\//.test(path) ? undefined : this.#encode(path, "dict", "0.1.0");
  }

  #stampFrame(path: string, keys: readonly string[]): string {
    const { writer } = this;
    const { file } = writer;
    const at = writer.at(path);
    const frame = openFrame(file, at);
    const names = file.attributeNames(at);
    if (!names.includes("_index")) writer.attribute(path, "_index", frame.indexPath.slice(at.length + 1));
    if (!names.includes("column-order")) writer.attribute(path, "column-order", frame.columnNames);
    const hasReferences = keys.some((key) => file.attributeNames(`${at}/${key}`).includes("categories"));
    return this.#encode(path, "dataframe", hasReferences ? "0.1.0" : "0.2.0");
  }

  #stampSparse(path: string, sparse: string, shape: Shape): string {
    const { writer } = this;
    const { file } = writer;
    const at = writer.at(path);
    const stored = file.attribute(at, "shape") ?? file.attribute(at, "h5sparse_shape");
    if (!file.attributeNames(at).includes("shape"))
      writer.attribute(
        path,
        "shape",
        BigInt64Array.from((Array.isArray(stored) ? stored : shape).map((n) => BigInt(Number(n)))),
      );
    return this.#encode(path, `${sparse.slice(0, 3)}_matrix`, "0.1.0");
  }

  #stampDataset(path: string): void {
    const { writer } = this;
    const { file } = writer;
    const at = writer.at(path);
    if (file.text(at, "encoding-type") !== undefined) return;
    const { shape, dtype, isVariableText } = file.dataset(at);
    if (shape === null || dtype === "table" || dtype === "unknown" || (dtype === "string" && !isVariableText))
      return;
    if (dtype === "string") writer.encode(path, shape.length === 0 ? "string" : "string-array", "0.2.0");
    else writer.encode(path, shape.length === 0 ? "numeric-scalar" : "array", "0.2.0");
  }

  #shapeAt(path: string): Shape {
    const { raw, nObs, nVars } = this.source;
    return [nObs, path === "/raw/X" ? (raw?.var.length ?? 0) : nVars];
  }
}

function nullableType(dtype: string): string {
  if (dtype === "string") return "nullable-string-array";
  return dtype === "bool" ? "nullable-boolean" : "nullable-integer";
}
