"""The smoke study, killed again and again: is a finished run lost, a number wrong, a process left behind?

    python tools/kills.py --kills 200 --seed 1 [--keep]

Each kill is a SIGKILL at a random moment, to a random process of the study or to all of them at once. The
same command then resumes. A study that is finished begins anew in an empty ledger. `--keep` stores the kills
for the book, and nothing is kept if one of them did harm.
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from xit_core.bench import keep_measurement
from xit_core.design import studies
from xit_core.design.scales import SCALES
from xit_core.ledger import results
from xit_core.ledger.measurements import record
from xit_core.run.launch import elsewhere

SCALE = SCALES["smoke"]
MARK = "XIT_KILLS"  # in the environment of every process of the study
STUDY = [sys.executable, "-m", "xit_core.cli", "study", "--scale", SCALE.name, "--cores", "2"]
EVERY = "all at once"
# what a command line holds, and what the book calls the process; the first that fits
ROLES = {
    "xit_core.cli study": "the study",
    "xit_core.run.leash": "its leash",
    "snakemake": "Snakemake",
    "xit_core.run.asked": "who asks for a run",
    "xit_core.cli run": "a run",
    "ipykernel": "a kernel",
    "xit_core.run.warm": "what forks kernels",
}
LATEST = 30.0  # seconds after its start at which the study may be killed, at most
DEADLINE = 60.0  # seconds in which every process of a killed study has to end


@dataclass
class Kill:
    """One kill, and what came of it."""

    victim: str
    moment: float  # seconds after the study's start
    running: str  # the paths of the runs that were being made
    finished: int  # rows that the ledger had
    lost: list[str] = field(default_factory=list)
    orphans: int = 0
    ended: float = 0.0  # seconds until the last process was gone


def processes(mark: str) -> dict[int, tuple[str, str]]:
    """The processes that have the mark in their environment: role and command line by number."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{MARK}={mark}".encode() in (place / "environ").read_bytes().split(b"\0"):
                line = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                # a process that has ended and waits for its parent has no command line
                if line:
                    found[int(place.name)] = role(int(place.name), line), line
    return found


FORKED = {"cli": "a run", "ipykernel_launc": "a kernel"}  # names of at most 15 letters


def role(number: int, line: str) -> str:
    """What a process is, by its command line; a fork has that of the process that forked it, and a name."""
    name = (Path("/proc") / str(number) / "comm").read_text().strip()
    return FORKED.get(name) or next((name for part, name in ROLES.items() if part in line), "a shell")


@contextlib.contextmanager
def empty_places() -> Iterator[None]:
    """Within the block, the ledger and all working files are in a new folder."""
    with tempfile.TemporaryDirectory(prefix="xit-kills-") as folder, elsewhere(Path(folder)):
        os.environ["XIT_RUNS"] = f"{folder}/runs"
        yield


def finished_rows() -> dict[str, list]:
    """The scores of every row that the ledger has, by run."""
    return {row["id"]: row["scores"] for row in results.rows(SCALE.name)}


