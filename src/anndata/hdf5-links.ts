// What lies outside an HDF5 file though it looks like a part of it: external links, soft links that lead
// through one, virtual data sets. HDF5 gives zeros where it does not find the other file; and a copy would
// point to what is not there. So none of it is read: it is named.
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

  /** Where a path leads: a path without links, or a link that leaves the file. */
  private resolve(path: string, links: number): Link | string {
    let at = "";
    for (const name of path.split("/").filter((part) => part !== "" && part !== ".")) {
      const end = this.step(`${at}/${name}`, at, links);
      if (typeof end !== "string") return end;
      at = end;
    }
    return at;
  }

  /** @param parent - without links in it */
  private step(path: string, parent: string, links: number): Link | string {
    const known = this.known.get(path);
    if (known !== undefined) return known;
    const end = this.find(path, parent, links);
    this.known.set(path, end);
    return end;
  }

  private find(path: string, parent: string, links: number): Link | string {
    const { fileId, module } = this;
    if (module.get_type(fileId, path) < 0) return path; // there is nothing, and no link
    const { filename, obj_path } = module.get_external_link(fileId, path);
    if (filename !== undefined) return { file: filename, target: obj_path };
    const target = module.get_symbolic_link(fileId, path) as string | null;
    if (target === null || links === mostLinks) return path;
    return this.resolve(target.startsWith("/") ? target : `${parent}/${target}`, links + 1);
  }
}
/** As many soft links as HDF5 follows. */
const mostLinks = 16;

export function describeLink({ file, target }: Link): string {
  return `it is a link into another file, ${file} (${target})`;
}

/** @param sources - of a virtual data set */
export function describeSources(sources: readonly { readonly file_name: string }[]): string {
  const names = [...new Set(sources.map(({ file_name: name }) => (name === "." ? "this file" : name)))];
  const shown = names.slice(0, 3).join(", ") + (names.length > 3 ? ` and ${names.length - 3} more` : "");
  return `it is a virtual data set, made of parts of ${shown || "no file"}`;
}

/** @param advice - what to do */
export function elsewhere(
  place: string,
  path: string,
  key: string,
  found: string,
  advice = "Write the data into the file itself in Python, where the other files are: anndata.read_h5ad(path).write_h5ad(new_path)",
): ScPoliError {
  return new ScPoliError("format", `${place} is not read: ${found}. ${advice}.`, {
    path,
    key,
    elsewhere: true,
  });
}
