// Bundles the script and the style of reports as strings of a module.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { buildSync, transformSync } from "esbuild";
import { stamp } from "./generated.mjs";

const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const { outputFiles } = buildSync({
  entryPoints: [path("src/report/viewer/viewer.ts")],
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  charset: "ascii",
  write: false,
});
const script = outputFiles[0].text.trim().replaceAll("</", "<\\/");
const style = transformSync(readFileSync(path("src/report/viewer/report.css"), "utf8"), {
  loader: "css",
  minify: true,
  charset: "ascii",
}).code.trim();
const constants = { viewerScript: script, reportStyle: style };
const lines = Object.entries(constants).map(
  ([name, text]) => `export const ${name}: string = ${JSON.stringify(text)};`,
);
writeFileSync(path("src/report/viewer.generated.ts"), `${stamp("build_viewer.mjs")}\n${lines.join("\n")}\n`);
