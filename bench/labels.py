"""A linear SVM and 15 neighbours for label transfer. usage: python labels.py svm REFERENCE.h5ad QUERY.h5ad --label cell_type
or: python labels.py knn REFERENCE.h5ad QUERY.h5ad --label cell_type (both with obsm["X_scpoli"]). Prints a JSON list of the query's labels."""
import argparse, json
import anndata as ad, numpy as np

ap = argparse.ArgumentParser()
ap.add_argument("method", choices=["svm", "knn"])
ap.add_argument("reference")
ap.add_argument("query")
ap.add_argument("--label", required=True)
o = ap.parse_args()
reference, query = ad.read_h5ad(o.reference), ad.read_h5ad(o.query)
labels = reference.obs[o.label].astype(str).values
if o.method == "svm":
    from sklearn.svm import LinearSVC

    def normalised(a):
        x = np.asarray(a.X.todense(), dtype=np.float64)
        return np.log1p(x / np.maximum(1, x.sum(1, keepdims=True)) * 1e4)

    predicted = LinearSVC(random_state=0).fit(normalised(reference), labels).predict(normalised(query))
else:
    from sklearn.neighbors import KNeighborsClassifier

    predicted = KNeighborsClassifier(15).fit(reference.obsm["X_scpoli"], labels).predict(query.obsm["X_scpoli"])
print(json.dumps([str(p) for p in predicted]))
