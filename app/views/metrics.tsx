// Metrics: how good the integration is and how right the labels are, where the query brings labels of its own
// to compare with.
import { signal, useSignal } from "@preact/signals";
import type { Evaluation } from "scpoli";
import { guarded, working } from "../actions.js";
import { SaveChart } from "../charts/save-chart.js";
import type { MappingResult } from "../protocol.js";
import { currentAdditions } from "../saving.js";
import { isBusy, work } from "../state.js";
import { count, percent } from "../text.js";

const evaluation = signal<{ readonly of: object; readonly scores: Evaluation } | null>(null);

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
  const own = evaluation.value?.of === result ? evaluation.value.scores : null;
  const run = (): Promise<void> =>
    guarded("The metrics could not be computed", async () => {
      const request = { cellTypeKey: chosen.value, conditionKey: condition, level };
      const scores = await working("Computing metrics", ({ jobs, listener }) =>
        jobs.scoreMapping(query!.files, currentAdditions(result), request, listener),
      );
      evaluation.value = { of: result, scores };
    });
  if (!query || query.files.length === 0)
    return <p class="empty">Metrics need the query's file. Open it again on the page Open.</p>;
  if (candidates.length === 0)
    return <p class="empty">Metrics compare with labels, and no column of the query looks like any.</p>;
  return (
    <>
      <section aria-labelledby="metrics-title">
        <h3 id="metrics-title">Against labels of the query's own</h3>
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
      {own?.label_transfer && <Labels transfer={own.label_transfer} />}
      {own?.embeddings.map((scores) => (
        <Integration key={scores.embedding} scores={scores} />
      ))}
    </>
  );
}

const shown = (value: number | null): string => (value === null ? "–" : value.toFixed(3));

function Labels({ transfer }: { readonly transfer: NonNullable<Evaluation["label_transfer"]> }) {
  const { cells, cells_of_unknown_types, accuracy, weighted_f1, macro_f1, types, confusion } = transfer;
  const most = Math.max(1, ...confusion.cells.flat());
  return (
    <section aria-labelledby="transfer-title">
      <header class="row">
        <h3 id="transfer-title">Label transfer</h3>
        <SaveChart name="Confusion of cell types" plot={(plots) => plots.confusionPlot(transfer)} />
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
      {types.length <= 30 && (
        <div class="scroll" tabIndex={0} role="group" aria-label="Confusion of cell types">
          <table class="matrix confusion">
            <caption class="hint">Cells of each true type (rows) by predicted type (columns)</caption>
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
                        background: `color-mix(in srgb, var(--accent) ${Math.round((42 * n) / most)}%, var(--sunken))`,
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
      <table class="plain">
        <thead>
          <tr>
            <th>metric</th>
            <th class="right">value</th>
          </tr>
        </thead>
        <tbody>
          {Object.entries(metrics).map(([name, metric]) => (
            <tr key={name}>
              <td>
                {name.replaceAll("_", " ")}
                {metric.reason && <span class="hint"> {metric.reason}</span>}
              </td>
              <td class="right">{shown(metric.value)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
