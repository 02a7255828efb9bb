// The samples of a model: the condition embeddings of one key, and their metadata.
import type { DenseMatrix } from "../anndata/matrix.js";
import { joinMetadata, type SampleMetadata } from "../data/sample-metadata.js";
import { ScPoliError } from "../contract/errors.js";
import type { StoredModel } from "../model/stored-model.js";
import { covariatesOf, type Covariate, type CovariateKinds } from "./covariates.js";

/** The conditions of one key as samples. */
export interface SampleTable {
  /** Condition key whose conditions are the samples */
  readonly key: string;
  /** (S) names, the reference's first */
  readonly names: readonly string[];
  /** (S) whether a sample belongs to the reference; false: it was added by mapping a query */
  readonly isReference: readonly boolean[];
  /** (S, E) positions as used by the network, with norm at most 1 */
  readonly embedding: DenseMatrix;
  /** Metadata of each sample */
  readonly metadata: SampleMetadata;
  /** The same as covariates: a value per sample */
  readonly covariates: readonly Covariate[];
}

/**
 * @param key - a condition key of the model
 * @param more - further tables of metadata; later tables take precedence
 * @throws ScPoliError "key" where the model has no such key, or as `covariatesOf`; "model" where its
 * conditions are one-hot
 */
export function sampleTable(
  { json, tensors }: StoredModel,
  key: string,
  more: readonly SampleMetadata[] = [],
  kinds: CovariateKinds = {},
): SampleTable {
  const k = json.condition_keys.indexOf(key);
  if (k < 0)
    throw new ScPoliError(
      "key",
      `The model has no condition key '${key}'; it has ` +
        `${json.condition_keys.map((name) => `'${name}'`).join(", ")}.`,
      { key },
    );
  if (json.model.condition_encoding === "one-hot")
    throw new ScPoliError(
      "model",
      "This model has one-hot encoded conditions and hence no embedding of samples. Train with " +
        "embeddings (--condition-encoding embedding, the default).",
      { key },
    );
  const names = json.conditions[k]!;
  const { shape, data } = tensors.get(`embeddings.${k}.weight`)!;
  const none: SampleMetadata = { columns: [], samples: {} };
  const metadata = more.reduce(joinMetadata, json.sample_metadata?.[k] ?? none);
  return {
    key,
    names,
    isReference: names.map((_, row) => row < json.reference_conditions[k]!),
    embedding: withinUnitBall(data, names.length, shape[1]!),
    metadata,
    covariates: covariatesOf(metadata, names, kinds),
  };
}

/** Scales rows to norm at most 1, as the network does on look-up. */
function withinUnitBall(data: Float32Array, rows: number, columns: number): DenseMatrix {
  const values = Float64Array.from(data);
  for (let row = 0; row < rows; row++) {
    const sampleEmbedding = values.subarray(row * columns, (row + 1) * columns);
    const norm = Math.hypot(...sampleEmbedding);
    if (norm > 1) sampleEmbedding.forEach((value, column) => (sampleEmbedding[column] = value / norm));
  }
  return { rows, columns, values };
}

/** Selected samples of a table, in the given order. */
export function selectRows({ columns, values }: DenseMatrix, rows: Int32Array): DenseMatrix {
  const selected = new Float64Array(rows.length * columns);
  rows.forEach((row, at) => selected.set(values.subarray(row * columns, (row + 1) * columns), at * columns));
  return { rows: rows.length, columns, values: selected };
}
