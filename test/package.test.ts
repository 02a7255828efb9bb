// The package as a new user gets it: packed, installed in an empty folder, its demo and the README's library
// example run there.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFileSync, existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { version } from "../dist/contract/version.js";
import { temporaryFolder } from "./command.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = temporaryFolder();
const run = promisify(execFile);
const installed = join(folder, "node_modules", "scpoli");

before(async () => {
  // the package is built already: `prepack` would do it again
  const { stdout } = await run(
    "npm",
    ["pack", "--ignore-scripts", "--silent", "--pack-destination", folder],
    { cwd: root },
  );
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ name: "newcomer", private: true, type: "module" }),
  );
  await run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", join(folder, stdout.trim())], {
    cwd: folder,
  });
});

test("the version is that of package.json", () => {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  assert.equal(version, manifest.version);
});

test("the package contains only the needed files", () => {
  assert.deepEqual(readdirSync(installed).sort(), [
    "CHANGELOG.md",
    "CITATION.cff",
    "LICENSE",
    "README.md",
    "data",
    "dist",
    "package.json",
    "workflows",
  ]);
});

test("the demo's cells and models are in the package once, for the page and the commands", async () => {
  const cells = readdirSync(join(root, "data")).filter((name) => name.endsWith(".h5ad"));
  const models = readdirSync(join(root, "data/models"));
  assert.deepEqual(readdirSync(join(installed, "data")), ["README.md"]);
  for (const name of [...cells, ...models.map((model) => `models/${model}`)])
    assert.ok(
      readFileSync(join(installed, "dist/app/data", name)).equals(readFileSync(join(root, "data", name))),
      name,
    );
  const env = { ...process.env, SCPOLI_MODELS: "", SCPOLI_CACHE: join(folder, "cache") };
  const pull = ["scpoli", "models", "pull", "demo-blood@1", "--json"];
  const { stdout } = await run("npx", pull, { cwd: folder, env });
  const { path } = JSON.parse(stdout) as { path: string };
  assert.ok(readFileSync(path).equals(readFileSync(join(root, "data/models/demo-blood-1.zip"))));
});

test("npx scpoli demo prints the output shown in the README", async () => {
  const { stdout } = await run("npx", ["scpoli", "demo", "--threads", "2", "--simd", "plain"], {
    cwd: folder,
  });
  const readme = join(root, "README.md");
  const text = readFileSync(readme, "utf8");
  const updated = text.replace(
    /(npm run demo\n\.\.\.\n)[^]*?```/,
    (_, command: string) => `${command}${stdout}\`\`\``,
  );
  if (process.env["UPDATE_README"]) writeFileSync(readme, updated);
  else
    assert.equal(
      text,
      updated,
      "README.md shows another printout; UPDATE_README=1 makes this test write the present one",
    );
  for (const written of ["scpoli-demo/model", "scpoli-demo/query.h5ad", "scpoli-demo/report.html"])
    assert.ok(existsSync(join(folder, written)), `${written} is there`);
});

test("the library example of the README", async () => {
  const example = /```js\n([^]*?)```/.exec(readFileSync(join(root, "README.md"), "utf8"))?.[1];
  assert.ok(example, "README.md has an example in JavaScript");
  for (const name of ["reference", "query"])
    copyFileSync(join(installed, "dist/app/data", `kang_${name}.h5ad`), join(folder, `${name}.h5ad`));
  writeFileSync(join(folder, "example.js"), example);
  const { stdout } = await run("node", ["example.js"], { cwd: folder });
  assert.notEqual(stdout, "");
  assert.ok(existsSync(join(folder, "query-mapped.h5ad")));
});

test("TypeScript finds the types", async () => {
  writeFileSync(
    join(folder, "typed.ts"),
    'import { AnnData, ScPoli, type TrainOptions } from "scpoli";\nexport const options: TrainOptions = { ' +
      'conditionKeys: ["donor"] };\nexport const train = async (path: string): Promise<ScPoli> => ' +
      "ScPoli.train(await AnnData.open(path), options);\n",
  );
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: { noEmit: true, strict: true, module: "nodenext", target: "es2022", types: [] },
      files: ["typed.ts"],
    }),
  );
  await run("node", [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", folder]).catch(
    (error: { stdout: string }) => assert.fail(error.stdout),
  );
});
