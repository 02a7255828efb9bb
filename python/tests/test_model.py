"""Training, reading, mapping and saving: the same bytes as the command line, whatever form the data have."""

from __future__ import annotations

import zipfile
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from conftest import FEW, cli, same

import scpoli


def few() -> list[str]:
    return ["--epochs", "4", "--pretraining-epochs", "3", "--quiet"]


def results(adata: ad.AnnData) -> dict[str, np.ndarray]:
    columns = [column for column in adata.obs if column.startswith(("cell_type_", "scpoli_"))]
    return {
        **{column: np.asarray(adata.obs[column]) for column in columns},
        **{key: np.asarray(adata.obsm[key]) for key in ("X_scpoli", "X_umap_scpoli")},
    }


def assert_same_results(a: ad.AnnData, b: ad.AnnData) -> None:
    left, right = results(a), results(b)
    assert sorted(left) == sorted(right)
    for key, values in left.items():
        assert same(values, right[key]), key


class TestTrain:
    def test_gives_the_bytes_of_the_command_line(self, model, reference_path, tmp_path):
        path = tmp_path / "cli.zip"
        cli(
            "train",
            reference_path,
            "-o",
            path,
            "--condition-key",
            "sample",
            "--cell-type-key",
            "cell_type",
            *few(),
        )
        with zipfile.ZipFile(path) as expected, zipfile.ZipFile(model.path) as actual:
            for name in ("model.json", "model.safetensors"):
                assert actual.read(name) == expected.read(name), name

    def test_from_a_path_is_the_same(self, model, reference_path):
        again = scpoli.train(reference_path, "sample", "cell_type", **FEW)
        assert again.path.read_bytes() == model.path.read_bytes()

    def test_takes_the_names_of_scvi_tools(self, model, reference):
        options = {"max_epochs": 4, "pretraining_epochs": 3, "quiet": True}
        again = scpoli.train(reference, batch_key="sample", labels_key="cell_type", **options)
        assert again.path.read_bytes() == model.path.read_bytes()

    def test_takes_the_names_of_scarches(self, model, reference):
        options = {"n_epochs": 4, "pretraining_epochs": 3, "latent_dim": 20, "quiet": True}
        again = scpoli.train(reference, condition_keys=["sample"], cell_type_keys=["cell_type"], **options)
        # the file tells which options were given
        assert again.genes.equals(model.genes)
        assert again.prototypes["spread"].equals(model.prototypes["spread"])

    def test_embed_writes_into_adata(self, model, reference, tmp_path):
        scpoli.train(reference, "sample", "cell_type", embed=True, **FEW)
        path = tmp_path / "embedded.h5ad"
        cli("embed", reference.filename or _written(reference, tmp_path), "--model", model.path, "-o", path)
        expected = ad.read_h5ad(path)
        assert same(reference.obs["cell_type_pred"], expected.obs["cell_type_pred"])
        assert same(reference.obsm["X_scpoli"], expected.obsm["X_scpoli"])

    def test_without_output_keeps_the_model_while_it_is_used(self, reference):
        model = scpoli.train(reference, "sample", **FEW)
        path = model.path
        assert path.exists()
        assert model.cell_type_keys == []
        del model
        import gc

        gc.collect()
        assert not path.exists()

    def test_takes_genes_as_a_list(self, reference):
        genes = list(reference.var_names[:50])
        assert list(scpoli.train(reference, "sample", genes=genes, **FEW).genes) == genes

    def test_takes_a_number_of_genes(self, reference):
        assert len(scpoli.train(reference, "sample", n_top_genes=40, **FEW).genes) == 40

    def test_takes_maps_of_names(self, reference):
        labels = {"NK cells": "NK"}
        gene = reference.var_names[0]
        model = scpoli.train(reference, "sample", "cell_type", label_map=labels, gene_map={gene: "G1"}, **FEW)
        assert "NK" in model.cell_types["cell_type"]
        assert "NK cells" not in model.cell_types["cell_type"]
        assert model.genes[0] == "G1"

    def test_takes_exclusions_and_several_keys(self, reference):
        reference.obs["half"] = np.where(np.arange(reference.n_obs) % 2, "a,b", "c")
        model = scpoli.train(
            reference, ["sample", "half"], exclude={"sample": ["P101_ctrl"]}, hidden=[16, 8], **FEW
        )
        assert "P101_ctrl" not in model.conditions["sample"]
        assert model.conditions["half"] == ["a,b", "c"]
        assert model.summary["model"]["hidden_layer_sizes"] == [16, 8]

    def test_landmarks_can_be_left_out(self, reference, query):
        model = scpoli.train(reference, "sample", "cell_type", landmarks=False, **FEW)
        model.map(query, epochs=1, quiet=True)
        assert "X_umap_scpoli" not in query.obsm


