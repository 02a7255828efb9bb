// Writes the reference of the command line, a page per verb, from the program's help.
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const program = join(
  root,
  JSON.parse(execFileSync("npm", ["pkg", "get", "bin.scpoli"], { cwd: root, encoding: "utf8" })),
);
const folder = join(root, "docs/reference/command-line");
const { verbs } = JSON.parse(execFileSync("node", [program, "help", "--json"], { encoding: "utf8" }));

/** `models list` has the page models-list. */
const pageOf = (verb) => verb.replaceAll(" ", "-");

/** Text of the program inside a table or a paragraph of Markdown. */
const escaped = (text) => text.replaceAll("|", "\\|").replaceAll("<", "&lt;").replaceAll("{{", "{ {");

rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });

for (const verb of verbs) {
  const usage = verb.arguments.map(({ name, required }) => (required ? `<${name}>` : `[${name}]`));
  const groups = Map.groupBy?.(verb.options, ({ group }) => group) ?? groupBy(verb.options);
  const lines = [
    `# scpoli ${verb.name}`,
    "",
    escaped(verb.description),
    "",
    "```sh",
    ["scpoli", verb.name, ...usage, "[options]"].join(" "),
    "```",
    "",
  ];
  if (verb.arguments.length > 0) {
    lines.push("| argument | |", "| --- | --- |");
    for (const { name, description } of verb.arguments)
      lines.push(`| \`${name}\` | ${escaped(description)} |`);
    lines.push("");
  }
  for (const [group, options] of groups) {
    lines.push(`## ${(group || "Options").replace(/:$/, "")}`, "", "| option | |", "| --- | --- |");
    for (const { flag, kind, choices, required, description } of options) {
      const value = kind === "flag" ? "" : kind === "choice" ? ` ${choices.join("\\|")}` : ` ${kind}`;
      lines.push(`| \`${flag}${value}\` | ${escaped(description)}${required ? " (required)" : ""} |`);
    }
    lines.push("");
  }
  writeFileSync(join(folder, `${pageOf(verb.name)}.md`), lines.join("\n"));
}

writeFileSync(
  join(folder, "index.md"),
  [
    "# Command line",
    "",
    "| verb | what it does |",
    "| --- | --- |",
    ...verbs.map(
      ({ name, summary }) => `| [\`scpoli ${name}\`](./${pageOf(name)}.md) | ${escaped(summary)} |`,
    ),
    "",
    "Progress and notes go to stderr. `--json` puts one JSON object on stdout.",
    "",
    "## Exit codes",
    "",
    "| code | meaning |",
    "| --- | --- |",
    "| 0 | done |",
    "| 1 | a bug in scpoli: please report it |",
    "| 2 | an unknown verb or flag, or a value out of range |",
    "| 3 | a file is missing, unreadable or not as expected, or an output cannot be written |",
    "| 4 | stopped by a check that `--force` passes |",
    "| 5 | out of memory |",
    "| 130 | interrupted; a checkpoint is left where there is one |",
    "",
  ].join("\n"),
);
console.log(`${verbs.length} verbs: docs/reference/command-line/`);

function groupBy(options) {
  const groups = new Map();
  for (const option of options) groups.set(option.group, [...(groups.get(option.group) ?? []), option]);
  return groups;
}
