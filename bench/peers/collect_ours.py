"""Makes a result .h5ad of what `scpoli train --embed` and `scpoli map` have written.

usage: python collect_ours.py FOLDER OUTPUTS OUT.h5ad
Labels: the default's (of the nearest prototype), those of the classifier on genes, and those of 15 neighbours
in the latent space.
"""
import sys

import anndata as ad
import peer

folder, outputs, out = sys.argv[1:4]
reference, query = peer.read(folder)
parts = [ad.read_h5ad(f"{outputs}/{name}.h5ad") for name in ("reference", "query")]
positions = [part.obsm["X_scpoli"] for part in parts]
obs = parts[1].obs
labels = {
    "default": obs["cell_type_pred"].astype(str).values,
    "head": obs["cell_type_head"].astype(str).values,
    "neighbors": peer.nearest_labels(positions[0], reference.obs["cell_type"].values, positions[1]),
}
peer.write(out, reference, query, labels, {"X_scpoli": positions})
