// npm run build:wheel: the Python wheel, dist-python/scpoli-VERSION-py3-none-any.whl. The built JavaScript
// and its production dependencies are put into python/src/scpoli/_node, the options of the command line into
// _node/options.json and, as type hints, into _signatures.py; then hatchling packs.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { signatures } from "./python_signatures.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const python = join(root, "python");
const target = join(python, "src/scpoli/_node");
const { version, dependencies, ...manifest } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });

/** Not needed at run time: types, source maps, documentation, other builds. */
const isLeftOut = (path) =>
  /\.(d\.ts|d\.mts|d\.cts|map|md|markdown|flow|ts|tsbuildinfo)$/.test(path) ||
  /\/(test|tests|docs|example|examples|demo|\.github)$/.test(path.replaceAll("\\", "/"));
const copy = (from, to) =>
  cpSync(from, to, { recursive: true, dereference: true, filter: (path) => !isLeftOut(path) });

copy(join(root, "dist"), join(target, "dist"));
for (const path of execFileSync("npm", ["ls", "--omit=dev", "--all", "--parseable"], {
  cwd: root,
  encoding: "utf8",
})
  .split("\n")
  .slice(1)) {
  const at = path.lastIndexOf("node_modules");
  if (at >= 0 && existsSync(path)) copy(path, join(target, path.slice(path.indexOf("node_modules"))));
}
// builds of libraries that neither Node nor the page loads
const unused = ["h5wasm/dist/esm", "h5wasm/dist/iife", "fflate/umd", "ml-matrix/matrix.umd.js"];
const sources = ["ml-matrix/src", "zarrita/src"];
for (const path of [...unused, ...sources]) rmSync(join(target, "node_modules", path), { recursive: true });
rmSync(join(target, "dist/hdf5/h5wasm.js"));
const { name, license, imports, exports } = manifest;
const packageJson = { name, version, type: "module", license, imports, exports, dependencies };
writeFileSync(join(target, "package.json"), `${JSON.stringify(packageJson, null, 2)}\n`);
cpSync(join(root, "LICENSE"), join(python, "LICENSE"));

const options = execFileSync(process.execPath, [join(target, "dist/cli.js"), "help", "--json"], {
  encoding: "utf8",
});
writeFileSync(join(target, "options.json"), options);
writeFileSync(join(python, "src/scpoli/_signatures.py"), signatures(JSON.parse(options)));
writeFileSync(
  join(python, "src/scpoli/_version.py"),
  `"""The version of the package: that of the JavaScript that it carries."""\n\n__version__ = "${version}"\n`,
);

if (!process.argv.includes("--no-wheel")) {
  const interpreter = process.env.PYTHON ?? "python3";
  const out = join(root, "dist-python");
  rmSync(out, { recursive: true, force: true });
  execFileSync(interpreter, ["-m", "hatchling", "build", "-t", "wheel", "-d", out], {
    cwd: python,
    stdio: ["ignore", "ignore", "inherit"],
  });
  rmSync(join(python, "LICENSE"));
  const wheel = join(out, `scpoli-${version}-py3-none-any.whl`);
  console.log(`${basename(wheel)}: ${(statSync(wheel).size / 1e6).toFixed(1)} MB`);
}
