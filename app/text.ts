// Numbers, sizes and durations as text.

export const count = (value: number): string => Math.round(value).toLocaleString("en-US");
/** No line is broken before the sign. */
export const percent = (share: number, digits = 1): string => `${(100 * share).toFixed(digits)}\u00a0%`;
export const counted = (value: number, what: string): string =>
  `${count(value)} ${what}${value === 1 ? "" : "s"}`;

export function bytesText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB"];
  const unit = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${(bytes / 1000 ** unit).toFixed(unit > 1 && bytes / 1000 ** unit < 100 ? 1 : 0)} ${units[unit]}`;
}

/** 75 -> "1 min 15 s" */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "";
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  return minutes < 60
    ? `${minutes} min ${whole % 60} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Three significant digits. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return "missing";
  if (Math.abs(value) >= 1000) return count(value);
  return String(Number(value.toPrecision(3)));
}

/** P values: two digits, in one notation where they are small. */
export function pValue(p: number): string {
  if (!Number.isFinite(p)) return "–";
  if (p === 0) return "< 1e-300";
  return p < 0.001 ? p.toExponential(1) : p.toPrecision(2);
}
