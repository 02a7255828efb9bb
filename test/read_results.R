# Reads what scpoli has written with rhdf5 alone, as docs/how-to/read-results.md does, and prints numbers that the test compares.
# usage: Rscript read_results.R MAPPED.h5ad SAMPLES.h5ad
library(rhdf5)
paths <- commandArgs(trailingOnly = TRUE)

number <- function(x) formatC(x, digits = 17, format = "g")
line <- function(name, values) cat(name, "\t", paste(values, collapse = "\t"), "\n", sep = "")

# a categorical column of obs: its values as text, NA where there is none
category <- function(path, column) {
  codes <- h5read(path, paste0("obs/", column, "/codes"), bit64conversion = "double")
  categories <- h5read(path, paste0("obs/", column, "/categories"))
  codes[codes < 0] <- NA
  as.vector(categories)[as.integer(codes) + 1]
}

mapped <- paths[1]
positions <- t(h5read(mapped, "obsm/X_scpoli"))  # cells x dimensions
line("dimensions", dim(positions))
line("position of the first cell", number(positions[1, ]))
line("sum of the positions", number(sum(positions)))
types <- category(mapped, "cell_type_pred")
# in the order of the characters' codes, whatever the language of the machine
sorted <- function(x) sort(unique(x), method = "radix")
counts <- table(factor(types, levels = sorted(types)))
line("types", names(counts))
line("cells of the types", as.vector(counts))
line("given types", sorted(category(mapped, "cell_type")))
line("sum of the uncertainties", number(sum(h5read(mapped, "obs/cell_type_uncert"))))
unknown <- h5read(mapped, "obs/cell_type_unknown")
line("unknown cells", sum(as.logical(unknown)))
names <- as.vector(h5read(mapped, "obs/_index"))
line("first and last name", names[c(1, length(names))])

samples <- paths[2]
line("samples", as.vector(h5read(samples, "obs/_index")))
line("embedding of the samples", number(t(h5read(samples, "X"))[1, ]))
