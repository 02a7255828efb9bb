#!/usr/bin/env bash
# Trains a reference on Slurm in one job: a task per shard works through all rounds, and all tasks run at the
# same time, so that the scheduler is waited for once. docs/how-to/clusters.md
#
#   sbatch --ntasks=8 --cpus-per-task=2 --mem-per-cpu=4G --time=1-0 rounds.sh FOLDER SHARD...
#
# FOLDER gets `run`, the files of the run, and `model`, the reference. Options of the steps are environment
# variables: SURVEY_OPTIONS ("--condition-key donor --cell-type-key cell_type"), INIT_OPTIONS ("--rounds 24"),
# and SCPOLI (the command, default scpoli). Submit the job again to continue from the files that exist.
set -euo pipefail

if [ $# -lt 3 ] || [ -z "${SURVEY_OPTIONS:-}" ]; then
  echo "usage: SURVEY_OPTIONS='--condition-key donor ...' sbatch --ntasks=N rounds.sh FOLDER SHARD SHARD..." >&2
  exit 2
fi
folder=$1
shift
if [ "${SLURM_NTASKS:-0}" -lt $# ]; then
  echo "There are $# shards and ${SLURM_NTASKS:-0} tasks. All shards have to be trained at the same time:" \
    "submit with sbatch --ntasks=$#." >&2
  exit 2
fi
for shard in "$@"; do
  [ -e "$shard" ] || { echo "There is no file $shard." >&2; exit 3; }
done

export RUN=$folder/run SCPOLI=${SCPOLI:-scpoli} SURVEY_OPTIONS
export THREADS=${SLURM_CPUS_PER_TASK:-1}
mkdir -p "$RUN"

# on_shards STEP SHARD...: a task per shard, which all end if one fails
on_shards() {
  local step=$1
  shift
  srun --ntasks=$# --kill-on-bad-exit=1 bash -euc '
    step=$0
    file=${@:$((SLURM_PROCID + 1)):1}
    name=$(basename "$file")
    name=${name%.*}
    $step "$file" "$name"
  ' "$step" "$@"
}

survey() {
  [ -e "$RUN/exchange/surveys/$2.safetensors" ] ||
    $SCPOLI rounds survey "$RUN" "$1" --shard "$2" $SURVEY_OPTIONS --threads "$THREADS" --quiet
}
work() {
  $SCPOLI rounds work "$RUN" "$1" --shard "$2" --threads "$THREADS" --quiet
}
export -f survey work

on_shards survey "$@"
$SCPOLI rounds init "$RUN" ${INIT_OPTIONS:-} --quiet
on_shards work "$@"
$SCPOLI rounds finish "$RUN" -o "$folder/model" --threads "$THREADS" --force --quiet
