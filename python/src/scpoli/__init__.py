"""scPoli on AnnData: single-cell references, query mapping, label transfer with uncertainty.

The package runs its command line on Node.js; both are included. Data are passed as files, results are written
into `adata`, and numbers are identical to those of the command line.

>>> import scpoli
>>> model = scpoli.train(reference, condition_key="donor", cell_type_key="cell_type")
>>> mapping = model.map(query)
>>> query.obs["cell_type_pred"], query.obsm["X_scpoli"], mapping.verdict["light"]
"""

from __future__ import annotations

from . import models, pl, rounds
from ._errors import (
    ArgumentError,
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
from ._files import collect, convert
from ._genes import Comparison, compare, markers
from ._model import Mapping, Model, read, train
from ._planning import Plan, plan
from ._report import Evaluation, Report, demo, evaluate, inspect, report, show
from ._version import __version__

__all__ = [
    "ArgumentError",
    "Comparison",
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
    "Plan",
    "RefusedError",
    "Report",
    "ScPoliError",
    "UsageError",
    "__version__",
    "collect",
    "compare",
    "convert",
    "demo",
    "evaluate",
    "inspect",
    "markers",
    "models",
    "pl",
    "plan",
    "read",
    "report",
    "rounds",
    "show",
    "train",
]
