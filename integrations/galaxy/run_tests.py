"""Runs the tests of the Galaxy tools without a Galaxy server: run_tests.py FOLDER SCPOLI.

galaxy-tool-util reads each tool and checks its outputs with Galaxy's assertions; Cheetah renders the command
as in Galaxy, and a shell runs it. Outputs of a test are test data of later tools: the report reads the file
that map has written.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from Cheetah.Template import Template
from galaxy.tool_util.parser import get_tool_source
from galaxy.tool_util.verify.asserts import verify_assertions

HERE = Path(__file__).parent
#: In this order: each finds what those before it have written.
TOOLS = ("scpoli_train", "scpoli_map", "scpoli_report")


class Value(dict):
    """A value as Galaxy's templates see it: text, with what is below it as attributes."""

    def __init__(self, text: object = "", **below: Any) -> None:
        super().__init__(**below)
        self.text = "" if text is None else str(text)

    def __str__(self) -> str:
        return self.text

    def __bool__(self) -> bool:
        return bool(self.text) or len(self) > 0

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other)

    def __hash__(self) -> int:
        return hash(self.text)


def default_values(page: Any) -> dict[str, Any]:
    """The inputs of a tool with their defaults."""
    values: dict[str, Any] = {}
    for source in page.parse_input_sources():
        name = source.parse_name()
        if source.parse_input_type() == "conditional":
            values[name] = Value()
            continue
        values[name] = Value(source.get("value"))
    return values


def put(values: dict[str, Any], path: str, value: object) -> None:
    """Set reference|model to a value."""
    *above, name = path.split("|")
    for part in above:
        values = values.setdefault(part, Value())
    values[name] = Value(value)


def run_test(tool: str, source: Any, test: dict[str, Any], folder: Path, program: Path) -> None:
    """Render the command of a tool with the inputs of a test, run it, check its outputs."""
    values = default_values(source.parse_input_pages().page_sources[0])
    for given in test["inputs"]:
        value = given["value"]
        file = folder / "test-data" / str(value)
        put(values, given["name"], file if value is not None and file.exists() else value)
    job = folder / tool
    job.mkdir()
    outputs = {output["name"]: job / f"{output['name']}.dat" for output in test["outputs"]}
    command = str(Template(source.parse_command(), searchList=[{**values, **outputs}]))
    environment = {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "GALAXY_SLOTS": "1"}
    subprocess.run(["bash", "-ec", " ".join(command.split("\n"))], cwd=job, env=environment, check=True)
    for output in test["outputs"]:
        written = outputs[output["name"]]
        verify_assertions(written.read_bytes(), output["attributes"]["assert_list"])
        shutil.copyfile(written, folder / "test-data" / f"{output['name']}{suffix(tool)}")
        print(f"{tool}: {output['name']}, {written.stat().st_size} bytes, as its test asks")


def suffix(tool: str) -> str:
    """The ending of an output's test data."""
    return {"scpoli_train": ".zip", "scpoli_map": ".h5ad", "scpoli_report": ".html"}[tool]


def main() -> None:
    folder, program = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    shutil.copytree(HERE / "test-data", folder / "test-data")
    for tool in TOOLS:
        source = get_tool_source(str(HERE / f"{tool}.xml"))
        version = subprocess.run(
            shlex.split(source.parse_version_command() or ""),
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"},
        ).stdout.strip()
        assert source.parse_version().startswith(f"{version}+galaxy"), (tool, version)
        tests = source.parse_tests_to_dict()["tests"]
        assert tests, f"{tool} has no tests"
        for test in tests:
            run_test(tool, source, test, folder, program)


if __name__ == "__main__":
    main()
