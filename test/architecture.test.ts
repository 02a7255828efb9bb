// Who may import whom, and the few rules of form that a machine can check. The only place where these rules
// are written as code.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { versionPlaces } from "../scripts/version_places.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const files = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts") && !/^report[\\/]viewer[\\/]/.test(path))
  .map((path) => path.slice(0, -3).replaceAll("\\", "/"))
  .sort();
const text = new Map(files.map((file) => [file, readFileSync(join(root, "src", `${file}.ts`), "utf8")]));

/** The imports of a file: own files by their path in src/, "#platform", packages by name. */
const imports = new Map(
  files.map((file) => [
    file,
    ts
      .preProcessFile(text.get(file)!)
      .importedFiles.map(({ fileName }) =>
        fileName.startsWith(".") ? join(dirname(file), fileName).replace(/\.js$/, "") : fileName,
      ),
  ]),
);

/** The table of layers in ARCHITECTURE.md, top to bottom: folders of src/ that stand in one row. */
const layers = [...readFileSync(join(root, "ARCHITECTURE.md"), "utf8").matchAll(/^\| (`.*`) +\|/gm)].map(
  ([, names]) => [...names!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!.replace(/\.ts$/, "")),
);
const rowOf = new Map(layers.flatMap((folders, row) => folders.map((folder) => [folder, row] as const)));
/** Files at the top of src/: the entry points. */
const entries = new Map([
  ["index", "index"],
  ["cli", "cli"],
]);
const folderOf = (file: string): string => entries.get(file) ?? dirname(file);

