// Marker genes as the page shows them: in a line, as a short list under a selection, and as a table.
import { findSelectionMarkers, selectionMarkers, type MarkerAnswer } from "../answers.js";
import type { MarkerRow } from "../protocol.js";
import { colourBy, readGenes } from "../reading.js";
import { changeView, isBusy, work } from "../state.js";
import { percent } from "../text.js";
import { DataTable, numberColumn, pColumn, shareColumn, type TableColumn } from "./data-table.js";

/** A gene that colours the cells when it is clicked. */
export function GeneLink({ symbol, title }: { readonly symbol: string; readonly title?: string }) {
  const { colourBy: current } = work.value.view;
  const isShown = current.kind === "gene" && current.name === symbol;
  return (
    <button
      class="quiet link plain-link gene"
      aria-pressed={isShown}
      disabled={isBusy.value || (work.value.query?.files.length ?? 0) === 0}
      onClick={() => colourBy({ kind: "gene", name: symbol })}
      title={title ?? `Colour cells and samples by ${symbol}`}
    >
      {symbol}
    </button>
  );
}

/** What a marker gene is in numbers, for a tooltip. */
const numbersOf = ({ symbol, share, other_share: other, log2_fold_change: change, auc }: MarkerRow): string =>
  `${symbol}: in ${percent(share, 0)} of these cells and ${percent(other, 0)} of the others, log2 fold ` +
  `change ${change.toFixed(1)}, AUC ${auc.toFixed(2)}. Click to colour the cells by it`;

/** Genes with more in the group, in a line. */
export function MarkerLine({
  rows,
  most = 8,
}: {
  readonly rows: readonly MarkerRow[];
  readonly most?: number;
}) {
  const shown = rows.filter((row) => row.log2_fold_change > 0).slice(0, most);
  if (shown.length === 0) return <span class="hint">none</span>;
  return (
    <span class="gene-line">
      {shown.map((row) => (
        <GeneLink key={row.gene} symbol={row.symbol} title={numbersOf(row)} />
      ))}
    </span>
  );
}

/** A gene by its symbol, which colours the cells. */
export const geneColumn: TableColumn<{ readonly symbol: string }> = {
  name: "gene",
  value: (row) => row.symbol,
  show: (row) => <GeneLink symbol={row.symbol} />,
};

const markerColumns: readonly TableColumn<MarkerRow>[] = [
  geneColumn,
  numberColumn("log2 FC", (row) => row.log2_fold_change, 2, "log2 fold change of the mean expression"),
  shareColumn("in", (row) => row.share, "share of the group's cells with the gene"),
  shareColumn("others", (row) => row.other_share, "share of the other cells with the gene"),
  numberColumn(
    "AUC",
    (row) => row.auc,
    2,
    "probability that a cell of the group has more than another cell, ties as half",
  ),
  numberColumn("score", (row) => row.score, 1, "z of the rank sum (Wilcoxon), corrected for ties"),
  pColumn(
    "P corr.",
    (row) => row.p_adjusted,
    "P after Benjamini and Hochberg; cells are the units, not samples",
  ),
];

export function MarkerTable({
  rows,
  caption,
  file,
}: {
  readonly rows: readonly MarkerRow[];
  readonly caption: string;
  readonly file: string;
}) {
  return (
    <>
      <DataTable
        caption={caption}
        file={file}
        columns={markerColumns}
        rows={rows}
        keyOf={(row) => `${row.group} ${row.gene}`}
        most={10}
      />
      <p class="row">
        <button class="quiet small" onClick={() => void addGenes(topSymbols(rows))}>
          Look at the first 6 side by side
        </button>
      </p>
    </>
  );
}

const topSymbols = (rows: readonly MarkerRow[]): string[] =>
  rows
    .filter((row) => row.log2_fold_change > 0)
    .slice(0, 6)
    .map(({ symbol }) => symbol);

/** Reads genes and adds them to those shown side by side. */
export async function addGenes(names: readonly string[]): Promise<void> {
  if (!(await readGenes(names))) return;
  const { genes } = work.value.view;
  changeView("look at genes", { genes: [...genes, ...names.filter((name) => !genes.includes(name))] });
}

/** Under a selection: its marker genes, once they are asked for. */
export function SelectionMarkers({ cells, how }: { readonly cells: Uint32Array; readonly how: string }) {
  const answer = selectionMarkers.value;
  const isAbout = (one: MarkerAnswer | null): one is MarkerAnswer => one?.codes === cells;
  const { result, query } = work.value;
  if (cells.length < 2 || cells.length === result?.cells) return null;
  return (
    <div class="selection-markers">
      {isAbout(answer) ? (
        <p>
          <span class="hint">More than in all other cells: </span>
          <MarkerLine rows={answer.rows} most={12} />
        </p>
      ) : (
        <button
          disabled={isBusy.value || (query?.files.length ?? 0) === 0}
          title={
            query?.files.length
              ? "Genes that these cells have more of than all others"
              : "Needs the file of your cells: choose it again"
          }
          onClick={() => findSelectionMarkers(cells, how)}
        >
          Find marker genes
        </button>
      )}
    </div>
  );
}
