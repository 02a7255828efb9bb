// Overhead of the Python package: `model.map(adata)` of 50,000 cells x 4,000 genes in memory and `scpoli map`
// of the same cells in a file, alternating in one run; and the sizes of the packages. Processor time is
// compared too, which other programs of the machine hardly change. Writes bench/results/python.csv and a
// section of docs/reference/python.md.
//   npm run bench:python [-- CELLS GENES ROUNDS]
//   tsx bench/python.ts --document: only writes the section, from the last results and the packages built
//   here
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import {
  builtWheel,
  buildWheel,
  environment,
  install,
  interpreter,
  root,
  variables,
} from "../scripts/python_environments.ts";
import { median } from "../dist/numerics/descriptive.js";
import { writeSection } from "./sections.ts";

interface Times {
  readonly command_line: readonly number[];
  readonly command_line_processor: readonly number[];
  readonly python: readonly number[];
  readonly python_processor: readonly number[];
  /** seconds of `python` before and after the command's own */
  readonly outside: readonly number[];
  readonly cells: readonly number[];
  readonly genes: readonly number[];
  readonly nonzeros: readonly number[];
}

const results = join(root, "bench/results/python.csv");
const isMeasured = !process.argv.includes("--document");
const times = isMeasured ? measure() : readTimes();
if (isMeasured)
  writeFileSync(
    results,
    [
      "what,round,value",
      ...Object.entries(times).flatMap(([what, runs]: [string, readonly number[]]) =>
        runs.map((value, at) => `${what},${at + 1},${Number(value.toFixed(2))}`),
      ),
      "",
    ].join("\n"),
  );

function measure(): Times {
  const [cells = 50_000, genes = 4000, rounds = 3] = process.argv.slice(2).map(Number);
  const base = interpreter("3.11") ?? "python3";
  const wheel = buildWheel(base);
  const program = environment("bench", base, [wheel]);
  install(program, wheel);
  const folder = mkdtempSync(join(tmpdir(), "scpoli-bench-python-"));
  try {
    const text = execFileSync(
      program,
      [join(root, "bench/python_overhead.py"), folder, String(cells), String(genes), String(rounds)],
      { encoding: "utf8", env: variables("bench"), stdio: ["ignore", "pipe", "inherit"] },
    );
    const { nonzeros, ...seconds } = JSON.parse(text) as Omit<Times, "cells" | "genes" | "nonzeros"> & {
      readonly nonzeros: number;
    };
    return { ...seconds, cells: [cells], genes: [genes], nonzeros: [nonzeros] };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The results of the last run. */
function readTimes(): Times {
  const read: Record<string, number[]> = {};
  for (const line of readFileSync(results, "utf8").trim().split("\n").slice(1)) {
    const [what = "", , value] = line.split(",");
    (read[what] ??= []).push(Number(value));
  }
  return read as unknown as Times;
}

const [direct, throughPython] = [median(times.command_line), median(times.python)];
const processor = [median(times.command_line_processor), median(times.python_processor)] as const;
/** What `model.map` takes more, relative to the command line, in each round. */
const differences = times.python_processor.map((seconds, round) => {
  const commandLine = times.command_line_processor[round]!;
  return (seconds - commandLine) / commandLine;
});

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
const unpacked = execFileSync("du", ["-sk", join(root, "python/src/scpoli/_node")], { encoding: "utf8" });
const image = join(root, "dist-image/size.json");
const sizes: (readonly [string, string])[] = [
  ["Python wheel", megabytes(statSync(builtWheel()).size)],
  ["its JavaScript, unpacked", megabytes(1024 * Number(/^\d+/.exec(unpacked)![0]))],
  [
    "a model as one file (data/models/demo-blood-1.zip)",
    megabytes(statSync(join(root, "data/models/demo-blood-1.zip")).size),
  ],
  [
    "container image, unpacked (`npm run check:image`)",
    existsSync(image)
      ? megabytes((JSON.parse(readFileSync(image, "utf8")) as { bytes: number }).bytes)
      : "not built here",
  ],
];

const [cells, genes, nonzeros] = [times.cells[0]!, times.genes[0]!, times.nonzeros[0]!];
const runs = times.python.length;
const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
const difference =
  runs < 3
    ? "So few runs cannot tell a small difference."
    : `The processor time of \`model.map\` differs by ${percent(median(differences))} (single rounds: ` +
      `${percent(Math.min(...differences))} to ${percent(Math.max(...differences))}).`;
writeSection(join(root, "docs/reference/python.md"), "Sizes and time", [
  `Made by \`npm run bench:python\` (single runs: \`bench/results/python.csv\`; ${cpus().length} cores).`,
  "",
  "| what | MB |",
  "| --- | --- |",
  ...sizes.map(([what, megabytes]) => `| ${what} | ${megabytes} |`),
  "",
  `Mapping ${cells.toLocaleString("en")} cells x ${genes.toLocaleString("en")} genes with ` +
    `${(nonzeros / 1e6).toFixed(0)} million counts other than 0 ` +
    `(${runs === 1 ? "one run" : `medians of ${runs} runs`}):`,
  "",
  "| what | processor time, s | time, s |",
  "| --- | --- | --- |",
  `| \`model.map(adata)\`, cells in memory | ${processor[1].toFixed(1)} | ${throughPython.toFixed(1)} |`,
  `| \`scpoli map\`, an uncompressed file | ${processor[0].toFixed(1)} | ${direct.toFixed(1)} |`,
  "",
  `${difference} \`model.map\` spends ${median(times.outside).toFixed(1)} s outside of the command: it ` +
    "inspects the model, writes the cells, starts Node.js and reads the results." +
    (direct > processor[0]
      ? " The machine was busy: other programs lengthen the time, and vary the processor time less."
      : ""),
]);
console.log(difference);
if (median(differences) > Math.max(0.15, 2 / processor[0])) {
  console.error("That is more than 15 % and more than 2 s.");
  process.exit(1);
}
