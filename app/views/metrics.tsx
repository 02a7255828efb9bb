// Metrics of integration and of label transfer, if the query has its own labels to compare with.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Evaluation } from "scpoli";
import { evaluation } from "../answers.js";
import { guarded, working } from "../job-status.js";
import { SaveChart } from "../charts/save-chart.js";
import { predictedCodes, unknownName } from "../coloring.js";
import type { MappingResult } from "../protocol.js";
import { currentAdditions } from "../saving.js";
import { Facts } from "./controls.js";
import { CopyCommand } from "./copy-command.js";
import { DataTable, SaveTable } from "./data-table.js";
import { readColumnOrGene } from "../reading.js";
import { columns, isBusy, unknown, work, type DataFile } from "../state.js";
import { count, percent } from "../text.js";

export function MetricsPanel({ result }: { readonly result: MappingResult }) {
  const { query, view } = work.value;
  const answer = evaluation.value?.of === result ? evaluation.value : null;
  const truth = answer?.request.cellTypeKey;
  useEffect(() => {
    // after a reload the labels are not there yet
    if (truth !== undefined) void readColumnOrGene({ kind: "column", name: truth });
  }, [truth]);
  const candidates =
    query?.info.inspection.columns.filter(
      ({ kind, distinct }) =>
        (kind === "categorical" || kind === "string") && distinct >= 2 && distinct < result.cells / 2,
    ) ?? [];
  if (!query || query.files.length === 0)
    return <p class="empty">Metrics need the counts of your cells: choose their file again.</p>;
  if (candidates.length === 0)
    return <p class="empty">Metrics compare with labels, and no column of the query looks like any.</p>;
  const { label_transfer: transfer, embeddings } = answer?.scores ?? { label_transfer: null, embeddings: [] };
  return (
    <>
      <TruthForm result={result} query={query} candidates={candidates.map(({ name }) => name)} />
      {transfer && (
        <Labels
          transfer={transfer}
          confusion={confusionOf(result, view.level, answer!.request.cellTypeKey)}
        />
      )}
      {embeddings.map((scores) => (
        <Integration key={scores.embedding} scores={scores} />
      ))}
      {answer && <CopyCommand id="evaluate" />}
    </>
  );
}

