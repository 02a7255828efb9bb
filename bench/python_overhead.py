"""Times model.map(adata) beside the command line on the same cells.

python_overhead.py FOLDER CELLS GENES ROUNDS: prints seconds on the clock and of processor time (all processes
and threads of a run), and those that model.map spends outside of the command.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

import scpoli

folder, cells, genes, rounds = Path(sys.argv[1]), *map(int, sys.argv[2:5])
random = np.random.default_rng(0)


def atlas(n: int, samples: list[str]) -> ad.AnnData:
    """Cells of six types: about 13 % of the counts are not 0."""
    types = random.integers(6, size=n)
    profiles = np.random.default_rng(1).gamma(0.3, 1, size=(6, genes)).astype(np.float32)
    rates = 0.02 + 0.5 * profiles
    blocks = [
        sp.csr_matrix(random.poisson(rates[types[at : at + 5000]]).astype(np.float32))
        for at in range(0, n, 5000)
    ]
    obs = pd.DataFrame(
        {
            "sample": pd.Categorical([samples[i % len(samples)] for i in range(n)]),
            "cell_type": pd.Categorical([f"type {code}" for code in types]),
        },
        index=[f"cell{i}" for i in range(n)],
    )
    return ad.AnnData(
        sp.vstack(blocks, format="csr"), obs, pd.DataFrame(index=[f"gene{g}" for g in range(genes)])
    )


model = scpoli.train(
    atlas(4000, ["a", "b", "c"]), "sample", "cell_type", epochs=3, pretraining_epochs=2, quiet=True
)
model.save(folder / "model.zip")
query = atlas(cells, ["q1", "q2"])
query.write_h5ad(folder / "query.h5ad")


def processor_seconds() -> float:
    """Return the processor time of this process and of those that it has waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


names = ("command_line", "command_line_processor", "python", "python_processor", "outside")
times: dict[str, list[float]] = {name: [] for name in names}
for _ in range(rounds):
    started, processor = time.perf_counter(), processor_seconds()
    subprocess.run(
        [sys.executable, "-m", "scpoli", "map", folder / "query.h5ad", "--reference", folder / "model.zip"]
        + ["--output", folder / "mapped.h5ad", "--save-model", folder / "grown.zip", "--quiet", "--force"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    times["command_line"].append(time.perf_counter() - started)
    times["command_line_processor"].append(processor_seconds() - processor)
    started, processor = time.perf_counter(), processor_seconds()
    mapping = scpoli.read(folder / "model.zip").map(query, quiet=True)
    times["python"].append(time.perf_counter() - started)
    times["python_processor"].append(processor_seconds() - processor)
    times["outside"].append(times["python"][-1] - mapping.summary["seconds"])
mapped = ad.read_h5ad(folder / "mapped.h5ad", backed="r")
assert np.array_equal(mapped.obsm["X_scpoli"], query.obsm["X_scpoli"])
print(json.dumps({**times, "nonzeros": int(query.X.nnz)}))
