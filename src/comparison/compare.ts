// Compares two groups of samples: expression of each gene in each cell type, and abundance of the types. The
// unit is the sample: counts are summed over the cells of a sample, and each test has one value per sample.
// Source: Crowell et al. 2020 and Squair et al. 2021 (pseudobulk); Law et al. 2014 (voom); Smyth 2004
// (moderated t); Aitchison 1986 (log ratios of compositions).
import type { AnnData } from "../anndata/anndata.js";
import type { RunSettings } from "../contract/options.js";
import { findCounts } from "../data/count-places.js";
import { geneSymbols } from "../data/gene-symbols.js";
import { ScPoliError } from "../contract/errors.js";
import { checkOptionNames, runSettingNames, type OptionNames } from "../contract/option-names.js";
import { covariateOf, type Covariate } from "../samples/covariates.js";
import {
  loadDistributions,
  loadGammaDerivatives,
  type Distributions,
  type GammaDerivatives,
} from "../statistics/distributions.js";
import { dummies } from "../statistics/linear-model.js";
import { benjaminiHochberg } from "../statistics/multiple-testing.js";
import { dependentColumn, fitRow, moderatedTests, type Design } from "../statistics/moderated.js";
import { countCells, pseudobulks, readUnits, type Unit, type Units } from "./pseudobulk.js";
import {
  depthsOf,
  expressedGenes,
  normalizationFactors,
  selectGenes,
  voom,
  type SampleCounts,
} from "./voom.js";

export interface CompareOptions extends RunSettings {
  /** column of obs, the group of interest, and the baseline: fold changes are of the first over the second */
  readonly between: readonly [column: string, first: string, second: string];
  /** column of obs with the samples (patients, donors): the unit of the comparison */
  readonly sampleKey: string;
  /** column of obs with cell types, each compared separately. Default: all cells together */
  readonly within?: string;
  /** columns of obs to adjust for, constant within samples: donor (pairs), batch, age, sex */
  readonly covariates?: readonly string[];
  /** minimum number of cells of a type for a sample to be included. Default 10 */
  readonly minCells?: number;
  /** where the counts are: "X", "raw" or the name of a layer. Default: searched */
  readonly layer?: string;
}

/** One gene in one cell type. */
export interface GeneComparison {
  /** Name of the gene in the index of var */
  readonly gene: string;
  /** Symbol of the gene, or its name where var has none */
  readonly symbol: string;
  /** log2 fold change of counts per million, first group over second */
  readonly log2FoldChange: number;
  /** its standard error, moderated */
  readonly error: number;
  /** mean log2 counts per million over the samples */
  readonly averageExpression: number;
  /** Moderated t statistic */
  readonly t: number;
  /** Two-sided P value */
  readonly p: number;
  /** P corrected by Benjamini-Hochberg over the genes of the type */
  readonly adjustedP: number;
}

/** Comparison of one cell type, or the reason why it was not compared. */
export interface TypeComparison {
  /** Cell type */
  readonly type: string;
  /** numbers of included samples: first group, second group */
  readonly samples: readonly [number, number];
  /** Cells of the first and the second group */
  readonly cells: readonly [number, number];
  /** reason why it was not compared; null if it was */
  readonly reason: string | null;
  /** by ascending P; genes with too few counts are left out */
  readonly genes: readonly GeneComparison[];
  /** residual degrees of freedom, and prior ones from the other genes */
  readonly residualDf: number;
  /** Degrees of freedom of the prior of the variances */
  readonly priorDf: number;
}

/** Abundance of one type, as log ratio to the geometric mean of all types. */
export interface AbundanceComparison {
  /** Cell type */
  readonly type: string;
  /** mean share of a sample's cells in the first and the second group */
  readonly shares: readonly [number, number];
  /** difference of the centred log2 ratios */
  readonly log2Ratio: number;
  /** Standard error of the log2 ratio */
  readonly error: number;
  /** Moderated t statistic */
  readonly t: number;
  /** Two-sided P value */
  readonly p: number;
  /** P corrected by Benjamini-Hochberg over the types */
  readonly adjustedP: number;
}

