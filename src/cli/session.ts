// Runs one verb: common flags, notes and progress on stderr, one result on stdout, Ctrl-C.
import { Option, type Command } from "commander";
import { removeTemporaries } from "#platform";
import type { EngineName, Note, RunSettings } from "../contract/options.js";
import { exitCodes } from "../contract/errors.js";
import { whole } from "./arguments.js";
import { Display } from "./display.js";
import { duration } from "./text.js";

/** Flags of every verb. */
export interface RunFlags {
  readonly threads?: number;
  readonly seed?: number;
  readonly engine?: EngineName;
  readonly simd?: RunSettings["simd"];
  readonly quiet?: boolean;
  readonly json?: boolean;
  readonly progress?: "text" | "json";
  readonly force?: boolean;
}

/** Result of a verb: the same content as JSON and as text. */
export interface Result {
  readonly json: object;
  readonly text: string;
  /** nonzero if the input has faults but gives a result all the same (default: 0) */
  readonly exitCode?: number;
}

export function addRunFlags(command: Command): Command {
  return command
    .optionsGroup("Run:")
    .option(
      "--threads <n>",
      "worker threads; results do not depend on this number (default: number of processors)",
      whole(1, 256),
    )
    .option(
      "--seed <n>",
      "seed of the random numbers; the same seed gives the same result (default: 0)",
      whole(0),
    )
    .addOption(
      new Option(
        "--engine <name>",
        "compute engine; reference is slow and uses float64 (default: wasm)",
      ).choices(["wasm", "reference"]),
    )
    .addOption(
      new Option(
        "--simd <kind>",
        "SIMD kernels; auto uses relaxed SIMD if the runtime supports it (default: auto)",
      ).choices(["auto", "plain", "relaxed"]),
    )
    .option(
      "--force",
      "continue despite checks that would stop the run; replace existing outputs of the same kind",
    )
    .option("--json", "print the result as one JSON object on stdout")
    .addOption(
      new Option(
        "--progress <form>",
        "notes and progress on stderr as text, or as one JSON object per line (default: text)",
      ).choices(["text", "json"]),
    )
    .option("--quiet", "no progress and no notes, only warnings and errors");
}

/** Runs a verb and prints its result. */
export async function run(flags: RunFlags, verb: (settings: RunSettings) => Promise<Result>): Promise<void> {
  const display = new Display(process.stderr, flags.quiet ?? false, flags.progress ?? "text");
  const notes: Note[] = [];
  const started = performance.now();
  const interruption = listenForInterruption(display);
  const { threads, seed, engine, simd, force } = flags;
  const onNote = (note: Note): void => {
    notes.push(note);
    display.note(note);
  };
  try {
    const result = await verb({
      threads,
      seed,
      engine,
      simd,
      force,
      onNote,
      onProgress: display.progress,
      signal: interruption.signal,
    });
    display.stop();
    const seconds = Math.round(performance.now() - started) / 1000;
    process.stdout.write(
      flags.json ? `${JSON.stringify({ ...result.json, seconds, notes })}\n` : `${result.text}\n`,
    );
    display.note({ level: "info", message: `Done in ${duration(seconds)}.` });
    process.exitCode = result.exitCode ?? 0;
  } finally {
    display.stop();
    interruption.stopListening();
  }
}

/**
 * The first Ctrl-C asks the run to stop at the next safe point. The second ends the process at once, after
 * removing temporary files.
 */
function listenForInterruption(display: Display): {
  readonly signal: AbortSignal;
  readonly stopListening: () => void;
} {
  const abort = new AbortController();
  const onSignal = (): void => {
    if (abort.signal.aborted) {
      removeTemporaries();
      process.exit(exitCodes.interrupted);
    }
    display.note({
      level: "info",
      message: "Stopping at the next safe point; press Ctrl-C again to stop at once.",
    });
    abort.abort();
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const name of signals) process.on(name, onSignal);
  return {
    signal: abort.signal,
    stopListening: () => {
      for (const name of signals) process.off(name, onSignal);
    },
  };
}
