// Cell types of a query in the codes of a model: known ones have the model's rows, new ones come behind them.
// Source: De Donno et al. 2023, Methods ("Reference mapping": a labelled query extends the reference by its
// new cell types).
import type { AnnData } from "../anndata/anndata.js";
import type { ModelJson } from "../model/stored-model.js";
import type { EmbedOptions, Note } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { checkGroups } from "../data/key-columns.js";
import { readLabels, type Labels } from "../data/labels.js";
import { renameLabels, type NameMapReport } from "../data/name-maps.js";
import { shownPairs, similarNames, spelledAs, type NamePair } from "../data/same-names.js";

/** What the labels of a query are to the model, at one level; ready for JSON. */
export interface QueryLevelReport {
  readonly key: string;
  /** column of the file */
  readonly column: string;
  /** cells of each type that the model knows at this level, and of each that it does not */
  readonly known: Readonly<Record<string, number>>;
  readonly new: Readonly<Record<string, number>>;
  readonly unlabeled: number;
  /** new names that differ from one of the model's in case or blanks alone, with that one */
  readonly similar: readonly NamePair[];
}

export interface QueryLabels {
  /** cell types that the model has nowhere, in the order of their rows behind the model's */
  readonly newTypes: readonly string[];
  /** per level of the model: rows of its types, those of the query among them, ascending */
  readonly levels: readonly (readonly number[])[];
  /** (N, levels) row of each cell's type, -1 where unlabelled */
  readonly codes: Int32Array;
  readonly report: readonly QueryLevelReport[];
  readonly labelMap?: NameMapReport;
}

/** Labels in the spelling of the model, where they are the same number or truth value. */
function inWordsOf(types: readonly string[], labels: Labels): Labels {
  return { ...labels, names: spelledAs(labels.names, types) };
}

/**
 * @returns null where the query has no labels
 * @throws ScPoliError "key" for a level that the model does not have, or a column that is not there or
 * without a label
 */
export async function readQueryLabels(
  json: ModelJson,
  data: AnnData,
  options: Pick<EmbedOptions, "cellTypeKeys" | "unlabeled" | "labelMap" | "force">,
  verb: "map" | "embed",
  note: (note: Note) => void,
): Promise<QueryLabels | null> {
  const { cellTypeKeys, unlabeled, labelMap } = options;
  const columns = Object.entries(cellTypeKeys ?? {});
  if (columns.length === 0) return null;
  const absent = columns.find(([key]) => !json.cell_type_keys.includes(key));
  if (absent)
    throw new ScPoliError(
      "key",
      `The model has no annotation level '${absent[0]}'; ${json.cell_type_keys.length > 0 ? `its levels are ${json.cell_type_keys.map((key) => `'${key}'`).join(", ")}` : "it was trained without cell types (`scpoli label` gives it some)"}.`,
      { key: absent[0] },
    );
  const own = columns.map(([, column]) => column);
  const renaming = labelMap && (await renameLabels(data.obs, own, labelMap, note));
  const labels = inWordsOf(
    json.cell_types,
    await readLabels(renaming?.obs ?? data.obs, own, unlabeled, {
      note,
      mayBeEmpty: true,
      check: (key, factor) => checkGroups(data.obs, key, factor, "cell type", options),
    }),
  );
  if (labels.names.length === 0)
    note({
      level: "warning",
      message: `The query has no label in ${own.map((key) => `obs['${key}']`).join(", ")}: it is taken as one without labels, and all of them are predicted.`,
    });
  const newTypes = labels.names.filter((name) => !json.cell_types.includes(name));
  const rows = labels.names.map((name) =>
    newTypes.includes(name) ? json.cell_types.length + newTypes.indexOf(name) : json.cell_types.indexOf(name),
  );
  const [L, cells] = [json.cell_type_keys.length, data.nObs];
  const codes = new Int32Array(cells * L).fill(-1);
  const levels = json.levels.map((types) => [...types]);
  const report = columns.map(([key, column], position): QueryLevelReport => {
    const level = json.cell_type_keys.indexOf(key);
    const counts = new Int32Array(labels.names.length);
    let unlabelled = 0;
    for (let cell = 0; cell < cells; cell++) {
      const label = labels.codes[cell * own.length + position]!;
      if (label < 0) unlabelled++;
      else {
        counts[label]!++;
        codes[cell * L + level] = rows[label]!;
      }
    }
    const table = (isKnown: boolean): Record<string, number> =>
      Object.fromEntries(
        labels.names.flatMap((name, label) =>
          counts[label]! > 0 && json.levels[level]!.includes(rows[label]!) === isKnown
            ? [[name, counts[label]!]]
            : [],
        ),
      );
    const added = Array.from(labels.levels[position]!.types, (label) => rows[label]!).filter(
      (row) => !levels[level]!.includes(row),
    );
    levels[level] = [...levels[level]!, ...added].sort((a, b) => a - b);
    const unknown = table(false);
    const similar = similarNames(
      Object.keys(unknown),
      json.levels[level]!.map((row) => json.cell_types[row]!),
    );
    return { key, column, known: table(true), new: unknown, unlabeled: unlabelled, similar };
  });
  for (const { key, new: found, similar } of report) {
    if (similar.length > 0)
      note({
        level: "warning",
        message: `Cell types of '${key}' that differ from the model's in case or blanks alone are new ones to it: ${shownPairs(similar)}. A --label-map of these pairs makes them the model's.`,
      });
    const names = Object.entries(found).map(([name, count]) => `'${name}' (${count})`);
    if (names.length > 0)
      note({
        level: "info",
        message: `${verb === "map" ? `New cell types of '${key}', which get prototypes` : `Cell types of '${key}' that the model does not have`}: ${names.slice(0, 8).join(", ")}${names.length > 8 ? ` and ${names.length - 8} more` : ""}.`,
      });
  }
  return { newTypes, levels, codes, report, labelMap: renaming?.report };
}
