// Stimulated against control samples of kang16: genes per cell type, calibration on control samples alone,
// types.
import { AnnData, compareSamples } from "../../dist/index.js";
import { compareCounts, type Comparison, type TypeComparison } from "../../dist/comparison/compare.js";
import { countCells, pseudobulks, readUnits } from "../../dist/comparison/pseudobulk.js";
import { findCounts } from "../../dist/data/count-places.js";
import { Random } from "../../dist/numerics/random.js";
import { loadDistributions, loadGammaDerivatives } from "../../dist/statistics/distributions.js";
import { data as dataFile, markdownTable, percent, small, type Section } from "./section.ts";

/** Genes that type I interferon induces in every cell (Kang et al. 2018, Fig. 2; Schoggins 2019). */
const induced = ["ISG15", "ISG20", "IFI6", "IFIT1", "IFIT2", "IFIT3", "MX1", "LY6E", "OAS1", "IRF7"];

export async function comparisonOfSamples(): Promise<Section> {
  const started = performance.now();
  const data = await AnnData.open(dataFile("kang16"));
  const result = await compareSamples(data, {
    between: ["condition", "stim", "ctrl"],
    sampleKey: "donor",
    within: "cell_type",
  });
  const seconds = (performance.now() - started) / 1000;
  const cells = data.nObs;
  const calibration = await nullComparisons(data);
  data.close();
  const rows = result.types.map(typeRow);
  return {
    paragraphs: [
      "## Stimulated against control: kang16",
      `\`scpoli compare kang16.h5ad --between condition=stim,ctrl --within cell_type --sample-key ` +
        `donor\`: interferon beta against control, each donor its own control. ` +
        `${(cells / seconds).toFixed(0)} cells per second, reading included.`,
      typesTable(rows),
      "(Up, down: corrected P below 0.05. Genes with too few counts to be tested have no rank.)",
      "### P values where nothing differs",
      "The control samples alone, divided into two groups of donors in every way: no gene differs, and P " +
        "values should be uniform. The test of uniformity (Kolmogorov and Smirnov) takes one gene per " +
        "division, as genes of one division are not independent. Divisions share donors, so that it is " +
        "approximate; the exact one, on simulated counts, is in test/comparison.test.ts.",
      calibrationTable(calibration),
      "### Composition",
      "Mean share of each type among a sample's cells, and its log2 ratio to the geometric mean of all " +
        "types, stimulated over control.",
      abundanceTable(result.abundance),
    ],
    numbers: { rows, calibration, abundance: result.abundance, seconds },
  };
}

/** Results of one cell type for the table. */
function typeRow({ type, samples, genes, reason }: TypeComparison) {
  const rankOf = new Map(genes.map(({ gene }, rank) => [gene, rank + 1]));
  return {
    type,
    samples,
    reason,
    genes: genes.length,
    up: genes.filter((row) => row.adjustedP < 0.05 && row.log2FoldChange > 0).length,
    down: genes.filter((row) => row.adjustedP < 0.05 && row.log2FoldChange < 0).length,
    first: genes.slice(0, 8).map(({ gene, log2FoldChange }) => ({ gene, log2FoldChange })),
    induced: induced.flatMap((gene) => {
      const rank = rankOf.get(gene);
      return rank === undefined ? [] : [{ gene, rank, p: genes[rank - 1]!.adjustedP }];
    }),
  };
}

function typesTable(rows: readonly ReturnType<typeof typeRow>[]): string {
  return markdownTable(
    [
      "cell type",
      "samples",
      "genes",
      "up",
      "down",
      "first genes (log2 fold change)",
      "interferon-induced genes: rank",
    ],
    rows.map((row) =>
      row.reason === null
        ? [
            row.type,
            row.samples.join(", "),
            row.genes,
            row.up,
            row.down,
            row.first.map(({ gene, log2FoldChange }) => `${gene} (${log2FoldChange.toFixed(1)})`).join(", "),
            row.induced
              .map(({ gene, rank, p }) => `${gene} ${rank}${p < 0.05 ? "" : ` (P ${small(p)})`}`)
              .join(", "),
          ]
        : [row.type, row.samples.join(", "), "", "", "", `not compared: ${row.reason}`, ""],
    ),
  );
}

