"""Snakemake wrapper of ``scpoli train``."""

from snakemake.shell import shell

extra = snakemake.params.get("extra", "")  # noqa: F821
log = snakemake.log_fmt_shell(stdout=False, stderr=True)  # noqa: F821
levels = snakemake.params.get("cell_type_key", "")  # noqa: F821
if levels:
    extra = f"--cell-type-key '{levels}' {extra}"

shell(
    "scpoli train {snakemake.input.reference:q} --condition-key {snakemake.params.condition_key:q}"
    " --output {snakemake.output.model:q} --threads {snakemake.threads} --quiet --json {extra}"
    " > {snakemake.output.json:q} {log}"
)
