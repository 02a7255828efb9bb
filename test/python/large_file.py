"""Copies an .h5ad file to a position after an unwritten dataset (a hole): arguments source, target, bytes."""

import os, sys
import h5py

source, target, size = sys.argv[1], sys.argv[2], int(float(sys.argv[3]))
with h5py.File(target, "w") as file:
    space = h5py.h5s.create_simple((size,))
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    file.create_group("uns")
    h5py.h5d.create(file["uns"].id, b"unused", h5py.h5t.STD_U8LE, space, properties)
    with h5py.File(source, "r") as small:
        for name, value in small.attrs.items():
            file.attrs[name] = value
        for name in small:
            if name != "uns":
                small.copy(name, file)
    for name, value in {"encoding-type": "dict", "encoding-version": "0.1.0"}.items():
        file["uns"].attrs[name] = value
    for name, value in {"encoding-type": "array", "encoding-version": "0.2.0"}.items():
        file["uns/unused"].attrs[name] = value
assert os.path.getsize(target) > size
