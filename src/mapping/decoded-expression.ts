// Decoded expression of cells: denoised, and corrected for conditions by decoding all cells at the same ones.
// scVI calls this normalised expression (Lopez et al. 2018); De Donno et al. 2023 name the lack of corrected
// counts as a limitation.
import type { AnnData } from "../anndata/anndata.js";
import { writeH5ad, type NewColumn } from "../anndata/write.js";
import type { CountsOptions, EmbedOptions, RunSettings } from "../contract/options.js";
import { streamCounts } from "../data/counts.js";
import { rowsPerBlock } from "../anndata/matrix.js";
import { ScPoliError } from "../contract/errors.js";
import type { StoredModel } from "../model/stored-model.js";
import {
  checkOptionNames,
  countsOptionNames,
  runSettingNames,
  type OptionNames,
} from "../contract/option-names.js";
import { normalizedTotal } from "../numerics/log-normalized.js";
import { Random } from "../numerics/random.js";
import { version } from "../contract/version.js";
import { Decoder, type Posterior } from "./decoder.js";
import { checkConditionsKnown, withQuery, type Query } from "./query.js";

export interface DecodeOptions
  extends
    RunSettings,
    CountsOptions,
    Pick<EmbedOptions, "conditionKeys" | "conditionValues" | "geneMap" | "atacCounts"> {
  /**
   * Conditions to decode at. "own": those of each cell; "average": the mean over the reference's combinations
   * of conditions with equal weights; or by condition key the name of one condition (a counterfactual; for
   * other keys each cell keeps its condition). Default "own"
   */
  readonly at?: "own" | "average" | Readonly<Record<string, string>>;
  /** genes of the model to decode. Default: all */
  readonly genes?: readonly string[];
  /** number of samples of each cell's posterior; 0: decode its mean. Default 0 */
  readonly samples?: number;
  /** total expression of a cell over all genes of the model. Default 10,000 */
  readonly librarySize?: number;
}

/** Decoded cells [start, start + rows). The arrays are valid until the next block is requested. */
interface DecodedBlock {
  readonly start: number;
  readonly rows: number;
  /** (rows, genes) expression, scaled to `librarySize`; for mse: values */
  readonly expression: Float32Array;
  /** (rows, genes) standard deviation over samples of the posterior; null without samples */
  readonly deviation: Float32Array | null;
}

const optionNames: OptionNames<DecodeOptions> = {
  ...runSettingNames,
  ...countsOptionNames,
  conditionKeys: true,
  conditionValues: true,
  geneMap: true,
  atacCounts: true,
  at: true,
  genes: true,
  samples: true,
  librarySize: true,
};

/**
 * Decodes all cells of a file in blocks and passes them to `use`; nothing is kept in memory.
 * @throws ScPoliError "key" for a condition, key or gene that the model does not know; errors of
 * `ScPoli.embed`
 */
async function decodeExpression<T>(
  stored: StoredModel,
  data: AnnData,
  options: DecodeOptions,
  use: (blocks: AsyncGenerator<DecodedBlock>, genes: readonly string[]) => Promise<T>,
): Promise<T> {
  checkOptionNames("expression", options, optionNames);
  const { samples = 0 } = options;
  if (!Number.isInteger(samples) || samples < 0 || samples === 1)
    throw new ScPoliError("usage", `samples is ${samples}; expected 0, or a whole number of at least 2.`);
  const columns = genesOf(stored, options.genes);
  const targets = targetsOf(stored, options.at ?? "own");
  const names = Array.from(columns, (gene) => stored.json.genes[gene]!);
  return withQuery(stored, data, options, async (query) => {
    checkConditionsKnown(stored, query);
    const rows = query.conditions.map(({ codes, names: conditionNames }, k) => {
      const rowOf = conditionNames.map((name) => stored.json.conditions[k]!.indexOf(name));
      return codes.map((code) => rowOf[code]!);
    });
    const decoder = await Decoder.create(stored, options);
    try {
      return await use(decodeQuery(stored, query, decoder, { rows, targets, columns }, options), names);
    } finally {
      await decoder.close();
    }
  });
}

function genesOf({ json }: StoredModel, wanted: readonly string[] | undefined): Int32Array {
  if (wanted === undefined) return Int32Array.from(json.genes.keys());
  const columns = Int32Array.from(wanted, (gene) => json.genes.indexOf(gene));
  const absent = wanted.filter((_, i) => columns[i]! < 0);
  if (absent.length > 0)
    throw new ScPoliError(
      "key",
      `The model has no gene ${absent
        .slice(0, 5)
        .map((gene) => `'${gene}'`)
        .join(", ")}${absent.length > 5 ? ", ..." : ""}; it has ${json.genes.length} genes.`,
      { absent },
    );
  return columns;
}

/** A combination to decode at: per key the row of a condition, or null for each cell's condition. */
type Target = readonly (number | null)[];

