// Unknown cells: clusters of the query with their unknown cells, marker genes and the genes that make them
// novel.
import { useEffect, useMemo } from "preact/hooks";
import { clusterMarkers, findClusterMarkers } from "../answers.js";
import { annotateByMajority } from "../annotation.js";
import type { MappingResult, MarkerRow } from "../protocol.js";
import { cellsWhere, clearSelection, select } from "../selecting.js";
import { unknown, work } from "../state.js";
import { count, percent } from "../text.js";
import { CopyCommand } from "./copy-command.js";
import { GeneLink, MarkerLine, MarkerTable } from "./marker-list.js";
import { AddedTypes, AddToModel } from "./selection.js";

type ClusterSummary = NonNullable<MappingResult["summary"]["clusters"]>[number];

export function UnknownPanel({ result }: { readonly result: MappingResult }) {
  const { view } = work.value;
  const flagged = unknown.value[view.level];
  const rows = useMemo(() => clusterRows(result, flagged, view.level), [result, flagged, view.level]);
  useEffect(() => void findClusterMarkers(result), [result]);
  const answer = clusterMarkers.value;
  const markers = answer && answer.codes === result.clusters?.codes ? answer.rows : null;
  return (
    <section class="unknown" aria-labelledby="unknown-title">
      <h3 id="unknown-title">Clusters of the query</h3>
      {rows.length === 0 ? (
        <p class="empty">
          No clusters were asked for. Map again with "Find clusters in the query" to get candidates for new
          cell types, or select cells in the picture and label them.
        </p>
      ) : (
        <>
          <p class="hint">
            Neighbouring cells, found without looking at labels; those like no known type first. Novelty says
            how unlike every known type a cluster is as a whole, 0 to 1. Look at its genes before you name it.
          </p>
          <ul class="clusters">
            {rows.map((row) => (
              <ClusterCard
                key={row.cluster}
                row={row}
                markers={markers?.filter(({ group }) => group === String(row.cluster)) ?? null}
                isWaiting={markers === null && (work.value.query?.files.length ?? 0) > 0}
              />
            ))}
          </ul>
        </>
      )}
      {markers && <CopyCommand id="cluster-markers" />}
      <AddedTypes />
      <p class="row">
        {result.clusters && (
          <button
            title="Gives every cell the label that most cells of its cluster have, as labels of your own"
            onClick={annotateByMajority}
          >
            Label clusters by majority
          </button>
        )}
        <AddToModel />
      </p>
    </section>
  );
}

function ClusterCard({
  row: { cluster, cells, unknownCells, predicted, share, summary },
  markers,
  isWaiting,
}: {
  readonly row: ClusterRow;
  readonly markers: readonly MarkerRow[] | null;
  readonly isWaiting: boolean;
}) {
  const how = `cluster ${cluster}`;
  const isSelected = work.value.view.selection?.how === how;
  return (
    <li class={isSelected ? "picked" : ""}>
      <button
        class="group"
        aria-pressed={isSelected}
        onClick={() => (isSelected ? clearSelection() : select(cells, how))}
      >
        <span class="text">
          <strong>Cluster {cluster}</strong>{" "}
          <span class="hint">
            {count(cells.length)} cells
            {predicted ? `, ${percent(share, 0)} called ${predicted}` : ""}
          </span>
        </span>
        <span class={unknownCells > 0.3 * cells.length ? "amount bad" : "amount"}>
          {summary && summary.novelty !== null ? `novelty ${summary.novelty.toFixed(2)}, ` : ""}
          {percent(unknownCells / cells.length, 0)} unknown
        </span>
      </button>
      <dl class="cluster-genes">
        {summary?.is_novel && (
          <>
            <dt>Differs by</dt>
            <dd>
              <NewGenes summary={summary} />
            </dd>
          </>
        )}
        <dt>Markers</dt>
        <dd>
          {markers ? (
            <MarkerLine rows={markers} />
          ) : (
            <span class="hint">{isWaiting ? "looking ..." : "need the file of your cells"}</span>
          )}
        </dd>
      </dl>
      {isSelected && markers && (
        <MarkerTable rows={markers} caption={`Marker genes of ${how}`} file={`markers-cluster-${cluster}`} />
      )}
    </li>
  );
}

/** Genes that a cluster has more, and less, of than any mixture of known types. */
function NewGenes({ summary: { genes_up: up, genes_down: down } }: { readonly summary: ClusterSummary }) {
  return (
    <span class="gene-line">
      <span class="hint">more</span>
      {up.slice(0, 6).map((gene) => (
        <GeneLink key={gene} symbol={gene} />
      ))}
      {down.length > 0 && <span class="hint">less</span>}
      {down.slice(0, 4).map((gene) => (
        <GeneLink key={gene} symbol={gene} />
      ))}
    </span>
  );
}

interface ClusterRow {
  readonly cluster: number;
  readonly cells: Uint32Array;
  readonly unknownCells: number;
  readonly predicted: string | null;
  readonly share: number;
  readonly summary: ClusterSummary | null;
}

function clusterRows(
  { clusters, levels, summary }: MappingResult,
  flagged: Uint8Array | undefined,
  level: number,
): ClusterRow[] {
  if (!clusters) return [];
  const shownLevel = levels[level];
  const summaries = new Map(summary.clusters?.map((one) => [one.cluster, one]));
  const rows = clusters.numbers.map((cluster, code): ClusterRow => {
    const cells = cellsWhere(clusters.codes, code);
    const types = new Map<number, number>();
    for (const cell of shownLevel ? cells : []) {
      const type = shownLevel!.predicted[cell]!;
      types.set(type, (types.get(type) ?? 0) + 1);
    }
    const [most] = [...types].sort(([, a], [, b]) => b - a);
    return {
      cluster,
      cells,
      unknownCells: flagged ? cells.reduce((sum, cell) => sum + flagged[cell]!, 0) : 0,
      predicted: most ? shownLevel!.types[most[0]]! : null,
      share: most ? most[1] / cells.length : 0,
      summary: summaries.get(cluster) ?? null,
    };
  });
  const isNovel = ({ summary: one }: ClusterRow): number => Number(one?.is_novel ?? false);
  return rows
    .filter(({ cells }) => cells.length > 0)
    .sort(
      (a, b) =>
        isNovel(b) - isNovel(a) ||
        b.unknownCells / b.cells.length - a.unknownCells / a.cells.length ||
        (b.summary?.novelty ?? 0) - (a.summary?.novelty ?? 0) ||
        b.cells.length - a.cells.length,
    );
}
