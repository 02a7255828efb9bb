// Compare: groups of samples, by expression within each type and by composition, with samples as the units;
// and two selections of cells, which says something of these cells alone.
import { useSignal } from "@preact/signals";
import type { AbundanceComparison, GeneComparison } from "scpoli";
import { compareGroups, compared, comparison, compareSelections, selectionsCompared } from "../answers.js";
import type { MappingResult } from "../protocol.js";
import { readColumnOrGene } from "../reading.js";
import { columns, isBusy, work, type Selection } from "../state.js";
import { count, counted, percent, pValue } from "../text.js";
import { DataTable } from "./data-table.js";
import { GeneLink, MarkerTable } from "./marker-list.js";

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

function SampleGroups({ result }: { readonly result: MappingResult }) {
  const { query, view } = work.value;
  const candidates = query!.info.inspection.columns.filter(
    ({ kind, distinct }) => kind !== "unreadable" && distinct >= 2 && distinct <= 50,
  );
  const samples = query!.info.inspection.columns.filter(
    ({ kind, distinct }) => kind !== "unreadable" && distinct >= 2 && distinct <= 2000,
  );
  const sampleColumn = query!.conditionColumns[result.conditions[0]?.key ?? ""] ?? "";
  const column = useSignal("");
  const first = useSignal("");
  const second = useSignal("");
  const sampleKey = useSignal(sampleColumn);
  const covariate = useSignal("");
  const level = result.levels[view.level];
  const names = valuesOf(column.value);
  const own = comparison.value?.of === result ? comparison.value : null;
  if (!level || candidates.length === 0)
    return (
      <p class="empty">Groups of samples come from columns of your cell metadata, and none has groups.</p>
    );
  const choose = async (name: string): Promise<void> => {
    column.value = name;
    if (name === "" || !(await readColumnOrGene({ kind: "column", name }))) return;
    const [a = "", b = ""] = valuesOf(name).toReversed();
    [first.value, second.value] = [a, b];
  };
  const run = (event: Event): void => {
    event.preventDefault();
    void compareGroups({
      between: [column.value, first.value, second.value],
      sampleKey: sampleKey.value,
      within: `${level.key}_pred`,
      covariates: covariate.value === "" ? [] : [covariate.value],
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
        <div class="fields">
          <Choice label="Compare by" value={column.value} onChange={(name) => void choose(name)}>
            {candidates.map(({ name, distinct }) => [name, `${name} (${distinct})`])}
          </Choice>
          <Choice label="This group" value={first.value} onChange={(name) => (first.value = name)}>
            {names.map((name) => [name, name])}
          </Choice>
          <Choice label="against" value={second.value} onChange={(name) => (second.value = name)}>
            {names.map((name) => [name, name])}
          </Choice>
          <Choice
            label="Samples or patients"
            value={sampleKey.value}
            onChange={(name) => (sampleKey.value = name)}
          >
            {samples.map(({ name, distinct }) => [name, `${name} (${distinct})`])}
          </Choice>
          <Choice
            label="Correct for"
            value={covariate.value}
            onChange={(name) => (covariate.value = name)}
            none="nothing"
          >
            {candidates
              .filter(({ name }) => name !== column.value && name !== sampleKey.value)
              .map(({ name }) => [name, name])}
          </Choice>
        </div>
        <button
          disabled={
            isBusy.value ||
            [column, first, second, sampleKey].some(({ value }) => value === "") ||
            first.value === second.value
          }
        >
          Compare
        </button>
      </form>
      {own && <Answer answer={own} />}
    </section>
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

function Answer({ answer: { request, result } }: { readonly answer: NonNullable<typeof comparison.value> }) {
  const [, first, second] = request.between;
  const done = result.types.filter(({ reason }) => reason === null);
  const left = result.types.filter(({ reason }) => reason !== null);
  const type = useSignal("");
  const shown = done.find((one) => one.type === type.value) ?? done[0];
  const significant = (one: (typeof done)[number]): number =>
    one.genes.filter(({ adjustedP }) => adjustedP < 0.05).length;
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
            {
              name: first,
              hint: "mean share of a sample's cells",
              value: (row) => row.shares[0],
              show: (row) => percent(row.shares[0]),
            },
            {
              name: second,
              hint: "mean share of a sample's cells",
              value: (row) => row.shares[1],
              show: (row) => percent(row.shares[1]),
            },
            {
              name: "log2 ratio",
              hint: "difference of the centred log ratios",
              value: (row) => row.log2Ratio,
              show: (row) => row.log2Ratio.toFixed(2),
            },
            {
              name: "P corr.",
              hint: "after Benjamini and Hochberg",
              value: (row) => row.adjustedP,
              show: (row) => pValue(row.adjustedP),
            },
          ]}
        />
      )}
      <h4>Genes within a type</h4>
      {result.isPaired && <p class="hint">Samples with cells of both groups are compared with themselves.</p>}
      {shown ? (
        <>
          <select
            aria-label="Type"
            value={shown.type}
            onChange={(event) => (type.value = event.currentTarget.value)}
          >
            {done.map((one) => (
              <option key={one.type} value={one.type}>
                {one.type}: {counted(significant(one), "gene")} with corrected P below 0.05
              </option>
            ))}
          </select>
          <p class="hint">
            {shown.samples[0]} and {shown.samples[1]} samples, {count(shown.cells[0])} and{" "}
            {count(shown.cells[1])} cells. Up means more in {first}.
          </p>
          <DataTable<GeneComparison>
            caption={`Genes of ${shown.type}, ${first} against ${second}`}
            file={`genes-${shown.type}-${first}-${second}`}
            rows={shown.genes}
            keyOf={(row) => row.gene}
            columns={[
              { name: "gene", value: (row) => row.symbol, show: (row) => <GeneLink symbol={row.symbol} /> },
              {
                name: "log2 FC",
                value: (row) => row.log2FoldChange,
                show: (row) => row.log2FoldChange.toFixed(2),
              },
              {
                name: "mean",
                hint: "mean log2 counts per million",
                value: (row) => row.averageExpression,
                show: (row) => row.averageExpression.toFixed(1),
              },
              { name: "t", value: (row) => row.t, show: (row) => row.t.toFixed(1) },
              {
                name: "P corr.",
                hint: "after Benjamini and Hochberg",
                value: (row) => row.adjustedP,
                show: (row) => pValue(row.adjustedP),
              },
            ]}
          />
        </>
      ) : (
        <p class="hint">No type has enough samples with cells in both groups.</p>
      )}
      {left.length > 0 && (
        <p class="hint">Not compared: {left.map((one) => `${one.type} (${one.reason})`).join("; ")}.</p>
      )}
    </>
  );
}

/** Two selections, remembered by a click. */
function Selections() {
  const { selection } = work.value.view;
  const { a, b } = compared.value;
  const answer = selectionsCompared.value;
  const row = (name: "a" | "b", own: Selection | null, none: string) => (
    <p class="row tight">
      <strong>{name.toUpperCase()}</strong>
      <span class="text">{own ? `${counted(own.cells.length, "cell")}, ${own.how}` : none}</span>
      <button
        disabled={!selection}
        onClick={() => (compared.value = { ...compared.value, [name]: selection })}
      >
        Take the selection
      </button>
      {own && (
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
