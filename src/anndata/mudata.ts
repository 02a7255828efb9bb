// MuData: one file with several AnnData, the modalities, under "mod". A modality is read as if it were a
// separate file.
import { ScPoliError } from "../contract/errors.js";
import type { Store, StoreAttribute, StoredArray } from "./store.js";

/** Names of the modalities of a MuData file; empty for other stores. */
export function modalitiesOf(store: Store): readonly string[] {
  return store.kind("mod") === "group"
    ? store.keys("mod").filter((name) => store.kind(`mod/${name}/var`) !== null)
    : [];
}

/** Error for a MuData file opened without naming a modality. */
export function severalModalities({ path }: Store, names: readonly string[]): ScPoliError {
  const likely = names.find((name) => /^(rna|gex)/i.test(name)) ?? names[0]!;
  return new ScPoliError(
    "format",
    `${path} is MuData with ${names.length === 1 ? "the modality" : "the modalities"} ` +
      `${names.join(", ")}. Name the one to read: --modality ${likely}, or ${path}/${likely}.`,
    { path, modalities: names },
  );
}

/** One modality as a store. @throws ScPoliError "key" if there is no such modality */
export function openModality(store: Store, name: string): Store {
  const names = modalitiesOf(store);
  if (names.length === 0)
    throw new ScPoliError(
      "format",
      `${store.path} is not a MuData file, so it has no modality '${name}'. Leave the modality out.`,
      {
        path: store.path,
      },
    );
  if (!names.includes(name))
    throw new ScPoliError("key", `${store.path} has no modality '${name}'; it has ${names.join(", ")}.`, {
      path: store.path,
      modalities: names,
    });
  return new Modality(store, name);
}

class Modality implements Store {
  readonly path: string;
  private readonly root: string;

  constructor(
    private readonly store: Store,
    name: string,
  ) {
    this.path = `${store.path}/${name}`;
    this.root = `mod/${name}`;
  }

  get format() {
    return this.store.format;
  }
  place(path: string): string {
    return this.store.place(this.at(path));
  }
  kind(path: string): "group" | "dataset" | "other" | null {
    return this.store.kind(this.at(path));
  }
  keys(path: string): string[] {
    return this.store.keys(this.at(path));
  }
  attribute(path: string, name: string): StoreAttribute | undefined {
    return this.store.attribute(this.at(path), name);
  }
  text(path: string, name: string): string | undefined {
    return this.store.text(this.at(path), name);
  }
  dataset(path: string): StoredArray {
    return this.store.dataset(this.at(path));
  }
  close(): void {
    this.store.close();
  }

  /** Label references (anndata 0.7) are absolute paths from the root of the file. */
  private at(path: string): string {
    if (path.startsWith(`/${this.root}/`)) return path;
    const inside = path.replace(/^\/+/, "");
    return inside === "" ? this.root : `${this.root}/${inside}`;
  }
}
