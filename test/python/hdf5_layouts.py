"""Datasets of every layout for test/hdf5-chunks.test.ts.

usage: hdf5_layouts.py FOLDER
Writes layouts.h5, user block.h5, latest.h5, other.h5, streams.h5 and texts.h5, and their content to
layouts.json and texts.json.
"""

import json
import sys
import zlib
from pathlib import Path

import h5py
import numpy as np

folder = Path(sys.argv[1])
N = 1000


def values(dtype, *shape):
    signed = np.dtype(dtype).kind != "u"
    numbers = (np.arange(np.prod(shape)) * 7) % 101 - (50 if signed else 0)
    return numbers.astype(dtype).reshape(shape)


def plain(file):
    """What is read without HDF5."""
    for dtype in ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"]:
        file.create_dataset(f"in one piece {dtype}", data=values(dtype, N))
        file.create_dataset(f"chunks {dtype}", data=values(dtype, N), chunks=(37,))
        file.create_dataset(f"gzip {dtype}", data=values(dtype, N), chunks=(37,), compression="gzip")
        file.create_dataset(
            f"shuffled {dtype}", data=values(dtype, N), chunks=(64,), compression="gzip", shuffle=True
        )
    for name, options in {
        "in one piece": {},
        "rows": {"chunks": (7, 23)},
        "tiles": {"chunks": (7, 5)},
    }.items():
        file.create_dataset(f"table {name}", data=values("f4", 40, 23), **options)
        if options:
            file.create_dataset(
                f"table {name} gzip", data=values("i8", 40, 23), compression="gzip", shuffle=True, **options
            )
    file.create_dataset("thousands of chunks", data=values("i4", 20000), chunks=(3,))
    # before the first number that needs them all, and at it
    file.create_dataset(
        "large integers", data=np.array([2**53 - 1, -(2**53) + 1, 5]), chunks=(2,), compression="gzip"
    )
    file.create_dataset(
        "integers too large", data=np.array([1, 2, 3, 2**53]), chunks=(2,), compression="gzip"
    )


def odd(file):
    """What is left to HDF5."""
    file.create_dataset("never written", shape=(N,), dtype="f4", fillvalue=3)
    partly = file.create_dataset(
        "partly written", shape=(N,), dtype="f4", chunks=(37,), compression="gzip", fillvalue=3
    )
    partly[50:200] = values("f4", 150)
    longer = file.create_dataset("made longer", data=values("i4", 100), chunks=(10,), maxshape=(None,))
    longer.resize((N,))
    file.create_dataset("checksums", data=values("f4", N), chunks=(37,), compression="gzip", fletcher32=True)
    file.create_dataset("lzf", data=values("f4", N), chunks=(37,), compression="lzf")
    file.create_dataset("big-endian", data=values(">f4", N), chunks=(37,), compression="gzip")
    file.create_dataset("three dimensions", data=values("f4", 5, 4, 3))
    left_out = file.create_dataset(
        "filter left out", shape=(64,), dtype="f4", chunks=(64,), compression="gzip"
    )
    left_out.id.write_direct_chunk((0,), values("f4", 64).tobytes(), filter_mask=1)
    narrow = h5py.h5t.STD_U32LE.copy()
    narrow.set_precision(28)
    space = h5py.h5s.create_simple((N,))
    h5py.h5d.create(file.id, b"28 bits of 32", narrow, space).write(
        h5py.h5s.ALL, h5py.h5s.ALL, values("u4", N)
    )
    file["soft link"] = h5py.SoftLink("/gzip f4")
    # in the other file, something else lies at the same address
    file["another file"] = h5py.ExternalLink("other.h5", "/first")
    compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    compact.set_layout(h5py.h5d.COMPACT)
    h5py.h5d.create(
        file.id, b"in the header", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((50,)), compact
    ).write(h5py.h5s.ALL, h5py.h5s.ALL, values("f4", 50))


with h5py.File(folder / "other.h5", "w") as file:
    file["first"] = values("f4", N) + 1
with h5py.File(folder / "layouts.h5", "w") as file:
    file["first"] = values("f4", N)
    plain(file)
    odd(file)
    described = {
        name: {"values": np.ravel(file[name][...].astype(float)).tolist(), "rows": file[name].shape[0]}
        for name in file
    }
(folder / "layouts.json").write_text(json.dumps(described))
for name, options in {"user block.h5": {"userblock_size": 1024}, "latest.h5": {"libver": "latest"}}.items():
    with h5py.File(folder / name, "w", **options) as file:
        plain(file)
# short ones by the thousand, decoded together; empty, longer than what is decoded together, outside ASCII,
# with a byte order mark, not UTF-8
texts = [f"cell {i}" for i in range(200_000)]
texts[7:13] = ["", "α", "\ufeffmark", "", "long " * 500_000, "🧬"]
with h5py.File(folder / "texts.h5", "w") as file:
    file["texts"] = texts
    file["broken"] = np.array([b"a", b"\xce", b"\xb1b", b""], dtype=object)
(folder / "texts.json").write_text(json.dumps(texts))
# names outside ASCII, and one that ends within a character
with h5py.File(folder / "names.h5", "w") as file:
    for name in ("plain", "α", "🧬 gene"):
        file.create_group(f"all/{name}")
    h5py.h5g.create(file["all"].id, b"nest\xea\xa4")
# one chunk, and what its stream can be
with h5py.File(folder / "streams.h5", "w") as file:
    whole = values("f4", 64).tobytes()
    for name, stream in {
        "right": zlib.compress(whole),
        "too short": zlib.compress(whole[:-4]),
        "too long": zlib.compress(whole + whole),
        "cut off": zlib.compress(whole)[:-9],
        "no stream": whole,
    }.items():
        file.create_dataset(
            name, shape=(64,), dtype="f4", chunks=(64,), compression="gzip"
        ).id.write_direct_chunk((0,), stream)
