"""Snakemake wrapper of scpoli train."""

from snakemake.shell import shell

extra = snakemake.params.get("extra", "")
log = snakemake.log_fmt_shell(stdout=True, stderr=True)

# the engine makes the folder of an output, and a model is a folder that scpoli makes
shell(
    "rm -rf {snakemake.output.model:q} && "
    "scpoli train {snakemake.input.data:q} -o {snakemake.output.model:q} {extra}"
    " --threads {snakemake.threads} --quiet {log}"
)
