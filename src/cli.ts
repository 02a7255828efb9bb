#!/usr/bin/env node
// The command line: one verb per run, the result on stdout, everything for people on stderr, an exit code per
// kind of failure.
import { Command, CommanderError } from "commander";
import { ScPoliError } from "./contract/errors.js";
import { addApp } from "./cli/app.js";
import { addCollect } from "./cli/collect.js";
import { addCompare } from "./cli/compare.js";
import { addConvert } from "./cli/convert.js";
import { addDemo } from "./cli/demo.js";
import { addEvaluate } from "./cli/evaluate.js";
import { addExport, addImport } from "./cli/exchange.js";
import { addExpression } from "./cli/expression.js";
import { describeFailure, usageError } from "./cli/failure.js";
import { addInspect } from "./cli/inspect.js";
import { addLabel } from "./cli/label.js";
import { addEmbed, addMap } from "./cli/map.js";
import { addMarkers } from "./cli/markers.js";
import { optionTable } from "./cli/option-table.js";
import { addModels } from "./cli/models.js";
import { addPlan } from "./cli/plan.js";
import { addReport } from "./cli/report-file.js";
import { addRounds } from "./cli/rounds.js";
import { addSamples } from "./cli/samples.js";
import { addTrain } from "./cli/train.js";
import { version } from "./contract/version.js";

const exitCodesHelp =
  "\nExit codes:\n" +
  "  0 done   1 a bug   2 arguments   3 bad input or output   4 refused by a check that --force passes   " +
  "5 out of memory   130 interrupted\n";

function buildProgram(): Command {
  const program = new Command("scpoli")
    .description(
      "Builds single-cell references and maps queries onto them (scPoli, De Donno et al. 2023): AnnData " +
        "files in, AnnData files out.",
    )
    .version(version, "--version", "print the version")
    .helpOption("-h, --help", "print this help")
    .usage("<verb> [arguments]")
    .commandsGroup("Verbs:")
    .helpCommand("help [verb]", "the same as --help; help --json: every verb and option, for programs")
    .configureOutput({ outputError: () => undefined })
    .exitOverride()
    .addHelpText("after", exitCodesHelp);
  for (const add of [
    addInspect,
    addTrain,
    addMap,
    addEmbed,
    addLabel,
    addSamples,
    addMarkers,
    addCompare,
    addExpression,
    addEvaluate,
    addReport,
    addCollect,
    addPlan,
    addRounds,
    addConvert,
    addImport,
    addExport,
    addModels,
    addApp,
    addDemo,
  ])
    add(program);
  return program;
}

/** @returns the exit code */
async function main(args: readonly string[]): Promise<number> {
  const program = buildProgram();
  try {
    if (args.length === 0)
      throw new ScPoliError(
        "usage",
        `A verb is missing: ${program.commands.map((command) => command.name()).join(", ")}. See scpoli ` +
          "--help.",
      );
    if (args[0] === "help" && args.includes("--json")) {
      process.stdout.write(`${JSON.stringify(optionTable(program))}\n`);
      return 0;
    }
    await program.parseAsync(args, { from: "user" });
    return Number(process.exitCode ?? 0); // of a result that tells of faults
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return 0; // --help, --version
    const error = thrown instanceof CommanderError ? usageError(thrown, program, args) : thrown;
    const { exitCode, kind, message, details } = describeFailure(error);
    process.stderr.write(`scpoli: error: ${message}\n`);
    if (process.env["SCPOLI_DEBUG"] && thrown instanceof Error) process.stderr.write(`${thrown.stack}\n`);
    if (args.includes("--json"))
      process.stdout.write(`${JSON.stringify({ error: { kind, message, details } })}\n`);
    return exitCode;
  }
}

// A reader that has seen enough (`| head`) closes the pipe: not an error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
});

process.exitCode = await main(process.argv.slice(2));
