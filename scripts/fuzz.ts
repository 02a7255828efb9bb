// The long fuzz run over damaged .h5ad files, Zarr stores and files of CellRanger (test/fuzz.ts). The
// original files were written by anndata, as in the tests. An interrupted run resumes (.cache/fuzz), as long
// as the code is the same. Results: bench/results/fuzz.csv. Exit code 0 only without failures.
//
// usage: npm run fuzz -- [how many .h5ad files, default 10000; a quarter as many Zarr stores and a tenth of
// CellRanger's besides] [seed, default 1] [processes, default 2]
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fuzz, type FuzzFailure } from "../test/fuzz.js";
import { makeFuzzSources } from "../test/fuzz-sources.js";

const [count = 10_000, seed = 1, processes = 2] = process.argv.slice(2).map(Number);
const root = fileURLToPath(new URL("..", import.meta.url));
/** Number of files read by one process and recorded together. */
const step = 100;

interface Part {
  readonly kind: "h5ad" | "zarr" | "tenx";
  readonly from: number;
  readonly to: number;
}
/** Failures of finished parts, by name. */
type Done = Record<string, readonly FuzzFailure[]>;

function partsOf(kind: Part["kind"], files: number): Part[] {
  return Array.from({ length: Math.ceil(files / step) }, (_, i) => ({
    kind,
    from: i * step,
    to: Math.min(files, (i + 1) * step),
  }));
}
function nameOf({ kind, from, to }: Part): string {
  return `${kind} ${from}-${to}`;
}

const counts = { h5ad: count, zarr: Math.ceil(count / 4), tenx: Math.ceil(count / 10) };
const parts = (["h5ad", "zarr", "tenx"] as const).flatMap((kind) => partsOf(kind, counts[kind]));
const code = createHash("sha256");
const folders = ["dist/anndata", "dist/platform", "dist/hdf5/filters"].flatMap((name) =>
  readdirSync(join(root, name))
    .filter((file) => !/\.(map|d\.ts)$/.test(file))
    .sort()
    .map((file) => join(name, file)),
);
for (const path of [...folders, "test/fuzz-run.ts", "test/damage.ts", "test/fuzz-sources.ts"])
  code.update(readFileSync(join(root, path)));
const notes = join(root, `.cache/fuzz/${seed}-${code.digest("hex").slice(0, 16)}.json`);
const done: Done = existsSync(notes) ? (JSON.parse(readFileSync(notes, "utf8")) as Done) : {};
mkdirSync(join(root, ".cache/fuzz"), { recursive: true });

const folder = mkdtempSync(join(tmpdir(), "scpoli-fuzz-"));
try {
  const sources = await makeFuzzSources(folder);
  const left = parts.filter((part) => !(nameOf(part) in done));
  const work = async (): Promise<void> => {
    for (let part = left.shift(); part; part = left.shift()) {
      const failures = await fuzz(folder, sources[part.kind], seed, part.from, part.to);
      done[nameOf(part)] = failures;
      writeFileSync(notes, JSON.stringify(done));
      for (const { number, what } of failures) console.log(`${part.kind} ${number}: ${what}`);
      console.error(`${nameOf(part)}: ${failures.length} failures; ${left.length} parts left`);
    }
  };
  await Promise.all(Array.from({ length: processes }, work));
  const rows = (["h5ad", "zarr", "tenx"] as const).map((kind) => {
    const failures = parts
      .filter((part) => part.kind === kind)
      .reduce((sum, part) => sum + done[nameOf(part)]!.length, 0);
    return { kind, files: counts[kind], sources: sources[kind].length, failures };
  });
  writeFileSync(
    join(root, "bench/results/fuzz.csv"),
    [
      "what,damaged,from,seed,failures",
      ...rows.map((row) => [row.kind, row.files, row.sources, seed, row.failures].join(",")),
    ].join("\n") + "\n",
  );
  for (const row of rows)
    console.log(
      `${row.files} damaged copies of ${row.sources} sources (${row.kind}), seed ${seed}: ${row.failures} ` +
        "failures.",
    );
  process.exitCode = rows.some((row) => row.failures > 0) ? 1 : 0;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
