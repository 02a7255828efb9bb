// Formats numbers, durations, lists and tables as plain text.

/** 12345 -> "12,345" */
export function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** 0.873 -> "87.3 %" */
export function percent(share: number, digits = 1): string {
  return `${(100 * share).toFixed(digits)} %`;
}

/** "3 cells", "1 cell" */
export function counted(value: number, what: string): string {
  return `${count(value)} ${what}${value === 1 ? "" : "s"}`;
}

/** Four significant digits; whole numbers with thousands separators from 1,000. */
export function significant(value: number): string {
  return Math.abs(value) >= 1000 ? count(value) : String(Number(value.toPrecision(4)));
}

/** 75 -> "1 min 15 s" */
export function duration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  return minutes < 60
    ? `${minutes} min ${whole % 60} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** 75 -> "1:15" */
export function clock(seconds: number): string {
  const whole = Math.ceil(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const tail = String(whole % 60).padStart(2, "0");
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

/** Names separated by commas, cut after `most`. */
export function listed(names: readonly string[], most = 12): string {
  return names.length <= most
    ? names.join(", ")
    : `${names.slice(0, most).join(", ")} and ${names.length - most} more`;
}

/**
 * Rows in aligned columns, numbers to the right.
 * @param header - column titles, underlined with dashes
 */
export function table(rows: readonly (readonly (string | number)[])[], header?: readonly string[]): string {
  const isNumber = (rows[0] ?? []).map((_, column) =>
    rows.every(
      (row) => typeof row[column] === "number" || /^[\d.,]+( %)?$|^-?$/.test(String(row[column] ?? "")),
    ),
  );
  const cells = [...(header ? [header] : []), ...rows].map((row) =>
    row.map((cell) => (typeof cell === "number" ? count(cell) : cell)),
  );
  const widths = isNumber.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? "").length)));
  const lines = cells.map((row) =>
    row
      .map((cell, column) =>
        isNumber[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join("  ")
      .trimEnd(),
  );
  if (header) lines.splice(1, 0, widths.map((width) => "-".repeat(width)).join("  "));
  return lines.map((line) => `  ${line}`).join("\n");
}
