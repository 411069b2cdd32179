"""The device that a run computes on, and what of its surroundings the row records."""

import platform

import torch

from ..machine.environment import fix_environment, numeric, threads


def device() -> str:
    """The GPU, or the processor and its threads."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()} CPU, {torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}"


def fix_threads() -> None:
    """The fixed environment where torch was loaded before, as in a notebook of the user's own."""
    fix_environment()  # accelerate reads its settings when a training begins
    torch.set_num_threads(threads())


def recorded() -> dict:
    """What of the surroundings can reach a number and cannot be fixed, as a row of the ledger has it."""
    return {
        "machine": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "variables": numeric(),
    }
