// Checksums, and where programs keep what they can get again, under Node.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { ScPoliError } from "../contract/errors.js";

/** SHA-256 of a file, in lower-case hexadecimal digits. @throws ScPoliError "file" where it cannot be read */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  try {
    for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 }))
      hash.update(piece as Buffer);
  } catch (error) {
    throw new ScPoliError(
      "file",
      `${path} cannot be read: ${(error as Error).message}.`,
      { path },
      { cause: error },
    );
  }
  return hash.digest("hex");
}

/** The folder for what a program keeps and can get again, as the system's customs have it. */
export function cacheFolder(program: string): string {
  const { XDG_CACHE_HOME, LOCALAPPDATA } = process.env;
  if (process.platform === "win32" && LOCALAPPDATA) return join(LOCALAPPDATA, program, "Cache");
  if (process.platform === "darwin") return join(homedir(), "Library", "Caches", program);
  return join(XDG_CACHE_HOME || join(homedir(), ".cache"), program);
}
