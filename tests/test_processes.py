"""Two processes that share a run: the numbers of one, each row read once, one of them writes, none hangs."""

import contextlib
import multiprocessing
import os
import re
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate import PartialState

import synthetic
from xit_core import cli, phases
from xit_core.design.run import Run
from xit_core.design.scales import SCALES
from xit_core.design.tasks import TASKS
from xit_core.ledger import predictions, results
from xit_core.machine import environment
from xit_core.machine.errors import Bad
from xit_core.machine.locks import locked
from xit_core.model import checkpoints, device, origins, train
from xit_core.model.features import sequences
from xit_core.model.mixture import BUDGET, Mixture
from xit_core.phases import training_set
from xit_core.report import cost
from xit_core.run import direct, gpus
from xit_core.score import embed, evaluate

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="compares processes of the CPU")

NAMES, SMOKE = ("mnli", "hellaswag", "squad1", "udpos", "mlm"), SCALES["smoke"]
STEPS, SAVE, DIES = 12, 4, 6
PATIENCE = 300  # seconds; only a hang takes as long


@contextlib.contextmanager
def no_hang():
    """End what hangs: the alarm is raised in this process, which then ends those that it started."""

    def ring(*_):
        raise TimeoutError(f"still waiting after {PATIENCE} seconds")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def share(work, *given, n=2, log=Path("log")):
    term = signal.getsignal(signal.SIGTERM)
    try:
        with no_hang():
            direct.share(work, n, log, "avx2", *given)
    finally:
        signal.signal(signal.SIGTERM, term)


# -- what each process does ----------------------------------------------------------------------------------


class Killed(Exception):
    pass


def setting(names=NAMES, dropout=0.0, batch=4):
    """A net without dropout (or with so much), and the steps that train it. Tags are cut into micro-steps."""
    net = origins.start(SMOKE, seed=5)
    features, _ = training_set(net, tuple(TASKS[n] for n in names), SMOKE, 16, seed=5)
    for layer in net.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = dropout
    return net, Mixture(features, batch, STEPS, seed=5)


