"""Keeps the environment of a process from changing a score: variables that are set, removed or recorded."""

import os
import platform
import re
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

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
# values of XIT_INSTRUCTIONS: settings with which a processor computes as one without newer instructions
INSTRUCTIONS = {
    "all": {},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"},
    "sse4": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "SSE4_2"},
}
CPU_LIST = Path("/proc/cpuinfo")


def fix_environment(preferred: str = "all") -> None:
    """Set the environment that scores may depend on, for this process and those that it starts.

    `preferred`: the instructions to use where XIT_INSTRUCTIONS names none and the processor has them.
    Call it before numerical libraries are loaded. Raises: Bad as `threads` and `instructions`.
    """
    wanted = FIXED | dict.fromkeys(THREADED, str(threads())) | instructions(preferred)
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


def instructions(preferred: str = "all") -> dict[str, str]:
    """The settings that hold libraries to the instructions that XIT_INSTRUCTIONS names, or to the preferred.

    With them one processor shows how much scores move on another. Raises: Bad for an unknown name.
    """
    named = os.environ.get("XIT_INSTRUCTIONS") or (preferred if has_instructions(preferred) else "all")
    if named not in INSTRUCTIONS or not has_instructions(named):
        raise Bad(f"XIT_INSTRUCTIONS={named}; allowed on this processor: {', '.join(usable())}")
    return INSTRUCTIONS[named]


def usable() -> list[str]:
    """The values of XIT_INSTRUCTIONS that this processor can compute with."""
    return [name for name in INSTRUCTIONS if has_instructions(name)]


def has_instructions(name: str) -> bool:
    """Whether the processor has them; unknown, so no, where it is not x86 or Linux does not list them.

    Libraries do not check: with instructions that a processor lacks a process would be killed.
    """
    if name == "all":
        return True
    listed = cpu_list()
    return bool(re.search(r"^flags\s.*\bsse4_1\b", listed, re.M)) and (name != "avx2" or " avx2 " in listed)


def cpu_list() -> str:
    """What Linux lists of the processors; "" elsewhere."""
    try:
        return CPU_LIST.read_text(encoding="utf-8")
    except OSError:
        return ""


def processor() -> str:
    """The model of the processor, as the system names it."""
    named = re.search(r"^model name\s*:\s*(.+)$", cpu_list(), re.M)
    return named[1].strip() if named else platform.processor() or platform.machine()


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
    shared = f"{n} processes" if (n := environment.get("processes", 1)) > 1 else ""
    library = f"torch {made.get('packages', {}).get('torch', '?')}"
    return " ".join(
        filter(
            None,
            [
                made.get("device", ""),
                environment.get("processor", ""),
                shared,
                environment.get("instructions", ""),
                *variables,
                library,
            ],
        )
    )
