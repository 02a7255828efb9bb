# Seurat: anchors between reference and query, labels by TransferData.
# usage: Rscript seurat.R FOLDER OUT pca|spca
# The reference's conditions are joined by their counts, log-normalised; 2,000 variable features; 50
# components of a PCA, or of a supervised PCA on the reference's graph of shared neighbours. Positions: the
# query's in the reference's components (MapQuery).
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)))
source(file.path(here, "peer.R"))
suppressPackageStartupMessages(library(Seurat))
set.seed(0)
given <- commandArgs(trailingOnly = TRUE)
folder <- given[1]
reduction <- given[3]
dimensions <- 1:50
prepared <- function(part) {
  object <- CreateSeuratObject(read_counts(folder, part), meta.data = read_cells(folder, part))
  NormalizeData(object, verbose = FALSE)
}
reference <- prepared("reference")
reference <- FindVariableFeatures(reference, nfeatures = 2000, verbose = FALSE)
reference <- ScaleData(reference, verbose = FALSE)
reference <- RunPCA(reference, npcs = max(dimensions), verbose = FALSE)
if (reduction == "spca") {
  reference <- FindNeighbors(reference, dims = dimensions, verbose = FALSE)
  reference <- RunSPCA(reference, npcs = max(dimensions), graph = "RNA_snn", verbose = FALSE)
}
query <- prepared("query")
anchors <- FindTransferAnchors(
  reference, query,
  dims = dimensions, reference.reduction = reduction, verbose = FALSE
)
query <- MapQuery(
  anchors, query, reference,
  refdata = list(type = "cell_type"), reference.reduction = reduction, verbose = FALSE
)
positions <- rbind(
  Embeddings(reference[[reduction]])[, dimensions],
  Embeddings(query[[paste0("ref.", reduction)]])[, dimensions]
)
write_result(given[2], list(transfer = query$predicted.type), positions)
