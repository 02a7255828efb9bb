// A registry of models: an index (SCPOLI_MODELS: a URL, folder or file; default: the index in this package)
// and a cache of model files named by their checksums.
import {
  cacheFolder,
  copyFile,
  createTemporary,
  commitTemporary,
  dataFile,
  fileStatus,
  httpGet,
  joinPath,
  listFolder,
  makeFolder,
  readText,
  removeFile,
  removeTemporary,
  sha256,
  sha256OfFile,
  writeFile,
} from "#platform";
import type { RunSettings } from "../../contract/options.js";
import { ScPoliError } from "../../contract/errors.js";
import { loadModel } from "../../storage/model-folder.js";
import { nearestNames } from "../../contract/nearest-names.js";
import { download } from "./download.js";
import { newest, parseModelName, readIndex, type IndexEntry, type ModelIndex } from "./index-file.js";

export interface RegistryOptions {
  /** never use the network */
  readonly offline?: boolean;
}

/** Size limit of an index in bytes. */
const largestIndex = 16 << 20;

export class Registry {
  private constructor(
    /** URL or path of the index */
    readonly source: string,
    readonly index: ModelIndex,
    private readonly cache: string,
    private readonly offline: boolean,
  ) {}

  /**
   * Reads the index. A downloaded index is cached and used offline or if the download fails.
   * @param wanted - a model; if the cached index has exactly this version, the network is not used
   * @throws ScPoliError "file" if the index is missing or damaged; "usage" if SCPOLI_MODELS is invalid
   */
  static async open(
    settings: RunSettings,
    { offline = process.env["SCPOLI_OFFLINE"] === "1" }: RegistryOptions = {},
    wanted?: { readonly name: string; readonly version: string | null },
  ): Promise<Registry> {
    const cache = process.env["SCPOLI_CACHE"] || cacheFolder("scpoli");
    const source = process.env["SCPOLI_MODELS"] || dataFile("models/index.json");
    if (!/^https?:\/\//.test(source)) {
      if (/^[a-z]{2,}:\/\//i.test(source))
        throw new ScPoliError("usage", `SCPOLI_MODELS is '${source}': expected an http(s) URL or a path.`, {
          source,
        });
      const isFolder = (await fileStatus(source))?.kind === "folder";
      const path = isFolder ? joinPath(source, "index.json") : source;
      if ((await fileStatus(path))?.kind !== "file")
        throw new ScPoliError("file", `There is no index of models at ${path}.`, { path });
      return new Registry(path, readIndex(await readText(path), path), cache, offline);
    }
    const url = source.endsWith(".json") ? source : `${source.replace(/\/*$/, "")}/index.json`;
    const cachedIndex = joinPath(cache, "indexes", `${await sha256([new TextEncoder().encode(url)])}.json`);
    const hasCachedIndex = (await fileStatus(cachedIndex)) !== null;
    if (hasCachedIndex && (offline || (wanted && wanted.version !== null))) {
      const registry = new Registry(url, readIndex(await readText(cachedIndex), cachedIndex), cache, offline);
      if (offline || registry.#find(wanted!)) return registry;
    }
    if (offline)
      throw new ScPoliError(
        "file",
        `${url} is not in the cache and cannot be downloaded offline. Run scpoli models list once with a ` +
          "network.",
        { url },
      );
    try {
      const text = await fetchText(url, settings.signal);
      const index = readIndex(text, url);
      await makeFolder(joinPath(cache, "indexes"));
      await writeFile(cachedIndex, text);
      return new Registry(url, index, cache, offline);
    } catch (error) {
      if (!hasCachedIndex || !(error instanceof ScPoliError) || error.kind !== "file") throw error;
      settings.onNote?.({
        level: "warning",
        message: `${error.message} The cached index is used instead.`,
      });
      return new Registry(url, readIndex(await readText(cachedIndex), cachedIndex), cache, offline);
    }
  }

  #find({
    name,
    version,
  }: {
    readonly name: string;
    readonly version: string | null;
  }): IndexEntry | undefined {
    const versions = this.index.models.filter((entry) => entry.name === name);
    return version === null ? newest(versions) : versions.find((entry) => entry.version === version);
  }

  /**
   * Looks up NAME or NAME@VERSION.
   * @throws ScPoliError "usage" if the text is not a valid model name, "key" if the index has no such model
   */
  entry(text: string): IndexEntry {
    const wanted = parseModelName(text);
    if (!wanted)
      throw new ScPoliError("usage", `'${text}' is not a model name: expected NAME or NAME@VERSION.`, {});
    const entry = this.#find(wanted);
    if (entry) return entry;
    const versions = this.index.models
      .filter(({ name }) => name === wanted.name)
      .map(({ version }) => version);
    const suggestions = nearestNames(wanted.name, [...new Set(this.index.models.map(({ name }) => name))]);
    const hint =
      versions.length > 0
        ? ` It has ${wanted.name} ${versions.join(", ")}.`
        : suggestions.length > 0
          ? ` Did you mean ${suggestions.map((name) => `'${name}'`).join(" or ")}?`
          : "";
    throw new ScPoliError("key", `${this.source} has no model ${text}.${hint} See scpoli models list.`, {
      model: text,
    });
  }

  pathOf({ sha256: digest }: IndexEntry): string {
    return joinPath(this.cache, "models", `${digest}.zip`);
  }

  async isCached(entry: IndexEntry): Promise<boolean> {
    return (await fileStatus(this.pathOf(entry))) !== null;
  }