def _written(adata: ad.AnnData, folder: Path) -> Path:
    """The counts and the obs that were there before."""
    path = folder / "input.h5ad"
    ad.AnnData(adata.X, adata.obs[["sample", "cell_type"]], adata.var).write_h5ad(path)
    return path


class TestForms:
    """AnnData in every form give the same results."""

    @pytest.fixture(scope="class")
    def expected_path(self, model, query_path, tmp_path_factory):
        path = tmp_path_factory.mktemp("cli") / "mapped.h5ad"
        cli("map", query_path, "--reference", model.path, "-o", path, "--epochs", "2", "--quiet")
        return path

    @pytest.fixture(scope="class")
    def expected(self, expected_path):
        return ad.read_h5ad(expected_path)

    def check(self, model, adata, expected, **options):
        model.map(adata, epochs=2, quiet=True, **options)
        assert_same_results(adata, expected)

    def test_in_memory(self, model, query, expected):
        self.check(model, query, expected)

    def test_writes_what_the_command_line_writes(self, mapped, expected):
        query, _ = mapped
        assert list(query.obs.columns) == list(expected.obs.columns)
        for column in expected.obs:
            assert query.obs[column].dtype == expected.obs[column].dtype, column
        assert str(query.uns["scpoli"]) == str(expected.uns["scpoli"])

    @pytest.mark.parametrize("form", ["csr", "csc", "coo", "dense", "integers", "float64", "matrix"])
    def test_of_every_kind_of_matrix(self, model, query, expected, form):
        dense = query.X.toarray() if sp.issparse(query.X) else np.asarray(query.X)
        if form == "coo":
            # anndata takes no COO as X; in a layer it does
            query.layers["counts"] = sp.csr_matrix(dense)
            query.X = np.log1p(dense)
        else:
            query.X = {
                "csr": lambda: sp.csr_matrix(dense),
                "csc": lambda: sp.csc_matrix(dense),
                "dense": lambda: dense,
                "integers": lambda: dense.astype(np.int32),
                "float64": lambda: dense.astype(np.float64),
                "matrix": lambda: np.asfortranarray(dense),
            }[form]()
        self.check(model, query, expected)

    def test_in_a_layer(self, model, query, expected):
        query.layers["umi"] = query.X.copy()
        query.X = np.log1p(query.X.toarray() if sp.issparse(query.X) else query.X)
        self.check(model, query, expected, layer="umi")

    def test_in_raw(self, model, query, expected):
        query.raw = query.copy()
        query.X = np.log1p(query.X.toarray() if sp.issparse(query.X) else query.X)
        self.check(model, query, expected)

    def test_of_permuted_genes(self, model, query, expected):
        shuffled = query[:, np.random.default_rng(0).permutation(query.n_vars)].copy()
        self.check(model, shuffled, expected)

    @pytest.mark.filterwarnings("ignore::anndata.ImplicitModificationWarning")
    def test_of_a_view(self, model, query, expected):
        everything = query[np.arange(query.n_obs)]
        assert everything.is_view
        self.check(model, everything, expected)

    def test_backed(self, model, query_path, expected, tmp_path):
        path = tmp_path / "backed.h5ad"
        path.write_bytes(query_path.read_bytes())
        backed = ad.read_h5ad(path, backed="r")
        self.check(model, backed, expected)
        assert path.read_bytes() == query_path.read_bytes()

    def test_backed_with_changed_obs(self, model, query_path, expected, tmp_path):
        path = tmp_path / "backed.h5ad"
        path.write_bytes(query_path.read_bytes())
        backed = ad.read_h5ad(path, backed="r")
        backed.obs["another"] = 1.0
        self.check(model, backed, expected)

    def test_on_disk(self, model, query_path, expected, expected_path, tmp_path):
        output = tmp_path / "mapped.h5ad"
        mapping = model.map(query_path, output=output, epochs=2, quiet=True)
        assert mapping.path == output
        assert mapping.adata is None
        assert output.read_bytes() == expected_path.read_bytes()
        assert_same_results(ad.read_h5ad(output), expected)

    def test_as_a_copy(self, model, query, expected):
        columns = list(query.obs.columns)
        annotated = model.map(query, copy=True, epochs=2, quiet=True)
        assert list(query.obs.columns) == columns
        assert_same_results(annotated, expected)

    def test_again_replaces_the_results(self, model, query, expected):
        self.check(model, query, expected)
        columns = list(query.obs.columns)
        self.check(model, query, expected)
        assert list(query.obs.columns) == columns

    @pytest.mark.parametrize("kind", ["string", "integers", "missing", "mixed", "dates", "nullable"])
    def test_with_columns_of_every_kind(self, model, query, expected, kind):
        n = query.n_obs
        query.obs["more"] = {
            "string": lambda: pd.array([f"s{i % 3}" for i in range(n)], dtype="string"),
            "integers": lambda: np.arange(n),
            "missing": lambda: [None if i % 3 else "x" for i in range(n)],
            "mixed": lambda: [1 if i % 2 else "x" for i in range(n)],
            "dates": lambda: pd.date_range("2020-01-01", periods=n),
            "nullable": lambda: pd.array([i if i % 2 else None for i in range(n)], dtype="Int64"),
        }[kind]()
        with np.testing.suppress_warnings() as ignored:
            ignored.filter(UserWarning)
            self.check(model, query, expected)

    def test_with_obs_names_that_are_numbers(self, model, query, expected):
        query.obs_names = [str(i) for i in range(query.n_obs)]
        self.check(model, query, expected)


