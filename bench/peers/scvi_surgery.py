"""scVI and scANVI of scvi-tools: a reference, then surgery with the query.

usage: python scvi_surgery.py FOLDER OUT.h5ad SEED [poisson]
The settings are those of its tutorial on reference mapping. scVI labels by 15 neighbours in its latent space,
scANVI by its classifier. scANVI starts from the trained scVI. Prints the processor seconds of each, scANVI's
with those of the scVI reference.
"""
import json
import logging
import time

import peer
import scvi
import torch

logging.disable(logging.WARNING)
folder, out, seed, likelihood = peer.arguments()
torch.set_num_threads(1)
scvi.settings.seed = seed
started = time.process_time()
reference, query = peer.read(folder)
query.obs["cell_type"] = "Unknown"
truth = reference.obs["cell_type"].values.copy()
quiet = {"accelerator": "cpu", "enable_progress_bar": False, "logger": False, "enable_checkpointing": False}
network = {"use_layer_norm": "both", "use_batch_norm": "none", "encode_covariates": True}
network |= {"dropout_rate": 0.2, "n_layers": 2, "gene_likelihood": likelihood[0] if likelihood else "zinb"}


def latent(model, reference_model):
    return reference_model.get_latent_representation(), model.get_latent_representation()


def mapped(cls, reference_model, epochs):
    data = query.copy()
    cls.prepare_query_anndata(data, reference_model)
    model = cls.load_query_data(data, reference_model)
    model.train(max_epochs=epochs, plan_kwargs={"weight_decay": 0.0}, **quiet)
    return model


scvi.model.SCVI.setup_anndata(reference, batch_key="condition", labels_key="cell_type")
base = scvi.model.SCVI(reference, **network)
base.train(**quiet)
reference_seconds = time.process_time() - started
started = time.process_time()
positions = {"X_scvi": latent(mapped(scvi.model.SCVI, base, 200), base)}
labels = {"scvi_neighbors": peer.nearest_labels(positions["X_scvi"][0], truth, positions["X_scvi"][1])}
scvi_seconds = time.process_time() - started
started = time.process_time()
annotated = scvi.model.SCANVI.from_scvi_model(base, unlabeled_category="Unknown", labels_key="cell_type")
annotated.train(max_epochs=20, n_samples_per_label=100, **quiet)
surgery = mapped(scvi.model.SCANVI, annotated, 100)
positions["X_scanvi"] = latent(surgery, annotated)
labels["scanvi_classifier"] = surgery.predict()
scanvi_seconds = time.process_time() - started
peer.write(out, reference, query, labels, positions)
seconds = {"X_scvi": reference_seconds + scvi_seconds, "X_scanvi": reference_seconds + scanvi_seconds}
print(json.dumps({"cpu_seconds": seconds}))
