// Map: what will be done with the query, the few options, and the run.
import { signal } from "@preact/signals";
import { map } from "../mapping.js";
import { coverageLimits } from "../checks.js";
import { queryConditions, type QueryConditions } from "../conditions.js";
import { LossChart } from "../charts/losses.js";
import { Icon } from "../icons.js";
import type { MapRequest } from "../protocol.js";
import { job, work } from "../state.js";
import { count, counted } from "../text.js";
import { Checkbox, Notes } from "./controls.js";
import { DataCard } from "./open.js";
import { ModelCard } from "./model-card.js";

interface MapFields {
  readonly training: boolean;
  readonly threshold: "auto" | "quantile" | "none" | "number";
  readonly thresholdValue: number;
  readonly classifier: "head" | "prototype";
  readonly knownConditions: "reuse" | "new";
  readonly clusters: boolean | null;
  readonly force: boolean;
  readonly recoverCounts: boolean;
  readonly roundCounts: boolean;
  readonly simd: "auto" | "plain";
  readonly seed: number;
}
const fields = signal<MapFields>({
  training: true,
  threshold: "auto",
  thresholdValue: 0.5,
  classifier: "head",
  knownConditions: "reuse",
  clusters: null,
  force: false,
  recoverCounts: false,
  roundCounts: false,
  simd: "auto",
  seed: 0,
});
const set = (next: Partial<MapFields>): void => void (fields.value = { ...fields.value, ...next });

/**
 * Clusters are found by exact neighbours, which takes its time; up to this many cells they are found unless
 * told otherwise.
 */
const clustersUpTo = 60_000;

function request(conditions: QueryConditions, cells: number): MapRequest {
  const {
    training,
    threshold,
    thresholdValue,
    classifier,
    knownConditions,
    clusters,
    force,
    recoverCounts,
    roundCounts,
    simd,
    seed,
  } = fields.value;
  const limit =
    threshold === "number"
      ? thresholdValue
      : threshold === "quantile"
        ? { quantile: thresholdValue }
        : threshold;
  return {
    ...conditions,
    training,
    threshold: limit,
    classifier,
    knownConditions,
    force,
    recoverCounts,
    roundCounts,
    simd,
    seed,
    unlabeledPrototypes: (clusters ?? cells <= clustersUpTo) ? "leiden" : false,
  };
}

export function MapView() {
  const { query, model } = work.value;
  if (!query || !model) return <p class="empty">Open query cells and a model on the page Open first.</p>;
  const { cells } = query.info.inspection;
  const keys = Object.keys(model.summary.conditions);
  const conditions = queryConditions(query, keys);
  const missing = keys.filter(
    (key) => !(key in conditions.conditionKeys) && !(key in conditions.conditionValues),
  );
  const isTooFew =
    query.coverage !== null && query.coverage.found / query.coverage.model < coverageLimits.refuse;
  const hasFile = query.files.length > 0;
  const hasCounts =
    query.info.inspection.counts !== null ||
    fields.value.recoverCounts ||
    fields.value.roundCounts ||
    model.summary.model.recon_loss === "mse";
  const isBlocked = job.value !== null || !hasFile || missing.length > 0 || (isTooFew && !fields.value.force);
  const isMapping = job.value?.verb === "Mapping";
  const start = (event: Event): void => {
    event.preventDefault();
    void map(request(conditions, cells));
  };
  return (
    <div class="columns-2">
      <section class="card" aria-labelledby="map-title">
        <h2 id="map-title">
          Map {count(cells)} cells onto {model.name}
        </h2>
        <fieldset class="bare" disabled={job.value !== null}>
          <DataCard file={query} role="query" />
          <form onSubmit={start}>
            <Options cells={cells} />
            {isTooFew && (
              <p class="message warning">
                <Icon name="warning" />
                <span>
                  Under half of the model's genes are in the query. A mapping would say little; it is refused
                  unless you choose "Ignore failed checks".
                </span>
              </p>
            )}
            {missing.length > 0 && (
              <p class="message warning">
                <Icon name="warning" />
                <span>
                  Choose the column that holds the samples ({missing.join(", ")}), or name the sample that all
                  cells are of.
                </span>
              </p>
            )}
            {!hasFile && <p class="hint">The file of your cells is not open: choose it again above.</p>}
            <p class="row">
              {hasCounts || !hasFile ? (
                <button class="primary" disabled={isBlocked}>
                  Map the cells
                </button>
              ) : (
                <>
                  <button class="primary" disabled={isBlocked} onClick={() => set({ recoverCounts: true })}>
                    Recover the counts and map
                  </button>
                  <button disabled={isBlocked} onClick={() => set({ roundCounts: true })}>
                    Round fractional counts and map
                  </button>
                </>
              )}
            </p>
          </form>
        </fieldset>
      </section>
      <section class="card" aria-labelledby="onto-title">
        <h2 id="onto-title">{isMapping ? "Learning new samples" : "Reference model"}</h2>
        {isMapping ? <Live /> : <ModelCard model={model} />}
      </section>
    </div>
  );
}

