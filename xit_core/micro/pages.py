"""What the book shows of the micro-world: its languages' typology, and three glossed events in each."""

from .languages import LANGUAGES
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


def pages() -> dict[str, str]:
    """File name -> Markdown of the two generated parts of the book's page on the micro-world."""
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
    return {"micro_languages.md": "\n".join(lines) + "\n", "micro_events.md": "\n".join(events)}
