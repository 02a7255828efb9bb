// A small disk, for tests of a full one.
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import type { TestContext } from "node:test";

/**
 * Mounts a disk until the test has run.
 * @returns its folder; null where none can be made: the test is skipped and says so
 */
export function smallDisk(context: TestContext, disk: string, size = "256k"): string | null {
  mkdirSync(disk);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", disk], { stdio: "pipe" });
  } catch {
    context.skip("no small disk can be mounted here");
    return null;
  }
  context.after(() => execFileSync("umount", [disk]));
  return disk;
}
