#!/usr/bin/env nextflow
// Untested: nobody has run it yet. Trains a reference in rounds and maps queries onto it, with the commands of
// workflows/snakemake: docs/how-to/clusters.md.
//
//   nextflow run workflows/nextflow --shards shards.tsv --queries queries.tsv --outdir results \
//     --survey_options '--condition-key donor --cell-type-key cell_type'
//
// shards.tsv: name, file. queries.tsv: name, file, options. The folder of the run lies on a disk that all jobs
// share; every step that is repeated writes the same bytes.
nextflow.enable.dsl = 2
nextflow.preview.recursion = true

include { SCPOLI_ROUNDS_SURVEY  } from './modules/local/scpoli/rounds/survey/main'
include { SCPOLI_ROUNDS_INIT    } from './modules/local/scpoli/rounds/init/main'
include { SCPOLI_ROUNDS_LOCAL   } from './modules/local/scpoli/rounds/local/main'
include { SCPOLI_ROUNDS_MERGE   } from './modules/local/scpoli/rounds/merge/main'
include { SCPOLI_ROUNDS_SUMMARY } from './modules/local/scpoli/rounds/summary/main'
include { SCPOLI_ROUNDS_FINISH  } from './modules/local/scpoli/rounds/finish/main'
include { SCPOLI_MAP            } from './modules/local/scpoli/map/main'
include { SCPOLI_COLLECT        } from './modules/local/scpoli/collect/main'

def folderOfRun() {
    file(params.outdir).toAbsolutePath().resolve('run').toString()
}

def shardsOf(sheet) {
    Channel.fromPath(sheet).splitCsv(header: true, sep: '\t').map { row -> [[id: row.name], file(row.file)] }
}

// With early stopping, the round after the last one trains nothing: it evaluates the weights of the last one.
def allRounds() {
    (params.init_options ?: '').contains('--early-stopping off') ? params.rounds : params.rounds + 1
}

workflow ROUND {
    take:
    round

    main:
    SCPOLI_ROUNDS_LOCAL(shardsOf(params.shards).combine(round), folderOfRun())
    SCPOLI_ROUNDS_MERGE(SCPOLI_ROUNDS_LOCAL.out.done.collect(sort: true), round, folderOfRun())

    emit:
    SCPOLI_ROUNDS_MERGE.out.round
}

workflow {
    shards = shardsOf(params.shards)
    SCPOLI_ROUNDS_SURVEY(shards, folderOfRun())
    SCPOLI_ROUNDS_INIT(SCPOLI_ROUNDS_SURVEY.out.done.collect(sort: true), folderOfRun(), params.rounds)
    ROUND.recurse(SCPOLI_ROUNDS_INIT.out.round).times(allRounds())
    merged = ROUND.out.filter { next -> next == allRounds() + 1 }.first()
    SCPOLI_ROUNDS_SUMMARY(shards, merged, folderOfRun())
    SCPOLI_ROUNDS_FINISH(SCPOLI_ROUNDS_SUMMARY.out.done.collect(sort: true), folderOfRun())
    if (params.queries) {
        queries = Channel.fromPath(params.queries)
            .splitCsv(header: true, sep: '\t')
            .map { row -> [[id: row.name, options: row.options], file(row.file)] }
        SCPOLI_MAP(queries, SCPOLI_ROUNDS_FINISH.out.model, params.most_memory)
        SCPOLI_COLLECT(SCPOLI_MAP.out.facts.collect(sort: true))
    }
}
