// Typed access to the attributes of a Python model (`attr.pkl`). Every error names the file and the
// attribute.
import { ScPoliError } from "../contract/errors.js";
import { cellOf, numpyArray, type Cell } from "./python/numpy.js";
import type { PyDict, PyValue } from "./python/pickle.js";
import { torchTensor, type TorchTensor } from "./python/torch.js";

export class Attributes {
  /**
   * @param where - the file, for error texts
   * @param storages - tensor storages of the PyTorch file with the attributes, if they are in one
   */
  constructor(
    readonly where: string,
    private readonly entries: PyDict,
    private readonly storages: ReadonlyMap<string, Uint8Array> = new Map(),
  ) {}

  fail(name: string, expected: string): never {
    const value = this.entries.get(name);
    const actual =
      value === undefined
        ? "missing"
        : typeof value === "object" && value !== null
          ? "something else"
          : String(value).slice(0, 60);
    throw new ScPoliError(
      "model",
      `${this.where}: '${name}' is ${actual}, expected ${expected}. The model is damaged, or not a scPoli ` +
        "model.",
      { path: this.where, attribute: name },
    );
  }

  keys(): string[] {
    return [...this.entries.keys()].filter((key) => typeof key === "string");
  }
  has(name: string): boolean {
    return this.entries.has(name);
  }
  /** the first of the names that exists; the first name if none does */
  named(...names: readonly string[]): string {
    return names.find((name) => this.entries.has(name)) ?? names[0]!;
  }
  value(name: string): PyValue | undefined {
    return this.entries.get(name);
  }
  flag(name: string, otherwise: boolean): boolean {
    const value = this.entries.get(name);
    return typeof value === "boolean"
      ? value
      : value === undefined
        ? otherwise
        : this.fail(name, "True or False");
  }
  number(name: string): number {
    const value = cellOf(this.entries.get(name));
    return typeof value === "number" ? value : this.fail(name, "a number");
  }
  text(name: string): string {
    const value = this.entries.get(name);
    return typeof value === "string" ? value : this.fail(name, "a text");
  }
  /** names of any kind: texts, numbers, truth values */
  names(name: string): string[] {
    return namesOf(this.entries.get(name)) ?? this.fail(name, "a list of names");
  }
  numbers(name: string): number[] {
    const cells = cellsOf(this.entries.get(name));
    return cells?.every((cell): cell is number => typeof cell === "number")
      ? (cells as number[])
      : this.fail(name, "a list of numbers");
  }
  /** each key a name, each value a list of names */
  namesByName(name: string): Map<string, string[]> {
    const value = this.entries.get(name);
    if (!(value instanceof Map)) this.fail(name, "a dict");
    return new Map(
      [...(value as PyDict)].map(([key, list]) => [
        nameOf(cellOf(key)) ?? this.fail(name, "a dict with names as keys"),
        namesOf(list) ?? this.fail(name, "a dict of lists"),
      ]),
    );
  }
  /** a tensor in a dict of tensors; null if it or the dict is None */
  tensor(name: string, entry: string): TorchTensor | null {
    const value = this.entries.get(name);
    if (value === undefined || value === null) return null;
    if (!(value instanceof Map)) this.fail(name, "a dict");
    const tensor = (value as PyDict).get(entry);
    return tensor === undefined || tensor === null
      ? null
      : (torchTensor(tensor, this.storages) ?? this.fail(name, `a tensor under '${entry}'`));
  }
}

/**
 * A value as a name, as in columns of obs (labels.ts): 3 is "3", True is "True"; undefined for other values.
 */
export function nameOf(cell: Cell | undefined): string | undefined {
  if (typeof cell === "boolean") return cell ? "True" : "False";
  return cell === null ? "nan" : cell === undefined ? undefined : String(cell);
}

function cellsOf(value: PyValue | undefined): readonly Cell[] | null {
  if (!Array.isArray(value)) return numpyArray(value)?.values ?? null;
  const cells = (value as PyValue[]).map(cellOf);
  return cells.includes(undefined) ? null : (cells as Cell[]);
}

function namesOf(value: PyValue | undefined): string[] | null {
  return cellsOf(value)?.map((cell) => nameOf(cell)!) ?? null;
}
