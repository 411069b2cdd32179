"""Texts that examples have in common.

A training row whose whole text is that of an evaluation row is dropped (`data.reading`). Evaluation rows that
share a segment with a training row are counted (`data.contamination`). Texts are kept as hashes, which are
those of one process.
"""

import re
from collections import Counter
from collections.abc import Iterable, Set

from ..design.languages import UNSPACED
from ..design.tasks import TARGETS, TASKS, Task

TEXTS = ("a", "b", "question", "context", "mention")  # fields of an example that are one text
LISTS = ("choices", "sentences")  # fields that are a list of texts
LEAST_WORDS = 5  # a shorter segment may be equal by chance
LEAST_CHARACTERS = 15  # of a segment in a script without spaces
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
