"""Files of the real anndata for test/anndata.test.ts, and its opinion of the files that ours wrote.

usage: anndata_files.py make FOLDER    writes files and expected.json: what is in each
       anndata_files.py check FOLDER   opens what written.json lists, and compares
"""

import json
import sys
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse

# from 0.11 on; files of versions before it have no such column
nullable_strings = hasattr(anndata, "settings") and hasattr(anndata.settings, "allow_write_nullable_strings")
if nullable_strings:
    anndata.settings.allow_write_nullable_strings = True
CELLS, GENES = 40, 25
random = np.random.default_rng(1)
csr = scipy.sparse.csr_matrix


# make


def counts(dtype="float32", rows=CELLS, columns=GENES):
    dense = random.poisson(0.6, (rows, columns)).astype(dtype)
    dense[3] = 0
    return dense


def observations():
    n = CELLS
    word = np.array(["α", "bee", "c d"], dtype=object)[np.arange(n) % 3]
    number = np.arange(n, dtype=np.float64) / 7
    number[2] = np.nan
    frame = pd.DataFrame(
        {
            "category": pd.Categorical(np.where(np.arange(n) % 5 == 0, None, word)),
            "ordered": pd.Categorical(word, categories=["c d", "α", "bee", "unused"], ordered=True),
            "integers": pd.Categorical(np.arange(n) % 3 * 10),
            "floats": pd.Categorical(np.arange(n) % 3 * 0.5),
            "booleans": pd.Categorical(np.arange(n) % 2 == 0),
            "text": [f"t{i}" for i in range(n)],
            "float64": number,
            "float32": number.astype(np.float32),
            "int64": np.arange(n) - 3,
            "uint8": np.arange(n).astype(np.uint8),
            "boolean": np.arange(n) % 3 == 1,
            "nullable integer": pd.array([None if i % 4 == 0 else i for i in range(n)], dtype="Int32"),
            "nullable boolean": pd.array(
                [None if i % 4 == 0 else i % 2 == 0 for i in range(n)], dtype="boolean"
            ),
        },
        index=[f"cell{i}" for i in range(n)],
    )
    if nullable_strings:
        frame["nullable string"] = pd.array(
            [None if i % 4 == 0 else f"s{i}" for i in range(n)], dtype="string"
        )
    return frame


def genes(n=GENES):
    return pd.DataFrame(index=[f"gene{i}" for i in range(n)])


def simple(X):
    # 0.8 would make float32 of it
    kind = {"dtype": X.dtype} if anndata.__version__.startswith("0.8.") else {}
    return anndata.AnnData(
        X=X, **kind, obs=pd.DataFrame(index=[f"cell{i}" for i in range(X.shape[0])]), var=genes(X.shape[1])
    )


def repack(source, target, **options):
    """The same content in another version of the HDF5 format."""
    with h5py.File(source) as old, h5py.File(target, "w", **options) as new:
        for name in old:
            old.copy(name, new)
        new.attrs.update(old.attrs)


def old_style(path, data):
    """The layout of anndata 0.7: labels in __categories behind references, leaves without encoding."""
    data.write_h5ad(path.with_suffix(".tmp"))
    repack(path.with_suffix(".tmp"), path, libver=("earliest", "latest"))
    with h5py.File(path, "r+", libver=("earliest", "latest")) as file:
        for attribute in list(file.attrs):
            del file.attrs[attribute]
        frame = file["obs"]
        frame.attrs["encoding-version"] = "0.1.0"
        labels = frame.create_group("__categories")
        for name in ["category", "ordered"]:
            group = frame[name]
            labels[name] = group["categories"][:]
            labels[name].attrs["ordered"] = bool(group.attrs["ordered"])
            codes = group["codes"][:]
            del frame[name]
            frame[name] = codes
            frame[name].attrs["categories"] = labels[name].ref
        for name in frame:
            if isinstance(frame[name], h5py.Dataset):
                for attribute in ["encoding-type", "encoding-version"]:
                    frame[name].attrs.pop(attribute, None)


