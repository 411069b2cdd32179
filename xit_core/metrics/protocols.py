"""How predictions become scores: every published definition under its own name, over the same stored
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
    """Mean; 0 of nothing, as the official scorers have it."""
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
    """SQuAD's normaliser, English whatever the language: XTREME has it for XQuAD and TyDiQA. Only ASCII
    punctuation goes.
    """
    return " ".join(re.sub(ARTICLES["en"], " ", text.lower().translate(ASCII_PUNCTUATION)).split())


def mlqa(text: str, lang: str) -> str:
    """MLQA's normaliser: every Unicode punctuation goes, then the language's articles; zh is split at each of
    一 to 龥.

    So digits, Latin words and rarer ideographs stay whole in zh. The official script knows ar de en es hi vi
    zh; other languages, which it refuses, have no articles here and are split on white space.
    """
    text = "".join(c for c in text.lower() if not punctuation(c))
    text = re.sub(ARTICLES[lang], " ", text) if lang in ARTICLES else text
    return " ".join(re.sub(r"([一-龥])", r" \1 ", text).split() if lang == "zh" else text.split())


def punctuation(c: str) -> bool:
    """Whether MLQA's scorer takes a character for punctuation: by its Unicode category."""
    return c in string.punctuation or unicodedata.category(c).startswith("P")


def token_f1(prediction: str, gold: str, empty: float = 1.0) -> float:
    """F1 (0-1) of the bags of two normalised texts' tokens; `empty` when neither has any: 1 in SQuAD 2's
    script, else 0.
    """
    a, b = prediction.split(), gold.split()
    if not a and not b:
        return empty
    return 2 * sum((Counter(a) & Counter(b)).values()) / (len(a) + len(b))


def em_f1(prediction: str, golds: Sequence[str], empty: float) -> tuple[float, float]:
    """Exact match and F1 of normalised texts, each the best over the gold answers."""
    return 100.0 * (prediction in golds), 100.0 * max(token_f1(prediction, g, empty) for g in golds)


def extractive(normal: Callable[[str, str], str]) -> Protocol:
    """SQuAD 1.1's scores: EM and F1, each the best over the gold answers; an instance scores the mean of
    both.

    A prediction None (no answer given) scores 0. A question without gold answers, on which the official
    scripts stop, is scored as SQuAD 2 does: right when nothing is said.
    """

    def score(predictions: list[str | None], examples: list[dict], lang: str) -> Scored:
        found = []
        for said, example in zip(predictions, examples, strict=True):
            golds = [normal(text, lang) for _, text in example["answers"]]
            found.append(
                (0.0, 0.0) if said is None else em_f1(normal(said, lang), golds or [""], float(not golds))
            )
        metrics = {"exact_match": mean(em for em, _ in found), "f1": mean(f1 for _, f1 in found)}
        return metrics, [(em + f1) / 2 for em, f1 in found]

    return score


def squad2_scores(predictions: list[str], examples: list[dict], lang: str) -> Scored:
    """SQuAD 2's scores: "" is the right answer where no gold answer has a token; questions without answers
    also on their own.

    Gold answers of only articles and punctuation are dropped. No threshold: a prediction "" says that there
    is no answer.
    """
    found = []
    for said, example in zip(predictions, examples, strict=True):
        golds = [g for _, text in example["answers"] if (g := squad_en(text))]
        found.append(em_f1(squad_en(said), golds or [""], 1.0))
    answerable = [bool(e["answers"]) for e in examples]
    metrics = {"exact_match": mean(em for em, _ in found), "f1": mean(f1 for _, f1 in found)}
    if any(answerable):
        metrics["has_answer_f1"] = mean(f1 for (_, f1), has in zip(found, answerable, strict=True) if has)
    if not all(answerable):
        metrics["no_answer_accuracy"] = mean(
            em for (em, _), has in zip(found, answerable, strict=True) if not has
        )
    return metrics, [(em + f1) / 2 for em, f1 in found]


# -- tags ----------------------------------------------------------------------------------------------------


def chunks(tags: Iterable[str], seqeval: str = "1.2.2") -> set[tuple[str, int, int]]:
    """(type, first, last) of every chunk. seqeval reads the first letter as B, I, E, S or O, also of UPOS
    tags such as "SYM".

    1.2.2 takes as type what follows the letter and its hyphen, 0.0.12 what follows the last hyphen of the
    whole tag.
    """
    found, begin, before, kind_before = set(), 0, "O", ""
    for i, tag in enumerate([*tags, "O"]):
        letter = tag[0]
        kind = tag.split("-")[-1] if seqeval == "0.0.12" else tag[1:].split("-", 1)[-1] or "_"
        changed = kind != kind_before
        ends = before in "ES" or before in "BI" and letter in "BSO" or before not in "O." and changed
        starts = letter in "BS" or before in "ESO" and letter in "EI" or letter not in "O." and changed
        if ends:
            found.add((kind_before, begin, i - 1))
        if starts:
            begin = i
        before, kind_before = letter, kind
    return found


