"""Marker genes of groups of cells, and differential expression between groups of samples."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import anndata as ad
import pandas as pd

from ._data import (
    Data,
    PathLike,
    Workspace,
    check_data,
    check_destination,
    copy_of,
    input_file,
    is_path,
    read_uns,
)
from ._run import run
from ._table import resolved, with_options

if TYPE_CHECKING:
    from typing import Unpack

    from ._signatures import CompareOptions, MarkersOptions

#: Columns of tables that hold names: a gene named "NA" is a gene.
_names = ("group", "gene", "symbol", "type", "sample", "set", "direction", "genes", "not_compared_because")


def read_table(path: PathLike) -> pd.DataFrame:
    """Read a table written by the command line, with exact numbers."""
    columns = pd.read_csv(path, nrows=0).columns
    text = {name: str for name in columns if name in _names and name != "genes"}
    numbers = {name: [""] for name in columns if name not in text}
    return pd.read_csv(
        path, dtype=text, float_precision="round_trip", keep_default_na=False, na_values=numbers
    )


@overload
def markers(
    adata: Data,
    groups: str | None = None,
    *,
    copy: Literal[False] = ...,
    output: PathLike | None = ...,
    key_added: str = ...,
    **options: Unpack[MarkersOptions],
) -> pd.DataFrame: ...
@overload
def markers(
    adata: ad.AnnData,
    groups: str | None = None,
    *,
    copy: Literal[True],
    output: None = ...,
    key_added: str = ...,
    **options: Unpack[MarkersOptions],
) -> ad.AnnData: ...
def markers(
    adata: Data,
    groups: str | None = None,
    *,
    copy: bool = False,
    output: PathLike | None = None,
    key_added: str = "rank_genes_groups",
    **options: Any,
) -> pd.DataFrame | ad.AnnData:
    """Find marker genes of groups of cells by Wilcoxon rank-sum tests of each group against all other cells.

    Writes ``adata.uns[key_added]`` in the format of scanpy's ``rank_genes_groups``, for scanpy's plots; an
    existing entry is replaced. With `gene_sets`, ``adata.uns[f"{key_added}_gene_sets"]`` has the tests of
    these sets among the top 100 markers of each group. The unit is the cell: to compare conditions or
    patients use :func:`compare`, whose unit is the sample.

    Parameters
    ----------
    adata
        Cells with raw counts, which are normalised, or with other values, which are used unchanged; or the
        path of a file.
    groups
        Column of obs, one group per value (scanpy's `groupby`). Excludes `select`, which defines one group.
    copy
        Leave `adata` unchanged and return an annotated copy.
    output
        File to write (``.h5ad``) instead of writing into `adata`: a copy of the input with the results.
    key_added
        Entry of uns.
    **options
        Options of the verb.

    Returns
    -------
    A row per group and gene, the highest scores of a group first: ``group``, ``gene``, ``symbol``, ``rank``
    (from 1), ``score``, ``log2_fold_change``, ``p``, ``p_adjusted``, ``auc``, ``share`` and ``other_share``
    (of the cells that express it), ``mean``, ``other_mean``, ``specificity``. With ``copy=True`` the copy.

    Examples
    --------
    >>> table = scpoli.markers(query, "cell_type_pred")
    >>> sc.pl.rank_genes_groups_dotplot(query, n_genes=3)
    """
    check_data(adata)
    chosen = resolved("markers", {"groups": groups, **options})
    with _annotated(adata, copy, output, chosen) as (workspace, path, into):
        table = workspace.path("markers.csv", "the table of markers")
        files = {"csv": table, **({"output": into, "key_added": key_added} if into is not None else {})}
        placed = workspace.place("markers", chosen)
        summary = run("markers", [path], {**placed, **files}, names=workspace.names)
        rows = read_table(table)
        written = [key_added, *([f"{key_added}_gene_sets"] if summary["gene_sets"] else [])]
        target = _written(adata, copy, output, into, written)
    return target if copy and target is not None else rows


class Comparison:
    """The comparison of two groups of samples.

    Attributes
    ----------
    summary
        Output of ``scpoli compare --json``.
    genes
        A row per cell type and gene, sorted by P value within a type: ``type``, ``gene``, ``symbol``,
        ``log2_fold_change`` (first over second group), ``error``, ``average_expression``, ``t``, ``p``,
        ``p_adjusted``.
    types
        A row per cell type: numbers of samples and cells, of tested genes, or why a type was not compared.
    abundance
        A row per cell type: shares of the cells, and their log ratio to the geometric mean of all types.
    samples
        A row per sample and group.
    gene_sets
        A row per cell type, direction and gene set with differentially expressed genes.
    """

    def __init__(self, summary: dict[str, Any], tables: Mapping[str, pd.DataFrame]) -> None:
        self.summary = summary
        self.genes = tables.get("genes", pd.DataFrame())
        self.types = tables.get("types", pd.DataFrame())
        self.abundance = tables.get("abundance", pd.DataFrame())
        self.samples = tables.get("samples", pd.DataFrame())
        self.gene_sets = tables.get("gene_sets", pd.DataFrame())

    def __repr__(self) -> str:
        about = self.summary
        significant = int(self.types["significant"].sum()) if len(self.types) else 0
        return (
            f"{about['column']}: {about['first']} over {about['second']}; the unit is {about['sample_key']}\n"
            f"    {len(self.types)} types, {significant:,} genes with corrected P below 0.05"
        )

    def _repr_html_(self) -> str:
        return self.types.to_html(index=False)


@overload
def compare(
    adata: Data,
    between: str | Mapping[str, Sequence[str]],
    sample_key: str,
    within: str | None = None,
    *,
    copy: Literal[False] = ...,
    output: PathLike | None = ...,
    key_added: str = ...,
    **options: Unpack[CompareOptions],
) -> Comparison: ...
@overload
def compare(
    adata: ad.AnnData,
    between: str | Mapping[str, Sequence[str]],
    sample_key: str,
    within: str | None = None,
    *,
    copy: Literal[True],
    output: None = ...,
    key_added: str = ...,
    **options: Unpack[CompareOptions],
) -> ad.AnnData: ...
def compare(
    adata: Data,
    between: str | Mapping[str, Sequence[str]],
    sample_key: str,
    within: str | None = None,
    *,
    copy: bool = False,
    output: PathLike | None = None,
    key_added: str = "scpoli_compare",
    **options: Any,
) -> Comparison | ad.AnnData:
    """Compare two groups of samples, gene by gene within each cell type, and the abundance of the types.

    Counts are summed over the cells of each sample and type and tested by limma-voom: samples, not cells, are
    the unit. The tables are written into ``adata.uns[key_added]``; an existing entry is replaced.

    Parameters
    ----------
    adata
        Cells with raw counts, in memory or backed; or the path of a file.
    between
        Column of obs and two of its values, ``{"condition": ["stim", "ctrl"]}``: fold changes are of the
        first over the second.
    sample_key
        Column of obs of the samples: patients, donors. If samples have cells of both groups, the comparison
        is paired.
    within
        Column of obs of the cell types, each compared separately. Default: all cells together.
    copy
        Leave `adata` unchanged and return an annotated copy.
    output
        File to write (``.h5ad``) instead of writing into `adata`: a copy of the input with the tables.
    key_added
        Entry of uns.
    **options
        Options of the verb.

    Returns
    -------
    :class:`Comparison`, or the copy.

    Examples
    --------
    >>> stimulated = scpoli.compare(query, {"condition": ["stim", "ctrl"]}, "donor", within="cell_type_pred")
    >>> stimulated.genes.query("p_adjusted < 0.05")
    """
    check_data(adata)
    chosen = resolved("compare", {"between": between, "sample_key": sample_key, "within": within, **options})
    with _annotated(adata, copy, output, chosen) as (workspace, path, into):
        folder = workspace.path("tables", "the tables")
        files = {"tables": folder, **({"output": into, "key_added": key_added} if into is not None else {})}
        placed = workspace.place("compare", chosen)
        summary = run("compare", [path], {**placed, **files}, names=workspace.names)
        tables = {file.stem: read_table(file) for file in Path(folder).glob("*.csv")}
        target = _written(adata, copy, output, into, [key_added])
    return target if copy and target is not None else Comparison(summary, tables)


@contextmanager
def _annotated(
    adata: Data, copy: bool, output: PathLike | None, chosen: Mapping[str, Any]
) -> Iterator[tuple[Workspace, str, str | None]]:
    """Yield the file of the input and the file to write, None if nothing is annotated."""
    check_destination(adata, copy=copy, output=output)
    with Workspace() as workspace:
        into = None if is_path(adata) else workspace.path("results.h5ad", "the results")
        if output is not None:
            into = os.fspath(output)
        with input_file(workspace, adata, layer=chosen.get("layer")) as path:
            yield workspace, path, into


def _written(
    adata: Data, copy: bool, output: PathLike | None, into: str | None, keys: Sequence[str]
) -> ad.AnnData | None:
    """Write entries of uns into the AnnData, or into a copy."""
    if output is not None or into is None or not isinstance(adata, ad.AnnData):
        return None
    target = copy_of(adata) if copy else adata
    for key in keys:
        target.uns[key] = read_uns(into, key)
    return target


with_options("markers", "csv", "gene_sets_csv")(markers)
with_options("compare", "tables")(compare)

__all__ = ["Comparison", "compare", "markers"]
