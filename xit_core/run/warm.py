"""Runs and kernels forked from one process that has loaded everything: loading takes longer than small runs.

`ready` keeps that process while a study runs. `Forked` is a process that it forked, with the methods of
`subprocess.Popen` that jupyter_client calls. Where nothing forks, runs and kernels start as always.
"""

import contextlib
import ctypes
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import IO, NoReturn

VARIABLE = "XIT_WARM"  # names the socket of the process that forks
# pandas and matplotlib look where they are loaded, and would draw for a terminal in every kernel
LOADED = ("ipykernel.kernelapp", "xit_core.phases", "papermill", "xit_core.run.launch", "xit_core.run.kernel")
POLL = 0.05  # seconds
PATIENCE = 10.0  # seconds in which who has connected must say what it wants; meanwhile all others wait
SIZE, PID = 8, 10  # bytes of a request's length and of a process's number

DIES_WITH_PARENT, NAME = 1, 15  # the options PR_SET_PDEATHSIG and PR_SET_NAME of Linux' prctl

Forks = dict[int, socket.socket]  # process -> the connection of who asked for it


# -- who asks ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def ready(log: IO | int | None) -> Iterator[dict[str, str]]:
    """Within the block, a process forks runs and kernels; yields the variable that leads others to it.

    `log`: where it writes; None for no such process. There is none either where this is not Linux.
    """
    if log is None or sys.platform != "linux":
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="xit-") as folder, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place := f"{folder}/warm")
        listening.listen(64)  # those who come while it is loading wait
        # it ends when its standard input does, also if this process is killed
        child = subprocess.Popen(
            [sys.executable, "-m", __name__, str(listening.fileno())],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=[listening.fileno()],
        )
        listening.close()
        try:
            yield {VARIABLE: place}
        finally:
            child.stdin.close()
            child.wait()


class Forked:
    """A process that was forked to do `python -m MODULE ...`, from its start to its exit status.

    Raises: OSError when no process forks at `place`.
    """

    stdin = stdout = stderr = None

    def __init__(self, place: str, command: list[str], env: dict[str, str], cwd: str):
        self.returncode: int | None = None
        self.line = socket.socket(socket.AF_UNIX)
        self.line.connect(place)
        request = json.dumps({"argv": command, "env": env, "cwd": cwd}).encode()
        socket.send_fds(self.line, [len(request).to_bytes(SIZE)], [1, 2])
        self.line.sendall(request)
        if not (told := self.line.recv(PID, socket.MSG_WAITALL)):
            raise ConnectionError("the process that forks has ended")
        self.pid = int(told)
        self.line.setblocking(False)

    def poll(self) -> int | None:
        """The exit status; None while it runs."""
        if self.returncode is None:
            with contextlib.suppress(BlockingIOError):
                # without a word, the process that forks has ended, and with it what it forked
                self.returncode = int(self.line.recv(PID) or -signal.SIGKILL)
        return self.returncode

    def wait(self) -> int:
        """Wait for its end."""
        while self.poll() is None:
            time.sleep(POLL)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


# -- who forks -----------------------------------------------------------------------------------------------


def serve(listening: socket.socket) -> None:
    """Load everything, then fork a process for each connection, until standard input ends.

    It is killed when who asked for it closes the connection; at the end all are.
    """
    for name in LOADED:
        import_module(name)
    system, own, forks = ctypes.CDLL(None), os.getpid(), Forks()
    while True:
        waiting, _, _ = select.select([sys.stdin, listening], [], [], POLL)
        if sys.stdin in waiting:
            kill(forks)
            break
        if listening in waiting:
            line, _ = listening.accept()
            if pid := forked(line, [listening, *forks.values()], lambda name: bind(name, own, system)):
                forks[pid] = line
        kill([pid for pid, line in forks.items() if closed(line)])
        for pid in ended(forks):
            forks.pop(pid).close()
    for pid in forks:
        os.waitpid(pid, 0)


def closed(line: socket.socket) -> bool:
    """Whether the other end of a connection was closed: nobody waits for this process."""
    try:
        return not line.recv(1, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except ConnectionError:  # it was closed before the answer was read
        return True


def ended(forks: Forks) -> list[int]:
    """The forks that have ended since the last call; who asked for them is told their exit status."""
    over = []
    for pid, line in forks.items():
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            with contextlib.suppress(OSError):  # nobody waits for it
                line.sendall(str(os.waitstatus_to_exitcode(status)).encode())
            over.append(pid)
    return over


def kill(forks: Iterable[int]) -> None:
    """End forks with all that they have started."""
    for pid in forks:
        with contextlib.suppress(ProcessLookupError):  # it has no session of its own yet
            os.killpg(pid, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)


def bind(name: str, parent: int, system: ctypes.CDLL) -> None:
    """Name this process, and let the system kill it when its parent is gone, also without a word."""
    system.prctl(NAME, name.encode())
    system.prctl(DIES_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before
        os._exit(1)


def request_of(line: socket.socket) -> tuple[bytes, list[int]]:
    """What a connection asks for, and the streams with it; b"" when who asked is gone, or silent."""
    line.settimeout(PATIENCE)
    request, size, streams = b"", -1, []
    with contextlib.suppress(OSError):
        head, streams, *_ = socket.recv_fds(line, SIZE, 2)
        size = int.from_bytes(head)
        while part := line.recv(size - len(request)):
            request += part
    line.settimeout(None)
    if len(streams) == 2 and len(request) == size:
        return request, streams
    for stream in streams:
        os.close(stream)
    return b"", []


def forked(line: socket.socket, others: list[socket.socket], bind: Callable[[str], None]) -> int:
    """Fork the process that a connection asks for; returns its number, or 0 when who asked is gone.

    `bind`: what the new process calls first, with the name of the module that it is for.
    """
    request, streams = request_of(line)
    if not request:
        line.close()
        return 0
    if pid := os.fork():
        with contextlib.suppress(OSError):  # seen again as a closed connection
            line.sendall(f"{pid:{PID}d}".encode())
        for stream in streams:
            os.close(stream)
        return pid
    told = json.loads(request)
    bind(told["argv"][2].rpartition(".")[-1])
    for other in (line, *others):
        other.close()
    become(told, streams)


def become(request: dict, streams: list[int]) -> NoReturn:
    """Turn this fork into the process that was asked for, with its streams, surroundings and command line."""
    status = 1
    try:
        os.setsid()
        for stream, number in zip((os.open(os.devnull, os.O_RDONLY), *streams), range(3), strict=True):
            os.dup2(stream, number)
        # those of the process that forked were made for other files, and would seek in them
        sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
        sys.stderr = os.fdopen(2, "w", buffering=1)  # line by line, as everywhere
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"], JPY_PARENT_PID=str(os.getppid()))
        _, _, module, *arguments = request["argv"]  # python -m MODULE …
        sys.argv, sys.path[0] = [module, *arguments], ""
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as stopped:
        status = stopped.code if isinstance(stopped.code, int) else int(bool(stopped.code))
    except Exception:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
