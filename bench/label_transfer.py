"""Accuracy and F1 of label columns of one .h5ad, like score.py but without the integration metrics.
usage: python label_transfer.py RESULT.h5ad --label cell_type --query-key batch --query-values 5p,...
       PRED [PRED ...]"""

import argparse, json
import anndata as ad, numpy as np
from sklearn.metrics import accuracy_score, f1_score

ap = argparse.ArgumentParser()
ap.add_argument("file")
ap.add_argument("predictions", nargs="+")
for name in ("label", "query-key", "query-values"):
    ap.add_argument("--" + name, required=True)
o = ap.parse_args()
obs = ad.read_h5ad(o.file, backed="r").obs
truth = obs[o.label].astype(str).values
query = obs[o.query_key].astype(str).isin(o.query_values.split(",")).values
known = query & np.isin(truth, np.unique(truth[~query]))


def figures(name):
    predicted = obs[name].astype(str).values
    f1 = {
        f"{kind}_f1": round(f1_score(truth[known], predicted[known], average=kind), 4)
        for kind in ("macro", "weighted")
    }
    return dict(accuracy=round(accuracy_score(truth[known], predicted[known]), 4), **f1)


print(json.dumps({name: figures(name) for name in o.predictions}))
