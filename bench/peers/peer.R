# What the R methods of bench:peers share: reading the files of prepare.py and writing a result as tables,
# which collect_tables.py makes an .h5ad.
suppressPackageStartupMessages({
  library(Matrix)
  library(hdf5r)
})

# Raw counts of a part, genes in rows (an .h5ad's CSR of cells is a CSC of genes by cells).
read_counts <- function(folder, part) {
  file <- H5File$new(file.path(folder, paste0(part, ".h5ad")), "r")
  on.exit(file$close_all())
  genes <- read.csv(file.path(folder, "genes.csv"), check.names = FALSE)$gene
  cells <- read_cells(folder, part)
  counts <- sparseMatrix(
    i = file[["X/indices"]][], p = file[["X/indptr"]][], x = as.numeric(file[["X/data"]][]),
    index1 = FALSE, dims = c(length(genes), nrow(cells))
  )
  dimnames(counts) <- list(genes, rownames(cells))
  counts
}

# obs of a part, a row per cell
read_cells <- function(folder, part) {
  path <- file.path(folder, paste0(part, ".csv"))
  read.csv(path, row.names = 1, check.names = FALSE, colClasses = "character")
}

# labels: a named list of the query's labels; positions: NULL, or reference and query cells by dimensions
write_result <- function(out, labels, positions = NULL) {
  dir.create(out, showWarnings = FALSE)
  write.csv(as.data.frame(labels, check.names = FALSE), file.path(out, "labels.csv"), row.names = FALSE)
  if (!is.null(positions)) write.csv(positions, file.path(out, "positions.csv"))
}
