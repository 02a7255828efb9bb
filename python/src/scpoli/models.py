"""Published models: those of an index (``SCPOLI_MODELS``; default: the index in this package).

>>> scpoli.models.list()
>>> model = scpoli.models.pull("demo-blood@1")
>>> mapping = model.map(query)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from ._data import PathLike
from ._model import Model
from ._run import run
from ._table import resolved, with_options

if TYPE_CHECKING:
    from typing import Unpack

    from ._signatures import ModelsPackOptions

__all__ = ["info", "list", "pack", "pull", "verify"]


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


def info(name: PathLike | Model, *, offline: bool = False) -> dict[str, Any]:
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


def pack(
    model: PathLike | Model,
    output: PathLike,
    **options: Unpack[ModelsPackOptions],
) -> dict[str, Any]:
    """Pack a model and its card into one file, with an entry for an index.

    Parameters
    ----------
    model
        The model, or its path.
    output
        The ``.zip`` file to write.
    **options
        Options of the verb.

    Returns
    -------
    The entry, and ``written``, the files.

    Raises
    ------
    RefusedError
        The file, or the entry of this name and release, exists; ``force=True`` replaces it.

    Examples
    --------
    >>> scpoli.models.pack(model, "models/atlas-1.zip", index="models/index.json", licence="CC-BY-4.0")
    """
    path = model.path if isinstance(model, Model) else model
    return run("models pack", [path], {**resolved("models pack", options), "output": output}, progress=False)


def verify(*, offline: bool = False) -> int:
    """Verify the checksums of the models in the cache.

    Parameters
    ----------
    offline
        Do not use the network, but the last downloaded index.

    Returns
    -------
    Number of models in the cache, all intact.

    Raises
    ------
    FileError
        Models are damaged: ``details["damaged"]`` has their paths.
    """
    return int(run("models verify", [], {"offline": offline}, progress=False)["checked"])


with_options("models pack", "output")(pack)
