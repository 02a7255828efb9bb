process SCPOLI_ROUNDS_SUMMARY {
    tag "$meta.id"
    label 'process_medium'

    container "${params.container}"

    input:
    tuple val(meta), path(shard)
    val merged
    val run

    output:
    val meta.id, emit: done
    path "versions.yml", emit: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    """
    scpoli rounds summary ${run} ${shard} --shard ${meta.id} --threads ${task.cpus} --quiet

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        scpoli: \$(scpoli --version)
    END_VERSIONS
    """

    stub:
    """
    mkdir -p ${run}/exchange/summaries
    touch ${run}/exchange/summaries/${meta.id}.safetensors

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        scpoli: \$(scpoli --version)
    END_VERSIONS
    """
}
