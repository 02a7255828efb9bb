process SCPOLI_ROUNDS_INIT {
    label 'process_single'

    container "${params.container}"

    input:
    val surveyed
    val run
    val rounds

    output:
    val 1, emit: round
    path "versions.yml", emit: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    """
    scpoli rounds init ${run} --rounds ${rounds} ${args} --quiet

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        scpoli: \$(scpoli --version)
    END_VERSIONS
    """

    stub:
    """
    mkdir -p ${run}/exchange/states
    touch ${run}/exchange/plan.json ${run}/exchange/states/0000.safetensors

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        scpoli: \$(scpoli --version)
    END_VERSIONS
    """
}
