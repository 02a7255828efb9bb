"""Published models: those of an index (``SCPOLI_MODELS``; default: the index in this package).

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
        Do not use the network, but the last downloaded index.

    Returns
    -------
    A row per model: ``name``, ``version``, ``organism``, ``tissue``, ``cells``, ``genes``, ``licence``,
    ``kept`` (whether it is in the cache) and more.

    Raises
    ------
    FileError
        The index cannot be downloaded.
    """
    return pd.DataFrame(run("models list", [], {"offline": offline}, progress=False)["models"])


def pull(name: str, *, offline: bool = False) -> Model:
    """Download a model to the cache, verify its checksum, and read it.

    Parameters
    ----------
    name
        ``NAME`` (the newest version) or ``NAME@VERSION``.
    offline
        Do not use the network, but the cache.

    Returns
    -------
    The model.

    Raises
    ------
    MissingKeyError
        The index has no such model.
    FileError
        It cannot be downloaded, or its checksum differs from the index.
    """
    return Model(run("models pull", [name], {"offline": offline})["path"])


def info(name: str | os.PathLike[str] | Model, *, offline: bool = False) -> dict[str, Any]:
    """Describe a model: its card and its entry in the index.

    Parameters
    ----------
    name
        ``NAME`` or ``NAME@VERSION``, or a model on this machine.
    offline
        Do not use the network, but the cache.

    Returns
    -------
    ``card`` (Markdown) and its fields.

    Raises
    ------
    MissingKeyError
        The index has no such model.
    FileError
        It cannot be downloaded.
    """
    path = name.path if isinstance(name, Model) else name
    return run("models info", [path], {"offline": offline}, progress=False)
