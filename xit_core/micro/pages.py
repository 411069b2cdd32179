"""What the book shows of the micro-world: the languages' typology, and three events in all of them, with glosses."""

from .languages import LANGUAGES
from .tell import Teller, clause
from .world import Event, Thing

SHOWN = (
    Event("eat", Thing("Person0"), Thing("apple", "big"), Thing("kitchen"), "today"),
    Event("chase", Thing("dog"), Thing("horse"), Thing("Town0")),
    Event("help", Thing("teacher"), Thing("Person1"), negated=True),
)
COLUMNS = "language, code, order, adjective, adposition, case, article, question, script, names, words, bilingual"


def gloss(event: Event, code: str) -> list[tuple[str, str]]:
    """An event in a language, word by word: (word, gloss). Names are glossed by the pivot's."""
    tokens, pivot = clause(code, event), Teller("en").words
    meanings = [pivot[token.concept] if token.entity != "O" else token.concept.strip("<>") for token in tokens]
    return [(Teller(code).word(x), meaning + "-case" * x.marked) for x, meaning in zip(tokens, meanings, strict=True)]


def pages() -> dict[str, str]:
    """File name -> Markdown of the two generated parts of the book's page on the micro-world."""
    lines = ["| " + COLUMNS.replace(", ", " | ") + " |", "|" + "---|" * 12]
    for x in LANGUAGES.values():
        shares = (f"{100 * share:.0f} %" for share in (x.names, x.words, x.bilingual))
        fields = [x.name, f"`{x.code}`", x.order, f"{x.adjective} noun", f"{x.adposition} noun", x.case or "none"]
        fields += ["yes" if x.article else "no", x.wh, x.script, *shares]
        lines.append("| " + " | ".join(fields) + " |")
    events = []
    for n, event in enumerate(SHOWN, 1):
        events += [f"**Event {n}**", "", "| language | told, and word by word |", "|---|---|"]
        for x in LANGUAGES.values():
            words, meanings = zip(*gloss(event, x.code), strict=True)
            events.append(f"| {x.name} | {' '.join(words)}<br>*{' · '.join(meanings)}* |")
        events.append("")
    return {"micro_languages.md": "\n".join(lines) + "\n", "micro_events.md": "\n".join(events)}
