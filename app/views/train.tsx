// Train: options with their defaults, and the progress of the run.
import { signal } from "@preact/signals";
import { continueTraining, discardTraining, finishTraining, pauseTraining, train } from "../training.js";
import { LossChart } from "../charts/losses.js";
import { Icon } from "../icons.js";
import type { TrainRequest } from "../protocol.js";
import { modelOptions, trainingOptions, type TrainingOption } from "../training-options.js";
import { referenceConditions } from "../conditions.js";
import { download } from "../files.js";
import { guarded } from "../job-status.js";
import { saveModel } from "../saving.js";
import { isUnsaved, job, step, work, type DataFile } from "../state.js";
import { count, duration } from "../text.js";
import { Checkbox, Notes } from "./controls.js";
import { DataCard } from "./data-card.js";
import { stageName } from "./job-bar.js";
import { ModelCard } from "./model-card.js";

/** Texts of the fields; empty: the default. */
const fields = signal<Readonly<Record<string, string>>>({});
const value = (name: string): string => fields.value[name] ?? "";
const setField = (name: string, text: string): void =>
  void (fields.value = { ...fields.value, [name]: text });

/** What the fields ask for. */
function request(file: DataFile): TrainRequest {
  const numbers = Object.fromEntries(
    [...modelOptions, ...trainingOptions].flatMap(({ name }) =>
      name !== "hiddenLayerSizes" && value(name) !== "" ? [[name, Number(value(name))]] : [],
    ),
  );
  const widths = value("hiddenLayerSizes");
  return {
    ...referenceConditions(file),
    cellTypeKeys: file.cellTypeKeys,
    ...numbers,
    ...(widths !== "" && { hiddenLayerSizes: widths.split(",").map(Number) }),
    ...(value("reconLoss") !== "" && {
      reconLoss: value("reconLoss") as NonNullable<TrainRequest["reconLoss"]>,
    }),
    ...(value("conditionEncoding") !== "" && {
      conditionEncoding: value("conditionEncoding") as NonNullable<TrainRequest["conditionEncoding"]>,
    }),
    ...(value("simd") === "plain" && { simd: "plain" as const }),
    ...(value("earlyStopping") === "on" && { earlyStopping: {} }),
    ...(value("force") === "on" && { force: true }),
    ...(value("recoverCounts") === "on" && { recoverCounts: true }),
    ...(value("roundCounts") === "on" && { roundCounts: true }),
  };
}

/** The model that was trained here, whatever was mapped onto another one before. */
const saveTrained = (): Promise<void> =>
  guarded("The model could not be saved", async () => {
    const { file, name } = await saveModel("reference");
    download(file, name);
    isUnsaved.value = false;
  });

export function TrainView() {
  const { reference } = work.value;
  if (!reference) return <p class="empty">Open labelled cells on the page Open first.</p>;
  return (
    <div class="columns-2 train">
      <section class="card" aria-labelledby="train-title">
        <h2 id="train-title">Train a reference</h2>
        <fieldset class="bare" disabled={job.value !== null}>
          <DataCard file={reference} role="reference" />
          <TrainForm reference={reference} />
        </fieldset>
      </section>
      <Outcome />
    </div>
  );
}

function TrainForm({ reference }: { readonly reference: DataFile }) {
  const { cells, counts } = reference.info.inspection;
  const hasConditions = referenceConditions(reference).conditionKeys.length > 0;
  const hasCounts =
    counts !== null ||
    ["recoverCounts", "roundCounts"].some((name) => value(name) === "on") ||
    value("reconLoss") === "mse";
  const start = (event: Event): void => {
    event.preventDefault();
    void train(request(reference));
  };
  return (
    <form onSubmit={start}>
      <details class="more">
        <summary>Options of the model</summary>
        <OptionFields options={modelOptions} />
        <Choices />
      </details>
      <details class="more">
        <summary>Options of the training</summary>
        <OptionFields options={trainingOptions} />
        <Switches />
      </details>
      <p class="hint">Empty fields take the defaults, which suit most data.</p>
      <button class="primary" disabled={job.value !== null || !hasConditions || !hasCounts}>
        Train on {count(cells)} cells
      </button>
      {!hasCounts && (
        <p class="hint">
          No matrix of this file holds raw counts: choose "Recover counts" or "Round fractional counts" in the
          options, or open a file with counts.
        </p>
      )}
      {!hasConditions && (
        <p class="hint">Choose the column of samples or batches, or name the sample that all cells are of.</p>
      )}
    </form>
  );
}

