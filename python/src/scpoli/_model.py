"""Models: training, reading, mapping, samples."""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
from collections import abc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import anndata as ad
import pandas as pd

from ._data import (
    Data,
    PathLike,
    Results,
    Workspace,
    check_data,
    check_destination,
    copy_of,
    input_file,
    is_path,
    remove_with,
    results_of,
    temporary_folder,
)
from ._errors import ArgumentError, FileError, Interrupted, ModelError, UsageError
from ._html_report import Report, write_report
from ._run import run
from ._table import resolved, with_options

if TYPE_CHECKING:
    from typing import Unpack

    from ._signatures import (
        EmbedOptions,
        ExpressionOptions,
        LabelOptions,
        MapOptions,
        ReportOptions,
        SamplesOptions,
        TrainOptions,
    )

Keys = str | Sequence[str]


def _inspected(path: PathLike) -> dict[str, Any]:
    try:
        return run("inspect", [path], {}, progress=False)
    except FileError as error:
        if not os.path.exists(path):
            raise
        raise ModelError(
            f"{os.fspath(path)} is not a model: a folder with a model.json, a zip or tar file of one, or a "
            f"model of scArches. {error}"
        ) from error


class Model:
    """A scPoli model: a reference, possibly with mapped queries.

    Made by :func:`train`, :func:`read` and :meth:`map`. A model is immutable: `map` and `label` return
    new ones.

    Attributes
    ----------
    path
        Folder or file of the model. For an unsaved model a temporary file, which is removed with it.
    """

    def __init__(self, path: PathLike, *, summary: dict[str, Any] | None = None) -> None:
        self.path = Path(path)
        self._summary = summary if summary is not None else _inspected(path)
        if "cell_types" not in self._summary:
            raise ModelError(
                f"{os.fspath(path)} holds cells, not a model; scpoli.train() makes a model of them."
            )

    @classmethod
    def _temporary(cls, made: str) -> Model:
        """Move a file of a workspace to a temporary folder of the model."""
        folder = temporary_folder("scpoli-model-")
        path = shutil.move(made, os.path.join(folder, "model.zip"))
        model = cls(path)
        remove_with(model, folder)
        return model

    def _workspace(self) -> Workspace:
        """Return a workspace whose messages speak of this model by name, not by path."""
        workspace = Workspace()
        workspace.names[str(self.path)] = "the model"
        return workspace

    # properties

    @property
    def summary(self) -> dict[str, Any]:
        """Output of ``scpoli inspect MODEL``: conditions, cell types, prototypes, provenance and more."""
        return self._summary

    @property
    def condition_keys(self) -> list[str]:
        """Names of the condition keys."""
        return list(self._summary["conditions"])

    @property
    def conditions(self) -> dict[str, list[str]]:
        """Names of the conditions of each key, those of the reference first."""
        return self._summary["conditions"]

    @property
    def cell_type_keys(self) -> list[str]:
        """Names of the annotation levels."""
        return list(self._summary["cell_types"])

    @property
    def cell_types(self) -> dict[str, list[str]]:
        """Names of the cell types of each level."""
        return {level: list(types) for level, types in self._summary["cell_types"].items()}

    @property
    def prototypes(self) -> pd.DataFrame:
        """The prototypes: level, number of cells, spread, nearest other prototype. Index: name."""
        return pd.DataFrame(self._summary["prototypes"]).set_index("name")

    @property
    def genes(self) -> pd.Index:
        """Names of the genes."""
        return pd.Index(self._json()["genes"])

    @property
    def history(self) -> pd.DataFrame:
        """Losses of the training, a row per epoch; empty if they are not stored."""
        return pd.json_normalize(self._json()["provenance"].get("history", []))

    def _json(self) -> dict[str, Any]:
        path = self.path
        if path.is_dir() and (path / "model.json").exists():
            return json.loads((path / "model.json").read_text(encoding="utf8"))
        with Workspace() as workspace:
            made = str(path)
            if not zipfile.is_zipfile(made) or "model.json" not in zipfile.ZipFile(made).namelist():
                made = workspace.path("model.zip", "the model")
                run("import", [path], {"output": made}, progress=False)
            with zipfile.ZipFile(made) as archive:
                return json.loads(archive.read("model.json"))

    def __repr__(self) -> str:
        cells = self._summary["cells"]
        of = f" of {cells:,} cells" if cells else ""
        keys = ", ".join(f"{key} ({len(names)})" for key, names in self.conditions.items())
        types = ", ".join(f"{key} ({len(names)})" for key, names in self.cell_types.items()) or "none"
        return (
            f"scPoli model{of} x {self._summary['genes']:,} genes\n"
            f"    conditions: {keys}\n    cell types: {types}\n    path: {self.path}"
        )

    # verbs

    @overload
    def map(
        self, adata: Data, *, copy: Literal[False] = ..., output: None = ..., **options: Unpack[MapOptions]
    ) -> Mapping: ...
    @overload
    def map(
        self, adata: ad.AnnData, *, copy: Literal[True], output: None = ..., **options: Unpack[MapOptions]
    ) -> ad.AnnData: ...
    @overload
    def map(
        self,
        adata: Data,
        *,
        copy: Literal[False] = ...,
        output: PathLike,
        **options: Unpack[MapOptions],
    ) -> Mapping: ...
    def map(
        self, adata: Data, *, copy: bool = False, output: PathLike | None = None, **options: Any
    ) -> Mapping | ad.AnnData:
        """Map new cells onto the reference: latent coordinates, cell types, uncertainties.

        Only parameters of new conditions are learnt; the reference does not change. Writes into `adata`: per
        level ``obs["<level>_pred"]`` and related columns, ``obsm["X_scpoli"]``, ``obsm["X_umap_scpoli"]`` if
        the model carries a UMAP, ``uns["scpoli"]``. Results of an earlier run are replaced.

        Parameters
        ----------
        adata
            Cells with raw counts, in memory or backed; or the path of a file, with `output`.
        copy
            Leave `adata` unchanged and return an annotated copy.
        output
            File to write (``.h5ad``) instead of writing into `adata`: a copy of the input with the results.
        **options
            Options of the verb.

        Returns
        -------
        :class:`Mapping`, or the copy.

        Raises
        ------
        ScPoliError
            The subclass tells the kind of error; :class:`RefusedError` if ``force=True`` would continue.

        Examples
        --------
        >>> mapping = model.map(query)
        >>> query.obs[["cell_type_pred", "cell_type_prob"]]
        >>> mapping.verdict["light"]
        """
        return self._place("map", "reference", adata, copy, output, options)

    @overload
    def embed(
        self, adata: Data, *, copy: Literal[False] = ..., output: None = ..., **options: Unpack[EmbedOptions]
    ) -> Mapping: ...
    @overload
    def embed(
        self, adata: ad.AnnData, *, copy: Literal[True], output: None = ..., **options: Unpack[EmbedOptions]
    ) -> ad.AnnData: ...
    @overload
    def embed(
        self,
        adata: Data,
        *,
        copy: Literal[False] = ...,
        output: PathLike,
        **options: Unpack[EmbedOptions],
    ) -> Mapping: ...
    def embed(
        self, adata: Data, *, copy: bool = False, output: PathLike | None = None, **options: Any
    ) -> Mapping | ad.AnnData:
        """Embed and label cells of conditions known to the model, without training.

        Parameters
        ----------
        adata
            Cells with raw counts, in memory or backed; or the path of a file, with `output`.
        copy
            Leave `adata` unchanged and return an annotated copy.
        output
            File to write (``.h5ad``) instead of writing into `adata`.
        **options
            Options of the verb.

        Returns
        -------
        As :meth:`map`.
        """
        return self._place("embed", "model", adata, copy, output, options)

    def _place(
        self,
        verb: str,
        model_option: str,
        adata: Data,
        copy: bool,
        output: PathLike | None,
        given: abc.Mapping[str, Any],
    ) -> Mapping | ad.AnnData:
        check_data(adata)
        options = resolved(verb, given)
        if is_path(adata) and output is None:
            what = f"adata is a {type(adata).__name__}, the path of a file"
            raise UsageError(f"{what}: {verb}() needs output, the file to write. Or pass an AnnData.")
        check_destination(adata, copy=copy, output=output)
        old = results_of(adata, self.cell_type_keys, force=bool(options.get("force")))
        with self._workspace() as workspace:
            options = workspace.place(verb, options)
            into = os.fspath(output) if output is not None else workspace.path("mapped.h5ad", "the results")
            saved = None
            if verb == "map":
                saved = options.get("save_model") or workspace.path("model.zip", "the model")
            with input_file(workspace, adata, layer=options.get("layer"), without=old) as path:
                result = run(
                    verb,
                    [path],
                    {
                        **options,
                        model_option: self.path,
                        "output": into,
                        **({"save_model": saved} if saved is not None else {}),
                    },
                    names=workspace.names,
                )
            if saved is None:
                model = self
            else:
                model = Model(saved) if "save_model" in options else Model._temporary(os.fspath(saved))
            if output is not None:
                return Mapping(result, model, None, Path(into))
            assert isinstance(adata, ad.AnnData)  # a path needs output
            target = copy_of(adata) if copy else adata
            known = [column for column in adata.obs.columns if column not in set(old)]
            Results(into, known).write_into(target)
            return target if copy else Mapping(result, model, target, None)

    def samples(
        self, adata: Data | None = None, *, key: Keys | None = None, **options: Unpack[SamplesOptions]
    ) -> Any:
        """Analyse the embeddings of the conditions as samples, without training.

        Parameters
        ----------
        adata
            The cells of the samples: columns of obs that are constant within samples are their metadata, the
            counts give mean expression and pseudobulk.
        key
            Condition keys to analyse. Default: all.
        **options
            Options of the verb.

        Returns
        -------
        An AnnData with a row per sample: X the embedding, obs the metadata, ``obsm["X_pca"]``, tables in uns.
        With several condition keys a dict of these by key.

        Examples
        --------
        >>> samples = model.samples(metadata=donors, classify="severity")
        >>> samples.uns["associations"]
        """
        chosen = resolved("samples", {**options, "key": key})
        keys = (
            [chosen["key"]]
            if isinstance(chosen.get("key"), str)
            else chosen.get("key") or self.condition_keys
        )
        with self._workspace() as workspace:
            chosen = workspace.place("samples", chosen)
            into = chosen.pop("output", None) or workspace.path("samples.h5ad", "the samples")
            if adata is None:
                result = run("samples", [self.path], {**chosen, "output": into}, names=workspace.names)
            else:
                check_data(adata)
                with input_file(workspace, adata, layer=chosen.get("layer")) as path:
                    result = run(
                        "samples",
                        [self.path],
                        {**chosen, "output": into, "data": path},
                        names=workspace.names,
                    )
            written = [path for path in result["written"] if path.endswith(".h5ad")]
            tables = {name: ad.read_h5ad(path) for name, path in zip(keys, written, strict=True)}
        return tables[keys[0]] if len(keys) == 1 else tables

    def expression(
        self,
        adata: Data,
        *,
        output: PathLike | None = None,
        **options: Unpack[ExpressionOptions],
    ) -> ad.AnnData:
        """Decode expression: denoised, corrected for conditions, or for another condition; without training.

        Parameters
        ----------
        adata
            Cells with raw counts of conditions known to the model (``mapping.model`` knows those of a query),
            in memory or backed; or the path of a file.
        output
            File to write (``.h5ad``). Default: values in memory only.
        **options
            Options of the verb.

        Returns
        -------
        An AnnData of the cells and the model's genes: X the decoded expression (dense; a cell's sum is
        `library_size`), with `samples` its standard deviation in layers. With `output` it is backed by that
        file.

        Examples
        --------
        >>> corrected = mapping.model.expression(query, average=True)
        >>> stimulated = mapping.model.expression(query, as_={"sample": "P101_stim"}, genes=["ISG15"])
        """
        check_data(adata)
        chosen = resolved("expression", options)
        with self._workspace() as workspace:
            chosen = workspace.place("expression", chosen)
            into = (
                os.fspath(output) if output is not None else workspace.path("expression.h5ad", "the results")
            )
            with input_file(workspace, adata, layer=chosen.get("layer")) as path:
                run("expression", [self.path, path], {**chosen, "output": into}, names=workspace.names)
            return ad.read_h5ad(into, backed="r") if output is not None else ad.read_h5ad(into)

    def label(self, name: str, adata: Data | None = None, **options: Unpack[LabelOptions]) -> Model:
        """Name an unlabelled prototype, or selected cells of conditions known to the model.

        Parameters
        ----------
        name
            The new cell type.
        adata
            File of the cells, with `select`.
        **options
            Options of the verb.

        Returns
        -------
        The model with the new cell type.
        """
        chosen = resolved("label", {**options, "name": name})
        with self._workspace() as workspace:
            chosen = workspace.place("label", chosen)
            saved = chosen.pop("output", None)
            into = saved or workspace.path("model.zip", "the model")
            if adata is None:
                run("label", [self.path], {**chosen, "output": into}, names=workspace.names)
            else:
                check_data(adata)
                with input_file(workspace, adata, layer=chosen.get("layer")) as path:
                    run(
                        "label", [self.path], {**chosen, "output": into, "cells": path}, names=workspace.names
                    )
            return Model(into) if saved else Model._temporary(os.fspath(into))

    def save(self, path: PathLike, *, force: bool = False) -> None:
        """Save the model.

        Parameters
        ----------
        path
            A folder, or a file if the name ends in ``.zip``.
        force
            Replace an existing model.
        """
        run("import", [self.path], {"output": path, "force": force}, progress=False)

    def export(self, folder: PathLike, *, force: bool = False) -> None:
        """Write a folder that scArches 0.6.1 loads: ``scPoli.load(folder, adata)``.

        Parameters
        ----------
        folder
            Folder to write.
        force
            Replace an existing scArches model.
        """
        run("export", [self.path], {"output": folder, "force": force}, progress=False)

    def report(self, output: PathLike | None = None, **options: Unpack[ReportOptions]) -> Report:
        """Show the reference as an HTML report: cells, samples, training.

        Parameters
        ----------
        output
            File to write. Default: a temporary one.
        **options
            Options of the verb.

        Returns
        -------
        The report, which notebooks show.
        """
        return write_report(self.path, is_model=True, output=output, options=options)


