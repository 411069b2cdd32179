"""Notebook kernels that always run this interpreter, whatever kernels are installed on this machine."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from traitlets import default
from traitlets.config import Config

from ..machine.errors import Bad
from . import warm

LONGEST = 107 - len("/kernel-12345")  # bytes; the path of a Unix socket has at most 107
# Settings of a kernel: no warnings in the outputs; figures as SVG, byte for byte the same for the same data.
# papermill passes them on the kernel's command line; nbval reads them from a file that tools/setup writes.
SETTINGS = {
    "IPKernelApp.log_level": 50,
    "InlineBackend.figure_formats": {"svg"},
    "InlineBackend.print_figure_kwargs": {
        "bbox_inches": "tight",
        "metadata": {"Date": None, "Creator": None},
    },
}


def arguments() -> list[str]:
    """SETTINGS as options of a kernel's command line."""
    return [f"--{name}={value!r}" for name, value in SETTINGS.items()]


def startup_profile() -> str:
    """SETTINGS as the text of an ipython_kernel_config.py."""
    return "".join(f"c.{name} = {value!r}\n" for name, value in SETTINGS.items())


class ThisInterpreter(AsyncKernelManager):
    """A kernel manager that searches no folders: only jupyter's own entry for this interpreter is left."""

    @default("kernel_spec_manager")
    def _kernel_spec_manager_default(self) -> KernelSpecManager:
        return KernelSpecManager(kernel_dirs=[])

    async def _async_launch_kernel(self, kernel_cmd: list[str], **given) -> None:
        """Fork the kernel where a process for that is running, else start it."""
        provisioner = self.provisioner
        if place := os.environ.get(warm.VARIABLE):
            with contextlib.suppress(OSError):  # it has ended
                folder = given.get("cwd") or os.getcwd()
                provisioner.process = warm.Forked(place, kernel_cmd, given["env"], folder)
                provisioner.pid = provisioner.pgid = provisioner.process.pid
                return self._reconcile_connection_info(provisioner.connection_info)
        await super()._async_launch_kernel(kernel_cmd, **given)


@contextlib.contextmanager
def kernel_folder() -> Iterator[Config]:
    """Create a folder for one kernel, and yield the configuration that keeps all its files there.

    Each kernel has its own Unix sockets, so kernels that run side by side cannot collide, and nothing listens
    on TCP. The folder also replaces the user's IPython folder, whose start-up files would run in the kernel.
    It also works for users without a home folder. It is deleted afterwards.
    """
    folder = short_folder()
    before = os.environ.get("IPYTHONDIR")
    os.environ["IPYTHONDIR"] = str(folder / "ipython")
    file = str(folder / "kernel")
    options = {"transport": "ipc", "ip": file, "connection_file": f"{file}.json"}
    try:
        yield Config(ThisInterpreter=options)
    finally:
        os.environ.pop("IPYTHONDIR")
        os.environ.update({"IPYTHONDIR": before} if before is not None else {})
        shutil.rmtree(folder, ignore_errors=True)


def short_folder() -> Path:
    """A new folder whose name is short enough for a socket's: in the temporary folder, else in the system's.

    Raises: Bad when no such folder is writable.
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