class TestMapping:
    def test_tells_what_was_found(self, mapped):
        _, mapping = mapped
        assert mapping.verdict["light"] in ("green", "amber", "red")
        assert list(mapping.reasons.columns)[:2] == ["criterion", "light"]
        assert mapping.summary["cells"] == 720
        assert len(mapping.conditions) == 6
        assert "verdict" in repr(mapping)

    def test_gives_the_model_with_the_new_conditions(self, model, mapped):
        _, mapping = mapped
        assert (
            mapping.model.conditions["sample"][: len(model.conditions["sample"])]
            == model.conditions["sample"]
        )
        assert len(mapping.model.conditions["sample"]) == len(model.conditions["sample"]) + 6

    def test_saves_the_model_where_it_is_told(self, model, query, tmp_path):
        path = tmp_path / "grown.zip"
        mapping = model.map(query, epochs=1, quiet=True, save_model=path)
        assert mapping.model.path == path
        assert path.exists()

    def test_of_renamed_columns(self, model, query):
        query.obs = query.obs.rename(columns={"sample": "plate, sample"})
        model.map(query, condition_key={"sample": "plate, sample"}, epochs=1, quiet=True)
        assert "cell_type_pred" in query.obs

    def test_embed_of_known_conditions(self, model, reference):
        assert "X_scpoli" in model.embed(reference, copy=True, quiet=True).obsm
        mapping = model.embed(reference, quiet=True)
        assert mapping.model is model
        assert "cell_type_pred" in reference.obs

    def test_leaves_other_results_alone(self, model, query):
        query.obs["cell_type_pred"] = "mine"
        with pytest.raises(scpoli.RefusedError, match=r"adata\.obs\['cell_type_pred'\].*force=True"):
            model.map(query, epochs=1, quiet=True)
        assert (query.obs["cell_type_pred"] == "mine").all()
        model.map(query, epochs=1, quiet=True, force=True)
        assert "NK cells" in set(query.obs["cell_type_pred"])


