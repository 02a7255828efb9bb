// Metrics: how good the integration is and how right the labels are, where the query brings labels of its own
// to compare with.
import { signal, useSignal } from "@preact/signals";
import type { Evaluation } from "scpoli";
import { guarded, working } from "../job-status.js";
import { SaveChart } from "../charts/save-chart.js";
import { predictedCodes, unknownName } from "../coloring.js";
import type { MappingResult } from "../protocol.js";
import { currentAdditions } from "../saving.js";
import { DataTable } from "./data-table.js";
import { readColumnOrGene } from "../reading.js";
import { columns, isBusy, unknown, work } from "../state.js";
import { count, percent } from "../text.js";

const evaluation = signal<{
  readonly of: object;
  readonly scores: Evaluation;
  readonly truth: string;
} | null>(null);

export function MetricsPanel({ result }: { readonly result: MappingResult }) {
  const { query, view } = work.value;
  const candidates =
    query?.info.inspection.columns.filter(
      ({ kind, distinct }) =>
        (kind === "categorical" || kind === "string") && distinct >= 2 && distinct < result.cells / 2,
    ) ?? [];
  const proposed = query?.cellTypeKeys[0] ?? candidates[0]?.name ?? "";
  const chosen = useSignal(proposed);
  const key = result.conditions[0]?.key ?? "";
  // the copy that is scored has a column of its own for a sample that was named
  const condition = query ? query.conditionColumns[key] || key : undefined;
  const level = result.levels[view.level]?.key;
  const answer = evaluation.value?.of === result ? evaluation.value : null;
  const own = answer?.scores;
  const run = (): Promise<void> =>
    guarded("The metrics could not be computed", async () => {
      const request = { cellTypeKey: chosen.value, conditionKey: condition, level };
      if (!(await readColumnOrGene({ kind: "column", name: chosen.value }))) return;
      const scores = await working("Computing metrics", ({ jobs, listener }) =>
        jobs.scoreMapping(query!.files, currentAdditions(result), request, listener),
      );
      evaluation.value = { of: result, scores, truth: chosen.value };
    });
  if (!query || query.files.length === 0)
    return <p class="empty">Metrics need the counts of your cells: choose their file again.</p>;
  if (candidates.length === 0)
    return <p class="empty">Metrics compare with labels, and no column of the query looks like any.</p>;
  return (
    <>
      <section aria-labelledby="metrics-title">
        <h3 id="metrics-title">Compare with your own labels</h3>
        <div class="row">
          <label class="row tight">
            <span>True cell types in</span>
            <select value={chosen.value} onChange={(event) => (chosen.value = event.currentTarget.value)}>
              {candidates.map(({ name }) => (
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
          The mapping has not looked at them. Integration is scored as scIB does, over the query's cells and
          its {condition ?? "conditions"}.
        </p>
      </section>
      {own?.label_transfer && (
        <Labels transfer={own.label_transfer} confusion={confusionOf(result, view.level, answer!.truth)} />
      )}
      {own?.embeddings.map((scores) => (
        <Integration key={scores.embedding} scores={scores} />
      ))}
    </>
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
  const rowTotals = confusion?.cells.map((row) => row.reduce((sum, n) => sum + n, 0)) ?? [];
  return (
    <section aria-labelledby="transfer-title">
      <header class="row">
        <h3 id="transfer-title">Label transfer</h3>
        {confusion && (
          <SaveChart name="Confusion of cell types" plot={(plots) => plots.confusionPlot(confusion)} />
        )}
      </header>
      <dl class="facts">
        <div>
          <dt>Accuracy</dt>
          <dd>{accuracy === null ? "–" : percent(accuracy)}</dd>
        </div>
        <div>
          <dt>Macro F1</dt>
          <dd>{shown(macro_f1)}</dd>
        </div>
        <div>
          <dt>Weighted F1</dt>
          <dd>{shown(weighted_f1)}</dd>
        </div>
        <div>
          <dt>Cells compared</dt>
          <dd>{count(cells)}</dd>
        </div>
        {cells_of_unknown_types > 0 && (
          <div>
            <dt>Of types that the model lacks</dt>
            <dd>{count(cells_of_unknown_types)}</dd>
          </div>
        )}
      </dl>
      {confusion && (
        <div class="scroll" tabIndex={0} role="group" aria-label="Confusion of cell types">
          <table class="matrix confusion">
            <caption class="hint">
              Cells of each true type (rows) by predicted type (columns), shaded by their share of the true
              type
            </caption>
            <thead>
              <tr>
                <td />
                {confusion.predicted.map((name) => (
                  <th key={name} scope="col">
                    <span>{name}</span>
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {confusion.truth.map((name, row) => (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  {confusion.cells[row]!.map((n, column) => (
                    <td
                      key={confusion.predicted[column]}
                      style={{
                        background:
                          "color-mix(in srgb, var(--accent) " +
                          `${Math.round((42 * n) / Math.max(1, rowTotals[row]!))}%, var(--sunken))`,
                      }}
                    >
                      {n > 0 ? count(n) : ""}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
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
      <dl class="facts">
        <div>
          <dt>Biology</dt>
          <dd>{shown(scores.paper.biology)}</dd>
        </div>
        <div>
          <dt>Mixing</dt>
          <dd>{shown(scores.paper.mixing)}</dd>
        </div>
        <div>
          <dt>Overall</dt>
          <dd>{shown(scores.paper.overall)}</dd>
        </div>
      </dl>
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
