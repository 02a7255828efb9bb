// Answers that outlive a reload and go into saved sessions: what was computed, not the choices of forms. An
// answer is about a result or a set of cells by identity; it is kept with that reference taken out, and
// gets the one of the restored work.
import {
  analyses,
  clusterMarkers,
  comparison,
  compared,
  evaluation,
  geneSetFile,
  groupMarkers,
  measuredQuality,
  selectionMarkers,
  selectionsCompared,
  type MarkerAnswer,
} from "./answers.js";
import type { CellQuality, LocalFile, TrainRequest } from "./protocol.js";
import { tab, work, type Selection, type Tab } from "./state.js";
import { lastTraining } from "./training-request.js";

/** An answer without the result that it is about. */
type WithoutSubject<Answer> = Answer extends object ? Omit<Answer, "of"> : null;
type Markers = Pick<MarkerAnswer, "title" | "rows">;

export interface KeptAnswers {
  readonly tab: Tab;
  readonly groupMarkers: MarkerAnswer | null;
  readonly clusterMarkers: Markers | null;
  readonly selectionMarkers: Markers | null;
  readonly compared: { readonly a: Selection | null; readonly b: Selection | null };
  readonly selectionsCompared: MarkerAnswer | null;
  readonly comparison: WithoutSubject<typeof comparison.value>;
  readonly evaluation: WithoutSubject<typeof evaluation.value>;
  readonly analyses: WithoutSubject<typeof analyses.value>;
  readonly geneSetFile: LocalFile | null;
  readonly quality: CellQuality | null;
  readonly training: { readonly file: string; readonly request: TrainRequest } | null;
}

/** What holds answers. */
export const answerSignals = [
  tab,
  groupMarkers,
  clusterMarkers,
  selectionMarkers,
  compared,
  selectionsCompared,
  comparison,
  evaluation,
  analyses,
  geneSetFile,
  measuredQuality,
  lastTraining,
] as const;

/** What has been answered about the present work. */
export function keptAnswers(): KeptAnswers {
  const { result, query, view } = work.value;
  const about = <T extends object>(answer: (T & { readonly of: object }) | null): Omit<T, "of"> | null => {
    if (!answer || answer.of !== result) return null;
    const { of: _, ...rest } = answer;
    return rest;
  };
  const markersOf = (answer: MarkerAnswer | null, codes: ArrayLike<number> | undefined): Markers | null =>
    answer && answer.codes === codes ? { title: answer.title, rows: answer.rows } : null;
  return {
    tab: tab.value,
    groupMarkers: result && groupMarkers.value,
    clusterMarkers: markersOf(clusterMarkers.value, result?.clusters?.codes),
    selectionMarkers: markersOf(selectionMarkers.value, view.selection?.cells),
    compared: compared.value,
    selectionsCompared: result && selectionsCompared.value,
    comparison: about(comparison.value),
    evaluation: about(evaluation.value),
    analyses: about(analyses.value),
    geneSetFile: geneSetFile.value,
    quality:
      measuredQuality.value && measuredQuality.value.of === query?.files
        ? measuredQuality.value.quality
        : null,
    training: lastTraining.value,
  };
}

/** Gives the answers back to the work that was restored before. */
export function restoreAnswers(kept: Partial<KeptAnswers> | undefined): void {
  const { result, query, view } = work.value;
  const about = <T extends object>(answer: T | null | undefined): (T & { readonly of: object }) | null =>
    answer && result ? { ...answer, of: result } : null;
  const markersOf = (answer: Markers | null | undefined, codes: ArrayLike<number> | undefined) =>
    answer && codes ? { ...answer, codes } : null;
  tab.value = kept?.tab ?? "overview";
  groupMarkers.value = kept?.groupMarkers ?? null;
  clusterMarkers.value = markersOf(kept?.clusterMarkers, result?.clusters?.codes);
  selectionMarkers.value = markersOf(kept?.selectionMarkers, view.selection?.cells);
  compared.value = kept?.compared ?? { a: null, b: null };
  selectionsCompared.value = kept?.selectionsCompared ?? null;
  comparison.value = about(kept?.comparison);
  evaluation.value = about(kept?.evaluation);
  analyses.value = about(kept?.analyses);
  geneSetFile.value = kept?.geneSetFile ?? null;
  measuredQuality.value = kept?.quality && query ? { of: query.files, quality: kept.quality } : null;
  lastTraining.value = kept?.training ?? null;
}
