"""AnnData-Zarr of the real anndata for test/zarr.test.ts, and its opinion of the stores that ours wrote.

usage: zarr_files.py make FOLDER    writes stores and expected.json: what is in them
       zarr_files.py check FOLDER   opens what written.json lists, and compares
"""

import json
import shutil
import sys
import zipfile

import anndata
import numpy as np
import zarr
from anndata_files import CELLS, check_column, check_uns, contents, csr, full_anndata, matrix, simple, counts
from pathlib import Path

import pandas as pd
import zarr.codecs


def zipped(source, target):
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as file:
        for path in sorted(source.rglob("*")):
            if path.is_file():
                file.write(path, path.relative_to(source))


def rewrite(folder, path, values, **options):
    """The same array laid out in another way."""
    group = zarr.open_group(folder, mode="r+", use_consolidated=False)
    attributes = dict(group[path].attrs)
    del group[path]
    array = group.create_array(path, shape=values.shape, dtype=values.dtype, **options)
    array[...] = values
    array.attrs.update(attributes)


def make(folder):
    full = full_anndata()
    for version in (2, 3):
        anndata.settings.zarr_write_format = version
        full.write_zarr(folder / f"v{version}.zarr")
    zipped(folder / "v3.zarr", folder / "v3.zarr.zip")
    shutil.make_archive(str(folder / "v2.zarr"), "zip", folder, "v2.zarr")

    plain = folder / "not consolidated.zarr"
    shutil.copytree(folder / "v3.zarr", plain)
    meta = json.loads((plain / "zarr.json").read_text())
    del meta["consolidated_metadata"]
    (plain / "zarr.json").write_text(json.dumps(meta))

    sharded = folder / "sharded.zarr"
    shutil.copytree(plain, sharded)
    for matrix_path, part in [("layers/counts", full.layers["counts"]), ("raw/X", full.raw.X), ("X", full.X)]:
        for name in ("data", "indices", "indptr"):
            rewrite(
                sharded,
                f"{matrix_path}/{name}",
                getattr(part, name),
                chunks=(16,),
                shards=(64,),
                compressors=[zarr.codecs.ZstdCodec(level=3)],
            )
    rewrite(sharded, "layers/dense", full.layers["dense"], chunks=(7, 5), shards=(14, 25))
    rewrite(sharded, "obsm/X_pca", full.obsm["X_pca"], chunks=(9, 2), compressors=None)

    matrices = {}
    for number, (name, compressor) in enumerate(
        {
            "gzip": zarr.codecs.GzipCodec(),
            "zstd with checksum": zarr.codecs.ZstdCodec(level=5, checksum=True),
            "crc32c": zarr.codecs.Crc32cCodec(),
            "blosc lz4": zarr.codecs.BloscCodec(cname="lz4", shuffle="shuffle"),
            "blosc zstd": zarr.codecs.BloscCodec(cname="zstd", shuffle="shuffle"),
            "blosc zlib": zarr.codecs.BloscCodec(cname="zlib", shuffle="noshuffle"),
            "blosc bits": zarr.codecs.BloscCodec(cname="lz4hc", shuffle="bitshuffle"),
            "blosc bits zstd": zarr.codecs.BloscCodec(cname="zstd", shuffle="bitshuffle"),
        }.items()
    ):
        dtype = ["float32", "int64", "uint16", "float64", "int8", "uint32"][number % 6]
        data = simple(csr(counts(dtype, columns=300)))
        anndata.settings.zarr_write_format = 3
        data.write_zarr(folder / f"{name}.zarr")
        for part in ("data", "indices"):
            rewrite(
                folder / f"{name}.zarr",
                f"X/{part}",
                getattr(data.X, part),
                chunks=(1100,),
                compressors=[compressor],
            )
        matrices[name] = matrix(data.X)
    import numcodecs

    for name, compressor in {
        "v2 lz4": numcodecs.LZ4(),
        "v2 zlib": numcodecs.Zlib(),
        "v2 gzip": numcodecs.GZip(),
        "v2 blosclz": numcodecs.Blosc(cname="blosclz"),
        "v2 raw": None,
    }.items():
        data = simple(counts("int32", columns=300))
        anndata.settings.zarr_write_format = 2
        data.write_zarr(folder / f"{name}.zarr")
        rewrite(
            folder / f"{name}.zarr",
            "X",
            data.X,
            chunks=(11, 100),
            order="F" if name == "v2 zlib" else "C",
            compressors=compressor,
        )
        matrices[name] = matrix(data.X)

    nullable = simple(csr(counts()))
    nullable.obs.index = pd.Index(pd.array([f"cell{i}" for i in range(CELLS)], dtype="string"))
    nullable.obs["text"] = pd.array([None if i % 4 == 0 else f"s{i}" for i in range(CELLS)], dtype="string")
    nullable.obs["few"] = pd.Categorical(pd.array(["a", "b"] * (CELLS // 2), dtype="string"))
    for version in (2, 3):
        anndata.settings.zarr_write_format = version
        nullable.write_zarr(folder / f"nullable v{version}.zarr")
    (folder / "expected.json").write_text(json.dumps({"full": contents(full), "matrices": matrices}))


def nodes(folder, version):
    """Metadata and stored bytes of every array and group."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def check(folder):
    for item in json.loads((folder / "written.json").read_text()):
        path = folder / item["file"]
        data = anndata.read_h5ad(path) if path.suffix == ".h5ad" else anndata.read_zarr(path)
        if "version" in item:
            assert zarr.open_group(path, mode="r").metadata.zarr_format == item["version"]
        if "source" in item:
            source = anndata.read_zarr(folder / item["source"])
            kept = [name for name in source.obs if name not in item["obs"]]
            pd.testing.assert_frame_equal(source.obs[kept], data.obs[kept])
            assert list(data.obs) == list(dict.fromkeys([*source.obs, *item["obs"]])), "column order"
            old, new = nodes(folder / item["source"], item["version"]), nodes(path, item["version"])
            may_change = {"zarr.json", ".zmetadata", "obs/zarr.json", "obs/.zattrs"}
            for name in old:
                if name not in may_change and not any(
                    name.startswith(f"{replaced}/") for replaced in item["replaced"]
                ):
                    assert new[name] == old[name], name
        for name, wanted in item.get("obs", {}).items():
            check_column(data.obs[name], wanted, f"{item['file']} obs {name}")
        for name, wanted in item.get("var", {}).items():
            check_column(data.var[name], wanted, f"{item['file']} var {name}")
        for name, wanted in item.get("obsm", {}).items():
            assert matrix(data.obsm[name]) == wanted, (item["file"], name)
        for name, wanted in item.get("uns", {}).items():
            check_uns(data.uns[name], wanted, f"{item['file']} uns {name}")
        if "X" in item:
            assert matrix(data.X) == item["X"], item["file"]
        if "obsNames" in item:
            assert list(data.obs_names) == item["obsNames"] and list(data.var_names) == item["varNames"]
        data.copy().write_h5ad(folder / "again.h5ad")
    print("ok")


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](Path(sys.argv[2]))
