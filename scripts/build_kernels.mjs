// Compiles kernels/ twice, without and with relaxed SIMD, and writes both as one TypeScript module: Node, pages, workers and bundlers load it alike.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const asc = join(dirname(createRequire(import.meta.url).resolve("assemblyscript/package.json")), "bin", "asc.js");
const folder = mkdtempSync(join(tmpdir(), "kernels-"));

function compile(name, options) {
  const output = join(folder, `${name}.wasm`);
  execFileSync(process.execPath, [asc, "--config", "kernels/asconfig.json", "--outFile", output, ...options], { cwd: root, stdio: "inherit" });
  return readFileSync(output).toString("base64");
}

try {
  const plain = compile("plain", []);
  const relaxed = compile("relaxed", ["--enable", "relaxed-simd"]);
  const module = `// Made by scripts/build_kernels.mjs from kernels/.

/** SIMD128 and threads. */
export const plain =
  "${plain}";
/** Also relaxed SIMD: fused multiply-add. */
export const relaxed =
  "${relaxed}";
`;
  writeFileSync(join(root, "src/engine/kernels.generated.ts"), module);
} finally {
  rmSync(folder, { recursive: true });
}
