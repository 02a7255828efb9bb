// Models to choose from: an index (SCPOLI_MODELS: an address or a folder; default: that of this package), and a
// cache of models under their checksums.
import {
  cacheFolder,
  copyFile,
  createTemporary,
  commitTemporary,
  fileStatus,
  httpGet,
  joinPath,
  listFolder,
  makeFolder,
  packageFile,
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
  /** ask nothing of the network */
  readonly offline?: boolean;
}

/** Largest index that is read. */
const largestIndex = 16 << 20;

export class Registry {
  private constructor(
    /** address or path of the index */
    readonly source: string,
    readonly index: ModelIndex,
    private readonly cache: string,
    private readonly offline: boolean,
  ) {}

  /**
   * Reads the index.
   * @param wanted - where the index that is kept of the last time has this very version, the network is not asked
   * @throws ScPoliError "file" where there is none, or a damaged one; "usage" where SCPOLI_MODELS cannot be read
   */
  static async open(
    settings: RunSettings,
    { offline = process.env["SCPOLI_OFFLINE"] === "1" }: RegistryOptions = {},
    wanted?: { readonly name: string; readonly version: string | null },
  ): Promise<Registry> {
    const cache = process.env["SCPOLI_CACHE"] || cacheFolder("scpoli");
    const source = process.env["SCPOLI_MODELS"] || packageFile("data/models/index.json");
    if (!/^https?:\/\//.test(source)) {
      if (/^[a-z]{2,}:\/\//i.test(source))
        throw new ScPoliError("usage", `SCPOLI_MODELS is '${source}': expected http, https or a path.`, {
          source,
        });
      const isFolder = (await fileStatus(source))?.kind === "folder";
      const path = isFolder ? joinPath(source, "index.json") : source;
      if ((await fileStatus(path))?.kind !== "file")
        throw new ScPoliError("file", `There is no index of models ${path}.`, { path });
      return new Registry(path, readIndex(await readText(path), path), cache, offline);
    }
    const url = source.endsWith(".json") ? source : `${source.replace(/\/*$/, "")}/index.json`;
    const kept = joinPath(cache, "indexes", `${await sha256([new TextEncoder().encode(url)])}.json`);
    const hasKept = (await fileStatus(kept)) !== null;
    if (hasKept && (offline || (wanted && wanted.version !== null))) {
      const registry = new Registry(url, readIndex(await readText(kept), kept), cache, offline);
      if (offline || registry.#find(wanted!)) return registry;
    }
    if (offline)
      throw new ScPoliError(
        "file",
        `${url} is not asked (offline), and nothing of it is kept. Once with a network: scpoli models list.`,
        { url },
      );
    try {
      const text = await fetchText(url, settings.signal);
      const index = readIndex(text, url);
      await makeFolder(joinPath(cache, "indexes"));
      await writeFile(kept, text);
      return new Registry(url, index, cache, offline);
    } catch (error) {
      if (!hasKept || !(error instanceof ScPoliError) || error.kind !== "file") throw error;
      settings.onNote?.({
        level: "warning",
        message: `${error.message} The index that was kept of the last time is taken.`,
      });
      return new Registry(url, readIndex(await readText(kept), kept), cache, offline);
    }
  }

  #find({
    name,
    version,
  }: {
    readonly name: string;
    readonly version: string | null;
  }): IndexEntry | undefined {
    const named = this.index.models.filter((entry) => entry.name === name);
    return version === null ? newest(named) : named.find((entry) => entry.version === version);
  }

