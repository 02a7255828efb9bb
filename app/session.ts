// A saved session: one zip file with the model, the results and what was decided, to go on from later. It
// holds the counts where that is asked for.
import { strFromU8, strToU8, unzip, zip, type AsyncZippable, type Unzipped } from "fflate";
import type { MappingResult, MapRequest, ModelInfo } from "./protocol.js";
import { emptyView, nothing, work, type Annotation, type DataFile, type View, type Work } from "./state.js";
import { JobError } from "./worker/errors.js";

const format = 2;

/** session.json: the work with its typed arrays and files taken out and named. */
interface Saved {
  readonly format: number;
  /** `files` where the session holds the counts */
  readonly query: (Omit<DataFile, "files"> & Partial<Pick<DataFile, "files">>) | null;
  readonly model: ModelInfo | null;
  readonly result: MappingResult | null;
  /** missing in sessions of format 1 */
  readonly request?: MapRequest;
  readonly annotation?: Annotation | null;
  readonly view: View;
}

type ArrayKind = "Float32Array" | "Float64Array" | "Int32Array" | "Uint32Array" | "Uint8Array";
const kinds = { Float32Array, Float64Array, Int32Array, Uint32Array, Uint8Array } as const;

/** @param withCounts - whether the file of the cells is in it */
export async function saveSession(
  withCounts: boolean,
): Promise<{ readonly file: Blob; readonly name: string }> {
  const { query, model, result, request, annotation, view } = work.value;
  const parts: AsyncZippable = {};
  let next = 0;
  const files: [string, File][] = [];
  const replacer = (_: string, value: unknown): unknown => {
    const kind = Object.keys(kinds).find((name) => value instanceof kinds[name as ArrayKind]);
    if (kind) {
      const { buffer, byteOffset, byteLength } = value as Float32Array;
      const name = `arrays/${next++}`;
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
    return value;
  };
  const saved: Saved = {
    format,
    query: query && (withCounts ? query : withoutFiles(query)),
    model,
    result,
    request,
    annotation,
    view,
  };
  const text = JSON.stringify(saved, replacer);
  for (const [name, file] of files) parts[name] = [new Uint8Array(await file.arrayBuffer()), { level: 0 }];
  parts["session.json"] = strToU8(text);
  const bytes = await new Promise<Uint8Array<ArrayBuffer>>((resolve, reject) =>
    zip(parts, { level: 3, consume: false, mtime: new Date(1980, 0, 1) }, (error, data) =>
      error ? reject(error) : resolve(data),
    ),
  );
  return {
    file: new Blob([bytes], { type: "application/zip" }),
    name: `${(query?.info.name ?? model?.name ?? "session").replace(/\.[a-z0-9]+$/i, "")}.scpoli`,
  };
}

function withoutFiles({ files: _files, ...rest }: DataFile): Omit<DataFile, "files"> {
  return rest;
}

/** @throws JobError where the file is no session of this page */
export async function openSession(file: File): Promise<Work> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const parts = await new Promise<Unzipped>((resolve, reject) =>
    unzip(bytes, (error, data) =>
      error
        ? reject(
            new JobError(
              "file",
              `${file.name} is no saved session: it is damaged, or something else (${error.message}).`,
            ),
          )
        : resolve(data),
    ),
  );
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
    return value;
  };
  const saved = JSON.parse(strFromU8(text), reviver) as Saved;
  if (saved.format > format)
    throw new JobError(
      "file",
      `${file.name} was saved by a newer version of this page (format ${saved.format}; this one reads ` +
        `${format}).`,
    );
  return {
    ...nothing,
    query: saved.query && { ...saved.query, files: saved.query.files ?? [] },
    model: saved.model,
    result: saved.result,
    request: saved.request ?? {},
    annotation: saved.annotation ?? null,
    view: reopenedView(saved),
  };
}

/** Without what is read from the file of the cells. */
export function reopenedView({ view, result }: Pick<Work, "result" | "view">): View {
  const isRead = ({ kind }: View["colourBy"]): boolean => kind === "column" || kind === "gene";
  return {
    ...emptyView,
    ...view,
    genes: [],
    filters: (view.filters ?? []).filter(({ by }) => !isRead(by)),
    colourBy: !isRead(view.colourBy)
      ? view.colourBy
      : result?.levels.length
        ? { kind: "predicted", level: 0 }
        : { kind: "condition", key: 0 },
  };
}

function arrayOf(parts: Unzipped, name: string, kind: ArrayKind, file: string): unknown {
  const bytes = parts[name];
  const type = kinds[kind];
  if (!bytes || !type || bytes.length % type.BYTES_PER_ELEMENT !== 0)
    throw new JobError("file", `${file} is damaged: its part ${name} is missing or cut off.`);
  return new type(bytes.slice().buffer);
}