def rates(predicted: set, gold: set) -> dict[str, float]:
    """F1, precision and recall of a set; 0 where there is nothing to divide by."""
    right = len(predicted & gold)
    return {
        "f1": 200 * right / ((len(predicted) + len(gold)) or 1),
        "precision": 100 * right / (len(predicted) or 1),
        "recall": 100 * right / (len(gold) or 1),
    }


def corpus_f1(
    predictions: list[list[str]], golds: list[list[str]], seqeval: str = "1.2.2"
) -> dict[str, float]:
    """F1, precision and recall of the chunks of all sentences.

    seqeval reads the corpus as one sequence with an "O" after each sentence, and this matters: an "X" that
    begins a later sentence has the type of that "O", so it begins no chunk, and the next one to end reaches
    back to an earlier sentence.
    """
    said, gold = (
        chunks([t for s in sentences for t in (*s, "O")], seqeval) for sentences in (predictions, golds)
    )
    return rates(said, gold)


def sentence_f1(prediction: list[str], gold: list[str], seqeval: str) -> float:
    """Chunk F1 of one sentence; 100 when it has no chunk and gets none."""
    said, wanted = chunks(prediction, seqeval), chunks(gold, seqeval)
    return rates(said, wanted)["f1"] if said or wanted else 100.0


def tagging(*names: str, seqeval: str = "1.2.2") -> Protocol:
    """Chunk F1 of the corpus and token accuracy, those of them that are named; an instance is a sentence with
    its own first.
    """

    def score(predictions: list[list[str]], examples: list[dict], lang: str) -> Scored:
        golds = [e["tags"] for e in examples]
        right = [[a == b for a, b in zip(p, g, strict=True)] for p, g in zip(predictions, golds, strict=True)]
        metrics = {
            "f1": corpus_f1(predictions, golds, seqeval)["f1"],
            "accuracy": 100 * mean(x for s in right for x in s),
        }
        told = {name: x for name, x in metrics.items() if name in names}
        if names[0] == "accuracy":
            return told, [100 * mean(s) for s in right]
        return told, [sentence_f1(p, g, seqeval) for p, g in zip(predictions, golds, strict=True)]

    return score


# -- labels and retrieval ------------------------------------------------------------------------------------


def accuracy(predictions: list, examples: list[dict], lang: str) -> Scored:
    """Share of labels that are equal. Of tags: token accuracy, with the chunk F1 beside it."""
    if examples and "tags" in examples[0]:
        return tagging("accuracy", "f1")(predictions, examples, lang)
    right = [100.0 * (said == e["label"]) for said, e in zip(predictions, examples, strict=True)]
    return {"accuracy": mean(right)}, right


def average_precision(ranked: Sequence, gold: Sequence, k: int = 20) -> float:
    """Average precision (0-1) of the first k; an id that comes again is a miss. With one gold id: the
    reciprocal rank.
    """
    top = ranked[:k]
    hits = [rank for rank, x in enumerate(top) if x in gold and x not in top[:rank]]
    return sum((n + 1) / (rank + 1) for n, rank in enumerate(hits)) / min(len(gold), k)


def map20(predictions: list[Sequence], examples: list[dict], lang: str) -> Scored:
    """Mean average precision of the first 20. A prediction is a ranked list of ids; "gold" is an id or a set
    of them.
    """
    golds = [
        list(e["gold"]) if isinstance(e["gold"], set | frozenset | list | tuple) else [e["gold"]]
        for e in examples
    ]
    items = [100 * average_precision(said, gold) for said, gold in zip(predictions, golds, strict=True)]
    return {"map@20": mean(items)}, items


def pairs(predictions: list[Sequence], examples: list[dict], lang: str) -> Scored:
    """F1, precision and recall of a set of mined pairs; an instance is a gold pair that was found (100) or
    not (0).
    """
    said, gold = {tuple(p) for p in predictions}, [tuple(e["ids"]) for e in examples]
    return rates(said, set(gold)), [100.0 * (g in said) for g in gold]


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
    """The further protocols that score a task's predictions: of its own family, SQuAD 2's only where answers
    can be missing.
    """
    family = task.protocol.split("/")[0] + "/"
    if task.retrieves:
        return ()
    names = (n for n in PROTOCOLS if n.startswith(family) and n != task.protocol)
    return tuple(n for n in names if n != "qa/squad2" or task.no_answer)