class TestModel:
    def test_tells_what_it_is(self, model):
        assert model.condition_keys == ["sample"]
        assert model.cell_type_keys == ["cell_type"]
        assert len(model.cell_types["cell_type"]) == len(model.prototypes)
        assert len(model.genes) == model.summary["genes"]
        assert len(model.history) == 4
        assert "1,156 cells x 1,500 genes" in repr(model)

    def test_is_saved_as_a_folder_and_as_one_file(self, model, tmp_path):
        model.save(tmp_path / "folder")
        scpoli.read(tmp_path / "folder").save(tmp_path / "again.zip")
        assert (tmp_path / "again.zip").read_bytes() == model.path.read_bytes()
        with pytest.raises(scpoli.RefusedError, match="force=True"):
            model.save(tmp_path / "folder")
        model.save(tmp_path / "folder", force=True)
        assert scpoli.read(str(tmp_path / "folder")).genes.equals(model.genes)

    def test_is_exported_and_imported(self, model, tmp_path):
        model.export(tmp_path / "scarches")
        imported = scpoli.read(tmp_path / "scarches")
        assert imported.conditions == model.conditions
        assert list(imported.genes) == list(model.genes)

    def test_is_labelled(self, reference, tmp_path):
        reference.obs["cell_type"] = reference.obs["cell_type"].astype(str)
        reference.obs.loc[reference.obs["cell_type"] == "NK cells", "cell_type"] = "unknown"
        model = scpoli.train(reference, "sample", "cell_type", unlabeled_prototypes="kmeans:3", **FEW)
        grown = model.label("new type", cluster=0, level="cell_type")
        path = tmp_path / "grown.zip"
        what = ["--name", "new type", "--cluster", "0", "--level", "cell_type"]
        cli("label", model.path, "-o", path, *what, "--quiet")
        assert grown.path.read_bytes() == path.read_bytes()
        assert "new type" in grown.cell_types["cell_type"]
        assert "new type" not in model.cell_types["cell_type"]

    def test_is_labelled_by_cells(self, model, reference):
        reference.obs["chosen"] = reference.obs["sample"].astype(str) == "P101_ctrl"
        grown = model.label("new type", reference, level="cell_type", select={"chosen": "True"})
        assert "new type" in grown.cell_types["cell_type"]

    def test_that_is_missing_is_told(self, tmp_path):
        with pytest.raises(scpoli.FileError, match="nowhere"):
            scpoli.read(tmp_path / "nowhere")

    def test_that_is_damaged_is_told(self, model, tmp_path):
        path = tmp_path / "damaged.zip"
        path.write_bytes(model.path.read_bytes()[:5000])
        with pytest.raises(scpoli.ModelError, match="cannot be unpacked"):
            scpoli.read(path)


class TestSamples:
    def test_are_an_anndata(self, model, reference, tmp_path):
        samples = model.samples(reference, quiet=True)
        path = tmp_path / "samples.h5ad"
        written = tmp_path / "input.h5ad"
        reference.write_h5ad(written)
        cli("samples", model.path, "--data", written, "-o", path, "--quiet")
        expected = ad.read_h5ad(path)
        assert list(samples.obs_names) == list(expected.obs_names) == model.conditions["sample"]
        assert same(samples.X, expected.X)
        assert same(samples.obsm["X_pca"], expected.obsm["X_pca"])
        assert samples.uns["gene_correlations"].equals(expected.uns["gene_correlations"])

    def test_take_a_table_of_metadata(self, model):
        table = pd.DataFrame({"age": range(10)}, index=pd.Index(model.conditions["sample"], name="sample"))
        assert list(model.samples(metadata=table, quiet=True).obs["age"]) == list(range(10))

    def test_take_gene_sets(self, model, reference):
        sets = {"first": list(reference.var_names[:40]), "last": list(reference.var_names[-40:])}
        samples = model.samples(reference, gene_sets=sets, quiet=True)
        assert "gene_correlations" in samples.uns

    def test_of_several_keys_are_a_dict(self, reference):
        reference.obs["half"] = np.where(np.arange(reference.n_obs) % 2, "a", "c")
        model = scpoli.train(reference, ["sample", "half"], **FEW)
        samples = model.samples(quiet=True)
        assert list(samples) == ["sample", "half"]
        assert list(samples["half"].obs_names) == ["a", "c"]
        assert list(model.samples(key="half", quiet=True).obs_names) == ["a", "c"]
