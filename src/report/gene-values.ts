// Expression of selected genes in the cells of the query, in the landmarks of the reference (if its file is
// given), and in samples.
import type { AnnData } from "../anndata/anndata.js";
import type { EmbedOptions, Note } from "../contract/options.js";
import { factorize } from "../data/labels.js";
import { spelledAs } from "../data/same-names.js";
import { NearestRows } from "../kernel-modules/nearest.js";
import { ScPoliError } from "../contract/errors.js";
import { readExpression } from "../api/expression.js";
import { embedCells } from "../mapping/embed-query.js";
import type { StoredModel } from "../model/stored-model.js";
import { Landmarks } from "../prototypes/landmarks.js";
import { listCentres } from "../graph/neighbors.js";
import type { SampleAnalysis } from "../samples/analysis.js";
import { geneMeans } from "../samples/sample-plots.js";
import type { Groups, QueryCells } from "./cells.js";

/** Expression of one gene: log1p of counts per 10,000, or the stored values if the file has no counts. */
export interface GeneValues {
  readonly gene: string;
  /** (landmarks) NaN for landmarks that the file lacks; null without the file, or if it lacks the gene */
  readonly reference: Float32Array | null;
  /** (N) null without a query, or if it lacks the gene */
  readonly query: Float32Array | null;
  /** per sample analysis (S) means over the cells of each sample; null where not known */
  readonly samples: readonly (readonly (number | null)[] | null)[];
}

/** Where expression is read from. */
export interface GeneSources {
  readonly stored: StoredModel | null;
  readonly mapped: AnnData | null;
  readonly query: QueryCells | null;
  /** the file that the model was trained on, and the options to read it with */
  readonly reference: AnnData | null;
  readonly referenceOptions?: EmbedOptions;
  readonly samples: readonly SampleAnalysis[];
  readonly onNote?: (note: Note) => void;
  readonly signal?: AbortSignal;
}

/**
 * A landmark and a cell closer than this fraction of the typical distance between neighbours are the same
 * cell; the difference is rounding.
 */
const sameCellTolerance = 1e-3;

/** @throws ScPoliError "key" for a gene that none of the files has */
export async function geneValues(genes: readonly string[], sources: GeneSources): Promise<GeneValues[]> {
  const { stored, mapped, query, reference, samples } = sources;
  if (genes.length === 0) return [];
  const [ofQuery, ofReference] = [
    await expressionOf(mapped, genes, sources),
    await expressionOf(reference, genes, sources),
  ];
  const absent =
    mapped || reference ? genes.filter((gene) => !ofQuery.has(gene) && !ofReference.has(gene)) : [];
  if (absent.length > 0) {
    const files = [mapped, reference].flatMap((data) => data?.path ?? []).join(" and ");
    const names = absent.map((gene) => `'${gene}'`).join(", ");
    throw new ScPoliError("key", `${files} ${mapped && reference ? "have" : "has"} no gene ${names}.`, {
      absent,
    });
  }
  const rows =
    stored && reference && ofReference.size > 0 ? await landmarkRows(stored, reference, sources) : null;
  const conditions = new Map<string, Groups>();
  for (const {
    samples: { key },
  } of ofReference.size > 0 ? samples : [])
    if (reference!.obs.columnNames.includes(key))
      conditions.set(key, factorize(await reference!.obs.column(key)));
    else if (sources.referenceOptions?.conditionValues?.[key] !== undefined)
      conditions.set(key, {
        names: [sources.referenceOptions.conditionValues[key]],
        codes: new Int32Array(reference!.nObs),
      });
  return genes.map((gene) => ({
    gene,
    query: ofQuery.get(gene) ?? null,
    reference:
      rows && ofReference.has(gene)
        ? Float32Array.from(rows, (row) => (row < 0 ? NaN : ofReference.get(gene)![row]!))
        : null,
    samples: samples.map((analysis) => {
      const known: readonly (readonly (number | null)[])[] = [
        geneMeans(analysis, gene),
        meansBySample(analysis, conditions.get(analysis.samples.key), ofReference.get(gene)),
        meansBySample(
          analysis,
          query?.conditions.find(({ key }) => key === analysis.samples.key),
          ofQuery.get(gene),
        ),
      ].flatMap((means) => (means ? [means] : []));
      const joined = analysis.samples.names.map(
        (_, row) => known.map((means) => means[row] ?? null).find((mean) => mean !== null) ?? null,
      );
      return joined.every((mean) => mean === null) ? null : joined;
    }),
  }));
}

