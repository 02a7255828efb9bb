"""Writes files of other kinds than .h5ad: MuData, loom.

usage: other_files.py FOLDER
"""

import os
import sys
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse
from anndata.io import write_elem

os.chdir(Path(sys.argv[1]))


def cells(genes, prefix):
    counts = scipy.sparse.csr_matrix(np.random.default_rng(genes).poisson(2, (60, genes)).astype("f4"))
    obs = pd.DataFrame(
        {
            "donor": pd.Categorical(["a", "b"] * 30),
            "cell_type": pd.Categorical(["x", "y", "z"] * 20),
            "none": "Unknown",
        },
        index=[f"c{i}" for i in range(60)],
    )
    return anndata.AnnData(
        counts, obs=obs, var=pd.DataFrame({"n": range(genes)}, index=[f"{prefix}{i}" for i in range(genes)])
    )


cells(20, "gene").write_h5ad("plain.h5ad")
with h5py.File("both.h5mu", "w") as file:
    file.attrs["encoding-type"], file.attrs["encoding-version"] = "MuData", "0.1.0"
    for name, data in {"prot": cells(5, "CD"), "rna": cells(20, "gene")}.items():
        write_elem(file.require_group("mod"), name, data)
    write_elem(file, "obs", pd.DataFrame(index=[f"c{i}" for i in range(60)]))
    write_elem(file, "var", pd.DataFrame(index=[f"v{i}" for i in range(25)]))
with h5py.File("cells.loom", "w") as file:
    file["matrix"] = np.ones((20, 60))
    for name in ("layers", "row_attrs", "col_attrs", "row_graphs", "col_graphs"):
        file.create_group(name)
raw = cells(20, "gene")
marked = raw[:, 5:].copy()
marked.raw = raw
marked.X = np.log1p(marked.X.toarray())
marked.var["highly_variable"] = [True] * 8 + [False] * 7
marked.write_h5ad("marked.h5ad")
