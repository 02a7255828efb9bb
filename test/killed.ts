// Runs a command, kills it with no chance to tidy up (SIGKILL), runs it again, and reports the files left in
// between.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const entry = fileURLToPath(new URL("../dist/cli.js", import.meta.url));

export interface Endurance {
  /** the command, and its arguments after it was killed */
  readonly args: readonly string[];
  readonly again: readonly string[];
  /** files and folders that must not change */
  readonly inputs: readonly string[];
  /** not there, or whole */
  readonly outputs: readonly string[];
}

/** When to kill: asked every few milliseconds of a run. */
export type Moment = (run: { readonly stderr: string; readonly milliseconds: number }) => boolean;

/** Digest of a file, or of all files of a folder with their names. */
export function digest(path: string): string {
  const hash = createHash("sha256");
  const add = (at: string, name: string): void => {
    if (statSync(at).isDirectory())
      for (const inside of readdirSync(at).sort()) add(join(at, inside), `${name}/${inside}`);
    else hash.update(name).update(readFileSync(at));
  };
  add(path, "");
  return hash.digest("hex");
}

/**
 * Kills the command at each of the moments in turn (a run that ends before is not run again), then lets it
 * end.
 * @returns in how many runs it was killed
 */
export async function endure(
  { args, again, inputs, outputs }: Endurance,
  moments: readonly Moment[],
): Promise<number> {
  const before = inputs.map(digest);
  let killed = 0;
  let hasEnded = false;
  for (const moment of [...moments, () => false]) {
    if (hasEnded) break;
    const { code, signal, stderr } = await run(killed === 0 ? args : again, moment);
    assert.deepEqual(inputs.map(digest), before, "the inputs have not changed");
    if (signal === "SIGKILL") {
      killed++;
      // killed after the last rename: the caller compares the files
      hasEnded = outputs.every((output) => existsSync(output));
    } else {
      assert.equal(code, 0, stderr);
      hasEnded = true;
    }
  }
  return killed;
}

function run(
  args: readonly string[],
  moment: Moment,
): Promise<{ code: number | null; signal: NodeJS.Signals | null; stderr: string }> {
  const child = spawn(process.execPath, [entry, ...args], { stdio: ["ignore", "ignore", "pipe"] });
  const started = Date.now();
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const timer = setInterval(
    () => moment({ stderr, milliseconds: Date.now() - started }) && child.kill("SIGKILL"),
    2,
  );
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearInterval(timer);
      resolve({ code, signal, stderr });
    });
  });
}
