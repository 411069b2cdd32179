"""A command of a study, done by a fork of the process that has loaded everything, or started as always.

python -m xit_core.run.asked run "mnli > xnli" --scale=micro
"""

import os
import signal
import sys

from . import warm


def main(arguments: list[str]) -> int:
    """Have `xit ARGUMENTS` done in a fork, and return its exit status; signals that ask for its end reach it.

    Where no process forks, this process becomes the command.
    """
    command = [sys.executable, "-m", "xit_core.cli", *arguments]
    try:
        fork = warm.Forked(os.environ[warm.VARIABLE], command, dict(os.environ), os.getcwd())
    except (KeyError, OSError):
        os.execv(sys.executable, command)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: fork.send_signal(number))
    status = fork.wait()
    return status if status >= 0 else 128 - status  # as a shell says which signal ended it


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