def ancient(path, data):
    """The layout of anndata 0.6: compound tables, labels in uns, raw.X, sparse matrices with h5sparse_*."""
    names = data.obs_names.to_numpy().astype("S")
    word = data.obs["category"]
    n = len(names)
    obs = np.zeros(
        n,
        [
            ("index", "S8"),
            ("category", "i1"),
            ("one", "i1"),
            ("text", "S8"),
            ("int64", "i8"),
            ("float32", "f4"),
            ("boolean", "?"),
            ("shared", "i4"),
        ],
    )
    obs["index"], obs["category"], obs["text"] = (
        names,
        word.cat.codes,
        data.obs["text"].to_numpy().astype("S"),
    )
    obs["int64"], obs["float32"], obs["boolean"], obs["shared"] = (
        data.obs["int64"],
        data.obs["float32"],
        data.obs["boolean"],
        np.arange(n),
    )
    var = np.zeros(GENES, [("index", "S8"), ("shared", "i4"), ("half", "f4")])
    var["index"], var["shared"], var["half"] = (
        data.var_names.to_numpy().astype("S"),
        np.arange(GENES) % 2,
        np.arange(GENES) / 4,
    )
    obsm = np.zeros(n, [("X_pca", "f4", (3,)), ("X_umap", "f8", (2,))])
    obsm["X_pca"], obsm["X_umap"] = data.obsm["X_pca"], np.arange(2 * n).reshape(n, 2)
    with h5py.File(path, "w") as file:
        file["obs"], file["var"], file["obsm"] = obs, var, obsm
        file["varm"] = np.zeros(GENES, [("PCs", "f8", (3,))])
        for name, X in {"X": data.X, "raw.X": data.raw.X}.items():
            group = file.create_group(name)
            group.attrs["h5sparse_format"], group.attrs["h5sparse_shape"] = "csr", X.shape
            group["data"], group["indices"], group["indptr"] = X.data, X.indices, X.indptr
        raw = np.zeros(data.raw.X.shape[1], [("index", "S8")])
        raw["index"] = data.raw.var_names.to_numpy().astype("S")
        file["raw.var"] = raw
        uns = file.create_group("uns")
        uns["category_categories"] = np.array(
            [name.replace("α", "alpha") for name in word.cat.categories], "S"
        )
        uns["one_categories"] = np.array(["only"], "S")
        uns["shared_categories"] = np.array(["a", "b"], "S")  # of var: obs has codes beyond it
        uns["text"], uns["whole"] = np.array(["t"], "S"), np.array([7])
        uns.create_group("nested")["list"] = np.arange(3.0)


def bare(path):
    """A writer that leaves out all attributes."""
    with h5py.File(path, "r+") as file:
        for name in list(file["uns"]):
            del file["uns"][name]

        def strip(_, item):
            for attribute in list(item.attrs):
                del item.attrs[attribute]

        strip("", file)
        file.visititems(strip)


def fortran(path):
    """Texts of fixed length filled up with blanks, also in attributes; no encodings."""
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(8)
    kind.set_strpad(h5py.h5t.STR_SPACEPAD)

    def padded(group, name, texts):
        values = np.array([text.encode().ljust(8) for text in texts], "S8")
        h5py.h5d.create(group.id, name.encode(), kind, h5py.h5s.create_simple((len(texts),))).write(
            h5py.h5s.ALL, h5py.h5s.ALL, values, kind
        )

    with h5py.File(path, "w") as file:
        for name, length, columns in [("obs", 4, ["donor"]), ("var", 3, [])]:
            frame = file.create_group(name)
            padded(frame, "names", [f"{name}{i}" for i in range(length)])
            for column in columns:
                padded(frame, column, ["a", "b", "a", "b"])
            space = h5py.h5s.create(h5py.h5s.SCALAR)
            h5py.h5a.create(frame.id, b"_index", kind, space).write(np.array(b"names   ", "S8"), kind)
        file["X"] = np.arange(12, dtype="f8").reshape(4, 3)


