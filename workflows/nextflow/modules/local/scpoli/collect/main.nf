process SCPOLI_COLLECT {
    label 'process_single'

    container "${params.container}"

    input:
    path facts

    output:
    path "queries.tsv", emit: table
    path "queries.html", emit: report
    path "versions.yml", emit: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    """
    scpoli collect ${facts} -o queries.tsv --report queries.html --quiet --force

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        scpoli: \$(scpoli --version)
    END_VERSIONS
    """

    stub:
    """
    touch queries.tsv queries.html

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        scpoli: \$(scpoli --version)
    END_VERSIONS
    """
}
