// Generated source files, each with a stamp of its inputs that shows whether it is stale.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/**
 * Per script: the sources, whose text is stamped with the versions of `packages`, and the files made of them.
 */
export const generated = {
  "build_kernels.mjs": {
    from: ["kernels"],
    packages: ["assemblyscript", "binaryen"],
    to: [
      "src/engine/kernels.generated.ts",
      ...["nearest", "pairs", "profiles", "rows"].map((name) => `src/kernel-modules/${name}.generated.ts`),
    ],
  },
  "build_viewer.mjs": {
    from: ["src/report/viewer", "src/report/viewer-data.ts"],
    packages: ["esbuild"],
    to: ["src/report/viewer.generated.ts"],
  },
  "copy_hdf5.mjs": {
    from: ["scripts/hdf5_filters.mjs"],
    packages: ["h5wasm", "h5wasm-plugins"],
    to: ["dist/hdf5/h5wasm.js"],
  },
};

/** Paths of a file, or of all files of a folder, in order. */
function filesAt(path) {
  if (!statSync(join(root, path)).isDirectory()) return [path];
  return readdirSync(join(root, path))
    .sort()
    .flatMap((name) => filesAt(`${path}/${name}`));
}

/** Digest of a script's inputs: the sources, the script itself, the versions of packages. */
function sourcesOf(script) {
  const { from, packages } = generated[script];
  const digest = createHash("sha256");
  for (const path of [`scripts/${script}`, ...from].flatMap(filesAt))
    digest.update(`${path}\n${readFileSync(join(root, path), "utf8").replaceAll("\r\n", "\n")}\n`);
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  for (const name of packages) digest.update(`${name} ${lock.packages[`node_modules/${name}`]?.version}\n`);
  return digest.digest("hex").slice(0, 16);
}

/** First line of a generated file; a comment in JavaScript and TypeScript. */
export function stamp(script) {
  return `// Made by scripts/${script}. Sources: ${sourcesOf(script)}`;
}

/** Files of a script that are missing or stale. */
export function staleFiles(script) {
  const line = stamp(script);
  return generated[script].to.filter(
    (path) =>
      !existsSync(join(root, path)) || readFileSync(join(root, path), "utf8").split("\n", 1)[0] !== line,
  );
}

/** @throws Error that names a generated file of the sources that is missing or stale */
export function checkGenerated() {
  for (const script of Object.keys(generated)) {
    const [path] = staleFiles(script);
    if (path !== undefined)
      throw new Error(
        `${path} is missing or was made from other sources than those in ` +
          `${generated[script].from.join(", ")}. Run "npm run build:generated".`,
      );
  }
}
