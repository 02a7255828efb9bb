"""Runs scanpy's rank_genes_groups on a file of counts.

usage: python markers_scanpy.py FILE COLUMN NORMALISED.h5ad [OURS.json]
Writes the normalised values, which scpoli then uses unchanged. Prints seconds, memory, and the difference
between the scores of OURS.json and scanpy's."""

import json
import resource
import sys
import time
import warnings

import numpy as np
import scanpy as sc

warnings.simplefilter("ignore")
path, column, normalised = sys.argv[1:4]
# functions compiled by numba are compiled before the clock runs
small = sc.AnnData(np.eye(40, dtype=np.float32))
small.obs["g"] = np.repeat(["a", "b"], 20)
sc.tl.rank_genes_groups(small, "g", method="wilcoxon", tie_correct=True)

started = time.perf_counter()
data = sc.read_h5ad(path)
sc.pp.normalize_total(data, target_sum=1e4)
sc.pp.log1p(data)
prepared = time.perf_counter()
sc.tl.rank_genes_groups(data, column, method="wilcoxon", tie_correct=True, pts=True)
ended = time.perf_counter()
result = {
    "prepare_seconds": prepared - started,
    "test_seconds": ended - prepared,
    "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "version": sc.__version__,
}
results = data.uns.pop("rank_genes_groups")
np.savez(
    normalised + ".npz",
    **{
        f"{kind}/{group}": values[group]
        for kind, values in (("scores", results["scores"]), ("adjusted", results["pvals_adj"]))
        for group in values.dtype.names
    },
    **{f"names/{group}": results["names"][group].astype(str) for group in results["names"].dtype.names},
)
data.uns.clear()
data.write_h5ad(normalised)
print(json.dumps(result))
