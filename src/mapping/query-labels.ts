// Cell types of a query as rows of the model: known types have the model's rows, new ones follow them.
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

/** How the labels of a query relate to the model at one level; ready for JSON. */
export interface QueryLevelReport {
  readonly key: string;
  /** column of the file */
  readonly column: string;
  /** number of cells of each type known and new to the model at this level */
  readonly known: Readonly<Record<string, number>>;
  readonly new: Readonly<Record<string, number>>;
  readonly unlabeled: number;
  /** new names that differ from one of the model's only in case or spaces, paired with it */
  readonly similar: readonly NamePair[];
}

export interface QueryLabels {
  /** cell types that the model has at no level, in the order of their rows after the model's */
  readonly newTypes: readonly string[];
  /** per level of the model: rows of its types, including those of the query, ascending */
  readonly levels: readonly (readonly number[])[];
  /** (N, levels) row of each cell's type, -1 where unlabelled */
  readonly codes: Int32Array;
  readonly report: readonly QueryLevelReport[];
  readonly labelMap?: NameMapReport;
}

/** Labels in the spelling of the model if they are the same number or boolean. */
function inSpellingOf(types: readonly string[], labels: Labels): Labels {
  return { ...labels, names: spelledAs(labels.names, types) };
}

/**
 * Reads the labels of a query.
 * @returns null if no label columns are given
 * @throws ScPoliError "key" for a level that the model does not have, or a missing column
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
  checkLevels(json, columns);
  const labelColumns = columns.map(([, column]) => column);
  const renaming = labelMap && (await renameLabels(data.obs, labelColumns, labelMap, note));
  const labels = inSpellingOf(
    json.cell_types,
    await readLabels(renaming?.obs ?? data.obs, labelColumns, unlabeled, {
      note,
      mayBeEmpty: true,
      check: (key, factor) => checkGroups(data.obs, key, factor, "cell type", options),
    }),
  );
  if (labels.names.length === 0)
    note({
      level: "warning",
      message:
        `The query has no labels in ${labelColumns.map((key) => `obs['${key}']`).join(", ")}. ` +
        "It is treated as unlabelled, and all labels are predicted.",
    });
  const joined = joinLabels(json, columns, labels, data.nObs);
  noteNewTypes(joined.report, verb, note);
  return { ...joined, labelMap: renaming?.report };
}

type LevelColumns = readonly (readonly [key: string, column: string])[];

function checkLevels(json: ModelJson, columns: LevelColumns): void {
  const absent = columns.find(([key]) => !json.cell_type_keys.includes(key));
  if (absent)
    throw new ScPoliError(
      "key",
      `The model has no annotation level '${absent[0]}'; ` +
        (json.cell_type_keys.length > 0
          ? `its levels are ${json.cell_type_keys.map((key) => `'${key}'`).join(", ")}.`
          : "it was trained without cell types (`scpoli label` adds them)."),
      { key: absent[0] },
    );
}

/** The labels as rows of the model, new types after the model's. */
function joinLabels(
  json: ModelJson,
  columns: LevelColumns,
  labels: Labels,
  cells: number,
): Omit<QueryLabels, "labelMap"> {
  const newTypes = labels.names.filter((name) => !json.cell_types.includes(name));
  const rows = labels.names.map((name) =>
    newTypes.includes(name) ? json.cell_types.length + newTypes.indexOf(name) : json.cell_types.indexOf(name),
  );
  const L = json.cell_type_keys.length;
  const codes = new Int32Array(cells * L).fill(-1);
  const levels = json.levels.map((types) => [...types]);
  const report = columns.map(([key, column], position): QueryLevelReport => {
    const level = json.cell_type_keys.indexOf(key);
    const counts = new Int32Array(labels.names.length);
    let unlabelled = 0;
    for (let cell = 0; cell < cells; cell++) {
      const label = labels.codes[cell * columns.length + position]!;
      if (label < 0) unlabelled++;
      else {
        counts[label]!++;
        codes[cell * L + level] = rows[label]!;
      }
    }
    const added = Array.from(labels.levels[position]!.types, (label) => rows[label]!).filter(
      (row) => !levels[level]!.includes(row),
    );
    levels[level] = [...levels[level]!, ...added].sort((a, b) => a - b);
    const { known, new: unknown, similar } = describeLevel(json, level, labels.names, rows, counts);
    return { key, column, known, new: unknown, unlabeled: unlabelled, similar };
  });
  return { newTypes, levels, codes, report };
}

/** @param rows - row of each label @param counts - cells of each label */
function describeLevel(
  json: ModelJson,
  level: number,
  names: readonly string[],
  rows: readonly number[],
  counts: Int32Array,
): Pick<QueryLevelReport, "known" | "new" | "similar"> {
  const table = (isKnown: boolean): Record<string, number> =>
    Object.fromEntries(
      names.flatMap((name, label) =>
        counts[label]! > 0 && json.levels[level]!.includes(rows[label]!) === isKnown
          ? [[name, counts[label]!]]
          : [],
      ),
    );
  const unknown = table(false);
  const similar = similarNames(
    Object.keys(unknown),
    json.levels[level]!.map((row) => json.cell_types[row]!),
  );
  return { known: table(true), new: unknown, similar };
}

function noteNewTypes(
  report: readonly QueryLevelReport[],
  verb: "map" | "embed",
  note: (note: Note) => void,
): void {
  for (const { key, new: newCounts, similar } of report) {
    if (similar.length > 0)
      note({
        level: "warning",
        message:
          `Cell types of '${key}' that differ from the model's only in case or spaces are treated as new: ` +
          `${shownPairs(similar)}. To use the model's names, give these pairs as --label-map.`,
      });
    const names = Object.entries(newCounts).map(([name, count]) => `'${name}' (${count})`);
    if (names.length > 0)
      note({
        level: "info",
        message:
          (verb === "map"
            ? `New cell types of '${key}', which get prototypes: `
            : `Cell types of '${key}' that the model does not have: `) +
          `${names.slice(0, 8).join(", ")}${names.length > 8 ? ` and ${names.length - 8} more` : ""}.`,
      });
  }
}
