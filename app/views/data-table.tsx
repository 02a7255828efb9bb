// Tables: sorted by a click on a column's name, and saved as CSV with all rows and digits.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { download } from "../files.js";
import { Icon } from "../icons.js";
import { count, percent, pValue } from "../text.js";
import { csvOf } from "../csv.js";

export interface TableColumn<Row> {
  readonly name: string;
  /** what the column says, as a tooltip */
  readonly hint?: string;
  readonly value: (row: Row) => string | number | null;
  /** Default: the text itself, numbers with three digits */
  readonly show?: (row: Row) => ComponentChildren;
}

type NumberOf<Row> = (row: Row) => number;

/** A column of numbers with so many digits after the point. */
export function numberColumn<Row>(
  name: string,
  value: NumberOf<Row>,
  digits: number,
  hint?: string,
): TableColumn<Row> {
  return { name, value, show: (row) => value(row).toFixed(digits), ...(hint && { hint }) };
}

/** A column of shares in percent. */
export function shareColumn<Row>(
  name: string,
  value: NumberOf<Row>,
  hint: string,
  digits = 0,
): TableColumn<Row> {
  return { name, value, show: (row) => percent(value(row), digits), hint };
}

/** A column of P values. */
export function pColumn<Row>(name: string, value: NumberOf<Row>, hint?: string): TableColumn<Row> {
  return { name, value, show: (row) => pValue(value(row)), ...(hint && { hint }) };
}

interface TableProps<Row> {
  readonly caption: string;
  /** name of the saved file, without an ending */
  readonly file: string;
  readonly columns: readonly TableColumn<Row>[];
  readonly rows: readonly Row[];
  readonly keyOf: (row: Row) => string;
  /** rows that are shown until all are asked for */
  readonly most?: number;
}

interface Order {
  readonly column: number;
  readonly isDown: boolean;
}

export function DataTable<Row>({ caption, file, columns, rows, keyOf, most = 15 }: TableProps<Row>) {
  const order = useSignal<Order | null>(null);
  const isWhole = useSignal(false);
  const sorted = order.value ? sortedBy(rows, columns[order.value.column]!, order.value.isDown) : rows;
  const shown = isWhole.value ? sorted : sorted.slice(0, most);
  const isNumber = columns.map(({ value }) => rows.some((row) => typeof value(row) === "number"));
  const sort = (column: number): void => {
    const isSame = order.value?.column === column;
    order.value = isSame ? { column, isDown: !order.value!.isDown } : { column, isDown: isNumber[column]! };
  };
  return (
    <div class="data-table">
      <div class="scroll" tabIndex={0} role="group" aria-label={caption}>
        <table class="plain">
          <caption class="unseen">{caption}</caption>
          <thead>
            <tr>
              {columns.map(({ name, hint }, column) => (
                <SortHead
                  key={name}
                  name={name}
                  hint={hint}
                  isNumber={isNumber[column]!}
                  direction={order.value?.column === column ? (order.value.isDown ? "down" : "up") : null}
                  onSort={() => sort(column)}
                />
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.map((row) => (
              <tr key={keyOf(row)}>
                {columns.map(({ name, value, show }, column) => (
                  <td key={name} class={isNumber[column] ? "right" : ""}>
                    {show ? show(row) : plain(value(row))}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="row table-foot">
        {rows.length > most && (
          <button class="quiet small" onClick={() => (isWhole.value = !isWhole.value)}>
            {isWhole.value ? "Show fewer" : `Show all ${count(rows.length)}`}
          </button>
        )}
        <SaveTable file={file} columns={columns} rows={sorted} />
      </p>
    </div>
  );
}

const sorts = { up: ["ascending", " ▴"], down: ["descending", " ▾"] } as const;

function SortHead({
  name,
  hint,
  isNumber,
  direction,
  onSort,
}: {
  readonly name: string;
  readonly hint: string | undefined;
  readonly isNumber: boolean;
  readonly direction: keyof typeof sorts | null;
  readonly onSort: () => void;
}) {
  const [order, sign] = direction ? sorts[direction] : [undefined, ""];
  return (
    <th scope="col" class={isNumber ? "right" : ""} aria-sort={order}>
      <button class="quiet sort" title={hint ?? `Sort by ${name}`} onClick={onSort}>
        {name}
        {sign !== "" && <span aria-hidden="true">{sign}</span>}
      </button>
    </th>
  );
}

/** All rows in the order that is shown, with all digits. */
export function SaveTable<Row>({ file, columns, rows }: Pick<TableProps<Row>, "file" | "columns" | "rows">) {
  const save = (): void => {
    const text = csvOf(
      columns.map(({ name }) => name),
      rows.map((row) => columns.map(({ value }) => value(row) ?? "")),
    );
    download(new Blob([text], { type: "text/csv" }), `${file}.csv`);
  };
  return (
    <button
      type="button"
      class="quiet small"
      title={`Save this table as CSV (${count(rows.length)} rows)`}
      onClick={save}
    >
      <Icon name="download" />
      CSV
    </button>
  );
}

function sortedBy<Row>(rows: readonly Row[], { value }: TableColumn<Row>, isDown: boolean): Row[] {
  const sign = isDown ? -1 : 1;
  return rows.toSorted((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return Number(x === null) - Number(y === null);
    return (
      sign * (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y)))
    );
  });
}

const plain = (value: string | number | null): string =>
  value === null
    ? "–"
    : typeof value === "number"
      ? Number.isInteger(value)
        ? count(value)
        : String(Number(value.toPrecision(3)))
      : value;
