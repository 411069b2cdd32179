"""Adversarial rows: subsets of XNLI, chosen on its English rows and carried to the same rows in other
languages, and a subset of Breaking NLI.

Each has as many rows of every label that it has, so that no answer is right more often than another.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from zlib import crc32

from ..design.readers import Row, Wrong, class_number
from ..design.scales import PIVOT
from ..design.tasks import MNLI_ROWS, NLI, located
from ..machine.errors import Absent, Bad
from ..machine.places import local_dir, mirror_dir
from . import sources

EACH = 200  # rows of each label, at most
READ = 20_000  # rows that the model of the hypothesis alone is trained on, at most
WORD = re.compile(r"\w+")


def by_overlap(rows: list[Row], lang: str, n: int) -> list[Row]:
    """Rows that mislead who judges by words in common: entailment with the fewest of them, and neutral and
    contradiction with the most. At most `n` rows; 0 = EACH of each label.

    Source: McCoy et al. (2019), Right for the wrong reasons, section 2, "lexical overlap".
    """

    def misleads(row: Row) -> float:
        premise, hypothesis = (set(words(row[side])) for side in ("sentence1", "sentence2"))
        share = len(premise & hypothesis) / max(1, len(hypothesis))
        return -share if label_of(row) == 0 else share

    return carried(rows, lang, n, misleads)


def by_hypothesis(rows: list[Row], lang: str, n: int) -> list[Row]:
    """Rows that mislead who reads the hypothesis alone: a model of its words, trained on MNLI, is the surest
    of a wrong label. At most `n` rows; 0 = EACH of each label.

    Source: Gururangan et al. (2018), Annotation artifacts in natural language inference data.
    """
    chances = label_model(mirror_dir(), local_dir())

    def misleads(row: Row) -> float:
        found = chances(row["sentence2"])
        gold = found.pop(label_of(row))
        return max(found) - gold

    return carried(rows, lang, n, misleads)


def carried(rows: list[Row], lang: str, n: int, misleads: Callable[[Row], float]) -> list[Row]:
    """The rows in a language whose English ones mislead most, as many of each label, one at least, in
    their order.

    Raises: Bad where a language's rows are not parallel to the English ones.
    """
    english, own = ([row for row in rows if row["language"] == code] for code in (PIVOT, lang))
    labels = list(map(label_of, english))
    if not english or list(map(label_of, own)) != labels:
        raise Bad(
            f"xnli: {len(own)} rows in {lang!r} are not parallel to {len(english)} in English; copy it again"
        )
    texts = [(row["sentence1"], row["sentence2"]) for row in english]
    order = sorted(range(len(english)), key=lambda i: (-misleads(english[i]), fixed(*texts[i])))
    return [own[i] for i in balanced(order, labels, range(len(NLI)), max(1, n // len(NLI)) if n else EACH)]


def label_of(row: Row) -> int:
    """The label of a row of XNLI, or -1. Raises: Wrong."""
    return class_number(row["gold_label"], NLI)


def by_replacement(rows: list[Row], _lang: str, n: int) -> list[Row]:
    """Rows whose hypothesis is the premise but for one word: as many entailments as contradictions, drawn in
    an order that has nothing to do with them. At most `n` rows; 0 = as many as there are entailments.

    As published, seven of eight rows are contradictions, and only 47 are neutral; those are left out.
    Source: Glockner et al. (2018), Breaking NLI systems with sentences that require simple lexical
    inferences, section 3.
    """
    same, opposite = NLI.index("entailment"), NLI.index("contradiction")
    labels = [class_number(row["label"], NLI) for row in rows]
    order = sorted(range(len(rows)), key=lambda i: fixed(rows[i]["premise"], rows[i]["hypothesis"]))
    fewest = min(labels.count(same), labels.count(opposite))
    each = min(max(1, n // 2) if n else fewest, fewest)
    return [rows[i] for i in balanced(order, labels, (same, opposite), each)]


def balanced(order: list[int], labels: list, wanted: Iterable, each: int) -> list[int]:
    """The first so many indices of each label in an order, sorted."""
    return sorted(i for label in wanted for i in [k for k in order if labels[k] == label][:each])


def fixed(premise: str, hypothesis: str) -> int:
    """A number by which rows are put in an order that has nothing to do with how they mislead."""
    return crc32(f"{premise}\n{hypothesis}".encode())


def words(text: str) -> list[str]:
    """The words of a text in lower case."""
    return WORD.findall(text.lower())


@lru_cache(maxsize=4)
def label_model(_mirror: Path | None, _local: Path | None) -> Callable[[str], list[float]]:
    """The logarithms of the chances of each label given a hypothesis, up to a constant: naive Bayes on its
    words, with MNLI's training rows that are at hand. The folders only say which rows are meant.

    Raises: Absent where there are none, Bad for one that is none.
    """
    rows = [row for part in sources.fetch(*located(MNLI_ROWS)) for row in part.rows]
    if not rows:
        raise Absent(f"{MNLI_ROWS}: the mirror does not hold it; unset XIT_MIRROR to use the hub")
    counts = [Counter[str]() for _ in NLI]
    for i, row in enumerate(rows[:READ]):
        try:
            label, found = class_number(row["label"], NLI), words(row["hypothesis"])
        except (Wrong, KeyError, TypeError) as error:
            raise Bad(f"{MNLI_ROWS}: row {i} is none of MNLI ({type(error).__name__}: {error})") from None
        if label >= 0:
            counts[label].update(set(found))
    if not any(counts):
        raise Bad(f"{MNLI_ROWS}: none of {len(rows)} rows has a label; take a source with labels")
    known = len(set().union(*counts))
    totals = [found.total() + known for found in counts]

    def chances(hypothesis: str) -> list[float]:
        seen = set(words(hypothesis))
        return [
            sum(math.log((found[word] + 1) / total) for word in seen)
            for found, total in zip(counts, totals, strict=True)
        ]

    return chances
