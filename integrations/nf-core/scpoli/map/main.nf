// Not run here: no Nextflow. The options are checked against the command line's own.
process SCPOLI_MAP {
    tag "$meta.id"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"

    input:
    tuple val(meta), path(query)
    tuple val(meta2), path(reference)

    output:
    tuple val(meta), path("${prefix}.h5ad"), emit: h5ad
    tuple val(meta), path("${prefix}.json"), emit: json
    tuple val("${task.process}"), val('scpoli'), eval('scpoli --version'), topic: versions, emit: versions_scpoli

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}_mapped"
    """
    scpoli map ${query} --reference ${reference} --output ${prefix}.h5ad --threads ${task.cpus} --quiet --json ${args} > ${prefix}.json
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}_mapped"
    """
    touch ${prefix}.h5ad ${prefix}.json
    """
}