/** Packages and conditional imports of each folder. */
const packages: Readonly<Record<string, RegExp>> = {
  cli: /^(commander|#platform)$/,
  "cli/registry": /^#platform$/,
  api: /^#(platform|threads)$/,
  rounds: /^#platform$/,
  mapping: /^#platform$/,
  training: /^#platform$/,
  storage: /^#platform$/,
  samples: /^(#platform|ml-matrix)$/,
  markers: /^#platform$/,
  comparison: /^#platform$/,
  scarches: /^#platform$/,
  "scarches/python": /^fflate$/,
  numerics: /^ml-matrix$/,
  data: /^(#platform|papaparse)$/,
  plots: /^d3-scale$/,
  statistics: /^(cephes|ml-matrix)$/,
  anndata: /^(#platform|h5wasm|fflate|papaparse|zarrita|@bokuweb\/zstd-wasm|@zarrita\/storage\/zip)$/,
  archives: /^(#platform|fflate)$/,
  engine: /^#platform$/,
  "kernel-modules": /^#platform$/,
  platform: /^(node:.*|h5wasm(\/node)?|fflate|unzipit)$/,
};

/** Stricter bounds than the table: the only other files that a folder, or a file, may import. */
const bounds: readonly { readonly files: RegExp; readonly allowed: RegExp }[] = [
  { files: /^(anndata|platform|archives|scarches\/python|plots)\//, allowed: /^contract\// },
  { files: /^contract\//, allowed: /^$/ },
  { files: /^(engine|kernel-modules)\//, allowed: /^(contract|numerics|kernel-modules)\// },
  { files: /^numerics\//, allowed: /^(contract|kernel-modules)\/|^anndata\/matrix$/ },
  { files: /^model\/network$/, allowed: /^(contract|model)\/|^engine\/engine$/ },
  {
    files: /^(data|labels|novelty|prototypes|model|training)\//,
    allowed: /^(?!engine\/(?!(engine|create)$))/,
  },
];

test("every folder is in the table of ARCHITECTURE.md, and nothing else", () => {
  assert.deepEqual(
    [...new Set(files.map(folderOf))].sort(),
    [...rowOf.keys()].sort(),
    "name it there, at its layer",
  );
});

test("imports point downwards", () => {
  const wrong: string[] = [];
  for (const [file, imported] of imports) {
    const folder = folderOf(file);
    for (const target of imported) {
      if (!text.has(target)) {
        if (!packages[folder]?.test(target)) wrong.push(`${file} imports ${target}`);
        continue;
      }
      const below = folderOf(target);
      const isDownwards =
        below === folder || below.startsWith(`${folder}/`) || rowOf.get(below)! > rowOf.get(folder)!;
      const isWithinBounds =
        below === folder ||
        bounds.every(({ files: bound, allowed }) => !bound.test(file) || allowed.test(target));
      if (!isDownwards || !isWithinBounds) wrong.push(`${file} imports ${target}`);
      if (target.startsWith("platform/") && folder !== "platform")
        wrong.push(`${file} imports ${target}: write "#platform"`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("the browser has all platform functions that the library uses", async () => {
  const platforms = await Promise.all([
    import("../dist/platform/node.js"),
    import("../dist/platform/browser.js"),
  ]);
  const [node, browser] = platforms.map((platform) => new Map(Object.entries(platform)));
  const wanted = new Set<string>();
  for (const [file, source] of text)
    if (!/^cli(\/|$)/.test(file))
      for (const [, list] of source.matchAll(/import \{([^}]*)\} from "#platform"/g))
        for (const name of list!.split(",").map((entry) => entry.trim()))
          if (name && !name.startsWith("type ")) wanted.add(name);
  assert.ok(wanted.size > 20);
  for (const name of wanted) {
    assert.ok(browser!.has(name), `platform/browser.ts has no ${name}`);
    assert.equal(typeof browser!.get(name), typeof node!.get(name), name);
  }
});

test("no cycles", () => {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    assert.ok(!path.includes(file), `a cycle: ${[...path.slice(path.indexOf(file)), file].join(" -> ")}`);
    if (done.has(file)) return;
    for (const target of imports.get(file)!) if (text.has(target)) visit(target, [...path, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
});

/** Globals of Node and of the browser. */
const surroundings = new Set([
  "process",
  "Buffer",
  "global",
  "__dirname",
  "require",
  "console",
  "window",
  "self",
  "document",
  "navigator",
  "fetch",
  "File",
  "Worker",
  "localStorage",
  "setImmediate",
]);

test("Node and the browser are touched in platform/ only, the terminal in cli only; no any", () => {
  const wrong: string[] = [];
  for (const [file, source] of text) {
    const isAllowed = (name: string): boolean =>
      file.startsWith("platform/") || (/^cli(\/|$)/.test(file) && name === "process");
    const tree = ts.createSourceFile(file, source, ts.ScriptTarget.ES2022, true);
    const visit = (node: ts.Node): void => {
      const place = (): string => `${file}:${tree.getLineAndCharacterOfPosition(node.getStart()).line + 1}`;
      if (node.kind === ts.SyntaxKind.AnyKeyword) wrong.push(`${place()} says any`);
      if (
        ts.isIdentifier(node) &&
        surroundings.has(node.text) &&
        !namesSomething(node) &&
        !isAllowed(node.text)
      )
        wrong.push(`${place()} uses ${node.text}`);
      ts.forEachChild(node, visit);
    };
    visit(tree);
  }
  assert.deepEqual(wrong, []);
});

test("form: no file over 600 lines, a header on each, nothing left for later", () => {
  const wrong: string[] = [];
  const generated = /\.generated$/;
  for (const [file, source] of text) {
    const lines = source.split("\n");
    if (lines.length > 601 && !generated.test(file)) wrong.push(`${file} has ${lines.length} lines`);
    if (!/^(#!.*\n)?\/[/*]/.test(source)) wrong.push(`${file} does not say at its head what it does`);
    lines.forEach((line, row) => {
      if (/\b(TODO|FIXME|XXX)\b/.test(line)) wrong.push(`${file}:${row + 1}: ${line.trim()}`);
    });
  }
  assert.deepEqual(wrong, []);
});

/** Folders of other people's code and of outputs; not part of the source. */
const notSource = /^(node_modules|dist(-\w+)?|build|_node|\.\w.*|results|golden)$/;

function sourceFiles(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return notSource.test(entry.name) ? [] : sourceFiles(path);
    return /\.(ts|tsx|mjs|py|css)$/.test(path) && !/(\.generated\.ts|_signatures\.py)$/.test(path)
      ? [path]
      : [];
  });
}

test("form: no line over 110 characters, but for regular expressions, which cannot be broken", () => {
  const isRegularExpression = (line: string): boolean =>
    /^\s*\/(?![/*]).+\/\w*(\.exec\()?[,;)\]]*$/.test(line);
  const wrong = sourceFiles("").flatMap((file) =>
    readFileSync(join(root, file), "utf8")
      .split(/\r?\n/)
      .flatMap((line, row) =>
        line.length > 110 && !isRegularExpression(line) ? [`${file}:${row + 1} has ${line.length}`] : [],
      ),
  );
  assert.deepEqual(wrong, []);
});

test("every place that names the version names the same", () => {
  const read = (path: string): string => readFileSync(join(root, path), "utf8");
  const { version } = JSON.parse(read("package.json")) as { version: string };
  const lock = JSON.parse(read("package-lock.json")) as {
    version: string;
    packages: Readonly<Record<string, { version: string }>>;
  };
  assert.deepEqual(
    {
      "package-lock.json": lock.version,
      "package-lock.json, the package": lock.packages[""]!.version,
      ...Object.fromEntries(versionPlaces.map(({ path, pattern }) => [path, pattern.exec(read(path))?.[1]])),
    },
    {
      "package-lock.json": version,
      "package-lock.json, the package": version,
      ...Object.fromEntries(versionPlaces.map(({ path }) => [path, version])),
    },
  );
});

/**
 * Whether an identifier is the name of a property, a parameter or the like, and not a variable that is read.
 */
function namesSomething(node: ts.Identifier): boolean {
  return "name" in node.parent && node.parent.name === node;
}
