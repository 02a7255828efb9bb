// npm run fuzz:models [COUNT] [SEED]: damaged folders of scArches, then as many damaged models that are one
// file. Each must give a named error or a valid model; the first that does not is shown.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ScPoli } from "../dist/api/scpoli.js";
import { fuzzArchives, fuzzModels, type FuzzResult } from "../test/fuzz-models.js";

const [count = 1000, seed = 1] = process.argv.slice(2).map(Number);
const models = fileURLToPath(new URL("../test/fixtures/scarches", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "scpoli-fuzz-"));
try {
  const names = readdirSync(models, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
  tell(names, await fuzzModels({ models, names, count, seed, folder: join(folder, "model") }));
  const single = fileURLToPath(new URL("../test/fixtures/model-pt", import.meta.url));
  await (await ScPoli.import(join(models, "reference"))).save(join(folder, "atlas.zip"));
  execFileSync("tar", ["-czf", join(folder, "scarches.tgz"), "-C", models, "reference"]);
  const paths = [
    ...["archmap.pt", "hub.pt", "legacy.pt"].map((name) => join(single, name)),
    ...["atlas.zip", "scarches.tgz"].map((name) => join(folder, name)),
  ];
  tell(
    paths.map((path) => basename(path)),
    await fuzzArchives({ paths, count, seed, folder: join(folder, "model") }),
  );
} finally {
  rmSync(folder, { recursive: true });
}

function tell(names: readonly string[], { imported, refused, seconds }: FuzzResult): void {
  const peak = Math.round(process.resourceUsage().maxRSS / 1024);
  console.log(
    `${count} damaged models (${names.join(", ")}; seed ${seed}): ${refused} named errors, ${imported} ` +
      `whole models; the longest took ${seconds.toFixed(2)} s; ${peak} MB of memory at most`,
  );
}
