"""Writes AnnData to files for the command line, and reads its results."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Union

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

from ._errors import FormatError, MissingKeyError, RefusedError, UsageError

try:
    from anndata.io import read_elem, write_elem
except ImportError:
    from anndata.experimental import read_elem, write_elem

#: An AnnData in memory or backed, or the path of a file.
Data = Union[ad.AnnData, str, "os.PathLike[str]"]


#: Verbs whose option `genes` is a number or a file of names.
_take_lists_of_genes = ("train", "plan", "import", "rounds survey", "rounds run")


class Workspace:
    """A temporary folder for the files of one run, removed at its end."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="scpoli-", dir=os.environ.get("SCPOLI_TMPDIR"))
        self.names: dict[str, str] = {}

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def path(self, name: str, called: str) -> str:
        """Return the path of a file, and register its name for error messages."""
        path = os.path.join(self._folder, name)
        self.names[path] = called
        return path

    # option values that the command line reads from files

    def place(self, verb: str, options: dict[str, Any]) -> dict[str, Any]:
        """Write tables and lists given instead of files, and return the options with paths."""
        placed = dict(options)
        for name in ("gene_map", "label_map"):
            if name in placed and not isinstance(placed[name], (str, os.PathLike)):
                placed[name] = self._table(name, _pairs(name, placed[name]), header=False)
        if isinstance(placed.get("metadata"), pd.DataFrame):
            placed["metadata"] = self._table("metadata", _with_index(placed["metadata"]), header=True)
        if isinstance(placed.get("gene_sets"), Mapping):
            lines = ("\t".join([name, "", *genes]) for name, genes in placed["gene_sets"].items())
            placed["gene_sets"] = self._text("gene_sets", ".gmt", lines)
        genes = placed.get("genes")
        if (
            verb in _take_lists_of_genes
            and genes is not None
            and not isinstance(genes, (str, int, os.PathLike, np.integer))
        ):
            placed["genes"] = self._text("genes", ".txt", (str(gene) for gene in genes))
        return placed

    def _text(self, name: str, ending: str, lines: Iterable[str]) -> str:
        path = self.path(f"{name}{ending}", name)
        Path(path).write_text("".join(f"{line}\n" for line in lines), encoding="utf8")
        return path

    def _table(self, name: str, table: pd.DataFrame, *, header: bool) -> str:
        path = self.path(f"{name}.csv", name)
        table.to_csv(path, index=False, header=header)
        return path


def _pairs(name: str, value: Any) -> pd.DataFrame:
    if isinstance(value, Mapping):
        return pd.DataFrame(list(value.items()))
    if isinstance(value, pd.Series):
        return value.reset_index()
    if isinstance(value, pd.DataFrame):
        return value if value.shape[1] == 2 else value.reset_index()
    raise TypeError(f"{name}: expected a dict, a Series, a DataFrame of two columns or a path.")


def _with_index(table: pd.DataFrame) -> pd.DataFrame:
    is_plain = isinstance(table.index, pd.RangeIndex) and table.index.name is None
    return table if is_plain else table.reset_index()


# AnnData, written


def is_path(data: Any) -> bool:
    """Whether data is the path of a file."""
    return isinstance(data, (str, os.PathLike))


def check_data(data: Any) -> None:
    """Raise a TypeError if data is neither an AnnData nor a path."""
    if not is_path(data) and not isinstance(data, ad.AnnData):
        raise TypeError(f"Expected an AnnData or the path of a file, got a {type(data).__name__}.")


def check_target(data: Data) -> None:
    """Raise a UsageError if results cannot be written into data: a view of a backed AnnData."""
    if isinstance(data, ad.AnnData) and data.isbacked and data.is_view:
        raise UsageError(
            "adata is a view of a backed AnnData, into which nothing can be written: "
            "load it with adata.to_memory(), or give output, the file to write."
        )


def copy_of(data: ad.AnnData) -> ad.AnnData:
    """Return a copy in memory, also of a backed AnnData."""
    return data.to_memory() if data.isbacked else data.copy()


@contextlib.contextmanager
def input_file(
    workspace: Workspace,
    data: Data,
    *,
    name: str = "adata",
    layer: str | None = None,
    counts: bool = True,
    without: Iterable[str] = (),
    obsm: Sequence[str] = (),
    uns: Sequence[str] = (),
) -> Iterator[str]:
    """Provide a file with the part of data that a run needs.

    Parameters
    ----------
    data
        In memory: X (and, if it has no counts, raw and the layers of counts), obs and var are written,
        uncompressed. Backed by a file with the same obs: that file. A path: that file.
    layer
        Layer with the counts; no other matrix is written then.
    counts
        Whether the run reads counts.
    without
        Columns of obs to leave out.
    obsm, uns
        Additional entries to write.
    """
    if not isinstance(data, ad.AnnData):
        yield os.fspath(data)
        return
    columns = [column for column in data.obs.columns if column not in set(without)]
    if data.isbacked and not data.is_view and len(columns) == data.obs.shape[1] and not obsm:
        path = str(data.filename)
        if _has_same_obs(path, data.obs):
            workspace.names[path] = name
            yield path
            return
    path = workspace.path(f"{name}.h5ad", name)
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        _write_frame(file, "obs", data.obs[columns], name)
        _write_frame(file, "var", data.var, name)
        for group in ("obsm", "uns", "layers", "varm", "obsp", "varp"):
            write_elem(file, group, {})
        for key in obsm:
            if key in data.obsm:
                write_elem(file["obsm"], key, _plain(data.obsm[key]))
        for key in uns:
            if key in data.uns:
                write_elem(file["uns"], key, data.uns[key])
        if counts:
            _write_counts(file, data, layer, name)
    yield path


