"""Models to choose from: those of an index (``SCPOLI_MODELS``; without it the index of this package).

>>> scpoli.models.list()
>>> model = scpoli.models.pull("demo-blood@1")
>>> mapping = model.map(query)
"""

from __future__ import annotations

import os
from typing import Any

import pandas as pd

from ._model import Model
from ._run import run

__all__ = ["info", "list", "pull"]


def list(*, offline: bool = False) -> pd.DataFrame:
    """List the models of the index.

    Parameters
    ----------
    offline
        Ask nothing of the network; take the index of the last time.

    Returns
    -------
    A row per model: ``name``, ``version``, ``organism``, ``tissue``, ``cells``, ``genes``, ``licence``,
    ``kept`` (whether it is in the cache) and more.

    Raises
    ------
    FileError
        The index cannot be had.
    """
    return pd.DataFrame(run("models list", [], {"offline": offline}, progress=False)["models"])


def pull(name: str, *, offline: bool = False) -> Model:
    """Fetch a model into the cache, compare it with its checksum, and read it.

    Parameters
    ----------
    name
        ``NAME`` (the newest version) or ``NAME@VERSION``.
    offline
        Ask nothing of the network; take what is kept.

    Returns
    -------
    The model.

    Raises
    ------
    MissingKeyError
        The index has no such model.
    FileError
        It cannot be had, or it is not what the index says.
    """
    return Model(run("models pull", [name], {"offline": offline})["path"])


def info(name: str | os.PathLike[str] | Model, *, offline: bool = False) -> dict[str, Any]:
    """Tell what a model is: its card and its entry in the index.

    Parameters
    ----------
    name
        ``NAME`` or ``NAME@VERSION``, or a model on this machine.
    offline
        Ask nothing of the network; take what is kept.

    Returns
    -------
    ``card`` (Markdown) and its fields.

    Raises
    ------
    MissingKeyError
        The index has no such model.
    FileError
        It cannot be had.
    """
    path = name.path if isinstance(name, Model) else name
    return run("models info", [path], {"offline": offline}, progress=False)
