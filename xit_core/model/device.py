"""The device that a run computes on, and the surroundings that a row of the ledger records."""

import platform

import torch

from ..machine.environment import fix_environment, numeric, processor, threads


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
    """The surroundings that can change a number and cannot be fixed, as a row of the ledger stores them."""
    return {
        "machine": platform.machine(),
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "variables": numeric(),
    }
