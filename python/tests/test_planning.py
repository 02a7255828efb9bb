"""Plans, tables over many mappings, converted files, packed models: equal to the command line's."""

from __future__ import annotations

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from conftest import FEW, cli

import scpoli


class TestPlan:
    def test_equals_the_command_line(self, reference_path, query_path):
        options = ["--condition-key", "sample", "--genes", "800", "--rounds", "6", "--threads", "2"]
        expected = json.loads(
            cli("plan", reference_path, *options, "--query", query_path, "--json", "--quiet").stdout
        )
        plan = scpoli.plan(
            reference_path, "sample", query=query_path, genes=800, rounds=6, threads=2, quiet=True
        )
        for name, value in expected.items():
            if name not in ("seconds", "notes"):
                assert plan.summary[name] == value, name
        steps = plan.steps.set_index("step")
        assert steps.loc["train", "memory_mb"] == expected["train"]["memory_mb"]
        assert steps.loc["rounds local", "jobs"] == 6
        assert steps.loc["map", "data"] == str(query_path)
        assert list(steps.index) == [
            "train",
            *(f"rounds {name}" for name in ("init", "merge", "finish", "survey", "local", "summary")),
            "map",
            "embed",
        ]

    def test_of_anndata_in_memory_is_that_of_files(self, reference, query, reference_path, query_path):
        plan = scpoli.plan(reference, "sample", query=[query, query[:300]], threads=1, quiet=True)
        expected = scpoli.plan(reference_path, "sample", query=query_path, threads=1, quiet=True)
        assert plan.summary["parameters"] == expected.summary["parameters"]
        assert list(plan.steps.query("step == 'map'")["data"]) == ["query[0]", "query[1]"]
        assert list(plan.steps.query("step == 'map'")["cells"]) == [720, 300]
        assert plan.steps.iloc[0]["memory_mb"] == expected.steps.iloc[0]["memory_mb"]
        assert "adata" in set(plan.steps["data"])
        assert "1,156 cells" in repr(plan)
        assert "<table" in plan._repr_html_()

    def test_of_shards(self, reference):
        halves = [reference[::2], reference[1::2]]
        plan = scpoli.plan(halves, "sample", genes=list(reference.var_names[:700]), quiet=True)
        assert plan.summary["genes"] == 700
        assert list(plan.steps.query("step == 'rounds local'")["data"]) == ["adata[0]", "adata[1]"]

    def test_errors_speak_of_adata(self, reference):
        with pytest.raises(scpoli.MissingKeyError, match=r"adata: .*nope"):
            scpoli.plan(reference, "nope", quiet=True)
        with pytest.raises(scpoli.ArgumentError, match="condition_key"):
            scpoli.plan(reference)
        with pytest.raises(scpoli.ArgumentError, match=r"adata\[1\]: expected an AnnData.*got int"):
            scpoli.plan([reference, 3], "sample")


class TestCollect:
    def test_equals_the_command_line(self, mapped, tmp_path):
        _, mapping = mapped
        paths = []
        for name in ("b", "a"):
            paths.append(tmp_path / f"{name}.json")
            paths[-1].write_text(json.dumps(mapping.summary))
        cli("collect", *paths, "-o", tmp_path / "expected.tsv", "--report", tmp_path / "expected.html")
        report, output = tmp_path / "found.html", tmp_path / "found.tsv"
        table = scpoli.collect({"b": mapping, "a": mapping.summary}, output=output, report=report)
        assert output.read_bytes() == (tmp_path / "expected.tsv").read_bytes()
        assert report.read_bytes() == (tmp_path / "expected.html").read_bytes()
        pd.testing.assert_frame_equal(table, scpoli.collect(paths))

    def test_is_a_table_of_types(self, mapped):
        query, mapping = mapped
        table = scpoli.collect({"patients": mapping})
        counts = query.obs["cell_type_pred"].value_counts()
        assert dict(zip(table["cell_type"], table["cells"], strict=True)) == dict(counts[counts > 0])
        assert set(table["query"]) == {"patients"}
        assert table["novel_clusters"].isna().all()
        assert set(table["verdict"]) == {mapping.verdict["light"]}

    def test_refuses_what_is_no_mapping(self, mapped, tmp_path):
        with pytest.raises(scpoli.FormatError, match="the result of 'x'"):
            scpoli.collect({"x": {"cells": 3}})
        with pytest.raises(scpoli.UsageError, match="no mappings"):
            scpoli.collect({})
        with pytest.raises(scpoli.UsageError, match="a/b"):
            scpoli.collect({"a/b": mapped[1]})
        with pytest.raises(scpoli.ArgumentError, match="'x', got a list"):
            scpoli.collect({"x": []})
        with pytest.raises(scpoli.FileError):
            scpoli.collect([tmp_path / "nowhere.json"])


class TestConvert:
    def test_writes_counts_for_training_from_disk(self, reference, reference_path, tmp_path):
        path = scpoli.convert(reference, tmp_path / "atlas.zarr", shuffle=True, quiet=True)
        assert path == tmp_path / "atlas.zarr"
        from_disk = scpoli.train(path, "sample", "cell_type", **FEW)
        assert from_disk.summary["cells"] == reference.n_obs
        # the same cells in the same order as the command line writes
        scpoli.convert(reference, tmp_path / "found.h5ad", quiet=True)
        cli("convert", reference_path, tmp_path / "expected.h5ad", "--quiet")
        actual, expected = (ad.read_h5ad(tmp_path / f"{name}.h5ad") for name in ("found", "expected"))
        assert list(actual.obs_names) == list(expected.obs_names)
        assert np.array_equal(actual.X.toarray(), expected.X.toarray())

    def test_of_no_counts(self, reference, tmp_path):
        reference.X = reference.X * 0.37
        with pytest.raises(scpoli.CountsError, match="adata"):
            scpoli.convert(reference, tmp_path / "atlas.zarr", quiet=True)
        assert list(tmp_path.iterdir()) == []


class TestPackedModels:
    def test_are_listed_and_verified(self, model, tmp_path, monkeypatch):
        (tmp_path / "models").mkdir()
        index = tmp_path / "models" / "index.json"
        about = {"index": index, "licence": "CC-BY-4.0", "organism": "Homo sapiens"}
        entry = scpoli.models.pack(model, tmp_path / "models" / "blood-3.zip", release="3", **about)
        assert (entry["name"], entry["version"], entry["cells"]) == ("blood", "3", 1156)
        monkeypatch.setenv("SCPOLI_MODELS", str(index))
        monkeypatch.setenv("SCPOLI_CACHE", str(tmp_path / "cache"))
        assert list(scpoli.models.list()["licence"]) == ["CC-BY-4.0"]
        assert scpoli.models.verify() == 0
        pulled = scpoli.models.pull("blood")
        assert scpoli.models.verify() == 1
        pulled.path.write_bytes(b"damaged")
        with pytest.raises(scpoli.FileError, match="1 of 1 models") as caught:
            scpoli.models.verify()
        assert caught.value.details["damaged"] == [str(pulled.path)]
        with pytest.raises(scpoli.RefusedError, match="force=True"):
            scpoli.models.pack(
                model, tmp_path / "models" / "other.zip", name="blood", release="3", index=index
            )
