// Compiles the engine's kernels twice, without and with relaxed SIMD, and the kernels of all pairs of points,
// of nearest rows, of profiles and of stored rows, and writes them as TypeScript modules: Node, pages,
// workers and bundlers load them alike.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { stamp } from "./generated.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const asc = join(
  dirname(createRequire(import.meta.url).resolve("assemblyscript/package.json")),
  "bin",
  "asc.js",
);
const folder = mkdtempSync(join(tmpdir(), "kernels-"));
const firstLine = stamp("build_kernels.mjs");

/** For a module with a separate memory and a single thread. */
const alone = ["--runtime", "stub", "--optimizeLevel", "3", "--noAssert", "--enable", "simd"];

function compile(name, entry, options = [], config = ["--config", "kernels/asconfig.json"]) {
  const output = join(folder, `${name}.wasm`);
  execFileSync(process.execPath, [asc, entry, ...config, "--outFile", output, ...options], {
    cwd: root,
    stdio: "inherit",
  });
  return readFileSync(output).toString("base64");
}

try {
  const plain = compile("plain", "kernels/index.ts");
  const relaxed = compile("relaxed", "kernels/index.ts", ["--enable", "relaxed-simd"]);
  const module = `${firstLine}

/** SIMD128 and threads. */
export const plain: string =
  "${plain}";
/** Adds relaxed SIMD: fused multiply-add. */
export const relaxed: string =
  "${relaxed}";
`;
  writeFileSync(join(root, "src/engine/kernels.generated.ts"), module);
  const write = (name, bytes) =>
    writeFileSync(
      join(root, `src/kernel-modules/${name}.generated.ts`),
      `${firstLine}\nexport const ${name}: string =\n  "${bytes}";\n`,
    );
  write("pairs", compile("pairs", "kernels/pairs.ts"));
  for (const name of ["nearest", "profiles", "rows"])
    write(name, compile(name, `kernels/${name}.ts`, alone, []));
} finally {
  rmSync(folder, { recursive: true });
}
