// Makes the files that scripts generate for the sources (kernels as WebAssembly, the report's script, HDF5's
// filters), those that are missing or were made from other sources (generated.mjs).
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { generated, staleFiles } from "./generated.mjs";

for (const script of Object.keys(generated))
  if (staleFiles(script).length > 0)
    execFileSync(process.execPath, [fileURLToPath(new URL(script, import.meta.url))], { stdio: "inherit" });
