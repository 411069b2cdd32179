"""Where the runs of a study are executed: this machine's cores, its GPUs, a Slurm cluster, or elsewhere."""

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from ..design.run import Run
from ..design.scales import Scale
from ..machine.errors import Bad
from ..report.cost import checkpoint_bytes, costs
from . import gpus

PLUGIN = "snakemake_executor_plugin_slurm"
PIN = "snakemake-executor-plugin-slurm==2.8.0"  # as the extra "slurm" of pyproject.toml
SUBMITTED = 100  # jobs of a cluster that wait or run at a time, unless the user names a number
UNMEASURED = 24 * 60  # minutes asked for a notebook of which no run like its own was measured
CARE, SPARE = 3.0, 15  # a notebook is given so many times its expected time, and so many minutes more
# without an accounting database, Slurm answers squeue alone; the job of a lost node goes back to the queue
SLURM = (
    "--executor", "slurm", "--slurm-status-command", "squeue", "--slurm-requeue",
    "--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "60",
)  # fmt: skip
RESOURCE = re.compile(r"[a-z][a-z_]*=[^\s=]+")


@dataclass(frozen=True)
class Profile:
    """What Snakemake is told about a place. `here`: its runs are processes of this machine."""

    options: tuple[str, ...] = ()
    at_once: Callable[[], int] = field(default=lambda: os.cpu_count() or 1)  # runs at a time
    here: bool = True


def every_gpu() -> int:
    """How many GPUs this machine has. Raises: Bad for none."""
    if number := gpus.count():
        return number
    raise Bad(f"--profile gpu-box: no GPU in {gpus.GPUS}; leave the profile out to compute on the processor")


SHIPPED = {
    "local": Profile(),
    "gpu-box": Profile(at_once=every_gpu),  # each run leases one of them
    "slurm": Profile(SLURM, lambda: SUBMITTED, here=False),
}


def profile(named: str | None) -> Profile:
    """A shipped profile (None: local), or that of a folder with Snakemake's config.yaml.

    Raises: Bad for neither, and for a cluster whose plugin is not installed.
    """
    named = named or "local"
    if named == "slurm" and not find_spec(PLUGIN):
        raise Bad(f"--profile slurm: Snakemake's plugin is not installed; pip install {PIN}")
    if named in SHIPPED:
        return SHIPPED[named]
    if not list(Path(named).glob("config*.yaml")):
        raise Bad(
            f"--profile {named}: no config.yaml there; allowed: {', '.join(SHIPPED)}, or the folder of a "
            "Snakemake profile"
        )
    return Profile(("--profile", os.path.abspath(named)), here=False)


def options(chosen: Profile, at_once: int | None, resources: str) -> list[str]:
    """Snakemake's options for a place.

    `at_once`: runs at a time; None: what the place allows. `resources`: "slurm_partition=long mem_mb=9000",
    which replace what the plan asks for. Raises: Bad for a resource that is not of this form.
    """
    number = str(at_once or chosen.at_once())
    profile = [] if "--profile" in chosen.options else ["--profile", "none"]
    amount = ["--cores", number] if chosen.here or not profile else ["--jobs", number]
    told = [*chosen.options, *profile, *amount]
    if chosen.options == SLURM and "slurm_account=" not in resources:
        told.append("--slurm-no-account")
    for one in resources.split():
        if not RESOURCE.fullmatch(one):
            raise Bad(
                f"--resources {one}; allowed: name=value, such as slurm_partition=long, with spaces between"
            )
    return (
        [*told, "--set-resources", *(f"notebook:{one}" for one in resources.split())] if resources else told
    )


def needs(study: str, scale: Scale) -> Callable[[tuple[Run, ...]], dict[str, int]]:
    """A function that says what a notebook with some runs needs: minutes, and MB of memory.

    The minutes follow the pace of runs that were measured. The memory holds weights, gradients and the two
    moments of the optimiser, which are four times a checkpoint in float32, beside rows and libraries.
    """
    seconds = {row["id"]: row["seconds"] for row in costs(study, scale)["runs"] if not row["done"]}
    weights = checkpoint_bytes(scale) * (2 if scale.frozen_table else 1)
    memory = (2_000 if scale.world.made else 8_000) + math.ceil(4 * weights / 1e6)

    def of(runs: tuple[Run, ...]) -> dict[str, int]:
        expected = [seconds[run.id] for run in runs if run.id in seconds]
        known = expected and None not in expected
        minutes = math.ceil(CARE * sum(expected) / 60) + SPARE if known else UNMEASURED
        return {"minutes": minutes if runs else SPARE, "mem_mb": memory}

    return of
