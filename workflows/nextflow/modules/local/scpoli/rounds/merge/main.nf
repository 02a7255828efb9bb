process SCPOLI_ROUNDS_MERGE {
    label 'process_single'

    container "${params.container}"

    input:
    val trained
    val round
    val run

    output:
    val next, emit: round
    path "versions.yml", emit: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    next = round + 1
    """
    scpoli rounds merge ${run} --round ${round} --quiet

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        scpoli: \$(scpoli --version)
    END_VERSIONS
    """

    stub:
    next = round + 1
    """
    touch ${run}/exchange/states/${round}.safetensors

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        scpoli: \$(scpoli --version)
    END_VERSIONS
    """
}
