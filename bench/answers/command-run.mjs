// Runs the command line in this process and writes its seconds and peak memory:
// node bench/answers/command-run.mjs MEASURED.json VERB ...
import { writeFileSync } from "node:fs";

const [measured, ...args] = process.argv.slice(2);
process.argv.splice(2, Infinity, ...args);
process.on("exit", () =>
  writeFileSync(
    measured,
    JSON.stringify({
      seconds: performance.now() / 1000,
      megabytes: process.resourceUsage().maxRSS / 1024,
      code: process.exitCode,
    }),
  ),
);
await import("../../dist/cli.js");
