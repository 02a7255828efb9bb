"""Runs score.py over many results in one process, so that its libraries are loaded and compiled once.
usage: python score_many.py SCORE.py < LINES     each line a JSON list of score.py's arguments; prints what score.py prints, a line each"""
import contextlib, io, json, sys

path = sys.argv[1]
code = compile(open(path).read(), path, "exec")
for line in sys.stdin:
    sys.argv = [path, *json.loads(line)]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {"__name__": "__main__"})
    print(printed.getvalue().strip().splitlines()[-1], flush=True)
