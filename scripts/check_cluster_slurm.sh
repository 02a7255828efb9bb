#!/usr/bin/env bash
# Installs Slurm and munge (Debian or Ubuntu, as root) if they are missing, and starts a cluster of one node in
# a folder: munged, slurmctld, slurmd. usage: check_cluster_slurm.sh start|stop FOLDER
# A configuration for tests alone: jobs run as root, without cgroups and without accounting. /etc/slurm/slurm.conf
# becomes a link to it until the cluster stops, because jobs look there; an existing one is left alone.
set -euo pipefail
action=$1
folder=$2

link=/etc/slurm/slurm.conf
stop() {
  if [ "$(readlink "$link" 2>/dev/null)" = "$folder/slurm.conf" ]; then rm "$link"; fi
  for daemon in slurmd slurmctld munged; do
    if [ -f "$folder/$daemon.pid" ]; then kill "$(cat "$folder/$daemon.pid")" 2>/dev/null || true; fi
  done
}
if [ "$action" = stop ]; then stop; exit; fi

if ! command -v slurmctld >/dev/null || ! command -v munged >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq slurm-wlm munge
fi

if [ -e "$link" ]; then
  echo "$link exists: this machine has a Slurm configuration. Run this check on another machine."
  exit 1
fi
mkdir -p "$folder"/{state,spool,munge}
chmod 755 "$folder" "$folder/munge"
trap 'echo "Slurm did not start:"; tail -n 20 "$folder"/*.log; stop' ERR
if ! munge -n -S "$folder/munge/socket" >/dev/null 2>&1; then
  head -c 1024 /dev/urandom > "$folder/munge/key"
  chmod 400 "$folder/munge/key"
  munged --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" \
    --pid-file="$folder/munged.pid" --log-file="$folder/munged.log" --seed-file="$folder/munge/seed"
fi
host=$(hostname -s)
memory=$(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo)
cat > "$folder/slurm.conf" <<CONF
ClusterName=check
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,defer,batch_sched_delay=1
MinJobAge=3600
ReturnToService=2
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
MpiDefault=none
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$((memory - 500)) State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE DefaultTime=60 State=UP
CONF
mkdir -p /etc/slurm
ln -s "$folder/slurm.conf" "$link"
slurmctld
slurmd
for _ in $(seq 60); do
  if sinfo -h -o %T 2>/dev/null | grep -q idle; then sinfo; exit 0; fi
  sleep 1
done
echo "The node is not idle after a minute:"; sinfo || true
tail -n 20 "$folder"/*.log
stop
exit 1
