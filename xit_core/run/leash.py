"""A command that ends, with all that it has started, when whoever started it is gone.

`python -m xit_core.run.leash COMMAND …` is started in a process group of its own. Its standard input is the
leash: a pipe that closes when the process at the other end is gone, even if that was killed without a word.
"""

import os
import select
import signal
import subprocess
import sys

PATIENCE = 10.0  # seconds that the command has to end by itself
POLL = 0.1  # seconds


def lead(command: list[str]) -> None:
    """Run a command until it or the leash ends, then end the whole process group, this process with it.

    A scheduler that has ended may leave runs behind, so the group is ended in either case.
    """
    signal.signal(signal.SIGTERM, lambda *_: None)  # sent to the group: the command decides when it ends
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while child.poll() is None and not select.select([sys.stdin], [], [], POLL)[0]:
        pass
    try:
        os.killpg(0, signal.SIGTERM)
        child.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        print(f"{command[0]} did not end within {PATIENCE:g} seconds and was killed", file=sys.stderr)
    finally:
        sys.stderr.flush()
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    lead(sys.argv[1:])
