"""popV: its methods on the reference and the query together, and the label that most of them give.

usage: python popv_consensus.py FOLDER OUT.h5ad SEED
Without OnClass and the cell ontology, which the cell types here have no terms of; else as by default.
"""
import logging
import tempfile

import peer
import popv
import scvi
import torch
from popv.preprocessing import Process_Query

logging.disable(logging.WARNING)
folder, out, seed, _ = peer.arguments()
torch.set_num_threads(1)
scvi.settings.seed = seed
popv.settings.n_jobs = 1
popv.settings.accelerator = "cpu"
reference, query = peer.read(folder)
METHODS = [name for name in popv.annotation.algorithms_nt.CURRENT_ALGORITHMS if name != "ONCLASS"]
with tempfile.TemporaryDirectory() as models:
    joint = Process_Query(
        query.copy(),
        reference.copy(),
        ref_labels_key="cell_type",
        ref_batch_key="condition",
        query_batch_key="condition",
        cl_obo_folder=False,
        hvg=None,
        save_path_trained_models=models + "/",
    ).adata
    popv.annotation.annotate_data(joint, methods=METHODS)
labels = joint.obs.loc[query.obs_names, "popv_prediction"].astype(str)
peer.write(out, reference, query, {"consensus": labels})