class Mapping:
    """The result of `map` or `embed`.

    Attributes
    ----------
    summary
        Output of ``scpoli map --json``: matched genes, conditions, levels and more.
    model
        The model with the query's conditions.
    adata
        The AnnData with the results; None if they were written to a file.
    path
        The file written; None if there is none.
    """

    def __init__(
        self, summary: dict[str, Any], model: Model, adata: ad.AnnData | None, path: Path | None
    ) -> None:
        self.summary = summary
        self.model = model
        self.adata = adata
        self.path = path

    @property
    def verdict(self) -> dict[str, Any]:
        """Reliability of the mapping: ``light`` (green, amber, red) and ``reasons``."""
        return self.summary["verdict"]

    @property
    def reasons(self) -> pd.DataFrame:
        """The reasons of the verdict, a row each."""
        return pd.DataFrame(self.summary["verdict"]["reasons"])

    @property
    def conditions(self) -> pd.DataFrame:
        """The conditions of these cells and how each was treated."""
        return pd.DataFrame(self.summary["conditions"])

    def __repr__(self) -> str:
        genes = self.summary["genes"]
        return (
            f"{self.summary['cells']:,} cells, {genes['found']:,} of the model's {genes['model']:,} genes\n"
            f"    verdict: {self.verdict['light']}"
        )