def column(values):
    if isinstance(values.dtype, pd.CategoricalDtype):
        return {
            "kind": "categorical",
            "codes": [int(code) for code in values.cat.codes],
            "categories": [str(name) for name in values.cat.categories],
            "ordered": bool(values.cat.ordered),
        }
    missing = [bool(isna) for isna in values.isna()]
    if pd.api.types.is_bool_dtype(values.dtype):
        return {
            "kind": "boolean",
            "values": [None if isna else bool(value) for value, isna in zip(values, missing)],
        }
    if pd.api.types.is_numeric_dtype(values.dtype):
        return {
            "kind": "number",
            "values": [None if isna else float(value) for value, isna in zip(values, missing)],
        }
    return {
        "kind": "string",
        "values": [None if isna else str(value) for value, isna in zip(values, missing)],
    }


def matrix(X):
    dense = X.toarray() if scipy.sparse.issparse(X) else np.asarray(X)
    return {
        "rows": X.shape[0],
        "columns": X.shape[1],
        "values": dense.astype(np.float64).ravel().tolist(),
        "dtype": str(X.dtype),
    }


def rewrite(source, target, change):
    target.write_bytes(source.read_bytes())
    with h5py.File(target, "r+") as file:
        change(file)


def replace(file, path, values, **options):
    attributes = dict(file[path].attrs)
    del file[path]
    file.create_dataset(path, data=values, **options)
    file[path].attrs.update(attributes)


def full_anndata():
    full = anndata.AnnData(X=csr(np.log1p(counts())), obs=observations(), var=genes())
    full.raw = simple(csr(counts(columns=GENES + 5)))
    full.raw.var.index = [f"raw{i}" for i in range(GENES + 5)]
    full.layers["counts"] = csr(counts())
    full.layers["dense"] = counts("float64")
    full.obsm["X_pca"] = random.normal(size=(CELLS, 3)).astype(np.float32)
    full.obsm["table"] = pd.DataFrame({"a": np.arange(CELLS)}, index=full.obs_names)
    full.uns = {
        "text": "ü",
        "number": 2.5,
        "whole": 7,
        "flag": True,
        "colors": np.array(["#fff", "#000"], dtype=object),
        "vector": np.arange(4.0),
        "nested": {"deep": {"x": 1}, "flags": np.array([True, False])},
        "sparse": csr(np.eye(3)),
        "table": pd.DataFrame({"a": [1]}, index=["r"]),
    }
    return full


def contents(full):
    return {
        "obs": {name: column(full.obs[name]) for name in full.obs},
        "obsNames": list(full.obs_names),
        "varNames": list(full.var_names),
        "rawNames": list(full.raw.var_names),
        "X": matrix(full.X),
        "raw": matrix(full.raw.X),
        "layers": {name: matrix(full.layers[name]) for name in full.layers if name is not None},
        "obsm": {"X_pca": matrix(full.obsm["X_pca"])},
    }


