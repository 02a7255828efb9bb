// Marker genes of groups of cells: a tie-corrected Wilcoxon rank-sum test per gene and group, with effect
// sizes. Source: Wilcoxon 1945, Mann and Whitney 1947; results are those of scanpy's
// rank_genes_groups(method="wilcoxon", tie_correct=True).
import type { AnnData } from "../anndata/anndata.js";
import type { RunSettings } from "../contract/options.js";
import type { CountsPlace } from "../data/count-places.js";
import { expressionBlocks, findExpression } from "../data/expression-blocks.js";
import { geneSymbols } from "../data/gene-symbols.js";
import { factorize, selectedCells, type Factor } from "../data/labels.js";
import { ScPoliError } from "../contract/errors.js";
import { checkOptionNames, runSettingNames, type OptionNames } from "../contract/option-names.js";
import { loadDistributions, type Distributions } from "../statistics/distributions.js";
import { benjaminiHochberg } from "../statistics/multiple-testing.js";
import { bytesPerEntry, GeneColumns } from "./gene-columns.js";
import { pairedRanks, rankSums } from "./rank-sums.js";

export interface MarkersOptions extends RunSettings {
  /** column of obs, one group per value; cells without a value belong to no group but to the rest of each */
  readonly groups?: string;
  /**
   * instead of `groups`: cells by values of obs columns, as one group named "selection" against all others
   */
  readonly select?: Readonly<Record<string, readonly string[]>>;
  /** instead of `groups`: (cells) group of each cell, -1 for none, and the groups' names */
  readonly codes?: Pick<Factor, "codes" | "names">;
  /** groups to report; comparisons are still with all other cells. Default: all */
  readonly only?: readonly string[];
  /** compare each group with this one. Default: with all other cells */
  readonly against?: string;
  /** matrix: "X", "raw" or the name of a layer. Default: the normalised raw counts, or X without counts */
  readonly layer?: string;
  /** Approximate memory in bytes for values; genes that do not fit need further passes. Default 1 GiB */
  readonly memory?: number;
}

/** Marker genes of K groups among G genes; matrices are (K, G), row-major. */
export interface Markers {
  /** column of obs; "selection" for selected cells */
  readonly key: string;
  /** the matrix: "X", "raw.X", "layers/NAME" */
  readonly place: string;
  /** whether it was normalised here */
  readonly isNormalized: boolean;
  /** (K) */
  readonly groups: readonly { readonly name: string; readonly cells: number }[];
  /** reference group of all comparisons; null: all other cells */
  readonly against: string | null;
  /** (G) names of var */
  readonly genes: readonly string[];
  /** (G) symbols; names if the file has no symbols */
  readonly symbols: readonly string[];
  /** (K, G) genes of each group, the highest score first */
  readonly order: Int32Array;
  /** z of the rank sum, corrected for ties; 0 if a gene does not vary */
  readonly scores: Float64Array;
  /** two-sided, normal approximation */
  readonly pValues: Float64Array;
  /** P corrected by Benjamini-Hochberg over the genes of a group */
  readonly adjustedPValues: Float64Array;
  /** log2 of the ratio of expm1 of the mean values, 1e-9 added to each */
  readonly logFoldChanges: Float64Array;
  /** probability that a cell of the group has a higher value than another cell; ties count half: 0..1 */
  readonly auc: Float32Array;
  /** share of cells that express the gene, in the group and in the cells compared with */
  readonly shares: Float32Array;
  /** (groups, genes) share of the other cells that express the gene */
  readonly otherShares: Float32Array;
  /** mean value in the group, and in the cells compared with */
  readonly means: Float32Array;
  /** (groups, genes) mean value of the other cells */
  readonly otherMeans: Float32Array;
  /**
   * expm1 of the group's mean divided by the sum over all groups, 0..1: 1 if no other group has the gene, 1 /
   * groups if all groups have the same mean
   */
  readonly specificity: Float32Array;
}

const optionNames: OptionNames<MarkersOptions> = {
  ...runSettingNames,
  groups: true,
  select: true,
  codes: true,
  only: true,
  against: true,
  layer: true,
  memory: true,
};
const defaultMemory = 2 ** 30;
/**
 * Maximum number of groups: more are not clusters or types, and their tables would be larger than the data.
 */
const mostGroups = 500;
/** The normal approximation of a rank sum is good from about this number of cells. */
const fewCells = 25;

