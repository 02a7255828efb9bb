// Makes the files that scripts generate for the sources (kernels as WebAssembly, the report's script, HDF5's
// filters), those that are missing or older than what they are made from.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const made = [
  {
    script: "build_kernels.mjs",
    from: ["kernels"],
    to: [
      "src/engine/kernels.generated.ts",
      ...["nearest", "pairs", "profiles", "rows"].map((name) => `src/kernel-modules/${name}.generated.ts`),
    ],
  },
  {
    script: "build_viewer.mjs",
    from: ["src/report/viewer", "src/report/viewer-data.ts"],
    to: ["src/report/viewer.generated.ts"],
  },
  {
    script: "copy_hdf5.mjs",
    from: ["package-lock.json", "scripts/hdf5_filters.mjs"],
    to: ["dist/hdf5/h5wasm.js"],
  },
];

/** When a file, or the newest of a folder, was written. */
function written(path) {
  const status = statSync(join(root, path));
  return status.isDirectory()
    ? Math.max(...readdirSync(join(root, path)).map((name) => written(join(path, name))))
    : status.mtimeMs;
}

for (const { script, from, to } of made) {
  const newest = Math.max(...[...from, `scripts/${script}`].map(written));
  if (to.every((path) => existsSync(join(root, path)) && written(path) >= newest)) continue;
  execFileSync(process.execPath, [join(root, "scripts", script)], { cwd: root, stdio: "inherit" });
}