#: Entries of uns that describe a file (CELLxGENE's schema).
schema_entries = ("schema_version", "title", "batch_condition", "default_embedding")


def _has_same_obs(path: str, obs: pd.DataFrame) -> bool:
    try:
        with h5py.File(path, "r") as file:
            return bool(read_elem(file["obs"]).equals(obs))
    except (OSError, KeyError):
        return False


#: Layers that may hold counts, in the search order of the command line.
_count_layers = ("counts", "raw_counts")


def _main_matrix(data: ad.AnnData, name: str) -> Any:
    """Return X. anndata 0.10 cannot read that of a view of a backed AnnData with SciPy 1.17."""
    try:
        return data.X
    except AttributeError as error:
        if not (data.isbacked and data.is_view):
            raise
        raise UsageError(
            f"{name} is a view of a backed AnnData, whose X anndata {ad.__version__} cannot read with this "
            "SciPy: select from adata.to_memory(), or install a newer anndata."
        ) from error


def _write_counts(file: h5py.File, data: ad.AnnData, layer: str | None, name: str) -> None:
    """Write the first matrix with counts, and those before it in the search order."""
    if layer not in (None, "X", "raw"):
        if layer not in data.layers:
            known = ", ".join(repr(key) for key in data.layers) or "none"
            raise MissingKeyError(f"{name} has no layer '{layer}' (its layers: {known}).")
        _write_matrix(file, f"layers/{layer}", data.layers[layer], name)
        return
    matrix = None if layer == "raw" else _main_matrix(data, name)
    if matrix is not None:
        _write_matrix(file, "X", matrix, name)
        if layer == "X" or _looks_like_counts(matrix):
            return
    if data.raw is not None:
        raw = file.create_group("raw")
        raw.attrs.update({"encoding-type": "raw", "encoding-version": "0.1.0"})
        _write_frame(raw, "var", data.raw.var, f"{name}.raw")
        write_elem(raw, "varm", {})
        _write_matrix(raw, "X", data.raw.X, name)
        if layer == "raw" or _looks_like_counts(data.raw.X):
            return
    for key in _count_layers:
        if key in data.layers:
            _write_matrix(file, f"layers/{key}", data.layers[key], name)
            if _looks_like_counts(data.layers[key]):
                return


def _plain(value: Any) -> Any:
    """Return a matrix in memory, also for a view, a backed file or a lazy array."""
    if hasattr(value, "to_memory"):
        value = value.to_memory()
    if hasattr(value, "compute"):
        value = value.compute()
    if isinstance(value, np.matrix):
        return np.asarray(value)
    return value


def _stored(value: Any) -> h5py.Dataset | h5py.Group | None:
    """Return the dataset or group of a matrix of a backed AnnData."""
    group = value if isinstance(value, h5py.Dataset) else getattr(value, "group", None)
    return group if isinstance(group, (h5py.Dataset, h5py.Group)) else None


def _write_matrix(group: h5py.Group, key: str, value: Any, name: str) -> None:
    stored = _stored(value)
    if stored is not None:
        group.copy(stored, group, key)
        return
    matrix = _plain(value)
    if sp.issparse(matrix) and matrix.format not in ("csr", "csc"):
        matrix = matrix.tocsr()
    if sp.issparse(matrix):
        # views have a class of anndata
        plain = sp.csr_matrix if matrix.format == "csr" else sp.csc_matrix
        matrix = plain((matrix.data, matrix.indices, matrix.indptr), shape=matrix.shape, copy=False)
    elif isinstance(matrix, np.ndarray):
        matrix = np.asarray(matrix)
    else:
        raise FormatError(f"{name}.{key} is a {type(matrix).__name__}; expected an array or a sparse matrix.")
    if matrix.dtype.kind not in "biuf":
        kind = "Python objects" if matrix.dtype == object else f"values of type {matrix.dtype}"
        raise FormatError(f"{name}.{key} holds {kind}; expected numbers.")
    # anndata 0.13 takes no key with a slash
    *groups, last = key.split("/")
    write_elem(group.require_group("/".join(groups)) if groups else group, last, matrix)


