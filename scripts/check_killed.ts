// npm run check:killed -- [SEED]: train (in memory and streamed), map and convert, each killed at ten random
// moments, must end with the bytes of an undisturbed run, leave nothing half-written under a final name, and
// never change an input. Exit code 0 only if all do.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { simulate } from "../bench/simulate.ts";
import { Random } from "../dist/numerics/random.js";
import { digest, endure, type Moment } from "../test/killed.ts";

const seed = Number(process.argv[2] ?? 1);
const moments = 10;
const folder = mkdtempSync(join(tmpdir(), "scpoli-killed-"));
const at = (name: string): string => join(folder, name);
const data = (name: string): string => fileURLToPath(new URL(`../data/${name}.h5ad`, import.meta.url));
const train =
  (stream: string) =>
  (output: string): string[] => [
    "train",
    data("kang_reference"),
    "--condition-key",
    "sample",
    "--cell-type-key",
    "cell_type",
    "--stream",
    stream,
    "--epochs",
    "400",
    "--early-stopping",
    "off",
    "--checkpoint-seconds",
    "0.3",
    "-o",
    output,
  ];
const trials = [
  {
    name: "train in memory",
    args: train("never"),
    more: ["--resume"],
    input: data("kang_reference"),
    ending: "",
  },
  {
    name: "train, streamed",
    args: train("always"),
    more: ["--resume"],
    input: data("kang_reference"),
    ending: "",
  },
  // 21 million counts: several blocks, buckets and shards
  {
    name: "convert",
    args: (output: string) => [
      "convert",
      at("many.h5ad"),
      `${output}.zarr`,
      "--shuffle",
      "--checkpoint-seconds",
      "0.2",
    ],
    more: ["--resume"],
    input: at("many.h5ad"),
    ending: ".zarr",
  },
  {
    name: "map",
    args: (output: string) => [
      "map",
      data("kang_query"),
      "--reference",
      at("0"),
      "--epochs",
      "1500",
      "-o",
      output,
    ],
    more: [],
    input: data("kang_query"),
    ending: "",
  },
];
await simulate(at("many.h5ad"), { cells: 80_000, genes: 2_000 });

const random = new Random(seed, "moments");
let failed = 0;
for (const [i, { name, args, more, input, ending }] of trials.entries()) {
  const straight = at(String(i));
  const run = (to: string, when: readonly Moment[]) =>
    endure({ args: args(to), again: [...args(to), ...more], inputs: [input], outputs: [to + ending] }, when);
  const started = Date.now();
  await run(straight, []);
  const whole = Date.now() - started;
  for (let killed = 0; killed < moments;) {
    const wait = Math.round(random.uniform() * whole);
    const output = at(`${i}-killed`);
    try {
      // it had already ended
      if ((await run(output, [({ milliseconds }) => milliseconds >= wait])) === 0) continue;
      killed++;
      const isSame = digest(output + ending) === digest(straight + ending);
      failed += isSame ? 0 : 1;
      console.log(
        `${isSame ? "ok  " : "FAIL"} ${name}: killed after ${wait} of about ${whole} ms, ` +
          (isSame ? "the same bytes" : "other bytes"),
      );
    } catch (error) {
      killed++;
      failed++;
      console.log(
        `FAIL ${name}: killed after ${wait} ms: ${error instanceof Error ? error.message : String(error)}`,
      );
    } finally {
      for (const left of [output, output + ending, `${output}${ending}.partial`])
        rmSync(left, { recursive: true, force: true });
    }
  }
}
rmSync(folder, { recursive: true, force: true });
process.exit(failed === 0 ? 0 : 1);
