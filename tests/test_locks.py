"""A lock, where the file system has locks and where it has none."""

import errno
import os
import subprocess
import sys

import pytest

from xit_core.design.scales import SCALES
from xit_core.machine import locks
from xit_core.machine.errors import Bad
from xit_core.run import launch, workflow


@pytest.fixture
def lockless(monkeypatch):
    """lockless(number): every flock fails with this error, as it does on some network file systems."""

    def make(number: int) -> None:
        def fail(*_):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(locks.fcntl, "flock", fail)

    return make


def test_a_lock_is_held_by_one_until_it_is_closed(tmp_path):
    first = locks.locked(tmp_path / "a.lock")
    assert first and locks.locked(tmp_path / "a.lock") is None
    first.close()
    assert locks.locked(tmp_path / "a.lock")


def test_a_lock_ends_with_the_process_that_held_it(tmp_path):
    code = (
        "from xit_core.machine.locks import locked; from pathlib import Path; x = "
        f"locked(Path({str(tmp_path)!r}, 'a')); assert x"
    )
    subprocess.run([sys.executable, "-c", code + "; import os; os._exit(9)"], check=False)
    assert locks.locked(tmp_path / "a")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.EIO])
def test_a_file_system_without_locks_is_told_apart_from_a_study_that_runs(lockless, places, number):
    (places / "runs").mkdir()
    lockless(number)
    with pytest.raises(locks.Unlockable, match="has no locks"):
        locks.locked(places / "runs/x.lock")
    with (
        workflow.study_lock(SCALES["smoke"]),
        pytest.raises(Bad, match=rf"held by process {os.getpid()} on .*delete this file"),
    ):
        workflow.study_lock(SCALES["smoke"])
    workflow.study_lock(SCALES["smoke"]).close()  # it was given back


def test_the_advice_on_a_lock_that_was_left_behind_works(lockless, places):
    (places / "runs").mkdir()
    lockless(errno.ENOLCK)
    workflow.study_lock(SCALES["smoke"])  # its process died: nobody closed it
    with pytest.raises(Bad) as error:
        workflow.study_lock(SCALES["smoke"])
    os.unlink(str(error.value).split(" is held by ")[0])
    workflow.study_lock(SCALES["smoke"]).close()


def test_a_gpu_is_never_waited_for_where_there_are_no_locks(lockless, places, monkeypatch):
    (places / "gpus/0").mkdir(parents=True)
    monkeypatch.setattr(launch, "GPUS", places / "gpus")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    lockless(errno.ENOLCK)
    with pytest.raises(Bad, match="has no locks"):
        launch.lease()


def test_a_lock_that_cannot_be_made_is_named(tmp_path):
    with pytest.raises(Bad, match="cannot write .*nowhere"):
        locks.locked(tmp_path / "nowhere/a.lock")
