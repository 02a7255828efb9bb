// Results of a section of bench:answers, and helpers for its tables.
export const root = new URL("../..", import.meta.url).pathname;
export const data = (name: string): string => `${root}../shared/data/${name}.h5ad`;

/** Markdown, and the numbers in it. */
export interface Section {
  readonly paragraphs: readonly string[];
  readonly numbers: object;
}

export function markdownTable(
  header: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  return [header, header.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

export const percent = (share: number, digits = 0): string => `${(100 * share).toFixed(digits)} %`;
/** A P value, or another small number. */
export const small = (p: number): string => (p === 0 ? "0" : p.toPrecision(2));

/** Python with the packages to compare with; null without one. */
export const python: string | null = process.env["SCPOLI_REFERENCE_PYTHON"] ?? null;
