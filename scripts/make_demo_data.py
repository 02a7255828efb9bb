"""Makes data/demo_reference.h5ad and data/demo_query.h5ad from the cells that scanpy carries (data/README.md tells what they are).

usage: python scripts/make_demo_data.py [--wheel scanpy-1.11.5-py3-none-any.whl] [--output data]
needs anndata and h5py; downloads scanpy's wheel with pip unless one is given
"""

import argparse
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse

SCANPY = "scanpy==1.11.5"
QUERY_WELLS = ["7", "8"]  # all ten cell types are in both, a quarter of the cells


def download_wheel(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), SCANPY]
    subprocess.run(command, check=True)
    return next(folder.glob("scanpy-*.whl"))


def read_cells(wheel: Path) -> anndata.AnnData:
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read("scanpy/datasets/10x_pbmc68k_reduced.h5ad")
    return anndata.read_h5ad(io.BytesIO(content))


def recover_counts(logged: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
    """Counts behind log1p of normalised counts: in every cell the smallest value stands for a count of one."""
    counts = scipy.sparse.csr_matrix(logged, copy=True)
    for start, end in zip(counts.indptr[:-1], counts.indptr[1:], strict=True):
        scaled = np.expm1(counts.data[start:end].astype(np.float64))
        scaled /= scaled.min()
        rounded = np.round(scaled)
        # the file's values are rounded, so large counts come back less exactly than small ones
        assert np.all(np.abs(scaled - rounded) < np.minimum(0.25, 0.01 + 0.002 * rounded)), "these are no counts"
        counts.data[start:end] = rounded
    counts.sort_indices()
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=Path, help="scanpy's wheel; downloaded when not given")
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "data")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        cells = read_cells(arguments.wheel or download_wheel(Path(folder)))
    names = cells.obs_names.astype(str)
    obs = pd.DataFrame({"well": names.str.rsplit("-", n=1).str[1], "cell_type": cells.obs["bulk_labels"].astype(str).to_numpy()}, index=names)
    demo = anndata.AnnData(X=recover_counts(cells.raw.X), obs=obs, var=pd.DataFrame(index=cells.raw.var_names.astype(str)))

    in_query = demo.obs["well"].isin(QUERY_WELLS).to_numpy()
    for name, part in [("demo_reference", demo[~in_query].copy()), ("demo_query", demo[in_query].copy())]:
        part.strings_to_categoricals()
        part.write_h5ad(arguments.output / f"{name}.h5ad", compression="gzip", compression_opts=9)
        print(f"{name}: {part.n_obs} cells, {part.n_vars} genes, wells {', '.join(part.obs['well'].cat.categories)}")


if __name__ == "__main__":
    main()
