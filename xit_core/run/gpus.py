"""The GPUs of this machine: how many there are, and which of them this process has reserved."""

import os
import tempfile
import time
from pathlib import Path
from typing import IO

from ..machine.errors import Bad
from ..machine.locks import locked

GPUS = Path("/proc/driver/nvidia/gpus")
LEASED: list[IO] = []  # the open lock files of this process's GPUs


def count() -> int:
    """How many GPUs this machine has."""
    return len(list(GPUS.glob("*")))


def lease(wanted: int = 1) -> None:
    """Reserve some of the machine's GPUs until this process ends, waiting while too few are free.

    Does nothing if the machine has no GPU or the scheduler has assigned some (CUDA_VISIBLE_DEVICES).
    Processes that share a run share what the first of them reserved.
    Raises: Bad where there are not so many GPUs, in a process of another launcher, and when files in the
    temporary folder, which all processes share, cannot be locked.
    """
    gpus, assigned = count(), os.environ.get("CUDA_VISIBLE_DEVICES")
    refuse_launchers()
    present = gpus if assigned is None else len(assigned.replace(",", " ").split())
    if gpus and present and wanted > present:
        raise Bad(f"--processes {wanted}: allowed here: 1 to {present}, one for each GPU")
    while gpus and "CUDA_VISIBLE_DEVICES" not in os.environ:
        locks: dict[int, IO] = {}
        for i in range(gpus):
            place = Path(tempfile.gettempdir(), f"xit-gpu-{os.getuid()}-{i}.lock")
            if len(locks) < wanted and (lock := locked(place)):
                locks[i] = lock
        if len(locks) == wanted:
            LEASED.extend(locks.values())
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, locks))
            return
        for lock in locks.values():  # two that wait for two must not hold one each
            lock.close()
        time.sleep(0.5)


def refuse_launchers() -> None:
    """Check that no launcher started this process as one of several: each would do the whole work.

    Raises: Bad.
    """
    if "LOCAL_RANK" in os.environ:
        raise Bad(
            "LOCAL_RANK is set: a launcher started xit as one of several processes; take it away, and name "
            "their number in xit run PATH --processes N"
        )
