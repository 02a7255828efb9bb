// Expression of chosen genes in what a report shows: cells of the query, landmarks of the reference where its
// file is at hand, and samples.
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

/** One gene: log1p of counts per 10,000, or values as they are where the file has no counts. */
export interface GeneValues {
  readonly gene: string;
  /**
   * (landmarks) NaN for those that the reference's file lacks; null without that file, or where it lacks the
   * gene
   */
  readonly reference: Float32Array | null;
  /** (N) null without a query, or where it lacks the gene */
  readonly query: Float32Array | null;
  /** per analysis of samples (S) means over their cells, null where not known; null where none is known */
  readonly samples: readonly (readonly (number | null)[] | null)[];
}

/** What genes are read of. */
export interface GeneSources {
  readonly stored: StoredModel | null;
  readonly mapped: AnnData | null;
  readonly query: QueryCells | null;
  /** the file that the model was trained on, and how it is read */
  readonly reference: AnnData | null;
  readonly referenceOptions?: EmbedOptions;
  readonly samples: readonly SampleAnalysis[];
  readonly onNote?: (note: Note) => void;
  readonly signal?: AbortSignal;
}

/**
 * A landmark and the cell that it was are nearer than this share of the distance between neighbours:
 * rounding.
 */
const sameCell = 1e-3;

/** @throws ScPoliError "key" for a gene that no file has */
export async function geneValues(genes: readonly string[], sources: GeneSources): Promise<GeneValues[]> {
  const { stored, mapped, query, reference, samples } = sources;
  if (genes.length === 0) return [];
  const [own, others] = [
    await expressionOf(mapped, genes, sources),
    await expressionOf(reference, genes, sources),
  ];
  const absent = mapped || reference ? genes.filter((gene) => !own.has(gene) && !others.has(gene)) : [];
  if (absent.length > 0)
    throw new ScPoliError(
      "key",
      `${[mapped, reference].flatMap((data) => data?.path ?? []).join(" and ")} ${mapped && reference ? "have" : "has"} no gene ${absent.map((gene) => `'${gene}'`).join(", ")}.`,
      { absent },
    );
  const rows = stored && reference && others.size > 0 ? await landmarkRows(stored, reference, sources) : null;
  const conditions = new Map<string, Groups>();
  for (const {
    samples: { key },
  } of others.size > 0 ? samples : [])
    if (reference!.obs.columnNames.includes(key))
      conditions.set(key, factorize(await reference!.obs.column(key)));
    else if (sources.referenceOptions?.conditionValues?.[key] !== undefined)
      conditions.set(key, {
        names: [sources.referenceOptions.conditionValues[key]],
        codes: new Int32Array(reference!.nObs),
      });
  return genes.map((gene) => ({
    gene,
    query: own.get(gene) ?? null,
    reference:
      rows && others.has(gene)
        ? Float32Array.from(rows, (row) => (row < 0 ? NaN : others.get(gene)![row]!))
        : null,
    samples: samples.map((analysis) => {
      const known: readonly (readonly (number | null)[])[] = [
        geneMeans(analysis, gene),
        meansBySample(analysis, conditions.get(analysis.samples.key), others.get(gene)),
        meansBySample(
          analysis,
          query?.conditions.find(({ key }) => key === analysis.samples.key),
          own.get(gene),
        ),
      ].flatMap((means) => (means ? [means] : []));
      const joined = analysis.samples.names.map(
        (_, row) => known.map((means) => means[row] ?? null).find((mean) => mean !== null) ?? null,
      );
      return joined.every((mean) => mean === null) ? null : joined;
    }),
  }));
}

/** By gene, without those that the file lacks. */
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

/** Means over the cells of each sample, as the view of samples has them. */
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
 * Landmarks have no names: which cells of the file they are is found by their place in the latent space.
 * @returns (landmarks) rows of the file, -1 for none; null without landmarks, or where the file cannot be
 * embedded
 */
async function landmarkRows(
  stored: StoredModel,
  reference: AnnData,
  { referenceOptions, onNote, signal }: GeneSources,
): Promise<Int32Array | null> {
  const landmarks = Landmarks.of(stored);
  if (!landmarks) return null;
  const told = "the reference's cells are not coloured by genes";
  const cells = await embedCells(stored, reference, { ...referenceOptions, signal }).catch(
    (error: unknown) => {
      if (!(error instanceof ScPoliError) || error.kind !== "key") throw error;
      onNote?.({ level: "warning", message: `${reference.path}: ${told}. ${error.message}` });
      return null;
    },
  );
  if (!cells) return null;
  const { D } = landmarks;
  // the same cell is around the same centre, but for rounding
  const { indices, squared } = new NearestRows(cells.latent, D, listCentres(cells.latent.length / D)).find(
    landmarks.latent,
    1,
    2,
  );
  const most = (sameCell * landmarks.json.neighbor_distance) ** 2;
  const rows = indices.map((row, i) => (squared[i]! <= most ? row : -1));
  const missing = rows.reduce((count, row) => count + (row < 0 ? 1 : 0), 0);
  if (missing > 0)
    onNote?.({
      level: "warning",
      message: `${reference.path} lacks ${missing.toLocaleString("en-US")} of the ${rows.length.toLocaleString("en-US")} reference cells that the model carries${missing === rows.length ? `: it is not the file that the model was trained on, and ${told}` : "; they have no colour by gene"}.`,
    });
  return missing === rows.length ? null : rows;
}
