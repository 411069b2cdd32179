"""Rows of the micro-world, generated on request."""

from .. import micro
from ..design.scales import PIVOT, Scale
from ..design.tasks import Task
from ..design.worlds import MICRO
from .local import Part

ALL = 1000  # rows of a split when a scale asks for all of them


def parts(task: Task, split: str, lang: str, scale: Scale, n: int = 0, data_lang: str = PIVOT) -> list[Part]:
    """Rows of one split; machine-translated training rows take the other languages in turn."""
    n = n or ALL
    if data_lang != PIVOT and split == "train":
        langs = MICRO.languages[1:]
        shares = [len(range(i, n, len(langs))) for i in range(len(langs))]
        rows = [
            row
            for share, other in zip(shares, langs, strict=True)
            for row in micro.rows(task.name, split, other, share)
        ]
    else:
        rows = micro.rows(task.name, split, lang, n)
    return [Part(rows, f"micro/{task.name}", MICRO.version)]


def pools(lang: str, split: str = "validation", n: int = 0) -> tuple[list[dict], list[dict], None, None]:
    """Sentences to be mined on both sides, as many as `n` gold pairs need.

    The gold pairs are the rows of the task itself, so the last two values are None.
    """
    n = round((n or ALL) / micro.BUCC_GOLD)
    return *(micro.rows("bucc_pool", side, lang, n) for side in ("source", "target")), None, None
