"""Names that scArches 0.6.1 expects of older anndata and SciPy, restored; to be imported before scarches."""
import anndata
import scipy.sparse

anndata.read = getattr(anndata, "read", anndata.read_h5ad)
for matrix in (scipy.sparse.csr_matrix, scipy.sparse.csc_matrix):
    if not hasattr(matrix, "A"):
        matrix.A = property(lambda self: self.toarray())
