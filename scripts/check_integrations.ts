// npm run check:integrations: planemo lints the Galaxy tools and their tests are run (integrations/galaxy/
// run_tests.py), and Snakemake runs the wrappers. Installs planemo and Snakemake into .venv-python/.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { environment, environments, interpreter, root, run } from "./python_environments.ts";

const base = interpreter("3.11") ?? "python3";
const folder = mkdtempSync(join(tmpdir(), "scpoli-integrations-"));
const at = (...names: string[]): string => join(folder, ...names);
const scpoli = at("bin", "scpoli");
mkdirSync(at("bin"));
writeFileSync(scpoli, `#!/bin/sh\nexec '${process.execPath}' '${join(root, "dist/cli.js")}' "$@"\n`, {
  mode: 0o755,
});

try {
  const galaxy = environment("galaxy", base, ["planemo"]);
  const tools = ["train", "map", "report"].map((verb) =>
    join(root, `integrations/galaxy/scpoli_${verb}.xml`),
  );
  run(join(environments, "galaxy/bin/planemo"), ["lint", "--fail_level", "warn", ...tools]);
  mkdirSync(at("galaxy"));
  run(galaxy, [join(root, "integrations/galaxy/run_tests.py"), at("galaxy"), scpoli]);

  environment("snakemake", base, ["snakemake"]);
  for (const verb of ["train", "map"]) runWrapper(verb);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** The test of a Snakemake wrapper, on the demo's cells, with the wrapper of this tree. */
function runWrapper(verb: string): void {
  const wrapper = join(root, "integrations/snakemake", verb);
  const [work, target] = [at("snakemake"), verb === "train" ? "model.zip" : "mapped/query.h5ad"];
  mkdirSync(work, { recursive: true });
  for (const name of ["reference", "query"])
    cpSync(join(root, `data/kang_${name}.h5ad`), join(work, `${name}.h5ad`));
  const rules = readFileSync(join(wrapper, "test/Snakefile"), "utf8");
  writeFileSync(join(work, "Snakefile"), rules.replace(`master/bio/scpoli/${verb}`, `file:${wrapper}`));
  const path = [at("bin"), join(environments, "snakemake/bin"), process.env["PATH"]].join(delimiter);
  run(join(environments, "snakemake/bin/snakemake"), ["--cores", "1", "--quiet", "all", "--", target], {
    cwd: work,
    env: { ...process.env, PATH: path },
  });
  console.log(`snakemake/${verb}: ${target} was written`);
}
