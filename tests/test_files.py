"""The project's own files: whole or not there, whoever else writes; a changed one is never taken for what it
was.
"""

import json
import multiprocessing
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xit_core.design.run import Run
from xit_core.design.scales import SCALES
from xit_core.ledger import predictions
from xit_core.machine import files
from xit_core.machine.errors import Bad
from xit_core.model import checkpoints, origins
from xit_core.model.features import Encoded

MANY = settings(max_examples=200, deadline=None)
ALONE = multiprocessing.get_context("fork")


# -- written at once -----------------------------------------------------------------------------------------


def at_once(*jobs) -> list[int]:
    """Run functions in processes of their own, side by side; their exit statuses."""
    running = [ALONE.Process(target=job) for job in jobs]
    for process in running:
        process.start()
    for process in running:
        process.join(120)
    return [process.exitcode for process in running]


def test_two_processes_that_write_the_predictions_of_one_run_both_succeed_and_readers_see_whole_files(places):
    run = Run("xnli")
    told = [
        [{"task": "xnli", "lang": "en", "id": str(i), "prediction": n} for i in range(500)] for n in (1, 2)
    ]
    predictions.write_predictions(run, told[0])

    def write(n: int) -> None:
        for _ in range(60):
            predictions.write_predictions(run, told[n])

    def read() -> None:
        for _ in range(60):
            assert predictions.predictions(run) in told

    assert at_once(*(lambda n=n: write(n) for n in (0, 1)), read, read) == [0] * 4
    assert [p.name for p in predictions.predictions_place(run).parent.iterdir()] == [
        predictions.predictions_place(run).name
    ]


def test_two_processes_that_write_the_checkpoint_of_one_run_both_succeed_and_readers_see_whole_files(places):
    nets = [origins.start(SCALES["smoke"], seed=seed) for seed in (1, 2)]
    folder = places / "checkpoint"
    checkpoints.write_model(nets[0], folder)

    def write(n: int) -> None:
        for _ in range(20):
            checkpoints.write_model(nets[n], folder)

    def read() -> None:
        for _ in range(20):
            found = checkpoints.read_model(folder, nets[0].tokenizer, SCALES["smoke"])
            assert any(same(found, net) for net in nets)

    assert at_once(*(lambda n=n: write(n) for n in (0, 1)), read, read) == [0] * 4
    assert not [p for p in folder.iterdir() if p.name.startswith(".")]


def same(one, other) -> bool:
    return all(torch.equal(x, other.encoder.state_dict()[k]) for k, x in one.encoder.state_dict().items())


def test_a_failure_leaves_neither_a_file_nor_a_part_of_one_and_does_not_touch_what_was_there(tmp_path):
    def half(part: Path) -> None:
        part.write_text("half")
        raise OSError(28, "No space left on device")

    files.write_text(tmp_path / "x", "whole")
    for name in ("x", "y"):
        with pytest.raises(Bad, match=r"cannot write .* \(No space left on device\); free some space"):
            files.write_whole(tmp_path / name, half)
    assert [p.name for p in tmp_path.iterdir()] == ["x"] and (tmp_path / "x").read_text() == "whole"


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_file_gets_the_permissions_that_a_plain_open_would_give_it(tmp_path, mask):
    before = os.umask(mask)
    try:
        net = origins.start(SCALES["smoke"])
        checkpoints.write_model(net, tmp_path / "deep/folder")
        modes = {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "deep/folder").iterdir()}
    finally:
        os.umask(before)
    assert modes == {0o666 & ~mask}


