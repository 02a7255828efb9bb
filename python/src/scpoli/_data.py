"""Writes AnnData to files for the command line, and reads its results."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

from ._errors import ArgumentError, FileError, FormatError, MissingKeyError, RefusedError, UsageError
from ._table import count_layers

try:
    from anndata.io import read_elem, write_elem
except ImportError:
    from anndata.experimental import read_elem, write_elem

#: The path of a file or folder.
PathLike: TypeAlias = str | os.PathLike[str]
#: An AnnData in memory or backed, or the path of a file.
Data: TypeAlias = ad.AnnData | PathLike


#: Verbs whose option `genes` is a number or a file of names.
_take_lists_of_genes = ("train", "plan", "import", "rounds survey", "rounds run")


def temporary_folder(prefix: str = "scpoli-") -> str:
    """Make a temporary folder, in ``SCPOLI_TMPDIR`` if it is set."""
    return tempfile.mkdtemp(prefix=prefix, dir=os.environ.get("SCPOLI_TMPDIR"))


def remove_with(owner: object, folder: str) -> None:
    """Remove a temporary folder together with an object, or when Python ends."""
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)


class Workspace:
    """A temporary folder for the files of one run, removed at its end."""

    def __init__(self) -> None:
        self._folder = temporary_folder()
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
            if not isinstance(genes, Iterable):
                raise ArgumentError(f"genes={genes!r}: expected a number, a list of genes or a file of them.")
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
    raise ArgumentError(f"{name}: expected a dict, a Series, a DataFrame of two columns or a path.")


def _with_index(table: pd.DataFrame) -> pd.DataFrame:
    is_plain = isinstance(table.index, pd.RangeIndex) and table.index.name is None
    return table if is_plain else table.reset_index()


# AnnData, written


def is_path(data: Any) -> bool:
    """Whether data is the path of a file."""
    return isinstance(data, (str, os.PathLike))


def check_data(data: Any, name: str = "adata") -> None:
    """Raise an error if data is neither an AnnData nor a path, or an AnnData whose file is gone."""
    if is_path(data):
        return
    if not isinstance(data, ad.AnnData):
        kind = "None" if data is None else type(data).__name__
        raise ArgumentError(f"{name}: expected an AnnData or the path of a file, got {kind}.")
    if data.isbacked and not os.path.exists(str(data.filename)):
        raise FileError(f"{name} is backed by {data.filename}, which does not exist any more.")


def check_destination(data: Data, *, copy: bool = False, output: PathLike | None = None) -> None:
    """Raise a UsageError if results cannot be written where they are wanted.

    Parameters
    ----------
    data
        An AnnData, into which results are written unless `copy` or `output` is given; or a path.
    copy, output
        Arguments of the same names of the public functions.
    """
    if copy and (output is not None or is_path(data)):
        raise UsageError("copy needs an AnnData and cannot be combined with output.")
    if copy or output is not None:
        return
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
    every_matrix: bool = False,
    without: Iterable[str] = (),
    obsm: Sequence[str] = (),
    uns: Sequence[str] = (),
) -> Iterator[str]:
    """Provide a file with the part of data that a run needs.

    Parameters
    ----------
    data
        In memory: obs, var and the matrices that may hold the counts are written, uncompressed. Backed by a
        file with the same obs: that file. A path: that file.
    layer
        Layer with the counts; no other matrix is written then.
    counts
        Whether the run reads counts.
    every_matrix
        Write all matrices, also those that no run would choose.
    without
        Columns of obs to leave out.
    obsm, uns
        Entries to write, besides those of uns that describe a file.
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
        for key in (*_schema_entries, *uns):
            if key in data.uns:
                write_elem(file["uns"], key, data.uns[key])
        if counts:
            _write_counts(file, data, layer, name, every=every_matrix)
    yield path


#: Entries of uns that describe a file (CELLxGENE's schema).
_schema_entries = ("schema_version", "title", "batch_condition", "default_embedding")