/** Two groups of samples compared: genes within each cell type, and the abundance of types. */
export interface Comparison {
  /** Column of obs that divides the samples */
  readonly column: string;
  /** Group in the numerator of fold changes */
  readonly first: string;
  /** Group in the denominator of fold changes */
  readonly second: string;
  /** Column of obs that names the samples */
  readonly sampleKey: string;
  /** Column of cell types; null: all cells together */
  readonly within: string | null;
  /** Columns of obs that the design accounts for */
  readonly covariates: readonly string[];
  /** whether samples have cells of both groups, compared as pairs */
  readonly isPaired: boolean;
  /** Samples that are compared, in the order of the tables */
  readonly units: readonly Unit[];
  /** Where the counts were: X, raw.X or a layer */
  readonly place: string;
  /** One comparison per cell type */
  readonly types: readonly TypeComparison[];
  /** empty without types, or where there are fewer than three */
  readonly abundance: readonly AbundanceComparison[];
}

const optionNames: OptionNames<CompareOptions> = {
  ...runSettingNames,
  between: true,
  sampleKey: true,
  within: true,
  covariates: true,
  minCells: true,
  layer: true,
};
const defaultMinCells = 10;
/** Minimum number of samples per group. */
const leastSamples = 2;
/** Minimum number of types for log ratios of their shares. */
const leastTypes = 3;

/**
 * Compares two groups of samples. Needs raw counts.
 * @throws ScPoliError "key" for a column or value that is not there, a group with fewer than two samples, or
 * covariates that are not constant within samples; "usage" if covariates are confounded with the groups;
 * "counts"; "interrupted"
 */
export async function compareSamples(data: AnnData, options: CompareOptions): Promise<Comparison> {
  checkOptionNames("compareSamples", options, optionNames);
  const { between, sampleKey, within, minCells = defaultMinCells, onNote = () => {} } = options;
  const [column, first, second] = between;
  if (first === second)
    throw new ScPoliError(
      "usage",
      `'${first}' is compared with itself; give two values of obs['${column}'].`,
    );
  const units = await readUnits(data.obs, { column, first, second }, sampleKey, within);
  checkSamples(units, { column, first, second, sampleKey });
  const covariates = readCovariates(units, options);
  if (units.isPaired)
    onNote({
      level: "info",
      message: `Samples of '${sampleKey}' have cells of both groups: they are compared as pairs.`,
    });
  const place = await findCounts(data, options.layer);
  const symbols = await geneSymbols(place.var);
  const names = await place.var.index();
  const tools = { ...(await loadDistributions()), ...(await loadGammaDerivatives()) };
  const cells = countCells(units);
  const plans = units.types.map((type, code) => planOf(code, type, units, cells, covariates, minCells));
  const compared = plans.filter(({ reason }) => reason === null).map(({ code }) => code);
  const types = plans.map(({ comparison }) => comparison);
  for await (const { type, counts } of pseudobulks(place, units, compared, options)) {
    const { kept, design, comparison } = plans[type]!;
    const result = compareCounts(takeSamples(counts, kept), design!, tools);
    types[type] = {
      ...comparison,
      residualDf: result.residualDf,
      priorDf: result.priorDf,
      reason: result.genes.length === 0 ? "no gene has enough counts" : null,
      genes: result.genes.map(({ gene, ...row }) => ({ gene: names[gene]!, symbol: symbols[gene]!, ...row })),
    };
  }
  return {
    column,
    first,
    second,
    sampleKey,
    within: within ?? null,
    covariates: covariates.map(({ name }) => name),
    isPaired: units.isPaired,
    units: units.units,
    place: place.name,
    types,
    abundance: within === undefined ? [] : compareAbundance(units, cells, covariates, tools),
  };
}

function checkSamples(
  { units }: Units,
  { column, first, second, sampleKey }: Pick<Comparison, "column" | "first" | "second" | "sampleKey">,
): void {
  const counts = [1, 0].map((group) => units.filter((unit) => unit.group === group).length);
  if (counts.every((count) => count >= leastSamples)) return;
  throw new ScPoliError(
    "key",
    `A comparison needs at least ${leastSamples} samples in each group, since samples are its unit; by ` +
      `obs['${sampleKey}'], ${column} = '${first}' has ${counts[0]} and '${second}' has ${counts[1]}. Give ` +
      "the column of patients or donors (--sample-key). To describe cells of one sample, without claims " +
      `about other samples, use markers with --groups ${column}.`,
    { sampleKey, samples: counts },
  );
}

