"""The device that a run computes on, the processes that share a run, and what a row records of both."""

import os
import platform
from collections.abc import Callable
from datetime import timedelta
from itertools import chain, zip_longest
from pathlib import Path
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from ..machine.environment import fix_environment, numeric, processor, threads

T = TypeVar("T")
# How long a process waits for the others, which may read and encode data meanwhile. A process that fails is
# noticed by the one that started them all, not by this.
PATIENCE = timedelta(hours=12)
LOOP = Path("/sys/class/net/lo")  # the network of a machine with itself, on Linux


def device() -> str:
    """The name of the GPU, or of the processor with its number of threads."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()} CPU, {torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}"


def fix_threads(instructions: str = "all") -> None:
    """Fix the environment where torch was loaded earlier, as in a user's own notebook.

    `instructions`: of the processor; they count if nothing was computed yet.
    """
    fix_environment(instructions)  # accelerate reads its settings when a training begins
    torch.set_num_threads(threads())


def recorded() -> dict:
    """The surroundings that can change a number and cannot be fixed, as a row of the ledger stores them.

    `processes` is there only if several shared the run: absent means one.
    """
    several = {"processes": processes()} if processes() > 1 else {}
    return several | {
        "machine": platform.machine(),
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "variables": numeric(),
    }


# -- processes that share a run ------------------------------------------------------------------------------


def join(rank: int, n: int, meeting: Path, instructions: str = "all") -> None:
    """Make this process number `rank` of `n` on this machine that share a run, each with a GPU of its own.

    Without a GPU they are processes of the CPU. `meeting`: a new file through which they find each other.
    """
    fix_threads(instructions)
    gpu = torch.cuda.is_available()
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    os.environ |= {"WORLD_SIZE": str(n), "LOCAL_WORLD_SIZE": str(n)}
    if LOOP.exists():
        os.environ["GLOO_SOCKET_IFNAME"] = LOOP.name  # nobody outside can take part
    if gpu:
        torch.cuda.set_device(rank)
    torch.distributed.init_process_group(
        "nccl" if gpu else "gloo",
        init_method=meeting.absolute().as_uri(), rank=rank, world_size=n, timeout=PATIENCE,
    )  # fmt: skip
    PartialState(cpu=not gpu)  # without this, accelerate takes a process of the CPU for the only one


def leave() -> None:
    """Part from the other processes when all have come to this point."""
    PartialState().wait_for_everyone()
    torch.distributed.destroy_process_group()


def processes() -> int:
    """How many processes share the run: as many as have joined."""
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def agreed(answer: T) -> T:
    """The main process's answer, in every process: what is there may change while they look."""
    box = [answer]
    return broadcast_object_list(box)[0] if processes() > 1 else answer


def by_main(write: Callable[[], object]) -> None:
    """Let the main process write something, and go on when it is there."""
    if PartialState().is_main_process:
        write()
    PartialState().wait_for_everyone()


def in_turns(own: list[T]) -> list[T]:
    """What all processes made of things that they shared in turns, in the order of these things.

    Every process must call it.
    """
    if processes() == 1:
        return own
    parts: list = [None] * processes()
    torch.distributed.all_gather_object(parts, [(x,) for x in own])
    return [x for (x,) in filter(None, chain.from_iterable(zip_longest(*parts)))]
