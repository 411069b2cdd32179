"""Keeps the environment of a process from changing a score: variables that are set, removed or recorded."""

import os
import re
from collections import Counter
from fnmatch import fnmatch

from .errors import Bad

FIXED = {
    "PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "LC_ALL": "C.UTF-8", "TZ": "UTC",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}  # fmt: skip
THREADED = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# Settings of libraries that change what they compute. OPENBLAS_CORETYPE stays: some processors need it to
# compute right.
NUMERIC = (
    "ATEN_CPU_CAPABILITY", "OMP_*", "GOMP_*", "KMP_*", "MKL_*", "DNNL_*", "ONEDNN_*", "OPENBLAS_*", "NPY_*",
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "TORCH_BLAS_*", "TORCHINDUCTOR_*", "CUBLAS_*", "CUBLASLT_*",
    "CUDNN_*", "ACCELERATE_*",
)  # fmt: skip
# Settings that stop a run or change how its notebook looks, without telling the user
OTHERS = (
    "MPLBACKEND", "PYTHONOPTIMIZE", "PYTHONINSPECT", "PYTHONDEVMODE", "PYTHONASYNCIODEBUG", "TORCH_LOGS",
    "TORCH_CPP_*", "TQDM_*",
)  # fmt: skip
NEEDED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def fix_environment() -> None:
    """Set the environment that scores may depend on, for this process and those that it starts.

    Call it before numerical libraries are loaded. Raises: Bad as `threads`.
    """
    wanted = FIXED | dict.fromkeys(THREADED, str(threads()))
    others = [name for name in os.environ if any(fnmatch(name, pattern) for pattern in OTHERS)]
    for name in (name for name in (*numeric(), *others) if name not in NEEDED):
        del os.environ[name]
    os.environ.update(wanted)


def threads() -> int:
    """The number of threads that a run computes with (XIT_THREADS, else 1).

    Parallel work is left to the scheduler, and one thread adds sums in the same order on every machine.
    Raises: Bad for a number that is not 1 to the number of cores.
    """
    named = os.environ.get("XIT_THREADS") or "1"
    if not re.fullmatch("[0-9]{1,4}", named) or not 1 <= int(named) <= os.cpu_count():
        raise Bad(f"XIT_THREADS={named}; allowed: 1 to {os.cpu_count()}, the cores of this machine")
    return int(named)


def numeric() -> dict[str, str]:
    """The settings of NUMERIC that are set in this process, without the numbers of threads."""
    return {
        name: value
        for name, value in sorted(os.environ.items())
        if name not in THREADED and any(fnmatch(name, pattern) for pattern in NUMERIC)
    }


def environments_differ(rows: list[dict]) -> str:
    """One line if rows are from several environments, whose scores may differ in the last digits; else ""."""
    counts = Counter(map(_kind, (row["provenance"] for row in rows)))
    if len(counts) < 2:
        return ""
    listed = ", ".join(f"{kind} ({n} rows)" for kind, n in counts.most_common())
    return f"rows of {len(counts)} environments, whose scores may differ slightly: {listed}"


def _kind(made: dict) -> str:
    """The environment in a row's provenance as text; for older rows without that record, the device."""
    environment = made.get("environment", {})
    variables = (f"{name}={value}" for name, value in environment.get("variables", {}).items())
    library = f"torch {made.get('packages', {}).get('torch', '?')}"
    return " ".join(
        filter(None, [made.get("device", ""), environment.get("instructions", ""), *variables, library])
    )
