// Checksums and the cache folder, under Node.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { ScPoliError } from "../contract/errors.js";

/** SHA-256 of a file, in lower-case hexadecimal. @throws ScPoliError "file" if it cannot be read */
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

/** The cache folder of a program, by the conventions of the operating system. */
export function cacheFolder(program: string): string {
  const { XDG_CACHE_HOME, LOCALAPPDATA } = process.env;
  if (process.platform === "win32" && LOCALAPPDATA) return join(LOCALAPPDATA, program, "Cache");
  if (process.platform === "darwin") return join(homedir(), "Library", "Caches", program);
  return join(XDG_CACHE_HOME || join(homedir(), ".cache"), program);
}
