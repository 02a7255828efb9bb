// Every verb with its arguments and options as data (`scpoli help --json`). Wrappers in other languages and
// workflow engines are generated from it, so that they match the command line.
import type { Command, Option } from "commander";
import { amountOfMemory, names, oneName, renamedKeys, valuesByKey } from "./arguments.js";
import { usualLayers } from "../data/count-places.js";
import { twoGroups } from "./compare.js";
import { conditionByKey } from "./expression.js";
import { otherNames } from "./failure.js";

/**
 * Syntax of an option's value:
 * - `flag`: no value; `choice`: one of `choices`; `text`; `path`: a file or folder; `int`, `float`; `ints`:
 *   whole numbers separated by commas; `memory`: `500M`, `4G`; `value`: a number or a word
 * - `names`: names separated by commas (`\,` for a comma in a name); `repeated`: one name, may be repeated;
 *   `values-by-key`: `KEY=VALUE,VALUE`, may be repeated; `columns-by-key`: `COLUMN` or `KEY=COLUMN`,
 *   separated by commas
 */
type ValueKind =
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

interface OptionEntry {
  /** `--condition-key` */
  readonly flag: string;
  /** `condition_key`; for `--no-landmarks`: `landmarks` */
  readonly name: string;
  readonly kind: ValueKind;
  readonly required: boolean;
  /** whether the flag turns off something that is on by default */
  readonly turns_off: boolean;
  readonly choices: readonly string[];
  readonly group: string;
  readonly description: string;
}

interface VerbEntry {
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
  /** option names of scArches and scvi-tools, and the names here */
  readonly aliases: Readonly<Record<string, string>>;
  /** names of layers that may hold counts, in the order in which they are looked at */
  readonly count_layers: readonly string[];
}

/** Lists the verbs and options of a commander program. */
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
      Object.entries(otherNames).map(([other, name]) => [snakeCase(other), snakeCase(name)]),
    ),
    count_layers: usualLayers,
  };
}

/** Lists verbs; one with subcommands is replaced by them ("models list"). */
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

const kindsByParser = new Map<unknown, ValueKind>([
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
  const kind = kindsByParser.get(parseArg);
  if (kind) return kind;
  // number parsers are created per option, so probe which values they accept
  const parsed = (text: string): unknown => {
    try {
      return parseArg(text, undefined);
    } catch {
      return undefined;
    }
  };
  if (Array.isArray(parsed("3,4"))) return "ints";
  const acceptsWords = ["auto", "on", "off", "none", "leiden", "both"].some(
    (word) => parsed(word) !== undefined,
  );
  if (
    acceptsWords ||
    ["1", "2", "100"].every((text) => typeof parsed(text) !== "number" && parsed("0") !== 0)
  )
    return "value";
  return parsed("0.5") === undefined && parsed("1.5") === undefined ? "int" : "float";
}