def make(folder):
    plain = {
        "csr float32": simple(csr(counts())),
        "csr float64": simple(csr(counts("float64") * 1.25)),
        "csr int64": simple(csr(counts("int64"))),
        "csr uint16": simple(csr(counts("uint16"))),
        "csc float32": simple(scipy.sparse.csc_matrix(counts())),
        "csc int32": simple(scipy.sparse.csc_matrix(counts("int32"))),
        "dense float32": simple(counts()),
        "dense int64": simple(counts("int64") - 1),
        "dense int8": simple(counts("int8")),
        "empty": simple(csr((CELLS, GENES), dtype=np.float32)),
        "nan": simple(csr(np.where(counts() == 2, np.nan, 1).astype(np.float32))),
    }
    expected = {}
    for name, data in plain.items():
        data.write_h5ad(folder / f"{name}.h5ad")
        expected[name] = matrix(data.X)
    for name, data in {
        "csr gzip": plain["csr float32"],
        "csc gzip": plain["csc float32"],
        "dense gzip": plain["dense float32"],
    }.items():
        data.write_h5ad(folder / f"{name}.h5ad", compression="gzip")
        expected[name] = matrix(data.X)

    source = folder / "csr float32.h5ad"
    data = plain["csr float32"].X

    def chunked(file):
        replace(file, "X/data", data.data, chunks=(37,), compression="gzip", shuffle=True, fletcher32=True)
        replace(file, "X/indices", data.indices.astype(np.int64), chunks=(64,), compression="gzip")
        replace(file, "X/indptr", data.indptr.astype(np.int64))

    def shuffled(file):
        replace(file, "X/data", data.data, chunks=(37,), compression="gzip", shuffle=True)
        replace(file, "X/indices", data.indices.astype(np.int64), chunks=(64,))

    def unsorted(file):
        reverse = np.concatenate(
            [np.arange(start, end)[::-1] for start, end in zip(data.indptr, data.indptr[1:])]
        )
        values = data.data[reverse]
        values[[0, 5]] = 0
        replace(file, "X/data", values)
        replace(file, "X/indices", data.indices[reverse])
        expected["csr unsorted"] = matrix(csr((values, data.indices[reverse], data.indptr), data.shape))

    def big_endian(file):
        replace(file, "X/data", data.data.astype(">f4"))
        replace(file, "X/indices", data.indices.astype(">i8"))

    def no_shape(file):
        del file["X"].attrs["shape"]

    rewrite(
        source,
        folder / "csr lzf.h5ad",
        lambda file: replace(file, "X/data", data.data, chunks=(50,), compression="lzf"),
    )
    rewrite(source, folder / "csr no shape.h5ad", no_shape)
    rewrite(
        folder / "dense float32.h5ad",
        folder / "dense float16.h5ad",
        lambda file: replace(file, "X", plain["dense float32"].X.astype("f2")),
    )
    expected["csr lzf"] = expected["csr no shape"] = expected["csr float32"]
    expected["dense float16"] = expected["dense float32"]
    rewrite(source, folder / "csr chunked.h5ad", chunked)
    rewrite(source, folder / "csr shuffled.h5ad", shuffled)
    rewrite(source, folder / "csr unsorted.h5ad", unsorted)
    rewrite(source, folder / "csr big endian.h5ad", big_endian)
    expected["csr chunked"] = expected["csr shuffled"] = expected["csr big endian"] = expected["csr float32"]

    full = full_anndata()
    full.write_h5ad(folder / "full.h5ad")
    for compression in ("gzip", "lzf"):
        full.write_h5ad(folder / f"full {compression}.h5ad", compression=compression)
    repack(folder / "full.h5ad", folder / "latest.h5ad", libver="latest", userblock_size=1024)
    old = full.copy()
    old.obs = old.obs[["category", "ordered", "text", "float64", "int64", "boolean"]]
    del old.raw, old.uns["sparse"], old.uns["table"], old.obsm["table"]
    old_style(folder / "old.h5ad", old)
    ancient(folder / "ancient.h5ad", full)
    repack(folder / "full.h5ad", folder / "bare.h5ad")
    bare(folder / "bare.h5ad")
    fortran(folder / "fortran.h5ad")
    make_bad(folder, source, data)
    (folder / "expected.json").write_text(json.dumps({"matrices": expected, "full": contents(full)}))


