// Compare: groups of samples, by expression within each type and by composition, with samples as units; and
// two selections, with cells as units.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { AbundanceComparison, GeneComparison } from "scpoli";
import { compareGroups, compared, comparison, compareSelections, selectionsCompared } from "../answers.js";
import type { MappingResult } from "../protocol.js";
import { readColumnOrGene } from "../reading.js";
import { columns, isBusy, work, type Selection } from "../state.js";
import { count, counted } from "../text.js";
import { CopyCommand } from "./copy-command.js";
import { DataTable, numberColumn, pColumn, shareColumn, type TableColumn } from "./data-table.js";
import { GeneSetField, GeneSetTable } from "./gene-sets.js";
import { geneColumn, MarkerTable } from "./marker-list.js";

export function ComparePanel({ result }: { readonly result: MappingResult }) {
  const { query } = work.value;
  if (!query || query.files.length === 0)
    return <p class="empty">Comparisons need the counts of your cells: choose their file again.</p>;
  return (
    <>
      <SampleGroups result={result} />
      <Selections />
    </>
  );
}

/** What a comparison of groups is asked for with, as the fields hold it. */
interface GroupFields {
  readonly column: string;
  readonly first: string;
  readonly second: string;
  readonly sampleKey: string;
  /** "": none */
  readonly covariate: string;
}

const isWhole = ({ column, first, second, sampleKey }: GroupFields): boolean =>
  [column, first, second, sampleKey].every((value) => value !== "") && first !== second;

function SampleGroups({ result }: { readonly result: MappingResult }) {
  const { query, view } = work.value;
  const answer = comparison.value?.of === result ? comparison.value : null;
  const [column, first, second] = answer?.request.between ?? ["", "", ""];
  const fields = useSignal<GroupFields>({
    column,
    first,
    second,
    sampleKey: answer?.request.sampleKey ?? query!.conditionColumns[result.conditions[0]?.key ?? ""] ?? "",
    covariate: answer?.request.covariates[0] ?? "",
  });
  useEffect(() => {
    // after a reload the values of the column are not there yet
    if (column !== "") void readColumnOrGene({ kind: "column", name: column });
  }, [column]);
  const level = result.levels[view.level];
  if (!level || groupColumns(50).length === 0)
    return (
      <p class="empty">Groups of samples come from columns of your cell metadata, and none has groups.</p>
    );
  const run = (event: Event): void => {
    event.preventDefault();
    const { covariate, sampleKey, ...groups } = fields.value;
    void compareGroups({
      between: [groups.column, groups.first, groups.second],
      sampleKey,
      within: `${level.key}_pred`,
      covariates: covariate === "" ? [] : [covariate],
    });
  };
  return (
    <section aria-labelledby="groups-title">
      <h3 id="groups-title">Groups of samples</h3>
      <p class="hint">
        Counts are summed within each sample and type (pseudobulk) and compared by limma-voom: samples are the
        units, so that the result holds beyond these cells.
      </p>
      <form onSubmit={run}>
        <GroupChoices
          fields={fields.value}
          onChange={(next) => (fields.value = { ...fields.value, ...next })}
        />
        <button disabled={isBusy.value || !isWhole(fields.value)}>Compare</button>
      </form>
      {answer && (
        <>
          <CopyCommand id="compare" />
          <GeneSetField onChange={() => void compareGroups(answer.request)} />
          <Abundance answer={answer} />
          <TypeGenes answer={answer} />
        </>
      )}
    </section>
  );
}

/** Columns of the query with groups, at most so many. */
const groupColumns = (most: number) =>
  work.value.query!.info.inspection.columns.filter(
    ({ kind, distinct }) => kind !== "unreadable" && distinct >= 2 && distinct <= most,
  );

function GroupChoices({
  fields: { column, first, second, sampleKey, covariate },
  onChange,
}: {
  readonly fields: GroupFields;
  readonly onChange: (next: Partial<GroupFields>) => void;
}) {
  const candidates = groupColumns(50);
  const names = valuesOf(column).map((name) => [name, name] as const);
  const chooseColumn = async (name: string): Promise<void> => {
    onChange({ column: name, first: "", second: "" });
    if (name === "" || !(await readColumnOrGene({ kind: "column", name }))) return;
    const [a = "", b = ""] = valuesOf(name).toReversed();
    onChange({ first: a, second: b });
  };
  return (
    <div class="fields">
      <Choice label="Compare by" value={column} onChange={(name) => void chooseColumn(name)}>
        {candidates.map(({ name, distinct }) => [name, `${name} (${distinct})`])}
      </Choice>
      <Choice label="This group" value={first} onChange={(name) => onChange({ first: name })}>
        {names}
      </Choice>
      <Choice label="against" value={second} onChange={(name) => onChange({ second: name })}>
        {names}
      </Choice>
      <Choice
        label="Samples or patients"
        value={sampleKey}
        onChange={(name) => onChange({ sampleKey: name })}
      >
        {groupColumns(2000).map(({ name, distinct }) => [name, `${name} (${distinct})`])}
      </Choice>
      <Choice
        label="Correct for"
        value={covariate}
        onChange={(name) => onChange({ covariate: name })}
        none="nothing"
      >
        {candidates
          .filter(({ name }) => name !== column && name !== sampleKey)
          .map(({ name }) => [name, name])}
      </Choice>
    </div>
  );
}

function valuesOf(column: string): readonly string[] {
  const values = columns.value.get(column);
  if (values?.kind === "groups") return values.names;
  return values
    ? [...new Set(values.values)]
        .sort((a, b) => a - b)
        .slice(0, 50)
        .map(String)
    : [];
}

