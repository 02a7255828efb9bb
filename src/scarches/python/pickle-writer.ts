// Writes pickles for Python 3.4 and later: protocol 2, or 4 if there are bytes. The memo is not used, so that
// equal values give equal bytes. Source: the comments of CPython's Lib/pickletools.py.
import { PyName } from "./pickle.js";

/** A tuple (arrays are written as lists). */
export class PyTuple {
  constructor(readonly items: readonly Writable[]) {}
}
/** A float, even if its value is an integer. */
export class PyFloat {
  constructor(readonly value: number) {}
}

/** Values that can be written: arrays become lists, maps dicts, whole numbers ints. */
export type Writable =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Writable[]
  | ReadonlyMap<string, Writable>
  | PyTuple
  | PyFloat
  | PyName
  | PyCall;

/** A call, with entries to set in its result. */
export class PyCall {
  constructor(
    /** "module.name" */
    readonly name: string,
    readonly args: readonly Writable[],
    readonly entries: ReadonlyMap<string, Writable> = new Map(),
  ) {}
}

/** A persistent id: a reference to an object outside the pickle. */
export class PyReference extends PyCall {
  constructor(...id: readonly Writable[]) {
    super("", id);
  }
}

/** @param protocol - 2 holds no bytes */
export function writePickle(value: Writable, protocol: 2 | 4): Uint8Array {
  const writer = new Writer();
  writer.bytes(0x80, protocol);
  writer.write(value);
  writer.code(".");
  return writer.content();
}

class Writer {
  #content = new Uint8Array(1024);
  #length = 0;

  content(): Uint8Array {
    return this.#content.slice(0, this.#length);
  }

  write(value: Writable): void {
    if (value === null) this.code("N");
    else if (typeof value === "boolean") this.bytes(value ? 0x88 : 0x89);
    else if (typeof value === "number") this.#number(value);
    else if (value instanceof PyFloat) this.#float(value.value);
    else if (typeof value === "string") this.#sized("X", new TextEncoder().encode(value));
    else if (value instanceof Uint8Array) this.#sized("B", value);
    else if (value instanceof PyName) this.#name(value.name);
    else if (value instanceof PyTuple) this.#tuple(value.items);
    else if (value instanceof PyReference) {
      this.#tuple(value.args);
      this.code("Q");
    } else if (value instanceof PyCall) {
      this.#name(value.name);
      this.#tuple(value.args);
      this.code("R");
      this.#entries(value.entries);
    } else if (value instanceof Map) {
      this.code("}");
      this.#entries(value as ReadonlyMap<string, Writable>);
    } else this.#list(value as readonly Writable[]);
  }

  code(character: string): void {
    this.bytes(character.charCodeAt(0));
  }
  bytes(...values: readonly number[]): void {
    this.#append(Uint8Array.from(values));
  }

  #append(bytes: Uint8Array): void {
    if (this.#length + bytes.length > this.#content.length) {
      const grown = new Uint8Array(2 * (this.#length + bytes.length));
      grown.set(this.#content);
      this.#content = grown;
    }
    this.#content.set(bytes, this.#length);
    this.#length += bytes.length;
  }
  #number(value: number): void {
    if (!Number.isInteger(value) || Math.abs(value) >= 2 ** 31) return this.#float(value);
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setInt32(0, value, true);
    this.code("J");
    this.#append(bytes);
  }
  #float(value: number): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setFloat64(0, value, false);
    this.code("G");
    this.#append(bytes);
  }
  #sized(code: string, content: Uint8Array): void {
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, content.length, true);
    this.code(code);
    this.#append(length);
    this.#append(content);
  }
  #name(name: string): void {
    const dot = name.lastIndexOf(".");
    this.#append(new TextEncoder().encode(`c${name.slice(0, dot)}\n${name.slice(dot + 1)}\n`));
  }
  #tuple(items: readonly Writable[]): void {
    this.code("(");
    items.forEach((item) => this.write(item));
    this.code("t");
  }
  #list(items: readonly Writable[]): void {
    this.code("]");
    if (items.length === 0) return;
    this.code("(");
    items.forEach((item) => this.write(item));
    this.code("e");
  }
  #entries(entries: ReadonlyMap<string, Writable>): void {
    if (entries.size === 0) return;
    this.code("(");
    for (const [key, value] of entries) {
      this.write(key);
      this.write(value);
    }
    this.code("u");
  }
}
