// The model card: a description of the model in Markdown with fields for its author to fill in. `train`
// writes it next to the model, `scpoli models info` shows it.
import type { ModelJson } from "../model/stored-model.js";
import { cardName, openModelFiles } from "./model-files.js";

/** The card of a model; null if it has none. @throws ScPoliError as `openModelFiles` */
export async function cardOf(path: string): Promise<string | null> {
  const files = await openModelFiles(path);
  return files?.names.includes(cardName) ? new TextDecoder().decode(await files.read(cardName)) : null;
}

/** Fields that only the author can fill in. */
const cardFields = ["licence", "organism", "tissue", "doi", "description"] as const;
export type CardFields = Readonly<Partial<Record<(typeof cardFields)[number], string>>>;

/** Placeholder of an empty field. */
const open = "(fill in)";

/** A card for a model, with the given fields filled in. */
export function modelCard(json: ModelJson, fields: CardFields = {}): string {
  const list = (names: readonly string[], most = 30): string =>
    names.length <= most
      ? names.join(", ")
      : `${names.slice(0, most).join(", ")} and ${names.length - most} more`;
  const keys = json.condition_keys.map((key, k) => {
    const names = json.conditions[k]!.slice(0, json.reference_conditions[k]);
    return `| conditions, ${key} | ${names.length}: ${list(names)} |`;
  });
  const levels = json.cell_type_keys.map((key, level) => {
    const types = json.levels[level]!.map((row) => json.cell_types[row]!);
    return `| cell types, ${key} | ${types.length}: ${list(types, 60)} |`;
  });
  const cells = json.provenance["cells"];
  return [
    "---",
    ...cardFields.map((name) => `${name}: ${fields[name] || open}`),
    "---",
    "",
    "| what | |",
    "| --- | --- |",
    `| cells | ${typeof cells === "number" ? cells : "not known"} |`,
    `| genes | ${json.genes.length} (${kindOfGenes(json.genes)}), such as ` +
      `${json.genes.slice(0, 5).join(", ")} |`,
    ...keys,
    ...levels,
    `| network | hidden layers of ${json.model.hidden_layer_sizes.join(", ")}; latent space of ` +
      `${json.model.latent_dim}; likelihood ${json.model.recon_loss} |`,
    ...trainingRow(json),
    `| made by | scpoli ${json.scpoli_version} |`,
    "",
    ...qualityOf(json),
    "",
  ].join("\n");
}

/** Table row of the training options; none for an imported model, whose options are unknown. */
function trainingRow({ provenance, prototype_loss: prototypes }: ModelJson): string[] {
  const { seed } = (provenance["optimization"] ?? {}) as { readonly seed?: number };
  const epochs = provenance["epochs_run"];
  if (typeof epochs !== "number") return [];
  const loss = prototypes
    ? `; prototype loss ${prototypes.loss}, eta ${prototypes.eta}, eta of the cross-entropy ` +
      `${prototypes.eta_cross_entropy}`
    : "";
  return [`| training | ${epochs} epochs${loss}${seed === undefined ? "" : `; seed ${seed}`} |`];
}

/** Quality of the classifier on genes, measured on donors that it was trained without. */
function qualityOf({ head, cell_type_keys: keys }: ModelJson): string[] {
  const lines = keys.flatMap((key, level) => {
    const known = head?.levels[level]?.left_out;
    return known
      ? [
          `- ${key}: ${(100 * known.mean_recall).toFixed(1)} % of the cells right, averaged over the ` +
            `types (${known.cells} cells, ${known.units} donors or conditions)`,
        ]
      : [];
  });
  if (lines.length === 0)
    return [
      "Quality: (fill in) accuracy of the labels of samples that were left out of the training, `scpoli " +
        "evaluate`.",
    ];
  return [
    "Labels by the classifier on genes (`--classifier head`), of donors that it was trained without, each " +
      "in turn (its penalty was chosen on them):",
    "",
    ...lines,
    "",
    "Labels of other data: (fill in) `scpoli map` and `scpoli evaluate`.",
  ];
}

/** The fields of a card that are filled in. */
export function readCard(card: string): CardFields {
  const head = /^---\r?\n([\s\S]*?)\r?\n---/.exec(card)?.[1] ?? "";
  const fields: Partial<Record<(typeof cardFields)[number], string>> = {};
  for (const line of head.split(/\r?\n/)) {
    const [, name, value = ""] = /^(\w+): *(.*?) *$/.exec(line) ?? [];
    const field = cardFields.find((candidate) => candidate === name);
    if (field && value !== "" && value !== open) fields[field] = value;
  }
  return fields;
}

/** Sets fields of a card; everything else is unchanged. */
export function withFields(card: string, fields: CardFields): string {
  return cardFields.reduce((text, name) => {
    const value = fields[name]?.replace(/\s+/g, " ").trim();
    return value ? text.replace(new RegExp(`^${name}: .*$`, "m"), () => `${name}: ${value}`) : text;
  }, card);
}

/** Kind of the gene names, by majority: "ensembl", "symbols" or "other". */
export function kindOfGenes(genes: readonly string[]): "ensembl" | "symbols" | "other" {
  const share = (pattern: RegExp): number => genes.filter((gene) => pattern.test(gene)).length / genes.length;
  if (share(/^ENS[A-Z]*G\d{6,}/) > 0.8) return "ensembl";
  return share(/^[A-Za-z][A-Za-z0-9.-]{0,24}$/) > 0.8 ? "symbols" : "other";
}
