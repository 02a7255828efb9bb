// The file of a saved session: a zip file with session.json, the typed arrays and the files that it names.
// Independent of the page's state, as the build of the page writes the example with it.
import { strFromU8, strToU8, unzip, zip, type AsyncZippable, type Unzipped } from "fflate";
import type { KeptAnswers } from "./kept-answers.js";
import type { AddedType, MappingResult, MapRequest, ModelInfo } from "./protocol.js";
import type { Annotation, DataFile, View } from "./state.js";
import { JobError } from "./worker/errors.js";

/** 1: without request and annotation; 2: without answers; 3: present */
const format = 3;

export interface SavedSession {
  /** `files` where the session holds the counts */
  readonly query: (Omit<DataFile, "files"> & Partial<Pick<DataFile, "files">>) | null;
  readonly model: ModelInfo | null;
  readonly result: MappingResult | null;
  /** missing in sessions of format 1 */
  readonly request?: MapRequest;
  /** missing in sessions saved by earlier versions */
  readonly addedTypes?: readonly AddedType[];
  readonly annotation?: Annotation | null;
  readonly view: Partial<View> & Pick<View, "colourBy">;
  /** missing in sessions of formats 1 and 2 */
  readonly answers?: Partial<KeptAnswers>;
}

type ArrayKind = "Float32Array" | "Float64Array" | "Int32Array" | "Uint32Array" | "Uint8Array";
const kinds = { Float32Array, Float64Array, Int32Array, Uint32Array, Uint8Array } as const;

/** The session as the bytes of a zip file; the same session gives the same bytes. */
export async function packSession(session: SavedSession): Promise<Uint8Array<ArrayBuffer>> {
  const parts: AsyncZippable = {};
  let arrays = 0;
  const files: [name: string, file: File][] = [];
  const replacer = (_: string, value: unknown): unknown => {
    const kind = Object.keys(kinds).find((name) => value instanceof kinds[name as ArrayKind]);
    if (kind) {
      const { buffer, byteOffset, byteLength } = value as Float32Array;
      const name = `arrays/${arrays++}`;
      parts[name] = new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
      return { $array: name, kind };
    }
    if (value instanceof File) {
      const known = files.find(([, file]) => file === value);
      if (known) return { $file: known[0] };
      const name = `files/${files.length}-${value.name}`;
      files.push([name, value]);
      return { $file: name };
    }
    // JSON has neither NaN nor infinity
    if (typeof value === "number" && !Number.isFinite(value)) return { $number: String(value) };
    return value;
  };
  const text = JSON.stringify({ format, ...session }, replacer);
  for (const [name, file] of files) parts[name] = [new Uint8Array(await file.arrayBuffer()), { level: 0 }];
  parts["session.json"] = strToU8(text);
  return new Promise((resolve, reject) =>
    zip(parts, { level: 3, consume: false, mtime: new Date(1980, 0, 1) }, (error, data) =>
      error ? reject(error) : resolve(data),
    ),
  );
}

/** @throws JobError where the file is no session of this page */
export async function unpackSession(file: File): Promise<SavedSession> {
  const parts = await unzipped(file);
  const text = parts["session.json"];
  if (!text)
    throw new JobError(
      "file",
      `${file.name} is no saved session: it has no session.json. Sessions are saved on the page Save and ` +
        "end with .scpoli.",
    );
  const reviver = (_: string, value: unknown): unknown => {
    if (typeof value !== "object" || value === null) return value;
    if ("$array" in value && "kind" in value)
      return arrayOf(parts, String(value.$array), value.kind as ArrayKind, file.name);
    if ("$file" in value)
      return new File(
        [parts[String(value.$file)] ?? new Uint8Array(0)],
        String(value.$file).replace(/^files\/\d+-/, ""),
      );
    if ("$number" in value) return Number(value.$number);
    return value;
  };
  const saved = JSON.parse(strFromU8(text), reviver) as SavedSession & { readonly format: number };
  if (saved.format > format)
    throw new JobError(
      "file",
      `${file.name} was saved by a newer version of this page (format ${saved.format}; this one reads ` +
        `${format}).`,
    );
  return saved;
}

async function unzipped(file: File): Promise<Unzipped> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  return new Promise((resolve, reject) =>
    unzip(bytes, (error, parts) =>
      error
        ? reject(
            new JobError(
              "file",
              `${file.name} is no saved session: it is damaged, or something else (${error.message}).`,
            ),
          )
        : resolve(parts),
    ),
  );
}

function arrayOf(parts: Unzipped, name: string, kind: ArrayKind, file: string): unknown {
  const bytes = parts[name];
  const type = kinds[kind];
  if (!bytes || !type || bytes.length % type.BYTES_PER_ELEMENT !== 0)
    throw new JobError("file", `${file} is damaged: its part ${name} is missing or cut off.`);
  return new type(bytes.slice().buffer);
}
