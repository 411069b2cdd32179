"""Rows of real data sets: the user's folder, a mirror with stand-ins, or the hub at the declared commit."""

from ..design.scales import PIVOT, Scale
from ..design.tasks import Task, located, translation_languages
from ..machine.errors import Absent, Bad
from ..machine.places import mirror_dir
from . import adversarial, checklist, mining_pools, originals, pictures, sources
from .local import Part, from_local
from .mirror import from_mirror


def parts(task: Task, split: str, lang: str, scale: Scale, n: int = 0, data_lang: str = PIVOT) -> list[Part]:
    """Rows of one split: the user's, the mirror's with its stand-ins, or the hub's at the declared commit.

    Raises: Absent when they are nowhere to be had, Bad when they are damaged.
    """
    if data_lang == "mt" and split == "train":
        return translations(task, scale)
    if task.original and (collected := originals.ORIGINALS[task.original](lang, split)):
        return collected
    if not (collected := fetched(task, split, lang)):
        advice = task.obtain or "unset XIT_MIRROR to use the hub"
        place = "/".join(task.config(lang))
        raise Absent(f"{task.name}/{split}/{lang}: the mirror holds no {place}; {advice}")
    if task.train == task.validation:
        collected = [half(task, split, part) for part in collected]
    return [part._replace(rows=completed(task, part, lang, n)) for part in collected]


def fetched(task: Task, split: str, lang: str) -> list[Part]:
    """The parts of a split as they are stored, with a mirror's stand-ins for what it lacks."""
    names = (task.train if split == "train" else task.validation).split(",")
    locations = [(*task.config(lang), name, task.revision) for name in names]
    locations += [located(spec) for spec in task.joined if split == "train"]
    found = [part for location in locations for part in sources.fetch(*location, obtain=task.obtain)]
    incomplete = len(found) < len(locations) or any(not part.complete for part in found)
    if mirror_dir() and (incomplete and split == "train" or not found):
        places = [located(spec.format(lang=lang))[:3] for spec in task.stand_ins]
        found += [part._replace(stand_in=True) for place in places for part in from_mirror(*place)]
    return found


def half(task: Task, split: str, part: Part) -> Part:
    """The rows of one split of a corpus that has both: every `held_out`-th is for validation."""
    held_out = split == "validation"
    rows = [row for i, row in enumerate(part.rows) if (i % task.held_out == 0) == held_out]
    return part._replace(rows=rows)


# (rows as stored, language, maximum number of rows; 0 = all) -> rows
COMPLETED = {
    "checklist": checklist.checks,
    "pictures": pictures.captions,
    "overlap": adversarial.by_overlap,
    "hypothesis": adversarial.by_hypothesis,
    "replacement": adversarial.by_replacement,
}


def completed(task: Task, part: Part, lang: str, n: int) -> list[dict]:
    """The rows of a part; for a task whose rows are made from what is stored, these.

    Raises: Bad where what is stored is incomplete.
    """
    if not task.expand:
        return part.rows
    try:
        return COMPLETED[task.expand](part.rows, lang, n)
    except Bad:
        raise
    except (KeyError, ValueError, IndexError, TypeError, AttributeError) as error:
        raise Bad(
            f"{part.source}: its rows are not whole ({type(error).__name__}: {error}); copy the file again"
        ) from None


def translations(task: Task, scale: Scale) -> list[Part]:
    """The training rows in machine translation, row i in the i-th language in turn.

    There are as many rows as in English. If some languages are missing, no rows are left out: the languages
    that are available take turns, and the part's note says how many they are.
    The languages are those of its published translations, or those that the user has in
    XIT_LOCAL/mt/<task>/<language>.

    Raises: Absent when no language is available, Bad where one has fewer rows than another.
    """
    known = translation_languages(task)
    langs = [code for code in known if code in (scale.langs or known)]
    by_language = {lang: translation(task, lang) for lang in langs}
    available = [lang for lang in langs if by_language[lang]]
    lengths = {lang: sum(len(part.rows) for part in by_language[lang]) for lang in available}
    if len(set(lengths.values())) > 1:
        least, most = min(lengths, key=lengths.get), max(lengths, key=lengths.get)
        told = f"{lengths[least]} rows in {least!r} and {lengths[most]} in {most!r}"
        raise Bad(f"{task.name}, machine-translated: {told}; allowed: the same rows in every language")
    if not available:
        raise Absent(
            f"{task.name}: no machine translation of its rows is at hand; put your own into "
            f"XIT_LOCAL/mt/{task.name}/"
            f"<language>/train.jsonl ({' '.join(langs)}), or take lang=en"
        )
    coverage = (
        f"translated into {len(available)} of {len(langs)} languages ({', '.join(available)})"
        if len(available) < len(langs)
        else ""
    )
    return [
        part._replace(
            rows=part.rows[k :: len(available)], note="; ".join(filter(None, [part.note, coverage]))
        )
        for k, lang in enumerate(available)
        for part in by_language[lang]
    ]


def translation(task: Task, lang: str) -> list[Part]:
    """The training rows in one language: the user's own, else the published ones; [] where there are none."""
    own = from_local("mt", f"{task.name}/{lang}", "train")
    published = [x for x in task.translated if lang in x.langs.split() and not own]
    locations = [(*located(x.spec.format(lang=lang)), x.obtain) for x in published]
    return own or [part for location in locations for part in sources.fetch(*location)]


def pools(lang: str, split: str = "validation", n: int = 0) -> mining_pools.Pools:
    """BUCC's sentences to be mined: all of them, however many gold pairs are evaluated."""
    return mining_pools.bucc_pools(lang, split)
