"""Rows of real data sets: a folder of the user's, a mirror with its stand-ins, or the hub at the declared
commit.
"""

from ..design.scales import PIVOT, Scale
from ..design.tasks import TRANSLATED, Task, located
from ..machine.errors import Bad
from ..machine.places import mirror_dir
from . import mining_pools, originals, sources
from .local import Part, from_local
from .mirror import from_mirror

HELD_OUT = 50  # every 50th page of a text corpus that has no validation split is kept out of training


def parts(task: Task, split: str, lang: str, scale: Scale, n: int = 0, data_lang: str = PIVOT) -> list[Part]:
    """Rows of a folder of the user's, of the mirror with its stand-ins, or of the hub at the declared
    commit."""
    if data_lang == "mt" and split == "train":
        return translations(task, scale)
    names = (task.train if split == "train" else task.validation).split(",")
    if task.original and (found := originals.ORIGINALS[task.original](lang, split)):
        return found
    wanted = [(*task.config(lang), name, task.revision) for name in names]
    wanted += [located(spec) for spec in task.joined if split == "train"]
    found = [part for where in wanted for part in sources.fetch(*where, obtain=task.obtain)]
    incomplete = len(found) < len(wanted) or any(not p.complete for p in found)
    if mirror_dir() and (incomplete and split == "train" or not found):
        for spec in task.stand_ins:
            found += [p._replace(stand_in=True) for p in from_mirror(*located(spec.format(lang=lang))[:3])]
    if not found:
        how = task.obtain or "unset XIT_MIRROR to use the hub"
        raise Bad(f"{task.name}/{split}/{lang}: the mirror holds no {'/'.join(task.config(lang))}; {how}")
    if task.train == task.validation:  # one corpus, two splits
        held = split == "validation"
        found = [
            p._replace(rows=[r for i, r in enumerate(p.rows) if (i % HELD_OUT == 0) == held]) for p in found
        ]
    return found


def translations(task: Task, scale: Scale) -> list[Part]:
    """The training rows in machine translation: row i in the i-th language in turn, so that there are as many
    as in English.

    Of languages that are not there no rows are left out: those that are take turns, and the part's note says
    how many.

    The languages are those of MNLI's published translation, or those the user has in
    XIT_LOCAL/mt/<task>/<language>.
    """
    langs = [x for x in TRANSLATED if x in (scale.langs or TRANSLATED)]
    found = {lang: translation(task, lang) for lang in langs}
    there = [lang for lang in langs if found[lang]]
    if not there:
        raise Bad(
            f"{task.name}: no machine translation of its rows is at hand; put your own into "
            f"XIT_LOCAL/mt/{task.name}/"
            f"<language>/train.jsonl ({' '.join(langs)}), or take lang=en"
        )
    few = f"translated into {len(there)} of {len(langs)} languages" if len(there) < len(langs) else ""
    return [
        p._replace(rows=p.rows[k :: len(there)], note="; ".join(filter(None, [p.note, few])))
        for k, lang in enumerate(there)
        for p in found[lang]
    ]


def translation(task: Task, lang: str) -> list[Part]:
    """The training rows in one language: the user's own, else the published ones; [] where there are none."""
    own = from_local("mt", f"{task.name}/{lang}", "train")
    published = () if own else (located(spec.format(lang=lang)) for spec in task.translated)
    return own or [part for where in published for part in sources.fetch(*where)]


def pools(lang: str, split: str = "validation", n: int = 0) -> mining_pools.Pools:
    """BUCC's sentences to be mined: all of them, however many gold pairs are evaluated."""
    return mining_pools.bucc_pools(lang, split)
