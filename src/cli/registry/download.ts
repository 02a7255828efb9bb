// A file from a registry into the cache: resumed where an earlier try has stopped, checked by its size and
// checksum, and given its name only then. What is in the cache already is never touched.
import {
  appendToFile,
  commitTemporary,
  createTemporary,
  fileStatus,
  httpGet,
  removeTemporary,
  sha256OfFile,
  truncateFile,
} from "#platform";
import type { RunSettings } from "../../contract/options.js";
import { ScPoliError } from "../../contract/errors.js";

export interface Wanted {
  /** what it is, for error texts */
  readonly what: string;
  readonly urls: readonly string[];
  readonly bytes: number;
  readonly sha256: string;
}

const tries = 3;

/**
 * @param path - where it goes; an unfinished file stays beside it and is gone on with next time
 * @throws ScPoliError "file" where it cannot be had, or is not what the index says
 */
export async function download(wanted: Wanted, path: string, settings: RunSettings): Promise<void> {
  let last: ScPoliError | null = null;
  for (const url of wanted.urls)
    for (let n = 0; n < tries; n++)
      try {
        await downloadFrom(url, wanted, path, settings);
        return;
      } catch (error) {
        if (!(error instanceof ScPoliError) || error.kind !== "file") throw error;
        last = error;
        // only what may go better the next time is tried again
        if (error.details["again"] !== true) break;
      }
  throw last ?? new ScPoliError("file", `${wanted.what} has no address.`, {});
}

function wrong(url: string, what: string, again: boolean): ScPoliError {
  return new ScPoliError("file", `${url}: ${what}.`, { url, again });
}

/**
 * One try at one address. An unfinished file is this process's own while it grows, so that runs beside each other
 * do not write into one; when the try ends it is left for the next.
 */
async function downloadFrom(url: string, wanted: Wanted, path: string, settings: RunSettings): Promise<void> {
  const part = `${path}.part`;
  const temporary = await createTemporary(path);
  if (await fileStatus(part)) await commitTemporary(part, temporary).catch(() => undefined);
  try {
    await fill(url, wanted, temporary, settings);
  } catch (error) {
    const kept = (await fileStatus(temporary))?.bytes ?? 0;
    if (kept > 0 && kept <= wanted.bytes) await commitTemporary(temporary, part);
    else await removeTemporary(temporary);
    throw error;
  }
  await commitTemporary(temporary, path);
}

/** Fills a file that may hold the beginning already. */
async function fill(
  url: string,
  { what, bytes, sha256 }: Wanted,
  path: string,
  { onProgress, signal }: RunSettings,
): Promise<void> {
  let done = (await fileStatus(path))?.bytes ?? 0;
  if (done < bytes) {
    const headers: Record<string, string> = done > 0 ? { Range: `bytes=${done}-` } : {};
    const answer = await httpGet(url, { signal, headers });
    try {
      const isRest =
        answer.status === 206 && answer.headers["content-range"]?.startsWith(`bytes ${done}-`) === true;
      if (answer.status !== 200 && !isRest)
        throw wrong(url, `the server answers ${answer.status}`, answer.status >= 500);
      if (!isRest) {
        await truncateFile(path, 0);
        done = 0;
      }
      for await (const piece of answer.body) {
        if (done + piece.length > bytes) {
          await truncateFile(path, 0);
          throw wrong(url, `it is larger than the ${bytes} bytes that the index tells of ${what}`, false);
        }
        await appendToFile(path, piece);
        done += piece.length;
        onProgress?.({ stage: "reading", done, total: bytes });
      }
    } catch (error) {
      if (error instanceof ScPoliError && error.kind === "file" && error.details["again"] === undefined)
        throw wrong(url, `it was cut short after ${done} of ${bytes} bytes`, true);
      throw error;
    } finally {
      answer.close();
    }
    if (done < bytes) throw wrong(url, `it was cut short after ${done} of ${bytes} bytes`, true);
  }
  if ((await sha256OfFile(path)) === sha256) return;
  await truncateFile(path, 0);
  throw wrong(url, `its checksum is not that of ${what} in the index; nothing of it is kept`, false);
}
