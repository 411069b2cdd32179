"""Texts that examples have in common.

A training row whose whole text is that of an evaluation row is dropped (`data.reading`), and so is a line of
text for masked LM that has a part of one. Evaluation rows that share a segment with a training row are
counted (`data.contamination`). Texts are kept as hashes, which are those of one process.
"""

import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Set
from functools import cache
from itertools import chain

import numpy as np

from ..design.languages import UNSPACED
from ..design.readers import Note
from ..design.tasks import TARGETS, TASKS, Task

TEXTS = ("a", "b", "question", "context", "mention")  # fields of an example that are one text
LISTS = ("choices", "sentences")  # fields that are a list of texts
LEAST_WORDS = 5  # a shorter segment may be equal by chance
LEAST_CHARACTERS = 15  # of a segment in a script without spaces
GRAM = 13  # a line may not share this many consecutive units with an evaluation text
SHORT = 5  # an evaluation text of fewer units only removes a line that says nothing else
CHUNK = 20_000  # lines hashed at a time
PRIME = np.uint64(0x100000001B3)  # multiplier of the rolling hash
WITHOUT_SPACES = re.compile("[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in UNSPACED) + "]")


def segments(example: dict) -> list[str]:
    """The texts of an example, each with single spaces: sentences, questions, paragraphs, choices, and its
    tokens joined.
    """
    texts = [example[field] for field in TEXTS if field in example]
    texts += [text for field in LISTS for text in example.get(field, ())]
    texts += [" ".join(example["tokens"])] if "tokens" in example else []
    return [" ".join(text.split()) for text in texts]


def whole(example: dict) -> int:
    """The hash of the whole text of an example."""
    return hash(tuple(segments(example)))


def hashed(examples: Iterable[dict]) -> frozenset[int]:
    """The hashes of all segments of examples."""
    return frozenset(hash(text) for example in examples for text in segments(example))


def compared(task: Task) -> list[Task]:
    """The tasks whose evaluation rows no training row of a task may equal: itself, and the targets of its
    kind.
    """
    targets = [TASKS[name] for name in TARGETS if TASKS[name].kind == task.kind]
    return list(dict.fromkeys([task, *targets]))


def without_equal(
    found: list[dict], counts: Counter, evaluated: dict[str, Set[int]]
) -> tuple[list[dict], Counter]:
    """The examples whose whole text is not an evaluation row's, and the updated counts.

    `evaluated`: by task, what `whole` gives for its evaluation rows. The counts say how many examples were
    removed, each by the first task that has it.
    """
    texts = [whole(example) for example in found]
    matches = [next((name for name, held in evaluated.items() if text in held), "") for text in texts]
    counts = counts + Counter(f"row is evaluated in {name}" for name in matches if name)
    return [example for example, name in zip(found, matches, strict=True) if not name], counts


def shared(examples: list[dict], trained: Set[int]) -> int:
    """The number of evaluation examples with a segment that training rows have too.

    Segments of fewer than LEAST_WORDS words, or LEAST_CHARACTERS characters in a script without spaces, do
    not count. `trained`: what `hashed` gives for the training rows.
    """
    return sum(
        any(hash(text) in trained and is_long(text) for text in segments(example)) for example in examples
    )


def is_long(segment: str) -> bool:
    """Whether a segment says enough for an equal one to be no coincidence."""
    if WITHOUT_SPACES.search(segment):
        return len(segment.replace(" ", "")) >= LEAST_CHARACTERS
    return len(segment.split()) >= LEAST_WORDS


@cache  # it takes a quarter of a second, and few processes need it
def spelled() -> dict[int, str]:
    """The replacement of each character before the text is split into units.

    A character that is not a letter, mark or digit becomes a space. A letter of a script without spaces
    (Thai, Lao, Burmese, Khmer, kana, Chinese) becomes a unit of its own.
    """
    alone = {code: f" {chr(code)} " for first, last in UNSPACED for code in range(first, last + 1)}
    between = {
        code: " " for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code))[0] not in "LMN"
    }
    return alone | between


def units(text: str) -> list[str]:
    """Lower-case words without punctuation; in scripts without spaces, single characters."""
    return text.lower().translate(spelled()).split()


def windows(lines: list[list[str]]) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield for n = 1 to GRAM the hashes of all runs of n units within a line.

    With each n come the hash of each run, the number of its line, and whether the run is the whole line.
    Shapes: three arrays (runs,) for each n.
    """
    sizes = np.array([len(words) for words in lines])
    hashes = np.fromiter(map(hash, chain.from_iterable(lines)), np.int64, sizes.sum()).view(np.uint64)
    line_numbers, rolled = np.repeat(np.arange(len(lines)), sizes), hashes
    for n in range(1, GRAM + 1):
        inside = np.flatnonzero(line_numbers[: len(rolled)] == line_numbers[n - 1 :])
        yield n, rolled[inside], line_numbers[inside], sizes[line_numbers[inside]] == n
        rolled = rolled[:-1] * PRIME + hashes[n:]


class Held:
    """The text of the evaluation sets, as hashes.

    Held are the hashes of texts of fewer than GRAM units, and of all GRAM-grams of longer ones.
    """

    def __init__(self, texts: Iterable[str]):
        hashes: dict[int, list[np.ndarray]] = {n: [np.empty(0, np.uint64)] for n in range(1, GRAM + 1)}
        distinct = list(dict.fromkeys(texts))
        for start in range(0, len(distinct), CHUNK):
            for n, rolled, _, is_full_line in windows([*map(units, distinct[start : start + CHUNK])]):
                hashes[n].append(np.unique(rolled if n == GRAM else rolled[is_full_line]))
        self.grams = {n: np.unique(np.concatenate(parts)) for n, parts in hashes.items()}

    def holds(self, lines: list[str]) -> list[bool]:
        """What `within` says of each line, given as a text; CHUNK lines are split at a time."""
        starts = range(0, len(lines), CHUNK)
        parts = (self.within([*map(units, lines[i : i + CHUNK])]).tolist() for i in starts)
        return [*chain.from_iterable(parts)]

    def within(self, lines: list[list[str]]) -> np.ndarray:
        """Whether each line (as units) contains an evaluation text or a GRAM-gram of one.

        An evaluation text of fewer than SHORT units matches only a line that consists of nothing else.
        Shapes: -> (lines,) bool.
        """
        matches = np.zeros(len(lines), bool)
        for n, rolled, line_numbers, is_full_line in windows(lines):
            rolled, line_numbers = (
                (rolled[is_full_line], line_numbers[is_full_line]) if n < SHORT else (rolled, line_numbers)
            )
            matches[line_numbers[_contained(rolled, self.grams[n])]] = True
        return matches


def _contained(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    positions = np.searchsorted(ordered, values)
    return (
        ordered[np.minimum(positions, len(ordered) - 1)] == values
        if len(ordered)
        else np.zeros(len(values), bool)
    )


def without_lines(pages: dict[int, dict], counts: Counter, held: Held) -> tuple[dict[int, dict], Counter]:
    """Pages of text by number without the lines that are held, and the updated counts.

    Pages of nothing else are dropped.
    """
    lines = {number: page["a"].split("\n") for number, page in pages.items()}
    flat = [*chain.from_iterable(lines.values())]
    gone = iter(held.holds(flat))
    kept = {number: [line for line in page if not next(gone)] for number, page in lines.items()}
    cut = {Note("line is evaluated"): len(flat) - sum(map(len, kept.values()))}
    found = {number: pages[number] | {"a": "\n".join(rest)} for number, rest in kept.items() if any(rest)}
    return found, counts + Counter(cut)
