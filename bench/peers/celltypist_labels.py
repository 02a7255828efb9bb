"""CellTypist trained on the reference: best match per cell, and majority voting over clusters of the query.

usage: python celltypist_labels.py FOLDER OUT.h5ad SEED
CellTypist chooses its genes from all of the file (feature_selection), as its documentation advises; a file
with at most 300 genes, the number that it chooses at least, is used as it is.
"""
import celltypist
import peer

folder, out, seed, _ = peer.arguments()
reference, query = (peer.log_normalized(part) for part in peer.read(folder, all_genes=True))
settings = dict(n_jobs=1, feature_selection=reference.n_vars > 300, check_expression=False)
model = celltypist.train(reference, labels="cell_type", **settings)
predicted = celltypist.annotate(query, model=model, majority_voting=True).predicted_labels
labels = {
    "best": predicted["predicted_labels"].astype(str),
    "majority": predicted["majority_voting"].astype(str),
}
peer.write(out, reference, query, labels)
