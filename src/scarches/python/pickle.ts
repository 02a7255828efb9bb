// Reads Python's pickle format as data, protocols 0 to 5. A pickle is a program that calls Python functions;
// here nothing is called: a call becomes a `PyObject` with the function's name, its arguments and its state.
// Time and memory are linear in the number of bytes. Source: the comments of CPython's Lib/pickletools.py,
// which define each instruction.
import { ScPoliError } from "../../contract/errors.js";

/**
 * A value of a pickle. Tuples become arrays, integers beyond 2^53 bigint. An object may be referenced more
 * than once, even in a cycle.
 */
export type PyValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly PyValue[]
  | PyDict
  | ReadonlySet<PyValue>
  | PyName
  | PyObject;
export type PyDict = ReadonlyMap<PyValue, PyValue>;

/** A class or function: "module.name". */
export class PyName {
  constructor(readonly name: string) {}
}

/** The result of a call that is not executed. */
export class PyObject {
  /** the argument of `__setstate__` */
  state: PyValue | undefined = undefined;
  /** entries added to it afterwards, if it is a kind of dict or list */
  readonly entries = new Map<PyValue, PyValue>();
  readonly items: PyValue[] = [];

  /**
   * @param name - name of the class or function; "persistent id" for a reference to an object outside the
   *   pickle
   */
  constructor(
    readonly name: string,
    readonly args: readonly PyValue[],
  ) {}
}

export interface Unpickled {
  readonly value: PyValue;
  /** references to objects outside the pickle, in order: objects named "persistent id" */
  readonly references: readonly PyObject[];
  /** position after the last byte read */
  readonly end: number;
}

/** Longest integer, in bytes. */
const longLimit = 1024;
/** The first byte of an instruction. */
type Run = (machine: Machine) => void;

/**
 * @param where - the file, for error texts
 * @throws ScPoliError "model" if the bytes are not a pickle, or truncated
 */
export function readPickle(bytes: Uint8Array, where: string, start = 0): Unpickled {
  const machine: Machine = new Machine(bytes, where, start);
  for (;;) {
    const at = machine.position;
    const code = machine.byte();
    if (code === stop) return { value: machine.pop(), references: machine.references, end: machine.position };
    const run = instructions.get(code);
    if (!run) machine.fail(`the byte ${code} at position ${at} is no instruction`);
    run(machine);
  }
}

class Machine {
  #stack: PyValue[] = [];
  readonly #outer: PyValue[][] = [];
  readonly memo = new Map<number, PyValue>();
  readonly references: PyObject[] = [];
  readonly #view: DataView;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly where: string,
    public position: number,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  fail(what: string): never {
    throw new ScPoliError("model", `${this.where} is damaged or not a pickle: ${what}.`, {
      path: this.where,
    });
  }

