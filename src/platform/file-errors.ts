// Messages for failed file operations, shared by Node and browsers.
import { ScPoliError, type ErrorKind } from "../contract/errors.js";

export interface FileStatus {
  readonly kind: "file" | "folder" | OtherKind;
  /** 0 if it is not a file */
  readonly bytes: number;
}

/** Other kinds of paths, as error messages name them. */
type OtherKind = "a pipe" | "a socket" | "a device";

/**
 * @param kind - "output" for failed writes
 * @param folder - folder of the path
 * @param what - continues the path: "cannot be read"
 */
export function describeFileError(
  kind: ErrorKind,
  path: string,
  folder: string,
  what: string,
  error: unknown,
): ScPoliError {
  if (error instanceof ScPoliError) return error;
  const code = errorCode(error);
  const reason =
    (code !== undefined && reasons[code]?.(folder, kind)) ||
    (error instanceof Error ? error.message : String(error));
  return new ScPoliError(kind, `${path} ${what}: ${reason}`, { path, code }, { cause: error });
}

type Reason = (folder: string, kind: ErrorKind) => string;
const noSpace: Reason = (folder) => `no space left on the disk of ${folder}. Free some, or write elsewhere.`;
const notAllowed: Reason = (_, kind) =>
  kind === "output" ? "no permission to write there." : "no permission to read it.";
const changed: Reason = () => "it has been changed, moved or removed since it was chosen. Choose it again.";
const reasons: Readonly<Record<string, Reason>> = {
  ENOENT: (folder, kind) =>
    kind === "output" ? `there is no folder ${folder}. Create it first.` : "there is no such file.",
  ENOTDIR: (folder) => `${folder} is not a folder.`,
  ELOOP: () => "its symbolic links form a cycle.",
  ENAMETOOLONG: () => "the name is too long.",
  EISDIR: () => "it is a folder.",
  EACCES: notAllowed,
  EPERM: notAllowed,
  EROFS: () => "the file system is read-only.",
  ENOSPC: noSpace,
  EDQUOT: noSpace,
  EFBIG: () => "the file would become larger than this process may write.",
  // of browsers
  NotReadableError: changed,
  NotFoundError: changed,
};

/** The system's error code, or the browser's error name. */
export function errorCode(error: unknown): string | undefined {
  if (typeof DOMException !== "undefined" && error instanceof DOMException) return error.name;
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** The error for an output path that is not a file. */
export function noFile(path: string, kind: Exclude<FileStatus["kind"], "file">): ScPoliError {
  const description = kind === "folder" ? "a folder" : kind;
  return new ScPoliError(
    "output",
    `${path} cannot be written: it is ${description}. Give the name of a file.`,
    {
      path,
    },
  );
}