function Options({ cells }: { readonly cells: number }) {
  const {
    training,
    threshold,
    thresholdValue,
    classifier,
    knownConditions,
    clusters,
    force,
    recoverCounts,
    roundCounts,
    simd,
    seed,
  } = fields.value;
  return (
    <details class="more">
      <summary>Options of the mapping</summary>
      <div class="fields">
        <label>
          <span>Unknown cells</span>
          <select
            value={threshold}
            onChange={(event) =>
              set({
                threshold: event.currentTarget.value as MapFields["threshold"],
                thresholdValue: event.currentTarget.value === "quantile" ? 0.95 : 0.5,
              })
            }
          >
            <option value="auto">the model's threshold</option>
            <option value="number">novelty above ...</option>
            <option value="quantile">the most uncertain, above quantile ...</option>
            <option value="none">call no cell unknown</option>
          </select>
        </label>
        {(threshold === "number" || threshold === "quantile") && (
          <label>
            <span>{threshold === "number" ? "Uncertainty" : "Quantile"}</span>
            <input
              type="number"
              min={0}
              max={1}
              step={0.01}
              value={thresholdValue}
              onInput={(event) => set({ thresholdValue: event.currentTarget.valueAsNumber })}
            />
          </label>
        )}
        <label>
          <span>Labels from</span>
          <select
            value={classifier}
            onChange={(event) => set({ classifier: event.currentTarget.value as MapFields["classifier"] })}
          >
            <option value="head">the classifier on genes</option>
            <option value="prototype">the nearest prototype (the paper's rule)</option>
          </select>
        </label>
        <label>
          <span>Samples the model knows by name</span>
          <select
            value={knownConditions}
            onChange={(event) =>
              set({ knownConditions: event.currentTarget.value as MapFields["knownConditions"] })
            }
          >
            <option value="reuse">keep their embedding</option>
            <option value="new">learn anew</option>
          </select>
        </label>
        <label title="The fastest kernels differ in the last digits between processors">
          <span>Speed</span>
          <select
            value={simd}
            onChange={(event) => set({ simd: event.currentTarget.value as MapFields["simd"] })}
          >
            <option value="auto">fastest</option>
            <option value="plain">bit-identical everywhere</option>
          </select>
        </label>
        <label>
          <span>Seed</span>
          <input
            type="number"
            min={0}
            step={1}
            value={seed}
            onInput={(event) => set({ seed: event.currentTarget.valueAsNumber || 0 })}
          />
        </label>
      </div>
      <div class="switches">
        <Checkbox
          checked={training}
          onChange={(checked) => set({ training: checked })}
          text="Learn an embedding for each new sample (else: the reference sample that explains it best)"
        />
        <Checkbox
          checked={clusters ?? cells <= clustersUpTo}
          onChange={(checked) => set({ clusters: checked })}
          text="Find clusters in the query, as candidates for new cell types"
        />
        <Checkbox
          checked={recoverCounts}
          onChange={(checked) => set({ recoverCounts: checked })}
          text="Recover counts from normalised values, where that is exact"
        />
        <Checkbox
          checked={roundCounts}
          onChange={(checked) => set({ roundCounts: checked })}
          text="Round fractional counts (of SoupX, alevin-fry, RSEM, ...)"
        />
        <Checkbox
          checked={force}
          onChange={(checked) => set({ force: checked })}
          text="Ignore failed checks"
        />
      </div>
    </details>
  );
}

function Live() {
  const { progress, losses, notes } = job.value!;
  return (
    <>
      <p class="hint">
        Learning new samples{progress?.epochs ? `, ${counted(progress.epochs, "epoch")}` : ""}. Everything of
        the reference stays as it is; only the embeddings of the new samples are learnt.
      </p>
      {losses.length > 1 && <LossChart epochs={losses} planned={progress?.epochs ?? losses.length} />}
      <Notes notes={notes} />
    </>
  );
}
