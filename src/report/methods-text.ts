// Text for the Methods section of a paper, with citations, generated from the options and results of the run.
import type { StoredModel } from "../model/stored-model.js";
import { hasTheta } from "../model/parameters.js";
import { escapeText } from "../plots/svg.js";
import { version } from "../contract/version.js";
import type { QueryCells } from "./cells.js";

const likelihoods = {
  nb: "a negative binomial likelihood of raw counts",
  zinb: "a zero-inflated negative binomial likelihood of raw counts",
  poisson: "a Poisson likelihood of fragment counts",
  "reference-poisson": "a Poisson likelihood without size factors",
  mse: "a mean squared error of normalised values",
} as const;

export function methodsHtml(
  stored: StoredModel | null,
  query: QueryCells | null,
  hasSamples: boolean,
): string {
  const paragraphs = [
    ...(stored ? [trainingText(stored)] : []),
    ...(query ? [mappingText(query, stored)] : []),
    ...(hasSamples
      ? [
          "Condition embeddings were analysed as samples by principal component analysis; covariates were " +
            "associated with each component by linear models (adjusted R\u00b2, F test, " +
            "Benjamini\u2013Hochberg correction).",
        ]
      : []),
  ];
  const citations = [
    "1. De Donno, C. et al. Population-level integration of single-cell datasets enables multi-scale " +
      "analysis across samples. Nat. Methods 20, 1683\u20131692 (2023).",
    "2. McInnes, L., Healy, J. & Melville, J. UMAP: Uniform Manifold Approximation and Projection for " +
      "dimension reduction. Preprint at arXiv 1802.03426 (2018).",
  ];
  const text = [...paragraphs, ...citations].map((paragraph) => `<p>${escapeText(paragraph)}</p>`).join("");
  return (
    `<blockquote id="methods-text">${text}</blockquote>` +
    '<p class="controls"><button type="button" id="copy-methods">Copy the text</button></p>'
  );
}

function trainingText({ json }: StoredModel): string {
  const { model, provenance } = json;
  const plan = recordOf(provenance["optimization"]);
  const cells =
    typeof provenance["cells"] === "number" ? ` of ${provenance["cells"].toLocaleString("en-US")} cells` : "";
  const conditions = json.condition_keys
    .map((key, k) => `${key} (${json.reference_conditions[k]})`)
    .join(", ");
  const types = json.cell_type_keys.map((key, level) => `${key} (${json.levels[level]!.length})`).join(", ");
  const epochs =
    typeof provenance["epochs_run"] === "number" ? ` over ${provenance["epochs_run"]} epochs` : "";
  const minibatch =
    typeof plan["minibatch"] === "number" ? `, minibatches of ${plan["minibatch"]} cells` : "";
  const conditionInput = isOneHot(model)
    ? "one-hot encoded conditions"
    : `condition embeddings of ${model.embedding_dims.join(" and ")} dimensions`;
  return (
    `A reference${cells} and ${json.genes.length.toLocaleString("en-US")} genes was built with scPoli ` +
    `(ref. 1; implementation scpoli ${json.scpoli_version}) with ${likelihoods[model.recon_loss]}, a ` +
    `latent space of ${model.latent_dim} dimensions, hidden layers of ` +
    `${model.hidden_layer_sizes.join(" and ")} units and ${conditionInput}. Conditions (number): ` +
    `${conditions}.${types ? ` Cell types (number) of each annotation level: ${types}.` : ""} The model ` +
    `was trained with Adam${epochs}${minibatch}${roundsText(provenance)}${prototypeLossText(json)}; ` +
    `${keptWeights(provenance, plan)} were kept.` +
    (json.landmarks ? " Cells were displayed by UMAP (ref. 2) of the latent space." : "")
  );
}

/** The terms of the prototype loss, if the model records them. */
function prototypeLossText({ prototype_loss: stored }: StoredModel["json"]): string {
  if (!stored || stored.eta + stored.eta_cross_entropy === 0) return "";
  const terms = [
    ...(stored.eta > 0 ? [`the distance to prototypes (weight ${stored.eta})`] : []),
    ...(stored.eta_cross_entropy > 0
      ? [`the cross-entropy of cell types over prototypes (weight ${stored.eta_cross_entropy})`]
      : []),
  ];
  return `, in the fine-tuning with ${terms.join(" and ")} in the loss`;
}

