"""Speed of the Python package's scPoli on one file, before and after pretraining, and its peak memory.

usage: python speed_scarches.py FILE.h5ad EPOCHS HIDDEN_UNITS LATENT EMBEDDING
Conditions `batch`, cell types `cell_type`, two threads; prints JSON.
"""
import contextlib
import io
import json
import logging
import resource
import sys
import time
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
sys.path.insert(0, str(Path(__file__).parent / "peers"))
import scarches_compatibility  # noqa: E402, F401  (before scarches)
import anndata as ad  # noqa: E402
import torch  # noqa: E402
from scarches.models.scpoli import scPoli  # noqa: E402

logging.disable(logging.CRITICAL)
path = sys.argv[1]
epochs, hidden, latent, embedding = (int(value) for value in sys.argv[2:6])
torch.set_num_threads(2)
cells = ad.read_h5ad(path)


def speed(model, pretraining_epochs):
    started = time.time()
    model.train(n_epochs=epochs, pretraining_epochs=pretraining_epochs, eta=5, train_frac=0.9)
    return round(cells.n_obs * epochs / (time.time() - started))


with contextlib.redirect_stdout(io.StringIO()):
    model = scPoli(
        adata=cells,
        condition_keys="batch",
        cell_type_keys="cell_type",
        latent_dim=latent,
        embedding_dims=embedding,
        hidden_layer_sizes=[hidden],
        recon_loss="nb",
    )
    result = {
        "pretraining_cells_per_s": speed(model, epochs),
        "finetuning_cells_per_s": speed(model, 0),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
print(json.dumps(result))