function targetsOf({ json }: StoredModel, at: NonNullable<DecodeOptions["at"]>): Target[] {
  const keys = json.condition_keys;
  if (at === "own") return [keys.map(() => null)];
  if (at === "average")
    return json.combinations.filter((codes) =>
      codes.every((code, k) => code < json.reference_conditions[k]!),
    );
  const unknown = Object.keys(at).filter((key) => !keys.includes(key));
  if (unknown.length > 0)
    throw new ScPoliError(
      "key",
      `The model has no condition key '${unknown[0]}'; ` +
        `its keys are ${keys.map((key) => `'${key}'`).join(", ")}.`,
      { key: unknown[0] },
    );
  return [
    keys.map((key, k) => {
      const name = at[key];
      if (name === undefined) return null;
      const row = json.conditions[k]!.indexOf(name);
      if (row < 0)
        throw new ScPoliError(
          "key",
          `The model has no condition ${key} = '${name}'; it has ${json.conditions[k]!.slice(0, 20)
            .map((condition) => `'${condition}'`)
            .join(", ")}${json.conditions[k]!.length > 20 ? ", ..." : ""}.`,
          { key, condition: name },
        );
      return row;
    }),
  ];
}

interface Plan {
  /** per key (N) rows of the cells' conditions */
  readonly rows: readonly Int32Array[];
  readonly targets: readonly Target[];
  /** genes of the model */
  readonly columns: Int32Array;
}

async function* decodeQuery(
  stored: StoredModel,
  { place, reader, alignment }: Query,
  decoder: Decoder,
  { rows: cellConditions, targets, columns }: Plan,
  { samples = 0, librarySize = normalizedTotal, seed = 0, signal, onProgress }: DecodeOptions,
): AsyncGenerator<DecodedBlock> {
  const G = decoder.genes;
  const scale = stored.json.model.recon_loss === "mse" ? 1 : librarySize;
  const random = new Random(seed, "posterior samples");
  const blocks = streamCounts(place, alignment.map, G, rowsPerBlock(place.matrix), {
    reader,
    signal,
    onProgress: (done, total) => onProgress?.({ stage: "embedding", done, total }),
  });
  for await (const block of blocks) {
    for (const { start, posterior } of decoder.posteriors(block, cellConditions)) {
      const { rows } = posterior;
      const decoded = new Float32Array(rows * G);
      const sum = new Float64Array(rows * columns.length);
      const squares = samples > 0 ? new Float64Array(sum.length) : null;
      const average = new Float64Array(sum.length);
      for (let sample = 0; sample < Math.max(1, samples); sample++) {
        const z = samples > 0 ? drawSample(posterior, random) : posterior.mean;
        average.fill(0);
        for (const target of targets) {
          const conditions = target.map((row, k) =>
            row === null ? cellConditions[k]!.subarray(start, start + rows) : new Int32Array(rows).fill(row),
          );
          decoder.decode(z, conditions, decoded);
          for (let row = 0, at = 0; row < rows; row++)
            for (let column = 0; column < columns.length; column++, at++)
              average[at]! += decoded[row * G + columns[column]!]! / targets.length;
        }
        for (let at = 0; at < sum.length; at++) {
          sum[at]! += average[at]!;
          if (squares) squares[at]! += average[at]! ** 2;
        }
      }
      const count = Math.max(1, samples);
      yield {
        start,
        rows,
        expression: Float32Array.from(sum, (total) => (scale * total) / count),
        deviation:
          squares &&
          Float32Array.from(
            squares,
            (total, at) => scale * Math.sqrt(Math.max(0, total - sum[at]! ** 2 / count) / (count - 1)),
          ),
      };
    }
  }
}

function drawSample({ mean, variance }: Posterior, random: Random): Float32Array {
  return Float32Array.from(
    { length: mean.length },
    (_, i) => mean[i]! + random.normal() * Math.sqrt(variance[i]!),
  );
}

/** Summary of a decoding, ready for JSON. */
export interface DecodingSummary {
  /** Number of cells */
  readonly cells: number;
  /** Number of genes written */
  readonly genes: number;
  /** "own", "average", or the given conditions */
  readonly at: NonNullable<DecodeOptions["at"]>;
  /** Samples of each cell's posterior; 0: its mean */
  readonly samples: number;
  /** Total per cell that the expression is scaled to */
  readonly librarySize: number;
}

/**
 * Writes an .h5ad file with the decoded expression as dense `X` (with samples also `layers["deviation"]`),
 * the model's genes as var, and the input's obs.
 * @throws ScPoliError as `decodeExpression`; "output" if the file cannot be written
 */
export async function writeDecodedExpression(
  stored: StoredModel,
  data: AnnData,
  output: string,
  options: DecodeOptions = {},
): Promise<DecodingSummary> {
  const { at = "own", samples = 0, librarySize = normalizedTotal } = options;
  return decodeExpression(stored, data, options, async (blocks, genes) => {
    const columns: Record<string, NewColumn> = {};
    for (const name of data.obs.columnNames) columns[name.replaceAll("/", "_")] = await data.obs.column(name);
    const G = genes.length;
    const dense = (async function* () {
      for await (const { rows, expression, deviation } of blocks)
        yield {
          X: { rows, columns: G, values: expression },
          ...(deviation && { "layers/deviation": { rows, columns: G, values: deviation } }),
        };
    })();
    await writeH5ad(
      output,
      {
        X: null,
        dense,
        obs: { index: await data.obs.index(), columns },
        var: { index: genes },
        uns: {
          scpoli_expression: {
            version,
            at: typeof at === "string" ? at : { ...at },
            samples,
            library_size: stored.json.model.recon_loss === "mse" ? 0 : librarySize,
            logarithm: false,
          },
        },
      },
      { force: options.force },
    );
    return { cells: data.nObs, genes: G, at, samples, librarySize };
  });
}