#: Folder of the checkpoint of the last interrupted training without `output`.
_interrupted: dict[str, str] = {}


def train(
    adata: Data,
    condition_key: Keys | None = None,
    cell_type_key: Keys | None = None,
    *,
    output: PathLike | None = None,
    embed: bool | PathLike = False,
    **options: Unpack[TrainOptions],
) -> Model:
    """Train a reference on labelled cells of several conditions.

    Parameters
    ----------
    adata
        Cells with raw counts (``recon_loss="mse"``: normalised values), in memory or backed; or the path of a
        file.
    condition_key
        Columns of obs of the conditions (sample, donor, study), one embedding each.
    cell_type_key
        Columns of obs of the cell types, one per annotation level.
    output
        Folder, or file whose name ends in ``.zip``, for the model. Default: a temporary file until it is
        saved.
    embed
        Also write the latent coordinates and labels of the training cells into `adata`; for a path: the file
        to write.
    **options
        Options of the verb.

    Returns
    -------
    The model.

    Raises
    ------
    ScPoliError
        The subclass tells the kind of error.
    Interrupted
        A KeyboardInterrupt; ``train(..., resume=True)`` resumes from the checkpoint.

    Examples
    --------
    >>> model = scpoli.train(adata, condition_key="donor", cell_type_key="cell_type")
    >>> model.save("atlas.zip")
    """
    check_data(adata)
    chosen = resolved("train", {"condition_key": condition_key, "cell_type_key": cell_type_key, **options})
    if "condition_key" not in chosen:
        raise ArgumentError("train() needs condition_key, the columns of adata.obs with the conditions.")
    if embed is True and is_path(adata):
        raise UsageError("embed=True writes into an AnnData; for the path of a file, give the file to write.")
    if embed is True:
        check_destination(adata)
    levels = chosen.get("cell_type_key", [])
    levels = [levels] if isinstance(levels, str) else list(levels)
    old = results_of(adata, levels, force=bool(chosen.get("force"))) if embed is True else []
    with Workspace() as workspace:
        placed = workspace.place("train", chosen)
        into = os.fspath(output) if output is not None else workspace.path("model.zip", "the model")
        kept = _interrupted.pop("folder", None) if placed.get("resume") and output is None else None
        if kept is not None:
            shutil.move(os.path.join(kept, "model.zip.checkpoint"), f"{into}.checkpoint")
            shutil.rmtree(kept, ignore_errors=True)
        embedded = None
        if embed is not False:
            embedded = workspace.path("embedded.h5ad", "the results") if embed is True else os.fspath(embed)
        with input_file(workspace, adata, layer=placed.get("layer"), without=old) as path:
            try:
                run(
                    "train",
                    [path],
                    {**placed, "output": into, **({"embed": embedded} if embedded else {})},
                    names=workspace.names,
                )
            except Interrupted as error:
                raise _kept(error, keep=output is None) from None
        if embed is True and embedded is not None and isinstance(adata, ad.AnnData):
            known = [column for column in adata.obs.columns if column not in set(old)]
            Results(embedded, known).write_into(adata)
        return Model(into) if output is not None else Model._temporary(into)


