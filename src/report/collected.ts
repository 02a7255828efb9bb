// One table and one report over the results of many mappings: the JSON that `scpoli map --json` prints.
import type { MappingSummary } from "../mapping/mapping.js";
import { escapeText } from "../plots/svg.js";
import { pageHtml, tableHtml } from "./html.js";
import { factsHtml, verdictHtml } from "./sections.js";

/** A mapped query and its summary. */
export interface CollectedQuery {
  readonly name: string;
  readonly summary: MappingSummary;
}

/** Columns of the table: a row per query, annotation level and predicted type. */
export const collectedColumns = [
  "query",
  "level",
  "cell_type",
  "cells",
  "unknown",
  "cells_in_query",
  "unknown_in_query",
  "novel_clusters",
  "verdict",
  "reasons",
] as const satisfies readonly (keyof CollectedRow)[];

/** A row of the table; `novel_clusters` is null if the query was not clustered (`--unlabeled-prototypes`). */
type CollectedRow = Readonly<
  Record<"query" | "level" | "cell_type" | "verdict" | "reasons", string> &
    Record<"cells" | "unknown" | "cells_in_query" | "unknown_in_query", number> &
    Record<"novel_clusters", number | null>
>;

/** Rows of the table, with `collectedColumns`. */
export function collectedRows(queries: readonly CollectedQuery[]): CollectedRow[] {
  return queries.flatMap(({ name, summary }) =>
    summary.levels.flatMap(({ key, predicted, unknown_by_type, unknown }) =>
      Object.entries(predicted).map(([type, cells]) => ({
        query: name,
        level: key,
        cell_type: type,
        cells,
        unknown: unknown_by_type[type] ?? 0,
        cells_in_query: summary.cells,
        unknown_in_query: unknown,
        novel_clusters: novelClusters(summary),
        verdict: summary.verdict.light,
        reasons: reasonsText(summary),
      })),
    ),
  );
}

/** One report over all queries. */
export function collectedHtml(queries: readonly CollectedQuery[]): Promise<string> {
  const cells = queries.reduce((sum, { summary }) => sum + summary.cells, 0);
  const lights = (["green", "amber", "red"] as const)
    .map((light) => [light, queries.filter(({ summary }) => summary.verdict.light === light).length] as const)
    .filter(([, n]) => n > 0);
  const facts: [string, string][] = [
    ["Queries", queries.length.toLocaleString("en-US")],
    ["Cells", cells.toLocaleString("en-US")],
    ["Verdicts", lights.map(([light, n]) => `${n} ${light}`).join(", ")],
  ];
  return pageHtml(
    "Queries mapped onto one reference",
    `${queries.length} queries, ${cells.toLocaleString("en-US")} cells.`,
    [
      { id: "summary", title: "Summary", content: factsHtml(facts) + overview(queries) },
      { id: "types", title: "Cells by type", content: typesTable(queries) },
      {
        id: "verdicts",
        title: "Verdicts",
        content: queries
          .map(({ name, summary }) => `<h3>${escapeText(name)}</h3>${verdictHtml(summary.verdict)}`)
          .join("\n"),
      },
    ],
    "Made by scpoli collect.",
  );
}

function overview(queries: readonly CollectedQuery[]): string {
  return tableHtml({
    columns: ["query", "cells", "unknown", "novel clusters", "verdict", "reasons"],
    rows: queries.map(({ name, summary }) => [
      name,
      summary.cells,
      summary.levels[0]?.unknown ?? "",
      novelClusters(summary) ?? "",
      summary.verdict.light,
      reasonsText(summary),
    ]),
  });
}

function typesTable(queries: readonly CollectedQuery[]): string {
  return tableHtml({
    columns: ["query", "level", "cell type", "cells", "unknown"],
    rows: collectedRows(queries).map(({ query, level, cell_type, cells, unknown }) => [
      query,
      level,
      cell_type,
      cells,
      unknown,
    ]),
  });
}

function novelClusters({ clusters }: MappingSummary): number | null {
  return clusters === undefined ? null : clusters.filter(({ is_novel }) => is_novel).length;
}

/** Reasons that are not green; all of them if they all are. */
function reasonsText({ verdict: { light, reasons } }: MappingSummary): string {
  return reasons
    .filter((reason) => light === "green" || reason.light !== "green")
    .map(({ text }) => text)
    .join("; ");
}
