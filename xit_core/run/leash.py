"""A command that ends, with all that it has started, when whoever started it is gone.

`python -m xit_core.run.leash COMMAND …` is started in a process group of its own. Its standard input is the
leash: a pipe that closes when the process at the other end is gone, even if that was killed without a word.
With `--elsewhere` before it, the command is a scheduler that has started jobs on other machines.
"""

import os
import select
import signal
import subprocess
import sys

PATIENCE = 10.0  # seconds that the command has to end by itself
POLL = 0.1  # seconds
ELSEWHERE = "--elsewhere"


def lead(command: list[str]) -> None:
    """Run a command until it or the leash ends, then end the whole process group, this process with it.

    A scheduler that has ended may leave runs behind, so the group is ended in either case. No signal reaches
    jobs elsewhere: Snakemake cancels them when it is interrupted, and waits for them when it is terminated.
    """
    signal.signal(signal.SIGTERM, lambda *_: None)  # sent to the group: the command decides when it ends
    # with a handler here, the command starts with the system's: shells let what they run behind ignore it
    signal.signal(signal.SIGINT, lambda *_: None)
    elsewhere = command[0] == ELSEWHERE
    child = subprocess.Popen(command[elsewhere:], stdin=subprocess.DEVNULL)
    if elsewhere:
        signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGINT))
    while child.poll() is None and not select.select([sys.stdin], [], [], POLL)[0]:
        pass
    try:
        os.killpg(0, signal.SIGTERM)
        child.wait(PATIENCE * (6 if elsewhere else 1))  # a busy cluster is slow to answer
    except subprocess.TimeoutExpired:
        print(f"{child.args[0]} did not end in time and was killed", file=sys.stderr)
    finally:
        sys.stderr.flush()
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    lead(sys.argv[1:])