/** @returns (N) values by gene, without the genes that the file lacks */
async function expressionOf(
  data: AnnData | null,
  genes: readonly string[],
  { signal }: Pick<GeneSources, "signal">,
): Promise<Map<string, Float32Array>> {
  if (!data || genes.length === 0) return new Map();
  try {
    const values = await readExpression(data, genes, { signal });
    return new Map(genes.map((gene, i) => [gene, values[i]!]));
  } catch (error) {
    const absent = error instanceof ScPoliError && error.kind === "key" ? error.details["absent"] : undefined;
    if (!Array.isArray(absent)) throw error;
    return expressionOf(
      data,
      genes.filter((gene) => !absent.includes(gene)),
      { signal },
    );
  }
}

/** Means over the cells of each sample, in the order of the analysis. */
function meansBySample(
  { samples: { names } }: SampleAnalysis,
  groups: Groups | undefined,
  values: Float32Array | undefined,
): (number | null)[] | null {
  if (!groups || !values) return null;
  const rowOf = spelledAs(groups.names, names).map((name) => names.indexOf(name));
  const [sums, cells] = [new Float64Array(names.length), new Float64Array(names.length)];
  groups.codes.forEach((code, cell) => {
    const row = code < 0 ? -1 : rowOf[code]!;
    if (row < 0) return;
    sums[row]! += values[cell]!;
    cells[row]!++;
  });
  return names.map((_, row) => (cells[row]! > 0 ? sums[row]! / cells[row]! : null));
}

/**
 * Matches landmarks to cells of the file by their latent coordinates, as landmarks have no names.
 * @returns (landmarks) rows of the file, -1 for none; null without landmarks, or if the file cannot be
 *   embedded
 */
async function landmarkRows(
  stored: StoredModel,
  reference: AnnData,
  { referenceOptions, onNote, signal }: GeneSources,
): Promise<Int32Array | null> {
  const landmarks = Landmarks.of(stored);
  if (!landmarks) return null;
  const consequence = "the reference's cells are not coloured by genes";
  const cells = await embedCells(stored, reference, { ...referenceOptions, signal }).catch(
    (error: unknown) => {
      if (!(error instanceof ScPoliError) || error.kind !== "key") throw error;
      onNote?.({ level: "warning", message: `${reference.path}: ${consequence}. ${error.message}` });
      return null;
    },
  );
  if (!cells) return null;
  const { D } = landmarks;
  // a landmark and its cell have the same nearest centre, up to rounding
  const { indices, squared } = new NearestRows(cells.latent, D, listCentres(cells.latent.length / D)).find(
    landmarks.latent,
    1,
    2,
  );
  const maxSquared = (sameCellTolerance * landmarks.json.neighbor_distance) ** 2;
  const rows = indices.map((row, i) => (squared[i]! <= maxSquared ? row : -1));
  const missing = rows.reduce((count, row) => count + (row < 0 ? 1 : 0), 0);
  if (missing > 0) {
    const [lacking, all] = [missing.toLocaleString("en-US"), rows.length.toLocaleString("en-US")];
    onNote?.({
      level: "warning",
      message:
        `${reference.path} lacks ${lacking} of the ${all} reference cells that the model carries` +
        (missing === rows.length
          ? `: it is not the file that the model was trained on, and ${consequence}.`
          : "; they are not coloured by genes."),
    });
  }
  return missing === rows.length ? null : rows;
}
