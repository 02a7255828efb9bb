// npm run fuzz:models [COUNT] [SEED]: damaged folders of scArches. Each must end in a named error or a whole
// model; the first that does not is shown.
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fuzzModels } from "../test/fuzz-models.js";

const [count = 1000, seed = 1] = process.argv.slice(2).map(Number);
const models = fileURLToPath(new URL("../test/fixtures/scarches", import.meta.url));
const place = mkdtempSync(join(tmpdir(), "scpoli-fuzz-"));
try {
  const names = readdirSync(models, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
  const { imported, refused, seconds } = await fuzzModels({
    models,
    names,
    count,
    seed,
    folder: join(place, "model"),
  });
  const peak = Math.round(process.resourceUsage().maxRSS / 1024);
  console.log(
    `${count} damaged models (${names.join(", ")}; seed ${seed}): ${refused} named errors, ${imported} whole models; the longest took ${seconds.toFixed(2)} s; ${peak} MB of memory at most`,
  );
} finally {
  rmSync(place, { recursive: true });
}
