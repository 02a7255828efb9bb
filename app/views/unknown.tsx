// Unknown cells: the query's clusters with how many of their cells are unknown, to look at and to name.
import { useMemo } from "preact/hooks";
import type { MappingResult } from "../protocol.js";
import { unknown, work } from "../state.js";
import { count, percent } from "../text.js";
import { cellsWhere, pick } from "./cells.js";
import { AddToModel, Naming } from "./selection.js";

export function UnknownPanel({ result }: { readonly result: MappingResult }) {
  const { view } = work.value;
  const flagged = unknown.value[view.level];
  const rows = useMemo(() => clusterRows(result, flagged, view.level), [result, flagged, view.level]);
  const summaries = new Map(result.summary.clusters?.map((own) => [own.cluster, own]));
  const level = result.levels[view.level];
  return (
    <section class="unknown" aria-labelledby="unknown-title">
      <h3 id="unknown-title">Clusters of the query</h3>
      {rows.length === 0 ? (
        <p class="empty">
          No clusters were asked for. Map again with "Find clusters in the query" to get candidates for new
          cell types, or pick cells in the picture and name them.
        </p>
      ) : (
        <>
          <p class="hint">
            Neighbouring cells, found without looking at labels; those with most unknown cells first. The
            novelty of a cluster says how unlike every known type it is as a whole, next to it are the genes
            that make it so. Look at one, and give it a name if the reference has none for it.
          </p>
          <ul class="clusters">
            {rows.map(({ cluster, cells, unknownCells, predicted, share }) => {
              const isPicked = view.selection?.how === `cluster ${cluster}`;
              return (
                <li key={cluster} class={isPicked ? "picked" : ""}>
                  <button
                    class="group"
                    aria-pressed={isPicked}
                    onClick={() => pick(isPicked ? new Uint32Array(0) : cells, `cluster ${cluster}`)}
                  >
                    <span class="text">
                      <strong>Cluster {cluster}</strong>{" "}
                      <span class="hint">
                        {count(cells.length)} cells
                        {predicted ? `, ${percent(share, 0)} called ${predicted}` : ""}
                        {noveltyText(summaries.get(cluster))}
                      </span>
                    </span>
                    <span class={unknownCells > 0.3 * cells.length ? "amount bad" : "amount"}>
                      {percent(unknownCells / cells.length, 0)} unknown
                    </span>
                  </button>
                  {isPicked && <Naming level={level?.key} cells={{ clusters: [cluster] }} />}
                </li>
              );
            })}
          </ul>
        </>
      )}
      <p class="row">
        <AddToModel />
      </p>
    </section>
  );
}

/** Novelty of a cluster, and of a novel one its genes. */
function noveltyText(summary: NonNullable<MappingResult["summary"]["clusters"]>[number] | undefined): string {
  if (!summary || summary.novelty === null) return "";
  const { novelty, is_novel: isNovel, genes_up: up, genes_down: down } = summary;
  const genes = isNovel ? `, more ${up.slice(0, 5).join(", ")}, less ${down.slice(0, 3).join(", ")}` : "";
  return `, novelty ${novelty.toFixed(2)}${genes}`;
}

interface ClusterRow {
  readonly cluster: number;
  readonly cells: Uint32Array;
  readonly unknownCells: number;
  readonly predicted: string | null;
  readonly share: number;
}

function clusterRows(
  { clusters, levels }: MappingResult,
  flagged: Uint8Array | undefined,
  level: number,
): ClusterRow[] {
  if (!clusters) return [];
  const own = levels[level];
  const rows = clusters.numbers.map((cluster, code): ClusterRow => {
    const cells = cellsWhere(clusters.codes, code);
    const types = new Map<number, number>();
    if (own)
      for (const cell of cells) types.set(own.predicted[cell]!, (types.get(own.predicted[cell]!) ?? 0) + 1);
    const [most] = [...types].sort(([, a], [, b]) => b - a);
    return {
      cluster,
      cells,
      unknownCells: flagged ? cells.reduce((sum, cell) => sum + flagged[cell]!, 0) : 0,
      predicted: most ? own!.types[most[0]]! : null,
      share: most ? most[1] / cells.length : 0,
    };
  });
  return rows
    .filter(({ cells }) => cells.length > 0)
    .sort(
      (a, b) =>
        b.unknownCells / b.cells.length - a.unknownCells / a.cells.length || b.cells.length - a.cells.length,
    );
}
