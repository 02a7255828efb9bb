// Detects data outside an HDF5 file that appear to be part of it: external links, soft links through one, and
// virtual datasets. HDF5 returns zeros if it cannot find the other file, and a copy would point nowhere.
// So such data are never read but reported.
import type { Hdf5 } from "#platform";
import { ScPoliError } from "../contract/errors.js";

type Module = Hdf5["Module"];

/** A link into another file. */
export interface Link {
  readonly file: string;
  /** inside that file */
  readonly target: string;
}

/** Follows the links of one open file. */
export class Links {
  /** by path */
  private readonly known = new Map<string, Link | string>();

  constructor(
    private readonly fileId: bigint,
    private readonly module: Module,
  ) {}

  /** Where a path leads into another file; null where it does not. */
  follow(path: string): Link | null {
    const end = this.resolve(path, 0);
    return typeof end === "string" ? null : end;
  }

  /** Resolves a path to one without links, or to the link that leaves the file. */
  private resolve(path: string, links: number): Link | string {
    let at = "";
    for (const name of path.split("/").filter((part) => part !== "" && part !== ".")) {
      const end = this.step(`${at}/${name}`, at, links);
      if (typeof end !== "string") return end;
      at = end;
    }
    return at;
  }

  /** @param parent - free of links */
  private step(path: string, parent: string, links: number): Link | string {
    const resolved = this.known.get(path);
    if (resolved !== undefined) return resolved;
    const end = this.find(path, parent, links);
    this.known.set(path, end);
    return end;
  }

  private find(path: string, parent: string, links: number): Link | string {
    const { fileId, module } = this;
    if (module.get_type(fileId, path) < 0) return path; // nothing there, not even a link
    const { filename, obj_path } = module.get_external_link(fileId, path);
    if (filename !== undefined) return { file: filename, target: obj_path };
    const target = module.get_symbolic_link(fileId, path) as string | null;
    if (target === null || links === mostLinks) return path;
    return this.resolve(target.startsWith("/") ? target : `${parent}/${target}`, links + 1);
  }
}
/** The number of soft links that HDF5 follows. */
const mostLinks = 16;

export function describeLink({ file, target }: Link): string {
  return `it is a link to another file, ${file} (${target})`;
}

/** @param sources - of a virtual dataset */
export function describeSources(sources: readonly { readonly file_name: string }[]): string {
  const names = [...new Set(sources.map(({ file_name: name }) => (name === "." ? "this file" : name)))];
  const shown = names.slice(0, 3).join(", ") + (names.length > 3 ? ` and ${names.length - 3} more` : "");
  return `it is a virtual dataset of parts of ${shown || "no file"}`;
}

/** Error for data stored in another file. @param advice - what the user should do */
export function elsewhere(
  place: string,
  path: string,
  key: string,
  problem: string,
  advice = "Write the data into the file itself in Python, where the other files are: " +
    "anndata.read_h5ad(path).write_h5ad(new_path)",
): ScPoliError {
  return new ScPoliError("format", `${place} is not read: ${problem}. ${advice}.`, {
    path,
    key,
    elsewhere: true,
  });
}
