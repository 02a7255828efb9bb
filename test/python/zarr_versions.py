"""Zarr stores written by the installed anndata, for scripts/check_anndata.ts, and a check of copies written
by scpoli.

usage: zarr_versions.py make FOLDER    writes a store per Zarr format, and expected.json: their content
       zarr_versions.py check FOLDER   opens what written.json lists, and compares
"""

import json
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import zarr

from anndata_files import check_column, contents, equal, full_anndata, matrix


def formats():
    """Zarr formats that this anndata writes."""
    return [2, 3] if hasattr(anndata, "settings") and hasattr(anndata.settings, "zarr_write_format") else [2]


def make(folder):
    full = full_anndata()
    stores = []
    for version in formats():
        if len(formats()) > 1:
            anndata.settings.zarr_write_format = version
        stores.append(f"full v{version}.zarr")
        full.write_zarr(folder / stores[-1])
    versions = {
        "anndata": anndata.__version__,
        "pandas": pd.__version__,
        "numpy": np.__version__,
        "zarr": zarr.__version__,
        "python": sys.version.split()[0],
    }
    (folder / "expected.json").write_text(
        json.dumps({"stores": stores, "full": contents(full), "versions": versions})
    )


def check(folder):
    for item in json.loads((folder / "written.json").read_text()):
        source, copy = anndata.read_zarr(folder / item["source"]), anndata.read_zarr(folder / item["file"])
        equal(source, copy, item["file"], [*item["obsm"], *item["uns"]])
        assert list(copy.obs) == [*source.obs, *item["obs"]], "column order"
        for name, wanted in item["obs"].items():
            check_column(copy.obs[name], wanted, f"{item['file']} obs {name}")
        for name, wanted in item["obsm"].items():
            assert matrix(copy.obsm[name]) == wanted, (item["file"], name)
        copy.copy().write_h5ad(folder / "again.h5ad")
    print("ok")


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](Path(sys.argv[2]))
