// One run of the command line for `bench/costs.ts`; its last line on stderr has processor seconds and peak
// memory. usage: costs-run.mjs VERB ARGUMENTS...
import { writeSync } from "node:fs";

process.on("exit", () => {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  const used = { seconds: (userCPUTime + systemCPUTime) / 1e6, memory_mb: maxRSS / 1e3 };
  writeSync(2, `\ncosts ${JSON.stringify(used)}\n`);
});
await import("../dist/cli.js");
