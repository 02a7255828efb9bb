// Open: the query's cells, the reference, and what was found in them.
import { job, step, work } from "../state.js";
import { count } from "../text.js";
import { DataCard } from "./data-card.js";
import { Address, DropPlace } from "./drop-place.js";
import { Hero } from "./hero.js";
import { ModelCard } from "./model-card.js";
import { SiteModels } from "./site-models.js";

export function OpenView() {
  const { query, reference, model } = work.value;
  return (
    <div class="open">
      {!query && !reference && !model && <Hero />}
      <div class="columns-2">
        <section class="card" aria-labelledby="query-title">
          <h2 id="query-title">
            <span class="number">1</span>Your cells (query)
          </h2>
          {query && <DataCard file={query} role="query" />}
          <DropPlace
            role="query"
            isSmall={query !== null}
            what="an .h5ad file, a Zarr folder or a 10x folder"
          />
        </section>
        <ReferenceCard />
      </div>
      <NextStep />
    </div>
  );
}

function ReferenceCard() {
  const { reference, model } = work.value;
  const isSmall = model !== null || reference !== null;
  return (
    <section class="card" aria-labelledby="reference-title">
      <h2 id="reference-title">
        <span class="number">2</span>Reference model, or labelled cells to train one on
      </h2>
      {model && <ModelCard model={model} />}
      {reference && !model && <DataCard file={reference} role="reference" />}
      {reference && model && (
        <details class="more">
          <summary>Cells that a model can be trained on: {reference.info.name}</summary>
          <DataCard file={reference} role="reference" />
        </details>
      )}
      <div class={isSmall ? "drops small" : "drops"}>
        <DropPlace role="model" isSmall={isSmall} what="a model folder, its zip, or a scArches model" />
        <DropPlace role="reference" isSmall={isSmall} what="labelled cells to train on" />
      </div>
      <SiteModels />
      <Address />
    </section>
  );
}

function NextStep() {
  const { query, reference, model } = work.value;
  const hint =
    query && model
      ? null
      : !query && !reference && !model
        ? null
        : !model && reference
          ? "Train a model on the labelled cells, then map the query onto it."
          : query
            ? "Now open a model, or labelled cells to train one on."
            : "Now open the query.";
  return (
    <div class="next">
      {hint && <span class="hint">{hint}</span>}
      {reference && !model && (
        <button class="primary" onClick={() => (step.value = "train")} disabled={job.value !== null}>
          Train a model on {count(reference.info.inspection.cells)} cells
        </button>
      )}
      {query && model && (
        <button class="primary" onClick={() => (step.value = "map")} disabled={job.value !== null}>
          Map {count(query.info.inspection.cells)} cells onto {model.name}
        </button>
      )}
    </div>
  );
}
