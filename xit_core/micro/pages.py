"""What the book shows of the micro-world: its languages' typology, glossed events in each, and rows of twins
of the targets, word by word.
"""

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


SAMPLES = 5  # rows of a twin that are shown
# columns that say what a row gives, what it asks, and the answer
SHOWN_COLUMNS = {
    "sentence1": ("sentence1", "sentence2", "gold_label"),
    "context": ("context", "question", "answers"),
}


def meaning(text: str) -> str:
    """A text in the pivot language, word by word in English; names stay as they are."""
    words = lexicon()["en"]
    said = {words[concept]: concept for concept in (*FUNCTION, *CONTENT)}
    return " ".join(said.get(word, word) for word in text.split())


def samples(config: str) -> str:
    """A Markdown table of the first rows of a task in the pivot language, word by word in English."""
    lines = ["| given | asked | answer |", "|---|---|---|"]
    for row in rows(config, "validation", "en", SAMPLES):
        given, asked, answer = (
            row[name] for name in SHOWN_COLUMNS[next(k for k in SHOWN_COLUMNS if k in row)]
        )
        answer = answer if isinstance(answer, str) else meaning(answer["text"][0])
        lines.append(f"| {meaning(given)} | {meaning(asked)} | {answer} |")
    return "\n".join(lines) + "\n"


def twins(suffix: str) -> str:
    """The samples of inference and of question answering that have this suffix."""
    return "\n".join(f"**`{name}{suffix}`**\n\n{samples(name + suffix)}" for name in ("xnli", "xquad"))


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
