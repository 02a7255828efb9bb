// File format of a training in rounds: named tensors and one JSON object, as safetensors, which Python also
// reads. Files are written atomically and record the inputs they were computed from.
import { fileStatus, readFile, sha256, writeFile } from "#platform";
import { ScPoliError } from "../contract/errors.js";
import { readSafetensors, writeSafetensors, type Tensor } from "../storage/safetensors.js";

/** Kinds of files of a training in rounds. */
export type FileKind = "survey" | "state" | "result" | "moments" | "summary";

export interface PackedFile<Json> {
  readonly json: Json;
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** SHA-256 of the file */
  readonly digest: string;
}

/** Version of the file layout. */
const layoutVersion = 1;
const jsonTensor = "json";

/** Float32 values as a tensor. */
export function floats(shape: readonly number[], data: Float32Array): Tensor {
  return { dtype: "F32", shape, data };
}
/** Float64 values as a tensor. */
export function doubles(shape: readonly number[], data: Float64Array): Tensor {
  return { dtype: "F64", shape, data };
}
/** 32-bit integers as a tensor. */
export function wholes(shape: readonly number[], data: Int32Array): Tensor {
  return { dtype: "I32", shape, data };
}

/** Serialises a file. The same content gives the same bytes. */
function packFile(kind: FileKind, json: object, tensors: ReadonlyMap<string, Tensor>): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify({ layout: layoutVersion, kind, ...json }));
  return writeSafetensors(
    new Map([...tensors, [jsonTensor, { dtype: "U8", shape: [text.length], data: text }]]),
  );
}

/** @returns SHA-256 of the file @throws ScPoliError "output" */
export async function writePacked(
  path: string,
  kind: FileKind,
  json: object,
  tensors: ReadonlyMap<string, Tensor>,
): Promise<string> {
  const bytes = packFile(kind, json, tensors);
  await writeFile(path, bytes);
  return sha256([bytes]);
}

/**
 * @throws ScPoliError "file" if there is none, "model" if it is damaged, of another kind or of a newer
 * version
 */
export async function readPacked<Json>(path: string, kind: FileKind): Promise<PackedFile<Json>> {
  if ((await fileStatus(path))?.kind !== "file")
    throw new ScPoliError("file", `${path} does not exist; a ${kind} of a training in rounds was expected.`, {
      path,
      kind,
    });
  const bytes = await readFile(path);
  const tensors = readSafetensors(bytes, path);
  const text = tensors.get(jsonTensor);
  const json = text && parsed(text.data as Uint8Array);
  if (json?.["kind"] !== kind)
    throw new ScPoliError(
      "model",
      `${path} is ${typeof json?.["kind"] === "string" ? `a ${json["kind"]}` : "not a file"} ` +
        "of a training in rounds; " +
        `a ${kind} was expected.`,
      { path, kind },
    );
  if (json["layout"] !== layoutVersion)
    throw new ScPoliError(
      "model",
      `${path} has layout ${String(json["layout"])}; this version of scpoli reads ${layoutVersion}. Use ` +
        "one version for the whole run.",
      { path },
    );
  tensors.delete(jsonTensor);
  return { json: json as Json, tensors, digest: await sha256([bytes]) };
}

function parsed(bytes: Uint8Array): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** A required tensor of a file. @throws ScPoliError "model" */
export function tensorOf<T extends Tensor["data"]>(
  { tensors }: Pick<PackedFile<unknown>, "tensors">,
  name: string,
  where: string,
): T {
  const tensor = tensors.get(name);
  if (!tensor)
    throw new ScPoliError(
      "model",
      `${where} is damaged: it has no '${name}'. Remove it and run its step again.`,
      {
        name,
      },
    );
  return tensor.data as T;
}