  /**
   * Returns the path of a verified model in the cache, downloading it if needed.
   * @throws ScPoliError "file" if the download fails or its checksum differs from the index; "model" if it is
   * not a valid model
   */
  async pull(entry: IndexEntry, settings: RunSettings): Promise<string> {
    const path = this.pathOf(entry);
    const name = `${entry.name}@${entry.version}`;
    if (await this.isCached(entry)) {
      if ((await sha256OfFile(path)) === entry.sha256) return path;
      if (this.offline)
        throw new ScPoliError(
          "file",
          `${path}, the cached copy of ${name}, is damaged. Download it again with a network.`,
          {
            path,
          },
        );
      settings.onNote?.({
        level: "warning",
        message: `The cached copy of ${name} is damaged; downloading it again.`,
      });
    }
    await makeFolder(joinPath(this.cache, "models"));
    await this.#fetch(entry, path, settings);
    try {
      await loadModel(path);
    } catch (error) {
      await removeFile(path);
      throw error;
    }
    return path;
  }

  /** Copies the file if the index is local and gives a relative path; else downloads it. */
  async #fetch(entry: IndexEntry, path: string, settings: RunSettings): Promise<void> {
    const what = `${entry.name}@${entry.version}`;
    const isLocal = !/^https?:/.test(this.source);
    const [firstUrl] = entry.urls;
    if (isLocal && !/^\w{2,}:/.test(firstUrl!)) {
      const from = localPath(firstUrl!, this.source);
      const temporary = await createTemporary(path);
      await copyFile(from, temporary);
      if ((await sha256OfFile(temporary)) === entry.sha256) return commitTemporary(temporary, path);
      await removeTemporary(temporary);
      throw new ScPoliError(
        "file",
        `${from}: its checksum differs from that of ${what} in the index; the file was not copied.`,
        { path: from },
      );
    }
    const urls = entry.urls.map((url) => webAddress(url, this.source));
    if (this.offline)
      throw new ScPoliError("file", `${what} is not in the cache and cannot be downloaded offline.`, {
        model: what,
      });
    await download({ what, urls, bytes: entry.bytes, sha256: entry.sha256 }, path, settings);
  }

  /** Checks all cached models against their checksums. */
  async damaged(): Promise<{ readonly checked: number; readonly damaged: readonly string[] }> {
    const folder = joinPath(this.cache, "models");
    const names = (await fileStatus(folder)) ? await listFolder(folder) : [];
    const models = names.filter((name) => /^[0-9a-f]{64}\.zip$/.test(name));
    const damaged: string[] = [];
    for (const name of models) {
      const path = joinPath(folder, name);
      if (`${await sha256OfFile(path)}.zip` !== name) damaged.push(path);
    }
    return { checked: models.length, damaged };
  }
}

async function fetchText(url: string, signal: AbortSignal | undefined): Promise<string> {
  const answer = await httpGet(url, { signal });
  try {
    if (answer.status !== 200)
      throw new ScPoliError(
        "file",
        `${url} cannot be downloaded: the server responded with status ${answer.status}.`,
        { url },
      );
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    for await (const piece of answer.body) {
      bytes += piece.length;
      if (bytes > largestIndex)
        throw new ScPoliError("file", `${url} is too large for an index of models.`, { url });
      pieces.push(piece);
    }
    const contentLength = Number(answer.headers["content-length"] ?? bytes);
    if (bytes < contentLength)
      throw new ScPoliError("file", `${url} was cut short after ${bytes} bytes.`, { url });
    return new TextDecoder().decode(await new Blob(pieces as Uint8Array<ArrayBuffer>[]).arrayBuffer());
  } finally {
    answer.close();
  }
}

/**
 * Absolute URL of an entry. @throws ScPoliError "file" unless it is http(s) without a downgrade from https
 */
function webAddress(url: string, index: string): string {
  const base = /^https?:/.test(index) ? index : undefined;
  const absolute = URL.canParse(url, base) ? new URL(url, base) : null;
  const isDowngrade = index.startsWith("https:") && absolute?.protocol === "http:";
  if (!absolute || !/^https?:$/.test(absolute.protocol) || isDowngrade)
    throw new ScPoliError("file", `${index} refers to '${url.slice(0, 200)}', which is not an allowed URL.`, {
      url,
    });
  return absolute.href;
}

/** Path of a file in the folder of a local index. @throws ScPoliError "file" if it would be outside */
function localPath(url: string, index: string): string {
  const parts = url.split(/[\\/]/);
  if (parts.some((part) => part === ".." || part === "" || part.includes(":")))
    throw new ScPoliError("file", `${index} refers to '${url.slice(0, 200)}', which is outside its folder.`, {
      url,
    });
  return joinPath(index, "..", ...parts);
}

/** Resolves a model given as a path or as NAME@VERSION of the registry to a path. */
export async function modelPath(text: string, settings: RunSettings): Promise<string> {
  const wanted = text.includes("@") ? parseModelName(text) : null;
  if (!wanted || (await fileStatus(text))) return text;
  const registry = await Registry.open(settings, {}, wanted);
  const entry = registry.entry(text);
  const path = await registry.pull(entry, settings);
  settings.onNote?.({
    level: "info",
    message:
      `The reference is ${entry.name}@${entry.version} from ${registry.source}` +
      (entry.licence === "" ? "." : `, licence ${entry.licence}.`),
  });
  return path;
}