/**
 * Tests every gene in every group. Memory is limited to `memory`, a few bytes per cell, and tables of groups
 * x genes.
 * @throws ScPoliError "usage" for an invalid option; "key" for a column, value or group that does not exist;
 * "refused" if there are more than 500 groups, unless `force`; "counts"; "interrupted"
 */
export async function findMarkers(data: AnnData, options: MarkersOptions): Promise<Markers> {
  checkOptionNames("findMarkers", options, optionNames);
  const { onNote = () => {} } = options;
  const grouping = await readGrouping(data, options);
  const place = await findExpression(data, options.layer, onNote);
  const genes = await place.var.index();
  const sums = new GroupSums(grouping.sizes.length, genes.length);
  const ranks = await rankAllGenes(place, grouping, sums, options);
  const statistics = await summarize(grouping, sums, ranks, genes.length);
  return {
    key: grouping.key,
    place: place.name,
    isNormalized: place.values !== "numbers",
    against: grouping.reference === null ? null : grouping.names[grouping.reference]!,
    genes,
    symbols: await geneSymbols(place.var),
    ...statistics,
  };
}

interface Grouping {
  readonly key: string;
  /** names of the groups that cells are in; the last of `sizes` is of cells in none */
  readonly names: readonly string[];
  /** (cells) group; names.length for none, -1 for excluded cells */
  readonly codes: Int32Array;
  /** (names.length + 1) numbers of cells */
  readonly sizes: Int32Array;
  /** groups to report */
  readonly reported: readonly number[];
  readonly reference: number | null;
}

async function readGrouping(data: AnnData, options: MarkersOptions): Promise<Grouping> {
  const { only, against, onNote = () => {} } = options;
  const { key, factor } = await readFactor(data, options);
  const { names } = factor;
  const shown = names.slice(0, 20).map((name) => `'${name}'`);
  for (const name of [...(only ?? []), ...(against === undefined ? [] : [against])])
    if (!names.includes(name))
      throw new ScPoliError(
        "key",
        `obs['${key}'] has no group '${name}'; it has ` +
          `${shown.join(", ")}${names.length > 20 ? ", ..." : ""}.`,
        { key, group: name },
      );
  if (names.length > mostGroups && !options.force)
    throw new ScPoliError(
      "refused",
      `obs['${key}'] has ${names.length} values; a column of clusters or cell types is expected to have ` +
        `at most ${mostGroups}. Give another column, or continue with --force (force: true).`,
      { key, groups: names.length },
    );
  const reference = against === undefined ? null : names.indexOf(against);
  const isUsed = names.map((name, code) => only === undefined || only.includes(name) || code === reference);
  const codes = factor.codes.map((code) =>
    reference !== null && (code < 0 || !isUsed[code]) ? -1 : code < 0 ? names.length : code,
  );
  const sizes = new Int32Array(names.length + 1);
  for (const code of codes) if (code >= 0) sizes[code]!++;
  const compared = (code: number): number =>
    reference === null ? codes.length - sizes[code]! : sizes[reference]!;
  const wanted = names.flatMap((name, code) =>
    code === reference || (only !== undefined && !only.includes(name)) ? [] : [code],
  );
  const reported = wanted.filter((code) => sizes[code]! >= 2 && compared(code) >= 1);
  const alone = wanted.filter((code) => !reported.includes(code));
  if (reported.length === 0)
    throw new ScPoliError(
      "key",
      `obs['${key}'] gives nothing to compare: expected a group of at least 2 cells, and other cells; ` +
        `there ${names.length === 1 ? "is one group" : `are ${names.length} groups`} of ${codes.length} ` +
        "cells.",
      { key },
    );
  if (alone.length > 0)
    onNote({
      level: "warning",
      message: `Left out, with only one cell: ${alone.map((code) => `'${names[code]}'`).join(", ")}.`,
    });
  const small = reported.filter((code) => sizes[code]! <= fewCells || compared(code) <= fewCells);
  if (small.length > 0)
    onNote({
      level: "info",
      message: `P values are approximate for groups of at most ${fewCells} cells: ${small
        .slice(0, 5)
        .map((code) => `'${names[code]}' (${sizes[code]})`)
        .join(", ")}${small.length > 5 ? ", ..." : ""}.`,
    });
  return { key, names, codes, sizes, reported, reference };
}

