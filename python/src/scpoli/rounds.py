"""Training of a reference on many machines, each with a shard of the cells.

Every step reads and writes files in one folder.

>>> for shard in shards:
...     scpoli.rounds.survey(
...         "run", f"{shard}.h5ad", shard=shard, condition_key="donor", cell_type_key="cell_type"
...     )
>>> scpoli.rounds.init("run", rounds=24)
>>> scpoli.rounds.status("run")["next"]
'local of round 1'

:func:`run` runs all steps on this machine. Each step returns the output of its verb of the command line: the
file written, with its checksum.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._data import Data, PathLike, Workspace, check_data, input_file
from ._model import Keys, Model
from ._run import run as _run
from ._table import resolved, with_options

if TYPE_CHECKING:
    from typing import Unpack

    from ._signatures import (
        RoundsCutOptions,
        RoundsInitOptions,
        RoundsLocalOptions,
        RoundsManifestOptions,
        RoundsMergeOptions,
        RoundsRunOptions,
        RoundsStatusOptions,
        RoundsSummaryOptions,
        RoundsSurveyOptions,
        RoundsWorkOptions,
    )

__all__ = [
    "cut",
    "finish",
    "init",
    "local",
    "manifest",
    "merge",
    "run",
    "status",
    "summary",
    "survey",
    "work",
]


def cut(
    file: PathLike, output: PathLike, *, shards: int, condition_key: Keys, **options: Unpack[RoundsCutOptions]
) -> list[Path]:
    """Cut the file of an atlas into shards, one file each.

    Parameters
    ----------
    file
        An ``.h5ad`` file.
    output
        Folder of the shards.
    shards
        Number of shards.
    condition_key
        Columns of obs of the conditions.
    **options
        Options of the verb.

    Returns
    -------
    The files.
    """
    chosen = resolved("rounds cut", {"shards": shards, "condition_key": condition_key, **options})
    return [Path(path) for path in _run("rounds cut", [file], {**chosen, "output": output})["written"]]


def survey(
    folder: PathLike,
    adata: Data,
    *,
    shard: str,
    condition_key: Keys,
    cell_type_key: Keys | None = None,
    **options: Unpack[RoundsSurveyOptions],
) -> dict[str, Any]:
    """Collect the statistics of a shard that the plan needs.

    Parameters
    ----------
    folder
        Folder of the run.
    adata
        The shard: its cells with raw counts, or the path of its file.
    shard
        Name of the shard.
    condition_key
        Columns of obs of the conditions.
    cell_type_key
        Columns of obs of the cell types, one per annotation level.
    **options
        Options of the verb.

    Returns
    -------
    ``written`` and ``sha256``.
    """
    keys = {"shard": shard, "condition_key": condition_key, "cell_type_key": cell_type_key}
    return _step("rounds survey", folder, adata, resolved("rounds survey", {**keys, **options}))


def init(folder: PathLike, **options: Unpack[RoundsInitOptions]) -> dict[str, Any]:
    """Make the plan and the initial weights from the surveys of all shards.

    Parameters
    ----------
    folder
        Folder of the run.
    **options
        Options of the verb.

    Returns
    -------
    ``written`` and ``sha256``.
    """
    return _step("rounds init", folder, None, resolved("rounds init", options))


def local(
    folder: PathLike, adata: Data, *, shard: str, round: int, **options: Unpack[RoundsLocalOptions]
) -> dict[str, Any]:
    """Train one round of one shard.

    Parameters
    ----------
    folder
        Folder of the run.
    adata
        The surveyed shard.
    shard
        Name of the shard.
    round
        Number of the round, from 1.
    **options
        Options of the verb.

    Returns
    -------
    ``written`` and ``sha256``.
    """
    chosen = resolved("rounds local", {"shard": shard, "round": round, **options})
    return _step("rounds local", folder, adata, chosen)


def merge(folder: PathLike, *, round: int, **options: Unpack[RoundsMergeOptions]) -> dict[str, Any]:
    """Merge the weights of all shards into the initial weights of the next round.

    Parameters
    ----------
    folder
        Folder of the run.
    round
        Number of the round, from 1.
    **options
        Options of the verb.

    Returns
    -------
    ``written`` and ``sha256``.
    """
    return _step("rounds merge", folder, None, resolved("rounds merge", {"round": round, **options}))


def summary(
    folder: PathLike, adata: Data, *, shard: str, **options: Unpack[RoundsSummaryOptions]
) -> dict[str, Any]:
    """Summarise a shard with the last weights, for the finished model.

    Parameters
    ----------
    folder
        Folder of the run.
    adata
        The surveyed shard.
    shard
        Name of the shard.
    **options
        Options of the verb.

    Returns
    -------
    ``written`` and ``sha256``.
    """
    return _step("rounds summary", folder, adata, resolved("rounds summary", {"shard": shard, **options}))


def work(
    folder: PathLike, adata: Data, *, shard: str, **options: Unpack[RoundsWorkOptions]
) -> dict[str, Any]:
    """Train all rounds of one shard, and summarise it.

    Takes the place of :func:`local`, :func:`merge` and :func:`summary` where the jobs of all shards run at
    the same time: it waits for the files of the other shards. The job of the first shard merges.

    Parameters
    ----------
    folder
        Folder of the run, after :func:`survey` and :func:`init`.
    adata
        The surveyed shard.
    shard
        Name of the shard.
    **options
        Options of the verb.

    Returns
    -------
    ``written`` and ``sha256``.
    """
    return _step("rounds work", folder, adata, resolved("rounds work", {"shard": shard, **options}))


def finish(folder: PathLike, output: PathLike, **options: Any) -> Model:
    """Make the model from the last weights and the summaries of all shards.

    Parameters
    ----------
    folder
        Folder of the run.
    output
        Folder of the model, or file whose name ends in ``.zip``.
    **options
        Options of the verb.

    Returns
    -------
    The model.
    """
    _step("rounds finish", folder, None, {**resolved("rounds finish", options), "output": output})
    return Model(output)


def status(folder: PathLike, **options: Unpack[RoundsStatusOptions]) -> dict[str, Any]:
    """Show the progress of the run, missing files and losses.

    Parameters
    ----------
    folder
        Folder of the run.
    **options
        Options of the verb.

    Returns
    -------
    Output of ``scpoli rounds status``.
    """
    return _step("rounds status", folder, None, resolved("rounds status", options))


def manifest(files: Sequence[PathLike], **options: Unpack[RoundsManifestOptions]) -> dict[str, Any]:
    """Show what is in files of a run, before they leave an institution.

    Parameters
    ----------
    files
        Files in the folder ``exchange`` of the run.
    **options
        Options of the verb.

    Returns
    -------
    Output of ``scpoli rounds manifest``.
    """
    return _run("rounds manifest", files, resolved("rounds manifest", options), progress=False)


def run(
    folder: PathLike,
    files: Sequence[PathLike],
    output: PathLike,
    *,
    condition_key: Keys,
    cell_type_key: Keys | None = None,
    **options: Unpack[RoundsRunOptions],
) -> Model:
    """Run all steps on this machine, resuming from existing files.

    Parameters
    ----------
    folder
        Folder of the run.
    files
        The shards; file names without extension are the names of the shards.
    output
        Folder of the model, or file whose name ends in ``.zip``.
    condition_key
        Columns of obs of the conditions.
    cell_type_key
        Columns of obs of the cell types, one per annotation level.
    **options
        Options of the verb.

    Returns
    -------
    The model.
    """
    chosen = resolved(
        "rounds run", {"condition_key": condition_key, "cell_type_key": cell_type_key, **options}
    )
    _run("rounds run", [folder, *files], {**chosen, "output": output})
    return Model(output)


def _step(verb: str, folder: PathLike, adata: Data | None, chosen: dict[str, Any]) -> dict[str, Any]:
    with Workspace() as workspace:
        placed = workspace.place(verb, chosen)
        if adata is None:
            return _run(verb, [folder], placed, names=workspace.names)
        check_data(adata)
        with input_file(workspace, adata, layer=placed.get("layer")) as path:
            return _run(verb, [folder, path], placed, names=workspace.names)


for _verb, _function in (
    ("cut", cut),
    ("survey", survey),
    ("init", init),
    ("local", local),
    ("merge", merge),
    ("summary", summary),
    ("work", work),
    ("finish", finish),
    ("status", status),
    ("manifest", manifest),
    ("run", run),
):
    with_options(f"rounds {_verb}", "output")(_function)
