"""The command ``scpoli``: the command line, run by the Node.js included in the package."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from ._errors import NodeError
from ._run import command


def main() -> int:
    """Run the command line with the arguments of this process."""
    try:
        args = command(*sys.argv[1:])
    except NodeError as error:
        print(f"scpoli: error: {error}", file=sys.stderr)
        return 3
    if os.name != "nt":
        os.execv(args[0], args)
    # both processes receive an interruption; this one waits for the other to stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return subprocess.run(args, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
