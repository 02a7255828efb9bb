"""Scores several results in one process, so that libraries are loaded and compiled once: integration metrics
by the neutral scorer, and labels as in label_transfer.py.
usage: python score_all.py SCORE.py JOBS.json [MOST_CELLS]
JOBS.json is a list of {"out", "file", "batch", "label", "query_key", "query_values", "predictions":
[column, ...]}. Each "out" receives {"integration": {...}, "labels": {column: {...}}}. Labels are scored on
all cells of the query; the integration on a sample of MOST_CELLS, the same for all methods, as the time of
the silhouettes is quadratic in the cells."""

import contextlib, io, json, os, runpy, sys, tempfile
import anndata as ad, numpy as np

script, jobs, most = (
    sys.argv[1],
    json.load(open(sys.argv[2])),
    int(sys.argv[3]) if len(sys.argv) > 3 else 10**9,
)


def run(path, *args):
    sys.argv = [path, *args]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        runpy.run_path(path, run_name="__main__")
    return json.loads(printed.getvalue().strip().splitlines()[-1])


for job in jobs:
    query = ["--label", job["label"], "--query-key", job["query_key"], "--query-values", job["query_values"]]
    labels = run(
        os.path.join(os.path.dirname(__file__), "label_transfer.py"), job["file"], *job["predictions"], *query
    )
    with tempfile.TemporaryDirectory() as folder:
        file, data = job["file"], ad.read_h5ad(job["file"])
        if data.n_obs > most:
            # of cells in the order of their names: files that have them in another order give the same sample
            rows = np.argsort(data.obs_names.values)[np.random.RandomState(0).permutation(data.n_obs)[:most]]
            file = os.path.join(folder, "sample.h5ad")
            data[rows].copy().write_h5ad(file)
        integration = run(script, file, "--batch", job["batch"], "--label", job["label"])
    json.dump({"integration": integration, "labels": labels}, open(job["out"], "w"))
