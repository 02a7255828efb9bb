"""Snakemake wrapper of ``scpoli map``."""

from snakemake.shell import shell

extra = snakemake.params.get("extra", "")  # noqa: F821
log = snakemake.log_fmt_shell(stdout=False, stderr=True)  # noqa: F821

shell(
    "scpoli map {snakemake.input.query:q} --reference {snakemake.input.reference:q}"
    " --output {snakemake.output.h5ad:q} --threads {snakemake.threads} --quiet --json {extra}"
    " > {snakemake.output.json:q} {log}"
)
