// The documentation: the commands of the first tutorials print what is written there, and its links lead
// somewhere. `npm run docs:examples -- --check` runs all tutorials; `npm run docs` checks the built site.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
const run = promisify(execFile);

test("the commands of the first tutorials print what they show", async () => {
  const pages = ["map-patients", "unknown-cells", "samples"].map((name) => `tutorials/${name}`);
  await run("node", ["scripts/docs/run_examples.mjs", "--check", ...pages], { cwd: root }).catch(
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
].concat(
  readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md") && !/^(reference\/(api|command-line)|\.vitepress)/.test(name))
    .map((name) => `docs/${name}`),
);

describe("links to files of the repository", () => {
  for (const document of documents)
    test(document, () => {
      const text = readFileSync(join(root, document), "utf8").replace(/^```[^]*?^```/gm, "");
      const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!);
      const dead = targets.filter((target) => {
        if (/^([a-z]+:|#)/.test(target)) return false;
        const path = target.replace(/#.*/, "");
        if (/reference\/(api|command-line)/.test(path)) return false;
        return !existsSync(
          path.startsWith("/") ? join(root, "docs/public", path) : join(root, dirname(document), path),
        );
      });
      assert.deepEqual(dead, []);
    });
});
