// Gene sets: a .gmt file to test among genes, and which of its sets are over-represented.
import { geneSetFile } from "../answers.js";
import { pickFiles } from "../files.js";
import { Icon } from "../icons.js";
import type { GeneSetRow } from "../protocol.js";
import { isBusy } from "../state.js";
import { DataTable, numberColumn, pColumn, type TableColumn } from "./data-table.js";

/** @param onChange - asks again, with the sets or without */
export function GeneSetField({ onChange }: { readonly onChange: () => void }) {
  const choose = async (): Promise<void> => {
    const [file] = await pickFiles({ accept: ".gmt" });
    if (!file) return;
    geneSetFile.value = file;
    onChange();
  };
  const remove = (): void => {
    geneSetFile.value = null;
    onChange();
  };
  return (
    <p class="row gene-set-field">
      <button type="button" class="quiet small" disabled={isBusy.value} onClick={choose}>
        <Icon name="file" />
        {geneSetFile.value ? `Gene sets: ${geneSetFile.value.path}` : "Test gene sets (.gmt)"}
      </button>
      {geneSetFile.value && (
        <button
          type="button"
          class="quiet icon"
          aria-label="Remove the gene sets"
          disabled={isBusy.value}
          onClick={remove}
        >
          <Icon name="close" />
        </button>
      )}
    </p>
  );
}

const columns: readonly TableColumn<GeneSetRow>[] = [
  { name: "gene set", value: (row) => row.set },
  {
    name: "genes",
    hint: "genes of the group in the set, of the measured genes of the set",
    value: (row) => row.overlap,
    show: (row) => <span title={row.genes.join(", ")}>{`${row.overlap} of ${row.size}`}</span>,
  },
  numberColumn("expected", (row) => row.expected, 1, "genes in the set by chance"),
  pColumn(
    "P corr.",
    (row) => row.p_adjusted,
    "hypergeometric test, after Benjamini and Hochberg over the sets",
  ),
];

export function GeneSetTable({
  rows,
  caption,
  file,
}: {
  readonly rows: readonly GeneSetRow[];
  readonly caption: string;
  readonly file: string;
}) {
  if (rows.length === 0) return <p class="hint">{caption}: none has a gene of these.</p>;
  return (
    <>
      <h4>{caption}</h4>
      <DataTable
        caption={caption}
        file={file}
        rows={rows}
        keyOf={({ group, direction, set }) => `${group} ${direction} ${set}`}
        columns={rows.some(({ direction }) => direction) ? [directionColumn, ...columns] : columns}
        most={10}
      />
    </>
  );
}

const directionColumn: TableColumn<GeneSetRow> = {
  name: "genes that are",
  value: (row) => (row.direction === "down" ? "lower" : "higher"),
};
