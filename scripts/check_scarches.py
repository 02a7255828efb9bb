"""Exchange of models with scArches: exported folders load in scArches 0.6.1 and give the same results, and
models saved by scArches are imported again.

Needs Python 3.11 with torch and scArches 0.6.1 (and node for the command line, built before):
    PYTHON scripts/check_scarches.py [FOLDER FILE]
FOLDER, FILE: besides, a model that scArches has saved, and an .h5ad file of cells whose conditions it knows.
Prints a table of deviations; exit code 1 where one is above its bound.
"""

import contextlib
import io
import logging
import pathlib
import subprocess
import sys
import tempfile
import warnings

warnings.filterwarnings("ignore")
import anndata
import numpy as np
import scipy.sparse as sp
import torch

# scArches 0.6.1 uses two names that today's anndata and SciPy no longer have
anndata.read = anndata.read_h5ad
for cls in (sp.csr_matrix, sp.csc_matrix):
    cls.A = property(lambda self: self.toarray())
logging.disable(logging.CRITICAL)
from scarches.models.scpoli import scPoli

ROOT = pathlib.Path(__file__).parent.parent
BOUND = 1e-4
failed = False


def scpoli(*args):
    subprocess.run(
        ["node", ROOT / "dist/cli.js", *map(str, args), "--quiet"], check=True, stdout=subprocess.DEVNULL
    )


def report(what, deviation, bound=BOUND):
    global failed
    failed |= not deviation <= bound
    print(f"{what:<76} {deviation:9.2g} {'' if deviation <= bound else '  ABOVE ' + str(bound)}")


def cells(path, model=None):
    """Dense float32 counts, as `get_latent` needs them, conditions as text; only cells of known
    conditions."""
    data = anndata.read_h5ad(path)
    data.X = np.asarray(data.X.toarray() if sp.issparse(data.X) else data.X, dtype="float32")
    for column in data.obs.columns:
        data.obs[column] = data.obs[column].astype(str)
    for key, known in (model.conditions_ if model else {}).items():
        data = data[data.obs[key].isin(known)].copy()
    return data


def quiet(function, *args, **options):
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*args, **options)


def nearest(model, latent, level):
    rows = [row for row, levels in enumerate(model.cell_types_.values()) if level in levels]
    distances = np.linalg.norm(
        latent[:, None] - model.prototypes_labeled_["mean"].numpy()[None, rows], axis=2
    )
    return np.array(list(model.cell_types_))[rows][distances.argmin(1)], distances.min(1)


def compare(what, folder, path, embedded):
    """A folder of scArches' kind, loaded by scArches, beside what `scpoli embed` has written."""
    model = quiet(scPoli.load, str(folder), cells(path))
    model.model.eval()
    data = cells(path, model)
    latent = np.asarray(model.get_latent(data, mean=True))
    ours = anndata.read_h5ad(embedded)[data.obs_names]
    report(f"{what}: positions", float(np.abs(latent - ours.obsm["X_scpoli"]).max()))
    for level in model.cell_type_keys_ or []:
        names, distances = nearest(model, latent, level)
        report(
            f"{what}: share of other cell types, {level}",
            float((names != ours.obs[f"{level}_pred"].astype(str)).mean()),
            0,
        )
        report(f"{what}: distances, {level}", float(np.abs(distances - ours.obs[f"{level}_distance"]).max()))
    return model, data, latent


def trained(place):
    """Ours to scArches and back, on the cells of the demo."""
    reference, query = ROOT / "data/kang_reference.h5ad", ROOT / "data/kang_query.h5ad"
    for name, flags in {
        "nb": [],
        "zinb": ["--recon-loss", "zinb"],
        "one-hot": ["--condition-encoding", "one-hot"],
        "two layers, encoder": ["--hidden", "40,30", "--inject-condition", "encoder"],
    }.items():
        case = place / name
        case.mkdir()
        scpoli(
            "train",
            reference,
            "-o",
            case / "model",
            "--condition-key",
            "sample",
            "--cell-type-key",
            "cell_type",
            "--epochs",
            "20",
            *flags,
        )
        scpoli(
            "map",
            query,
            "--reference",
            case / "model",
            "-o",
            case / "mapped.h5ad",
            "--save-model",
            case / "mapped",
            "--epochs",
            "5",
        )
        for model, file in (("model", reference), ("mapped", query)):
            scpoli("embed", file, "--model", case / model, "-o", case / "ours.h5ad")
            scpoli("export", case / model, "-o", case / f"exported {model}")
            python, data, latent = compare(
                f"{name}, {model}: exported", case / f"exported {model}", file, case / "ours.h5ad"
            )
        quiet(python.save, str(case / "saved"), overwrite=True)
        scpoli("embed", file, "--model", case / "saved", "-o", case / "again.h5ad")
        report(
            f"{name}, mapped: saved by scArches, imported: positions",
            float(np.abs(anndata.read_h5ad(case / "again.h5ad").obsm["X_scpoli"] - latent).max()),
        )
        # scArches maps a query of its own onto the exported reference, which stays as it is
        unlabelled = cells(query)
        unlabelled.obs["cell_type"] = "Unknown"
        grown = quiet(
            scPoli.load_query_data,
            adata=unlabelled,
            reference_model=str(case / "exported model"),
            labeled_indices=[],
        )
        quiet(grown.train, n_epochs=2, pretraining_epochs=2)
        grown.model.eval()
        scpoli("embed", reference, "--model", case / "model", "-o", case / "ours.h5ad")
        report(
            f"{name}: reference after load_query_data and training",
            float(
                np.abs(
                    np.asarray(grown.get_latent(cells(reference), mean=True))
                    - anndata.read_h5ad(case / "ours.h5ad").obsm["X_scpoli"]
                ).max()
            ),
        )


def given(place, folder, path):
    """A model of scArches to ours and back."""
    original = quiet(scPoli.load, str(folder), cells(path))
    original.model.eval()
    data = cells(path, original)
    known = place / "known.h5ad"
    data.write_h5ad(known)
    scpoli("import", folder, "-o", place / "imported")
    scpoli("embed", known, "--model", place / "imported", "-o", place / "ours.h5ad")
    scpoli("export", place / "imported", "-o", place / "exported")
    latent = np.asarray(original.get_latent(data, mean=True))
    report(
        f"{folder}: imported: positions",
        float(np.abs(latent - anndata.read_h5ad(place / "ours.h5ad").obsm["X_scpoli"]).max()),
    )
    again, _, _ = compare(f"{folder}: exported again", place / "exported", known, place / "ours.h5ad")
    for name, value in original.model.state_dict().items():
        if not torch.equal(value, again.model.state_dict()[name]):
            report(f"{folder}: {name}", float((value - again.model.state_dict()[name]).abs().max()), 0)


with tempfile.TemporaryDirectory() as temporary:
    place = pathlib.Path(temporary)
    if len(sys.argv) > 1:
        given(place, *sys.argv[1:3])
    trained(place)
sys.exit(1 if failed else 0)