/** Which labels of the query are right, to compare with. */
function TruthForm({
  result,
  query,
  candidates,
}: {
  readonly result: MappingResult;
  readonly query: DataFile;
  readonly candidates: readonly string[];
}) {
  const chosen = useSignal(query.cellTypeKeys[0] ?? candidates[0]!);
  const key = result.conditions[0]?.key ?? "";
  // the copy that is scored has a column of its own for a sample that was named
  const condition = query.conditionColumns[key] || key;
  const run = (): Promise<void> =>
    guarded("The metrics could not be computed", async () => {
      const request = {
        cellTypeKey: chosen.value,
        conditionKey: condition,
        level: result.levels[work.value.view.level]?.key,
      };
      if (!(await readColumnOrGene({ kind: "column", name: chosen.value }))) return;
      const scores = await working("Computing metrics", ({ jobs, listener }) =>
        jobs.scoreMapping(query.files, currentAdditions(result), request, listener),
      );
      evaluation.value = { of: result, scores, request };
    });
  return (
    <section aria-labelledby="metrics-title">
      <h3 id="metrics-title">Compare with your own labels</h3>
      <div class="row">
        <label class="row tight">
          <span>True cell types in</span>
          <select value={chosen.value} onChange={(event) => (chosen.value = event.currentTarget.value)}>
            {candidates.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <button onClick={run} disabled={isBusy.value || chosen.value === ""}>
          Evaluate
        </button>
      </div>
      <p class="hint">
        The mapping has not looked at them. Integration is scored as scIB does, over the query's cells and its
        samples ({condition}).
      </p>
    </section>
  );
}

const shown = (value: number | null): string => (value === null ? "–" : value.toFixed(3));

interface Confusion {
  readonly truth: readonly string[];
  readonly predicted: readonly string[];
  readonly cells: readonly (readonly number[])[];
}

/** From the labels of the file to the predictions, unknown cells as such. */
function confusionOf({ levels }: MappingResult, at: number, name: string): Confusion | null {
  const [level, truth] = [levels[at], columns.value.get(name)];
  if (!level || truth?.kind !== "groups") return null;
  const codes = predictedCodes(level, unknown.value[at]);
  const counts = truth.names.map(() => new Array<number>(level.types.length + 1).fill(0));
  truth.codes.forEach((row, cell) => {
    if (row >= 0) counts[row]![codes[cell]!]!++;
  });
  const rows = [...truth.names.keys()].filter((row) => counts[row]!.some((n) => n > 0));
  const used = [...level.types.keys(), level.types.length].filter((code) =>
    rows.some((row) => counts[row]![code]! > 0),
  );
  return {
    truth: rows.map((row) => truth.names[row]!),
    predicted: used.map((code) => level.types[code] ?? unknownName),
    cells: rows.map((row) => used.map((code) => counts[row]![code]!)),
  };
}

function Labels({
  transfer,
  confusion,
}: {
  readonly transfer: NonNullable<Evaluation["label_transfer"]>;
  readonly confusion: Confusion | null;
}) {
  const { cells, cells_of_unknown_types, accuracy, weighted_f1, macro_f1 } = transfer;
  const facts: readonly (readonly [name: string, value: string])[] = [
    ["Accuracy", accuracy === null ? "–" : percent(accuracy)],
    ["Macro F1", shown(macro_f1)],
    ["Weighted F1", shown(weighted_f1)],
    ["Cells compared", count(cells)],
    ...(cells_of_unknown_types > 0
      ? [["Of types that the model lacks", count(cells_of_unknown_types)] as const]
      : []),
  ];
  return (
    <section aria-labelledby="transfer-title">
      <header class="row">
        <h3 id="transfer-title">Label transfer</h3>
        {confusion && (
          <SaveChart name="Confusion of cell types" plot={(plots) => plots.confusionPlot(confusion)} />
        )}
      </header>
      <Facts facts={facts} />
      {confusion && <ConfusionTable confusion={confusion} />}
    </section>
  );
}

function ConfusionTable({ confusion: { truth, predicted, cells } }: { readonly confusion: Confusion }) {
  const totals = cells.map((row) =>
    Math.max(
      1,
      row.reduce((sum, n) => sum + n, 0),
    ),
  );
  const shade = (share: number): string =>
    `color-mix(in srgb, var(--accent) ${Math.round(42 * share)}%, var(--sunken))`;
  return (
    <>
      <div class="scroll" tabIndex={0} role="group" aria-label="Confusion of cell types">
        <table class="matrix confusion">
          <caption class="hint">
            Cells of each true type (rows) by predicted type (columns), shaded by their share of the true type
          </caption>
          <thead>
            <tr>
              <td />
              {predicted.map((name) => (
                <th key={name} scope="col">
                  <span>{name}</span>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {truth.map((name, row) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                {cells[row]!.map((n, column) => (
                  <td key={predicted[column]} style={{ background: shade(n / totals[row]!) }}>
                    {n > 0 ? count(n) : ""}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="row table-foot">
        <SaveTable
          file="confusion"
          rows={[...truth.keys()]}
          columns={[
            { name: "true type", value: (row) => truth[row]! },
            ...predicted.map((name, column) => ({ name, value: (row: number) => cells[row]![column]! })),
          ]}
        />
      </p>
    </>
  );
}

/** Names as their authors write them, with range and direction. */
const metricNames: Readonly<Record<string, readonly [name: string, range: string]>> = {
  cell_type_silhouette: ["Cell type silhouette", "0 to 1, higher: types lie apart"],
  isolated_label_f1: ["Isolated-label F1", "0 to 1, higher: rare types are found"],
  isolated_label_silhouette: ["Isolated-label silhouette", "0 to 1, higher: rare types lie apart"],
  leiden_nmi: ["NMI, Leiden", "0 to 1, higher: clusters are types"],
  leiden_ari: ["ARI, Leiden", "0 to 1, higher: clusters are types"],
  kmeans_nmi: ["NMI, k-means", "0 to 1, higher: clusters are types"],
  kmeans_ari: ["ARI, k-means", "0 to 1, higher: clusters are types"],
  clisi: ["cLISI", "0 to 1, higher: neighbours are of one type"],
  condition_silhouette: ["Batch silhouette", "0 to 1, higher: samples mix within types"],
  graph_connectivity: ["Graph connectivity", "0 to 1, higher: types hang together"],
  pc_regression: ["PC regression", "0 to 1, higher: less variance is left to samples"],
  ilisi: ["iLISI", "0 to 1, higher: samples mix"],
};

function Integration({
  scores: { embedding, metrics, scores },
}: {
  readonly scores: Evaluation["embeddings"][number];
}) {
  return (
    <section aria-label={`Integration, ${embedding}`}>
      <h3>Integration</h3>
      <Facts
        facts={[
          ["Biology", shown(scores.paper.biology)],
          ["Mixing", shown(scores.paper.mixing)],
          ["Overall", shown(scores.paper.overall)],
        ]}
      />
      <DataTable
        caption="Metrics of the integration"
        file="integration-metrics"
        rows={Object.entries(metrics)}
        keyOf={([name]) => name}
        most={40}
        columns={[
          {
            name: "metric",
            value: ([name]) => metricNames[name]?.[0] ?? name,
            show: ([name, metric]) => (
              <>
                {metricNames[name]?.[0] ?? name.replaceAll("_", " ")}
                <span class="hint"> {metric.reason ?? metricNames[name]?.[1] ?? ""}</span>
              </>
            ),
          },
          { name: "value", value: ([, metric]) => metric.value, show: ([, metric]) => shown(metric.value) },
        ]}
      />
    </section>
  );
}
