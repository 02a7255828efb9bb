"""Memory and time of runs, predicted from the sizes of the data."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pandas as pd

from ._data import Data, Workspace, check_data, input_file
from ._errors import ArgumentError
from ._model import Keys
from ._run import run
from ._table import resolved, with_options

if TYPE_CHECKING:
    from typing import Unpack

    from ._signatures import PlanOptions


class Plan:
    """Predicted memory and time of training, mapping and training in rounds.

    Attributes
    ----------
    summary
        Output of ``scpoli plan --json``.
    steps
        A row per job: ``step`` (``train``, ``map``, ``embed``, ``rounds survey`` and so on), ``data`` (the
        AnnData or file; None if the step reads none), ``cells``, ``jobs`` (how often it runs), ``memory_mb``,
        ``seconds`` of one job, ``streamed`` (whether counts are streamed instead of held in memory).
    """

    def __init__(self, summary: dict[str, Any]) -> None:
        self.summary = summary
        rounds = summary["rounds"]
        one = {"data": None, "cells": summary["cells"], "jobs": 1}
        rows = [{"step": "train", **one, **summary["train"]}]
        for name, jobs in (("init", 1), ("merge", rounds["rounds"]), ("finish", 1)):
            rows.append({"step": f"rounds {name}", **one, "cells": None, "jobs": jobs, **rounds[name]})
        for prefix, files in (("rounds ", summary["shards"]), ("", summary["queries"])):
            for file in files:
                for name, cost in file["steps"].items():
                    jobs = rounds["rounds"] if name == "local" else 1
                    about = {"data": file["file"], "cells": file["cells"], "jobs": jobs}
                    rows.append({"step": f"{prefix}{name}", **about, **cost})
        columns = ["step", "data", "cells", "jobs", "memory_mb", "seconds", "streamed"]
        self.steps = pd.DataFrame(rows, columns=columns).astype({"cells": "Int64"})

    def __repr__(self) -> str:
        about = self.summary
        return (
            f"{about['cells']:,} cells, {about['genes']:,} genes, {about['parameters']:,} parameters, "
            f"{about['threads']} threads per job\n{self.steps.to_string(index=False)}"
        )

    def _repr_html_(self) -> str:
        return self.steps.to_html(index=False)


def plan(
    adata: Data | Sequence[Data],
    condition_key: Keys | None = None,
    *,
    query: Data | Sequence[Data] | None = None,
    **options: Unpack[PlanOptions],
) -> Plan:
    """Predict memory and time of `train`, `map`, `embed` and every step of `rounds`; nothing is trained.

    Parameters
    ----------
    adata
        The cells to train on: an AnnData or the path of a file; or a list of them, the shards.
    condition_key
        Columns of obs of the conditions.
    query
        Cells to map, or a list of them. Default: `adata`.
    **options
        Options of the verb.

    Returns
    -------
    The plan.

    Examples
    --------
    >>> plan = scpoli.plan("atlas.h5ad", "donor", genes=4000)
    >>> plan.steps.query("step == 'train'")[["memory_mb", "seconds"]]
    """
    chosen = resolved("plan", {"condition_key": condition_key, **options})
    if "condition_key" not in chosen:
        raise ArgumentError("plan() needs condition_key, the columns of adata.obs with the conditions.")
    with Workspace() as workspace, ExitStack() as files:

        def paths(data: Data | Sequence[Data], name: str) -> list[str]:
            parts = data if isinstance(data, (list, tuple)) else [data]
            names = [name] if len(parts) == 1 else [f"{name}[{at}]" for at in range(len(parts))]
            for part, called in zip(parts, names, strict=True):
                check_data(part, called)
            return [
                files.enter_context(input_file(workspace, part, name=called, layer=chosen.get("layer")))
                for part, called in zip(parts, names, strict=True)
            ]

        placed = workspace.place("plan", chosen)
        shards = paths(adata, "adata")
        if query is not None:
            placed["query"] = paths(query, "query")
        summary = run("plan", shards, placed, names=workspace.names, progress=False)
        for entry in (*summary["shards"], *summary["queries"]):
            entry["file"] = workspace.names.get(entry["file"], entry["file"])
    return Plan(summary)


with_options("plan", "query")(plan)

__all__ = ["Plan", "plan"]