def training(folder, names=NAMES, dropout=0.0, dies=False):
    """Train; returns the losses, unrounded, and the weights. `dies`: after the step DIES, as if killed."""
    (net, batches), curve, losses = setting(names, dropout), train.curve, []

    def die(now):
        raise Killed

    train.curve = lambda told, *given: losses.extend(told) or curve(told, *given)
    try:
        probe = (STEPS // DIES, die) if dies else None
        train.fit(net, batches, 1e-3, 5, folder, SAVE, probe=probe)
    except Killed:
        return None
    finally:
        train.curve = curve
    return torch.stack(losses).double(), torch.cat([p.detach().flatten() for p in net.parameters()])


def scored(net):
    """What evaluation makes of a net: logits, vectors, and the losses of hidden pieces."""
    _, batches = setting(("mnli", "udpos"))
    rows = batches.features["mnli"]
    net.add_head(TASKS["mlm"], ())
    texts = [f"{i} {word}" for i in range(40) for word in ("one", "two and three", "four " * (i % 9))]
    return {
        "logits": evaluate.predict(net, "mnli", rows) + evaluate.predict(net, "udpos", rows),
        "vectors": [embed.embed(net, texts, SMOKE, first=1)],
        "masked": [torch.tensor([score.value for score in evaluate.masked(net, SMOKE)]).double()],
    }


def small_passes():
    """Passes of few tokens, so that every process has some, and micro-steps of a training."""
    from xit_core.model import encoder

    encoder.READ = {"cpu": 2000}
    BUDGET["cpu"] = 60


def everything(folder: Path, own: str):
    """All that is compared, in one start of the processes, each of which keeps what it found."""
    small_passes()
    rank, seen, backward = PartialState().process_index, [], train.backward

    def watched(net, name, features, *given):
        seen.append([[x for ids in sequences(f) for x in map(int, ids)] for f in features])
        return backward(net, name, features, *given)

    train.backward, saved, state = watched, [], train.learned_state
    train.learned_state = lambda net: saved.append(1) or state(net)
    found = {"whole": training(folder / own / "whole"), "seen": seen, "saved": len(saved)}
    train.backward, train.learned_state = backward, state
    found["after another number"] = training(folder / "from-other" / own)
    found["dropout"] = training(folder / own / "dropout", dropout=0.2)
    training(folder / own / "dropout-cut", dropout=0.2, dies=True)
    found["dropout, resumed"] = training(folder / own / "dropout-cut", dropout=0.2)
    training(folder / "for-other" / own, dies=True)
    found |= scored(setting(("mnli", "udpos"))[0].eval())
    torch.save(found, folder / f"{own}-{rank}.pt")


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What one process found, and what each of two did; each number resumes what the other left."""
    folder = tmp_path_factory.mktemp("both")
    before = os.environ.copy(), dict(BUDGET)
    os.environ |= {f"XIT_{name}": str(folder / name.lower()) for name in ("RESULTS", "RUNS", "EXECUTED")}
    try:
        from xit_core.model import encoder

        read = encoder.READ
        small_passes()
        training(folder / "from-other/two", dies=True)
        share(everything, folder, "two", log=folder / "log")
        (folder / "for-other/two").rename(folder / "from-other/one")
        everything(folder, "one")
    finally:
        os.environ.clear()
        os.environ |= before[0]
        BUDGET.update(before[1])
        encoder.READ = read
    return [torch.load(folder / f"{name}.pt") for name in ("one-0", "two-0", "two-1")]


def off(one, other) -> float:
    """The largest difference between two lists of numbers."""
    return (one.double() - other.double()).abs().max().item()


def apart(one, other) -> float:
    """The norm of a difference, relative. AdamW makes large steps of what rounding makes of no gradient."""
    return ((one - other).norm() / other.norm()).item()


def test_two_processes_take_the_steps_of_one(both):
    one, *two = both
    for losses, weights in (each["whole"] for each in two):
        assert len(losses) == STEPS and off(losses, one["whole"][0]) < 1e-5
        assert apart(weights, one["whole"][1]) < 1e-4
    assert torch.equal(two[0]["whole"][1], two[1]["whole"][1])


def test_every_feature_of_a_step_is_read_by_exactly_one_process(both):
    one, *two = (each["seen"] for each in both)
    assert len(one) == len(two[0]) == len(two[1]) == STEPS
    for whole, *parts in zip(one, *two, strict=True):
        assert all(parts) and sorted(parts[0] + parts[1]) == sorted(whole)


def test_one_process_saves_the_state_of_a_training(both):
    assert [each["saved"] for each in both] == [2, 2, 0]


def test_what_another_number_of_processes_left_is_resumed(both):
    one = both[0]["whole"]
    for losses, weights in (each["after another number"] for each in both):
        assert off(losses, one[0]) < 1e-5 and apart(weights, one[1]) < 1e-4


def test_dropout_is_drawn_for_each_process_and_resumed_to_the_bit(both):
    for each in both:
        assert all(map(torch.equal, each["dropout"], each["dropout, resumed"]))
        assert off(each["dropout"][0], each["whole"][0]) > 1e-3
    assert torch.equal(both[1]["dropout"][1], both[2]["dropout"][1])


@pytest.mark.parametrize("what", ["logits", "vectors", "masked"])
def test_an_evaluation_that_is_shared_gives_what_one_process_gives(both, what):
    one, *two = (each[what] for each in both)
    for other in two:
        assert len(one) == len(other) and max(map(off, one, other)) < 1e-6


def test_the_processes_draw_apart():
    drawn = []
    for n, index in ((1, 0), (2, 0), (2, 1), (2, 0)):
        torch.manual_seed(0)
        train.draw_apart((5, 3), SimpleNamespace(num_processes=n, process_index=index))
        drawn.append(torch.rand(4).tolist())
    torch.manual_seed(0)
    assert drawn[0] == torch.rand(4).tolist() and drawn[1] == drawn[3]
    assert drawn[1] != drawn[0] and drawn[1] != drawn[2]


# -- the command ---------------------------------------------------------------------------------------------

PATH, TOGETHER = "mnli > xnli, tatoeba", ["--scale", "smoke", "--processes", "2"]


def rows_watched(named):
    """As `direct.all_rows`, with a list of what each process writes."""
    rank = PartialState().process_index
    for module, name in ((results, "write"), (predictions, "table_writer"), (checkpoints, "save")):
        write = getattr(module, name)

        def watched(*given, write=write, name=name):
            with open(Path(os.environ["XIT_RUNS"]) / f"written-{rank}", "a", encoding="utf-8") as file:
                file.write(f"{name}\n")
            return write(*given)

        setattr(module, name, watched)
    direct.all_rows(named)


def fails(how):
    """Process 1 fails in one of several ways, while process 0 waits for it."""
    torch.distributed.all_reduce(torch.ones(1))
    if PartialState().process_index == 1:
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise {"bad": Bad, "full": OSError, "broken": ValueError}[how]("no\nluck")
    torch.distributed.all_reduce(torch.ones(1))


def fails_bad(named):
    fails("bad")


def fails_full(named):
    fails("full")


def fails_broken(named):
    fails("broken")


def fails_killed(named):
    fails("killed")


@pytest.fixture
def command(notebook, monkeypatch):
    """command(work, ...) is `xit run` whose processes do this work."""
    notebook("print('made from the rows')")
    term = signal.getsignal(signal.SIGTERM)

    def do(work, *words):
        monkeypatch.setattr(direct, "all_rows", work)
        with no_hang():
            return cli.main(["run", *words])

    yield do
    signal.signal(signal.SIGTERM, term)


def test_a_run_that_two_processes_share_has_the_rows_of_one_and_one_of_them_writes(
    command, places, monkeypatch
):
    assert command(rows_watched, PATH, *TOGETHER) == 0
    runs = [Run("mnli"), Run("mnli > xnli"), Run("mnli > tatoeba")]
    two = [results.checked(results.row_file(run)) for run in runs]
    assert [predictions.predictions(run) != [] for run in runs] == [True, True, True]
    written = (places / "runs/written-0").read_text().split()
    assert sorted(written) == sorted(["write", "table_writer"] * 3 + ["save"])
    assert not (places / "runs/written-1").exists()
    monkeypatch.setenv("XIT_RESULTS", str(places / "one"))
    monkeypatch.setenv("XIT_RUNS", str(places / "one/runs"))
    assert all(phases.targets(PATH, scale="smoke"))
    for row, run in zip(two, runs, strict=True):
        one = results.read(run)
        assert one["scores"] == row["scores"] and one["items"] == row["items"]
        for point, other in zip(one["curve"], row["curve"], strict=True):
            assert point == pytest.approx(other, abs=1e-5)
        assert row["provenance"]["environment"] == one["provenance"]["environment"] | {"processes": 2}
    assert "2 processes" in environment.environments_differ([one, row])


@pytest.mark.parametrize(
    ("work", "status", "line"),
    [
        (fails_bad, 2, "xit: no luck"),
        (fails_full, 2, "xit: OSError: no luck"),
        (fails_broken, 1, r"xit failed: ValueError: no luck; see \S*/logs/smoke/\S*\.log"),
        (fails_killed, 1, r"xit failed: process 1 was killed \(SIGKILL\): out of memory\? run .* resume"),
    ],
    ids=["a user's mistake", "a full disk", "a mistake of ours", "killed"],
)
def test_a_process_that_fails_ends_all_with_one_line(command, capfd, work, status, line):
    assert command(work, "xnli", *TOGETHER) == status
    said = capfd.readouterr().err.strip()
    assert re.fullmatch(line, said), said
    assert not multiprocessing.active_children() and not results.finished(Run("xnli"))


def test_what_cannot_be_shared_is_one_line(command, capsys):
    assert command(fails_bad, "xnli", *TOGETHER, "--again") == 2
    assert command(fails_bad, "xnli", "--processes", "0") == 2
    assert capsys.readouterr().err.count("\n") == 2


# -- GPUs ----------------------------------------------------------------------------------------------------


@pytest.fixture
def two_gpus(places, monkeypatch):
    """Two GPUs that nobody has."""
    for i in range(2):
        (places / f"gpus/{i}").mkdir(parents=True)
    monkeypatch.setattr(gpus.tempfile, "tempdir", str(places))
    monkeypatch.setattr(gpus, "GPUS", places / "gpus")
    monkeypatch.setattr(gpus, "LEASED", [])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    yield
    for lock in gpus.LEASED:
        lock.close()


def test_the_processes_of_a_run_share_what_was_leased_for_all(two_gpus):
    gpus.lease(2)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1" and len(gpus.LEASED) == 2
    gpus.lease()  # as the notebook does afterwards
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1" and len(gpus.LEASED) == 2


def test_who_waits_for_two_gpus_holds_none_meanwhile(two_gpus, places, monkeypatch):
    place = places / f"xit-gpu-{os.getuid()}-1.lock"
    other = locked(place)

    def look(_):
        free = locked(places / f"xit-gpu-{os.getuid()}-0.lock")
        assert free and not gpus.LEASED
        free.close()
        other.close()

    monkeypatch.setattr(gpus.time, "sleep", look)
    gpus.lease(2)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"


@pytest.mark.parametrize(("assigned", "allowed"), [(None, 2), ("5", 1), ("0,1", 2)])
def test_more_processes_than_gpus_are_refused(two_gpus, monkeypatch, assigned, allowed):
    if assigned:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", assigned)
    with pytest.raises(Bad, match=f"--processes 3: allowed here: 1 to {allowed}, one for each GPU"):
        gpus.lease(3)


def test_a_process_of_another_launcher_is_refused(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(Bad, match="LOCAL_RANK is set: .*xit run PATH --processes N"):
        gpus.lease()


# -- the record ----------------------------------------------------------------------------------------------


def test_a_row_of_one_process_does_not_say_so():
    assert "processes" not in device.recorded() and device.in_turns([1, None]) == [1, None]
    assert device.agreed("x") == "x"


def test_the_seconds_of_a_shared_run_count_for_each_of_its_processes():
    row = synthetic.row(Run("mnli"))
    row["provenance"]["environment"] = {"processes": 4}
    results.write(row)
    spent = [pace.spent for pace in cost.measured([Run("mnli")], {row["id"]: 1.0})]
    assert [each for each in spent if each] == [{(2, "mnli"): [(4 * row["provenance"]["seconds"], 1.0)]}]
