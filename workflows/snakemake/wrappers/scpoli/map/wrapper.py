"""Snakemake wrapper of scpoli map."""

from snakemake.shell import shell

extra = snakemake.params.get("extra", "")
facts = snakemake.output.get("facts", "/dev/null")
log = snakemake.log_fmt_shell(stdout=False, stderr=True)

shell(
    "(scpoli map {snakemake.input.query:q} --reference {snakemake.input.model:q}"
    " -o {snakemake.output.mapped:q} {extra}"
    " --threads {snakemake.threads} --quiet --json --force > {facts:q}) {log}"
)
