"""Joint integration of reference and query, then 15 neighbours: Harmony on 50 components, or Scanorama.

usage: python integration.py FOLDER OUT.h5ad SEED harmony|scanorama
Both see the query's cells when they integrate, which surgery and classifiers do not; neither sees labels.
"""
import anndata as ad
import numpy as np
import peer
import scanpy as sc

folder, out, seed, (method,) = peer.arguments()
reference, query = (peer.log_normalized(part) for part in peer.read(folder))
joint = ad.concat([reference, query], join="outer")
if method == "harmony":
    import harmonypy

    sc.pp.scale(joint, max_value=10)
    sc.pp.pca(joint, n_comps=50, random_state=seed)
    settings = dict(random_state=seed, verbose=False)
    harmony = harmonypy.run_harmony(joint.obsm["X_pca"], joint.obs, "condition", **settings)
    positions = np.asarray(harmony.Z_corr)
    positions = positions if len(positions) == joint.n_obs else positions.T
else:
    import scanorama

    conditions = joint.obs["condition"].values
    names = list(dict.fromkeys(conditions))
    parts = [joint[conditions == name].copy() for name in names]
    scanorama.integrate_scanpy(parts, seed=seed, verbose=0)
    positions = np.zeros((joint.n_obs, parts[0].obsm["X_scanorama"].shape[1]), np.float32)
    for name, part in zip(names, parts):
        positions[conditions == name] = part.obsm["X_scanorama"]
halves = positions[: reference.n_obs], positions[reference.n_obs :]
labels = peer.nearest_labels(halves[0], reference.obs["cell_type"].values, halves[1])
peer.write(out, reference, query, {"neighbors": labels}, {"X_integrated": halves})