# -- read ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"[]", "needed: an object of fields"),
        (b'{"a": 1', "no JSON"),
        (b'{"a": 1}\xff', "no UTF-8"),
        (b'{\n<<<<<<< HEAD\n"a": 1\n=======\n"a": 2\n>>>>>>> x\n}', "conflict markers"),
        (b'{"b": 1}', "field 'a' is missing"),
        (b'{"a": "1"}', "field 'a' is '1', needed: a number"),
        (b'{"a": true}', "needed: a number"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": 1e999}', "needed: a number"),
        (b'{"a": 1, "b": "\\ud800"}', "surrogates not allowed"),
        (b'{"a": 1, "sha256": "x"}', "not that of its sha256"),
        (b"[" * 100_000, "recursion"),
    ],
    ids=lambda x: ascii(x)[:30],
)
def test_a_damaged_object_is_one_line_that_names_file_reason_and_advice(tmp_path, content, said):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(Bad, match=said) as error:
        files.load(tmp_path / "x.json", {"a": float}, "do this")
    assert str(error.value).startswith(f"{tmp_path}/x.json: damaged (") and str(error.value).endswith(
        "); do this"
    )
    assert "\n" not in str(error.value)


def test_a_folder_and_a_missing_file_are_no_object(tmp_path):
    (tmp_path / "x.json").mkdir()
    for name in ("x.json", "y.json"):
        with pytest.raises(Bad, match="cannot be read"):
            files.load(tmp_path / name, {}, "do this")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=5), x, max_size=3),
    max_leaves=8,
)


@MANY
@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
def test_what_is_sealed_is_read_back_as_it_was(content):
    content.pop("sha256", None)
    with tempfile.TemporaryDirectory() as folder:
        finite = json.loads(json.dumps(content).replace("Infinity", "1.5"))
        file = files.write_text(Path(folder, "x"), json.dumps(files.sealed(finite)))
        assert files.load(file, {}, "") == files.sealed(finite)


# -- caches --------------------------------------------------------------------------------------------------

NUMBERS = st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=6)
FEATURE = {"ids": NUMBERS | st.lists(NUMBERS, min_size=2, max_size=3), "gold": NUMBERS}
FEATURES = st.lists(st.fixed_dictionaries(FEATURE), max_size=5)


def damaged(content: bytes, draw: st.DataObject) -> bytes:
    """The same, cut, with bytes changed, or something else."""
    how = draw.draw(st.sampled_from(["cut", "flip", "more", "other"]))
    if how == "cut":
        return content[: draw.draw(st.integers(0, len(content) - 1))]
    if how == "flip":
        at = draw.draw(st.integers(0, len(content) - 1))
        return content[:at] + bytes([content[at] ^ draw.draw(st.integers(1, 255))]) + content[at + 1 :]
    return (
        content + draw.draw(st.binary(min_size=1, max_size=9))
        if how == "more"
        else draw.draw(st.binary(max_size=200))
    )


def alike(one: Encoded, other: Encoded) -> bool:
    return all(np.array_equal(getattr(one, k), getattr(other, k)) for k in Encoded.__dataclass_fields__)


@MANY
@given(FEATURES, st.lists(st.integers(0, 9), max_size=3), st.data())
def test_a_damaged_cache_is_no_cache_and_never_other_features(features, lost, draw):
    with tempfile.TemporaryDirectory() as folder:
        whole, file = Encoded.of(features, lost), Path(folder, "x.npy")
        whole.write(file)
        assert alike(Encoded.read(file), whole)
        file.write_bytes(damaged(file.read_bytes(), draw))
        with suppress(OSError, ValueError):
            # what stands behind the array, or how its header is spelt
            assert alike(Encoded.read(file), whole)


def test_gold_that_is_no_whole_number_is_refused():
    with pytest.raises(TypeError, match="float"):
        Encoded.of([{"ids": [1, 2], "gold": [3.8]}])


def test_a_cache_is_mapped_not_read(tmp_path):
    Encoded.of([{"ids": [1, 2], "gold": [3]}]).write(tmp_path / "x.npy")
    found = Encoded.read(tmp_path / "x.npy")
    assert all(isinstance(getattr(found, k), np.memmap) for k in ("widths", "ids", "gold"))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", b"{}"], ids=ascii)
def test_a_file_of_another_kind_is_no_cache(tmp_path, content):
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(ValueError, match="no array"):
        Encoded.read(tmp_path / "x.npy")
    np.save(tmp_path / "x.npy", np.arange(40, dtype=np.int32))
    with pytest.raises(ValueError, match="not as it was written"):
        Encoded.read(tmp_path / "x.npy")
