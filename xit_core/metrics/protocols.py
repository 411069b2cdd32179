"""How predictions become scores: each published definition has its own name, and all score the same stored
predictions.

Behaviour, in our own words, of google-research/xtreme@838c13b (evaluate.py, third_party/evaluate_squad.py,
evaluate_mlqa.py, utils_mewslix.py and utils_lareqa.py), facebookresearch/MLQA@5ef5c73
(mlqa_evaluation_v1.py), SQuAD's evaluate-v2.0.py, and of seqeval 1.2.2 and 0.0.12
(metrics/sequence_labeling.py). Scores are 0-100.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from ..design.tasks import Task
from .checklist import failure

Scored = tuple[dict[str, float], list[float]]  # metrics by name, and the headline of each instance
Protocol = Callable[[list, list[dict], str], Scored]  # (predictions, examples, language)


def mean(values: Iterable[float]) -> float:
    """The mean; 0 when there are no values, as in the official scorers."""
    values = list(values)
    return sum(values) / len(values) if values else 0.0


# -- answers -------------------------------------------------------------------------------------------------

ARTICLES = {
    "en": r"\b(a|an|the)\b", "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "vi": r"\b(của|là|cái|chiếc|những)\b",
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b", "ar": r"\sال^|ال",
}  # fmt: skip
ASCII_PUNCTUATION = str.maketrans("", "", string.punctuation)


def squad_en(text: str, lang: str = "en") -> str:
    """SQuAD's normaliser, with English rules for every language: XTREME uses it for XQuAD and TyDiQA.

    It removes ASCII punctuation only.
    """
    return " ".join(re.sub(ARTICLES["en"], " ", text.lower().translate(ASCII_PUNCTUATION)).split())


def mlqa(text: str, lang: str) -> str:
    """MLQA's normaliser: removes all Unicode punctuation, then the language's articles. In zh every character
    from 一 to 龥 is a token of its own.

    Digits, Latin words and rarer ideographs therefore stay together in zh. The official script supports ar de
    en es hi vi zh and refuses other languages; here these have no articles and are split on white space.
    """
    text = "".join(c for c in text.lower() if not punctuation(c))
    text = re.sub(ARTICLES[lang], " ", text) if lang in ARTICLES else text
    return " ".join(re.sub(r"([一-龥])", r" \1 ", text).split() if lang == "zh" else text.split())


def punctuation(c: str) -> bool:
    """Whether MLQA's scorer treats a character as punctuation, which it decides by Unicode category."""
    return c in string.punctuation or unicodedata.category(c).startswith("P")


def token_f1(prediction: str, gold: str, empty: float = 1.0) -> float:
    """F1 (0-1) of two normalised texts, as bags of tokens.

    Returns `empty` when neither text has a token: 1 in SQuAD 2's script, 0 in the others.
    """
    predicted, expected = prediction.split(), gold.split()
    if not predicted and not expected:
        return empty
    return 2 * sum((Counter(predicted) & Counter(expected)).values()) / (len(predicted) + len(expected))


def em_f1(prediction: str, golds: Sequence[str], empty: float) -> tuple[float, float]:
    """Exact match and F1 (0-100) of a normalised text, each the best over the gold answers."""
    return 100.0 * (prediction in golds), 100.0 * max(token_f1(prediction, gold, empty) for gold in golds)


def extractive(normal: Callable[[str, str], str]) -> Protocol:
    """The protocol of SQuAD 1.1: exact match and F1, each the best over the gold answers. An instance scores
    the mean of both.

    A prediction None (no answer given) scores 0. The official scripts stop at a question without gold
    answers; here it is scored as in SQuAD 2, where an empty answer is correct.
    """

    def score(predictions: list[str | None], examples: list[dict], lang: str) -> Scored:
        scores = []
        for prediction, example in zip(predictions, examples, strict=True):
            golds = [normal(text, lang) for _, text in example["answers"]]
            scores.append(
                (0.0, 0.0)
                if prediction is None
                else em_f1(normal(prediction, lang), golds or [""], float(not golds))
            )
        metrics = {"exact_match": mean(em for em, _ in scores), "f1": mean(f1 for _, f1 in scores)}
        return metrics, [(em + f1) / 2 for em, f1 in scores]

    return score