/** Covariates to adjust for: those given, and the sample in paired comparisons. */
function readCovariates(units: Units, { covariates = [], sampleKey }: CompareOptions): Covariate[] {
  const { metadata } = units;
  const named = covariates.map((name) => {
    const at = metadata.columns.indexOf(name);
    if (at < 0)
      throw new ScPoliError(
        "key",
        `obs['${name}'] is not there, or not constant within the samples of '${sampleKey}', or the same ` +
          "in all. Of the samples are known: " +
          `${metadata.columns.map((column) => `'${column}'`).join(", ") || "nothing else"}.`,
        { covariate: name },
      );
    const values = units.units.map((unit) => metadata.samples[unit.name]![at] ?? null);
    const missing = units.units.filter((_, i) => values[i] === null);
    if (missing.length > 0)
      throw new ScPoliError(
        "key",
        `obs['${name}'] is missing for ${missing.length} samples, e.g. '${missing[0]!.name}'. Fill it ` +
          "in, or leave the covariate out.",
        { covariate: name },
      );
    return covariateOf(name, values, {}, metadata.levels?.[name]);
  });
  if (!units.isPaired || covariates.includes(sampleKey)) return named;
  return [
    ...named,
    covariateOf(
      sampleKey,
      units.units.map(({ sample }) => sample),
      { categorical: [sampleKey] },
    ),
  ];
}

interface Plan {
  readonly code: number;
  readonly reason: string | null;
  /** samples with enough cells */
  readonly kept: Int32Array;
  readonly design: Design | null;
  readonly comparison: TypeComparison;
}

function planOf(
  code: number,
  type: string,
  { units }: Units,
  cells: Int32Array,
  covariates: readonly Covariate[],
  minCells: number,
): Plan {
  const of = (unit: number): number => cells[code * units.length + unit]!;
  const kept = Int32Array.from(units.keys()).filter((unit) => of(unit) >= minCells);
  const inGroup = (group: number): number[] =>
    Array.from(kept).filter((unit) => units[unit]!.group === group);
  const samples = [inGroup(1).length, inGroup(0).length] as const;
  const sum = (group: number): number => inGroup(group).reduce((total, unit) => total + of(unit), 0);
  let reason: string | null = null;
  let design: Design | null = null;
  if (Math.min(...samples) < leastSamples)
    reason = `fewer than ${leastSamples} samples with ${minCells} cells in a group`;
  else {
    design = designOf(units, kept, covariates);
    const dependent = dependentColumn(design);
    if (dependent === 1) reason = "the covariates determine the group of each sample";
    else if (design.columns.length >= kept.length) reason = "as many covariates as samples";
  }
  return {
    code,
    reason,
    kept,
    design,
    comparison: {
      type,
      samples,
      cells: [sum(1), sum(0)],
      reason,
      genes: [],
      residualDf: 0,
      priorDf: 0,
    },
  };
}

/** Index of the group's column in a design; its coefficients are the fold changes. */
const groupColumn = 1;

/** Intercept, group and covariates of some samples; linearly dependent columns are left out. */
function designOf(units: readonly Unit[], kept: Int32Array, covariates: readonly Covariate[]): Design {
  const rows = kept.length;
  const group = Float64Array.from(kept, (unit) => units[unit]!.group);
  const others = covariates.flatMap(({ kind, values, levels }) => {
    const codes = Array.from(kept, (unit) =>
      kind === "number" ? (values[unit] as number) : levels.indexOf(values[unit] as string),
    );
    if (kind === "categorical") {
      const used = [...new Set(codes)].sort((a, b) => a - b);
      return dummies(
        codes.map((code) => used.indexOf(code)),
        used.length,
      );
    }
    const mean = codes.reduce((sum, value) => sum + value, 0) / rows;
    const centred = Float64Array.from(codes, (value) => value - mean);
    const most = centred.reduce((size, value) => Math.max(size, Math.abs(value)), 0);
    return most > 0 ? [centred.map((value) => value / most)] : [];
  });
  const one = new Float64Array(rows).fill(1);
  // the group comes last here, to detect whether the covariates determine it
  if (dependentColumn({ rows, columns: [one, ...independent(rows, [one, ...others]).slice(1), group] }) >= 0)
    return { rows, columns: [one, one] };
  return { rows, columns: [one, group, ...independent(rows, [one, group, ...others]).slice(2)] };
}

function independent(rows: number, columns: readonly Float64Array[]): Float64Array[] {
  const kept: Float64Array[] = [];
  for (const column of columns)
    if (dependentColumn({ rows, columns: [...kept, column] }) < 0) kept.push(column);
  return kept;
}

function takeSamples({ genes, values }: SampleCounts, kept: Int32Array): SampleCounts {
  const selectedCounts = new Float64Array(kept.length * genes);
  kept.forEach((unit, i) => selectedCounts.set(values.subarray(unit * genes, (unit + 1) * genes), i * genes));
  return { samples: kept.length, genes, values: selectedCounts };
}

