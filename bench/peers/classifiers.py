"""Classifiers on log-normalised genes: linear SVM, logistic regression, 15 neighbours on 50 components.

usage: python classifiers.py FOLDER OUT.h5ad SEED svm|logistic|pca
The SVM is scikit-learn's LinearSVC with its defaults, as in De Donno et al. 2023. The components are the
reference's; the query is projected onto them.
"""
import peer
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

folder, out, seed, (method,) = peer.arguments()
reference, query = (peer.log_normalized(part) for part in peer.read(folder))
truth = reference.obs["cell_type"].values
if method == "pca":
    components = PCA(50, random_state=seed).fit(reference.X.toarray())
    positions = [components.transform(part.X.toarray()) for part in (reference, query)]
    labels = peer.nearest_labels(positions[0], truth, positions[1])
    peer.write(out, reference, query, {"neighbors": labels}, {"X_pca": positions})
else:
    classifier = LinearSVC(random_state=seed) if method == "svm" else LogisticRegression(max_iter=1000)
    labels = classifier.fit(reference.X, truth).predict(query.X)
    peer.write(out, reference, query, {"classifier": labels})
