process SCPOLI_ROUNDS_SURVEY {
    tag "$meta.id"
    label 'process_medium'

    container "${params.container}"

    input:
    tuple val(meta), path(shard)
    val run

    output:
    val meta.id, emit: done
    path "versions.yml", emit: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    """
    scpoli rounds survey ${run} ${shard} --shard ${meta.id} ${args} --threads ${task.cpus} --quiet

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        scpoli: \$(scpoli --version)
    END_VERSIONS
    """

    stub:
    """
    mkdir -p ${run}/exchange/surveys
    touch ${run}/exchange/surveys/${meta.id}.safetensors

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        scpoli: \$(scpoli --version)
    END_VERSIONS
    """
}
