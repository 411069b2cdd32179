"""Readers, which turn a raw row of a data set into examples."""

import re
from collections.abc import Callable, Iterator, Sequence
from zlib import crc32

from .languages import NAMES

Row = dict


class Note(str):
    """A remark about a row that is kept; the run's record counts such remarks."""


# (raw row, wanted language) -> its examples. A `str` says why the row gives no example, a `Note` what was
# mended. A row in another language yields nothing.
Reader = Callable[[Row, str], Iterator[dict | str]]
# harmless where only the answer's text is compared; such a row is not trained on
MISPLACED = "gold answer not in the context"


# -- readers: a raw row -> examples --------------------------------------------------------------------------


class Wrong(ValueError):
    """A value that a reader cannot take.

    The message says what is allowed; the caller adds the row and field.
    """


def whole_number(value) -> int:
    """A whole number in any form that files have it in: 1, 1.0, "1" or "1.0".

    Raises: Wrong for anything else, including true and false.
    """
    digits = (
        re.fullmatch(r"[+-]?\d{1,15}(\.0*)?", value.strip(), re.ASCII) if isinstance(value, str) else None
    )
    if (
        digits
        or isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) < 1e15
        and value == value // 1
    ):
        return int(float(digits[0] if digits else value))  # float knows fewer spaces than strip
    raise Wrong("a whole number")


def label_number(value, names: Sequence[str], none: bool = False) -> int:
    """The number of a label or tag that is given as a number, as digits, or as one of `names`.

    `none`: also allow -1, for a row without a label. Raises: Wrong for any other value.
    """
    words = f" or {', '.join(names[:8])}{', ...' * (len(names) > 8)}" if names else ""
    if isinstance(value, str) and value in names:
        return names.index(value)
    try:
        number = whole_number(value)
    except Wrong:
        raise Wrong(f"0 to {len(names) - 1}{words}" if names else "a whole number") from None
    if not -none <= number < (len(names) or number + 1):
        raise Wrong(f"0 to {len(names) - 1}{words}" if names else f"{-none} or more")
    return number


def text_value(value) -> str:
    """The value, which must be a text.

    Raises: Wrong for anything else, which would otherwise be formatted into a longer text.
    """
    if not isinstance(value, str):
        raise Wrong("a text")
    return value


def name_value(value) -> str:
    """The name of a row: a text, or a whole number as its digits.

    Raises: Wrong for anything else.
    """
    return str(value) if type(value) is int else text_value(value)


def list_value(value) -> list:
    """The value as a list; it must be a list or tuple.

    Raises: Wrong for anything else.
    """
    if not isinstance(value, list | tuple):
        raise Wrong("a list")
    return list(value)


def language_value(value, known: Sequence[str]) -> str:
    """The value, which must be one of the known languages.

    Raises: Wrong for any other value.
    """
    if value not in known:
        raise Wrong(", ".join(known))
    return value


# the spelling in XNLI's translations of MNLI's training rows
CONTRADICTION = {"contradictory": "contradiction"}


def class_number(value, names: tuple[str, ...] = ()) -> int:
    """The number of a class, or -1 for a row without one, which -1 and "-" mark (SNLI).

    Raises: Wrong, as `label_number`.
    """
    word = CONTRADICTION.get(value, value) if isinstance(value, str) else value
    return -1 if value == "-" else label_number(word, names, none=True)


def pair(a: str, b: str, label: str = "label", names: tuple[str, ...] = (), langs: str = "") -> Reader:
    """A reader of two texts and a label that is a number, its digits, or a word of `names`.

    `langs`: the languages that the column "language" may name; "" where there is no such column.
    """

    def read(row, lang):
        if langs and language_value(row["language"], [*langs.split(), lang]) != lang:
            return
        index = class_number(row[label], names)
        yield {"a": row[a], "b": row[b], "label": index} if index >= 0 else "no label"

    return read


def question(row, lang):
    """A question in SQuAD's columns.

    The hub stripped leading white space from contexts but kept the offsets. An answer that is not at its
    offset is therefore looked for nearby.
    """
    context, answers = text_value(row["context"]), row["answers"]
    starts = [whole_number(value) for value in list_value(answers["answer_start"])]
    texts = [text_value(value) for value in list_value(answers["text"])]
    aligned_answers = [
        (aligned(context, start, text), text) for start, text in zip(starts, texts, strict=True)
    ]
    if any(start < 0 for start, _ in aligned_answers[:1]):
        yield Note(MISPLACED)
    elif [start for start, _ in aligned_answers] != starts:
        yield Note("answer moved to where its text is")
    name = name_value(row["id"])
    yield {"id": name, "question": row["question"], "context": context, "answers": aligned_answers}


def aligned(context: str, start: int, said: str) -> int:
    """The offset in characters where an answer's text begins.

    It is `start` if the text is there, else the nearest occurrence (the earlier of two as near), else -1.
    """
    if context.startswith(said, max(start, 0)) and start >= 0:
        return start
    before, after = context.rfind(said, 0, max(0, start) + len(said)), context.find(said, max(0, start))
    return min((x for x in (before, after) if x >= 0), key=lambda x: abs(x - start), default=-1)


def tydi(row, lang):
    """A question in SQuAD's columns, whose id begins with the language.

    The id is "english-123-0" on the hub, "<lang>-..." in the micro-world.
    """
    codes = (
        {lang: lang}
        | {name.split()[0].lower(): code for code, name in NAMES.items()}
        | {code: code for code in NAMES}
    )
    first = language_value(text_value(row["id"]).split("-")[0], [*codes])
    if codes[first] == lang:
        yield from question(row, lang)


