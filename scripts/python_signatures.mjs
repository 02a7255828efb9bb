// Options of the command line as Python's type hints: a TypedDict per verb that the Python package calls.

/**
 * Verbs of the Python package, with the options that are named parameters or set by its functions;
 * `**options` has the others.
 */
const verbs = {
  inspect: [],
  train: ["output", "condition_key", "cell_type_key", "embed"],
  map: ["output", "reference"],
  embed: ["output", "model"],
  samples: ["output", "data", "key"],
  evaluate: ["output", "cell_type_key", "condition_key"],
  report: ["output", "model"],
  label: ["name", "cells"],
  markers: ["groups", "output", "csv", "gene_sets_csv", "key_added"],
  compare: ["between", "sample_key", "within", "output", "tables", "key_added"],
  expression: ["output"],
  plan: ["query", "condition_key"],
  collect: ["output"],
  convert: [],
  "rounds cut": ["output", "shards", "condition_key"],
  "rounds survey": ["shard", "condition_key", "cell_type_key"],
  "rounds init": [],
  "rounds local": ["shard", "round"],
  "rounds merge": ["round"],
  "rounds summary": ["shard"],
  "rounds work": ["shard"],
  "rounds finish": ["output"],
  "rounds status": [],
  "rounds manifest": [],
  "rounds run": ["output", "condition_key", "cell_type_key"],
  "models pack": ["output"],
};
/** Options of the command line that Python does not need. */
const hidden = ["json", "progress", "output_format"];
/** Reserved words of Python get a trailing underscore. */
const keywords = ["as", "from", "in", "is", "lambda", "with"];
const nameInPython = (name) => (keywords.includes(name) ? `${name}_` : name);

const types = {
  flag: "bool",
  choice: "str",
  text: "str",
  path: "Path",
  int: "int",
  float: "float",
  ints: "int | Sequence[int]",
  memory: "str | int",
  value: "str | int | float | bool",
  names: "str | Sequence[str]",
  repeated: "str | Sequence[str]",
  "values-by-key": "Mapping[str, str | Sequence[str]]",
  "columns-by-key": "str | Sequence[str] | Mapping[str, str]",
};

/** Verbs whose option `genes` is a number or a file of names. */
const takeListsOfGenes = ["train", "plan", "rounds survey", "rounds run"];

/** Options that accept more types in Python than text. */
const wider = {
  genes: "int | str | Sequence[str] | Path",
  gene_map: "Path | Mapping[str, str] | pd.DataFrame",
  label_map: "Path | Mapping[str, str] | pd.DataFrame",
  metadata: "Path | pd.DataFrame",
  gene_sets: "Path | Mapping[str, Sequence[str]]",
};

/** @param table - what `scpoli help --json` prints */
export function signatures({ verbs: all, aliases }) {
  const classes = Object.keys(verbs).map((name) => {
    const verb = all.find((candidate) => candidate.name === name);
    if (!verb) throw new Error(`The command line has no verb '${name}', which the Python package calls.`);
    return classOf(verb, aliases);
  });
  return `"""Type hints of the verbs' options. Written by \`npm run build:wheel\` from the command line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict, Union

import pandas as pd

Path = Union[str, os.PathLike[str]]


${classes.join("\n\n")}`;
}

function classOf({ name, options }, aliases) {
  const has = (wanted) => options.some((option) => option.name === wanted);
  const fields = options
    .filter((option) => !hidden.includes(option.name) && !verbs[name].includes(option.name))
    .map((option) => `    ${nameInPython(option.name)}: ${typeOf(name, option)}`);
  const others = Object.entries(aliases)
    .filter(([alias, ours]) => has(ours) && !has(alias))
    .map(
      ([alias, ours]) =>
        `    ${alias}: ${typeOf(
          name,
          options.find((option) => option.name === ours),
        )}`,
    );
  const words = name.split(" ").map((word) => `${word[0].toUpperCase()}${word.slice(1)}`);
  return `class ${words.join("")}Options(TypedDict, total=False):
    """Further options of \`scpoli ${name}\`; names of scvi-tools and scArches last."""

${[...fields, ...others].join("\n")}
`;
}

function typeOf(verb, { name, kind, choices }) {
  if (choices.length > 0) return `Literal[${choices.map((choice) => JSON.stringify(choice)).join(", ")}]`;
  return (name === "genes" && !takeListsOfGenes.includes(verb) ? undefined : wider[name]) ?? types[kind];
}
