"""The splits of the micro-world: which function makes the rows of which task, and with which dice."""

from functools import lru_cache

from ..design.tasks import TASKS
from ..design.worlds import MICRO
from ..machine.errors import Bad
from . import layout, twins
from .languages import LANGUAGES
from .tell import TRANSLATION_ERROR, Teller
from .world import Dice

NAMESAKES = (
    "anli mnli qqp squad2 squad1 hellaswag ccg cosmosqa csqa prefer scenes mlm xnli pawsx udpos panx xquad "
    "bucc tatoeba"
).split()
MAKERS = {name: getattr(layout, name) for name in NAMESAKES}
MAKERS |= {"mlqa": layout.xquad, "tydiqa": layout.squad1}
MAKERS |= {"xnli_adversarial": twins.xnli_adversarial}
MAKERS |= {f"{name}_adversarial": twins.xquad_adversarial for name in ("xquad", "mlqa", "tydiqa")}
SAME = {"prefer_sham": "prefer", "scenes_sham": "scenes"}  # tasks with the very rows of another
MAKERS |= {name: MAKERS[other] for name, other in SAME.items()}
# tasks told in another domain; BUCC has no such twin, for its pools would need one, too
SHIFTED = {name: name.removesuffix("_shift") for name in MICRO.tasks if name.endswith("_shift")}
MAKERS |= {name: MAKERS[other] for name, other in SHIFTED.items()}
OWN = (
    "udpos",
    "panx",
    "tydiqa",
    "tydiqa_adversarial",
    "bucc",
    "mlm",
)  # not parallel: different content in each language


@lru_cache(maxsize=256)  # a notebook reads the same rows for every seed of its runs
def rows(config: str, split: str, lang: str, n: int, seed: int = 0) -> list[dict]:
    """`n` rows of a task as its real data set lays them out; cached, so they must not be changed.

    Raises: Bad for a language, task or split that does not exist.
    """
    if lang not in LANGUAGES:
        raise Bad(f"no micro language {lang!r}; known: {', '.join(LANGUAGES)}")
    if config == "bucc_pool" and split in ("source", "target"):
        return layout.bucc_pool(split, lang, n, seed)
    if config not in MAKERS or split not in ("train", "validation"):
        raise Bad(
            f"no micro rows {config!r} {split!r}: the micro-world has no function that tells them; known: "
            f"train and validation of {', '.join(MAKERS)}, source and target of bucc_pool"
        )
    config = SAME.get(config, config)
    make, own = MAKERS[config], lang if SHIFTED.get(config, config) in OWN else "*"
    shift = twins.SHIFT if config in SHIFTED else 0.0
    error = TRANSLATION_ERROR if TASKS[config].role == "intermediate" and lang != "en" else 0.0
    found = []
    for i in range(n):
        tell = Teller(lang, f"{config} {split} {seed} {i}", error, shift)
        found.append(make(Dice(f"{config} {split} {own} {seed} {i}", shift), split, tell, i))
    return found
