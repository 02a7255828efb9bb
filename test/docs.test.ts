// The documentation: the commands of the first tutorials print the documented output, and links are valid.
// `npm run docs:examples -- --check` runs all tutorials; `npm run docs` checks the built site.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { OptionTable } from "../dist/cli/option-table.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const run = promisify(execFile);

test("the commands of the first tutorials print what they show", async () => {
  const pages = ["map-patients", "unknown-cells", "samples"].map((name) => `tutorials/${name}`);
  await run("node", ["scripts/docs/run_examples.mjs", "--check", ...pages], { cwd: root }).catch(
    (error: { stderr: string }) => assert.fail(error.stderr),
  );
});

test("the model's page quotes bench/results/within-types.csv", () => {
  const rows = readFileSync(join(root, "bench/results/within-types.csv"), "utf8").trim().split("\n").slice(1);
  const page = readFileSync(join(root, "docs/explanation/model.md"), "utf8").replaceAll("\n", " ");
  /** Mean of a column over the seeds, as the page writes shares. */
  const share = (variant: string, column: number): string => {
    const values = rows
      .filter((row) => row.startsWith(`"${variant}`))
      .map((row) => Number(row.replace(/^"[^"]*"/, "").split(",")[column]));
    return `${((100 * values.reduce((sum, value) => sum + value, 0)) / values.length).toFixed(1)} %`;
  };
  const compared = ["default:", 'published preset"'];
  for (const [what, column, variants] of [
    ["its stimulation for", 3, compared],
    ["stay together:", 2, compared],
    ["the neighbours tell it for", 3, ["default, donors"]],
    ["With the cross-entropy alone", 3, ["cross-entropy 200 alone"]],
    ["finer types for", 2, ["cross-entropy 200 alone"]],
  ] as const) {
    const sentence = page.slice(page.indexOf(what)).slice(0, 120);
    for (const variant of variants)
      assert.ok(
        sentence.includes(share(variant, column)),
        `${variant} ${share(variant, column)}: ${sentence}`,
      );
  }
});

test("figures and summaries of the benchmarks are those of bench/results/", async () => {
  await run("node", ["scripts/docs/benchmark_figures.mjs", "--check"], { cwd: root }).catch(
    (error: { stderr: string }) => assert.fail(error.stderr),
  );
});

/** Markdown files that people read; the generated reference is checked with the built site. */
const documents = [
  "README.md",
  "CHANGELOG.md",
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "integrations/README.md",
  "python/README.md",
  "workflows/README.md",
].concat(
  readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md") && !/^(reference\/(api|command-line)|\.vitepress)/.test(name))
    .map((name) => `docs/${name}`),
);

test("no line of a formula begins like an item of a list", () => {
  for (const document of documents) {
    const text = readFileSync(join(root, document), "utf8").replace(/^ *```[^]*?^ *```/gm, "");
    assert.equal(/^\s*\+ .*/m.exec(text)?.[0] ?? null, null, document);
  }
});

describe("links to files of the repository", () => {
  for (const document of documents)
    test(document, () => {
      const text = readFileSync(join(root, document), "utf8").replace(/^```[^]*?^```/gm, "");
      const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!);
      const dead = targets.filter((target) => {
        if (/^([a-z]+:|#)/.test(target)) return false;
        const path = target.replace(/#.*/, "");
        const file = path.startsWith("/") ? join("docs/public", path) : join(dirname(document), path);
        return !/^docs.reference.(api|command-line)/.test(file) && !existsSync(join(root, file));
      });
      assert.deepEqual(dead, []);
    });
});

describe("what the documentation names is there", async () => {
  const { stdout } = await run("node", ["dist/cli.js", "help", "--json"], { cwd: root });
  const { verbs } = JSON.parse(stdout) as OptionTable;
  const flagsOf = new Map(verbs.map(({ name, options }) => [name, options.map(({ flag }) => flag)]));
  const common = ["--help", "--version"];
  const ofSnakemake = ["--dry-run", "--profile", "--unlock"];
  const flags = new Set([...flagsOf.values(), common, ofSnakemake].flat());
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  const flagsIn = (text: string): readonly string[] =>
    [...text.matchAll(/(?<![\w-])--[a-z][a-z-]+/g)].map(([flag]) => flag);

  for (const document of documents)
    test(document, () => {
      const text = readFileSync(join(root, document), "utf8").replaceAll("\\\n", " ");
      const missing = [...text.matchAll(/npm run ([\w:-]+)/g)]
        .filter(([, script]) => !scripts[script!])
        .map(([command]) => command);
      const path = /`((?:app|bench|data|integrations|kernels|python|scripts|src|test|workflows)\/[\w./-]+)`/g;
      for (const [, file] of text.matchAll(path))
        if (!/[A-Z]{4}/.test(file!) && !existsSync(join(root, file!))) missing.push(file!);
      const lines = text.split("\n").filter((line) => !/\b(snakemake|sbatch|npm|node|pip) /.test(line));
      missing.push(...flagsIn(lines.join("\n")).filter((flag) => !flags.has(flag)));
      for (const [, command] of text.matchAll(/\bscpoli ((?:(?:rounds|models) )?[a-z]+ [^\n`|;&>]*)/g)) {
        const verb = verbs.map(({ name }) => name).filter((name) => command!.startsWith(`${name} `))[0];
        const known = new Set([...(flagsOf.get(verb ?? "") ?? flags), ...common]);
        const unknown = flagsIn(command!).filter((flag) => !known.has(flag));
        missing.push(...unknown.map((flag) => `${verb} ${flag}`));
      }
      assert.deepEqual(missing, []);
    });
});

describe("the check of the built site", () => {
  const check = async (html: string): Promise<{ code: number; stdout: string; stderr: string }> => {
    const site = await mkdtemp(join(tmpdir(), "scpoli-site-"));
    try {
      await mkdir(join(site, "assets"));
      await writeFile(join(site, "index.html"), '<h2 id="start">Start</h2>');
      await writeFile(join(site, "page.html"), html);
      return await run("node", ["scripts/docs/check_site.mjs", site], { cwd: root })
        .then((result) => ({ code: 0, ...result }))
        .catch((error: { code: number; stdout: string; stderr: string }) => error);
    } finally {
      await rm(site, { recursive: true });
    }
  };

  test("accepts links to pages and headings", async () => {
    const { code, stdout } = await check(
      '<a href="/index.html#start">here</a> <a href="https://a.org">there</a>',
    );
    assert.deepEqual([code, stdout], [0, "2 pages, 1 links: 0 dead, 0 foreign requests.\n"]);
  });

  for (const [html, problem] of [
    ['<a href="/none.html">here</a>', "/none.html is not there"],
    ['<a href="./index.html#end">here</a>', "./index.html#end has no such heading"],
    ['<img src="https://a.org/b.png">', 'src="https://a.org/b.png"> is loaded from another site'],
  ] as const)
    test(`refuses ${html}`, async () => {
      const { code, stderr } = await check(html);
      assert.equal(code, 1);
      assert.ok(stderr.includes(problem), stderr);
    });
});

describe("the site", () => {
  const pages = documents.filter((name) => /^docs\/.+\//.test(name)).map((name) => name.slice(5, -3));

  test("has every page in its sidebar", () => {
    const config = readFileSync(join(root, "docs/.vitepress/config.mts"), "utf8");
    const listed = new Set([...config.matchAll(/"([\w-]+)"/g)].map(([, name]) => name!));
    assert.deepEqual(
      pages.filter((page) => !listed.has(page.split("/").at(-1)!)),
      [],
    );
  });

  test("shows a figure on every tutorial and benchmark", () => {
    const illustrated = pages.filter(
      (page) => /^(tutorials|benchmarks)\//.test(page) && page !== "benchmarks/data-sets",
    );
    assert.ok(illustrated.length > 20);
    assert.deepEqual(
      illustrated.filter(
        (page) => !/^!\[.+\]\(.+\.svg\)$/m.test(readFileSync(join(root, `docs/${page}.md`), "utf8")),
      ),
      [],
    );
  });
});

/** What keeps browsers from drawing a picture: an element that does not end, or an attribute given twice. */
function fault(svg: string): string | null {
  const open: string[] = [];
  for (const [tag, end, name, attributes, isEmpty] of svg.matchAll(
    /<(\/?)([\w-]+)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>/g,
  )) {
    if (end) {
      if (open.pop() !== name) return tag;
      continue;
    }
    const names = [...attributes!.matchAll(/([\w:-]+)="/g)].map(([, attribute]) => attribute);
    if (new Set(names).size < names.length) return tag;
    if (!isEmpty) open.push(name!);
  }
  return open.length > 0 ? open.join(" ") : null;
}

test("the pictures can be drawn", () => {
  const pictures = readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" }).filter(
    (name) => name.endsWith(".svg") && !name.startsWith(".vitepress"),
  );
  assert.ok(pictures.length > 20);
  for (const name of pictures)
    assert.equal(fault(readFileSync(join(root, "docs", name), "utf8")), null, name);
  assert.equal(fault('<svg width="1"><g width="1" width="2"></g></svg>'), '<g width="1" width="2">');
});