async function readFactor(
  data: AnnData,
  { groups, select, codes }: MarkersOptions,
): Promise<{ readonly key: string; readonly factor: Pick<Factor, "codes" | "names"> }> {
  if ([groups, select, codes].filter((choice) => choice !== undefined).length !== 1)
    throw new ScPoliError(
      "usage",
      "Specify the cells to compare: either a column of obs (groups), or cells (select or codes).",
    );
  if (groups !== undefined) return { key: groups, factor: factorize(await data.obs.column(groups)) };
  if (codes !== undefined) {
    if (codes.codes.length !== data.nObs)
      throw new ScPoliError(
        "usage",
        `There are codes of ${codes.codes.length} cells; ${data.path} has ${data.nObs}.`,
      );
    return { key: "selection", factor: codes };
  }
  const selected = new Int32Array(data.nObs).fill(-1);
  for (const cell of await selectedCells(data.obs, select)) selected[cell] = 0;
  return { key: "selection", factor: { codes: selected, names: ["selection"] } };
}

/** Sums of values and numbers of entries per group and gene. */
class GroupSums {
  readonly sums: Float64Array;
  readonly entries: Int32Array;
  constructor(
    groups: number,
    readonly genes: number,
  ) {
    this.sums = new Float64Array(groups * genes);
    this.entries = new Int32Array(groups * genes);
  }

  add(group: number, gene: number, value: number): void {
    this.sums[group * this.genes + gene]! += value;
    this.entries[group * this.genes + gene]!++;
  }
}

/** Rank statistics per group and gene. */
interface Ranks {
  /** (groups, G) Mann and Whitney's U of the group */
  readonly wins: Float64Array;
  /** (groups, G) sum over ties of t^3 - t */
  readonly ties: Float64Array;
}

/** Reads the file once, and again for every range of genes that does not fit in memory. */
async function rankAllGenes(
  place: CountsPlace,
  grouping: Grouping,
  sums: GroupSums,
  { memory = defaultMemory, onProgress, onNote, signal }: MarkersOptions,
): Promise<Ranks> {
  const { matrix } = place;
  const { codes, sizes, reference } = grouping;
  const genes = matrix.columns;
  const isDouble = place.values === "numbers" && matrix.dtype === "float64";
  const most = Math.max(matrix.rows, Math.floor(memory / bytesPerEntry(isDouble)));
  const wins = new Float64Array(sizes.length * genes);
  const ties = new Float64Array(sizes.length * genes);
  let start = 0;
  while (start < genes) {
    const isFirst = start === 0;
    // partly filled chunks waste less than one chunk per gene
    const columns = new GeneColumns(genes, start, Math.min(most, matrix.stored + 64 * genes), isDouble);
    const done = start / genes;
    const blocks = expressionBlocks(place, {
      signal,
      onProgress: (cells, total) =>
        onProgress?.({ stage: "reading", done: Math.round(done * total + (1 - done) * cells), total }),
    });
    for await (const block of blocks) {
      columns.add(block, codes);
      if (isFirst) addSums(sums, block, codes);
    }
    for (let gene = start; gene < columns.end; gene++) {
      const entries = columns.sorted(gene);
      if (reference === null) {
        const { sums: rankSum, ties: tied } = rankSums(entries, sizes);
        for (let group = 0; group < sizes.length; group++) {
          wins[group * genes + gene] = rankSum[group]! - (sizes[group]! * (sizes[group]! + 1)) / 2;
          ties[group * genes + gene] = tied;
        }
      } else {
        const pairs = pairedRanks(entries, sizes, reference);
        for (let group = 0; group < sizes.length; group++) {
          wins[group * genes + gene] = pairs.wins[group]!;
          ties[group * genes + gene] = pairs.ties[group]!;
        }
      }
    }
    if (isFirst && columns.end < genes)
      onNote?.({
        level: "info",
        message:
          `The file is read more than once: ${columns.end} of ${genes} genes fit in ` +
          `${(memory / 2 ** 30).toFixed(1)} GiB at a time. More memory (--memory) needs fewer passes.`,
      });
    start = columns.end;
  }
  return { wins, ties };
}

function addSums(
  sums: GroupSums,
  { start, rows, indptr, indices, values }: Parameters<GeneColumns["add"]>[0],
  codes: Int32Array,
): void {
  for (let row = 0; row < rows; row++) {
    const group = codes[start + row]!;
    if (group < 0) continue;
    for (let k = indptr[row]!; k < indptr[row + 1]!; k++) sums.add(group, indices[k]!, values[k]!);
  }
}

type Statistics = Omit<Markers, "key" | "place" | "isNormalized" | "against" | "genes" | "symbols">;