/** Rows as `GeneComparison` without names; `gene` is the column of the counts. */
export interface CountComparison {
  readonly residualDf: number;
  readonly priorDf: number;
  readonly genes: readonly (Omit<GeneComparison, "gene" | "symbol"> & { readonly gene: number })[];
}

/**
 * limma-voom on the counts of samples: genes with enough counts, TMM, voom, moderated t.
 * @param design - of full rank; its second column tells the group, 0 or 1
 */
export function compareCounts(
  all: SampleCounts,
  design: Design,
  tools: Distributions & GammaDerivatives,
): CountComparison {
  const residualDf = design.rows - design.columns.length;
  const kept = expressedGenes(all, design.columns[groupColumn]!);
  if (kept.length < 2) return { residualDf, priorDf: 0, genes: [] };
  const counts = selectGenes(all, kept);
  const factors = normalizationFactors(counts);
  const depths = depthsOf(counts).map((depth, i) => depth * factors[i]!);
  const { values, weights } = voom(counts, depths, design);
  const G = counts.genes;
  const gather = (from: Float64Array, gene: number): Float64Array =>
    Float64Array.from({ length: design.rows }, (_, i) => from[i * G + gene]!);
  const fits = Array.from(kept, (_, gene) =>
    fitRow(design, gather(values, gene), gather(weights, gene), groupColumn),
  );
  const { prior, tests } = moderatedTests(fits, groupColumn, residualDf, tools, tools);
  const adjusted = benjaminiHochberg(tests.map(({ p }) => p));
  const genes = tests.map(({ effect, error, t, p }, gene) => ({
    gene: kept[gene]!,
    log2FoldChange: effect,
    error,
    averageExpression: gather(values, gene).reduce((sum, value) => sum + value, 0) / design.rows,
    t,
    p,
    adjustedP: adjusted[gene]!,
  }));
  return {
    residualDf,
    priorDf: prior.df,
    genes: genes.sort((a, b) => a.p - b.p || Math.abs(b.t) - Math.abs(a.t) || a.gene - b.gene),
  };
}

/** Pseudocount added to every number of cells, so that logarithms are finite. */
const pseudoCells = 0.5;

/**
 * Compares the abundance of types. Shares of a sample's cells sum to 1, so growth of one type shrinks all
 * others. Each type is therefore compared with the geometric mean of all types (centred log ratio) by a
 * moderated t test.
 */
function compareAbundance(
  { units, types }: Units,
  cells: Int32Array,
  covariates: readonly Covariate[],
  tools: Distributions & GammaDerivatives,
): AbundanceComparison[] {
  const U = units.length;
  const kept = Int32Array.from(units.keys()).filter((unit) =>
    types.some((_, type) => cells[type * U + unit]! > 0),
  );
  const design = designOf(units, kept, covariates);
  const residualDf = kept.length - design.columns.length;
  if (types.length < leastTypes || residualDf < 1 || dependentColumn(design) >= 0) return [];
  const logs = types.map((_, type) =>
    Float64Array.from(kept, (unit) => Math.log2(cells[type * U + unit]! + pseudoCells)),
  );
  const centers = Float64Array.from(
    kept,
    (_, i) => logs.reduce((sum, logsOfType) => sum + logsOfType[i]!, 0) / types.length,
  );
  const totals = Float64Array.from(kept, (unit) =>
    types.reduce((sum, _, type) => sum + cells[type * U + unit]!, 0),
  );
  const fits = logs.map((logsOfType) =>
    fitRow(
      design,
      logsOfType.map((log, i) => log - centers[i]!),
      null,
      groupColumn,
    ),
  );
  const { tests } = moderatedTests(fits, groupColumn, residualDf, tools, tools);
  const adjusted = benjaminiHochberg(tests.map(({ p }) => p));
  const share = (type: number, group: number): number => {
    const groupRows = Array.from(kept.keys()).filter((i) => units[kept[i]!]!.group === group);
    return groupRows.reduce((sum, i) => sum + cells[type * U + kept[i]!]! / totals[i]!, 0) / groupRows.length;
  };
  return types
    .map((type, row) => ({
      type,
      shares: [share(row, 1), share(row, 0)] as const,
      log2Ratio: tests[row]!.effect,
      error: tests[row]!.error,
      t: tests[row]!.t,
      p: tests[row]!.p,
      adjustedP: adjusted[row]!,
    }))
    .sort((a, b) => a.p - b.p || (a.type < b.type ? -1 : 1));
}