def disturbed(log, dice: random.Random, latest: float, mark: str) -> Kill | None:
    """Start the study and kill it within `latest` seconds. None when it ended before."""
    begin, moment = time.time(), dice.uniform(0.0, latest)
    study = subprocess.Popen(STUDY, stdout=log, stderr=log, env=os.environ | {MARK: mark})
    with contextlib.suppress(subprocess.TimeoutExpired):
        if study.wait(moment):
            raise SystemExit(f"the study failed by itself, see {log.name}")
        return None
    alive = processes(mark)
    victim = dice.choice([*sorted({name for name, _ in alive.values()}), EVERY])
    before = finished_rows()
    running = {
        line.partition(" run ")[2].partition(" --")[0]
        for name, line in alive.values()
        if name == ROLES["xit_core.run.asked"]
    }
    kill = Kill(victim, time.time() - begin, "; ".join(sorted(running)), len(before))
    for number in (n for n, (name, _) in alive.items() if victim in (name, EVERY)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    watch(kill, study, mark)
    after = finished_rows()
    kill.lost = [run for run, scores in before.items() if after.get(run) != scores]
    return kill


def watch(kill: Kill, study: subprocess.Popen, mark: str) -> None:
    """Wait until nothing of the study runs any more; it may well go on to its end without the victim."""
    begin = time.time()
    with contextlib.suppress(subprocess.TimeoutExpired):
        study.wait(10 * DEADLINE)
    ended = time.time()
    while (left := processes(mark)) and time.time() - ended < DEADLINE:
        time.sleep(0.05)
    for number in left:
        print(f"left behind: {left[number]}", flush=True)
        with contextlib.suppress(ProcessLookupError):  # it ended in between
            os.kill(number, signal.SIGKILL)
    kill.orphans, kill.ended = len(left), time.time() - begin


def rounds(kills: int, seed: int, log, truth: dict) -> list[Kill]:
    """Kill studies until `kills` have been counted.

    Raises: SystemExit for a ledger that differs from `truth`.
    """
    dice, made, number = random.Random(seed), [], 0
    while len(made) < kills:
        number += 1
        with empty_places():
            made += one_round(kills - len(made), dice, log, f"{os.getpid()}-{number}")
            if finished_rows() != truth:
                raise SystemExit(
                    f"round {number}, seed {seed}: the ledger is not that of the undisturbed study"
                )
    return made


def one_round(most: int, dice: random.Random, log, mark: str) -> list[Kill]:
    """Kill one study, up to `most` times, until it ends by itself; then let it end."""
    made = []
    while len(made) < most:
        # early moments are drawn more often: they are when little is there to resume from
        kill = disturbed(log, dice, dice.uniform(1.0, LATEST), f"{mark}-{len(made)}")
        if kill is None:
            return made
        made.append(kill)
        print(f"{len(made):4d}  {kill}", flush=True)
    subprocess.run(STUDY, stdout=log, stderr=log, check=True)
    return made


def records(kills: list[Kill]) -> list[dict]:
    """The totals, then each kill with its moment."""
    told = [record("kills", "", len(kills))]
    told += [record(f"kills: {name}", "", n) for name, n in Counter(k.victim for k in kills).most_common()]
    told.append(record("finished runs lost", "", sum(len(kill.lost) for kill in kills)))
    told.append(record("processes left behind", "", sum(kill.orphans for kill in kills)))
    return told + [
        record(f"{kill.victim} | {kill.running} | {kill.finished}", "s", kill.moment) for kill in kills
    ]


def main() -> None:
    """Make the undisturbed ledger, kill, compare, and keep."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    given.add_argument("--kills", type=int, default=200)
    given.add_argument("--seed", type=int, default=1)
    given.add_argument("--keep", action="store_true")
    given.add_argument("--log", type=Path, default=Path(tempfile.gettempdir(), "xit-kills.log"))
    options = given.parse_args()
    print(
        f"seed {options.seed}, {len(studies.runs(studies.MAIN, SCALE))} runs, log {options.log}", flush=True
    )
    with open(options.log, "a", encoding="utf-8") as log:
        with empty_places():
            begin = time.time()
            subprocess.run(STUDY, stdout=log, stderr=log, check=True)
            print(f"undisturbed: {time.time() - begin:.1f} s", flush=True)
            truth = finished_rows()
        kills = rounds(options.kills, options.seed, log, truth)
    told = records(kills)
    for line in told[: -len(kills)]:
        print(f"{line['value']:6.0f}  {line['name']}")
    harm = [kill for kill in kills if kill.lost or kill.orphans]
    if harm:
        raise SystemExit(f"{len(harm)} kills did harm: {harm}")
    if options.keep:
        print(keep_measurement("kills", SCALE.name, told))


if __name__ == "__main__":
    main()
