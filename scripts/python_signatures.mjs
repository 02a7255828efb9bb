// Options of the command line as Python's type hints: a TypedDict per verb that the Python package calls.

/** Verbs of the Python package. */
const verbs = ["train", "map", "embed", "samples", "evaluate", "report", "label"];

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

/** Options that take more in Python than their text form. */
const wider = {
  genes: "int | str | Sequence[str] | Path",
  gene_map: "Path | Mapping[str, str] | pd.DataFrame",
  label_map: "Path | Mapping[str, str] | pd.DataFrame",
  metadata: "Path | pd.DataFrame",
  gene_sets: "Path | Mapping[str, Sequence[str]]",
};

/** @param table - what `scpoli help --json` prints */
export function signatures({ verbs: all }) {
  const classes = verbs.flatMap((name) => {
    const verb = all.find((candidate) => candidate.name === name);
    return verb ? [classOf(verb)] : [];
  });
  return `"""Options of the verbs, as type hints. Written by \`npm run build:wheel\` from the command line's own table."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict, Union

import pandas as pd

Path = Union[str, os.PathLike]


${classes.join("\n\n")}`;
}

function classOf({ name, options }) {
  const fields = options.map((option) => `    ${option.name}: ${typeOf(name, option)}`);
  return `class ${name[0].toUpperCase()}${name.slice(1)}Options(TypedDict, total=False):
    """Options of \`scpoli ${name}\`."""

${fields.join("\n")}
`;
}

function typeOf(verb, { name, kind, choices }) {
  if (choices.length > 0) return `Literal[${choices.map((choice) => JSON.stringify(choice)).join(", ")}]`;
  return (verb === "report" && name === "genes" ? undefined : wider[name]) ?? types[kind];
}
