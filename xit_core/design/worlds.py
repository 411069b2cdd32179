"""The worlds that rows come from: real data sets, or the micro-world of constructed languages."""

from dataclasses import dataclass


@dataclass(frozen=True)
class World:
    """The languages and tasks of a world. This package generates the micro-world; real rows are fetched."""

    name: str
    made: bool = False  # its rows are generated when needed: nothing to fetch, no third-party licence
    languages: tuple[str, ...] = ()  # the pivot first; () = those that each task declares
    tasks: tuple[str, ...] = ()  # () = every declared task
    version: str = ""  # the version of all its rows; "" = the revision that each task declares


REAL = World("real")
MICRO = World(
    "micro",
    made=True,
    languages=tuple("en al fe do go mu pe zi".split()),
    tasks=tuple(
        "anli mnli qqp squad2 squad1 hellaswag ccg cosmosqa csqa mlm "
        "xnli pawsx udpos panx xquad mlqa tydiqa bucc tatoeba prefer prefer_sham scenes scenes_sham "
        "mnli_shift xnli_shift pawsx_shift udpos_shift panx_shift xquad_shift mlqa_shift tydiqa_shift "
        "tatoeba_shift xnli_adversarial xquad_adversarial mlqa_adversarial tydiqa_adversarial".split()
    ),
    # raised whenever the micro-world's rows change (a test compares the rows with it)
    version="micro-1",
)