  /** @throws ScPoliError "usage" where the text names no model, "key" where the index has no such model */
  entry(text: string): IndexEntry {
    const wanted = parseModelName(text);
    if (!wanted)
      throw new ScPoliError("usage", `'${text}' names no model: expected NAME or NAME@VERSION.`, {});
    const found = this.#find(wanted);
    if (found) return found;
    const versions = this.index.models
      .filter(({ name }) => name === wanted.name)
      .map(({ version }) => version);
    const near = nearestNames(wanted.name, [...new Set(this.index.models.map(({ name }) => name))]);
    const hint =
      versions.length > 0
        ? ` It has ${wanted.name} ${versions.join(", ")}.`
        : near.length > 0
          ? ` Did you mean ${near.map((name) => `'${name}'`).join(" or ")}?`
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
   * The path of a model in the cache, whole and checked; it is fetched where it is not there.
   * @throws ScPoliError "file" where it cannot be had, or is not what the index says; "model" where it is no model
   */
  async pull(entry: IndexEntry, settings: RunSettings): Promise<string> {
    const path = this.pathOf(entry);
    const name = `${entry.name}@${entry.version}`;
    if (await this.isCached(entry)) {
      if ((await sha256OfFile(path)) === entry.sha256) return path;
      if (this.offline)
        throw new ScPoliError(
          "file",
          `${path}, the kept copy of ${name}, is damaged. Get it anew with a network.`,
          {
            path,
          },
        );
      settings.onNote?.({
        level: "warning",
        message: `The kept copy of ${name} is damaged and is fetched anew.`,
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

  /** From an address, or, where the index is on this machine, from a file beside it. */
  async #fetch(entry: IndexEntry, path: string, settings: RunSettings): Promise<void> {
    const what = `${entry.name}@${entry.version}`;
    const isLocal = !/^https?:/.test(this.source);
    const [first] = entry.urls;
    if (isLocal && !/^\w{2,}:/.test(first!)) {
      const from = localPath(first!, this.source);
      const temporary = await createTemporary(path);
      await copyFile(from, temporary);
      if ((await sha256OfFile(temporary)) === entry.sha256) return commitTemporary(temporary, path);
      await removeTemporary(temporary);
      throw new ScPoliError(
        "file",
        `${from}: its checksum is not that of ${what} in the index; nothing of it is kept.`,
        { path: from },
      );
    }
    const urls = entry.urls.map((url) => webAddress(url, this.source));
    if (this.offline)
      throw new ScPoliError("file", `${what} is not in the cache, and the network is not asked (offline).`, {
        model: what,
      });
    await download({ what, urls, bytes: entry.bytes, sha256: entry.sha256 }, path, settings);
  }

  /** Models in the cache whose bytes are no longer those of their names. */
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
      throw new ScPoliError("file", `${url} cannot be had: the server answers ${answer.status}.`, { url });
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    for await (const piece of answer.body) {
      bytes += piece.length;
      if (bytes > largestIndex)
        throw new ScPoliError("file", `${url} is larger than an index of models can be.`, { url });
      pieces.push(piece);
    }
    const announced = Number(answer.headers["content-length"] ?? bytes);
    if (bytes < announced)
      throw new ScPoliError("file", `${url} was cut short after ${bytes} bytes.`, { url });
    return new TextDecoder().decode(await new Blob(pieces as Uint8Array<ArrayBuffer>[]).arrayBuffer());
  } finally {
    answer.close();
  }
}

/** An address of the index, whole. @throws ScPoliError "file" where it leads elsewhere than to http and https */
function webAddress(url: string, index: string): string {
  const base = /^https?:/.test(index) ? index : undefined;
  const whole = URL.canParse(url, base) ? new URL(url, base) : null;
  const isDowngrade = index.startsWith("https:") && whole?.protocol === "http:";
  if (!whole || !/^https?:$/.test(whole.protocol) || isDowngrade)
    throw new ScPoliError("file", `${index} asks for '${url.slice(0, 200)}', which is not followed.`, {
      url,
    });
  return whole.href;
}

/** A file beside an index on this machine. @throws ScPoliError "file" where it would be outside of its folder */
function localPath(url: string, index: string): string {
  const parts = url.split(/[\\/]/);
  if (parts.some((part) => part === ".." || part === "" || part.includes(":")))
    throw new ScPoliError("file", `${index} asks for '${url.slice(0, 200)}', which is not beside it.`, {
      url,
    });
  return joinPath(index, "..", ...parts);
}

/** The model that a flag names: a path, or NAME@VERSION of the registry. */
export async function modelPath(text: string, settings: RunSettings): Promise<string> {
  const wanted = text.includes("@") ? parseModelName(text) : null;
  if (!wanted || (await fileStatus(text))) return text;
  const registry = await Registry.open(settings, {}, wanted);
  const entry = registry.entry(text);
  const path = await registry.pull(entry, settings);
  settings.onNote?.({
    level: "info",
    message: `The reference is ${entry.name}@${entry.version} of ${registry.source}${entry.licence === "" ? "" : `, licence ${entry.licence}`}.`,
  });
  return path;
}
