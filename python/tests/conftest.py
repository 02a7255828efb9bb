"""Data and models of the tests: the demo's blood cells, models trained for a few epochs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pytest

import scpoli

DATA = Path(scpoli.__file__).parent / "_node/dist/app/data"
#: Short trainings: what is tested is not how good they are.
FEW = {"epochs": 4, "pretraining_epochs": 3, "quiet": True}


@pytest.fixture(scope="session")
def reference_path() -> Path:
    return DATA / "kang_reference.h5ad"


@pytest.fixture(scope="session")
def query_path() -> Path:
    return DATA / "kang_query.h5ad"


@pytest.fixture
def reference(reference_path: Path) -> ad.AnnData:
    return ad.read_h5ad(reference_path)


@pytest.fixture
def query(query_path: Path) -> ad.AnnData:
    return ad.read_h5ad(query_path)


@pytest.fixture(scope="session")
def model(reference_path: Path, tmp_path_factory: pytest.TempPathFactory) -> scpoli.Model:
    path = tmp_path_factory.mktemp("model") / "model.zip"
    return scpoli.train(ad.read_h5ad(reference_path), "sample", "cell_type", output=path, **FEW)


@pytest.fixture(scope="session")
def mapped(model: scpoli.Model, query_path: Path) -> tuple[ad.AnnData, scpoli.Mapping]:
    query = ad.read_h5ad(query_path)
    return query, model.map(query, epochs=2, quiet=True)


def cli(*args: object, cwd: Path | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the command line of the package."""
    command = [sys.executable, "-m", "scpoli", *(str(arg) for arg in args)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=os.environ, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done


def same(a: object, b: object) -> bool:
    """Whether two columns hold the same values, to the bit."""
    left, right = np.asarray(a), np.asarray(b)
    if left.dtype.kind == "f":
        return left.dtype == right.dtype and left.tobytes() == right.tobytes()
    return bool((left == right).all())
