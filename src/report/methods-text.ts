// The text to paste into Methods, with citations, from what was really done.
import type { StoredModel } from "../model/checkpoint.js";
import { escapeText } from "../plots/svg.js";
import { version } from "../version.js";
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
    ...(query ? [mappingText(query)] : []),
    ...(hasSamples
      ? [
          "Condition embeddings were analysed as samples by principal component analysis; covariates were associated with each component by linear models (adjusted R\u00b2, F test, Benjamini\u2013Hochberg correction).",
        ]
      : []),
  ];
  const citations = [
    "1. De Donno, C. et al. Population-level integration of single-cell datasets enables multi-scale analysis across samples. Nat. Methods 20, 1683\u20131692 (2023).",
    "2. McInnes, L., Healy, J. & Melville, J. UMAP: Uniform Manifold Approximation and Projection for dimension reduction. Preprint at arXiv 1802.03426 (2018).",
  ];
  return `<blockquote id="methods-text">${paragraphs.map((text) => `<p>${escapeText(text)}</p>`).join("")}${citations.map((text) => `<p>${escapeText(text)}</p>`).join("")}</blockquote><p class="controls"><button type="button" id="copy-methods">Copy the text</button></p>`;
}

function trainingText({ json }: StoredModel): string {
  const { model, provenance } = json;
  const plan = (provenance["optimization"] ?? {}) as Readonly<Record<string, unknown>>;
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
  return `A reference${cells} and ${json.genes.length.toLocaleString("en-US")} genes was built with scPoli (ref. 1; implementation scpoli ${json.scpoli_version}) with ${likelihoods[model.recon_loss]}, a latent space of ${model.latent_dim} dimensions, hidden layers of ${model.hidden_layer_sizes.join(" and ")} units and condition embeddings of ${model.embedding_dims.join(" and ")} dimensions. Conditions (number): ${conditions}.${types ? ` Cell types (number) of each annotation level: ${types}.` : ""} The model was trained with Adam${epochs}${minibatch}; the weights of the best validation loss were kept. Cells were displayed by UMAP (ref. 2) of the latent space.`;
}

function mappingText({ cells, facts, levels, conditions }: QueryCells): string {
  const coverage =
    typeof facts["gene_coverage"] === "number"
      ? ` (${(100 * facts["gene_coverage"]).toFixed(1)} % of the reference's genes)`
      : "";
  const how =
    facts["verb"] === "embed"
      ? "embedded with the reference model"
      : "mapped onto the reference by architecture surgery, in which the embeddings of the new conditions alone were learnt";
  const labels = levels.map(({ key, threshold, unknown }) => {
    const flagged = unknown.reduce((sum, flag) => sum + flag, 0);
    return ` Cell types (${key}) were transferred${threshold === null ? "" : `; cells with an uncertainty above ${threshold === "by type" ? "the threshold of their type" : Number(threshold.toPrecision(3))} (${flagged.toLocaleString("en-US")}) were flagged unknown`}.`;
  });
  return `${cells.toLocaleString("en-US")} query cells${conditions.length > 0 ? ` of ${conditions.map(({ key, names }) => `${names.length} ${key}`).join(", ")}` : ""}${coverage} were ${how} (scpoli ${String(facts["version"] ?? version)}).${labels.join("")} Query cells were placed into the reference's UMAP at the weighted mean of their 15 nearest reference cells.`;
}
