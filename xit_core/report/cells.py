"""A claim in a table: its number, our estimate with an interval, and the verdict, for readers."""

from collections.abc import Iterable

import pandas as pd

from ..design.scales import PAPER
from . import published
from .claims import BY_ID, MEASURED
from .markdown import SIGNED, count, number, with_interval
from .questions import UNFINISHED
from .sensitivity import Variant
from .view import View

MARK = {"holds": "✓ holds", "fails": "✗ fails", "open": "? open", "not testable": "– not testable"}


def estimate_cell(row: dict) -> str:
    """ "+1.2 [−0.3, +2.6]" for a measured claim, with the interval that covers all claims together; the count
    alone for a checked one.
    """
    if row["low"] is None:
        return count(row["estimate"])
    return with_interval(row["estimate"], row["joint_low"], row["joint_high"])


# what a column of a scale is called, beside its name
ENCODERS = {"micro": "constructed languages", "small": "multilingual-e5-small", PAPER.name: "XLM-R Large"}


def column(scale: str) -> str:
    """The head of a scale's column; a reader's own encoder has no name here."""
    return f"{ENCODERS.get(scale, 'your encoder')} (`{scale}`)"


def state(row: dict) -> str:
    """The verdict on a claim, or that a measured one has none yet because runs are missing."""
    missing = row["direction"] == "open" and row["number"] <= MEASURED and row["low"] is None
    return UNFINISHED if missing else row["direction"]


def tally(states: Iterable[str]) -> dict[str, int]:
    """How many claims are in each state, by the word for it."""
    states = list(states)
    return {word: states.count(word) for word in (*MARK, UNFINISHED)}


def claims_frame(view: View) -> pd.DataFrame:
    """Every claim of a scale by its number: what is claimed, our estimate with the interval that covers all
    claims together, the verdict, and what it says. Numbers are text for readers.
    """
    lines = [
        [row["number"], number(row["published"]), estimate_cell(row), state(row), row["says"]]
        for row in view.claims
    ]
    head = ["number", "claimed", "estimate", "verdict", "says"]
    return pd.DataFrame(lines, columns=head).set_index("number")


def verdict_cell(row: dict) -> str:
    """The verdict, then those on "not worse" and on the claimed number where the claim has them."""
    if state(row) == UNFINISHED:
        return UNFINISHED
    words = {"": row["direction"], "not worse: ": row["not_worse"], "its number: ": row["magnitude"]}
    return " · ".join(name + marked(word) for name, word in words.items() if word)


def p_cell(row: dict) -> str:
    """The p-value of the likelier side, and that corrected for all claims; a dash where nothing is tested."""
    return "–" if row["p"] is None else f"{row['p']:.2g} → {row['p_joint']:.2g}"


def is_clear_on_average(row: dict) -> bool:
    """Whether a claim about each task is open though the interval of their mean lies beside its limit."""
    claim = BY_ID[row["id"]]
    if row["direction"] != "open" or row["low"] is None or not claim.singly:
        return False
    return row["joint_low"] > claim.limit or row["joint_high"] < claim.limit


def claimed_cell(row: dict) -> str:
    """The number that a claim states, marked where no public source has it; a dash where it states none."""
    unsourced = row["published"] is not None and not published.is_sourced(row["id"])
    return count(row["published"]) + published.UNSOURCED * unsourced


def ends_in_words(variants: list[Variant]) -> str:
    """The lowest and the highest estimate of several ways to count, with their names."""
    ends = [of(variants, key=lambda variant: variant.estimate) for of in (min, max)]
    return " to ".join(f"{number(each.estimate, SIGNED)} ({each.name})" for each in ends)


def marked(word: str, plain: bool = False) -> str:
    """A verdict's word with its sign, which says the same without colour."""
    return MARK[word] if plain else f"[{MARK[word]}]{{.{word.replace(' ', '-')}}}"