def _kept(error: Interrupted, *, keep: bool) -> Interrupted:
    """Keep the checkpoint of a training without `output` until the process ends."""
    if error.checkpoint is None:
        return Interrupted("Interrupted before the training; nothing was written.")
    if not keep:
        return Interrupted(
            f"Interrupted. {error.checkpoint} keeps what has been learnt: "
            "the same call with resume=True goes on.",
            error.checkpoint,
        )
    folder = temporary_folder("scpoli-checkpoint-")
    path = shutil.move(error.checkpoint, os.path.join(folder, "model.zip.checkpoint"))
    _interrupted["folder"] = folder
    remove_with(_interrupted_owner, folder)
    return Interrupted(
        "Interrupted. What has been learnt is kept until Python ends: "
        "the same call with resume=True goes on.",
        path,
    )


class _Owner:
    """An object that lives until the process ends, to remove temporary files then."""


_interrupted_owner = _Owner()


def read(path: PathLike, *, genes: Sequence[str] | PathLike | None = None) -> Model:
    """Read a model: a folder, a zip or tar file of a folder, or a model of scArches.

    Parameters
    ----------
    path
        Path of the model, or ``NAME@VERSION`` of a model of the index (:mod:`scpoli.models`). A model of
        scArches (attr.pkl, or a single model.pt) is imported at every use; :meth:`Model.save` converts it.
    genes
        Names of the genes in the model's order, or a file of them, for a model of scArches without
        var_names.csv.

    Returns
    -------
    The model.

    Raises
    ------
    FileError
        There is no such file.
    ModelError
        The file is not a model, or a damaged one.
    """
    if not is_path(path):
        raise ArgumentError(f"path: expected the path of a model, got {type(path).__name__}.")
    given = os.path.expanduser(os.fspath(path))
    if re.fullmatch(r"[\w.-]+", given) and not os.path.exists(given):
        raise FileError(
            f"There is no file or folder {given}. A model of the index is read as NAME@VERSION: see "
            "scpoli.models.list()."
        )
    if "@" in given and not os.path.exists(given):
        return Model(run("models pull", [given], {})["path"])
    if genes is not None:
        with Workspace() as workspace:
            placed = workspace.place("import", {"genes": genes})
            made = workspace.path("model.zip", "the model")
            run("import", [given], {**placed, "output": made}, names=workspace.names, progress=False)
            return Model._temporary(made)
    return Model(given)


with_options("map", "output", "reference")(Model.map)
with_options("embed", "output", "model")(Model.embed)
with_options("samples", "output", "data")(Model.samples)
with_options("expression", "output")(Model.expression)
with_options("label", "cells")(Model.label)
with_options("train", "output")(train)