def _has_same_obs(path: str, obs: pd.DataFrame) -> bool:
    try:
        with h5py.File(path, "r") as file:
            return bool(read_elem(file["obs"]).equals(obs))
    except (OSError, KeyError):
        return False


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


def _layer_names(data: ad.AnnData) -> list[str]:
    """Return the names of the layers. From anndata 0.13 on, X is among them, without a name."""
    return [key for key in data.layers if key is not None]


def _matrix_at(data: ad.AnnData, place: str, name: str) -> Any:
    """Return X, raw.X ("raw") or a layer ("layers/NAME"); None if there is none."""
    if place == "X":
        return _main_matrix(data, name)
    if place == "raw":
        return None if data.raw is None else data.raw.X
    return data.layers[place.removeprefix("layers/")]


def _write_place(file: h5py.File, data: ad.AnnData, place: str, matrix: Any, name: str) -> None:
    if place != "raw":
        _write_matrix(file, place, matrix, name)
        return
    raw = file.create_group("raw")
    raw.attrs.update({"encoding-type": "raw", "encoding-version": "0.1.0"})
    _write_frame(raw, "var", data.raw.var, f"{name}.raw")
    write_elem(raw, "varm", {})
    _write_matrix(raw, "X", matrix, name)


def _write_counts(
    file: h5py.File, data: ad.AnnData, layer: str | None, name: str, *, every: bool = False
) -> None:
    """Write the matrices among which the command line chooses the counts, so that it chooses as in a file.

    These are X, raw and the usual layers: the first with counts and those before it, and any others with
    whole numbers that differ. Without plain counts among them, and with `every`, all layers.
    """
    layers = _layer_names(data)
    if layer is not None and layer not in layers:
        layer = layer.removeprefix("layers/")
    if layer not in (None, "X", "raw", "raw.X") and layer not in layers:
        known = ", ".join(repr(key) for key in layers) or "none"
        raise MissingKeyError(f"{name} has no layer '{layer}' (its layers: {known}).")
    usual = ["X", "raw", *(f"layers/{key}" for key in count_layers() if key in layers)]
    if layer is not None:
        usual = [layer.removesuffix(".X") if layer in ("X", "raw", "raw.X") else f"layers/{layer}"]
        layers = []
    counts: list[tuple[str, Any]] = []
    for place in usual:
        matrix = _matrix_at(data, place, name)
        if matrix is None:
            continue
        is_whole = _looks_like_counts(matrix)
        has_same = is_whole and any(_is_same(data, place, matrix, *other) for other in counts)
        if every or not (has_same or (counts and not is_whole)):
            _write_place(file, data, place, matrix, name)
        if is_whole:
            counts.append((place, matrix))
    if every or all(_is_suspicious(matrix) for _, matrix in counts):
        for place in (f"layers/{key}" for key in layers):
            if place not in usual:
                _write_place(file, data, place, _matrix_at(data, place, name), name)


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
    _write_nested(group, key, matrix)


def _looks_like_counts(value: Any) -> bool:
    """Whether the first values are not negative and whole, up to rounding errors."""
    stored = _stored(value)
    if isinstance(stored, h5py.Group):
        values = stored["data"][:1_000_000]
    elif stored is not None:
        values = stored[:1000]
    else:
        matrix = _plain(value)
        values = matrix.data if sp.issparse(matrix) else np.asarray(matrix)
    sample = values.ravel()[:1_000_000] if values.flags.c_contiguous else values[:1000].ravel()
    if sample.dtype.kind not in "biuf":
        return False
    if sample.dtype.kind != "f":
        return bool((sample >= 0).all())
    return bool(np.isfinite(sample).all() and (sample >= 0).all() and _is_nearly_whole(sample))


def _is_nearly_whole(values: np.ndarray) -> bool:
    whole = np.rint(values)
    return bool((values == whole).all() or (np.abs(values - whole) <= 0.01).all())


