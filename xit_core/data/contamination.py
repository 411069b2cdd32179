"""How many evaluation rows of a run have text that the training rows of its path have too."""

from functools import lru_cache
from pathlib import Path

from ..design.run import Run
from ..design.scales import PIVOT, Scale
from ..design.tasks import TASKS, Task, languages
from ..machine.errors import Absent
from ..machine.places import local_dir, mirror_dir
from . import overlap, reading, worlds


def of_run(run: Run) -> list[dict]:
    """The evaluation rows of a run's target that share a segment with training rows, by training task and
    language.

    Each entry has "task", "lang", "rows" (the number of evaluation rows) and "shared" (how many of them);
    there is none where no row is shared. Where the training rows of a stage are not on this machine, which
    may have only its checkpoint, the entry has no "shared".
    Raises: Bad when the rows cannot be read.
    """
    entries, trained = [], trained_segments(run)
    for lang in languages(run.target, run.scale) if trained else ():
        rows = evaluated_rows(run.target, lang, run.scale)
        for name, segments in trained.items():
            entry = {"task": name, "lang": lang, "rows": len(rows)}
            if segments is None:
                entries.append(entry)
            elif n := overlap.shared(rows, segments):
                entries.append(entry | {"shared": n})
    return entries


def trained_segments(run: Run) -> dict[str, frozenset[int] | None]:
    """The segments of the training rows of a run's path as hashes, by task; None where they are not at hand.

    The text for masked LM is left out: it is no rows of a task.
    """
    s, found = run.scale, {}
    sets = [(task, run.size or s.stage_rows, run.lang) for stage in run.stages[:-1] for task in stage.tasks]
    sets += [(TASKS[run.target.train_on], s.rows, PIVOT)] if run.target.train_on else []
    for task, rows, lang in (given for given in sets if given[0].role != "text"):
        try:
            segments = segments_of(task, s, rows, lang, mirror_dir(), local_dir())
        except Absent:
            segments = None
        known = found.get(task.name, frozenset())
        found[task.name] = None if None in (known, segments) else known | segments
    return found


@lru_cache(maxsize=16)  # the targets of a source share them, and with the nine jointly they are that many
def segments_of(
    task: Task, scale: Scale, rows: int, lang: str, _mirror: Path | None, _local: Path | None
) -> frozenset[int]:
    """The segments of a task's training rows as hashes, read once per process.

    The folders only say which rows are meant.
    """
    return overlap.hashed(reading.training_examples(task, scale, rows, lang)[0])


def evaluated_rows(task: Task, lang: str, scale: Scale) -> list[dict]:
    """The rows that a target is evaluated on in a language; of pools that are mined, every sentence."""
    if task.pools:
        source, target, *_ = worlds.of(scale).pools(lang, "validation", scale.eval_rows)
        return [{"a": row["sentence"]} for row in (*source, *target)]
    return reading.examples(task, "validation", lang, scale, scale.scored(task.name))[0]
