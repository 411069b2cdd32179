"""Readers: a raw row of a data set becomes examples."""

import re
from collections.abc import Callable, Iterator, Sequence

from .languages import NAMES

Row = dict


class Note(str):
    """Something about a row that is counted in the run's record, though the row is kept."""


# (raw row, language wanted) -> its examples; a `str` says why it gives none, a `Note` what was mended;
# nothing at all when the row is of another language
Reader = Callable[[Row, str], Iterator[dict | str]]
# harmless where only its text is compared; such a row trains nothing
MISPLACED = "gold answer not in the context"


# -- readers: a raw row -> examples --------------------------------------------------------------------------


class Wrong(ValueError):
    """A value that a reader cannot take; the message says what is allowed. The row and the field are named by
    who reads.
    """


def whole_number(value) -> int:
    """A whole number as files hold it: 1, 1.0, "1" or "1.0".

    Raises: Wrong for anything else, true and false too.
    """
    whole = re.fullmatch(r"[+-]?\d{1,15}(\.0*)?", value.strip(), re.ASCII) if isinstance(value, str) else None
    if (
        whole
        or isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) < 1e15
        and value == value // 1
    ):
        return int(float(value))
    raise Wrong("a whole number")


def label_number(value, names: Sequence[str], none: bool = False) -> int:
    """The number of a label or tag: itself, its digits, or its word; -1 (where `none`) for a row without one.

    Raises: Wrong.
    """
    words = f" or {', '.join(names[:8])}{', ...' * (len(names) > 8)}" if names else ""
    if isinstance(value, str) and value in names:
        return names.index(value)
    try:
        found = whole_number(value)
    except Wrong:
        raise Wrong(f"0 to {len(names) - 1}{words}" if names else "a whole number") from None
    if not -none <= found < (len(names) or found + 1):
        raise Wrong(f"0 to {len(names) - 1}{words}" if names else f"{-none} or more")
    return found


def text_value(value) -> str:
    """A text that becomes part of a longer one.

    Raises: Wrong.
    """
    if not isinstance(value, str):
        raise Wrong("a text")
    return value


def list_value(value) -> list:
    """A list, and nothing else that has parts.

    Raises: Wrong.
    """
    if not isinstance(value, list | tuple):
        raise Wrong("a list")
    return list(value)


def language_value(value, known: Sequence[str]) -> str:
    """A language of those that the rows are in.

    Raises: Wrong.
    """
    if value not in known:
        raise Wrong(", ".join(known))
    return value


# as the translations of MNLI's training rows that come with XNLI have it
CONTRADICTION = {"contradictory": "contradiction"}


def pair(a: str, b: str, label: str = "label", names: tuple[str, ...] = (), langs: str = "") -> Reader:
    """Two texts and a label that is a number, its digits, or a word of `names`; -1 and "-" mark a row without
    one (SNLI).

    `langs`: the languages of which the column "language" names each row's; "" where there is no such column.
    """

    def read(row, lang):
        if langs and language_value(row["language"], [*langs.split(), lang]) != lang:
            return
        got = row[label]
        index = (
            -1
            if got == "-"
            else label_number(CONTRADICTION.get(got, got) if isinstance(got, str) else got, names, none=True)
        )
        yield {"a": row[a], "b": row[b], "label": index} if index >= 0 else "no label"

    return read


def question(row, lang):
    """SQuAD's columns. The hub stripped contexts of leading white space and kept the offsets: an answer that
    is not where it should be is looked for around there."""
    context, answers = text_value(row["context"]), row["answers"]
    starts = [whole_number(x) for x in list_value(answers["answer_start"])]
    texts = [text_value(x) for x in list_value(answers["text"])]
    found = [(aligned(context, start, text), text) for start, text in zip(starts, texts, strict=True)]
    if any(start < 0 for start, _ in found[:1]):
        yield Note(MISPLACED)
    elif [start for start, _ in found] != starts:
        yield Note("answer moved to where its text is")
    yield {"id": row["id"], "question": row["question"], "context": context, "answers": found}


def aligned(context: str, start: int, said: str) -> int:
    """Where the text of an answer begins: at `start`, else at its occurrence nearest to it (the earlier of
    two), else -1.
    """
    if context.startswith(said, max(start, 0)) and start >= 0:
        return start
    before, after = context.rfind(said, 0, max(0, start) + len(said)), context.find(said, max(0, start))
    return min((x for x in (before, after) if x >= 0), key=lambda x: abs(x - start), default=-1)


def tydi(row, lang):
    """SQuAD's columns; the language stands in the id: "english-123-0" on the hub, "<lang>-..." in the
    micro-world.
    """
    known = (
        {lang: lang}
        | {name.split()[0].lower(): code for code, name in NAMES.items()}
        | {code: code for code in NAMES}
    )
    first = language_value(text_value(row["id"]).split("-")[0], [*known])
    if known[first] == lang:
        yield from question(row, lang)