def _is_same(data: ad.AnnData, place: str, matrix: Any, other_place: str, other: Any) -> bool:
    """Whether two matrices of the same genes are equal; False also if comparing them would take long."""
    if "raw" in (place, other_place) and not data.raw.var_names.equals(data.var_names):
        return False
    if matrix is other:
        return True
    if _stored(matrix) is not None or _stored(other) is not None:
        return False
    one, two = _plain(matrix), _plain(other)
    if sp.issparse(one) and sp.issparse(two):
        return (
            one.format == two.format
            and one.format in ("csr", "csc")
            and one.shape == two.shape
            and np.array_equal(one.indptr, two.indptr)
            and np.array_equal(one.indices, two.indices)
            and np.array_equal(one.data, two.data)
        )
    return isinstance(one, np.ndarray) and isinstance(two, np.ndarray) and np.array_equal(one, two)


#: Cells whose values are looked at.
_sampled_cells = 256


def _is_suspicious(value: Any) -> bool:
    """Whether whole numbers may be something else than raw counts: 0 and 1, ranks, rounded normalised values.

    The limits are wider than those of the command line, which decides.
    """
    rows = _first_rows(value)
    if rows is None or rows.nnz == 0 or rows.data.max() <= 1:
        return True
    parts = np.split(rows.data, rows.indptr[1:-1])
    distinct = [len(np.unique(part)) / len(part) for part in parts if len(part) > 0]
    totals = np.array([part.sum() for part in parts if len(part) > 0])
    return bool(np.mean(distinct) > 0.5 or np.ptp(totals) <= 0.1 * totals.mean())


def _first_rows(value: Any) -> sp.csr_matrix | None:
    """Return the first cells of a matrix; None if it is stored by genes in a file."""
    stored = _stored(value)
    if isinstance(stored, h5py.Group):
        if stored.attrs.get("encoding-type") != "csr_matrix":
            return None
        starts = stored["indptr"][: _sampled_cells + 1]
        parts = (stored["data"][: starts[-1]].astype(float), stored["indices"][: starts[-1]], starts)
        rows = sp.csr_matrix(parts, shape=(len(starts) - 1, value.shape[1]))
    else:
        rows = sp.csr_matrix((_plain(value) if stored is None else stored)[:_sampled_cells].astype(float))
    rows.eliminate_zeros()
    return rows


def _write_frame(group: h5py.Group, key: str, frame: pd.DataFrame, name: str) -> None:
    frame = _storable(frame, f"{name}.{key}")
    nested = [column for column in frame.columns if "/" in column]
    try:
        write_elem(group, key, frame.drop(columns=nested))
        for column in nested:
            values = frame[column]
            is_extension = pd.api.types.is_extension_array_dtype(values.dtype)
            _write_nested(group[key], column, values.array if is_extension else values.to_numpy())
    except (TypeError, ValueError, NotImplementedError) as error:
        raise FormatError(f"{name}.{key} cannot be written: {error}") from error
    if nested:
        group[key].attrs["column-order"] = list(frame.columns)


def _write_nested(group: h5py.Group, key: str, value: Any) -> None:
    """Write an element whose key may have slashes, which anndata 0.13 does not take."""
    *groups, last = key.split("/")
    write_elem(group.require_group("/".join(groups)) if groups else group, last, value)


def _storable(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a frame of columns that every anndata can write, with texts as names."""
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
                f"{name}['{column}'] holds values of several kinds ({kind}) and is converted to text.",
                UserWarning,
                stacklevel=7,
            )
            frame[column] = (
                frame[column].map(lambda cell: cell if pd.isna(cell) else str(cell)).astype("category")
            )
        elif frame[column].isna().any():
            frame[column] = frame[column].astype("category")
    return frame


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


_endings = ("pred", "prob", "uncert", "novelty", "unknown", "distance", "prototype", "head", "completed")
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
