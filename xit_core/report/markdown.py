"""Numbers, intervals and tables for readers, as Markdown."""

import math
import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

SIGNED = "+,.1f"
WIDE = 25.0  # points; where half an interval over seeds is wider, the seeds are shown instead


def number(value: float | None, form: str = ",.1f", digits: int = 1) -> str:
    """A number for readers, with one decimal: "47.0" or "+1.2"; "–" when there is no value. `digits`: as
    many as the form has.
    """
    if value is None or pd.isna(value):
        return "–"
    return f"{round(value, digits) + 0.0:{form}}".replace("-", "\N{MINUS SIGN}")  # + 0.0: no "-0.0"


def minus(text: str) -> str:
    """A text with the sign for minus before its negative numbers."""
    return re.sub(r"(?<![\w.])-(?=\d)", "\N{MINUS SIGN}", text)


def count(value: float | None) -> str:
    """Like `number`, but without decimals for a whole number: "1,104,934"."""
    return number(value).removesuffix(".0")


def with_interval(mean: float, low: float, high: float, digits: int = 1) -> str:
    """ "+1.2 [−0.3, +2.6]"; an end that would be rounded to zero has as many digits as show its side."""
    return f"{number(mean, f'+,.{digits}f', digits)} [{end(low, digits)}, {end(high, digits)}]"


def end(value: float, least: int = 1) -> str:
    """An end of an interval, on its side of zero. `least`: how many digits it has at least."""
    digits = next((n for n in range(least, 4) if round(value, n)), least)
    return number(value, f"+,.{digits}f", digits)


def with_half(mean: str, half: float) -> str:
    """A mean with half its interval behind it, in one piece: "47.0 ± 1.2"; without one for NaN."""
    return mean if math.isnan(half) else f"{mean}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{number(half)}"


def markdown_table(head: list[str], lines: list[list[object]]) -> str:
    """A Markdown table."""
    rows = [head, ["---"] * len(head), *lines]
    return (
        "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)
        + "\n\n"
    )


def small(text: str, kind: str = "") -> str:
    """The text as small print in the book. `kind`: "carded", a table whose rows are cards on a phone."""
    return f":::::{{div}} {f'{kind} small'.strip()}\n{text.rstrip()}\n:::::\n\n"


def left_out(damaged: Iterable[Path]) -> str:
    """That damaged files are left out, a paragraph each."""
    return "".join(f"*Left out: {file.name} is damaged.*\n\n" for file in damaged)


def hidden(head: str, text: str) -> str:
    """Text of a page that is hidden under a head until opened."""
    return f"<details><summary>{head}</summary>\n\n{text}\n</details>\n\n"


def dropdown(head: str, text: str) -> str:
    """Text of a page below a head with a frame, hidden until opened; it may hold a `small` text."""
    return f"::::::{{dropdown}} {head}\n{text.rstrip()}\n::::::\n\n"


def folded(parts: list[str], between: str = " ", of: str = "") -> str:
    """A list for a table cell. Four or more items are folded: the cell shows their number, and `of` what they
    are, until opened.
    """
    text = between.join(parts)
    head = f"{len(parts)} {of}".strip()
    return text if len(parts) < 4 else fold(head, text)


def fold(head: str, text: str) -> str:
    """Text in a table cell that is hidden under a head until opened."""
    return f"<details><summary>{head}</summary>{text}</details>"