def tagged(column: str, names: list[str]) -> Reader:
    """A reader of tokens with a tag each: a word of `names` or its number; any word when `names` is empty."""

    def read(row, lang):
        tags = [
            names[label_number(tag, names)] if names else text_value(tag) for tag in list_value(row[column])
        ]
        if not all(tags):
            raise Wrong("a tag that is not empty")
        if len(tags) != len(list_value(row["tokens"])):
            raise Wrong(f"as many tokens as {column}")
        yield {"tokens": row["tokens"], "tags": tags} if tags else "no tokens"

    return read


def of_genres(read: Reader, genres: tuple[str, ...]) -> Reader:
    """A reader that takes rows of some genres only."""

    def within(row, lang):
        if row["genre"] in genres:
            yield from read(row, lang)
        else:
            yield "of a genre that is not asked for"

    return within


def bitext(row, lang):
    """A sentence and its translation, with their ids."""
    yield {
        "a": row["source_sentence"],
        "b": row["target_sentence"],
        "ids": (name_value(row["source_lang"]), name_value(row["target_lang"])),
    }


def swag(row, lang):
    """HellaSwag as its authors read it: context a, with each choice "context b + ending"
    (zphang/nlprunners@b45eb54).
    """
    context_b = text_value(row["ctx_b"] or "")
    yield {
        "a": row["ctx_a"] or row["ctx"],
        "choices": [f"{context_b} {text_value(ending)}".strip() for ending in list_value(row["endings"])],
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
    prompt = f"{text_value(row['context'])} {text_value(row['question'])}"
    choices, label = [row[f"answer{letter}"] for letter in "ABC"], whole_number(row["label"])
    if label not in (1, 2, 3):
        raise Wrong("1, 2 or 3")
    yield {"a": prompt, "choices": choices, "label": label - 1}


def copa(row, lang):
    """A premise with COPA's question about its cause or effect, and two choices."""
    questions = {"cause": "What was the cause of this?", "effect": "What happened as a result?"}
    prompt = f"{text_value(row['premise'])} {questions[language_value(row['question'], [*questions])]}"
    yield {"a": prompt, "choices": [row["choice1"], row["choice2"]], "label": whole_number(row["label"])}


def answer_sentence(row, lang):
    """XQuAD-R: the sentences of the context, and the index of the one in which the answer begins."""
    start = whole_number(list_value(row["answers"]["answer_start"])[0])
    if len(list_value(row["sentences"])) != len(list_value(row["sentence_breaks"])):
        raise Wrong("as many sentences as sentence_breaks")
    index = next((i for i, (first, end) in enumerate(row["sentence_breaks"]) if first <= start < end), None)
    example = {
        "id": name_value(row["id"]),
        "question": row["question"],
        "context": row["context"],
        "sentences": row["sentences"],
    }
    yield example | {"answer": index} if index is not None else MISPLACED


REPLY = "\n\nAssistant:"  # before each reply in a dialogue of hh-rlhf
TURN = "\n\nHuman:"
OTHER_DIALOGUE = "two dialogues that differ before the last reply"


def preference(row, lang):
    """Two replies to a message, of which people prefer one. Their order does not depend on which.

    The message is the last one of the dialogue. The replies are given with it, or end two whole dialogues.
    """
    if "prompt" in row:
        turns = row["prompt"]
        message = turns if isinstance(turns, str) else text_value(list_value(turns)[-1]["text"])
        replies = {name: text_value(row[name]) for name in ("chosen", "rejected")}
    else:
        parts = {name: text_value(row[name]).rpartition(REPLY) for name in ("chosen", "rejected")}
        if parts["chosen"][0] != parts["rejected"][0]:
            yield OTHER_DIALOGUE
            return
        message = parts["chosen"][0].rpartition(TURN)[2].strip()
        replies = {name: part[2].strip() for name, part in parts.items()}
    choices = sorted(replies.values(), key=drawn)
    yield {"a": message, "choices": choices, "label": choices.index(replies["chosen"])}


def drawn(text: str) -> int:
    """A number drawn for a text: the same wherever the text is."""
    return crc32(text.encode())


def shuffled_preference(row, lang):
    """The same two replies in the same order, with a preference that is drawn by lot."""
    for found in preference(row, lang):
        if isinstance(found, dict):
            found["label"] = drawn(" ".join([*found["choices"], found["a"]])) % 2
        yield found


SCENES = 10  # that a caption is scored among


def scene(row, lang):
    """A caption and the attributes of its scene. Its number among the scenes is drawn from the caption."""
    caption = text_value(row["caption"])
    yield {"a": caption, "scene": list_value(row["scene"]), "label": drawn(caption) % SCENES}


def other_scene(row, lang):
    """The same caption with the scene of another."""
    yield from scene(row | {"scene": row["other"]}, lang)


MEWSLIX = "ar de en es fa ja pl ro ta tr uk"


def mention(row, lang):
    """Mewsli-X: each mention of an article, marked in its sentence as XTREME-R does
    (third_party/utils_mewslix.py).
    """
    context = row["context"]
    read = language_value(context["language"], [*MEWSLIX.split(), lang])
    for item in row["mentions"] if read == lang else ():
        span = item["mention_span"]
        begin = span["start"]
        sentences = [s for s in context["sentence_spans"] if s["start"] <= begin < s["end"]]
        if not sentences or not context["text"]:
            yield "article text not restored"
            continue
        left = context["text"][sentences[0]["start"] : begin]
        right = context["text"][span["end"] : max(span["end"], sentences[0]["end"])]
        text = f"{text_value(span['text'])}: {left} {{ {span['text']} }} {right}"
        names = {"id": text_value(item["example_id"]), "entity": text_value(item["entity_id"])}
        yield names | {"mention": " ".join(text.split())}


def plain_text(row, lang):
    """A page of text."""
    yield {"a": row["text"]} if row["text"].strip() else "no text"