/** The run while it lasts, then its model. */
function Outcome() {
  const { model, query } = work.value;
  const isTraining = job.value?.verb === "Training";
  const trained = model?.origin === "trained here" && !isTraining ? model : null;
  return (
    <section class="card live" aria-labelledby="live-title">
      <h2 id="live-title">{isTraining ? "Training" : trained ? "The trained model" : "Training progress"}</h2>
      {isTraining && <Live />}
      {trained && (
        <>
          <ModelCard model={trained} />
          <p class="row">
            <button class="primary" disabled={!query} onClick={() => (step.value = "map")}>
              Map the query
            </button>
            <button onClick={saveTrained}>Save the model</button>
          </p>
        </>
      )}
      {!isTraining && !trained && (
        <p class="empty">
          Losses by epoch, cells per second and the time left. A training can be paused and continued, or
          ended early with what it has learnt.
        </p>
      )}
    </section>
  );
}

function OptionFields({ options }: { readonly options: readonly TrainingOption[] }) {
  return (
    <div class="fields">
      {options.map(({ name, label, standard, hint, least, most, step: by }) => (
        <label key={name} title={hint}>
          <span>{label}</span>
          {least === undefined ? (
            <input
              type="text"
              placeholder={standard}
              value={value(name)}
              onInput={(event) => setField(name, event.currentTarget.value)}
            />
          ) : (
            <input
              type="number"
              min={least}
              max={most}
              step={by ?? "any"}
              placeholder={standard}
              value={value(name)}
              onInput={(event) => setField(name, event.currentTarget.value)}
            />
          )}
        </label>
      ))}
    </div>
  );
}

function Choices() {
  return (
    <div class="fields">
      <label>
        <span>Likelihood</span>
        <select
          value={value("reconLoss")}
          onChange={(event) => setField("reconLoss", event.currentTarget.value)}
        >
          <option value="">negative binomial (nb)</option>
          <option value="zinb">zero-inflated nb (zinb)</option>
          <option value="poisson">Poisson, for scATAC</option>
          <option value="mse">squared error, for normalised values</option>
        </select>
      </label>
      <label>
        <span>Sample encoding</span>
        <select
          value={value("conditionEncoding")}
          onChange={(event) => setField("conditionEncoding", event.currentTarget.value)}
        >
          <option value="">learnt embeddings</option>
          <option value="one-hot">one-hot</option>
        </select>
      </label>
      <label title="The fastest kernels differ in the last digits between processors">
        <span>Speed</span>
        <select value={value("simd")} onChange={(event) => setField("simd", event.currentTarget.value)}>
          <option value="">fastest</option>
          <option value="plain">bit-identical everywhere</option>
        </select>
      </label>
    </div>
  );
}

function Switches() {
  const box = (name: string, text: string, on: string) => (
    <Checkbox
      checked={value(name) === on}
      onChange={(checked) => setField(name, checked ? on : "")}
      text={text}
    />
  );
  return (
    <div class="switches">
      {box("earlyStopping", "Stop early where the loss of the validation cells no longer falls", "on")}
      {box("recoverCounts", "Recover counts from normalised values, where that is exact", "on")}
      {box("roundCounts", "Round fractional counts (of SoupX, alevin-fry, RSEM, ...)", "on")}
      {box("force", "Ignore failed checks", "on")}
    </div>
  );
}

/** Progress of the run. */
function Live() {
  const { progress, losses, notes, status } = job.value!;
  const isPaused = status === "paused";
  return (
    <>
      <dl class="facts live-numbers">
        <div>
          <dt>Stage</dt>
          <dd>{stageName(job.value!)}</dd>
        </div>
        <div>
          <dt>Epoch</dt>
          <dd>
            {progress?.epoch ?? 0}
            {progress?.epochs ? ` of ${progress.epochs}` : ""}
          </dd>
        </div>
        <div>
          <dt>Cells per second</dt>
          <dd>{progress?.cellsPerSecond ? count(progress.cellsPerSecond) : "–"}</dd>
        </div>
        <div>
          <dt>Time left</dt>
          <dd>{!isPaused && progress?.secondsLeft !== undefined ? duration(progress.secondsLeft) : "–"}</dd>
        </div>
      </dl>
      <LossChart epochs={losses} planned={progress?.epochs ?? Math.max(2, losses.length)} />
      <p class="row">
        {isPaused ? (
          <button class="primary" onClick={continueTraining}>
            <Icon name="play" />
            Continue
          </button>
        ) : (
          <button onClick={pauseTraining} disabled={status !== "running"}>
            <Icon name="pause" />
            Pause
          </button>
        )}
        <button
          onClick={finishTraining}
          disabled={status === "finishing" || status === "pausing" || losses.length === 0}
        >
          <Icon name="stop" />
          Stop and keep the model
        </button>
        <button
          class="quiet danger"
          onClick={() =>
            confirm("Throw away this training? What it has learnt is lost.") && discardTraining()
          }
        >
          Discard
        </button>
      </p>
      <Notes notes={notes} />
    </>
  );
}
