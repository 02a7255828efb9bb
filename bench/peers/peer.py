"""What the Python methods of bench:peers share: reading the files of prepare.py and writing a result.

A result is an .h5ad of the reference's cells, then the query's: a text column of obs per way of labelling
(only the query's labels are scored), and an obsm matrix per embedding.
"""
import sys
import warnings

import anndata as ad
import numpy as np
import scipy.sparse as sp
from sklearn.neighbors import KNeighborsClassifier

warnings.filterwarnings("ignore")
NEIGHBORS = 15


def arguments():
    """FOLDER OUT SEED and what follows them."""
    folder, out, seed = sys.argv[1:4]
    return folder, out, int(seed), sys.argv[4:]


def read(folder, all_genes=False):
    """Reference and query with raw counts (CSR, float32), of the variable genes unless all_genes.

    obs depth: counts of all genes.
    """
    parts = [ad.read_h5ad(f"{folder}/{name}.h5ad") for name in ("reference", "query")]
    for part in parts:
        for column in part.obs:
            part.obs[column] = part.obs[column].astype(str)
        part.obs["depth"] = np.asarray(part.X.sum(1)).ravel()
    return parts if all_genes else [part[:, part.var["variable"].values].copy() for part in parts]


def log_normalized(data):
    """A copy with log1p of counts per 10,000 counts of all genes."""
    data = data.copy()
    scale = 1e4 / np.maximum(data.obs["depth"].values, 1)
    data.X = sp.csr_matrix(sp.diags(scale) @ data.X, dtype=np.float32)
    np.log1p(data.X.data, out=data.X.data)
    return data


def nearest_labels(reference_positions, labels, query_positions):
    """The label that most of the 15 nearest cells of the reference have."""
    voters = KNeighborsClassifier(NEIGHBORS).fit(reference_positions, labels)
    return voters.predict(query_positions)


def write(out, reference, query, labels, embeddings=None):
    """labels: column -> (query cells) texts; embeddings: obsm key -> (reference, query) positions."""
    result = ad.AnnData(obs=ad.concat([reference, query], join="outer").obs[["condition"]].copy())
    for column, predicted in labels.items():
        of_query = np.asarray(predicted, dtype=object)
        result.obs[column] = np.r_[np.full(reference.n_obs, ""), of_query].astype(str)
    for key, positions in (embeddings or {}).items():
        result.obsm[key] = np.vstack([np.asarray(part) for part in positions]).astype(np.float32)
    result.write_h5ad(out, compression="gzip")
