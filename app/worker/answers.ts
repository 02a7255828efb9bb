// Questions about mapped cells, answered by the library: marker genes, groups of samples compared, and the
// quality of the cells before they are mapped.
import {
  AnnData,
  cellQuality,
  compareSamples,
  findMarkers,
  markerTable,
  type Additions,
  type Comparison,
} from "scpoli";
import type { CellQuality, Listener, LocalFile, MarkerRequest, MarkerRow } from "../protocol.js";
import { openData } from "./disk.js";
import { annotated } from "./save.js";

/** What the values of genes may take in a page, in bytes; what does not fit takes further passes. */
const markerMemory = 2 ** 28;

/** The same genes and numbers as `scpoli markers` on the saved file. */
export async function markerGenes(
  files: readonly LocalFile[],
  { codes, names, only, against, top }: MarkerRequest,
  listener: Listener,
): Promise<readonly MarkerRow[]> {
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
    return markerTable(markers, { top }) as unknown as MarkerRow[];
  } finally {
    data.close();
  }
}

export interface CompareRequest {
  readonly between: readonly [column: string, first: string, second: string];
  readonly sampleKey: string;
  readonly within: string;
  readonly covariates: readonly string[];
}

/** The same tests as `scpoli compare` on the saved file. */
export async function compareGroups(
  files: readonly LocalFile[],
  additions: Additions,
  { between, sampleKey, within, covariates }: CompareRequest,
  listener: Listener,
): Promise<Comparison> {
  const data = await AnnData.open(await annotated(files, additions, "mapped"));
  try {
    return await compareSamples(data, {
      between,
      sampleKey,
      within,
      covariates,
      onNote: (note) => listener.note(note),
      onProgress: (progress) => listener.progress(progress),
    });
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
