"""Writes .h5ad files whose data lie in other files, and others that a writer has not closed.

usage: linked_files.py FOLDER
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse
from anndata.io import write_elem

CELLS, GENES = 60, 20
os.chdir(Path(sys.argv[1]))
Path("other").mkdir()
Path("moved").mkdir()


def cells():
    counts = np.random.default_rng(0).poisson(2, (CELLS, GENES)).astype("f4")
    obs = pd.DataFrame(
        {
            "donor": pd.Categorical(["a", "b"] * (CELLS // 2)),
            "cell_type": pd.Categorical(["x", "y", "z"] * (CELLS // 3)),
        },
        index=[f"c{i}" for i in range(CELLS)],
    )
    return anndata.AnnData(
        counts,
        obs=obs,
        var=pd.DataFrame(index=[f"g{i}" for i in range(GENES)]),
        layers={"counts": scipy.sparse.csr_matrix(counts)},
    )


cells().write_h5ad("plain.h5ad")


def change(name, act):
    shutil.copy("plain.h5ad", name)
    with h5py.File(name, "r+") as file:
        act(file)


def replaced(file, path, make):
    values, attributes = file[path][()], dict(file[path].attrs)
    del file[path]
    make(values).attrs.update(attributes)


def other(name, **content):
    with h5py.File(f"other/{name}", "w") as file:
        for key, value in content.items():
            file[key] = value
    return f"other/{name}"


def virtual(file):
    def make(values):
        half = CELLS // 2
        layout = h5py.VirtualLayout(values.shape, values.dtype)
        for i in range(2):
            layout[half * i : half * (i + 1)] = h5py.VirtualSource(
                other(f"part{i}.h5", X=values[half * i : half * (i + 1)]), "X", (half, GENES)
            )
        return file.create_virtual_dataset("X", layout)

    replaced(file, "X", make)


def virtual_column(file):
    def make(values):
        layout = h5py.VirtualLayout(values.shape, values.dtype)
        layout[:] = h5py.VirtualSource(other("codes.h5", codes=values), "codes", values.shape)
        return file.create_virtual_dataset("obs/donor/codes", layout)

    replaced(file, "obs/donor/codes", make)


def virtual_itself(file):
    def make(values):
        file["uns/real"] = values
        layout = h5py.VirtualLayout(values.shape, values.dtype)
        layout[:] = h5py.VirtualSource(".", "/uns/real", values.shape)
        return file.create_virtual_dataset("X", layout)

    replaced(file, "X", make)


def linked(path):
    def act(file):
        name = "other/" + path.replace("/", "-") + ".h5"
        with h5py.File(name, "w") as target:
            file.copy(path, target, "it")
        del file[path]
        file[path] = h5py.ExternalLink(name, "/it")

    return act


def soft_across(file):
    linked("layers/counts")(file)
    file["uns/elsewhere"] = h5py.ExternalLink("other/layers-counts.h5", "/")
    del file["layers/counts"]
    file["layers/counts"] = h5py.SoftLink("/uns/elsewhere/it")


def soft(file):
    del file["X"]
    file["X"] = h5py.SoftLink("/layers/counts")
    file["obs/sample"] = h5py.SoftLink("donor")
    file["obs"].attrs["column-order"] = ["donor", "cell_type", "sample"]


def external_storage(file):
    def make(values):
        data = file.create_dataset(
            "X", values.shape, values.dtype, external=[("other/values.bin", 0, h5py.h5f.UNLIMITED)]
        )
        data[...] = values
        return data

    replaced(file, "X", make)


def latest(name, act):
    with h5py.File(name, "w", libver="latest") as file:
        write_elem(file, "/", cells())
        act(file)


change("virtual.h5ad", virtual)
change("virtual column.h5ad", virtual_column)
change("virtual itself.h5ad", virtual_itself)
change("external X.h5ad", linked("X"))
change("external column.h5ad", linked("obs/donor"))
change("external obs.h5ad", linked("obs"))
change("external codes.h5ad", linked("obs/cell_type/codes"))
change("soft across.h5ad", soft_across)
change("soft.h5ad", soft)
change("dangling.h5ad", lambda file: file["uns"].__setitem__("lost", h5py.SoftLink("/nowhere")))
change("external storage.h5ad", external_storage)
latest("external storage latest.h5ad", external_storage)
for name in ("virtual", "external X", "external storage"):
    shutil.copy(f"{name}.h5ad", f"moved/{name}.h5ad")

# a writer that is killed
for kind, act in {"swmr": "file.swmr_mode = True", "open": "file.attrs['note'] = 1"}.items():
    latest(f"{kind}.h5ad", lambda file: None)
    opening = f"import os, h5py; file = h5py.File('{kind}.h5ad', 'r+', libver='latest')"
    code = f"{opening}; {act}; file.flush(); os._exit(0)"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
