"""The HTML report of cells or of a model, as a file that notebooks display."""

from __future__ import annotations

import html
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anndata as ad

from ._data import Data, PathLike, Workspace, check_data, input_file, remove_with, temporary_folder
from ._run import run
from ._table import resolved


class Report:
    """An HTML report, displayed by notebooks.

    Attributes
    ----------
    path
        Path of the file. Without `output` a temporary file, which is removed with the report.
    """

    def __init__(self, path: PathLike, *, height: int = 800) -> None:
        self.path = Path(path)
        self.height = height

    @classmethod
    def _temporary(cls, made: str, height: int) -> Report:
        folder = temporary_folder("scpoli-report-")
        report = cls(shutil.move(made, os.path.join(folder, "report.html")), height=height)
        remove_with(report, folder)
        return report

    def html(self) -> str:
        """Return the HTML of the page."""
        return self.path.read_text(encoding="utf8")

    def save(self, path: PathLike) -> None:
        """Copy the page to a file."""
        shutil.copyfile(self.path, path)

    def _repr_html_(self) -> str:
        page = html.escape(self.html(), quote=True)
        return (
            f'<iframe srcdoc="{page}" sandbox="allow-scripts allow-downloads" '
            f'style="width: 100%; height: {self.height}px; border: 0" title="scPoli report"></iframe>'
        )

    def __repr__(self) -> str:
        return f"scPoli report: {self.path}"


def write_report(
    source: Data,
    *,
    is_model: bool,
    model: PathLike | None = None,
    output: PathLike | None = None,
    height: int = 800,
    options: Mapping[str, Any],
) -> Report:
    """Make an HTML report.

    Parameters
    ----------
    source
        Annotated cells, the path of a file, or with `is_model` the path of a model.
    is_model
        Whether the source is a model.
    model
        Path of the model of a mapping.
    output
        File to write. Default: a temporary one.
    height
        Height of the report in a notebook, in pixels.
    options
        Options of the verb.

    Returns
    -------
    The report.
    """
    chosen = resolved("report", options)
    with Workspace() as workspace:
        chosen = workspace.place("report", chosen)
        into = os.fspath(output) if output is not None else workspace.path("report.html", "the report")
        if model is not None:
            chosen["model"] = model
        if is_model and not isinstance(source, ad.AnnData):
            run("report", [source], {**chosen, "output": into}, names=workspace.names)
        else:
            check_data(source)
            with input_file(
                workspace,
                source,
                obsm=("X_scpoli", "X_umap_scpoli", "X_umap"),
                uns=("scpoli",),
            ) as path:
                run("report", [path], {**chosen, "output": into}, names=workspace.names)
        return Report(into, height=height) if output is not None else Report._temporary(into, height)
