// Adds a cell type to a trained model: an unlabelled prototype, or cells of a file, become a named prototype.
// Nothing is trained. Source: De Donno et al. 2023 (unlabelled prototypes as "reference points for novel cell
// type annotation").
import type { AnnData } from "../anndata/anndata.js";
import type { StoredModel } from "../model/stored-model.js";
import type { CountsOptions, EmbedOptions, RunSettings } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { addCellType, pooledPrototype, prototypesOf, withoutClusters } from "../prototypes/growth.js";
import { selectedCells } from "../data/labels.js";
import { isUnlabeled } from "../data/missing-values.js";
import type { Prototypes } from "../prototypes/prototypes.js";
import { embedCells } from "./embed-query.js";

/** Options of `ScPoli.label`: which cells become a cell type, and its name. */
export interface LabelOptions extends Pick<
  EmbedOptions,
  keyof RunSettings | keyof CountsOptions | "conditionKeys" | "conditionValues" | "geneMap"
> {
  /** Name of the cell type */
  readonly name: string;
  /**
   * Annotation level of the cell type. Default: the first; a model without levels gets the level "cell_type"
   */
  readonly level?: string;
  /** Numbers of the model's unlabelled prototypes to name, pooled into one */
  readonly clusters?: readonly number[];
  /** Instead of `clusters`: a file with the cells; the model must know their conditions */
  readonly cells?: AnnData;
  /** Cells with these values in each of these obs columns. Default: all cells of the file */
  readonly select?: Readonly<Record<string, readonly string[]>>;
  /** Instead of `select`: rows of the cells in the file */
  readonly rows?: ArrayLike<number>;
}

/** Level added with the first cell type of a model without levels. */
const firstLevel = "cell_type";

/** See `ScPoli.label`. */
export async function labelCells(stored: StoredModel, options: LabelOptions): Promise<StoredModel> {
  const { json } = stored;
  const { name, clusters, cells, select, rows } = options;
  const level = options.level ?? json.cell_type_keys[0] ?? firstLevel;
  checkName(stored, name, level);
  if ((clusters === undefined) === (cells === undefined))
    throw new ScPoliError(
      "usage",
      "Specify which cells get the name: either the number of an unlabelled prototype (clusters), or a " +
        "file of cells (cells, with select for some of them).",
    );
  if (rows !== undefined && select !== undefined)
    throw new ScPoliError("usage", "select and rows both select cells of the file; give only one.");
  if (clusters !== undefined && (select !== undefined || rows !== undefined))
    throw new ScPoliError(
      "usage",
      "select and rows apply to cells of a file, not to an unlabelled prototype.",
    );
  const { prototype, rest, from } =
    clusters !== undefined ? fromClusters(stored, clusters) : await fromCells(stored, options);
  const grown = addCellType(rest, name, level, prototype);
  const count = prototype.counts[0]!;
  options.onNote?.({
    level: count < 5 ? "warning" : "info",
    message:
      `'${name}' is the mean of ${count} cell${count === 1 ? "" : "s"} (${from})` +
      (count < 5 ? ", which is few for a cell type." : "."),
  });
  const labelled = [
    ...((json.provenance["labelled"] as unknown[] | undefined) ?? []),
    { name, level, cells: count, from },
  ];
  return { ...grown, json: { ...grown.json, provenance: { ...json.provenance, labelled } } };
}

function checkName({ json }: StoredModel, name: string, level: string): void {
  if (isUnlabeled(name))
    throw new ScPoliError("usage", `'${name}' means "no label"; give the cell type another name.`, { name });
  if (json.cell_type_keys.length > 0 && !json.cell_type_keys.includes(level))
    throw new ScPoliError(
      "key",
      `The model has no annotation level '${level}'; ` +
        `its levels are ${json.cell_type_keys.map((key) => `'${key}'`).join(", ")}.`,
      { key: level },
    );
  const row = json.cell_types.indexOf(name);
  if (row < 0) return;
  const levels = json.cell_type_keys.filter((_, position) => json.levels[position]!.includes(row));
  throw new ScPoliError(
    "key",
    `The model already has a cell type '${name}' (${levels.map((key) => `'${key}'`).join(", ")}). ` +
      "Give another name.",
    { name, levels },
  );
}

interface CellTypeSource {
  readonly prototype: Prototypes;
  /** the model without the unlabelled prototypes that became the cell type */
  readonly rest: StoredModel;
  readonly from: string;
}

function fromClusters(stored: StoredModel, clusters: readonly number[]): CellTypeSource {
  const numbers = stored.json.unlabeled_prototypes.map(({ cluster }) => cluster);
  const absent = clusters.filter((cluster) => !numbers.includes(cluster));
  if (absent.length > 0 || clusters.length === 0) {
    const has =
      numbers.length > 0
        ? `it has ${numbers.join(", ")}`
        : "it has none (`--unlabeled-prototypes` of train and map adds them)";
    throw new ScPoliError("key", `The model has no unlabelled prototype ${absent.join(", ")}; ${has}.`, {
      absent,
    });
  }
  return {
    prototype: pooledPrototype(stored, clusters),
    rest: withoutClusters(stored, clusters),
    from: `unlabelled prototype ${clusters.join(", ")}`,
  };
}

async function fromCells(stored: StoredModel, options: LabelOptions): Promise<CellTypeSource> {
  const data = options.cells!;
  const namedCells = options.rows
    ? checkedRows(options.rows, data.nObs)
    : await selectedCells(data.obs, options.select);
  const { latent } = await embedCells(stored, data, options);
  const isLeftOut = new Uint8Array(data.nObs).fill(1);
  for (const cell of namedCells) isLeftOut[cell] = 0;
  const prototype = prototypesOf(
    latent,
    Int32Array.from(isLeftOut, (leftOut) => -leftOut),
    1,
    stored.json.model.latent_dim,
  );
  const selection = options.rows
    ? ["rows of the file"]
    : Object.entries(options.select ?? {}).map(([key, values]) => `${key}=${values.join(",")}`);
  return {
    prototype,
    rest: stored,
    from: selection.length > 0 ? selection.join(" ") : "all cells of the file",
  };
}

/** @throws ScPoliError "key" if `rows` is empty or has an invalid row */
function checkedRows(rows: ArrayLike<number>, cells: number): Int32Array {
  const checked = Int32Array.from(rows);
  const invalid = checked.find((row, i) => row < 0 || row >= cells || row !== rows[i]);
  if (invalid !== undefined)
    throw new ScPoliError(
      "key",
      `There is no cell in row ${invalid}; the file has ${cells}, rows 0 to ${cells - 1}.`,
      { row: invalid },
    );
  if (checked.length === 0) throw new ScPoliError("key", "No cells are selected: rows is empty.", {});
  return checked;
}
