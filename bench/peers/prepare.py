"""Makes the files that all methods of bench:peers read: a reference, a query without labels, the truth.

usage: python prepare.py DATA.h5ad FOLDER --condition batch --label cell_type --query-key batch
       --query-values celseq,celseq2 [--genes 2000] [--fragments]

FOLDER gets
  reference.h5ad  raw counts of all genes; obs condition, cell_type; var variable (which genes methods see
                  that do not choose their own: the --genes most variable ones of the reference, or all)
  query.h5ad      the same genes; obs condition
  reference.csv, query.csv, genes.csv   the same tables, for R
  truth.h5ad      reference, then query, without counts: obs condition, cell_type; obsm X_before: 30 principal
                  components of the log-normalised counts, which PC regression compares with
--fragments makes scATAC reads fragments, (x + 1) / 2 rounded down.
"""
import argparse
import os
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc
import scipy.sparse as sp

warnings.filterwarnings("ignore")
parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("folder")
for name in ("condition", "label", "query-key", "query-values"):
    parser.add_argument("--" + name, required=True)
parser.add_argument("--genes", type=int, default=2000)
parser.add_argument("--fragments", action="store_true")
options = parser.parse_args()

source = ad.read_h5ad(options.data)
counts = sp.csr_matrix(source.X, dtype=np.float32)
if options.fragments:
    counts.data = np.floor((counts.data + 1) / 2)
columns = {"condition": options.condition, "cell_type": options.label}
texts = {name: source.obs[key].astype(str).values for name, key in columns.items()}
obs = pd.DataFrame(texts, source.obs_names)
data = ad.AnnData(counts, obs, pd.DataFrame(index=source.var_names))
is_query = source.obs[options.query_key].astype(str).isin(options.query_values.split(",")).values
data = ad.concat([data[~is_query], data[is_query]])
reference_cells = int((~is_query).sum())

log = data.copy()
sc.pp.normalize_total(log, target_sum=1e4)
sc.pp.log1p(log)
variable = np.ones(data.n_vars, bool)
if data.n_vars > options.genes:
    of_reference = log[:reference_cells].copy()
    sc.pp.highly_variable_genes(of_reference, n_top_genes=options.genes, batch_key="condition")
    variable = of_reference.var["highly_variable"].values
sc.pp.pca(log, n_comps=30, random_state=0)

os.makedirs(options.folder, exist_ok=True)
data.var["variable"] = variable
parts = {"reference": data[:reference_cells].copy(), "query": data[reference_cells:].copy()}
del parts["query"].obs["cell_type"]
for name, part in parts.items():
    part.obs.to_csv(f"{options.folder}/{name}.csv", index_label="cell")
    part.write_h5ad(f"{options.folder}/{name}.h5ad", compression="gzip")
data.var.to_csv(f"{options.folder}/genes.csv", index_label="gene")
truth = ad.AnnData(obs=data.obs.copy(), obsm={"X_before": log.obsm["X_pca"].astype(np.float32)})
truth.write_h5ad(f"{options.folder}/truth.h5ad", compression="gzip")