async function summarize(grouping: Grouping, sums: GroupSums, ranks: Ranks, G: number): Promise<Statistics> {
  const distributions = await loadDistributions();
  const { names, sizes, reported } = grouping;
  const K = reported.length;
  const doubles = (): Float64Array => new Float64Array(K * G);
  const floats = (): Float32Array => new Float32Array(K * G);
  const statistics = {
    groups: reported.map((code) => ({ name: names[code]!, cells: sizes[code]! })),
    order: new Int32Array(K * G),
    scores: doubles(),
    pValues: doubles(),
    adjustedPValues: doubles(),
    logFoldChanges: doubles(),
    auc: floats(),
    shares: floats(),
    otherShares: floats(),
    means: floats(),
    otherMeans: floats(),
    specificity: floats(),
  };
  for (let gene = 0; gene < G; gene++)
    eachComparison(grouping, sums, gene, G, (k, { from, size, others, mean, otherMean, shares, all }) => {
      const at = k * G + gene;
      const { score, p } = rankSumTest(ranks.wins[from]!, ranks.ties[from]!, size, others, distributions);
      statistics.scores[at] = score;
      statistics.pValues[at] = p;
      statistics.logFoldChanges[at] = Math.log2((Math.expm1(mean) + 1e-9) / (Math.expm1(otherMean) + 1e-9));
      statistics.auc[at] = ranks.wins[from]! / (size * others);
      [statistics.shares[at], statistics.otherShares[at]] = shares;
      statistics.means[at] = mean;
      statistics.otherMeans[at] = otherMean;
      statistics.specificity[at] = all > 0 ? Math.max(0, Math.expm1(mean)) / all : 0;
    });
  for (let k = 0; k < K; k++) {
    const [from, to] = [k * G, (k + 1) * G];
    statistics.adjustedPValues.set(benjaminiHochberg(statistics.pValues.subarray(from, to)), from);
    const scores = statistics.scores.subarray(from, to);
    statistics.order.set(
      Int32Array.from(scores.keys()).sort((a, b) => scores[b]! - scores[a]! || a - b),
      from,
    );
  }
  return statistics;
}

/** A gene in the cells of a group, and in those that it is compared with. */
interface GeneComparison {
  /** entry of the group and gene in tables of all groups */
  readonly from: number;
  readonly size: number;
  readonly others: number;
  readonly mean: number;
  readonly otherMean: number;
  /** shares of the cells that have the gene */
  readonly shares: readonly [group: number, others: number];
  /** sum over the named groups of the expression of the gene, without the logarithm */
  readonly all: number;
}

function eachComparison(
  { names, sizes, reported, reference }: Grouping,
  { sums, entries }: GroupSums,
  gene: number,
  G: number,
  visit: (k: number, comparison: GeneComparison) => void,
): void {
  const cells = sizes.reduce((sum, size) => sum + size, 0);
  let [allSums, allEntries, levels] = [0, 0, 0];
  for (let code = 0; code < sizes.length; code++) {
    allSums += sums[code * G + gene]!;
    allEntries += entries[code * G + gene]!;
    if (code < names.length && sizes[code]! > 0)
      levels += Math.max(0, Math.expm1(sums[code * G + gene]! / sizes[code]!));
  }
  for (const [k, code] of reported.entries()) {
    const from = code * G + gene;
    const size = sizes[code]!;
    const [others, otherSum, otherEntries] =
      reference === null
        ? [cells - size, allSums - sums[from]!, allEntries - entries[from]!]
        : [sizes[reference]!, sums[reference * G + gene]!, entries[reference * G + gene]!];
    const [mean, otherMean] = [sums[from]! / size, otherSum / others];
    const all = names.length === 1 ? Math.expm1(mean) + Math.max(0, Math.expm1(otherMean)) : levels;
    const shares = [entries[from]! / size, otherEntries / others] as const;
    visit(k, { from, size, others, mean, otherMean, shares, all });
  }
}

/**
 * Normal approximation of the rank-sum test, without continuity correction.
 * @param wins - U of the first group
 * @param ties - sum over ties of t^3 - t
 */
function rankSumTest(
  wins: number,
  ties: number,
  size: number,
  others: number,
  { normalTwoSided }: Pick<Distributions, "normalTwoSided">,
): { readonly score: number; readonly p: number } {
  const cells = size + others;
  const untied = 1 - ties / (cells ** 3 - cells);
  const spread = Math.sqrt((untied * size * others * (cells + 1)) / 12);
  const score = spread > 0 ? (wins - (size * others) / 2) / spread : 0;
  return { score, p: normalTwoSided(score) };
}
