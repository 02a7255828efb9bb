process SCPOLI_ROUNDS_FINISH {
    label 'process_medium'

    container "${params.container}"

    input:
    val summarized
    val run

    output:
    path "model", emit: model
    path "versions.yml", emit: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    """
    scpoli rounds finish ${run} -o model --threads ${task.cpus} --quiet

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        scpoli: \$(scpoli --version)
    END_VERSIONS
    """

    stub:
    """
    mkdir model
    touch model/model.json model/model.safetensors

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        scpoli: \$(scpoli --version)
    END_VERSIONS
    """
}
