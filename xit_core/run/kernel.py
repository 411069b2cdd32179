"""The kernel of a notebook is this interpreter, whatever kernels other environments have installed on this
machine.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from traitlets import default
from traitlets.config import Config

from ..machine.errors import Bad

LONGEST = 107 - len("/kernel-12345")  # bytes: the name of a Unix socket is limited to 107
# Of a kernel: no warnings in the outputs; figures as SVG, the same to the byte for the same data. A kernel of
# papermill is told on its command line, one of nbval in a file that tools/setup writes.
SETTINGS = {
    "IPKernelApp.log_level": 50,
    "InlineBackend.figure_formats": {"svg"},
    "InlineBackend.print_figure_kwargs": {
        "bbox_inches": "tight",
        "metadata": {"Date": None, "Creator": None},
    },
}


def arguments() -> list[str]:
    """The settings for a kernel's command line."""
    return [f"--{name}={value!r}" for name, value in SETTINGS.items()]


def startup_profile() -> str:
    """The settings as the text of an ipython_kernel_config.py."""
    return "".join(f"c.{name} = {value!r}\n" for name, value in SETTINGS.items())


class ThisInterpreter(AsyncKernelManager):
    """Looks for kernels nowhere: what remains is jupyter's own description of this interpreter's."""

    @default("kernel_spec_manager")
    def _kernel_spec_manager_default(self) -> KernelSpecManager:
        return KernelSpecManager(kernel_dirs=[])


@contextmanager
def kernel_folder() -> Iterator[Config]:
    """A folder for one kernel, and the configuration that keeps all of its files there.

    One Unix socket a kernel: kernels side by side cannot collide, and nothing listens on TCP. The folder also
    stands in for the user's IPython, whose start-up files would run in the kernel, and works where there is
    no home.
    """
    folder = short_folder()
    before = os.environ.get("IPYTHONDIR")
    os.environ["IPYTHONDIR"] = str(folder / "ipython")
    told = {"transport": "ipc", "ip": str(folder / "kernel"), "connection_file": str(folder / "kernel.json")}
    try:
        yield Config(ThisInterpreter=told)
    finally:
        os.environ.pop("IPYTHONDIR")
        os.environ.update({"IPYTHONDIR": before} if before is not None else {})
        shutil.rmtree(folder, ignore_errors=True)


def short_folder() -> Path:
    """A new folder whose name leaves room for that of a socket: below the temporary folder, else below the
    system's.

    Raises: Bad when there is none.
    """
    for parent in dict.fromkeys((tempfile.gettempdir(), *SYSTEM)):
        if os.access(parent, os.W_OK) and len(os.fsencode(parent)) + len("/xit-12345678") <= LONGEST:
            return Path(tempfile.mkdtemp(prefix="xit-", dir=parent))
    least = LONGEST - len("/xit-12345678")
    raise Bad(
        f"TMPDIR={tempfile.gettempdir()}: too long for the sockets of a kernel; name a folder of at most "
        f"{least} bytes"
    )


SYSTEM = ("/tmp", "/var/tmp", "/dev/shm")
