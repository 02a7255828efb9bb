// Damaged files and folders: thousands of copies with bytes changed, pieces moved and ends missing are read
// in a process of their own. Each must end in a named error or in an answer whose shapes, index ranges and
// types are valid, the same twice: never in a crash, a hang or an answer out of uninitialised memory.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export interface FuzzFailure {
  readonly number: number;
  readonly what: string;
}

/** A failed file costs a copy of the HDF5 library (7 MB), which stays until the process ends. */
const filesPerProcess = 100;

/**
 * Reads the damaged copies [from, to) of a seed; a process that ends early is followed by another.
 * @param folder - for the copies @param sources - what is damaged: files and folders
 */
export async function fuzz(
  folder: string,
  sources: readonly string[],
  seed: number,
  from: number,
  to: number,
  onProgress?: (done: number) => void,
): Promise<FuzzFailure[]> {
  const failures: FuzzFailure[] = [];
  for (let next = from; next < to;) {
    const last = Math.min(to, next + filesPerProcess);
    const child = spawn(
      process.execPath,
      [
        "--import",
        "tsx",
        fileURLToPath(new URL("fuzz-run.ts", import.meta.url)),
        folder,
        String(seed),
        String(next),
        String(last),
        ...sources,
      ],
      {
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    let errors = "";
    child.stderr.on("data", (text: Buffer) => (errors = (errors + text.toString()).slice(-2000)));
    const ended = new Promise<string>((resolve) =>
      child.on("close", (code, signal) => resolve(String(signal ?? code))),
    );
    let done = next;
    for await (const line of createInterface({ input: child.stdout })) {
      const [, number, what] = /^(\d+) (.*)$/.exec(line) ?? [];
      if (number === undefined || !(what === "fine" || what?.startsWith("WRONG"))) continue;
      done = Number(number) + 1;
      if (what !== "fine") failures.push({ number: Number(number), what });
      onProgress?.(done);
    }
    const status = await ended;
    if (done < last) {
      failures.push({ number: done, what: `the process ended (${status}): ${errors}` });
      done++;
    }
    next = done;
  }
  return failures;
}
