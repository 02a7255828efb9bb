"""Other methods of label transfer, for bench/labels.ts: from the mean latent representation
(obsm["X_scpoli"]) of a reference and a mapped query, or from genes.
usage: python labels.py REFERENCE.h5ad QUERY.h5ad --label cell_type METHOD [METHOD ...]
Prints a JSON object: the query's labels by each method."""

import argparse, json
import anndata as ad, numpy as np
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.svm import LinearSVC

ap = argparse.ArgumentParser()
ap.add_argument("reference")
ap.add_argument("query")
ap.add_argument("methods", nargs="+")
ap.add_argument("--label", required=True)
o = ap.parse_args()
reference, query = ad.read_h5ad(o.reference), ad.read_h5ad(o.query)
labels = reference.obs[o.label].astype(str).values
types = np.unique(labels)
latent = [np.asarray(a.obsm["X_scpoli"], dtype=np.float64) for a in (reference, query)]


def normalised(a):
    x = np.asarray(a.X.todense(), dtype=np.float64)
    return np.log1p(x / np.maximum(1, x.sum(1, keepdims=True)) * 1e4)


def covariances():
    """The type with the largest normal density; 1 % of the mean variance is added to every direction."""
    scores = []
    for name in types:
        type_latent = latent[0][labels == name]
        covariance = np.cov(type_latent.T) if len(type_latent) > 1 else np.zeros((type_latent.shape[1],) * 2)
        covariance += (0.01 * np.trace(covariance) / len(covariance) + 1e-6) * np.eye(len(covariance))
        difference = latent[1] - type_latent.mean(0)
        scores.append(
            -np.einsum("ij,jk,ik->i", difference, np.linalg.inv(covariance), difference)
            - np.linalg.slogdet(covariance)[1]
        )
    return types[np.argmax(scores, 0)]


def several():
    """The nearest of five means per type (k-means; of types with few cells one mean)."""
    means, names = [], []
    for name in types:
        type_latent = latent[0][labels == name]
        k = 5 if len(type_latent) >= 50 else 1
        means.append(KMeans(k, n_init=4, random_state=0).fit(type_latent).cluster_centers_)
        names += [name] * k
    return KNeighborsClassifier(1).fit(np.vstack(means), names).predict(latent[1])


def votes(column):
    """The label that most of a cell's 15 nearest in the query have."""
    labels_of_cells = query.obs[column].astype(str).values
    search = NearestNeighbors(n_neighbors=min(15, len(labels_of_cells))).fit(latent[1])
    neighbors = search.kneighbors(return_distance=False)
    names, codes = np.unique(labels_of_cells, return_inverse=True)
    counts = np.zeros((len(labels_of_cells), len(names)))
    for column_of_neighbours in neighbors.T:
        counts[np.arange(len(labels_of_cells)), codes[column_of_neighbours]] += 1
    return names[np.argmax(counts, 1)]


rules = {
    "covariances": covariances,
    "several": several,
    "knn": lambda: KNeighborsClassifier(15).fit(latent[0], labels).predict(latent[1]),
    "votes_prototype": lambda: votes(o.label + "_pred"),
    "votes_head": lambda: votes(o.label + "_head"),
    "logistic": lambda: (
        LogisticRegression(C=0.1, max_iter=300).fit(normalised(reference), labels).predict(normalised(query))
    ),
    "svm": lambda: LinearSVC(random_state=0).fit(normalised(reference), labels).predict(normalised(query)),
}
print(json.dumps({method: [str(label) for label in rules[method]()] for method in o.methods}))
