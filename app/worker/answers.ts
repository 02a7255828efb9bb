// Questions about mapped cells, answered by the library: marker genes, groups of samples compared, and the
// quality of the cells before they are mapped.
import {
  AnnData,
  cellQuality,
  comparisonGeneSets,
  compareSamples,
  findMarkers,
  markerGeneSets,
  markerTable,
  readGeneSets,
  type Additions,
  type Comparison,
  type GeneSet,
  type GeneSetEnrichment,
} from "scpoli";
import { register } from "scpoli/browser";
import type {
  CellQuality,
  GeneSetRow,
  Listener,
  LocalFile,
  MarkerRequest,
  MarkerRow,
  MarkersFound,
} from "../protocol.js";
import { openData } from "./disk.js";
import { annotated } from "./save.js";

/** What the values of genes may take in a page, in bytes; what does not fit takes further passes. */
const markerMemory = 2 ** 28;

/** The same genes and numbers as `scpoli markers` on the saved file. */
export async function markerGenes(
  files: readonly LocalFile[],
  { codes, names, only, against, top, geneSets = null }: MarkerRequest,
  listener: Listener,
): Promise<MarkersFound> {
  const data = await openData(files);
  try {
    const markers = await findMarkers(data, {
      codes: { codes, names },
      only,
      against,
      memory: markerMemory,
      onNote: (note) => listener.note(note),
      onProgress: (progress) => listener.progress(progress),
    });
    const sets = geneSets && (await markerGeneSets(markers, await openGeneSets(geneSets)));
    return {
      rows: markerTable(markers, { top }) as unknown as MarkerRow[],
      sets:
        sets &&
        (sets as unknown as (GeneSetEnrichment & { readonly group: string })[]).map((row) => ({
          ...row,
          direction: null,
        })),
    };
  } finally {
    data.close();
  }
}

async function openGeneSets({ path, file }: LocalFile): Promise<readonly GeneSet[]> {
  register(file, path);
  return readGeneSets(path);
}

export interface CompareRequest {
  readonly between: readonly [column: string, first: string, second: string];
  readonly sampleKey: string;
  readonly within: string;
  readonly covariates: readonly string[];
}

/** A comparison, and gene sets among its genes where a file of sets was given. */
export interface ComparisonFound {
  readonly result: Comparison;
  readonly sets: readonly GeneSetRow[] | null;
}

/** The same tests as `scpoli compare` on the saved file. */
export async function compareGroups(
  files: readonly LocalFile[],
  additions: Additions,
  { between, sampleKey, within, covariates }: CompareRequest,
  geneSets: LocalFile | null,
  listener: Listener,
): Promise<ComparisonFound> {
  const data = await AnnData.open(await annotated(files, additions, "mapped"));
  try {
    const result = await compareSamples(data, {
      between,
      sampleKey,
      within,
      covariates,
      onNote: (note) => listener.note(note),
      onProgress: (progress) => listener.progress(progress),
    });
    const sets = geneSets && (await comparisonGeneSets(result, await openGeneSets(geneSets)));
    type Row = Omit<GeneSetRow, "group"> & { readonly type: string };
    return {
      result,
      sets: sets && (sets as unknown as Row[]).map(({ type, ...row }) => ({ ...row, group: type })),
    };
  } finally {
    data.close();
  }
}

export async function measureQuality(files: readonly LocalFile[], listener: Listener): Promise<CellQuality> {
  const data = await openData(files);
  try {
    return await cellQuality(data, {
      onProgress: (done, total) => listener.progress({ stage: "reading", done, total }),
    });
  } finally {
    data.close();
  }
}
