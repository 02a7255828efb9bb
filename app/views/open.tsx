// Open: the query's cells, the reference, and what was found in them.
import { signal } from "@preact/signals";
import { earlier, openEarlier } from "../autosave.js";
import { openExample, openExampleReference } from "../example.js";
import { openAddress, openFiles, type Role } from "../opening.js";
import { coverageLimits } from "../checks.js";
import { droppedFiles, pickFiles } from "../files.js";
import { Icon } from "../icons.js";
import { change, job, step, work, type DataFile } from "../state.js";
import { pageWords } from "../words.js";
import { QualityCheck } from "./quality.js";
import { bytesText, count, counted, percent } from "../text.js";
import { ColumnOptions } from "./controls.js";
import { ModelCard } from "./model-card.js";
import { SiteModels } from "./site-models.js";

export function OpenView() {
  const { query, reference, model } = work.value;
  const isEmpty = !query && !reference && !model;
  return (
    <div class="open">
      {isEmpty && (
        <section class="hero">
          <h2>Map your cells onto a reference atlas, without uploading anything</h2>
          <p>
            Open your cells (raw counts) and a reference model. Cells are placed in the reference and get a
            type and a confidence; those unlike any reference type are flagged.
          </p>
          <p class="row">
            <button class="primary" onClick={openExample} disabled={job.value !== null}>
              See an example, mapped
            </button>
            <span class="hint">
              720 blood cells of three lupus patients, on a reference of five others without B cells
            </span>
          </p>
          <p class="row">
            <button class="quiet link flush" onClick={openExampleReference} disabled={job.value !== null}>
              or train a reference on the five patients' labelled cells
            </button>
            {earlier.value && (
              <button class="quiet link flush" onClick={openEarlier} disabled={job.value !== null}>
                Go on with {earlier.value.what} of {earlier.value.saved.toLocaleString()}
              </button>
            )}
          </p>
        </section>
      )}
      <div class="columns-2">
        <section class="card" aria-labelledby="query-title">
          <h2 id="query-title">
            <span class="number">1</span>Your cells (query)
          </h2>
          {query ? <DataCard file={query} role="query" /> : null}
          <DropPlace
            role="query"
            isSmall={query !== null}
            what="an .h5ad file, a Zarr folder or a 10x folder"
          />
        </section>
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
          <div class={model || reference ? "drops small" : "drops"}>
            <DropPlace
              role="model"
              isSmall={model !== null || reference !== null}
              what="a model folder, its zip, or a scArches model"
            />
            <DropPlace
              role="reference"
              isSmall={model !== null || reference !== null}
              what="labelled cells to train on"
            />
          </div>
          <SiteModels />
          <Address />
        </section>
      </div>
      <NextStep />
    </div>
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

const smallTitles: Readonly<Record<Role, string>> = {
  query: "Open other cells",
  model: "Open another model",
  reference: "Add labelled cells",
};
/** What a button of a place opens, for those who do not see the place. */
const contents: Readonly<Record<Role, string>> = {
  query: "your cells",
  model: "a model",
  reference: "labelled cells",
};

function DropPlace({
  role,
  what,
  isSmall,
}: {
  readonly role: Role;
  readonly what: string;
  readonly isSmall: boolean;
}) {
  const pick = async (folder: boolean): Promise<void> => openFiles(await pickFiles({ folder }), role);
  const drop = async (event: DragEvent): Promise<void> => {
    event.preventDefault();
    await openFiles(await droppedFiles(event.dataTransfer!), role);
  };
  return (
    <div
      class={isSmall ? "drop small" : "drop"}
      data-role={role}
      onDragOver={(event) => event.preventDefault()}
      onDrop={drop}
    >
      <p>{isSmall ? smallTitles[role] : `Drop ${what}`}</p>
      <p class="row">
        {!isSmall && <span class="hint">or choose</span>}
        <button
          onClick={() => pick(false)}
          disabled={job.value !== null}
          aria-label={`${role === "model" ? "a zip file" : "a file"} of ${contents[role]}`}
        >
          <Icon name="file" />
          {role === "model" ? "a zip file" : "a file"}
        </button>
        <button
          onClick={() => pick(true)}
          disabled={job.value !== null}
          aria-label={`a folder of ${contents[role]}`}
        >
          <Icon name="folder" />a folder
        </button>
      </p>
    </div>
  );
}

const address = signal("");

function Address() {
  const open = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (address.value.trim() !== "") await openAddress(address.value.trim(), "model");
  };
  return (
    <form class="row address" onSubmit={open}>
      <label for="address">or a path on this server</label>
      <input
        id="address"
        type="text"
        inputMode="url"
        placeholder="models/atlas.zip"
        value={address}
        onInput={(event) => (address.value = event.currentTarget.value)}
      />
      <button disabled={job.value !== null || address.value.trim() === ""}>Open</button>
    </form>
  );
}

/** What was found in a file of cells, and what its columns are taken as. */
export function DataCard({ file, role }: { readonly file: DataFile; readonly role: "query" | "reference" }) {
  const { info, coverage } = file;
  const { cells, genes, counts, places, cellxgene, columns, feature_types: features } = info.inspection;
  const warnings = info.notes.filter(({ level }) => level === "warning");
  return (
    <div class="data">
      <p class="name">
        <Icon name="file" />
        <strong>{info.name}</strong>
        <span class="hint">
          {info.format === "10x" ? "10x Genomics" : info.format === "zarr" ? "AnnData-Zarr" : "AnnData"},{" "}
          {bytesText(info.bytes)}
        </span>
      </p>
      <dl class="facts">
        <div>
          <dt>Cells</dt>
          <dd>{count(cells)}</dd>
        </div>
        <div>
          <dt>Genes</dt>
          <dd>{count(genes)}</dd>
        </div>
        <div>
          <dt>Raw counts</dt>
          <dd class={!counts ? "bad" : file.files.length > 0 ? "good" : ""}>
            {counts ? (file.files.length > 0 ? `in ${counts}` : "file not open") : "none found"}
          </dd>
        </div>
        {role === "query" && coverage && (
          <div class="wide">
            <dt>Genes of the model</dt>
            <dd>
              <CoverageBar found={coverage.found} all={coverage.model} />
            </dd>
          </div>
        )}
      </dl>
      {!counts && (
        <p class="message warning">
          <Icon name="warning" />
          <span>
            No place holds raw counts, which the model needs:{" "}
            {places.map(({ place, holds }) => pageWords(`${place}: ${holds}`)).join("; ")}. Counts of
            normalised values may be recovered, fractional counts rounded; or open a file with counts.
          </span>
        </p>
      )}
      {features && Object.keys(features).length > 1 && (
        <p class="hint">
          Features:{" "}
          {Object.entries(features)
            .map(([type, own]) => `${count(own)} ${type}`)
            .join(", ")}
          . Gene expression is modelled.
        </p>
      )}
      {cellxgene && (
        <p class="hint">
          CELLxGENE schema {cellxgene.schema_version}
          {cellxgene.title ? `: ${cellxgene.title}` : ""}
        </p>
      )}
      {warnings.map(({ message }) => (
        <p key={message} class="message warning">
          <Icon name="warning" />
          <span>{pageWords(message)}</span>
        </p>
      ))}
      {role === "query" && file.files.length > 0 && <QualityCheck file={file} />}
      {role === "reference" ? <ReferenceKeys file={file} /> : <QueryKeys file={file} />}
      <details class="more">
        <summary>Cell metadata ({counted(columns.length, "column")})</summary>
        <table class="plain">
          <thead>
            <tr>
              <th>column</th>
              <th>kind</th>
              <th class="right">values</th>
            </tr>
          </thead>
          <tbody>
            {columns.map(({ name, kind, distinct }) => (
              <tr key={name}>
                <td>{name}</td>
                <td>{kind}</td>
                <td class="right">{count(distinct)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </div>
  );
}

export function CoverageBar({ found, all }: { readonly found: number; readonly all: number }) {
  const share = found / all;
  const level = share >= coverageLimits.warn ? "good" : share >= coverageLimits.refuse ? "fair" : "bad";
  return (
    <span class={`coverage ${level}`}>
      <meter
        min={0}
        max={1}
        low={coverageLimits.refuse}
        high={coverageLimits.warn}
        optimum={1}
        value={share}
        aria-label="Genes of the model in the query"
      />{" "}
      {percent(share)} ({count(found)} of {count(all)})
    </span>
  );
}

/** Which columns hold conditions and cell types, for training. */
function ReferenceKeys({ file }: { readonly file: DataFile }) {
  const { inspection } = file.info;
  const set = (next: Partial<DataFile>): void =>
    change("choose columns", { reference: { ...file, ...next } });
  return (
    <div class="keys">
      <KeyChoice
        title="Samples or batches to correct for"
        hint=""
        candidates={inspection.condition_candidates}
        file={file}
        chosen={file.conditionKeys}
        onChange={(conditionKeys) => set({ conditionKeys })}
      />
      {file.conditionKeys.length === 0 && (
        <SampleName file={file} onChange={(sampleName) => set({ sampleName })} />
      )}
      <KeyChoice
        title="Cell types"
        hint="annotation levels, from none to several"
        candidates={inspection.cell_type_candidates}
        file={file}
        chosen={file.cellTypeKeys}
        onChange={(cellTypeKeys) => set({ cellTypeKeys })}
      />
    </div>
  );
}

interface KeyChoiceProps {
  readonly title: string;
  readonly hint: string;
  readonly candidates: readonly { readonly name: string; readonly distinct: number; readonly why: string }[];
  readonly file: DataFile;
  readonly chosen: readonly string[];
  readonly onChange: (chosen: string[]) => void;
}

function KeyChoice({ title, hint, candidates, file, chosen, onChange }: KeyChoiceProps) {
  const others = file.info.inspection.columns.filter(
    ({ name, kind }) => kind !== "unreadable" && !candidates.some((candidate) => candidate.name === name),
  );
  const shown = [
    ...candidates,
    ...others
      .filter(({ name }) => chosen.includes(name))
      .map(({ name, distinct }) => ({ name, distinct, why: "chosen by hand" })),
  ];
  const toggle = (name: string): void =>
    onChange(chosen.includes(name) ? chosen.filter((one) => one !== name) : [...chosen, name]);
  return (
    <fieldset>
      <legend>
        {title} <span class="hint">{hint}</span>
      </legend>
      {shown.length === 0 && <p class="hint">No column looks like it.</p>}
      {shown.map(({ name, distinct, why }) => (
        <label key={name} class="choice" title={why}>
          <input type="checkbox" checked={chosen.includes(name)} onChange={() => toggle(name)} />
          <span>{name}</span>
          <span class="hint">{counted(distinct, "value")}</span>
        </label>
      ))}
      {others.length > 0 && (
        <select
          aria-label={`Another column as ${title.toLowerCase()}`}
          value=""
          onChange={(event) => event.currentTarget.value && toggle(event.currentTarget.value)}
        >
          <option value="">another column ...</option>
          <ColumnOptions columns={others.filter(({ name }) => !chosen.includes(name))} />
        </select>
      )}
    </fieldset>
  );
}

/** The one sample of a file, where no column tells samples apart. */
function SampleName({
  file,
  onChange,
}: {
  readonly file: DataFile;
  readonly onChange: (name: string) => void;
}) {
  return (
    <label class="choice">
      <span>All cells are of one sample, named</span>
      <input
        type="text"
        value={file.sampleName ?? ""}
        placeholder="sample"
        onChange={(event) => onChange(event.currentTarget.value)}
      />
    </label>
  );
}

/** Which column of the query is which condition key of the model. */
function QueryKeys({ file }: { readonly file: DataFile }) {
  const { model } = work.value;
  const { condition_candidates, columns } = file.info.inspection;
  if (!model)
    return condition_candidates.length > 0 ? (
      <p class="hint">
        Columns that look like samples:{" "}
        {condition_candidates
          .slice(0, 4)
          .map(({ name, distinct }) => `${name} (${distinct})`)
          .join(", ")}
      </p>
    ) : null;
  const set = (key: string, column: string): void =>
    change("choose columns", {
      query: { ...file, conditionColumns: { ...file.conditionColumns, [key]: column } },
    });
  return (
    <fieldset class="keys">
      <legend>Match the model's sample column</legend>
      {Object.keys(model.summary.conditions).map((key) => (
        <label key={key} class="choice">
          <span>{key}</span>
          <select
            value={file.conditionColumns[key] ?? ""}
            onChange={(event) => set(key, event.currentTarget.value)}
          >
            <option value="">not chosen</option>
            <ColumnOptions columns={columns.filter(({ kind }) => kind !== "unreadable")} />
          </select>
        </label>
      ))}
      {Object.keys(model.summary.conditions).some((key) => !file.conditionColumns[key]) && (
        <SampleName
          file={file}
          onChange={(sampleName) => change("name the sample", { query: { ...file, sampleName } })}
        />
      )}
    </fieldset>
  );
}
