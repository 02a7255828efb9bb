"""Peers on scATAC peaks: scArches' scPoli with the poisson likelihood, and linear SVMs on log-normalised
fragments, on the same cells and peaks.
usage: python peaks_reference.py DATA.h5ad OUT.h5ad QUERY_DONOR EPOCHS SEED
Needs ../shared/python on PYTHONPATH. Writes obsm X_scpoli and the obs columns scarches, svm, svm_balanced
(C = 0.001, types weighted equally) and svm_variable (on the 2,000 most variable peaks, by scanpy's rule for
genes). Fragments are (reads + 1) / 2, rounded down."""

import warnings

warnings.filterwarnings("ignore")
import refshim, contextlib, io, logging, sys
import anndata as ad, numpy as np, scanpy as sc, scipy.sparse as sp, torch
from sklearn.svm import LinearSVC
from scarches.models.scpoli import scPoli

logging.disable(logging.CRITICAL)
path, out, donor, epochs, seed = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
torch.manual_seed(seed)
np.random.seed(seed)
data = ad.read_h5ad(path)
data.X = sp.csr_matrix(data.X, dtype=np.float32)
data.X.data = np.floor((data.X.data + 1) / 2)
for key in ("donor", "cell_type"):
    data.obs[key] = data.obs[key].astype(str)
is_query = (data.obs["donor"] == donor).values
log = data.copy()
sc.pp.normalize_total(log, target_sum=1e4)
sc.pp.log1p(log)
truth = data.obs["cell_type"].values
variable = sc.pp.highly_variable_genes(log[~is_query].copy(), n_top_genes=2000, inplace=False)[
    "highly_variable"
].values
svms = dict(
    svm=(LinearSVC(), slice(None)),
    svm_balanced=(LinearSVC(C=0.001, class_weight="balanced"), slice(None)),
    svm_variable=(LinearSVC(), variable),
)
columns = {
    name: svm.fit(log.X[~is_query][:, peaks], truth[~is_query]).predict(log.X[is_query][:, peaks])
    for name, (svm, peaks) in svms.items()
}
# dense from the start: the package makes rows dense one by one, most of its time
dense = lambda x: (setattr(x, "X", x.X.toarray()), x)[1]
reference, query = dense(data[~is_query].copy()), dense(data[is_query].copy())
unlabelled = query.copy()
unlabelled.obs["cell_type"] = "Unknown"
with contextlib.redirect_stdout(io.StringIO()):
    model = scPoli(
        adata=reference,
        condition_keys="donor",
        cell_type_keys="cell_type",
        embedding_dims=5,
        recon_loss="poisson",
    )
    model.train(n_epochs=epochs, pretraining_epochs=int(0.9 * epochs), eta=5, alpha_epoch_anneal=epochs // 2)
    mapped = scPoli.load_query_data(adata=unlabelled, reference_model=model, labeled_indices=[])
    mapped.train(
        n_epochs=epochs, pretraining_epochs=int(0.9 * epochs), eta=10, alpha_epoch_anneal=epochs // 2
    )
    mapped.model.eval()
    latent = {
        True: np.asarray(mapped.get_latent(query, mean=True)),
        False: np.asarray(mapped.get_latent(reference, mean=True)),
    }
prototypes, names = mapped.model.prototypes_labeled["mean"].numpy(), np.array(model.model.cell_types)
columns["scarches"] = names[np.linalg.norm(latent[True][:, None] - prototypes[None], axis=2).argmin(1)]
data.obsm["X_scpoli"] = np.zeros((data.n_obs, latent[True].shape[1]), np.float32)
for part, z in latent.items():
    data.obsm["X_scpoli"][is_query == part] = z
for name, predicted in columns.items():
    all_cells = truth.copy()
    all_cells[is_query] = predicted
    data.obs[name] = all_cells
data.write_h5ad(out, compression="gzip")
