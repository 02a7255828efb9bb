// Models that the page's site offers: the entries of an index beside the page, and their download. Only
// addresses of the page's own origin are used.
import { newest, readIndex, type IndexEntry } from "../dist/cli/registry/index-file.js";
import { JobError } from "./worker/errors.js";

/** Address of the index, relative to the page. */
export const indexAddress = "models/index.json";

/** A model of the site's index. */
export interface SiteModel {
  readonly entry: IndexEntry;
  /** its addresses on this origin, in the order of the index; none if it is on other sites only */
  readonly urls: readonly URL[];
}

/**
 * Reads the index of the page's site.
 * @param page - address of the page
 * @returns its models, the newest version of each name first; none if the site has no index
 * @throws ScPoliError "file" if the index is damaged or in a newer format
 */
export async function readSiteModels(page: string): Promise<readonly SiteModel[]> {
  const index = new URL(indexAddress, page);
  const answer = await fetch(index, { cache: "no-cache" }).catch(() => null);
  if (!answer?.ok) return [];
  const text = await answer.text();
  // some hosts answer every address with a page
  if (text.trimStart().startsWith("<")) return [];
  const { models } = readIndex(text, index.pathname);
  return [...new Set(models.map(({ name }) => name))].flatMap((name) =>
    newestFirst(models.filter((entry) => entry.name === name)).map((entry) => ({
      entry,
      urls: entry.urls
        .map((url) => (URL.canParse(url, index) ? new URL(url, index) : null))
        .filter((url) => url !== null && url.origin === index.origin) as URL[],
    })),
  );
}

function newestFirst(versions: readonly IndexEntry[]): IndexEntry[] {
  const first = newest(versions);
  return first ? [first, ...newestFirst(versions.filter((entry) => entry !== first))] : [];
}

/**
 * Downloads a model from the first address that has it, and checks its size and checksum.
 * @throws JobError "file" if no address has it, or if it differs from the index
 */
export async function downloadModel({ entry, urls }: SiteModel): Promise<File> {
  const name = `${entry.name}-${entry.version}.zip`;
  if (!("subtle" in crypto))
    throw new JobError(
      "refused",
      "The browser checks a model's checksum only on pages served by https or from this computer. " +
        `Download ${urls[0]?.pathname ?? name} and open it as a file.`,
    );
  for (const url of urls) {
    const answer = await fetch(url).catch(() => null);
    if (answer?.ok) return new File([await checkedContent(answer, url, entry)], name);
  }
  throw new JobError("file", `There is no model at ${urls.map(({ pathname }) => pathname).join(" or ")}.`);
}

/** The content of an answer. @throws JobError "file" if its size or checksum is not that of the index */
async function checkedContent(answer: Response, url: URL, entry: IndexEntry): Promise<Blob> {
  const fail = (what: string): never => {
    throw new JobError("file", `${url.pathname} ${what}; it was not opened.`);
  };
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let done = 0;
  const reader = answer.body!.getReader();
  for (;;) {
    const { value: piece } = await reader.read();
    if (!piece) break;
    pieces.push(piece);
    done += piece.length;
    if (done <= entry.bytes) continue;
    await reader.cancel();
    fail(`is larger than the ${entry.bytes} bytes that the index gives`);
  }
  if (done < entry.bytes) fail(`has ${done} bytes instead of the ${entry.bytes} that the index gives`);
  const content = new Blob(pieces);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await content.arrayBuffer()));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (hex !== entry.sha256) fail("has another checksum than the index gives");
  return content;
}
