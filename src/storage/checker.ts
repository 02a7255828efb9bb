// Validates values read from a file, with errors that name the faulty entry.
import { ScPoliError } from "../contract/errors.js";

export const copyAnew = "Copy the model again, or retrain it.";

/** Validates parsed JSON entry by entry. Every error names the entry and ends with advice. */
export class Checker {
  constructor(
    readonly where: string,
    private readonly advice: string,
  ) {}

  fail(what: string): never {
    throw new ScPoliError("model", `${this.where} is damaged: ${what}. ${this.advice}`, { path: this.where });
  }
  object(value: unknown, name: string): Readonly<Record<string, unknown>> {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      this.fail(`${name} is ${shown(value)}, expected an object`);
    return value as Record<string, unknown>;
  }
  list<T>(
    value: unknown,
    name: string,
    item: (value: unknown, name: string, at: number) => T,
    length?: number,
  ): T[] {
    if (!Array.isArray(value)) this.fail(`${name} is ${shown(value)}, expected a list`);
    if (length !== undefined && value.length !== length)
      this.fail(`${name} has ${value.length} entries, expected ${length}`);
    return value.map((entry, i) => item(entry, `${name}[${i}]`, i));
  }
  text(value: unknown, name: string): string {
    if (typeof value !== "string" || value === "") this.fail(`${name} is ${shown(value)}, expected a string`);
    return value;
  }
  number(value: unknown, name: string, least: number, most = Number.MAX_VALUE): number {
    if (typeof value !== "number" || !(value >= least && value <= most))
      this.fail(`${name} is ${shown(value)}, expected a number in [${least}, ${most}]`);
    return value;
  }
  whole(value: unknown, name: string, least: number, most = Number.MAX_SAFE_INTEGER): number {
    if (!Number.isSafeInteger(this.number(value, name, least, most)))
      this.fail(`${name} is ${shown(value)}, expected a whole number`);
    return value as number;
  }
  /** unique strings */
  names(value: unknown, name: string, least: number): string[] {
    const names = this.list(value, name, (entry, entryName) => this.text(entry, entryName));
    if (names.length < least) this.fail(`${name} is empty`);
    const seen = new Set<string>();
    for (const entry of names) {
      if (seen.has(entry)) this.fail(`${name} has '${entry}' twice`);
      seen.add(entry);
    }
    return names;
  }
}

export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "missing";
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
