"""Markers, comparisons, decoded expression: the same bytes as the command line, in scanpy's places."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from conftest import cli, same

import scpoli


def table_of(path) -> pd.DataFrame:
    """A table that the command line has written, read by the standard library: numbers to the bit."""
    import csv

    with open(path, newline="", encoding="utf8") as file:
        rows = list(csv.DictReader(file))
    return pd.DataFrame(rows)


def assert_same_table(actual: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert list(actual.columns) == list(expected.columns)
    assert len(actual) == len(expected) > 0
    for name in actual.columns:
        if pd.api.types.is_numeric_dtype(actual[name]):
            numbers = np.array([float(text) if text else np.nan for text in expected[name]])
            assert np.array_equal(actual[name].to_numpy(dtype=float), numbers, equal_nan=True), name
        else:
            assert list(actual[name].astype(str)) == list(expected[name]), name


def assert_same_entries(actual, expected, where: str = "uns") -> None:
    """Compare entries of uns: dicts, tables, structured arrays, text."""
    if isinstance(expected, dict):
        assert sorted(actual) == sorted(expected), where
        for key, value in expected.items():
            assert_same_entries(actual[key], value, f"{where}/{key}")
    elif isinstance(expected, pd.DataFrame):
        assert actual.equals(expected), where
    else:
        assert np.array_equal(np.asarray(actual), np.asarray(expected)), where


class TestMarkers:
    @pytest.fixture(scope="class")
    def expected(self, query_path, tmp_path_factory):
        folder = tmp_path_factory.mktemp("markers")
        where = ["-o", folder / "markers.h5ad", "--csv", folder / "markers.csv"]
        cli("markers", query_path, "--groups", "cell_type", *where, "--quiet")
        return ad.read_h5ad(folder / "markers.h5ad").uns["rank_genes_groups"], table_of(
            folder / "markers.csv"
        )

    def test_equal_those_of_the_command_line(self, query, expected):
        table = scpoli.markers(query, "cell_type", quiet=True)
        assert_same_table(table, expected[1])
        assert_same_entries(query.uns["rank_genes_groups"], expected[0])

    def test_are_where_scanpy_looks(self, query):
        scpoli.markers(query, "cell_type", quiet=True)
        entry = query.uns["rank_genes_groups"]
        assert entry["params"]["groupby"] == "cell_type"
        assert entry["names"].dtype.names == tuple(sorted(query.obs["cell_type"].unique()))
        assert entry["scores"].dtype["NK cells"] == np.float32
        assert set(entry["pts"].columns) == set(query.obs["cell_type"].unique())

    def test_are_what_scanpy_finds(self, query):
        sc = pytest.importorskip("scanpy")
        scpoli.markers(query, "cell_type", quiet=True)
        sc.pp.normalize_total(query, target_sum=1e4)
        sc.pp.log1p(query)
        sc.tl.rank_genes_groups(query, "cell_type", method="wilcoxon", tie_correct=True, key_added="scanpy")
        for group in query.obs["cell_type"].unique():
            ranked = sc.get.rank_genes_groups_df(query, group).set_index("names")
            expected = sc.get.rank_genes_groups_df(query, group, key="scanpy").set_index("names")
            assert np.allclose(
                ranked["scores"], expected["scores"].loc[ranked.index], rtol=1e-3, atol=1e-3
            ), group

    def test_of_a_path_and_of_another_layer(self, query, query_path, expected):
        query.layers["umi"] = query.X.copy()
        query.X = np.log1p(query.X.toarray())
        assert_same_table(scpoli.markers(query, "cell_type", layer="umi", quiet=True), expected[1])
        assert_same_table(scpoli.markers(query_path, "cell_type", quiet=True), expected[1])

    def test_as_a_copy_and_with_the_names_of_scanpy(self, query):
        copy = scpoli.markers(query, groupby="cell_type", n_genes=5, key_added="few", copy=True, quiet=True)
        assert "few" not in query.uns
        assert len(copy.uns["few"]["names"]) == 5

    def test_into_a_file(self, query, tmp_path):
        path = tmp_path / "markers.h5ad"
        scpoli.markers(query, "cell_type", output=path, top=3, quiet=True)
        assert "rank_genes_groups" not in query.uns
        assert len(ad.read_h5ad(path).uns["rank_genes_groups"]["names"]) == 3

    def test_of_chosen_cells(self, query):
        table = scpoli.markers(query, select={"cell_type": ["NK cells", "CD8 T cells"]}, top=10, quiet=True)
        assert len(table) == 10
        assert table["group"].nunique() == 1

    def test_of_gene_sets(self, query):
        table = scpoli.markers(query, "cell_type", quiet=True)
        name = table["group"].iloc[0]
        top = list(table[table["group"] == name]["symbol"][:8])
        rest = list(table[table["group"] == name]["symbol"][-8:])
        scpoli.markers(query, "cell_type", gene_sets={"its markers": top, "others": rest}, quiet=True)
        sets = query.uns["rank_genes_groups_gene_sets"]
        first = sets[sets["group"] == name].iloc[0]
        assert first["set"] == "its markers"
        assert first["overlap"] == 8
        assert first["p_adjusted"] < 1e-4

    def test_of_genes_with_names_that_pandas_takes_for_missing(self, query):
        query.var_names = ["NA", "null", *query.var_names[2:]]
        table = scpoli.markers(query, select={"cell_type": "NK cells"}, quiet=True)
        assert {"NA", "null"} <= set(table["gene"])

    def test_of_a_missing_column(self, query):
        with pytest.raises(scpoli.MissingKeyError, match='adata: obs has no column "nope"'):
            scpoli.markers(query, "nope", quiet=True)
        assert not query.uns


class TestCompare:
    BETWEEN = {"condition": ["stim", "ctrl"]}

    @pytest.fixture(scope="class")
    def expected(self, query_path, tmp_path_factory):
        folder = tmp_path_factory.mktemp("compare")
        what = [
            "--between",
            "condition=stim,ctrl",
            "--sample-key",
            "donor",
            "--within",
            "cell_type",
            "--min-cells",
            "5",
        ]
        cli("compare", query_path, *what, "-o", folder / "compare.h5ad", "--tables", folder, "--quiet")
        return folder

    def test_equals_the_command_line(self, query, expected):
        comparison = scpoli.compare(query, self.BETWEEN, "donor", within="cell_type", min_cells=5, quiet=True)
        for name in ("genes", "types", "abundance", "samples"):
            assert_same_table(getattr(comparison, name), table_of(expected / f"{name}.csv"))
        uns = ad.read_h5ad(expected / "compare.h5ad").uns["scpoli_compare"]
        assert_same_entries(query.uns["scpoli_compare"], uns)
        assert "stim over ctrl" in repr(comparison)
        assert "<table" in comparison._repr_html_()

    def test_finds_what_interferon_does(self, query):
        comparison = scpoli.compare(query, self.BETWEEN, "donor", quiet=True)
        first = comparison.genes.set_index("gene").loc["ISG15"]
        assert first["log2_fold_change"] > 1
        assert first["p_adjusted"] < 0.05

    def test_takes_gene_sets(self, query, expected):
        first = pd.read_csv(expected / "genes.csv").query("log2_fold_change > 0").head(20)["gene"]
        sets = {"higher": list(first), "unchanged": list(query.var_names[-30:])}
        comparison = scpoli.compare(query, self.BETWEEN, "donor", gene_sets=sets, quiet=True)
        row = comparison.gene_sets.query("direction == 'up'").set_index("set").loc["higher"]
        assert row["overlap"] > 5
        assert row["p_adjusted"] < 0.05

    def test_takes_text_and_gives_a_copy(self, query):
        copy = scpoli.compare(query, "condition=stim,ctrl", "donor", copy=True, key_added="stim", quiet=True)
        assert "stim" in copy.uns
        assert not query.uns

    def test_of_a_group_that_is_not_there(self, query):
        with pytest.raises(scpoli.MissingKeyError, match="'nope'"):
            scpoli.compare(query, {"condition": ["stim", "nope"]}, "donor", quiet=True)


class TestExpression:
    def test_equals_the_command_line(self, model, reference, reference_path, tmp_path):
        path = tmp_path / "expression.h5ad"
        cli("expression", model.path, reference_path, "-o", path, "--quiet")
        expected = ad.read_h5ad(path)
        decoded = model.expression(reference, quiet=True)
        assert list(decoded.obs_names) == list(expected.obs_names) == list(reference.obs_names)
        assert list(decoded.var_names) == list(expected.var_names)
        assert same(decoded.X, expected.X)
        assert not reference.layers

    def test_of_other_conditions_and_chosen_genes(self, mapped):
        query, mapping = mapped
        genes = ["ISG15", "CXCL10"]
        options = {"genes": genes, "samples": 3, "quiet": True}
        stimulated = mapping.model.expression(query, as_={"sample": "P101_stim"}, **options)
        control = mapping.model.expression(query, as_={"sample": "P101_ctrl"}, **options)
        assert list(stimulated.var_names) == genes
        assert list(stimulated.layers)
        # a model of a few epochs does not know the response, but decodes each sample in its own way
        assert not same(stimulated.X, control.X)

    def test_into_a_file(self, model, reference, tmp_path):
        path = tmp_path / "expression.h5ad"
        decoded = model.expression(reference[:100].copy(), output=path, average=True, quiet=True)
        assert decoded.isbacked
        assert decoded.shape == (100, len(model.genes))
        decoded.file.close()

    def test_of_unknown_conditions(self, model, query):
        with pytest.raises(scpoli.ScPoliError, match="P1244"):
            model.expression(query, quiet=True)


class TestRounds:
    OPTIONS = {"rounds": 2, "epochs": 4, "pretraining_epochs": 2, "quiet": True}

    def test_step_by_step_equal_the_command_line(self, reference, reference_path, tmp_path):
        keys = {"condition_key": "sample", "cell_type_key": "cell_type"}
        shards = scpoli.rounds.cut(
            reference_path, tmp_path / "shards", shards=2, condition_key="sample", quiet=True
        )
        assert [path.name for path in shards] == ["shard-000.h5ad", "shard-001.h5ad"]
        whole = scpoli.rounds.run(tmp_path / "one", shards, tmp_path / "one.zip", **keys, **self.OPTIONS)
        folder = tmp_path / "steps"
        rounds = scpoli.rounds
        for path in shards:
            rounds.survey(folder, path, shard=path.stem, **keys, quiet=True)
        rounds.init(folder, **self.OPTIONS)
        for number in (1, 2, 3):
            for path in shards:
                rounds.local(folder, path, shard=path.stem, round=number, quiet=True)
            assert rounds.merge(folder, round=number, quiet=True)["written"]
        for path in shards:
            rounds.summary(folder, path, shard=path.stem, quiet=True)
        assert rounds.status(folder, quiet=True)["round"] >= 2
        model = rounds.finish(folder, tmp_path / "steps.zip", quiet=True)
        assert model.path.read_bytes() == whole.path.read_bytes()
        assert model.conditions["sample"] == sorted(
            reference.obs["sample"].unique(), key=list(model.conditions["sample"]).index
        )


class TestModels:
    def test_are_listed_pulled_and_told(self, query, tmp_path, monkeypatch):
        monkeypatch.setenv("SCPOLI_CACHE", str(tmp_path))
        monkeypatch.delenv("SCPOLI_MODELS", raising=False)
        assert list(scpoli.models.list()["name"]) == ["demo-blood"]
        model = scpoli.models.pull("demo-blood@1")
        assert str(model.path).startswith(str(tmp_path))
        assert "licence" in scpoli.models.info(model)["card"]
        assert scpoli.read("demo-blood@1").conditions == model.conditions
        assert model.map(query, epochs=1, quiet=True).summary["cells"] == 720
        with pytest.raises(scpoli.MissingKeyError, match="nowhere"):
            scpoli.models.pull("nowhere")
