"""Options of the command line: names, conversion of values, and documentation."""

from __future__ import annotations

import functools
import inspect
import json
import keyword
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._errors import ArgumentError

NODE_FOLDER = Path(__file__).parent / "_node"


@dataclass(frozen=True)
class Option:
    """An option of a verb."""

    flag: str
    name: str
    kind: str
    required: bool
    turns_off: bool
    choices: tuple[str, ...]
    group: str
    description: str

    def write(self, value: Any) -> list[str]:
        """Return the command-line arguments for a value.

        Parameters
        ----------
        value
            Not None. False gives no argument for an ordinary flag, and the flag for one that turns something
            off (``landmarks``).

        Raises
        ------
        ArgumentError
            If the value has an unsupported type.
        """
        if self.kind == "flag":
            if not isinstance(value, (bool,)) and value not in (0, 1):
                raise ArgumentError(f"{self.name}={value!r}: expected True or False.")
            return [self.flag] if bool(value) != self.turns_off else []
        return [part for text in self._texts(value) for part in (self.flag, text)]

    def _texts(self, value: Any) -> list[str]:
        if self.kind == "names":
            return [_escaped(name) for name in _names(self.name, value)]
        if self.kind == "repeated":
            return [str(name) for name in _names(self.name, value)]
        if self.kind == "values-by-key":
            if isinstance(value, str) and "=" in value:
                return [value]
            if not isinstance(value, Mapping):
                raise ArgumentError(f"{self.name}={value!r}: expected a dict, from columns to values.")
            return [
                f"{key}={','.join(_escaped(name) for name in _names(self.name, values))}"
                for key, values in value.items()
            ]
        if self.kind == "columns-by-key":
            if isinstance(value, Mapping):
                return [_escaped(f"{key}={column}") for key, column in value.items()]
            return [_escaped(column) for column in _names(self.name, value)]
        if self.kind == "path" and isinstance(value, (list, tuple)):
            return [os.fspath(path) for path in value]
        if self.kind == "ints" and not isinstance(value, (str, int)):
            return [",".join(str(int(number)) for number in value)]
        if self.kind == "memory" and isinstance(value, int):
            return [f"{value / 1024:.3f}K"]
        if self.kind == "value" and isinstance(value, bool):
            return ["on" if value else "off"]
        if isinstance(value, (str, int, float, os.PathLike)) or hasattr(value, "item"):
            return [os.fspath(value) if isinstance(value, os.PathLike) else str(value)]
        raise ArgumentError(
            f"{self.name}={value!r}: a value of type {type(value).__name__} is not supported."
        )


def _escaped(name: str) -> str:
    return str(name).replace(",", "\\,")


def _names(option: str, value: Any) -> Sequence[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Iterable):
        return [str(name) for name in value]
    raise ArgumentError(f"{option}={value!r}: expected a name or a list of names.")


@dataclass(frozen=True)
class Verb:
    """A verb of the command line."""

    name: str
    summary: str
    options: dict[str, Option]


def _option(entry: Mapping[str, Any]) -> Option:
    """Make an option from its entry; Python keywords get a trailing underscore (``as_``)."""
    name = f"{entry['name']}_" if keyword.iskeyword(entry["name"]) else entry["name"]
    return Option(**{**entry, "name": name, "choices": tuple(entry["choices"])})


@functools.cache
def _content() -> dict[str, Any]:
    return json.loads((NODE_FOLDER / "options.json").read_text(encoding="utf8"))


def count_layers() -> list[str]:
    """Return the layers that may hold counts, in the search order of the command line."""
    return _content()["count_layers"]


@functools.cache
def table() -> tuple[dict[str, Verb], dict[str, str]]:
    """Read all verbs by name, and the aliases of options."""
    content = _content()
    verbs = {
        verb["name"]: Verb(
            verb["name"],
            verb["summary"],
            {option.name: option for option in map(_option, verb["options"])},
        )
        for verb in content["verbs"]
    }
    return verbs, content["aliases"]


