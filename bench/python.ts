// Overhead of the Python package: `model.map(adata)` of 50,000 cells x 4,000 genes in memory and `scpoli map`
// of the same cells in a file, alternating in one run; and the sizes of the packages. Writes
// bench/results/python.csv and a section of docs/reference/python.md.
//   npm run bench:python [-- CELLS GENES]
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import {
  buildWheel,
  environment,
  install,
  interpreter,
  root,
  variables,
} from "../scripts/python_environments.ts";
import { writeSection } from "./sections.ts";

interface Times {
  readonly command_line: readonly number[];
  readonly python: readonly number[];
  readonly nonzeros: number;
}

const [cells, genes] = [Number(process.argv[2] ?? 50_000), Number(process.argv[3] ?? 4000)];
const wheel = buildWheel(interpreter("3.11") ?? "python3");
const program = environment("bench", interpreter("3.11") ?? "python3", [wheel]);
install(program, wheel);

const folder = mkdtempSync(join(tmpdir(), "scpoli-bench-python-"));
let times: Times;
try {
  const text = execFileSync(
    program,
    [join(root, "bench/python_overhead.py"), folder, String(cells), String(genes)],
    { encoding: "utf8", env: variables("bench"), stdio: ["ignore", "pipe", "inherit"] },
  );
  times = JSON.parse(text) as Times;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;
const [direct, throughPython] = [median(times.command_line), median(times.python)];
const overhead = throughPython - direct;

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
const unpacked = execFileSync("du", ["-sk", join(root, "python/src/scpoli/_node")], { encoding: "utf8" });
const image = join(root, "dist-image/size.json");
const sizes: (readonly [string, string])[] = [
  ["Python wheel", megabytes(statSync(wheel).size)],
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

writeFileSync(
  join(root, "bench/results/python.csv"),
  [
    "what,round,seconds",
    ...times.command_line.map((seconds, at) => `command line,${at + 1},${seconds.toFixed(2)}`),
    ...times.python.map((seconds, at) => `model.map,${at + 1},${seconds.toFixed(2)}`),
    "",
  ].join("\n"),
);
writeSection(join(root, "docs/reference/python.md"), "Sizes and time", [
  `Made by \`npm run bench:python\` (single runs: \`bench/results/python.csv\`; ${cpus().length} cores).`,
  "",
  "| what | MB |",
  "| --- | --- |",
  ...sizes.map(([what, size]) => `| ${what} | ${size} |`),
  "",
  `\`model.map(adata)\` of ${cells.toLocaleString("en")} cells x ${genes.toLocaleString("en")} genes in ` +
    `memory (${(times.nonzeros / 1e6).toFixed(0)} million counts other than 0) takes ` +
    `${throughPython.toFixed(1)} s, \`scpoli map\` of the same cells in an uncompressed file ` +
    `${direct.toFixed(1)} s: ${overhead.toFixed(1)} s or ${((100 * overhead) / direct).toFixed(0)} % ` +
    `more (medians of ${times.python.length} runs, in turns).`,
]);
console.log(
  `command line ${direct.toFixed(2)} s, model.map ${throughPython.toFixed(2)} s: ${overhead.toFixed(2)} s ` +
    "more",
);
if (overhead > Math.max(2, 0.15 * direct)) {
  console.error("That is more than 15 % and more than 2 s.");
  process.exit(1);
}
