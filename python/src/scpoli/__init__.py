"""scPoli on AnnData: build single-cell references, map queries onto them, transfer labels with uncertainty.

The work is done by the command line of the package, which Node.js runs; both come with it. Data go over as files,
results come back into `adata`, and the same call gives the same numbers as the command line.

>>> import scpoli
>>> model = scpoli.train(reference, condition_key="donor", cell_type_key="cell_type")
>>> mapping = model.map(query)
>>> query.obs["cell_type_pred"], query.obsm["X_scpoli"], mapping.verdict["light"]
"""

from __future__ import annotations

from . import pl
from ._errors import (
    CountsError,
    FileError,
    FormatError,
    Interrupted,
    MissingKeyError,
    ModelError,
    NodeError,
    OutOfMemoryError,
    OutputError,
    RefusedError,
    ScPoliError,
    UsageError,
)
from ._model import Mapping_ as Mapping
from ._model import Model, read, train
from ._report import Evaluation, Report, demo, evaluate, inspect, report, show
from ._version import __version__

__all__ = [
    "CountsError",
    "Evaluation",
    "FileError",
    "FormatError",
    "Interrupted",
    "Mapping",
    "MissingKeyError",
    "Model",
    "ModelError",
    "NodeError",
    "OutOfMemoryError",
    "OutputError",
    "RefusedError",
    "Report",
    "ScPoliError",
    "UsageError",
    "__version__",
    "demo",
    "evaluate",
    "inspect",
    "pl",
    "read",
    "report",
    "show",
    "train",
]
