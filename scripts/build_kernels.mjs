// Compiles the engine's kernels twice, without and with relaxed SIMD, and the kernel of all pairs of points, and writes them as TypeScript modules: Node, pages, workers and bundlers load
// them alike.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const asc = join(dirname(createRequire(import.meta.url).resolve("assemblyscript/package.json")), "bin", "asc.js");
const folder = mkdtempSync(join(tmpdir(), "kernels-"));

function compile(name, entry, options = []) {
  const output = join(folder, `${name}.wasm`);
  execFileSync(process.execPath, [asc, entry, "--config", "kernels/asconfig.json", "--outFile", output, ...options], { cwd: root, stdio: "inherit" });
  return readFileSync(output).toString("base64");
}

try {
  const plain = compile("plain", "kernels/index.ts");
  const relaxed = compile("relaxed", "kernels/index.ts", ["--enable", "relaxed-simd"]);
  const pairs = compile("pairs", "kernels/pairs.ts");
  const module = `// Made by scripts/build_kernels.mjs from kernels/.

/** SIMD128 and threads. */
export const plain =
  "${plain}";
/** Also relaxed SIMD: fused multiply-add. */
export const relaxed =
  "${relaxed}";
`;
  writeFileSync(join(root, "src/engine/kernels.generated.ts"), module);
  writeFileSync(join(root, "src/engine/pairs.generated.ts"), `// Made by scripts/build_kernels.mjs from kernels/pairs.ts.\nexport const pairs =\n  "${pairs}";\n`);
} finally {
  rmSync(folder, { recursive: true });
}
