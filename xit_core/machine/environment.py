"""What surrounds a process must not reach a number: what is fixed, what is taken away, and what is recorded
in the row.
"""

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
# Settings that stop a run or change how its notebook looks, without a word for the person
OTHERS = (
    "MPLBACKEND", "PYTHONOPTIMIZE", "PYTHONINSPECT", "PYTHONDEVMODE", "PYTHONASYNCIODEBUG", "TORCH_LOGS",
    "TORCH_CPP_*", "TQDM_*",
)  # fmt: skip
NEEDED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def fix_environment() -> None:
    """Give this process, before it loads a library, and those that it starts the environment that a number
    may depend on.
    """
    wanted = FIXED | dict.fromkeys(THREADED, str(threads()))
    others = [name for name in os.environ if any(fnmatch(name, x) for x in OTHERS)]
    for name in (name for name in (*numeric(), *others) if name not in NEEDED):
        del os.environ[name]
    os.environ.update(wanted)


def threads() -> int:
    """Threads that a run computes on (XIT_THREADS, else one): parallel work is the scheduler's, and sums of
    one thread are added in one order, whatever the machine.

    Raises: Bad.
    """
    named = os.environ.get("XIT_THREADS") or "1"
    if not re.fullmatch("[0-9]{1,4}", named) or not 1 <= int(named) <= os.cpu_count():
        raise Bad(f"XIT_THREADS={named}; allowed: 1 to {os.cpu_count()}, the cores of this machine")
    return int(named)


def numeric() -> dict[str, str]:
    """The settings of NUMERIC that are set here, less the number of threads."""
    return {
        name: value
        for name, value in sorted(os.environ.items())
        if name not in THREADED and any(fnmatch(name, x) for x in NUMERIC)
    }


def environments_differ(rows: list[dict]) -> str:
    """One line where rows were made in several environments, whose scores may differ in the last digits; ""
    for one.
    """
    counts = Counter(map(_kind, (row["provenance"] for row in rows)))
    if len(counts) < 2:
        return ""
    told = ", ".join(f"{kind} ({n} rows)" for kind, n in counts.most_common())
    return f"rows of {len(counts)} environments, whose scores may differ slightly: {told}"


def _kind(made: dict) -> str:
    """The environment of a row in words; of a row older than this record, its device."""
    known = made.get("environment", {})
    variables = (f"{name}={value}" for name, value in known.get("variables", {}).items())
    library = f"torch {made.get('packages', {}).get('torch', '?')}"
    return " ".join(
        filter(None, [made.get("device", ""), known.get("instructions", ""), *variables, library])
    )
