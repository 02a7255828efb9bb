"""Times model.map(adata) beside the command line on the same cells: python_overhead.py FOLDER CELLS GENES."""

import json
import subprocess
import sys
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

import scpoli

folder, cells, genes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
ROUNDS = 3
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

times: dict[str, list[float]] = {"command_line": [], "python": []}
for _ in range(ROUNDS):
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "scpoli", "map", folder / "query.h5ad", "--reference", folder / "model.zip"]
        + ["--output", folder / "mapped.h5ad", "--save-model", folder / "grown.zip", "--quiet", "--force"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    times["command_line"].append(time.perf_counter() - started)
    started = time.perf_counter()
    scpoli.read(folder / "model.zip").map(query, quiet=True)
    times["python"].append(time.perf_counter() - started)
mapped = ad.read_h5ad(folder / "mapped.h5ad", backed="r")
assert np.array_equal(mapped.obsm["X_scpoli"], query.obsm["X_scpoli"])
print(json.dumps({**times, "nonzeros": int(query.X.nnz)}))
