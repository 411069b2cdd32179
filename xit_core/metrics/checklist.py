"""The failure rates of MultiCheckList, XTREME-R's six tests of question answering.

Source: google-research/xtreme@838c13b, multichecklist/ (behaviour). Every context of a case is asked every
question, and one wrong answer fails the case. Answers are compared after `clean_answer`.
"""

import re
from collections import defaultdict

from ..data.checklist import TESTS

# -- scoring -------------------------------------------------------------------------------------------------

# words that are ignored in an answer; those of PREFIXES also where they begin a longer word
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
    """The answer in the form that is compared: articles become spaces, and punctuation and spaces at its ends
    are stripped. Case is kept.
    """
    words = ANSWER_ARTICLES.get(lang, PREFIXES.get(lang, "")).replace(" ", "|")
    if words:
        text = re.sub(rf"\b({words})" + (r"\b" if lang in ANSWER_ARTICLES else ""), " ", text)
    if lang == "ar":
        text = re.sub(r"\sال^|ال", " ", text)
    return text.strip(",. " + STOPS.get(lang, ""))


def failure(predictions: list[str], examples: list[dict], lang: str) -> tuple[dict[str, float], list[float]]:
    """(metrics, score of each case): the percentage of failed cases of each test ("failed/animal", ...), and
    "accuracy", which is 100 minus the percentage of failed cases overall.

    XTREME-R reports error rates by test; with 200 cases each, their mean is 100 - accuracy. The instances are
    the cases, in their order, and score 100 or 0. A case passes when all its questions among the examples are
    answered correctly.
    """
    passed: dict[str, list[bool]] = defaultdict(list)
    for prediction, example in zip(predictions, examples, strict=True):
        passed[example["id"].rsplit("-", 1)[0]].append(
            clean_answer(prediction, lang) == clean_answer(example["answers"][0][1], lang)
        )
    scores = {case: 100.0 * all(correct) for case, correct in passed.items()}
    by_test = {
        test: [v for case, v in scores.items() if case.split("-")[0] == test] for test in TESTS.values()
    }
    metrics = {f"failed/{test}": 100 - sum(v) / len(v) for test, v in by_test.items() if v}
    return {"accuracy": sum(scores.values()) / len(scores)} | metrics, list(scores.values())
