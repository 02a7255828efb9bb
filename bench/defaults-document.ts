// docs/benchmarks/defaults.md, made of the runs of bench/defaults.ts.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { mean } from "../dist/numerics/descriptive.js";

/** One run: a variant on a set with conditions left out. */
export interface StudyRow {
  readonly set: string;
  readonly left_out: string;
  readonly variant: string;
  /** left-out cells whose type the reference has */
  readonly cells: number;
  readonly prototype_accuracy: number;
  readonly prototype_macro_f1: number;
  readonly head_accuracy: number;
  readonly head_macro_f1: number;
  /** share of the left-out cells */
  readonly disagreement: number;
  readonly type_silhouette: number;
  readonly nmi: number;
  readonly ari: number;
  readonly condition_silhouette: number;
  readonly graph_connectivity: number;
  readonly integration: number;
  readonly epochs: number;
  readonly seed: number;
}

/** The current and the former default. */
const chosen = "mean 40/200";
const former = "both 2/50, 128, no early stopping";
/** Variants that are run with several seeds on all sets. */
export const finalists = [chosen, "mean 40/50", former];

const tableColumns = [
  ["prototype_accuracy", "prototype accuracy"],
  ["prototype_macro_f1", "macro F1"],
  ["head_accuracy", "head accuracy"],
  ["head_macro_f1", "macro F1"],
  ["disagreement", "disagree"],
  ["type_silhouette", "type silhouette"],
  ["nmi", "NMI"],
  ["ari", "ARI"],
  ["condition_silhouette", "condition silhouette"],
  ["graph_connectivity", "graph"],
  ["integration", "integration"],
] as const;

/** Mean over the groups of a set, then over the sets, so that all sets have the same weight. */
function meanOverSets(rows: readonly StudyRow[], figure: (typeof tableColumns)[number][0]): number {
  const sets = [...new Set(rows.map(({ set }) => set))];
  return mean(sets.map((set) => mean(rows.filter((row) => row.set === set).map((row) => row[figure]))));
}

const splitOf = ({ set, left_out }: StudyRow): string => `${set}/${left_out}`;

function table(rows: readonly StudyRow[], variants: readonly string[]): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [
    line(["variant", "left out", ...tableColumns.map(([, title]) => title)]),
    line(["---", "---", ...tableColumns.map(() => "---")]),
    ...variants.flatMap((variant) => {
      const ofVariant = rows.filter((row) => row.variant === variant);
      return ofVariant.length === 0
        ? []
        : [
            line([
              variant,
              String(ofVariant.length),
              ...tableColumns.map(([figure]) => meanOverSets(ofVariant, figure).toFixed(3)),
            ]),
          ];
    }),
  ];
}

/** The published loss and width. */
const before = "distance 1, sqrt(G)";
/** The margin within which prototypes label by default. */
const mostBehind = 0.005;

/** Metrics of two variants on their common groups, and the rule for labels. */
function choice(rows: readonly StudyRow[]): string[] {
  const groupsOf = (variant: string): Set<string> =>
    new Set(rows.filter((row) => row.variant === variant).map(splitOf));
  const [ofChosen, ofBefore] = [groupsOf(chosen), groupsOf(before)];
  const both = rows.filter((row) => ofChosen.has(splitOf(row)) && ofBefore.has(splitOf(row)));
  const [after, earlier] = [chosen, before].map((variant) => both.filter((row) => row.variant === variant));
  if (after!.length === 0) return [];
  const change = (figure: (typeof tableColumns)[number][0]): string =>
    `${meanOverSets(earlier!, figure).toFixed(3)} to ${meanOverSets(after!, figure).toFixed(3)}`;
  const better = after!.filter((row) =>
    earlier!.some(
      (other) =>
        splitOf(other) === splitOf(row) &&
        row.prototype_accuracy >= other.prototype_accuracy &&
        row.integration >= other.integration,
    ),
  );
  return [
    "## What was chosen",
    "",
    `The default is \`${chosen}\`; the published one is \`${before}\`. On the ` +
      `${after!.length} left-out groups that both have (of ` +
      `${[...new Set(after!.map(({ set }) => set))].join(", ")}), means over the sets go ` +
      `from the one to the other: accuracy of the nearest prototype ${change("prototype_accuracy")}, ` +
      `macro F1 ${change("prototype_macro_f1")}, integration ${change("integration")}. Both accuracy ` +
      `and integration are at least as good in ${better.length} of the ${after!.length}.`,
    "",
    rulesText(after!),
    "",
    ...weightsText(rows),
  ];
}

