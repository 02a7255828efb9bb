process SCPOLI_MAP {
    tag "$meta.id"
    label 'process_medium'

    container "${params.container}"

    input:
    tuple val(meta), path(query)
    path model
    val memory

    output:
    tuple val(meta), path("mapped/*.h5ad"), emit: mapped
    path "mapped/*.json", emit: facts
    path "versions.yml", emit: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = meta.options ?: task.ext.args ?: ''
    """
    mkdir -p mapped
    scpoli map ${query} --reference ${model} -o mapped/${meta.id}.h5ad --memory ${memory} ${args} --threads ${task.cpus} --quiet --json --force > mapped/${meta.id}.json

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        scpoli: \$(scpoli --version)
    END_VERSIONS
    """

    stub:
    """
    mkdir -p mapped
    touch mapped/${meta.id}.h5ad mapped/${meta.id}.json

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        scpoli: \$(scpoli --version)
    END_VERSIONS
    """
}
