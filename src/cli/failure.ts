// Turns errors into messages and exit codes: 1 a bug, 2 arguments, 3 bad input, 4 stopped by a check, 5 out
// of memory, 130 interrupted.
import { CommanderError, type Command } from "commander";
import { exitCodes, ScPoliError } from "../contract/errors.js";

export interface Failure {
  readonly exitCode: number;
  readonly kind: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** Message, kind and exit code of anything thrown. */
export function describeFailure(error: unknown): Failure {
  if (error instanceof ScPoliError)
    return {
      exitCode: exitCodes[error.kind],
      kind: error.kind,
      message: error.message,
      details: error.details,
    };
  const thrown = error instanceof Error ? error : new Error(String(error));
  if (isOutOfMemory(thrown))
    return {
      exitCode: exitCodes.memory,
      kind: "memory",
      message:
        `Out of memory: ${thrown.message}. Use fewer genes (--genes 4000), a narrower model (--hidden) or ` +
        "fewer cells (--exclude).",
      details: {},
    };
  const place = /\(?((?:file:\/\/)?[^\s()]+:\d+:\d+)\)?/.exec(
    thrown.stack?.split("\n").find((line) => line.trimStart().startsWith("at ")) ?? "",
  )?.[1];
  return {
    exitCode: 1,
    kind: "bug",
    message:
      `This is a bug in scpoli, not in your data: ${thrown.name}: ${thrown.message}` +
      (place === undefined ? "" : ` (${place.replace(/^.*\/(?=[^/]*\/[^/]*$)/, "")})`) +
      ". Please report it with the command you ran; SCPOLI_DEBUG=1 prints the full stack trace.",
    details: {},
  };
}

function isOutOfMemory(error: Error): boolean {
  return (
    (error instanceof RangeError && /alloc|array length|array buffer/i.test(error.message)) ||
    /could not allocate|out of memory|cannot allocate memory/i.test(error.message)
  );
}

/** Names of options in scArches, scvi-tools and scanpy, and the flags that replace them here. */
export const otherNames: Readonly<Record<string, string>> = {
  "--n-epochs": "--epochs",
  "--max-epochs": "--epochs",
  "--condition-keys": "--condition-key",
  "--batch-key": "--condition-key",
  "--cell-type-keys": "--cell-type-key",
  "--labels-key": "--cell-type-key",
  "--hidden-layer-sizes": "--hidden",
  "--n-hidden": "--hidden",
  "--latent-dim": "--latent",
  "--n-latent": "--latent",
  "--embedding-dim": "--embedding-dims",
  "--batch-size": "--minibatch",
  "--dr-rate": "--dropout",
  "--dropout-rate": "--dropout",
  "--learning-rate": "--lr",
  "--alpha-epoch-anneal": "--anneal-epochs",
  "--unknown-ct-names": "--unlabeled",
  "--unlabeled-category": "--unlabeled",
  "--use-early-stopping": "--early-stopping",
  "--n-top-genes": "--genes",
  "--groupby": "--groups",
  "--n-genes": "--top",
  "--reference": "--against",
  "--model": "--reference",
  "--reference-model": "--reference",
};

/** Turns an error of the argument parser into a ScPoliError, with a hint at the flag probably flag. */
export function usageError(error: CommanderError, program: Command, args: readonly string[]): ScPoliError {
  const command = program.commands.find((candidate) => args.includes(candidate.name()));
  const isBeforeVerb = command !== undefined && args[0] !== command.name();
  const text = error.message.replace(/^error: /, "").replace(/\n\((Did you mean .*\?)\)$/, ". $1");
  const sentence = /[.?!]$/.test(text) ? text : `${text}.`;
  const hint = sentence.includes("Did you mean")
    ? undefined
    : isBeforeVerb
      ? `Flags come after the verb: scpoli ${command.name()} ...`
      : renamedFlagHint(args, command);
  const help = `See scpoli ${command ? `${command.name()} ` : ""}--help.`;
  return new ScPoliError("usage", [sentence, hint, help].filter((part) => part !== undefined).join(" "), {
    argument: error.code.replace("commander.", ""),
  });
}

/** A hint if an argument is an option of another package that `command` has under another name. */
function renamedFlagHint(args: readonly string[], command: Command | undefined): string | undefined {
  for (const arg of args) {
    const flag = otherNames[arg.replace(/=.*/, "")];
    if (
      flag !== undefined &&
      command?.options.some(({ long }) => long === flag) &&
      !command.options.some(({ long }) => long === arg)
    )
      return `Use ${flag} instead of ${arg}.`;
  }
  return undefined;
}
