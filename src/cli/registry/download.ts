// Downloads a file from a registry into the cache. An interrupted download is resumed. The file gets its
// final name only after its size and checksum are verified. Files already in the cache are never touched.
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

export interface DownloadRequest {
  /** name of the model, for error messages */
  readonly what: string;
  readonly urls: readonly string[];
  readonly bytes: number;
  readonly sha256: string;
}

const tries = 3;

/**
 * @param path - destination; an unfinished download is kept next to it and resumed the next time
 * @throws ScPoliError "file" if the download fails, or its size or checksum differs from the index
 */
export async function download(request: DownloadRequest, path: string, settings: RunSettings): Promise<void> {
  let lastError: ScPoliError | null = null;
  for (const url of request.urls)
    for (let n = 0; n < tries; n++)
      try {
        await downloadFrom(url, request, path, settings);
        return;
      } catch (error) {
        if (!(error instanceof ScPoliError) || error.kind !== "file") throw error;
        lastError = error;
        // retry only failures that may be temporary
        if (error.details["again"] !== true) break;
      }
  throw lastError ?? new ScPoliError("file", `${request.what} has no URL.`, {});
}

function downloadError(url: string, what: string, again: boolean): ScPoliError {
  return new ScPoliError("file", `${url}: ${what}.`, { url, again });
}

/**
 * One attempt at one URL. Each process writes to its own temporary file, so that concurrent runs do not write
 * to the same one. A failed attempt leaves its file for the next attempt to resume.
 */
async function downloadFrom(
  url: string,
  request: DownloadRequest,
  path: string,
  settings: RunSettings,
): Promise<void> {
  const part = `${path}.part`;
  const temporary = await createTemporary(path);
  if (await fileStatus(part)) await commitTemporary(part, temporary).catch(() => undefined);
  try {
    await fill(url, request, temporary, settings);
  } catch (error) {
    const kept = (await fileStatus(temporary))?.bytes ?? 0;
    if (kept > 0 && kept <= request.bytes) await commitTemporary(temporary, part);
    else await removeTemporary(temporary);
    throw error;
  }
  await commitTemporary(temporary, path);
}

/** Completes a file that may already hold the beginning of the download. */
async function fill(
  url: string,
  { what, bytes, sha256 }: DownloadRequest,
  path: string,
  { onProgress, signal }: RunSettings,
): Promise<void> {
  let done = (await fileStatus(path))?.bytes ?? 0;
  let hasEarlierPart = done > 0;
  if (done < bytes) {
    const headers: Record<string, string> = done > 0 ? { Range: `bytes=${done}-` } : {};
    const answer = await httpGet(url, { signal, headers });
    try {
      const isRest =
        answer.status === 206 && answer.headers["content-range"]?.startsWith(`bytes ${done}-`) === true;
      if (answer.status !== 200 && !isRest)
        throw downloadError(url, `the server responded with status ${answer.status}`, answer.status >= 500);
      if (!isRest) {
        await truncateFile(path, 0);
        done = 0;
        hasEarlierPart = false;
      }
      for await (const piece of answer.body) {
        if (done + piece.length > bytes) {
          await truncateFile(path, 0);
          throw downloadError(
            url,
            `it is larger than the ${bytes} bytes that the index gives for ${what}`,
            false,
          );
        }
        await appendToFile(path, piece);
        done += piece.length;
        onProgress?.({ stage: "reading", done, total: bytes });
      }
    } catch (error) {
      if (error instanceof ScPoliError && error.kind === "file" && error.details["again"] === undefined)
        throw downloadError(url, `the download was cut short after ${done} of ${bytes} bytes`, true);
      throw error;
    } finally {
      answer.close();
    }
    if (done < bytes)
      throw downloadError(url, `the download was cut short after ${done} of ${bytes} bytes`, true);
  }
  if ((await sha256OfFile(path)) === sha256) return;
  await truncateFile(path, 0);
  throw downloadError(
    url,
    `its checksum differs from that of ${what} in the index; the file was discarded`,
    hasEarlierPart, // which may be damaged: the next attempt downloads everything
  );
}