function isOneHot(model: StoredModel["json"]["model"]): boolean {
  return model.condition_encoding === "one-hot";
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

/** How training in rounds was split over shards; empty for ordinary training. */
function roundsText(provenance: Readonly<Record<string, unknown>>): string {
  const { shards, rounds, federated } = recordOf(provenance["rounds"]);
  if (!Array.isArray(shards)) return "";
  const where = federated === true ? "at as many institutions" : "of the cells";
  return (
    `, in ${String(rounds)} rounds: in each, ${shards.length} shards ${where} were trained separately, ` +
    "then their weights were averaged"
  );
}

/** Which weights were kept: those of the last epoch, unless early stopping chose earlier ones. */
function keptWeights(provenance: Readonly<Record<string, unknown>>, plan: Readonly<Record<string, unknown>>) {
  const rounds = recordOf(provenance["rounds"]);
  if (typeof rounds["chosen"] === "number") return `the weights after round ${rounds["chosen"]}`;
  const [best, last] = [provenance["best_epoch"], provenance["epochs_run"]];
  if (typeof best !== "number" || typeof last !== "number" || best >= last)
    return "the weights of the last epoch";
  const { metric } = recordOf(plan["earlyStopping"]);
  const loss =
    typeof metric === "string" && metric in losses ? `${losses[metric as keyof typeof losses]} ` : "";
  const cells = "validation" in recordOf(provenance["losses"]) ? "validation" : "training";
  return `the weights of epoch ${best}, which had the lowest ${loss}loss on the ${cells} cells,`;
}

/** Names of the losses that early stopping can monitor. */
const losses = {
  prototype: "prototype",
  reconstruction: "reconstruction",
  kl: "KL",
  total: "total",
  unweighted: "summed",
  classification: "classification",
} as const;

function mappingText(
  { cells, facts, levels, conditions, umap }: QueryCells,
  stored: StoredModel | null,
): string {
  const numbers = [
    ...conditions.map(({ key, names }) => `${key}: ${names.length}`),
    ...(typeof facts["gene_coverage"] === "number"
      ? [`${(100 * facts["gene_coverage"]).toFixed(1)} % of the reference's genes`]
      : []),
  ];
  const classifiers = recordOf(facts["classifiers"]);
  const labels = levels.map(
    (level) => ` Cell types (${level.key}) ${labelText(classifiers[level.key])}${unknownText(level)}.`,
  );
  return (
    `${cells.toLocaleString("en-US")} query cells${numbers.length > 0 ? ` (${numbers.join("; ")})` : ""} ` +
    `were ${howMapped(facts, stored)} (scpoli ${String(facts["version"] ?? version)}).` +
    `${labels.join("")}${umap ? placedText : ""}`
  );
}

const placedText =
  " Query cells were placed in the reference's UMAP at the weighted mean of their 15 nearest reference " +
  "cells.";

/** How the query was mapped, and which parameters were learnt. */
function howMapped(facts: QueryCells["facts"], stored: StoredModel | null): string {
  const treatments = Array.isArray(facts["conditions"]) ? facts["conditions"].map(String) : [];
  if (facts["verb"] === "embed" || facts["epochs"] === 0) {
    if (!treatments.some((text) => text.includes(": new")))
      return "embedded with the reference model, which contains their conditions";
    return (
      "mapped onto the reference without training: each new condition got the parameters of the reference " +
      "condition that explains its cells best"
    );
  }
  const model = stored?.json.model;
  const learnt = [
    model && isOneHot(model)
      ? "the input weights of the new conditions"
      : "the embeddings of the new conditions",
    ...(!model || hasTheta(model.recon_loss) ? ["the inverse dispersions of their combinations"] : []),
  ];
  return (
    "mapped onto the reference by architecture surgery, in which " +
    `only ${learnt.join(" and ")} were learnt`
  );
}

function labelText(classifier: unknown): string {
  return classifier === "head"
    ? "were predicted by a multinomial logistic regression on gene expression, fitted to the " +
        "reference by scpoli (not part of ref. 1)"
    : "were transferred from the nearest prototype (ref. 1)";
}

function unknownText({ threshold, unknown, uncertaintyBy }: QueryCells["levels"][number]): string {
  if (threshold === null) return "";
  const flagged = unknown.reduce((sum, flag) => sum + flag, 0).toLocaleString("en-US");
  const limit = String(Number(threshold.toPrecision(3)));
  const measure =
    uncertaintyBy === "distance"
      ? "an uncertainty, based on the distance to the nearest prototype,"
      : "a novelty score (one minus a conformal p-value computed by scpoli, not part of ref. 1)";
  return `; cells with ${measure} above ${limit} (${flagged}) were flagged unknown`;
}