def make_bad(folder, source, data):
    def bad(name, change, source=source):
        rewrite(source, folder / f"{name}.h5ad", change)

    def edited(values, position, value):
        values = values.copy()
        values[position] = value
        return values

    def duplicated(file):
        replace(file, "X/indices", edited(data.indices, 1, data.indices[0]))

    def large_integers(file):
        replace(file, "X/data", edited(data.data.astype(np.int64), 4, 2**60))

    def half_column(file):
        replace(file, "obs/_index", file["obs/_index"][:-1])

    bad("no X", lambda file: file.__delitem__("X"))
    unknown = bytearray((folder / "csr lzf.h5ad").read_bytes())
    place = unknown.index(b"lzf\0") - 8  # number of the filter, before its name
    assert unknown[place : place + 2] == (32000).to_bytes(2, "little")
    unknown[place : place + 2] = (32555).to_bytes(2, "little")
    (folder / "unknown filter.h5ad").write_bytes(bytes(unknown))
    bad("falling indptr", lambda file: replace(file, "X/indptr", edited(data.indptr, 7, 0)))
    bad("long indptr", lambda file: replace(file, "X/indptr", edited(data.indptr, -1, 10**6)))
    bad("short indptr", lambda file: replace(file, "X/indptr", data.indptr[:-2]))
    bad("large index", lambda file: replace(file, "X/indices", edited(data.indices, 10, GENES)))
    bad("negative index", lambda file: replace(file, "X/indices", edited(data.indices, 10, -1)))
    bad("duplicated index", duplicated)
    bad("short indices", lambda file: replace(file, "X/indices", data.indices[:-3]))
    bad("large integers", large_integers)
    bad("no indices", lambda file: file.__delitem__("X/indices"))
    bad("text matrix", lambda file: replace(file, "X/data", ["a"] * len(data.data)))
    bad("missing name", half_column)
    bad(
        "bad codes",
        lambda file: replace(file, "obs/category/codes", np.full(CELLS, 9, np.int8)),
        folder / "full.h5ad",
    )
    bad("missing column", lambda file: file.__delitem__("obs/text"), folder / "full.h5ad")
    bad("no obs", lambda file: file.__delitem__("obs"))
    bad("bad table", lambda file: replace(file, "obs", np.zeros(CELLS)))
    bad(
        "column csc",
        lambda file: replace(file, "X/indices", edited(file["X/indices"][:], 3, CELLS)),
        folder / "csc float32.h5ad",
    )
    with h5py.File(folder / "tenx.h5", "w") as file:
        file.create_group("matrix")
    content = source.read_bytes()
    (folder / "truncated.h5ad").write_bytes(content[: len(content) // 2])
    flipped = bytearray((folder / "csr chunked.h5ad").read_bytes())
    with h5py.File(folder / "csr chunked.h5ad") as file:
        start = file["X/data"].id.get_chunk_info(1).byte_offset
    flipped[start + 8 : start + 24] = bytes(16)
    (folder / "damaged chunk.h5ad").write_bytes(bytes(flipped))
    twice = simple(counts(rows=4, columns=5))
    twice.var_names = ["a", "b", "a", "c", "b"]
    twice.write_h5ad(folder / "duplicated.h5ad")


# check


def same(a, b, where):
    """Everything of `a` is in `b`, to the byte."""
    if isinstance(a, h5py.Group):
        for name in a:
            assert name in b, f"{where}/{name} is missing"
            same(a[name], b[name], f"{where}/{name}")
    elif a.dtype == h5py.ref_dtype or a.shape is None:
        pass
    else:
        assert (
            a.dtype == b.dtype
            and a.shape == b.shape
            and a.chunks == b.chunks
            and a.compression == b.compression
        ), where
        fields = (
            a.dtype.kind == "V"
            and a.dtype.names
            and not any(h5py.check_string_dtype(a.dtype[name]) for name in a.dtype.names)
        )
        assert (
            a[()].tobytes() == b[()].tobytes()
            if fields
            else np.array_equal(a[()], b[()], equal_nan=a.dtype.kind == "f")
        ), where
    for name, value in a.attrs.items():
        if name == "column-order" or isinstance(value, h5py.Reference):
            continue
        assert np.array_equal(value, b.attrs[name]), f"{where} @{name}"


def equal(a, b, where, left=()):
    """What anndata reads is the same, to the value and the type."""
    if isinstance(a, anndata.AnnData):
        for part in ["obs", "var", "X", "layers", "obsm", "varm", "obsp", "varp", "uns"]:
            equal(getattr(a, part), getattr(b, part), f"{where} {part}", left)
        assert (a.raw is None) == (b.raw is None), where
        if a.raw is not None:
            equal(a.raw.X, b.raw.X, f"{where} raw")
            equal(a.raw.var, b.raw.var, f"{where} raw.var")
    elif isinstance(a, pd.DataFrame):
        kept = [name for name in a if name not in left]
        pd.testing.assert_frame_equal(a[kept], b[kept], obj=where)
    elif hasattr(a, "items") and not isinstance(a, (np.ndarray, np.generic)):
        for name, value in a.items():
            if name not in left:
                equal(value, b[name], f"{where}/{name}", left)
    elif scipy.sparse.issparse(a):
        assert type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape, where
        assert all(
            np.array_equal(getattr(a, part), getattr(b, part), equal_nan=part == "data")
            for part in ["data", "indices", "indptr"]
        ), where
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f"), where
    else:
        assert type(a) is type(b) and a == b, where


def check_column(actual, wanted, where):
    got = column(actual)
    assert got["kind"] == wanted["kind"], (where, got["kind"])
    for part in ["codes", "categories", "ordered", "values"]:
        if part in wanted:
            assert got[part] == wanted[part], (where, part, got[part][:5], wanted[part][:5])


def check_uns(actual, wanted, where):
    if isinstance(wanted, dict):
        assert set(actual) == set(wanted), where
        for key in wanted:
            check_uns(actual[key], wanted[key], f"{where}/{key}")
    else:
        value = actual.tolist() if isinstance(actual, (np.ndarray, np.generic)) else actual
        assert value == wanted and type(value) is type(wanted), (where, value, wanted)


def check(folder):
    for item in json.loads((folder / "written.json").read_text()):
        data = anndata.read_h5ad(folder / item["file"])
        if "source" in item:
            if item.get("stamped"):  # anndata cannot read the source
                continue
            source = anndata.read_h5ad(item["source"] if "/" in item["source"] else folder / item["source"])
            equal(
                source,
                data,
                item["file"],
                [*item.get("replaced", []), *item.get("obsm", {}), *item.get("uns", {})],
            )
            with (
                h5py.File(item["source"] if "/" in item["source"] else folder / item["source"]) as a,
                h5py.File(folder / item["file"]) as b,
            ):
                for name in a:
                    if not (item.get("replaced") and name in ("obs", "obsm", "uns")) and not (
                        isinstance(a["obs"], h5py.Dataset) and name in ("obs", "var", "obsm", "uns")
                    ):
                        same(a[name], b[name], name)
                assert not set(a.attrs) - set(b.attrs) and b.attrs["encoding-type"] == "anndata"
            assert list(data.obs) == list(dict.fromkeys([*source.obs, *item["obs"]])), "column order"
        for name, wanted in item["obs"].items():
            check_column(data.obs[name], wanted, f"{item['file']} obs {name}")
            if "dtype" in wanted:
                assert str(data.obs[name].dtype) == wanted["dtype"], (name, data.obs[name].dtype)
        for name, wanted in item.get("obsm", {}).items():
            assert matrix(data.obsm[name]) == wanted, (item["file"], name)
        for name, wanted in item.get("uns", {}).items():
            check_uns(data.uns[name], wanted, f"{item['file']} uns {name}")
        if "X" in item:
            assert matrix(data.X) == item["X"], item["file"]
            assert list(data.obs_names) == item["obsNames"] and list(data.var_names) == item["varNames"]
        data.copy().write_h5ad(folder / "again.h5ad")
        if item.get("scanpy"):
            check_scanpy(folder / item["file"])
    print("ok")


def check_scanpy(path):
    try:
        import scanpy
    except ImportError:
        return
    data = scanpy.read_h5ad(path)
    table = scanpy.get.obs_df(data, keys=["type_pred", "type_uncert"], obsm_keys=[("X_scpoli", 1)])
    assert list(table["X_scpoli-1"]) == list(data.obsm["X_scpoli"][:, 1])


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](Path(sys.argv[2]))