function Choice({
  label,
  value,
  onChange,
  none = "choose ...",
  children,
}: {
  readonly label: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly none?: string;
  readonly children: readonly (readonly [value: string, text: string])[];
}) {
  return (
    <label>
      <span>{label}</span>
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        <option value="">{none}</option>
        {children.map(([one, text]) => (
          <option key={one} value={one}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

interface AnswerProps {
  readonly answer: NonNullable<typeof comparison.value>;
}

function Abundance({ answer: { request, result } }: AnswerProps) {
  const [, first, second] = request.between;
  return (
    <>
      <h4>
        Abundance of types, {first} against {second}
      </h4>
      {result.abundance.length === 0 ? (
        <p class="hint">Shares of fewer than three types say nothing of each other.</p>
      ) : (
        <DataTable<AbundanceComparison>
          caption={`Abundance of types, ${first} against ${second}`}
          file={`abundance-${first}-${second}`}
          rows={result.abundance}
          keyOf={(row) => row.type}
          columns={[
            { name: "type", value: (row) => row.type },
            meanShare(first, 0),
            meanShare(second, 1),
            numberColumn("log2 ratio", (row) => row.log2Ratio, 2, "difference of the centred log ratios"),
            correctedP,
          ]}
        />
      )}
    </>
  );
}

const meanShare = (name: string, group: 0 | 1): TableColumn<AbundanceComparison> =>
  shareColumn(name, (row) => row.shares[group], "mean share of a sample's cells", 1);

const correctedP: TableColumn<{ readonly adjustedP: number }> = pColumn(
  "P corr.",
  (row) => row.adjustedP,
  "after Benjamini and Hochberg",
);

const geneColumns: readonly TableColumn<GeneComparison>[] = [
  geneColumn,
  numberColumn("log2 FC", (row) => row.log2FoldChange, 2),
  numberColumn("mean", (row) => row.averageExpression, 1, "mean log2 counts per million"),
  numberColumn("t", (row) => row.t, 1, "moderated t"),
  correctedP,
];

type TypeAnswer = AnswerProps["answer"]["result"]["types"][number];

const significantGenes = ({ genes }: TypeAnswer): number =>
  genes.filter(({ adjustedP }) => adjustedP < 0.05).length;

/** Genes that differ between the groups within one of the types. */
function TypeGenes({ answer: { request, result, sets } }: AnswerProps) {
  const [, first, second] = request.between;
  const tested = result.types.filter(({ reason }) => reason === null);
  const leftOut = result.types.filter(({ reason }) => reason !== null);
  const type = useSignal("");
  const shown = tested.find((one) => one.type === type.value) ?? tested[0];
  return (
    <>
      <h4>Genes within a type</h4>
      {result.isPaired && <p class="hint">Samples with cells of both groups are compared with themselves.</p>}
      {shown ? (
        <>
          <select
            aria-label="Type"
            value={shown.type}
            onChange={(event) => (type.value = event.currentTarget.value)}
          >
            {tested.map((one) => (
              <option key={one.type} value={one.type}>
                {one.type}: {counted(significantGenes(one), "gene")} with corrected P below 0.05
              </option>
            ))}
          </select>
          <p class="hint">
            {shown.samples[0]} and {shown.samples[1]} samples, {count(shown.cells[0])} and{" "}
            {count(shown.cells[1])} cells. A positive log2 FC means more in {first}.
          </p>
          <DataTable<GeneComparison>
            caption={`Genes of ${shown.type}, ${first} against ${second}`}
            file={`genes-${shown.type}-${first}-${second}`}
            rows={shown.genes}
            keyOf={(row) => row.gene}
            columns={geneColumns}
          />
          {sets && (
            <GeneSetTable
              rows={sets.filter((row) => row.group === shown.type)}
              caption={`Gene sets among the genes of ${shown.type} that differ`}
              file={`gene-sets-${shown.type}-${first}-${second}`}
            />
          )}
        </>
      ) : (
        <p class="hint">No type has enough samples with cells in both groups.</p>
      )}
      {leftOut.length > 0 && (
        <p class="hint">Not compared: {leftOut.map((one) => `${one.type} (${one.reason})`).join("; ")}.</p>
      )}
    </>
  );
}

/** Two selections, remembered by a click. */
function Selections() {
  const { selection } = work.value.view;
  const { a, b } = compared.value;
  const answer = selectionsCompared.value;
  const row = (name: "a" | "b", chosen: Selection | null, none: string) => (
    <p class="row tight">
      <strong>{name.toUpperCase()}</strong>
      <span class="text">{chosen ? `${counted(chosen.cells.length, "cell")}, ${chosen.how}` : none}</span>
      <button
        disabled={!selection}
        onClick={() => (compared.value = { ...compared.value, [name]: selection })}
      >
        Take the selection
      </button>
      {chosen && (
        <button class="quiet" onClick={() => (compared.value = { ...compared.value, [name]: null })}>
          Clear
        </button>
      )}
    </p>
  );
  return (
    <section aria-labelledby="selections-title">
      <h3 id="selections-title">Two selections of cells</h3>
      {row("a", a, "select cells, then take them")}
      {row("b", b, "all other cells")}
      <p class="row">
        <button disabled={isBusy.value || !a} onClick={compareSelections}>
          Compare the cells
        </button>
      </p>
      {answer && (
        <>
          <h4>{answer.title}</h4>
          <MarkerTable rows={answer.rows} caption={answer.title} file="selections-compared" />
        </>
      )}
      <p class="hint">
        Cells are the units of this test, not samples: small P values say that these cells differ, not that
        patients do.
      </p>
    </section>
  );
}
