"""Runs the neutral scorer on several files in one process, so that its libraries are loaded and compiled once.
usage: python score_all.py SCORE.py JOBS.json   (a list of {"out": FILE, "args": [...]}); writes what the scorer prints to each "out"."""
import contextlib, io, json, runpy, sys

script, jobs = sys.argv[1], json.load(open(sys.argv[2]))
for job in jobs:
    sys.argv = [script, *job["args"]]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        runpy.run_path(script, run_name="__main__")
    with open(job["out"], "w") as out:
        out.write(printed.getvalue())
