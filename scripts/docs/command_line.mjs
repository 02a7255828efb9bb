// Writes the reference of the command line, a page per verb, from the program's help.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
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

/** How the help writes each option of a verb, by its long flag: `-o, --output <file>`. */
function termsOf(verb) {
  const help = execFileSync("node", [program, ...verb.split(" "), "--help"], { encoding: "utf8" });
  const terms = [...help.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)(?: [<[][^>\]]*[>\]])?/gm)];
  return new Map(terms.map(([term, flag]) => [flag, term.trim()]));
}

/** Files of a section of the documentation, the first tutorial first. */
function pagesOf(section) {
  const isFirst = (file) => file === "map-patients.md";
  return readdirSync(join(root, "docs", section))
    .filter((file) => file.endsWith(".md"))
    .sort((a, b) => isFirst(b) - isFirst(a) || (a < b ? -1 : 1));
}

/** Pages with an example of each verb, by its name: links from the reference to them. */
const examples = new Map(verbs.map(({ name }) => [name, []]));
for (const section of ["tutorials", "how-to"])
  for (const file of pagesOf(section)) {
    const text = readFileSync(join(root, "docs", section, file), "utf8");
    const [, title] = /^# (.*)$/m.exec(text);
    const code = [...text.matchAll(/^ *```sh.*\n([^]*?)^ *```/gm)].map(([, lines]) => lines).join("");
    for (const [name, links] of examples)
      if (new RegExp(`^ *scpoli ${name}\\b`, "m").test(code))
        links.push(`[${title}](../../${section}/${file})`);
  }

/** "train one round" -> "Train one round." */
const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;

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
    escaped(verb.description || sentence(verb.summary)),
    "",
    "```sh",
    ["scpoli", verb.name, ...usage, "[options]"].join(" "),
    "```",
    "",
  ];
  const links = examples.get(verb.name);
  if (links.length > 0) lines.push(`In use: ${links.slice(0, 4).join(", ")}.`, "");
  if (verb.arguments.length > 0) {
    lines.push("| argument | meaning |", "| --- | --- |");
    for (const { name, description } of verb.arguments)
      lines.push(`| \`${name.replaceAll("|", "\\|")}\` | ${escaped(description)} |`);
    lines.push("");
  }
  const terms = termsOf(verb.name);
  for (const [group, options] of groups) {
    lines.push(`## ${(group || "Options").replace(/:$/, "")}`, "", "| option | meaning |", "| --- | --- |");
    for (const { flag, choices, required, description } of options) {
      const term = terms.get(flag) ?? flag;
      const written = choices.length > 0 ? term.replace(/<[^>]*>/, choices.join("|")) : term;
      const meaning = escaped(`${description}${required ? " (required)" : ""}`);
      lines.push(`| \`${written.replaceAll("|", "\\|")}\` | ${meaning} |`);
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
    "All verbs and their options. `scpoli VERB --help` prints the same.",
    "",
    ...Object.entries(grouped()).flatMap(([group, members]) => [
      `## ${group}`,
      "",
      "| verb | what it does |",
      "| --- | --- |",
      ...members.map(
        ({ name, summary }) => `| [\`scpoli ${name}\`](./${pageOf(name)}.md) | ${escaped(summary)} |`,
      ),
      "",
    ]),
    "## Output",
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

/** Verbs by what they are for. */
function grouped() {
  const groups = [
    ["Build and map", /^(inspect|train|map|embed|label)$/],
    ["Ask questions", /^(samples|markers|compare|expression|evaluate|report)$/],
    ["Files and models", /^(convert|import|export|models .*)$/],
    ["Large atlases and many queries", /^(plan|collect|rounds .*)$/],
    ["Everything else", /./],
  ];
  const groupOf = ({ name }) => groups.find(([, names]) => names.test(name))[0];
  const members = groups.map(([group]) => [group, verbs.filter((verb) => groupOf(verb) === group)]);
  return Object.fromEntries(members);
}

function groupBy(options) {
  const groups = new Map();
  for (const option of options) groups.set(option.group, [...(groups.get(option.group) ?? []), option]);
  return groups;
}
