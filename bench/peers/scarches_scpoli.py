"""scPoli of scArches 0.6.1: a reference, then the query mapped without labels.

usage: python scarches_scpoli.py FOLDER OUT.h5ad SEED EPOCHS [poisson]
Nine tenths of the epochs are pretraining, eta is 5 (10 in mapping) and the embeddings have 5 dimensions.
Labels: nearest prototype of the mean latent (the package's own classify samples the latent and is random),
and 15 neighbours.
X is made dense once: the package makes each sparse row dense again in every epoch, which only costs time.
"""
import scarches_compatibility  # noqa: F401  before scarches
import contextlib
import io
import logging

import numpy as np
import peer
import torch
from scarches.models.scpoli import scPoli

logging.disable(logging.CRITICAL)
folder, out, seed, (epochs, *likelihood) = peer.arguments()
epochs = int(epochs)
torch.set_num_threads(1)
torch.manual_seed(seed)
np.random.seed(seed)
reference, query = peer.read(folder)
for part in (reference, query):
    part.X = part.X.toarray()
query.obs["cell_type"] = "Unknown"
stopping = dict(early_stopping_metric="val_prototype_loss", mode="min", threshold=0, patience=20)
stopping |= dict(reduce_lr=True, lr_patience=13, lr_factor=0.1)


def settings(cells):
    """A training set that leaves a minibatch of one cell fails: 128, or the next size without one."""
    size = next(size for size in (*range(128, 200), 32) if int(np.ceil(0.9 * cells)) % size != 1)
    return dict(n_epochs=epochs, pretraining_epochs=int(0.9 * epochs), batch_size=size if cells > 600 else 32)


with contextlib.redirect_stdout(io.StringIO()):
    model = scPoli(
        adata=reference,
        condition_keys="condition",
        cell_type_keys="cell_type",
        embedding_dims=5,
        recon_loss=likelihood[0] if likelihood else "nb",
    )
    model.train(eta=5, early_stopping_kwargs=stopping, **settings(reference.n_obs))
    mapped = scPoli.load_query_data(adata=query, reference_model=model, labeled_indices=[])
    mapped.train(eta=10, **settings(query.n_obs))
    mapped.model.eval()
    positions = [np.asarray(mapped.get_latent(part, mean=True)) for part in (reference, query)]
prototypes = mapped.model.prototypes_labeled["mean"].numpy()
distances = np.linalg.norm(positions[1][:, None] - prototypes[None], axis=2)
labels = {
    "prototype": np.array(model.model.cell_types)[distances.argmin(1)],
    "neighbors": peer.nearest_labels(positions[0], reference.obs["cell_type"].values, positions[1]),
}
peer.write(out, reference, query, labels, {"X_scpoli": positions})