def _looks_like_counts(value: Any) -> bool:
    stored = _stored(value)
    if isinstance(stored, h5py.Group):
        values = stored["data"][:1_000_000]
    elif stored is not None:
        values = stored[:1000]
    else:
        matrix = _plain(value)
        values = matrix.data if sp.issparse(matrix) else np.asarray(matrix)
    sample = values.ravel()[:1_000_000] if values.flags.c_contiguous else values[:1000].ravel()
    if np.issubdtype(sample.dtype, np.integer):
        return bool((sample >= 0).all())
    return bool(np.isfinite(sample).all() and (sample >= 0).all() and (sample == np.floor(sample)).all())


def _write_frame(group: h5py.Group, key: str, frame: pd.DataFrame, name: str) -> None:
    # text as Python objects: anndata 0.10 does not write the strings of pandas 3
    index = pd.Index([str(entry) for entry in frame.index], dtype=object, name=frame.index.name)
    columns = pd.Index([str(column) for column in frame.columns], dtype=object)
    parts = {at: _writable(values) for at, (_, values) in enumerate(frame.items())}
    frame = pd.DataFrame(
        {at: pd.Series(part.array, index, part.dtype) for at, part in parts.items()}, index=index
    )
    frame.columns = columns
    for column in list(frame.columns):
        if frame[column].dtype != object:
            continue
        kind = pd.api.types.infer_dtype(frame[column], skipna=True)
        if kind not in ("string", "empty"):
            warnings.warn(
                f"{name}.{key}['{column}'] holds values of several kinds ({kind}) and is converted to text.",
                UserWarning,
                stacklevel=6,
            )
            frame[column] = (
                frame[column].map(lambda cell: cell if pd.isna(cell) else str(cell)).astype("category")
            )
        elif frame[column].isna().any():
            frame[column] = frame[column].astype("category")
    try:
        write_elem(group, key, frame)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise FormatError(f"{name}.{key} cannot be written: {error}") from error


def _writable(values: pd.Series) -> pd.Series:
    """Return a column that every anndata can write: text with missing values and dates as categories."""
    kind = values.dtype
    if isinstance(kind, pd.CategoricalDtype):
        if not pd.api.types.is_string_dtype(kind.categories.dtype) or kind.categories.dtype == object:
            return values
        return values.cat.rename_categories(list(kind.categories.astype(object)))
    if isinstance(kind, pd.StringDtype):
        values = values.astype(object)
        return values.astype("category") if values.isna().any() else values
    if pd.api.types.is_datetime64_any_dtype(kind) or isinstance(kind, pd.PeriodDtype):
        return values.astype(str).astype("category")
    return values


# Results, read


class Results:
    """The results that the command line has added to a file.

    Parameters
    ----------
    path
        Path of the file.
    known
        Columns of obs that existed before.
    """

    def __init__(self, path: str, known: Iterable[str]) -> None:
        with h5py.File(path, "r") as file:
            before = set(known)
            order = [str(column) for column in file["obs"].attrs["column-order"]]
            self.obs = {column: read_elem(file[f"obs/{column}"]) for column in order if column not in before}
            self.obsm = {key: read_elem(file[f"obsm/{key}"]) for key in file.get("obsm", {})}
            self.uns = {key: read_elem(file[f"uns/{key}"]) for key in file.get("uns", {}) if key == "scpoli"}

    def write_into(self, data: ad.AnnData) -> None:
        """Write the results into obs, obsm and uns of an AnnData with the same cells."""
        for column, values in self.obs.items():
            data.obs[column] = pd.Series(values, index=data.obs.index) if np.ndim(values) == 1 else values
        for key, values in self.obsm.items():
            data.obsm[key] = values
        for key, values in self.uns.items():
            data.uns[key] = values

    def frame(self, index: pd.Index) -> pd.DataFrame:
        """Return the columns of obs as a table."""
        return pd.DataFrame(self.obs, index=index)


def read_uns(path: str, key: str) -> Any:
    """Read an entry of uns of a file."""
    with h5py.File(path, "r") as file:
        return read_elem(file[f"uns/{key}"])


_endings = ("pred", "prob", "uncert", "novelty", "unknown", "distance", "prototype", "completed")
_positions = ("X_scpoli", "X_umap_scpoli")


def results_of(data: Data, levels: Sequence[str], *, force: bool) -> list[str]:
    """Return the columns of obs that an earlier run has written and that will be replaced.

    Raises
    ------
    RefusedError
        If such a column or embedding exists but was not written by an earlier run, unless ``force``.
    """
    if not isinstance(data, ad.AnnData):
        return []
    columns = [f"{level}_{ending}" for level in levels for ending in _endings] + ["scpoli_cluster"]
    existing = [column for column in columns if column in data.obs]
    if not force and "scpoli" not in data.uns:
        conflicts = [f"adata.obs['{column}']" for column in existing]
        conflicts += [f"adata.obsm['{key}']" for key in _positions if key in data.obsm]
        if conflicts:
            raise RefusedError(
                f"{conflicts[0]} already exists and was not written by scpoli; force=True replaces it."
            )
    return existing
