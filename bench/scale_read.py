"""Reads a file with Python's anndata, for bench/scale.ts: all rows of X in blocks (backed), or at once.
usage: scale_read.py FILE backed|memory; prints one JSON object."""

import json, resource, sys, time, warnings

warnings.filterwarnings("ignore")
import anndata

path, how = sys.argv[1:]
start = time.perf_counter()
data = anndata.read_h5ad(path, backed="r" if how == "backed" else None)
rows = 10_000
total = 0.0
for first in range(0, data.n_obs, rows):
    block = data.X[first : first + rows]
    total += float(block.data.sum())
seconds = time.perf_counter() - start
print(
    json.dumps(
        {
            "seconds": seconds,
            "cells": data.n_obs,
            "total": total,
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }
    )
)
