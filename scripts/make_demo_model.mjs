// node scripts/make_demo_model.mjs: writes data/models, the index in the package, with a model of the
// demo's reference cells. The same version writes the same bytes.
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
  const keys = ["--condition-key", "sample", "--cell-type-key", "cell_type"];
  scpoli("train", "data/kang_reference.h5ad", "-o", join(folder, "model"), ...keys);
  const about = [
    ...["--organism", "Homo sapiens", "--tissue", "blood", "--licence", "MIT"],
    ...[
      "--description",
      "Blood cells of five lupus patients (Kang et al. 2018), without B cells, to try things out",
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
