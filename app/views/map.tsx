// Map: what will be done with the query, the few options, and the run.
import { signal } from "@preact/signals";
import { map } from "../mapping.js";
import { coverageLimits } from "../checks.js";
import { queryConditions, type QueryConditions } from "../conditions.js";
import { LossChart } from "../charts/losses.js";
import type { MapRequest, ModelInfo } from "../protocol.js";
import { job, work, type DataFile } from "../state.js";
import { count, counted } from "../text.js";
import { Checkbox, Notes, Warning } from "./controls.js";
import { DataCard } from "./data-card.js";
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
  classifier: "prototype",
  knownConditions: "reuse",
  clusters: null,
  force: false,
  recoverCounts: false,
  roundCounts: false,
  simd: "auto",
  seed: 0,
});
const set = (next: Partial<MapFields>): void => void (fields.value = { ...fields.value, ...next });

/** Up to this many cells clusters are found by default: they need exact neighbours, which take long. */
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
  const isMapping = job.value?.verb === "Mapping";
  return (
    <div class="columns-2">
      <section class="card" aria-labelledby="map-title">
        <h2 id="map-title">
          Map {count(query.info.inspection.cells)} cells onto {model.name}
        </h2>
        <fieldset class="bare" disabled={job.value !== null}>
          <DataCard file={query} role="query" />
          <MapForm query={query} model={model} />
        </fieldset>
      </section>
      <section class="card" aria-labelledby="onto-title">
        <h2 id="onto-title">{isMapping ? "Learning new samples" : "Reference model"}</h2>
        {isMapping ? <Live /> : <ModelCard model={model} />}
      </section>
    </div>
  );
}

function MapForm({ query, model }: { readonly query: DataFile; readonly model: ModelInfo }) {
  const { cells, counts } = query.info.inspection;
  const { force, recoverCounts, roundCounts } = fields.value;
  const keys = Object.keys(model.summary.conditions);
  const conditions = queryConditions(query, keys);
  const missing = keys.filter(
    (key) => !(key in conditions.conditionKeys) && !(key in conditions.conditionValues),
  );
  const isTooFew =
    query.coverage !== null && query.coverage.found / query.coverage.model < coverageLimits.refuse;
  const hasFile = query.files.length > 0;
  const hasCounts =
    counts !== null || recoverCounts || roundCounts || model.summary.model.recon_loss === "mse";
  const isBlocked = job.value !== null || !hasFile || missing.length > 0 || (isTooFew && !force);
  const start = (event: Event): void => {
    event.preventDefault();
    void map(request(conditions, cells));
  };
  return (
    <form onSubmit={start}>
      <Options cells={cells} />
      {isTooFew && (
        <Warning>
          Under half of the model's genes are in the query. A mapping would say little; it is refused unless
          you choose "Ignore failed checks".
        </Warning>
      )}
      {missing.length > 0 && (
        <Warning>
          Choose the column that holds the samples ({missing.join(", ")}), or name the sample that all cells
          are of.
        </Warning>
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
  );
}

function Options({ cells }: { readonly cells: number }) {
  return (
    <details class="more">
      <summary>Options of the mapping</summary>
      <div class="fields">
        <ThresholdChoice />
        <Choice
          label="Labels from"
          name="classifier"
          options={[
            ["prototype", "the nearest prototype"],
            ["head", "the classifier on genes"],
          ]}
        />
        <Choice
          label="Samples the model knows by name"
          name="knownConditions"
          options={[
            ["reuse", "keep their embedding"],
            ["new", "learn anew"],
          ]}
        />
        <Choice
          label="Speed"
          name="simd"
          title="The fastest kernels differ in the last digits between processors"
          options={[
            ["auto", "fastest"],
            ["plain", "bit-identical everywhere"],
          ]}
        />
        <label>
          <span>Seed</span>
          <input
            type="number"
            min={0}
            step={1}
            value={fields.value.seed}
            onInput={(event) => set({ seed: event.currentTarget.valueAsNumber || 0 })}
          />
        </label>
      </div>
      <Switches cells={cells} />
    </details>
  );
}

/** A field with a few values. */
function Choice<Name extends "classifier" | "knownConditions" | "simd">({
  label,
  name,
  title,
  options,
}: {
  readonly label: string;
  readonly name: Name;
  readonly title?: string;
  readonly options: readonly (readonly [value: MapFields[Name], text: string])[];
}) {
  return (
    <label title={title}>
      <span>{label}</span>
      <select
        value={fields.value[name]}
        onChange={(event) => set({ [name]: event.currentTarget.value as MapFields[Name] })}
      >
        {options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Which cells are called unknown. */
function ThresholdChoice() {
  const { threshold, thresholdValue } = fields.value;
  return (
    <>
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
          <span>{threshold === "number" ? "Novelty" : "Quantile"}</span>
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
    </>
  );
}

function Switches({ cells }: { readonly cells: number }) {
  const { training, clusters, recoverCounts, roundCounts, force } = fields.value;
  return (
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
      <Checkbox checked={force} onChange={(checked) => set({ force: checked })} text="Ignore failed checks" />
    </div>
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
