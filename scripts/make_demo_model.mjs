// node scripts/make_demo_model.mjs: data/models, the index that comes with the package, with a model of the demo's
// reference cells. The same program makes the same bytes.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "scpoli-demo-model-"));
const scpoli = (...args) =>
  execFileSync(process.execPath, [join(root, "dist/cli.js"), ...args], { cwd: root, stdio: "inherit" });
try {
  const keys = ["--condition-key", "well", "--cell-type-key", "cell_type"];
  scpoli("train", "data/demo_reference.h5ad", "-o", join(folder, "model"), ...keys);
  const about = [
    ...["--organism", "Homo sapiens", "--tissue", "blood", "--licence", "CC-BY-4.0"],
    ...[
      "--description",
      "519 of the fresh 68k PBMCs (donor A) of 10x Genomics, six wells, to try things out",
    ],
  ];
  const place = ["-o", "data/models/demo-blood-1.zip", "--index", "data/models/index.json"];
  scpoli(
    "models",
    "pack",
    join(folder, "model"),
    ...place,
    "--name",
    "demo-blood",
    "--release",
    "1",
    ...about,
    "--force",
  );
} finally {
  rmSync(folder, { recursive: true });
}
