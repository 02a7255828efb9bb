"""Inspection of data, evaluation of integrations, and HTML reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anndata as ad
import pandas as pd

from ._data import Data, PathLike, Workspace, check_data, input_file
from ._errors import ArgumentError
from ._html_report import Report, write_report
from ._model import Keys, Model
from ._run import run
from ._table import NODE_FOLDER, resolved, with_options

if TYPE_CHECKING:
    from typing import Unpack

    from ._signatures import EvaluateOptions, InspectOptions, ReportOptions


def inspect(adata: Data, **options: Unpack[InspectOptions]) -> dict[str, Any]:
    """Inspect data: location of raw counts, and columns that may be conditions or cell types.

    Parameters
    ----------
    adata
        An AnnData, or the path of a file or of a model.
    **options
        Options of the verb.

    Returns
    -------
    Output of ``scpoli inspect``; ``columns`` is a table.
    """
    check_data(adata)
    chosen = resolved("inspect", options)
    with Workspace() as workspace, input_file(workspace, adata, every_matrix=True) as path:
        inspection = run("inspect", [path], chosen, names=workspace.names, progress=False)
    if "columns" in inspection:
        inspection["columns"] = pd.DataFrame(inspection["columns"])
    return inspection


def demo() -> tuple[ad.AnnData, ad.AnnData]:
    """Read the blood cells included in the package.

    Returns
    -------
    A reference of five lupus patients without B cells and a query of three others, both with cell types.
    """
    folder = NODE_FOLDER / "dist/app/data"
    return ad.read_h5ad(folder / "kang_reference.h5ad"), ad.read_h5ad(folder / "kang_query.h5ad")


class Evaluation:
    """Scores of embeddings and of transferred labels.

    Attributes
    ----------
    summary
        Output of ``scpoli evaluate --json``.
    metrics
        Metrics and their means (scIB's and the paper's), a row per embedding.
    label_transfer
        Scores of the predicted cell types (accuracy, F1, calibration); None if none were scored.
    types
        The same for each cell type, a row per type.
    confusion
        Numbers of cells by true (rows) and predicted type (columns).
    """

    def __init__(self, summary: dict[str, Any]) -> None:
        self.summary = summary
        self.metrics = pd.DataFrame.from_dict(
            {entry["embedding"]: _scores(entry) for entry in summary["embeddings"]}, orient="index"
        )
        self.label_transfer: dict[str, Any] | None = summary["label_transfer"]
        self.types = pd.DataFrame()
        self.confusion = pd.DataFrame()
        if self.label_transfer:
            self.types = pd.DataFrame(self.label_transfer["types"])
            confusion = self.label_transfer["confusion"]
            self.confusion = pd.DataFrame(
                confusion["cells"], index=confusion["truth"], columns=confusion["predicted"]
            )

    def __repr__(self) -> str:
        text = repr(self.metrics) if len(self.metrics) else "no embedding was scored"
        if self.label_transfer and self.label_transfer["accuracy"] is not None:
            text += f"\nlabel transfer: accuracy {self.label_transfer['accuracy']:.3f}"
        return text

    def _repr_html_(self) -> str:
        return self.metrics.T.to_html()


def _scores(entry: dict[str, Any]) -> dict[str, float | None]:
    """Metrics of an embedding, and their means as ``paper.overall``."""
    values = {
        name: metric["value"] if isinstance(metric, dict) else metric
        for name, metric in entry["metrics"].items()
    }
    for kind, scores in entry["scores"].items():
        values.update(
            {f"{kind}.{name}": value for name, value in scores.items() if not isinstance(value, list)}
        )
    return values


def evaluate(
    adata: Data,
    cell_type_key: str | None = None,
    condition_key: str | None = None,
    **options: Unpack[EvaluateOptions],
) -> Evaluation:
    """Score embeddings (separation of cell types, mixing of conditions) and transferred labels.

    Parameters
    ----------
    adata
        Cells with true cell types, embeddings in obsm and optional predictions; or the path of a file.
    cell_type_key
        Column of obs of the true cell types.
    condition_key
        Column of obs of the conditions to be mixed.
    **options
        Options of the verb.

    Returns
    -------
    The scores.

    Examples
    --------
    >>> scpoli.evaluate(query, "cell_type", "donor", embedding=["X_scpoli", "X_pca"]).metrics
    """
    check_data(adata)
    chosen = resolved("evaluate", {"cell_type_key": cell_type_key, "condition_key": condition_key, **options})
    if "cell_type_key" not in chosen:
        raise ArgumentError(
            "evaluate() needs cell_type_key, the column of adata.obs with the true cell types."
        )
    with Workspace() as workspace:
        obsm: list[str] = []
        counts = False
        if isinstance(adata, ad.AnnData):
            embedding = chosen.get("embedding", "X_scpoli")
            before = chosen.get("before", "X_pca")
            obsm = [*([embedding] if isinstance(embedding, str) else embedding), before]
            counts = "condition_key" in chosen and before not in adata.obsm
        with input_file(workspace, adata, counts=counts, obsm=obsm) as path:
            return Evaluation(run("evaluate", [path], chosen, names=workspace.names))


def report(
    adata: Data | Model,
    model: Model | PathLike | None = None,
    *,
    output: PathLike | None = None,
    height: int = 800,
    **options: Unpack[ReportOptions],
) -> Report:
    """Make an HTML report of mapped cells, of a model, or of both.

    Parameters
    ----------
    adata
        Cells annotated by `map` or `embed`, the path of a file, or a model.
    model
        The model of the mapping (``mapping.model``): also shows the reference.
    output
        File to write. Default: a temporary one.
    height
        Height of the report in a notebook, in pixels.
    **options
        Options of the verb.

    Returns
    -------
    The report.
    """
    return write_report(
        adata.path if isinstance(adata, Model) else adata,
        is_model=isinstance(adata, Model),
        model=model.path if isinstance(model, Model) else model,
        output=output,
        height=height,
        options=options,
    )


def show(
    adata: Data | Model, model: Model | None = None, *, height: int = 800, **options: Unpack[ReportOptions]
) -> Report:
    """Show the report in a notebook.

    Parameters
    ----------
    adata
        Cells annotated by `map` or `embed`, or a model.
    model
        The model of the mapping.
    height
        Height in pixels.
    **options
        Options of the verb.

    Returns
    -------
    The report, which a notebook displays as the last value of a cell.
    """
    return report(adata, model, height=height, **options)


with_options("inspect")(inspect)
with_options("evaluate", "output")(evaluate)
with_options("report", "output")(report)
with_options("report", "output")(show)

__all__ = ["Evaluation", "Keys", "Report", "demo", "evaluate", "inspect", "report", "show"]
