// A saved session: the model, the results, the answers and what was decided, to continue later. It holds the
// counts where that is asked for.
import { keptAnswers, restoreAnswers } from "./kept-answers.js";
import type { SavedSession } from "./session-file.js";
import { emptyView, nothing, replaceWork, work, type DataFile, type View } from "./state.js";

/** @param withCounts - whether the file of the cells is in it */
export async function saveSession(
  withCounts: boolean,
): Promise<{ readonly file: Blob; readonly name: string }> {
  const { query, model, result, request, addedTypes, annotation, view } = work.value;
  const { packSession } = await import("./session-file.js");
  const bytes = await packSession({
    query: query && (withCounts ? query : withoutFiles(query)),
    model,
    result,
    request,
    addedTypes,
    annotation,
    view,
    answers: keptAnswers(),
  });
  return {
    file: new Blob([bytes], { type: "application/zip" }),
    name: `${(query?.info.name ?? model?.name ?? "session").replace(/\.[a-z0-9]+$/i, "")}.scpoli`,
  };
}

function withoutFiles({ files: _files, ...rest }: DataFile): Omit<DataFile, "files"> {
  return rest;
}

/** @throws JobError where the file is no session of this page */
export async function openSession(file: File): Promise<void> {
  const { unpackSession } = await import("./session-file.js");
  showSession(await unpackSession(file));
}

/** Replaces the work by that of a session. */
export function showSession(saved: SavedSession): void {
  replaceWork({
    ...nothing,
    query: saved.query && { ...saved.query, files: saved.query.files ?? [] },
    model: saved.model,
    result: saved.result,
    request: saved.request ?? {},
    addedTypes: saved.addedTypes ?? [],
    annotation: saved.annotation ?? null,
    view: reopenedView(saved),
  });
  restoreAnswers(saved.answers);
}

/** Without what is read from the file of the cells. */
export function reopenedView({ view, result }: Pick<SavedSession, "result" | "view">): View {
  const isRead = ({ kind }: View["colourBy"]): boolean => kind === "column" || kind === "gene";
  return {
    ...emptyView,
    ...view,
    genes: [],
    filters: (view.filters ?? []).filter(({ by }) => !isRead(by)),
    colourBy: !isRead(view.colourBy)
      ? view.colourBy
      : result?.levels.length
        ? { kind: "predicted", level: 0 }
        : { kind: "condition", key: 0 },
  };
}