def squad2_scores(predictions: list[str], examples: list[dict], lang: str) -> Scored:
    """SQuAD 2's scores. Where no gold answer has a token, "" is the correct answer. Questions with answers,
    and those without, also have a metric of their own.

    Gold answers that consist only of articles and punctuation are dropped. There is no threshold: a
    prediction "" means that there is no answer.
    """
    scores = []
    for prediction, example in zip(predictions, examples, strict=True):
        golds = [gold for _, text in example["answers"] if (gold := squad_en(text))]
        scores.append(em_f1(squad_en(prediction), golds or [""], 1.0))
    answerable = [bool(question["answers"]) for question in examples]
    metrics = {"exact_match": mean(em for em, _ in scores), "f1": mean(f1 for _, f1 in scores)}
    if any(answerable):
        metrics["has_answer_f1"] = mean(f1 for (_, f1), has in zip(scores, answerable, strict=True) if has)
    if not all(answerable):
        metrics["no_answer_accuracy"] = mean(
            em for (em, _), has in zip(scores, answerable, strict=True) if not has
        )
    return metrics, [(em + f1) / 2 for em, f1 in scores]


# -- tags ----------------------------------------------------------------------------------------------------


def chunks(tags: Iterable[str], seqeval: str = "1.2.2") -> set[tuple[str, int, int]]:
    """(type, first, last) of every chunk. seqeval reads a tag's first letter as B, I, E, S or O, even in UPOS
    tags such as "SYM".

    In 1.2.2 the type is what follows the letter and its hyphen; in 0.0.12 it is what follows the last hyphen
    of the tag.
    """
    spans, begin, previous, previous_kind = set(), 0, "O", ""
    for i, tag in enumerate([*tags, "O"]):
        letter = tag[0]
        kind = tag.split("-")[-1] if seqeval == "0.0.12" else tag[1:].split("-", 1)[-1] or "_"
        changed = kind != previous_kind
        ends = previous in "ES" or previous in "BI" and letter in "BSO" or previous not in "O." and changed
        starts = letter in "BS" or previous in "ESO" and letter in "EI" or letter not in "O." and changed
        if ends:
            spans.add((previous_kind, begin, i - 1))
        if starts:
            begin = i
        previous, previous_kind = letter, kind
    return spans


def rates(predicted: set, gold: set) -> dict[str, float]:
    """F1, precision and recall (0-100) of a predicted set; 0 where the denominator would be 0."""
    correct = len(predicted & gold)
    return {
        "f1": 200 * correct / ((len(predicted) + len(gold)) or 1),
        "precision": 100 * correct / (len(predicted) or 1),
        "recall": 100 * correct / (len(gold) or 1),
    }


def corpus_f1(
    predictions: list[list[str]], golds: list[list[str]], seqeval: str = "1.2.2"
) -> dict[str, float]:
    """F1, precision and recall of the chunks of all sentences.

    seqeval reads the corpus as one sequence with an "O" after each sentence, and this changes the score. An
    "X" at the start of a later sentence has the same type as that "O", so it starts no chunk. The next chunk
    that ends then begins in an earlier sentence.
    """
    predicted, gold = (
        chunks([tag for sentence in sentences for tag in (*sentence, "O")], seqeval)
        for sentences in (predictions, golds)
    )
    return rates(predicted, gold)


def sentence_f1(prediction: list[str], gold: list[str], seqeval: str) -> float:
    """Chunk F1 (0-100) of one sentence; 100 when neither the gold nor the predicted tags have a chunk."""
    predicted, expected = chunks(prediction, seqeval), chunks(gold, seqeval)
    return rates(predicted, expected)["f1"] if predicted or expected else 100.0


