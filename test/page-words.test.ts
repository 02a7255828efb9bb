// Messages on the page name its fields: no message of the library shows an option of the command line.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { modelOptions, trainingOptions } from "../app/training-options.ts";
import { pageWords } from "../app/words.ts";
import { defaults } from "../dist/contract/options.js";

const source = fileURLToPath(new URL("../src", import.meta.url));

/** Texts in the library's sources, outside of the command line, that name an option of it. */
function messages(): string[] {
  const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter(
    (name) => name.endsWith(".ts") && !/^(cli|report|plots)(\/|\.ts$)|generated/.test(name),
  );
  return files.flatMap((name) => {
    const text = readFileSync(join(source, name), "utf8").replace(/^\s*(\/\/|\*|\/\*\*).*$/gm, "");
    const literals = [...text.matchAll(/`((?:[^`\\]|\\.)*)`|"((?:[^"\\\n]|\\.)*)"/g)].map(
      ([, template, plain]) => template ?? plain!,
    );
    return literals
      .map((literal) => literal.replace(/\$\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}/g, "x"))
      .filter((literal) => /(^|[\s(])--[a-z]{3}/.test(literal) && /\s/.test(literal.trim()));
  });
}

test("messages keep their content without flags of the command line", () => {
  const all = messages();
  assert.ok(all.length > 25, `${all.length} messages`);
  for (const message of all) assert.doesNotMatch(pageWords(message), /--[a-z]/, message);
  assert.equal(
    pageWords("obs['a'] has 600 values; name another column; --force (force: true) goes on."),
    `obs['a'] has 600 values; name another column; "Ignore failed checks" goes on.`,
  );
  assert.equal(
    pageWords(
      "The file is read more than once: 5 of 9 genes fit. More memory (--memory) needs fewer passes.",
    ),
    "The file is read more than once: 5 of 9 genes fit. More memory needs fewer passes.",
  );
  assert.equal(pageWords("A sentence of 90 %; with 1.5 parts."), "A sentence of 90 %; with 1.5 parts.");
});

test("the fields of the page Train name the library's defaults", () => {
  const values: Readonly<Record<string, unknown>> = { ...defaults, seed: 0 };
  const numbers = [...modelOptions, ...trainingOptions].filter(({ standard }) => /^[\d.]+$/.test(standard));
  assert.ok(numbers.length > 8);
  for (const { name, standard } of numbers) assert.equal(Number(standard), values[name], name);
  assert.match(modelOptions.find(({ name }) => name === "hiddenLayerSizes")!.standard, /\b128$/);
  assert.equal(defaults.hiddenWidth, 128);
  assert.equal(
    trainingOptions.find(({ name }) => name === "pretrainingEpochs")!.standard,
    `${100 * defaults.pretrainingShare} % of the epochs`,
  );
});