def tagged(column: str, names: list[str]) -> Reader:
    """Tokens with a tag each: of `names` a word or its number, where there are none any word."""

    def read(row, lang):
        tags = [names[label_number(t, names)] if names else text_value(t) for t in list_value(row[column])]
        if len(tags) != len(list_value(row["tokens"])):
            raise Wrong(f"as many tokens as {column}")
        yield {"tokens": row["tokens"], "tags": tags} if tags else "no tokens"

    return read


def bitext(row, lang):
    """A sentence and its translation, with their ids."""
    yield {
        "a": row["source_sentence"],
        "b": row["target_sentence"],
        "ids": (row["source_lang"], row["target_lang"]),
    }


def swag(row, lang):
    """HellaSwag as the authors read it: context a, then each of "context b + ending"
    (zphang/nlprunners@b45eb54).
    """
    b = text_value(row["ctx_b"] or "")
    yield {
        "a": row["ctx_a"] or row["ctx"],
        "choices": [f"{b} {text_value(e)}".strip() for e in list_value(row["endings"])],
        "label": whole_number(row["label"]),
    }


def cosmos(row, lang):
    """CosmosQA: a context with its question, and four answers."""
    yield {
        "a": f"{text_value(row['context'])} {text_value(row['question'])}",
        "choices": [row[f"answer{i}"] for i in range(4)],
        "label": whole_number(row["label"]),
    }


def commonsense(row, lang):
    """CommonsenseQA: the answer is named by its letter."""
    choices = row["choices"]
    letters, texts = list_value(choices["label"]), list_value(choices["text"])
    if len(texts) != len(letters) or len(set(map(text_value, letters))) < len(letters):
        raise Wrong("a text for each letter, and each letter once")
    yield {
        "a": row["question"],
        "choices": texts,
        "label": letters.index(language_value(row["answerKey"], letters)),
    }


def jcommonsense(row, lang):
    """JCommonsenseQA: the answer is named by its number."""
    yield {"a": row["question"], "choices": row["choices"], "label": whole_number(row["label"])}


def social_iqa(row, lang):
    """Social IQa: three answers, named by 1, 2 or 3."""
    a = f"{text_value(row['context'])} {text_value(row['question'])}"
    choices, label = [row[f"answer{x}"] for x in "ABC"], whole_number(row["label"])
    if label not in (1, 2, 3):
        raise Wrong("1, 2 or 3")
    yield {"a": a, "choices": choices, "label": label - 1}


def copa(row, lang):
    """A premise with COPA's question for its cause or its effect, and two choices."""
    asked = {"cause": "What was the cause of this?", "effect": "What happened as a result?"}
    a = f"{text_value(row['premise'])} {asked[language_value(row['question'], [*asked])]}"
    yield {"a": a, "choices": [row["choice1"], row["choice2"]], "label": whole_number(row["label"])}


def answer_sentence(row, lang):
    """XQuAD-R: the sentences of the context, and the index of the one in which the answer begins."""
    start = whole_number(list_value(row["answers"]["answer_start"])[0])
    if len(list_value(row["sentences"])) != len(list_value(row["sentence_breaks"])):
        raise Wrong("as many sentences as sentence_breaks")
    at = next((i for i, (first, end) in enumerate(row["sentence_breaks"]) if first <= start < end), None)
    told = {
        "id": row["id"],
        "question": row["question"],
        "context": row["context"],
        "sentences": row["sentences"],
    }
    yield told | {"answer": at} if at is not None else MISPLACED


MEWSLIX = "ar de en es fa ja pl ro ta tr uk"


def mention(row, lang):
    """Mewsli-X: each mention of an article, marked in its sentence as XTREME-R does
    (third_party/utils_mewslix.py).
    """
    context = row["context"]
    for each in (
        row["mentions"] if language_value(context["language"], [*MEWSLIX.split(), lang]) == lang else ()
    ):
        span = each["mention_span"]
        inside = [s for s in context["sentence_spans"] if s["start"] <= span["start"] < s["end"]]
        if not inside or not context["text"]:
            yield "article text not restored"
            continue
        left = context["text"][inside[0]["start"] : span["start"]]
        right = context["text"][span["end"] : max(span["end"], inside[0]["end"])]
        told = f"{text_value(span['text'])}: {left} {{ {span['text']} }} {right}"
        names = {"id": text_value(each["example_id"]), "entity": text_value(each["entity_id"])}
        yield names | {"mention": " ".join(told.split())}


def plain_text(row, lang):
    """A page of text."""
    yield {"a": row["text"]} if row["text"].strip() else "no text"
