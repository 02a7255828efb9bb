// Trains, maps and reports on the same cells with two built checkouts and compares every file that they
// write, byte by byte: for changes that must not change results.
//   node scripts/compare_checkouts.mjs BEFORE AFTER [FILE.h5ad CONDITION CELL_TYPE]...
// The cells of the demo are always compared; a FILE is mapped onto the reference that is trained on it.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const [before, after, ...more] = process.argv.slice(2);
if (!before || !after || more.length % 3 !== 0) {
  console.error("node scripts/compare_checkouts.mjs BEFORE AFTER [FILE.h5ad CONDITION CELL_TYPE]...");
  process.exit(2);
}
const demo = (name) => fileURLToPath(new URL(`../data/${name}`, import.meta.url));
const sets = [
  { reference: demo("kang_reference.h5ad"), query: demo("kang_query.h5ad"), keys: ["sample", "cell_type"] },
  ...Array.from({ length: more.length / 3 }, (_, set) => {
    const [file, ...keys] = more.slice(3 * set, 3 * set + 3);
    return { reference: resolve(file), query: resolve(file), keys };
  }),
];

/** Digest of each file that a checkout writes for a set, by its name. */
function digests(checkout, { reference, query, keys: [condition, cellType] }) {
  const folder = mkdtempSync(join(tmpdir(), "compare-"));
  const scpoli = (...flags) =>
    execFileSync(process.execPath, [join(resolve(checkout), "dist", "cli.js"), ...flags], {
      cwd: folder,
      stdio: "ignore",
    });
  try {
    const keys = ["--condition-key", condition, "--cell-type-key", cellType];
    scpoli("train", reference, "-o", "model", ...keys, "--epochs", "20");
    scpoli("map", query, "--reference", "model", "-o", "mapped.h5ad", "--save-model", "grown");
    scpoli("report", "mapped.h5ad", "-o", "report.html", "--model", "grown");
    scpoli("samples", "grown", "-o", "samples");
    return new Map(
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
        .map((path) => [
          path.slice(folder.length + 1),
          createHash("sha256").update(readFileSync(path)).digest("hex"),
        ]),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

let different = 0;
for (const set of sets) {
  const [old, now] = [digests(before, set), digests(after, set)];
  for (const name of [...new Set([...old.keys(), ...now.keys()])].sort()) {
    const isSame = old.get(name) === now.get(name);
    different += Number(!isSame);
    console.log(`${isSame ? "same     " : "DIFFERENT"} ${basename(set.reference)}: ${name}`);
  }
}
process.exit(different > 0 ? 1 : 0);
