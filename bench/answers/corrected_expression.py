"""Scores decoded expression of scpoli and of scVI against the counts, on the same cells and genes.

usage: python corrected_expression.py PLAN.json
The plan names the file of counts, the columns of conditions and types, and the files that scpoli has
decoded: every cell at its own condition (`own`), averaged over the conditions (`average`), and cells of one
condition as if from another (`pairs`). scVI is trained on the same genes with its defaults, whose
zero-inflated likelihood decodes expression without the excess zeros, and with the likelihood `nb`. It sees no
cell types, and draws one position per cell from the posterior, as it does by default. Prints JSON.
"""
import json
import sys
import warnings

warnings.filterwarnings("ignore")
import anndata as ad  # noqa: E402
import numpy as np  # noqa: E402
import scvi  # noqa: E402

LEAST_CELLS = 10
MARKERS = 20
LIBRARY = 1e4

plan = json.load(open(sys.argv[1]))
at_own = ad.read_h5ad(plan["own"])
data = ad.read_h5ad(plan["data"])[:, at_own.var_names].copy()
condition = data.obs[plan["condition"]].astype(str).to_numpy()
cell_type = data.obs[plan["label"]].astype(str).to_numpy()
counts = data.X.toarray() if hasattr(data.X, "toarray") else np.asarray(data.X)
observed = LIBRARY * counts / np.maximum(counts.sum(1, keepdims=True), 1)


def log_mean(values):
    return np.log1p(np.asarray(values, dtype=np.float64).mean(0))


def pearson(a, b):
    return float(np.corrcoef(a, b)[0, 1])


def cells_of(group, kind):
    return np.flatnonzero((condition == group) & (cell_type == kind))


groups = sorted(set(condition))
kinds = sorted(set(cell_type))
large = [(g, k) for g in groups for k in kinds if len(cells_of(g, k)) >= LEAST_CELLS]


def type_contrasts(values):
    """Mean of each type minus the mean over the other types, averaged over conditions."""
    means = {k: np.mean([log_mean(values[cells_of(g, k)]) for g, kk in large if kk == k], axis=0)
             for k in kinds if any(kk == k for _, kk in large)}
    return {k: m - np.mean([o for j, o in means.items() if j != k], axis=0) for k, m in means.items()}


def spread_between_conditions(values):
    """Standard deviation of a type's means between conditions, averaged over genes and types."""
    spreads = []
    for k in kinds:
        means = [log_mean(values[cells_of(g, k)]) for g, kk in large if kk == k]
        if len(means) > 1:
            spreads.append(np.std(means, axis=0).mean())
    return float(np.mean(spreads))


def score(own_values, average_values, as_other):
    means = [pearson(log_mean(own_values[cells_of(*p)]), log_mean(observed[cells_of(*p)])) for p in large]
    changes, remaining = [], []
    for pair in plan["pairs"]:
        rows, values = as_other(pair["from"], pair["to"])
        for kind in kinds:
            if (pair["from"], kind) not in large or (pair["to"], kind) not in large:
                continue
            chosen = cell_type[rows] == kind
            before = log_mean(observed[rows[chosen]])
            target = log_mean(observed[cells_of(pair["to"], kind)])
            predicted = log_mean(values[chosen])
            changes.append(pearson(predicted - log_mean(own_values[rows[chosen]]), target - before))
            remaining.append(float(np.abs(predicted - target).mean() / np.abs(before - target).mean()))
    kept_shares, contrasts = [], []
    truth, decoded = type_contrasts(observed), type_contrasts(average_values)
    for kind, contrast in truth.items():
        top = set(np.argsort(-contrast)[:MARKERS])
        kept_shares.append(len(top & set(np.argsort(-decoded[kind])[:MARKERS])) / MARKERS)
        contrasts.append(pearson(contrast, decoded[kind]))
    return {
        "own_condition": float(np.mean(means)),
        "own_condition_least": float(np.min(means)),
        "change": float(np.mean(changes)),
        "remaining": float(np.mean(remaining)),
        "comparisons": len(changes),
        "markers_kept": float(np.mean(kept_shares)),
        "contrast": float(np.mean(contrasts)),
        "spread_own": spread_between_conditions(own_values),
        "spread_average": spread_between_conditions(average_values),
    }


rows_of = {g: np.flatnonzero(condition == g) for g in groups}
dense = lambda path: np.asarray(ad.read_h5ad(path)[:, at_own.var_names].X)  # noqa: E731
files = {(pair["from"], pair["to"]): pair["file"] for pair in plan["pairs"]}
ours = score(np.asarray(at_own.X), dense(plan["average"]), lambda a, b: (rows_of[a], dense(files[a, b])))

scvi.settings.verbosity = 40
data.X = counts
scvi.model.SCVI.setup_anndata(data, batch_key=plan["condition"])


def score_scvi(likelihood):
    scvi.settings.seed = plan["seed"]
    model = scvi.model.SCVI(data, gene_likelihood=likelihood)
    model.train(accelerator="cpu", enable_progress_bar=False, logger=None)

    def decoded(batch, rows=None):
        return np.asarray(
            model.get_normalized_expression(
                indices=rows, transform_batch=batch, library_size=LIBRARY, return_numpy=True, silent=True
            )
        )

    return score(decoded(None), decoded(groups), lambda a, b: (rows_of[a], decoded(b, rows_of[a])))


print(json.dumps({
    "ours": ours,
    "scvi": {likelihood: score_scvi(likelihood) for likelihood in ("zinb", "nb")},
    "version": scvi.__version__,
}))