function calibrationTable(calibration: readonly Calibration[]): string {
  return markdownTable(
    [
      "cell type",
      "tests",
      "P < 0.05",
      "P < 0.01",
      "P < 0.001",
      "corrected P < 0.05",
      "uniform: P of the test",
    ],
    calibration.map((row) => [
      row.type,
      row.splits,
      row.tests,
      percent(row.below05, 1),
      percent(row.below01, 2),
      percent(row.below001, 3),
      row.discoveries,
      small(row.uniform),
    ]),
  );
}

function abundanceTable(abundance: Comparison["abundance"]): string {
  return markdownTable(
    ["cell type", "stim", "ctrl", "log2 ratio", "P", "corrected P"],
    abundance.map((row) => [
      row.type,
      percent(row.shares[0], 1),
      percent(row.shares[1], 1),
      row.log2Ratio.toFixed(2),
      small(row.p),
      small(row.adjustedP),
    ]),
  );
}

interface Calibration {
  readonly type: string;
  readonly splits: number;
  readonly tests: number;
  readonly below05: number;
  readonly below01: number;
  readonly below001: number;
  /** genes with a corrected P below 0.05, over all divisions */
  readonly discoveries: number;
  /** P value of the test of uniformity */
  readonly uniform: number;
}

/** All divisions of the control samples of a type into halves. */
async function nullComparisons(data: AnnData): Promise<Calibration[]> {
  const tools = { ...(await loadDistributions()), ...(await loadGammaDerivatives()) };
  const units = await readUnits(
    data.obs,
    { column: "condition", first: "stim", second: "ctrl" },
    "donor",
    "cell_type",
  );
  const cells = countCells(units);
  const countsPlace = await findCounts(data);
  const calibrations: Calibration[] = [];
  for await (const { type, counts } of pseudobulks(countsPlace, units, [...units.types.keys()], {})) {
    const control = [...units.units.keys()].filter(
      (unit) => units.units[unit]!.group === 0 && cells[type * units.units.length + unit]! >= 10,
    );
    if (control.length < 6) continue;
    const G = counts.genes;
    const values = new Float64Array(control.length * G);
    control.forEach((unit, i) => values.set(counts.values.subarray(unit * G, (unit + 1) * G), i * G));
    const random = new Random(1, `calibration of ${units.types[type]}`);
    const all: number[] = [];
    const single: number[] = [];
    let discoveries = 0;
    let splits = 0;
    // the first sample is always in the first group, so that no division occurs twice
    for (let code = 0; code < 1 << (control.length - 1); code++) {
      const group = Float64Array.from(control, (_, i) => (i === 0 ? 0 : (code >> (i - 1)) & 1));
      if (group.reduce((sum, member) => sum + member, 0) !== Math.floor(control.length / 2)) continue;
      splits++;
      const { genes } = compareCounts(
        { samples: control.length, genes: G, values },
        { rows: control.length, columns: [new Float64Array(control.length).fill(1), group] },
        tools,
      );
      for (const { p, adjustedP } of genes) {
        all.push(p);
        if (adjustedP < 0.05) discoveries++;
      }
      single.push(genes[random.below(genes.length)]!.p);
    }
    const below = (limit: number): number => all.filter((p) => p < limit).length / all.length;
    calibrations.push({
      type: units.types[type]!,
      splits,
      tests: all.length,
      below05: below(0.05),
      below01: below(0.01),
      below001: below(0.001),
      discoveries,
      uniform: uniformity(single),
    });
  }
  return calibrations;
}

/** P value of the Kolmogorov-Smirnov test of uniformity on 0..1, by its limiting distribution. */
function uniformity(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const n = sorted.length;
  const distance = sorted.reduce((most, value, i) => Math.max(most, value - i / n, (i + 1) / n - value), 0);
  const x = (Math.sqrt(n) + 0.12 + 0.11 / Math.sqrt(n)) * distance;
  let sum = 0;
  for (let k = 1; k <= 100; k++) sum += 2 * (-1) ** (k - 1) * Math.exp(-2 * k * k * x * x);
  return Math.max(0, Math.min(1, sum));
}
