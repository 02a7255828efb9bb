// Which columns of a file hold samples and cell types, or the name of its one sample.
import { change, work, type DataFile } from "../state.js";
import { counted } from "../text.js";
import { ColumnOptions } from "./controls.js";

/** Which columns hold conditions and cell types, for training. */
export function ReferenceKeys({ file }: { readonly file: DataFile }) {
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
export function QueryKeys({ file }: { readonly file: DataFile }) {
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
