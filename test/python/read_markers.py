"""Reads uns["rank_genes_groups"] of files with anndata, writes it again, and tells what is in it as JSON.

With --zarr2 IN.h5ad OUT.zarr it writes a Zarr store of version 2 instead."""

import json
import sys

import anndata


def contents(path):
    read = anndata.read_zarr if path.endswith(".zarr") else anndata.read_h5ad
    data = read(path)
    data.write_h5ad(f"{path.replace('.', '-')}-again.h5ad")
    again = anndata.read_h5ad(f"{path.replace('.', '-')}-again.h5ad").uns["rank_genes_groups"]
    found = data.uns["rank_genes_groups"]
    assert set(again) == set(found)
    return {
        "params": {
            key: value.item() if hasattr(value, "item") else value for key, value in found["params"].items()
        },
        "fields": {name: list(found[name].dtype.names) for name in ("names", "scores", "pvals_adj")},
        "types": {
            name: found[name].dtype[0].str for name in ("scores", "pvals", "pvals_adj", "logfoldchanges")
        },
        "names": {
            group: [str(name) for name in found["names"][group]] for group in found["names"].dtype.names
        },
        "scores": {group: found["scores"][group].tolist() for group in found["scores"].dtype.names},
        "pts": {
            name: {"index": list(found[name].index), "columns": list(found[name].columns)}
            for name in ("pts", "pts_rest")
            if name in found
        },
    }


if sys.argv[1] == "--zarr2":
    anndata.settings.zarr_write_format = 2
    anndata.read_h5ad(sys.argv[2]).write_zarr(sys.argv[3])
else:
    print(json.dumps([contents(path) for path in sys.argv[1:]]))
