"""What the book shows of the micro-world: the languages' typology, and three events in all of them, with glosses."""

from __future__ import annotations

from xit_core.micro.languages import LANGUAGES
from xit_core.micro.tell import Teller, clause, ended
from xit_core.micro.world import Event, Thing

SHOWN = (
    Event("eat", Thing("Person0"), Thing("apple", "big"), Thing("kitchen"), "today"),
    Event("chase", Thing("dog"), Thing("horse"), Thing("Town0")),
    Event("help", Thing("teacher"), Thing("Person1"), negated=True),
)


def gloss(event: Event, code: str) -> list[tuple[str, str]]:
    """An event in a language, word by word: (word, gloss). Names are glossed by the pivot's."""
    tell, pivot = Teller(code), Teller("en")
    out = []
    for token in ended(clause(code, event))[:-1]:
        meaning = pivot.words[token.concept] if token.entity != "O" else token.concept.strip("<>")
        out.append((tell.word(token), meaning + "-case" * token.marked))
    return out


def pages() -> dict[str, str]:
    """File name -> Markdown of the two generated parts of the book's page on the micro-world."""
    head = "language, code, order, adjective, adposition, case, article, question, script, names, words, bilingual"
    lines = ["| " + " | ".join(head.split(", ")) + " |", "|" + "---|" * 12]
    for x in LANGUAGES.values():
        shares = (f"{100 * share:.0f} %" for share in (x.names, x.words, x.bilingual))
        fields = (x.name, f"`{x.code}`", x.order, f"{x.adjective} noun", f"{x.adposition} noun", x.case or "none")
        lines.append("| " + " | ".join((*fields, "yes" if x.article else "no", x.wh, x.script, *shares)) + " |")
    events = []
    for n, event in enumerate(SHOWN, 1):
        events += [f"**Event {n}**", "", "| language | told, and word by word |", "|---|---|"]
        for x in LANGUAGES.values():
            words = gloss(event, x.code)
            events.append(f"| {x.name} | {' '.join(w for w, _ in words)}<br>*{' · '.join(m for _, m in words)}* |")
        events.append("")
    return {"micro_languages.md": "\n".join(lines) + "\n", "micro_events.md": "\n".join(events)}
