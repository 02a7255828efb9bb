// The error class of the project. Every message says what was found, where (file, key, row), what was
// expected and what to do.

/** Kind of an error, by what the user has to correct. Determines the exit code of the command line. */
export type ErrorKind =
  | "usage" //       an option or flag that cannot be read
  | "file" //        a file missing, unreadable, truncated, not what its name says
  | "format" //      readable, but not an AnnData file (or a part of it is not as expected)
  | "key" //         a column, layer, condition or cell type that is not there
  | "counts" //      the matrix does not hold raw counts
  | "model" //       a model folder that is damaged, newer than this version, or does not fit
  | "output" //      an output that cannot be written
  | "refused" //     stopped by a check that `force` passes
  | "memory" //      out of memory
  | "interrupted"; // stopped by the user

/** Exit code of the command line for each kind of error. */
export const exitCodes: Readonly<Record<ErrorKind, number>> = {
  usage: 2,
  file: 3,
  format: 3,
  key: 3,
  counts: 3,
  model: 3,
  output: 3,
  refused: 4,
  memory: 5,
  interrupted: 130,
};

/** An error that the user can act on. `details` repeats the facts of the message as fields. */
export class ScPoliError extends Error {
  /** The same for all kinds */
  override readonly name = "ScPoliError";

  constructor(
    /** Kind of the error; `exitCodes` gives its exit code */
    readonly kind: ErrorKind,
    message: string,
    /** What was found and where: path, key, row and the like */
    readonly details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
