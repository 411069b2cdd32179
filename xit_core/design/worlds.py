"""The worlds that rows come from: real data sets, or the micro-world of constructed languages."""

from dataclasses import dataclass


@dataclass(frozen=True)
class World:
    """What a world speaks and tells. The micro-world is made by this package, real rows are fetched."""

    name: str
    made: bool = False  # its rows are generated when they are needed: nothing to fetch, nobody else's licence
    languages: tuple[str, ...] = ()  # the pivot first; () = those that each task declares
    tasks: tuple[str, ...] = ()  # () = every declared task
    version: str = ""  # of all its rows; "" = the revision that each task declares


REAL = World("real")
MICRO = World(
    "micro",
    made=True,
    languages=tuple("en al fe do go mu pe zi".split()),
    tasks=tuple(
        "anli mnli qqp squad2 squad1 hellaswag ccg cosmosqa csqa mlm "
        "xnli pawsx udpos panx xquad mlqa tydiqa bucc tatoeba".split()
    ),
    # raised whenever the micro-world tells a different story (a test holds its rows to it)
    version="micro-1",
)
