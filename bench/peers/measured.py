"""Runs a command and writes what it cost: wall and processor seconds, and peak memory.

usage: python measured.py OUT.json COMMAND ...
The last line that the command prints is kept where it is JSON. The exit status is the command's.
"""
import json
import os
import subprocess
import sys
import time

out, command = sys.argv[1], sys.argv[2:]
started = time.time()
process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
printed = process.stdout.read()
_, status, usage = os.wait4(process.pid, 0)
lines = [line for line in printed.splitlines() if line.startswith("{")]
cost = {
    "wall_seconds": time.time() - started,
    "cpu_seconds": usage.ru_utime + usage.ru_stime,
    "peak_mb": usage.ru_maxrss / 1024,
    "printed": json.loads(lines[-1]) if lines else None,
}
if status == 0:
    with open(out, "w") as file:
        json.dump(cost, file)
sys.exit(os.waitstatus_to_exitcode(status))
