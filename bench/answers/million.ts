// Memory and time of `scpoli markers` on a million simulated cells, beside a tenth of them. The files are
// deleted afterwards.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { join } from "node:path";
import { simulate } from "../simulate.ts";
import { markdownTable, percent, root, type Section } from "./section.ts";

const sizes = (process.env["SIZES"] ?? "100000,1000000").split(",").map(Number);
const [genes, groups, density] = [2_000, 20, 0.08];

interface Row {
  readonly cells: number;
  readonly gigabytes: number;
  readonly seconds: number;
  readonly megabytes: number;
  /** processes that wanted a processor, in the mean of the last minute at the start and at the end */
  readonly load: readonly [number, number];
}

async function measure(cells: number): Promise<Row> {
  const folder = join(root, ".cache/answers/million");
  mkdirSync(folder, { recursive: true });
  try {
    const path = join(folder, `${cells}.h5ad`);
    await simulate(path, { cells, genes, cellTypes: groups, density });
    const measured = join(folder, "measured.json");
    const before = loadavg()[0]!;
    execFileSync(
      process.execPath,
      [
        join(root, "bench/answers/command-run.mjs"),
        measured,
        ...["markers", path, "--groups", "cell_type", "--csv", join(folder, "markers.csv")],
      ],
      { stdio: ["ignore", "ignore", "inherit"] },
    );
    const { seconds, megabytes, code } = JSON.parse(readFileSync(measured, "utf8")) as Row & {
      readonly code: number;
    };
    if (code !== 0) throw new Error(`scpoli markers ended with ${code}`);
    return {
      cells,
      gigabytes: statSync(path).size / 1e9,
      seconds,
      megabytes,
      load: [before, loadavg()[0]!],
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export async function markersOfAMillion(): Promise<Section> {
  const rows: Row[] = [];
  for (const cells of sizes) {
    rows.push(await measure(cells));
    console.log(rows.at(-1));
  }
  const processors = availableParallelism();
  const isBusy = rows.some(({ load }) => Math.max(...load) > processors);
  return {
    paragraphs: [
      "## Markers of a million cells",
      `\`scpoli markers FILE --groups cell_type --csv FILE\` with its defaults: simulated cells, ` +
        `${genes.toLocaleString("en-US")} genes, ${percent(density)} non-zeros, ${groups} groups, ` +
        `${processors} processors. Reading and writing are included. ` +
        "Values take 1 GiB at most (`--memory`)." +
        (isBusy
          ? " Other programs ran at the same time (the column *load*: processes that wanted a processor, " +
            "before and after), so a quiet machine is faster."
          : ""),
      markdownTable(
        ["cells", "file, GB", "seconds", "cells per second", "peak memory, MB", "load"],
        rows.map(({ cells, gigabytes, seconds, megabytes, load }) => [
          cells.toLocaleString("en-US"),
          gigabytes.toFixed(1),
          seconds.toFixed(0),
          Math.round(cells / seconds).toLocaleString("en-US"),
          Math.round(megabytes).toLocaleString("en-US"),
          load.map((one) => one.toFixed(1)).join(", "),
        ]),
      ),
    ],
    numbers: { genes, groups, density, processors, rows },
  };
}