def resolved(verb: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Resolve aliases of options, and drop options that are None.

    Raises
    ------
    ArgumentError
        For an unknown option (with a suggestion), or one that is given twice.
    """
    verbs, aliases = table()
    known = verbs[verb].options
    result: dict[str, Any] = {}
    for given, value in options.items():
        name = given if given in known else aliases.get(given, given)
        if name not in known or name in _hidden:
            raise ArgumentError(f"{verb}() has no option '{given}'.{_hint(given, known)}")
        if name in result:
            raise ArgumentError(f"{verb}() got '{name}' twice (also as '{given}').")
        if value is not None:
            result[name] = value
    return result


def _hint(given: str, known: Iterable[str]) -> str:
    import difflib

    matches = difflib.get_close_matches(given, [name for name in known if name not in _hidden], 3, 0.6)
    return f" Did you mean {' or '.join(repr(name) for name in matches)}?" if matches else ""


#: Options of the command line that are not available in Python.
_hidden = {"json", "progress", "output_format"}


def arguments(verb: str, options: Mapping[str, Any]) -> list[str]:
    """Convert options to arguments of the command line."""
    known = table()[0][verb].options
    return [part for name, value in options.items() for part in known[name].write(value)]


_annotations = {
    "flag": "bool",
    "int": "int",
    "float": "float",
    "ints": "int or sequence of int",
    "memory": "str or int",
    "names": "str or sequence of str",
    "repeated": "str or sequence of str",
    "values-by-key": "dict",
    "columns-by-key": "str, sequence of str or dict",
    "path": "path",
}


_raises = "Raises\n------\nScPoliError\n    The subclass tells the kind of error."


def with_options(verb: str, *without: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options of a verb to the signature and documentation of a function, and the errors if missing.

    Parameters
    ----------
    verb
        Verb whose options are keyword arguments of the function.
    without
        Names of options set by the function.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(function)
        given = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        names = {p.name for p in given}
        options = [
            option
            for option in table()[0][verb].options.values()
            if option.name not in names and option.name not in without and option.name not in _hidden
        ]
        more = [
            inspect.Parameter(
                option.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=(option.turns_off if option.kind == "flag" else None),
            )
            for option in options
        ]
        function.__signature__ = signature.replace(parameters=[*given, *more])  # type: ignore[attr-defined]
        entries = "\n".join(_documented(option) for option in options)
        doc = inspect.cleandoc(function.__doc__ or "")
        doc = doc.replace("**options\n    Options of the verb.", entries)
        if "Raises\n------" not in doc:
            text, examples, rest = doc.partition("\n\nExamples\n--------")
            doc = f"{text}\n\n{_raises}{examples}{rest}"
        function.__doc__ = doc
        return function

    return decorate


def _documented(option: Option) -> str:
    kind = _annotations.get(option.kind, "str")
    if option.choices:
        kind = "{" + ", ".join(repr(choice) for choice in option.choices) + "}"
    text = in_python(option.description)
    if option.kind == "flag" and option.turns_off:
        text = f"False: {text}"
    elif re.match(r"(a|[a-z]{2,})\b", text):
        text = text[0].upper() + text[1:]
    return f"{option.name} : {kind}, optional\n    {text}."


#: Where the help of a verb is found in Python.
_methods = ("map", "embed", "label", "samples", "expression")


def in_python(text: str) -> str:
    """Replace flags and commands in a text by their Python counterparts: --force by force=True.

    A value that follows a flag becomes that of the argument: ``--duplicate-genes sum`` becomes
    ``duplicate_genes='sum'``, ``--condition-value NAME`` becomes ``condition_value="NAME"``.
    """
    by_flag = {option.flag: option for verb in table()[0].values() for option in verb.options.values()}

    def replacement(match: re.Match[str]) -> str:
        option = by_flag.get(match.group(1))
        if option is None:
            return match.group(0)
        value = match.group(2)
        if option.kind == "flag":
            return f"{option.name}={not option.turns_off}{f' {value}' if value else ''}"
        if value is None:
            return option.name
        pair = re.fullmatch(r"([\w.]+)=([\w.]+)", value)
        if option.kind == "values-by-key" and pair:
            return f"{option.name}={{'{pair.group(1)}': '{pair.group(2)}'}}"
        if value in option.choices or re.fullmatch(r"[A-Z]{2,}", value):
            return f"{option.name}='{value}'"
        return f"{option.name} {value}"

    # the offer of a layer with counts
    text = re.sub(r"--layer (?:'(.+?)'|([\w.-]+))(?= uses )", r"layer='\1\2'", text)
    text = re.sub(r"(--[a-z][a-z-]*[a-z])(?: ([\w.]+(?:=[\w.]+)?\b))?", replacement, text)
    # what the parser of the command line says of a value
    text = re.sub(r"option '(?:-\w, )?(\w+)[^']*' argument '(.*?)' is invalid", r"\1='\2' is invalid", text)
    text = re.sub(
        r"scpoli (\w+) --help",
        lambda match: f"help(scpoli.{'Model.' if match.group(1) in _methods else ''}{match.group(1)})",
        text,
    )
    text = re.sub(
        r"`scpoli (\w+)`", lambda match: f"`{'Model' if match[1] in _methods else 'scpoli'}.{match[1]}`", text
    )
    return text.replace("scpoli models list", "scpoli.models.list()")
