"""Results of many mappings in one table, and conversion of files."""

from __future__ import annotations

import json
import os
from collections import abc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ._data import Data, PathLike, Workspace, check_data, input_file
from ._errors import ArgumentError, UsageError
from ._model import Mapping
from ._run import run
from ._table import resolved, with_options

if TYPE_CHECKING:
    from typing import Unpack

    from ._signatures import CollectOptions, ConvertOptions


def collect(
    mappings: abc.Mapping[str, Mapping | dict[str, Any]] | Sequence[PathLike],
    *,
    output: PathLike | None = None,
    **options: Unpack[CollectOptions],
) -> pd.DataFrame:
    """Put the results of many mappings into one table, and optionally one report.

    Parameters
    ----------
    mappings
        Results of `map` or `embed` (or their `summary`) by the name of the query; or paths of files with the
        JSON that the command line prints, whose names name the queries.
    output
        Also write the table to this file, tab-separated.
    **options
        Options of the verb.

    Returns
    -------
    A row per query, annotation level and predicted cell type: ``query``, ``level``, ``cell_type``, ``cells``,
    ``unknown``, ``cells_in_query``, ``unknown_in_query``, ``novel_clusters`` (missing if the query was not
    clustered), ``verdict`` and its ``reasons``.

    Examples
    --------
    >>> mappings = {name: model.map(query) for name, query in queries.items()}
    >>> scpoli.collect(mappings, report="queries.html")
    """
    chosen = resolved("collect", options)
    if len(mappings) == 0:
        raise UsageError("collect(): there are no mappings.")
    with Workspace() as workspace:
        paths = (
            _summaries(workspace, mappings)
            if isinstance(mappings, abc.Mapping)
            else [*(os.fspath(path) for path in mappings)]
        )
        into = os.fspath(output) if output is not None else workspace.path("queries.tsv", "the table")
        run("collect", paths, {**chosen, "output": into}, names=workspace.names, progress=False)
        text = dict.fromkeys(("query", "level", "cell_type", "verdict", "reasons"), str)
        table = pd.read_csv(
            into, sep="\t", dtype=text, keep_default_na=False, na_values={"novel_clusters": [""]}
        )
    return table.astype({"novel_clusters": "Int64"})


def _summaries(workspace: Workspace, mappings: abc.Mapping[str, Mapping | dict[str, Any]]) -> list[str]:
    """Write the summary of each mapping to a file named like the query."""
    paths = []
    for name, mapping in mappings.items():
        if not name or "/" in name or os.sep in name:
            raise UsageError(f"collect(): {name!r} cannot name a query: it is empty or has a slash.")
        summary = mapping.summary if isinstance(mapping, Mapping) else mapping
        if not isinstance(summary, dict):
            raise ArgumentError(
                f"collect(): expected the result of map() for {name!r}, got a {type(mapping).__name__}."
            )
        path = workspace.path(f"{name}.json", f"the result of {name!r}")
        Path(path).write_text(json.dumps(summary), encoding="utf8")
        paths.append(path)
    return paths


def convert(adata: Data, output: PathLike, **options: Unpack[ConvertOptions]) -> Path:
    """Write raw counts and annotations to an AnnData-Zarr collection for training from disk, or to ``.h5ad``.

    Parameters
    ----------
    adata
        An AnnData, or the path of any file that :func:`inspect` reads.
    output
        Folder (``.zarr``) or file (``.h5ad``) to write.
    **options
        Options of the verb.

    Returns
    -------
    Path of the output.

    Examples
    --------
    >>> scpoli.convert("atlas.h5ad", "atlas.zarr", shuffle=True)
    """
    check_data(adata)
    chosen = resolved("convert", options)
    with (
        Workspace() as workspace,
        input_file(workspace, adata, layer=chosen.get("layer")) as path,
    ):
        run("convert", [path, output], chosen, names=workspace.names)
    return Path(output)


with_options("collect", "output")(collect)
with_options("convert")(convert)

__all__ = ["collect", "convert"]
