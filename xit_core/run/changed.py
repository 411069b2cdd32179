"""Finished runs whose code has changed since, and making them anew.

A run's id says what was declared: recipe, data, encoder. It does not say which code did it; its row names the
commit, and a commit's modules are compared with those of today.
"""

import shutil
from collections.abc import Iterable
from contextlib import suppress

from .. import micro
from ..design.run import Run
from ..design.tasks import PARALLEL, TASKS
from ..ledger import predictions, results, volumes
from ..machine.errors import Bad
from ..machine.provenance import digests, digests_of

ROOMS = ("data", "metrics", "model", "phases", "score")  # their code decides scores
READERS = "design.readers"  # and how a task's rows become examples
# but no run loads these
APART = ("data.inventory", "data.parcel", "metrics.submission", "model.own")
WORLD = micro.__name__.rpartition(".")[-1]  # and this where the data are generated


def bears_on(name: str, run: Run) -> bool:
    """Whether the code of a module decides the scores of a run, those of its parents included."""
    if name in APART:
        return False
    folder, _, last = name.rpartition(".")
    if folder == "model.kinds":
        return last in {"__init__", "kind", *kinds(run)}
    if folder == "model.methods":
        return last in {"__init__", *(stage.method.name for stage in run.stages)}
    room = name.split(".")[0]
    return room in ROOMS or name == READERS or room == WORLD and run.scale.world.made


def kinds(run: Run) -> set[str]:
    """The kinds of the tasks that a run and its parents train on or are scored on."""
    tasks = [task for stage in run.stages for task in stage.tasks]
    trained = [TASKS[task.train_on] for task in tasks if task.train_on]
    return {task.kind for task in [*tasks, *trained, PARALLEL]}


def modules_changed(runs: Iterable[Run]) -> dict[Run, set[str]]:
    """The runs with working rows that other code has made, or whose parents it has, with what differs.

    Published rows are not looked at, for they are never replaced: who repeats a study compares the two. Of a
    row whose tree was not clean, or whose commit git does not have here, nothing is known.
    """
    provenances = {run: row["provenance"] for run in runs if (row := working_row(run))}
    now, found = digests() if provenances else {}, {}
    for run, made in provenances.items():
        then = digests_of(made["commit"]) if made.get("clean") else None
        other = {
            name for name in now.keys() | (then or now).keys() if then and now.get(name) != then.get(name)
        }
        of_parents = set().union(*(found.get(parent, ()) for parent in run.parents))
        if differing := {name for name in other if bears_on(name, run)} | of_parents:
            found[run] = differing
    return found


def working_row(run: Run) -> dict | None:
    """The working row of a run that is not published; None without one, or for a damaged one, which counts as
    missing.
    """
    with suppress(Bad):
        working = results.row_file(run).is_file() and not volumes.holding(run.scale.name, run.id)
        return results.read(run) if working else None
    return None


def told(changed: dict[Run, set[str]]) -> list[str]:
    """One line about runs that other code has made; [] when there are none."""
    names = sorted(set().union(*changed.values()))
    shown = ", ".join(names[:4]) + f" and {len(names) - 4} more" * (len(names) > 4)
    line = f"{len(changed)} finished runs were made by other code ({shown}) and stay; --renew makes them anew"
    return [line] * bool(changed)


def forget(changed: Iterable[Run]) -> None:
    """Delete the working rows of runs, each after its checkpoint and its predictions."""
    for run in changed:
        if run.folder.exists():
            shutil.rmtree(run.folder)
        for file in [*predictions.predictions_files(run), results.row_file(run)]:
            file.unlink()
