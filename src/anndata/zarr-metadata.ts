// The metadata of a Zarr store, version 2 or 3: its groups and arrays, read once and checked.
import { ScPoliError } from "../contract/errors.js";
import type { ZarrFiles } from "./zarr-files.js";

export interface ZarrNode {
  readonly version: 2 | 3;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** null for a group */
  readonly array: ZarrArrayInfo | null;
  /** names in a group, sorted */
  readonly children: readonly string[];
}

export interface ZarrArrayInfo {
  readonly shape: readonly number[];
  /** shape of the unit of compression: inner chunks if there are shards */
  readonly chunks: readonly number[];
  /** in NumPy's notation, or "string", "bool" or "unknown" */
  readonly dtype: string;
}

type Json = Readonly<Record<string, unknown>>;
/** Maximum depth of groups; deeper nesting is a loop of links. */
const deepest = 32;

/**
 * All nodes of a store by path; "" is the root.
 * @throws ScPoliError "file" if there is no store, "format" if metadata are invalid
 */
export async function readNodes(files: ZarrFiles, path: string): Promise<Map<string, ZarrNode>> {
  const nodes = new Map<string, ZarrNode>();
  const visit = async (at: string, depth: number): Promise<boolean> => {
    const node = await readNode(files, path, at);
    if (node === null) return false;
    if (node.array === null && depth < deepest) {
      const children: string[] = [];
      for (const name of await files.list(at)) {
        if (/^\.z|^zarr\.json$/.test(name)) continue;
        if (await visit(at === "" ? name : `${at}/${name}`, depth + 1)) children.push(name);
      }
      nodes.set(at, { ...node, children });
    } else nodes.set(at, node);
    return true;
  };
  if (!(await visit("", 0)))
    throw new ScPoliError("file", `${path} is not a Zarr store: it has no zarr.json and no .zgroup.`, {
      path,
    });
  return nodes;
}

async function readNode(files: ZarrFiles, path: string, at: string): Promise<ZarrNode | null> {
  const key = (name: string): string => (at === "" ? name : `${at}/${name}`);
  const read = async (name: string): Promise<Json | null> => {
    const bytes = await files.get(key(name));
    if (!bytes) return null;
    try {
      // Python's json module writes NaN and Infinity, which are not valid JSON
      const text = new TextDecoder("utf-8", { fatal: true })
        .decode(bytes)
        .replace(/(?<=[[:,]\s*)(?:NaN|-?Infinity)(?=\s*[,\]}])/g, "null");
      const value: unknown = JSON.parse(text);
      if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
    } catch (error) {
      throw new ScPoliError(
        "format",
        `${path}: ${key(name)} is damaged: it is not valid JSON.`,
        { path, key: key(name) },
        { cause: error },
      );
    }
    throw new ScPoliError("format", `${path}: ${key(name)} is damaged: a JSON object was expected.`, {
      path,
      key: key(name),
    });
  };
  const v3 = await read("zarr.json");
  if (v3) {
    if (v3["zarr_format"] !== 3)
      throw new ScPoliError(
        "format",
        `${path}: ${key("zarr.json")} ` +
          ("zarr_format" in v3
            ? `has zarr_format ${JSON.stringify(v3["zarr_format"])}`
            : "has no zarr_format") +
          "; 3 was expected.",
        { path, key: at },
      );
    return {
      version: 3,
      attributes: asObject(v3["attributes"]),
      array: v3["node_type"] === "array" ? infoV3(v3, `${path}: ${at}`) : null,
      children: [],
    };
  }
  const array = await read(".zarray");
  const attributes = (await read(".zattrs")) ?? {};
  if (array) return { version: 2, attributes, array: infoV2(array, `${path}: ${at}`), children: [] };
  return (await read(".zgroup")) ? { version: 2, attributes, array: null, children: [] } : null;
}

function infoV3(meta: Json, place: string): ZarrArrayInfo {
  const grid = asObject(asObject(meta["chunk_grid"])["configuration"])["chunk_shape"];
  const codecs = Array.isArray(meta["codecs"]) ? (meta["codecs"] as unknown[]).map(asObject) : [];
  const sharding = codecs.find((codec) => codec["name"] === "sharding_indexed");
  const configuration = asObject(sharding?.["configuration"]);
  const type = meta["data_type"];
  const info = checked(
    meta["shape"],
    sharding ? configuration["chunk_shape"] : grid,
    typeof type === "string" && dtypes.has(type) ? type : "unknown",
    place,
  );
  const isKnown =
    grid !== undefined &&
    (!sharding || (codecs.length === 1 && (configuration["index_location"] ?? "end") === "end"));
  if (!isKnown || (sharding && !isDivided(checked(meta["shape"], grid, "", place).chunks, info.chunks))) {
    throw new ScPoliError(
      "format",
      `${place} cannot be read: its chunk layout is unknown (${shown(meta["chunk_grid"])}).`,
      { place },
    );
  }
  return info;
}

function isDivided(shards: readonly number[], chunks: readonly number[]): boolean {
  return shards.length === chunks.length && shards.every((length, i) => length % (chunks[i] ?? 0) === 0);
}

function infoV2(meta: Json, place: string): ZarrArrayInfo {
  const type = String(meta["dtype"]);
  const filters = Array.isArray(meta["filters"]) ? (meta["filters"] as unknown[]).map(asObject) : [];
  const dtype =
    type === "|O"
      ? filters.some(({ id }) => id === "vlen-utf8")
        ? "string"
        : "unknown"
      : /^[<>|][US]\d+$/.test(type)
        ? "string"
        : (numpyTypes[type.slice(1)] ?? "unknown");
  return checked(meta["shape"], meta["chunks"], dtype, place);
}

const dtypes: ReadonlySet<string> = new Set([
  "bool",
  "int8",
  "int16",
  "int32",
  "int64",
  "uint8",
  "uint16",
  "uint32",
  "uint64",
  "float32",
  "float64",
  "string",
]);
const numpyTypes: Readonly<Record<string, string>> = {
  b1: "bool",
  i1: "int8",
  i2: "int16",
  i4: "int32",
  i8: "int64",
  u1: "uint8",
  u2: "uint16",
  u4: "uint32",
  u8: "uint64",
  f4: "float32",
  f8: "float64",
};

function checked(shape: unknown, chunks: unknown, dtype: string, place: string): ZarrArrayInfo {
  const isShape = (value: unknown, least: number): value is number[] =>
    Array.isArray(value) &&
    value.every((length) => Number.isSafeInteger(length) && length >= least) &&
    value.reduce((product: number, length: number) => product * length, 1) <= Number.MAX_SAFE_INTEGER;
  if (!isShape(shape, 0))
    throw new ScPoliError("format", `${place} is damaged: its shape is ${shown(shape)}.`, { place });
  // zarr-python writes chunks of length 0 for empty arrays
  const chunkShape =
    Array.isArray(chunks) && shape.includes(0)
      ? chunks.map((length: unknown) => (length === 0 ? 1 : length))
      : chunks;
  if (!isShape(chunkShape, 1) || chunkShape.length !== shape.length)
    throw new ScPoliError(
      "format",
      `${place} is damaged: its chunks are ${shown(chunks)}, its shape is ${JSON.stringify(shape)}.`,
      { place },
    );
  return { shape, chunks: chunkShape, dtype };
}

/** A JSON value for an error message. */
function shown(value: unknown): string {
  return value === undefined ? "not given" : JSON.stringify(value);
}

function asObject(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
}
