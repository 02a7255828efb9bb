"""Errors: one class per kind of failure of the command line."""

from __future__ import annotations

from typing import Any


class ScPoliError(Exception):
    """An error that the caller can fix.

    Attributes
    ----------
    kind
        Kind of the error: ``"usage"``, ``"file"``, ``"key"`` and so on.
    details
        Values of the message.
    """

    kind = "bug"

    def __init__(self, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.details: dict[str, Any] = details or {}

    def __str__(self) -> str:
        # KeyError would show the message in quotes
        return str(self.args[0])


class ArgumentError(ScPoliError, TypeError):
    """An argument is missing or unknown, or a value has the wrong type."""

    kind = "argument"


class UsageError(ScPoliError, ValueError):
    """A value of an option cannot be read, or options exclude each other."""

    kind = "usage"


class FileError(ScPoliError, OSError):
    """A file is missing, cannot be read, or is not what its name says."""

    kind = "file"


class FormatError(ScPoliError, ValueError):
    """The data can be read but are not a valid AnnData."""

    kind = "format"


class MissingKeyError(ScPoliError, KeyError):
    """A column, layer, condition or cell type does not exist."""

    kind = "key"


class CountsError(ScPoliError, ValueError):
    """The matrix does not hold raw counts."""

    kind = "counts"


class ModelError(ScPoliError, ValueError):
    """A model is damaged, newer than this version, of another kind, or does not fit."""

    kind = "model"


class OutputError(ScPoliError, OSError):
    """An output cannot be written."""

    kind = "output"


class RefusedError(ScPoliError, RuntimeError):
    """A check has stopped the run; ``force=True`` continues anyway."""

    kind = "refused"


class OutOfMemoryError(ScPoliError, MemoryError):
    """The run needs more memory than available."""

    kind = "memory"


class NodeError(ScPoliError, RuntimeError):
    """Node.js, which runs the model, cannot be started."""

    kind = "node"


class Interrupted(KeyboardInterrupt):
    """The run was interrupted.

    Attributes
    ----------
    checkpoint
        File with the state of the training; ``train(..., resume=True)`` resumes from it. None if training
        had not started.
    """

    kind = "interrupted"

    def __init__(self, message: str, checkpoint: str | None = None) -> None:
        super().__init__(message)
        self.checkpoint = checkpoint


_classes: dict[str, type[ScPoliError]] = {
    error.kind: error
    for error in (
        UsageError,
        FileError,
        FormatError,
        MissingKeyError,
        CountsError,
        ModelError,
        OutputError,
        RefusedError,
        OutOfMemoryError,
    )
}


def error_of(kind: str, message: str, details: dict[str, Any]) -> BaseException:
    """Return the error for a kind of failure of the command line."""
    if kind == "interrupted":
        return Interrupted(message, details.get("checkpoint"))
    error = _classes.get(kind, ScPoliError)(message, details)
    error.kind = kind
    return error
