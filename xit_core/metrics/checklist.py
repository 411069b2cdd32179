"""MultiCheckList, XTREME-R's six tests of question answering: cases made from translated templates, and their
failure rates.

Source: google-research/xtreme@838c13b, multichecklist/ (behaviour): the tests, 200 cases each, every context
of a case asked every question, a case failed by one wrong answer, answers compared as `clean_answer` leaves
them. The official suites were drawn with another random state and longer lists of names, and branch by
language where `fits` is one rule: cases are the same in kind, not one by one. Left out is what a reader of
spans cannot say: answers that do not stand in their context as they are.
"""

import re
from collections import defaultdict

from ..data.checklist import TESTS

# -- scoring -------------------------------------------------------------------------------------------------

# words that do not count in an answer; in the second row also where a word goes on
ANSWER_ARTICLES = {
    "af": "’n", "de": "ein eine einen", "el": "Ο ένα μια", "en": "a an the in at",
    "es": "un una unos unas el la los las",
    "eu": "bat", "fa": "یک", "fr": "un une le la en", "hu": "egy", "it": "un una", "nl": "een",
    "pt": "um uma", "tl": "Si",
    "tr": "bir", "vi": "một", "wo": "dafa", "yo": "kan",
}  # fmt: skip
PREFIXES = {
    "bn": "একটি একজন", "hi": "एक", "ml": "ഒരു", "mr": "एक", "my": "တစ်ဦး",
    "pa": "ਇੱਕ ਇਕ", "ta": "ஒரு",
}  # fmt: skip
STOPS = {"bn": "৷", "hi": "৷", "pa": "।", "pl": "„”", "ur": "\u200f"}  # besides comma, full stop and space


def clean_answer(text: str, lang: str) -> str:
    """An answer as it is compared: articles become spaces, punctuation and spaces around it go; case
    counts."""
    words = ANSWER_ARTICLES.get(lang, PREFIXES.get(lang, "")).replace(" ", "|")
    if words:
        text = re.sub(rf"\b({words})" + (r"\b" if lang in ANSWER_ARTICLES else ""), " ", text)
    if lang == "ar":
        text = re.sub(r"\sال^|ال", " ", text)
    return text.strip(",. " + STOPS.get(lang, ""))


def failure(predictions: list[str], examples: list[dict], lang: str) -> tuple[dict[str, float], list[float]]:
    """Failed cases of each test in percent ("failed/animal", ...), and "accuracy", 100 less those of all
    cases together.

    XTREME-R reports error rates by test; with 200 cases each, their mean is 100 - accuracy. The instances are
    the cases (100 or 0, in their order): a case passes when all its questions among the examples are answered
    right.
    """
    passed: dict[str, list[bool]] = defaultdict(list)
    for said, e in zip(predictions, examples, strict=True):
        passed[e["id"].rsplit("-", 1)[0]].append(
            clean_answer(said, lang) == clean_answer(e["answers"][0][1], lang)
        )
    x = {c: 100.0 * all(right) for c, right in passed.items()}
    by = {test: [v for c, v in x.items() if c.split("-")[0] == test] for test in TESTS.values()}
    metrics = {f"failed/{test}": 100 - sum(v) / len(v) for test, v in by.items() if v}
    return {"accuracy": sum(x.values()) / len(x)} | metrics, list(x.values())
