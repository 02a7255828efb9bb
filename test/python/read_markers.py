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
    results = data.uns["rank_genes_groups"]
    assert set(again) == set(results)
    return {
        "params": {
            key: value.item() if hasattr(value, "item") else value for key, value in results["params"].items()
        },
        "fields": {name: list(results[name].dtype.names) for name in ("names", "scores", "pvals_adj")},
        "types": {
            name: results[name].dtype[0].str for name in ("scores", "pvals", "pvals_adj", "logfoldchanges")
        },
        "names": {
            group: [str(name) for name in results["names"][group]] for group in results["names"].dtype.names
        },
        "scores": {group: results["scores"][group].tolist() for group in results["scores"].dtype.names},
        "pts": {
            name: {"index": list(results[name].index), "columns": list(results[name].columns)}
            for name in ("pts", "pts_rest")
            if name in results
        },
    }


if sys.argv[1] == "--zarr2":
    anndata.settings.zarr_write_format = 2
    anndata.read_h5ad(sys.argv[2]).write_zarr(sys.argv[3])
else:
    print(json.dumps([contents(path) for path in sys.argv[1:]]))