  take(length: number): number {
    const start = this.position;
    if (!(length >= 0 && length <= this.bytes.length - start))
      this.fail(`it ends at byte ${this.bytes.length}, in the middle of an instruction`);
    this.position += length;
    return start;
  }
  byte(): number {
    return this.#view.getUint8(this.take(1));
  }
  uint16(): number {
    return this.#view.getUint16(this.take(2), true);
  }
  int32(): number {
    return this.#view.getInt32(this.take(4), true);
  }
  uint32(): number {
    return this.#view.getUint32(this.take(4), true);
  }
  uint64(): number {
    return Number(this.#view.getBigUint64(this.take(8), true));
  }
  float64(): number {
    return this.#view.getFloat64(this.take(8), false);
  }
  data(length: number): Uint8Array {
    const start = this.take(length);
    return this.bytes.subarray(start, start + length);
  }
  text(length: number): string {
    return utf8.decode(this.data(length));
  }
  latin1(length: number): string {
    return latin1Text(this.data(length));
  }
  /** up to the end of the line */
  line(): string {
    const end = this.bytes.indexOf(10, this.position);
    if (end < 0) this.fail("a line has no end");
    const text = utf8.decode(this.data(end - this.position));
    this.position++;
    return text;
  }

  push(value: PyValue): void {
    this.#stack.push(value);
  }
  pop(): PyValue {
    const value = this.#stack.pop();
    return value === undefined
      ? this.fail(`an instruction before byte ${this.position} finds the stack empty`)
      : value;
  }
  top(): PyValue {
    const value = this.pop();
    this.push(value);
    return value;
  }
  mark(): void {
    this.#outer.push(this.#stack);
    this.#stack = [];
  }
  /** everything since the last mark */
  popToMark(): PyValue[] {
    const items = this.#stack;
    this.#stack =
      this.#outer.pop() ??
      this.fail(`an instruction before byte ${this.position} needs a mark, but there is none`);
    return items;
  }
  remember(key: number): void {
    this.memo.set(key, this.top());
  }
  recall(key: number): void {
    const value = this.memo.get(key);
    this.push(value === undefined ? this.fail(`entry ${key} of the memo does not exist`) : value);
  }

  append(items: readonly PyValue[]): void {
    const list = this.top();
    const target = Array.isArray(list) ? (list as PyValue[]) : list instanceof PyObject ? list.items : null;
    if (!target) this.fail(`before byte ${this.position}, a value is appended to an object that is no list`);
    for (const item of items) target.push(item);
  }
  set(items: readonly PyValue[]): void {
    const dict = this.top();
    const target =
      dict instanceof Map ? (dict as Map<PyValue, PyValue>) : dict instanceof PyObject ? dict.entries : null;
    if (!target || items.length % 2 > 0)
      this.fail(`before byte ${this.position}, entries are set in an object that is no dict`);
    for (let i = 0; i < items.length; i += 2) target.set(items[i]!, items[i + 1]!);
  }
  add(items: readonly PyValue[]): void {
    const set = this.top();
    if (!(set instanceof Set))
      this.fail(`before byte ${this.position}, values are added to an object that is no set`);
    for (const item of items) (set as Set<PyValue>).add(item);
  }
  name(): string {
    const value = this.pop();
    return value instanceof PyName
      ? value.name
      : this.fail(`before byte ${this.position}, an object is called that is no class or function`);
  }
  call(name: string, args: PyValue): void {
    this.push(
      called(
        name,
        Array.isArray(args)
          ? (args as PyValue[])
          : this.fail(`a call before byte ${this.position} has no arguments`),
      ),
    );
  }
  refer(to: PyValue): void {
    const reference = new PyObject("persistent id", [to]);
    this.references.push(reference);
    this.push(reference);
  }
  global(module: PyValue, name: PyValue): void {
    if (typeof module !== "string" || typeof name !== "string")
      this.fail(`a name before byte ${this.position} is no text`);
    this.push(new PyName(`${modules[module] ?? module}.${name}`));
  }
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

function latin1Text(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  return text;
}

/** Python 2's names of modules, which protocols up to 2 use. */
const modules: Readonly<Record<string, string | undefined>> = {
  __proto__: null,
  __builtin__: "builtins",
  copy_reg: "copyreg",
} as never;

/**
 * Calls that create plain collections are evaluated; the collections are never copied, as a small file could
 * request copies without end. Any other call stays a `PyObject`.
 */
function called(name: string, args: readonly PyValue[]): PyValue {
  const [first] = args;
  switch (name) {
    case "collections.OrderedDict":
    case "builtins.dict":
      return args.length === 0 ? new Map() : new PyObject(name, args);
    case "collections.defaultdict":
      return new Map();
    case "builtins.list":
    case "builtins.tuple":
      return args.length === 0 ? [] : Array.isArray(first) ? (first as PyValue[]) : new PyObject(name, args);
    case "copyreg._reconstructor": // an object without __reduce__, as protocols 0 and 1 write it
    case "copyreg.__newobj__":
      return first instanceof PyName
        ? new PyObject(first.name, name.endsWith("__") ? args.slice(1) : [])
        : new PyObject(name, args);
    default:
      return new PyObject(name, args);
  }
}

/**
 * The bytes of a value: bytes, a bytearray, a string of Python 2, or the call that protocol 2 writes; null
 * for other values.
 */
export function bytesOf(value: PyValue | undefined): Uint8Array | null {
  if (value instanceof Uint8Array) return value;
  if (typeof value === "string") return Uint8Array.from(value, (character) => character.charCodeAt(0));
  if (value instanceof PyObject && (value.name === "_codecs.encode" || value.name === "builtins.bytearray")) {
    const [content] = value.args;
    return typeof content === "string" || content instanceof Uint8Array ? bytesOf(content) : null;
  }
  return null;
}

/** Little-endian, two's complement. */
function long(machine: Machine, length: number): PyValue {
  if (length > longLimit) machine.fail(`an integer has ${length} bytes`);
  const bytes = machine.data(length);
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
  if (bytes.length > 0 && bytes[bytes.length - 1]! >= 128) value -= 1n << BigInt(8 * bytes.length);
  return plain(value);
}
function plain(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** A number written as a line: "12", "12L"; "00" and "01" are False and True. */
function integerLine(machine: Machine): PyValue {
  const line = machine.line();
  if (line === "00" || line === "01") return line === "01";
  const digits = line.replace(/L$/, "");
  if (!/^-?\d+$/.test(digits) || digits.length > 2 * longLimit)
    machine.fail(`'${line.slice(0, 40)}' is no integer`);
  return plain(BigInt(digits));
}
function floatLine(machine: Machine): number {
  const line = machine.line().trim();
  const named: Readonly<Record<string, number | undefined>> = { nan: NaN, inf: Infinity, "-inf": -Infinity };
  const value = named[line] ?? (line === "" ? NaN : Number(line));
  if (Number.isNaN(value) && line !== "nan") machine.fail(`'${line.slice(0, 40)}' is no number`);
  return value;
}
/** A text as Python's repr writes it. */
function quotedLine(machine: Machine): string {
  const line = machine.line();
  const quote = line[0];
  if (line.length < 2 || (quote !== "'" && quote !== '"') || !line.endsWith(quote))
    machine.fail("a text has no quotation marks");
  return unescaped(line.slice(1, -1));
}
function unescaped(text: string): string {
  const special: Readonly<Record<string, string | undefined>> = { n: "\n", r: "\r", t: "\t" };
  return text.replace(
    /\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U000([0-9a-f]{5})|(.))/gi,
    (all, x?: string, u?: string, U?: string, other?: string) => {
      const code = x ?? u ?? U;
      return code === undefined
        ? (special[other!] ?? other ?? all)
        : parseInt(code, 16) > 0x10ffff
          ? all
          : String.fromCodePoint(parseInt(code, 16));
    },
  );
}

const stop = ".".charCodeAt(0);

/** By their byte; the names are those of pickletools. */
const instructions: ReadonlyMap<number, Run> = new Map<number, Run>(
  Object.entries({
    // structure
    "\x80": (m) => void (m.byte() > 5 && m.fail("it is of a newer protocol than 5")), // PROTO
    "\x95": (m) => void m.take(8), // FRAME
    "(": (m) => m.mark(), // MARK
    "0": (m) => void m.pop(), // POP
    "1": (m) => void m.popToMark(), // POP_MARK
    "2": (m) => m.push(m.top()), // DUP
    // memo
    p: (m) => m.remember(Number(m.line())), // PUT
    q: (m) => m.remember(m.byte()), // BINPUT
    r: (m) => m.remember(m.uint32()), // LONG_BINPUT
    "\x94": (m) => m.remember(m.memo.size), // MEMOIZE
    g: (m) => m.recall(Number(m.line())), // GET
    h: (m) => m.recall(m.byte()), // BINGET
    j: (m) => m.recall(m.uint32()), // LONG_BINGET
    // numbers and constants
    N: (m) => m.push(null), // NONE
    "\x88": (m) => m.push(true), // NEWTRUE
    "\x89": (m) => m.push(false), // NEWFALSE
    I: (m) => m.push(integerLine(m)), // INT
    L: (m) => m.push(integerLine(m)), // LONG
    F: (m) => m.push(floatLine(m)), // FLOAT
    J: (m) => m.push(m.int32()), // BININT
    K: (m) => m.push(m.byte()), // BININT1
    M: (m) => m.push(m.uint16()), // BININT2
    "\x8a": (m) => m.push(long(m, m.byte())), // LONG1
    "\x8b": (m) => m.push(long(m, m.int32())), // LONG4
    G: (m) => m.push(m.float64()), // BINFLOAT
    // texts and bytes
    S: (m) => m.push(quotedLine(m)), // STRING
    T: (m) => m.push(m.latin1(m.int32())), // BINSTRING
    U: (m) => m.push(m.latin1(m.byte())), // SHORT_BINSTRING
    V: (m) => m.push(unescaped(m.line())), // UNICODE
    X: (m) => m.push(m.text(m.uint32())), // BINUNICODE
    "\x8c": (m) => m.push(m.text(m.byte())), // SHORT_BINUNICODE
    "\x8d": (m) => m.push(m.text(m.uint64())), // BINUNICODE8
    B: (m) => m.push(m.data(m.uint32())), // BINBYTES
    C: (m) => m.push(m.data(m.byte())), // SHORT_BINBYTES
    "\x8e": (m) => m.push(m.data(m.uint64())), // BINBYTES8
    "\x96": (m) => m.push(m.data(m.uint64())), // BYTEARRAY8
    "\x97": (m) => m.fail("it needs buffers that are kept outside of it"), // NEXT_BUFFER
    "\x98": () => undefined, // READONLY_BUFFER
    // collections
    ")": (m) => m.push([]), // EMPTY_TUPLE
    t: (m) => m.push(m.popToMark()), // TUPLE
    "\x85": (m) => m.push([m.pop()]), // TUPLE1
    "\x86": (m) => m.push([m.pop(), m.pop()].reverse()), // TUPLE2
    "\x87": (m) => m.push([m.pop(), m.pop(), m.pop()].reverse()), // TUPLE3
    "]": (m) => m.push([]), // EMPTY_LIST
    l: (m) => m.push(m.popToMark()), // LIST
    a: (m) => m.append([m.pop()]), // APPEND
    e: (m) => m.append(m.popToMark()), // APPENDS
    "}": (m) => m.push(new Map()), // EMPTY_DICT
    d: (m) => pushFilled(m, new Map(), (items) => m.set(items)), // DICT
    s: (m) => m.set([m.pop(), m.pop()].reverse()), // SETITEM
    u: (m) => m.set(m.popToMark()), // SETITEMS
    "\x8f": (m) => m.push(new Set()), // EMPTY_SET
    "\x90": (m) => m.add(m.popToMark()), // ADDITEMS
    "\x91": (m) => m.push(new Set(m.popToMark())), // FROZENSET
    // names, calls, objects
    c: (m) => m.global(m.line(), m.line()), // GLOBAL
    "\x93": (m) => m.global(...([m.pop(), m.pop()].reverse() as [PyValue, PyValue])), // STACK_GLOBAL
    R: (m) => callTop(m, 0), // REDUCE
    "\x81": (m) => callTop(m, 0), // NEWOBJ
    "\x92": (m) => callTop(m, 1), // NEWOBJ_EX
    i: (m) => instance(m), // INST
    o: (m) => object(m), // OBJ
    b: (m) => build(m), // BUILD
    P: (m) => m.refer(m.line()), // PERSID
    Q: (m) => m.refer(m.pop()), // BINPERSID
  } satisfies Record<string, Run>).map(([character, run]) => [character.charCodeAt(0), run]),
);

function pushFilled(machine: Machine, value: PyValue, fill: (items: PyValue[]) => void): void {
  const items = machine.popToMark();
  machine.push(value);
  fill(items);
}

/**
 * Calls the object below its arguments on the stack.
 * @param named - whether keyword arguments are above them on the stack; they are ignored
 */
function callTop(machine: Machine, named: number): void {
  for (let i = 0; i < named; i++) machine.pop();
  const args = machine.pop();
  machine.call(machine.name(), args);
}

function instance(machine: Machine): void {
  machine.global(machine.line(), machine.line());
  const name = machine.name();
  machine.call(name, machine.popToMark());
}

function object(machine: Machine): void {
  const [name, ...args] = machine.popToMark();
  if (!(name instanceof PyName))
    machine.fail(`before byte ${machine.position}, an object is created of a value that is no class`);
  machine.call(name.name, args);
}

/** Keeps the argument of `__setstate__`; plain values have no state. */
function build(machine: Machine): void {
  const state = machine.pop();
  const target = machine.top();
  if (target instanceof PyObject) target.state = state;
}
