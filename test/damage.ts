// Damaged copies of files and folders: bytes changed, numbers in a text made extreme, pieces moved, files
// truncated or missing.
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import type { Random } from "../dist/numerics/random.js";

/**
 * Something to read, a file or a folder, of which damaged copies are made one after the other in the same
 * place.
 */
export class Damageable {
  readonly copy: string;
  readonly #files: readonly string[];
  #damaged: string | null = null;

  /** @param folder - for the copies */
  constructor(
    private readonly source: string,
    folder: string,
  ) {
    this.copy = join(folder, `damaged${extname(source) || `-${basename(source)}`}`);
    this.#files = statSync(source).isDirectory() ? filesOf(source, "") : [""];
  }

  /** Restores the copy from the source, except for one file. */
  damage(random: Random): void {
    const metadata = this.#files.filter(isMetadata);
    const pick = metadata.length > 0 && random.below(2) === 0 ? metadata : this.#files;
    const file = pick[random.below(pick.length)]!;
    if (this.#damaged === null) {
      this.remove();
      cpSync(this.source, this.copy, { recursive: true });
    } else this.#put(this.#damaged, this.#content(this.#damaged));
    this.#put(file, damaged(file, this.#content(file), random));
    this.#damaged = file;
  }

  remove(): void {
    rmSync(this.copy, { recursive: true, force: true });
    this.#damaged = null;
  }

  #content(file: string): Uint8Array {
    return readFileSync(join(this.source, file));
  }
  #put(file: string, bytes: Uint8Array | null): void {
    const path = join(this.copy, file);
    mkdirSync(dirname(path), { recursive: true });
    if (bytes) writeFileSync(path, bytes);
    else rmSync(path, { force: true });
  }
}

function filesOf(folder: string, at: string): string[] {
  return readdirSync(join(folder, at), { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) =>
      entry.isDirectory() ? filesOf(folder, join(at, entry.name)) : [join(at, entry.name)],
    );
}

function isMetadata(file: string): boolean {
  return /(\.zarray|\.zattrs|\.zgroup|\.zmetadata|zarr\.json)$/.test(file);
}

/** @returns null where the file is missing */
function damaged(file: string, bytes: Uint8Array, random: Random): Uint8Array | null {
  const isText = isMetadata(file) || /\.(mtx|tsv)(\.gz)?$/.test(file);
  if (file !== "" && random.below(30) === 0) return null;
  if (!isText || random.below(4) === 0) return damagedBytes(bytes, random);
  return file.endsWith(".gz") ? gzipSync(damagedText(gunzipSync(bytes), random)) : damagedText(bytes, random);
}

/**
 * Random bytes at a few places, extreme numbers, a piece filled, moved or repeated, or an end that is
 * missing.
 */
function damagedBytes(content: Uint8Array, random: Random): Uint8Array {
  const whole = (below: number): number => random.below(Math.max(1, below));
  const bytes = Uint8Array.from(content);
  const kind = whole(10);
  if (kind === 0 || bytes.length === 0) return bytes.slice(0, whole(bytes.length));
  const fields = new DataView(bytes.buffer);
  const last = Math.max(1, bytes.length - 8);
  for (let left = 1 + whole(4); left > 0; left--) {
    const at = whole(last);
    if (kind < 5 || bytes.length < 16) bytes[at] = whole(256);
    else if (kind < 6) bytes.fill(whole(2) * 255, at, at + 1 + whole(16));
    else if (kind < 7) {
      const from = whole(last);
      bytes.copyWithin(at, from, from + 1 + whole(64));
    } else {
      const value = extremes[whole(extremes.length)]!;
      const width = whole(4);
      if (width === 0) fields.setUint8(at, Number(value & 255n));
      else if (width === 1) fields.setUint16(at, Number(value & 65535n), true);
      else if (width === 2) fields.setUint32(at, Number(value & 0xffffffffn), true);
      else fields.setBigUint64(at, value, true);
    }
  }
  return bytes;
}

const extremes: readonly bigint[] = [
  0n,
  1n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 64n - 1n,
];

/** Replaces, removes or repeats a number, a word or a line of a text. */
function damagedText(content: Uint8Array, random: Random): Uint8Array {
  const text = new TextDecoder().decode(content);
  const isLine = random.below(4) === 0;
  const parts = [...text.matchAll(isLine ? /.*\n/g : /-?\d+(\.\d+)?|"[^"]*"|true|false|null|[A-Za-z_]+/g)];
  if (parts.length === 0) return damagedBytes(content, random);
  const { 0: part, index } = parts[random.below(parts.length)]!;
  const other = parts[random.below(parts.length)]![0];
  const instead = isLine ? ["", part + part, other] : [...odd, other, other, ""];
  return new TextEncoder().encode(
    text.slice(0, index) + instead[random.below(instead.length)]! + text.slice(index + part.length),
  );
}

const odd = [
  "0",
  "-1",
  "1",
  "3",
  "1.5",
  "NaN",
  "1e300",
  "2147483648",
  "4294967295",
  "9007199254740993",
  "null",
  "[]",
  "{}",
  "[1, 2, 3]",
  '"x"',
  "true",
  '""',
  '"../../x"',
  '"__proto__"',
] as const;
