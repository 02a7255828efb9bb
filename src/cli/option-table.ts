// Every verb with its arguments and options as data (`scpoli help --json`): what wrappers in other languages
// and workflow engines are made from, so that they cannot drift from the command line.
import type { Command, Option } from "commander";
import { amountOfMemory, names, oneName, renamedKeys, valuesByKey } from "./arguments.js";
import { twoGroups } from "./compare.js";
import { conditionByKey } from "./expression.js";
import { otherNames } from "./failure.js";

/**
 * How the value of an option is written:
 * - `flag`: no value; `choice`: one of `choices`; `text`; `path`: of a file or folder; `int`, `float`; `ints`:
 *   whole numbers separated by commas; `memory`: `500M`, `4G`; `value`: a number or a word
 * - `names`: names separated by commas, a comma in one written `\,`; `repeated`: one name, the option is
 *   repeated; `values-by-key`: `KEY=VALUE,VALUE`, repeated; `columns-by-key`: `COLUMN` or `KEY=COLUMN`, separated
 *   by commas
 */
export type ValueKind =
  | "flag"
  | "choice"
  | "text"
  | "path"
  | "int"
  | "float"
  | "ints"
  | "memory"
  | "value"
  | "names"
  | "repeated"
  | "values-by-key"
  | "columns-by-key";

export interface OptionEntry {
  /** `--condition-key` */
  readonly flag: string;
  /** `condition_key`; of `--no-landmarks` `landmarks` */
  readonly name: string;
  readonly kind: ValueKind;
  readonly required: boolean;
  /** the flag turns something off that is on without it */
  readonly turns_off: boolean;
  readonly choices: readonly string[];
  readonly group: string;
  readonly description: string;
}

export interface VerbEntry {
  readonly name: string;
  readonly summary: string;
  readonly description: string;
  readonly arguments: readonly {
    readonly name: string;
    readonly required: boolean;
    readonly description: string;
  }[];
  readonly options: readonly OptionEntry[];
}

export interface OptionTable {
  readonly verbs: readonly VerbEntry[];
  /** names of options in scArches and scvi-tools, and those that they have here */
  readonly aliases: Readonly<Record<string, string>>;
}

/** What can be asked of a program of commander. */
export function optionTable(program: Command): OptionTable {
  return {
    verbs: verbsOf(program, "").map(({ name, command }) => ({
      name,
      summary: command.summary(),
      description: command.description(),
      arguments: command.registeredArguments.map((argument) => ({
        name: argument.name(),
        required: argument.required,
        description: argument.description,
      })),
      options: command.options.filter(({ long }) => long !== undefined && long !== "--help").map(entryOf),
    })),
    aliases: Object.fromEntries(
      Object.entries(otherNames).map(([other, own]) => [snakeCase(other), snakeCase(own)]),
    ),
  };
}

/** Verbs that have others below them ("models list") are named by these. */
function verbsOf(
  { commands }: Command,
  above: string,
): readonly { readonly name: string; readonly command: Command }[] {
  return commands.flatMap((command) => {
    const name = `${above}${command.name()}`;
    return command.commands.length > 0 ? verbsOf(command, `${name} `) : [{ name, command }];
  });
}

function snakeCase(flag: string): string {
  return flag.replace(/^--(no-)?/, "").replaceAll("-", "_");
}

function entryOf(option: Option): OptionEntry {
  return {
    flag: option.long!,
    name: snakeCase(option.long!),
    kind: kindOf(option),
    required: option.mandatory,
    turns_off: option.negate,
    choices: option.argChoices ?? [],
    group: (option.helpGroupHeading ?? "").replace(/:$/, ""),
    description: option.description,
  };
}

const readers = new Map<unknown, ValueKind>([
  [names, "names"],
  [oneName, "repeated"],
  [valuesByKey, "values-by-key"],
  [twoGroups, "values-by-key"],
  [conditionByKey, "values-by-key"],
  [renamedKeys, "columns-by-key"],
  [amountOfMemory, "memory"],
]);

function kindOf({ flags, argChoices, parseArg, required, optional }: Option): ValueKind {
  if (!required && !optional) return "flag";
  if (argChoices) return "choice";
  if (!parseArg) return /<(file|folder|model|table|path)/.test(flags) ? "path" : "text";
  const known = readers.get(parseArg);
  if (known) return known;
  // readers of numbers are made for each option: what they take tells which they are
  const reads = (text: string): unknown => {
    try {
      return parseArg(text, undefined);
    } catch {
      return undefined;
    }
  };
  if (Array.isArray(reads("3,4"))) return "ints";
  const takesWords = ["auto", "on", "off", "none", "leiden", "both"].some(
    (word) => reads(word) !== undefined,
  );
  if (takesWords || ["1", "2", "100"].every((text) => typeof reads(text) !== "number" && reads("0") !== 0))
    return "value";
  return reads("0.5") === undefined && reads("1.5") === undefined ? "int" : "float";
}
