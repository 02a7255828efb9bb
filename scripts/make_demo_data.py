"""Makes data/kang_reference.h5ad and data/kang_query.h5ad: cells of Kang et al. 2018 for `scpoli demo`, the
page and the tutorials (data/README.md).

usage: python scripts/make_demo_data.py CELLS.h5ad [--output data]
CELLS.h5ad holds raw counts of GEO GSE96583 (batch 2) in X, and donor, condition (ctrl, stim) and cell_type in
obs. Needs anndata, scanpy and numpy.

The choice does not depend on any result: donors in alphabetical order, equally many cells of each sample up
to a limit, drawn with a fixed seed; genes by scanpy's variability within samples.
"""

import argparse
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scanpy

GENES = 1500
QUERY_DONORS = 3  # the last three of eight
LEFT_OUT = "B cells"  # the type that the reference has never seen
CELLS_PER_SAMPLE = {"reference": 130, "query": 120}


def subset(cells: anndata.AnnData, donors: list[str], per_sample: int, seed: int) -> anndata.AnnData:
    random = np.random.default_rng(seed)
    rows = []
    for donor in donors:
        for condition in ("ctrl", "stim"):
            sample = np.flatnonzero((cells.obs["donor"] == donor) & (cells.obs["condition"] == condition))
            rows.append(np.sort(random.permutation(sample)[:per_sample]))
    return cells[np.concatenate(rows)].copy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", type=Path)
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "data")
    arguments = parser.parse_args()

    cells = anndata.read_h5ad(arguments.cells)
    donors = sorted(cells.obs["donor"].astype(str).unique())
    obs = pd.DataFrame({key: cells.obs[key].astype(str) for key in ("donor", "condition", "cell_type")})
    obs["donor"] = obs["donor"].str.replace("patient_", "P", regex=False)
    obs.insert(0, "sample", obs["donor"] + "_" + obs["condition"])
    cells = anndata.AnnData(X=cells.X, obs=obs, var=pd.DataFrame(index=cells.var_names))
    donors = sorted(obs["donor"].unique())

    is_left_out = (cells.obs["cell_type"] == LEFT_OUT).to_numpy()
    reference = subset(cells[~is_left_out], donors[:-QUERY_DONORS], CELLS_PER_SAMPLE["reference"], seed=0)
    query = subset(cells, donors[-QUERY_DONORS:], CELLS_PER_SAMPLE["query"], seed=1)

    both = anndata.concat([reference, query])
    scanpy.pp.normalize_total(both, target_sum=1e4)
    scanpy.pp.log1p(both)
    scanpy.pp.highly_variable_genes(both, n_top_genes=GENES, batch_key="sample")
    genes = both.var_names[both.var["highly_variable"]]

    for name, part in [("kang_reference", reference), ("kang_query", query)]:
        part = part[:, genes].copy()
        part.X.sort_indices()
        part.strings_to_categoricals()
        part.write_h5ad(arguments.output / f"{name}.h5ad", compression="gzip", compression_opts=9)
        print(
            f"{name}: {part.n_obs} cells, {part.n_vars} genes, "
            f"donors {', '.join(sorted(set(part.obs['donor'])))}"
        )
        print(part.obs["cell_type"].value_counts().to_string())


if __name__ == "__main__":
    main()