def tagging(*names: str, seqeval: str = "1.2.2") -> Protocol:
    """A protocol with the metrics in `names`: "f1" (chunk F1 of the corpus) and "accuracy" (of tokens).

    An instance is a sentence; its score is the first named metric, computed on that sentence alone.
    """

    def score(predictions: list[list[str]], examples: list[dict], lang: str) -> Scored:
        golds = [example["tags"] for example in examples]
        matches = [
            [a == b for a, b in zip(tags, gold, strict=True)]
            for tags, gold in zip(predictions, golds, strict=True)
        ]
        metrics = {
            "f1": corpus_f1(predictions, golds, seqeval)["f1"],
            "accuracy": 100 * mean(value for sentence in matches for value in sentence),
        }
        named = {name: value for name, value in metrics.items() if name in names}
        if names[0] == "accuracy":
            return named, [100 * mean(sentence) for sentence in matches]
        return named, [
            sentence_f1(tags, gold, seqeval) for tags, gold in zip(predictions, golds, strict=True)
        ]

    return score


# -- labels and retrieval ------------------------------------------------------------------------------------


def accuracy(predictions: list, examples: list[dict], lang: str) -> Scored:
    """Percentage of correct labels. For tags: token accuracy, and chunk F1 as a second metric."""
    if examples and "tags" in examples[0]:
        return tagging("accuracy", "f1")(predictions, examples, lang)
    correct = [
        100.0 * (prediction == example["label"])
        for prediction, example in zip(predictions, examples, strict=True)
    ]
    return {"accuracy": mean(correct)}, correct


def average_precision(ranked: Sequence, gold: Sequence, k: int = 20) -> float:
    """Average precision (0-1) of the first k; a repeated id counts as a miss. With one gold id this is the
    reciprocal rank.
    """
    top = ranked[:k]
    hits = [rank for rank, item in enumerate(top) if item in gold and item not in top[:rank]]
    return sum((n + 1) / (rank + 1) for n, rank in enumerate(hits)) / min(len(gold), k)


def map20(predictions: list[Sequence], examples: list[dict], lang: str) -> Scored:
    """Mean average precision (0-100) of the first 20. A prediction is a ranked list of ids; "gold" is an id
    or a collection of ids.
    """
    golds = [
        list(e["gold"]) if isinstance(e["gold"], set | frozenset | list | tuple) else [e["gold"]]
        for e in examples
    ]
    items = [100 * average_precision(ranking, gold) for ranking, gold in zip(predictions, golds, strict=True)]
    return {"map@20": mean(items)}, items


def pairs(predictions: list[Sequence], examples: list[dict], lang: str) -> Scored:
    """F1, precision and recall of a set of mined pairs. An instance is a gold pair; it scores 100 when it was
    found, otherwise 0.
    """
    mined, gold = {tuple(pair) for pair in predictions}, [tuple(example["ids"]) for example in examples]
    return rates(mined, set(gold)), [100.0 * (gold_pair in mined) for gold_pair in gold]


PROTOCOLS: dict[str, Protocol] = {
    "accuracy": accuracy,
    "udpos/accuracy": tagging("accuracy"),
    "udpos/seqeval-1.2.2": tagging("f1", "accuracy"),
    "udpos/seqeval-0.0.12": tagging("f1", "accuracy", seqeval="0.0.12"),
    "panx/iob2-f1": tagging("f1", "accuracy"),
    "qa/squad-en": extractive(squad_en),
    "qa/mlqa": extractive(mlqa),
    "qa/squad2": squad2_scores,
    "map@20": map20,
    "bucc/pairs": pairs,
    "checklist/failure": failure,
}


def also(task: Task) -> tuple[str, ...]:
    """The other protocols that score a task's predictions: those of the same family. SQuAD 2's is included
    only where answers can be missing, and retrieval tasks have none.
    """
    family = task.protocol.split("/")[0] + "/"
    if task.retrieves:
        return ()
    names = (name for name in PROTOCOLS if name.startswith(family) and name != task.protocol)
    return tuple(name for name in names if name != "qa/squad2" or task.no_answer)
