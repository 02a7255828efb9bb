process SCPOLI_ROUNDS_LOCAL {
    tag "$meta.id"
    label 'process_medium'

    container "${params.container}"

    input:
    tuple val(meta), path(shard), val(round)
    val run

    output:
    val meta.id, emit: done
    path "versions.yml", emit: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    """
    scpoli rounds local ${run} ${shard} --shard ${meta.id} --round ${round} --threads ${task.cpus} --quiet

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        scpoli: \$(scpoli --version)
    END_VERSIONS
    """

    stub:
    """
    mkdir -p ${run}/exchange/results/${round}
    touch ${run}/exchange/results/${round}/${meta.id}.safetensors

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        scpoli: \$(scpoli --version)
    END_VERSIONS
    """
}
