// Small controls that several views use.
import type { ComponentChildren } from "preact";
import type { Note } from "scpoli";
import { Icon } from "../icons.js";

export function Checkbox({
  checked,
  onChange,
  text,
}: {
  readonly checked: boolean;
  readonly onChange: (checked: boolean) => void;
  readonly text: string;
}) {
  return (
    <label class="choice">
      <input type="checkbox" checked={checked} onChange={(event) => onChange(event.currentTarget.checked)} />
      <span>{text}</span>
    </label>
  );
}

/** Columns of the cell metadata with the number of their values, for a select. */
export function ColumnOptions({
  columns,
}: {
  readonly columns: readonly { readonly name: string; readonly distinct: number }[];
}) {
  return (
    <>
      {columns.map(({ name, distinct }) => (
        <option key={name} value={name}>
          {name} ({distinct})
        </option>
      ))}
    </>
  );
}

/** What the library has said in a run. */
export function Notes({ notes }: { readonly notes: readonly Note[] }) {
  return (
    <ul class="notes">
      {notes.map(({ level, message }) => (
        <li key={message} class={level}>
          {message}
        </li>
      ))}
    </ul>
  );
}

/** A warning in its place on the page. */
export function Warning({ children }: { readonly children: ComponentChildren }) {
  return (
    <p class="message warning">
      <Icon name="warning" />
      <span>{children}</span>
    </p>
  );
}

/** Names with their values. */
export function Facts({
  facts,
}: {
  readonly facts: readonly (readonly [name: string, value: string, title?: string])[];
}) {
  return (
    <dl class="facts">
      {facts.map(([name, value, title]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd title={title}>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