const isSimulated = (set: string): boolean => set.startsWith("simulated");

/** The nearest prototype minus the classifier on genes, on real and on simulated cells, and the rule. */
function rulesText(rows: readonly StudyRow[]): string {
  const differences = (of: readonly StudyRow[]): readonly number[] => [
    meanOverSets(of, "prototype_accuracy") - meanOverSets(of, "head_accuracy"),
    meanOverSets(of, "prototype_macro_f1") - meanOverSets(of, "head_macro_f1"),
  ];
  const signed = (value: number): string => `${value < 0 ? "" : "+"}${value.toFixed(3)}`;
  const text = ([accuracy, f1]: readonly number[]): string =>
    `accuracy ${signed(accuracy!)}, macro F1 ${signed(f1!)}`;
  const real = rows.filter(({ set }) => !isSimulated(set));
  const simulated = rows.filter(({ set }) => isSimulated(set));
  const isNear = differences(real).every((difference) => difference >= -mostBehind);
  return (
    `Labels: prototypes label by default if they are at most ${mostBehind} below the head (the classifier ` +
    "on genes) on the mean of the real data sets. Prototypes minus head, with the default loss: " +
    text(differences(real)) +
    (simulated.length === 0 ? "" : ` (simulated atlases: ${text(differences(simulated))})`) +
    `, so ${isNear ? "prototypes label" : "the head should label"} by default.`
  );
}

/** Groups of sets on which the finalists are compared. */
const settings: readonly (readonly [string, (set: string) => boolean])[] = [
  ["real cells", (set) => !isSimulated(set)],
  ["2,000 simulated cells", (set) => set === "simulated"],
  ["100,000 simulated cells", (set) => set === "simulated-large"],
];
const compared = ["prototype_accuracy", "prototype_macro_f1", "integration"] as const;

/** Weights and widths with the distance averaged over cells, beside the former default: seed 0. */
function weightsText(rows: readonly StudyRow[]): string[] {
  const variants = [...new Set(rows.map(({ variant }) => variant))].filter((name) => /^mean /.test(name));
  const lines = [former, "cross-entropy 50, 128, no early stopping", ...variants].map((variant) => {
    const cells = settings.flatMap(([, isIn]) => {
      const ofVariant = rows.filter((row) => row.variant === variant && isIn(row.set));
      return compared.map((figure) =>
        ofVariant.length === 0 ? "" : meanOverSets(ofVariant, figure).toFixed(3),
      );
    });
    return `| ${variant} | ${cells.join(" | ")} |`;
  });
  return [
    "Other weights, latent spaces and embeddings (accuracy and macro F1 of the nearest prototype, and " +
      "integration), seed 0:",
    "",
    `| variant | ${settings.map(([name]) => `${name}: accuracy | macro F1 | integration`).join(" | ")} |`,
    `|${" --- |".repeat(1 + settings.length * compared.length)}`,
    ...lines,
    "",
  ];
}

