"""What the book shows of the micro-world: its languages' typology, glossed events in each, and rows of twins
of the targets, word by word.
"""

from collections import Counter

from .languages import CONTENT, FUNCTION, LANGUAGES, lexicon
from .splits import rows
from .tell import Teller, clause
from .world import Event, Thing

SHOWN_EVENTS = (
    Event("eat", Thing("Person0"), Thing("apple", "big"), Thing("kitchen"), "today"),
    Event("chase", Thing("dog"), Thing("horse"), Thing("Town0")),
    Event("help", Thing("teacher"), Thing("Person1"), negated=True),
)
TYPOLOGY = {
    "word order": lambda x: x.order, "adjective": lambda x: f"{x.adjective} noun",
    "adposition": lambda x: f"{x.adposition} noun",
    "case": lambda x: x.case or "none", "article": lambda x: "yes" if x.article else "no",
    "question word": lambda x: x.wh,
    "script": lambda x: x.script, "names in common": lambda x: f"{100 * x.names:.0f} %",
    "words in common": lambda x: f"{100 * x.words:.0f} %",
    "bilingual pages": lambda x: f"{100 * x.bilingual:.0f} %",
}  # fmt: skip


def gloss(event: Event, code: str) -> list[tuple[str, str]]:
    """An event in a language, word by word: (word, gloss). Names are glossed by their pivot form."""
    tokens, pivot = clause(code, event), Teller("en").words
    meanings = [
        pivot[token.concept] if token.entity != "O" else token.concept.strip("<>") for token in tokens
    ]
    return [
        (Teller(code).word(x), meaning + "-case" * x.marked)
        for x, meaning in zip(tokens, meanings, strict=True)
    ]


SAMPLES = 3  # rows of a task, or of each label, that are shown
READ = 60  # rows among which those are looked for
# targets of which twins are shown: how a column is called -> its name in the rows
SHOWN_COLUMNS = {
    "xnli": {"premise": "sentence1", "hypothesis": "sentence2", "label": "gold_label"},
    "xquad": {"context": "context", "question": "question", "answer": "answers"},
}


def meaning(text: str) -> str:
    """A text in the pivot language, word by word in English; names stay as they are."""
    words = lexicon()["en"]
    said = {words[concept]: concept for concept in (*FUNCTION, *CONTENT)}
    return " ".join(said.get(word, word) for word in text.split())


def samples(config: str, columns: dict[str, str]) -> list[list[str]]:
    """The first rows of a task in the pivot language, or of each of its labels, word by word in English."""
    found, counts = [], Counter[str]()
    for row in rows(config, "validation", "en", READ):
        given, asked, answer = (row[name] for name in columns.values())
        label = answer if isinstance(answer, str) else ""
        counts[label] += 1
        if counts[label] <= SAMPLES:
            found.append([meaning(given), meaning(asked), label or meaning(answer["text"][0])])
    return found


def twins(suffix: str) -> str:
    """Usual rows of inference and of question answering beside those of their twins with this suffix."""
    parts = []
    for name, columns in SHOWN_COLUMNS.items():
        table = [["rows", *columns], ["---"] * 4]
        for told, config in (("usual", name), (suffix.removeprefix("_"), name + suffix)):
            table += [[told, *row] for row in samples(config, columns)]
        parts.append(f"**`{name}`**\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in table))
    return "\n".join(parts)


def pages() -> dict[str, str]:
    """File name -> Markdown of the generated parts of the book's pages on the micro-world."""
    header = ["", *(f"{language.name} `{language.code}`" for language in LANGUAGES.values())]
    table = [
        header,
        ["---"] * len(header),
        *([f"**{what}**", *map(say, LANGUAGES.values())] for what, say in TYPOLOGY.items()),
    ]
    lines = [f"| {' | '.join(row)} |" for row in table]
    events = []
    for number, event in enumerate(SHOWN_EVENTS, 1):
        events += [f"**Event {number}**", "", "| language | told, and word by word |", "|---|---|"]
        for language in LANGUAGES.values():
            words, meanings = zip(*gloss(event, language.code), strict=True)
            events.append(f"| {language.name} | {' '.join(words)}<br>*{' · '.join(meanings)}* |")
        events.append("")
    return {
        "micro_languages.md": "\n".join(lines) + "\n",
        "micro_events.md": "\n".join(events),
        "micro_shift.md": twins("_shift"),
        "micro_adversarial.md": twins("_adversarial"),
    }
