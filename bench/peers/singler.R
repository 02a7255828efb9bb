# SingleR trained on the reference, with its defaults. usage: Rscript singler.R FOLDER OUT
# Marker genes by pairwise Wilcoxon tests, as its book advises for single-cell references.
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)))
source(file.path(here, "peer.R"))
suppressPackageStartupMessages(library(SingleR))
given <- commandArgs(trailingOnly = TRUE)
log_normalized <- function(counts) {
  counts@x <- log1p(counts@x / rep(pmax(colSums(counts), 1), diff(counts@p)) * 1e4)
  counts
}
reference <- log_normalized(read_counts(given[1], "reference"))
query <- log_normalized(read_counts(given[1], "query"))
types <- read_cells(given[1], "reference")$cell_type
predictions <- SingleR(test = query, ref = reference, labels = types, de.method = "wilcox")
write_result(given[2], list(best = found$labels))