/** Finalists on the runs that all of them have, means over sets and seeds. */
function finalistsText(rows: readonly StudyRow[]): string[] {
  const runOf = (row: StudyRow): string => `${splitOf(row)}/${row.seed}`;
  const runs = finalists.map((variant) => new Set(rows.filter((row) => row.variant === variant).map(runOf)));
  const common = rows.filter((row) => runs.every((ofVariant) => ofVariant.has(runOf(row))));
  const lines = settings.flatMap(([setting, isIn]) => {
    const inSetting = common.filter(({ set }) => isIn(set));
    return inSetting.length === 0
      ? []
      : finalists.map((variant) => {
          const ofVariant = inSetting.filter((row) => row.variant === variant);
          const values = compared.map((figure) => meanOverSets(ofVariant, figure));
          return (
            `| ${setting} | ${ofVariant.length} | ${variant} | ` +
            `${[...values, mean(values)].map((value) => value.toFixed(3)).join(" | ")} |`
          );
        });
  });
  if (lines.length === 0) return [];
  return [
    "## Several seeds",
    "",
    "The default, a smaller weight of the cross-entropy, and the former default, with two seeds (one on " +
      "the large atlas).",
    "",
    "| cells | runs | variant | prototype accuracy | macro F1 | integration | mean |",
    `|${" --- |".repeat(7)}`,
    ...lines,
    "",
  ];
}

/** @param variants - in the order of the table */
export function writeDefaults(path: string, allRows: readonly StudyRow[], variants: readonly string[]): void {
  const rows = allRows.filter(({ seed }) => seed === 0);
  const sets = [...new Set(rows.map(({ set }) => set))];
  const splitsOf = (variant: string): string[] => rows.filter((row) => row.variant === variant).map(splitOf);
  // only splits that every variant has are compared
  const usual = variants.filter((variant) => rows.some((row) => row.variant === variant));
  const shared = new Set(
    rows.map(splitOf).filter((split) => usual.every((variant) => splitsOf(variant).includes(split))),
  );
  const missing = variants.filter((variant) => !usual.includes(variant));
  const text = [
    "# How the defaults were chosen",
    "",
    "Which loss, weights and widths label and integrate best on samples that a reference has not seen. In " +
      "short: [What was chosen](#what-was-chosen). What it costs: " +
      "[What varies within types](#what-varies-within-types).",
    "",
    "![Variants of the defaults on left-out conditions of references](figures/defaults.svg)",
    "",
    "Conditions of references are left out in turn, mapped without their labels, and scored; the queries " +
      "of the other benchmarks are not used. One factor at a time was changed from `both 10/50, 128` (the " +
      "distance summed over types, as in the published code), then the factors that helped were combined; " +
      "seed 0 unless noted, one thread, embeddings of 5, at most 2,000 variable genes. Without " +
      "`no early stopping`, fine-tuning stops by the loss of the validation cells.",
    "`mean 40/200`: the distance averaged over cells; 128 units, no early stopping, a latent space of 20, " +
      "embeddings of 10 and a type balance of 0.5 unless the name says otherwise.",
    "`10/50`: weight of the distance and of the cross-entropy. `integration`: 0.6 times the mean of type " +
      "silhouette, NMI and ARI of k-means, plus 0.4 times the mean of condition silhouette and graph " +
      "connectivity, over reference and left-out cells together. `disagree`: share of the left-out " +
      "cells whose nearest prototype is not the label of the head (the classifier on genes). `head` is its " +
      "accuracy.",
    "Made by `npm run study:defaults` (runs: `bench/results/defaults.csv`; the simulated atlases: " +
      "`bench/overlapping-atlas.ts`). A run that is missing has not been made yet.",
    ...(missing.length > 0 ? [`Not run yet: ${missing.join("; ")}.`] : []),
    "",
    ...choice(rows),
    ...finalistsText(allRows),
    `## Means over the sets (${shared.size} left-out groups that every variant has)`,
    "",
    ...table(
      rows.filter((row) => shared.has(splitOf(row))),
      variants,
    ),
    ...sets.flatMap((set) => {
      const ofSet = rows.filter((row) => row.set === set);
      return ["", `## ${set}`, "", ...table(ofSet, variants)];
    }),
  ];
  // bench/within-types.ts writes a section of this document
  const other = existsSync(path)
    ? /^## What varies within types$[\s\S]*/m.exec(readFileSync(path, "utf8"))
    : null;
  writeFileSync(path, `${[...text, ...(other ? ["", other[0].trimEnd()] : [])].join("\n")}\n`);
}
