"""MultiCheckList, XTREME-R's six tests of question answering: cases made from translated templates."""

import csv
import random
import re
from collections import defaultdict
from functools import lru_cache

from ..design.readers import Row
from ..machine.errors import Bad
from ..machine.places import PACKAGE

TESTS = {
    "A is COMP than B. Who is more / less COMP?": "comparison",
    "Intensifiers (very, super, extremely) and reducers (somewhat, kinda, etc)?": "intensifiers",
    "size, shape, age, color": "properties",
    "Profession vs nationality": "profession",
    "Animal vs Vehicle": "animal",
    "Animal vs Vehicle v2": "bought",
}
# many languages inflect what is said of a person; templates say it of men
MALE = (
    "comparison",
    "intensifiers",
    "profession",
)
CASES = 200  # a test and language
QUESTIONS_PER_CASE = 32  # that one case of each test asks
TRIES = 20  # draws a case: some have no translation

Translation = tuple[str, str]  # a translation, and what it is for: English fillers, "" = all
Line = tuple[str, list[Translation]]  # the English text, and its translations


def checks(templates: list[Row], lang: str, n: int) -> list[Row]:
    """MultiCheckList's questions; a case fails by one wrong answer, so a cap leaves out whole cases."""
    return cases(templates, lang, max(1, n // QUESTIONS_PER_CASE) if n else CASES)


def cases(templates: list[dict], lang: str, n: int = CASES) -> list[dict]:
    """Rows {id, test, context, question, answers: {text, answer_start}}, the id "<test>-<case>-<question of
    the case>".

    `templates`: the rows of the table of templates; a language's further columns are "de.1",
    "de-placeholders.1", "de.2", ... The case of a number has the same fillers in every language.
    Raises: Bad when the templates lack the language.
    """
    if lang not in templates[0]:
        known = ", ".join(c for c in templates[0] if c.isalpha() and c.islower())
        raise Bad(f"multichecklist: no templates in {lang!r}; there are: {known}")
    found, rows = blocks(templates, lang), []
    found["bought"] = {**found["bought"], **{f: found["animal"][f] for f in ("animal", "vehicle")}}
    for test, block in found.items():
        made = (case(test, block, lang, k) for k in range(TRIES * n))
        rows += [row for _, some in zip(range(n), filter(None, made), strict=False) for row in some]
    return rows


def blocks(templates: list[dict], lang: str) -> dict[str, dict[str, list[Line]]]:
    """By test and field (Context, Question, Answer, adj, obj, ...) the lines of a table of templates."""
    found: dict[str, dict[str, list[Line]]] = {}
    suffixes = [c.removeprefix(lang) for c in templates[0] if re.fullmatch(rf"{lang}(\.\d+)?", c)]
    for row in templates:
        field, english = row["Field"].strip(), row["en"].strip()
        if field == "Name":
            block = found[TESTS[english]] = defaultdict(list)
        elif field and field != "Capability":
            # Burmese has an English article: {a:vehicle}
            texts = [re.sub(r"{\w+:", "{", row[lang + s].strip()) for s in suffixes]
            cells = [
                (text, (row.get(f"{lang}-placeholders{s}") or "").strip())
                for s, text in zip(suffixes, texts, strict=True)
            ]
            block[field].append((english, cells))
    return found


def case(test: str, block: dict[str, list[Line]], lang: str, k: int) -> list[dict]:
    """The k-th draw of a test in a language: its rows, none when something drawn has no translation."""
    draw = random.Random(f"{test} {k}")
    lines = {
        f: draw.choice(some)
        for f, some in block.items()
        if f not in ("Context", "Question", "Answer", "property")
    }
    if test == "properties":
        one, two = draw.sample(block["property"], 2)
        lines = {"obj": lines["obj"], "p.p1": one, "p.v1": lines[one[0]], "p.p2": two, "p.v2": lines[two[0]]}
    people = draw.sample(names(lang, test in MALE), 3)
    said = {f: english_words(english) for f, (english, _) in lines.items()}
    known = {f: {x for english, _ in some for x in english_words(english)} for f, some in block.items()}
    rows = []
    for context in block["Context"]:
        for question, answer in zip(block["Question"], block["Answer"], strict=True):
            fillers = said | {"Context": english_words(context[0])}
            texts = {f: choose(line, fillers, known) for f, line in lines.items()}
            asked = [
                choose(line, fillers | {"property": properties(line[0], said)}, known)
                for line in (context, question)
            ]
            if all(texts.values()) and all(asked):
                values = dict(zip(("first_name", "first_name1", "first_name2"), people, strict=True)) | slots(
                    texts
                )
                rows += ask(*asked, answer, values)
    return [{"id": f"{test}-{k}-{i}", "test": test, **row} for i, row in enumerate(rows)]


def ask(context: str, question: str, answer: Line, values: dict[str, str]) -> list[dict]:
    """The filled row. Of the translations of an answer (also Quechua's second, kept as a placeholder) the one
    in the context.
    """
    said = next((x for cell in answer[1] for x in cell if x and x in context), "")
    start = len(filled_template(context[: context.index(said)], values))
    text = filled_template(context, values)
    answers = {"text": [text[start : start + len(filled_template(said, values))]], "answer_start": [start]}
    return (
        [{"context": text, "question": filled_template(question, values), "answers": answers}] if said else []
    )


def properties(template: str, said: dict[str, set[str]]) -> set[str]:
    """The properties that a template of the test on properties is about."""
    return {
        x
        for i in "12"
        if f"{{p.p{i}}}" in template or f"{{p.v{i}}}" in template
        for x in said.get(f"p.p{i}", ())
    }


def english_words(english: str) -> set[str]:
    """What a cell of placeholders names: "a sofa, the sofa" -> {"sofa"}."""
    return {re.sub(r"^(an?|the) ", "", x.strip(), flags=re.I) for x in english.split(",") if x.strip()}


def choose(line: Line, fillers: dict[str, set[str]], known: dict[str, set[str]]) -> str:
    """The first translation that is for these English fillers, else the first that is for all, else ""."""
    english, cells = line
    # German asks for the first property where it should ask for the second
    numbers = set(re.findall(r"{p.p\d}", english))
    cells = [(text, whom) for text, whom in cells if text and set(re.findall(r"{p.p\d}", text)) <= numbers]
    suited = [text for text, whom in cells if whom and fits(english_words(whom), fillers, known)]
    return next(iter([*suited, *(text for text, whom in cells if not whom)]), "")


def fits(whom: set[str], fillers: dict[str, set[str]], known: dict[str, set[str]]) -> bool:
    """Whether, of every field of which a placeholder names some fillers, it names the one that was drawn."""
    named = [f for f in fillers if whom & known.get(f, set())]
    return bool(named) and all(whom & fillers[f] for f in named)


def slots(texts: dict[str, str]) -> dict[str, str]:
    """What stands for "adj[0]", "obj[1]", "p.v1", "s" and the like: a cell holds the forms of an adjective or
    object.
    """
    values = {"s" if f == "state" else f: text for f, text in texts.items()}
    for f in {"adj", "obj"} & set(texts):
        forms = [x for x in re.split(r"\s*[,،，၊]+\s*", texts[f]) if x]
        forms = forms if len(forms) > 1 else texts[f].split()  # Thai
        values |= {f"{f}[{i}]": forms[min(i, len(forms) - 1)] for i in range(3)}
    return values


def filled_template(template: str, values: dict[str, str]) -> str:
    """The template with values in the place of {slots}; an object that begins a sentence gets a capital."""
    text = ""
    for i, x in enumerate(re.split(r"{(.*?)}", template)):
        opens = i % 2 and x.startswith("obj") and (not text or text.rstrip()[-1] in ".!?")
        filler = values[x] if i % 2 else x
        text += filler[:1].title() + filler[1:] if opens else filler
    return text


@lru_cache
def names(lang: str, male: bool) -> list[str]:
    """First names in a language, English ones where there is no list: the most frequent of Wikidata (CC0), as
    CheckList 0.0.11 gathered them, one word each."""
    with open(PACKAGE / "first_names.csv", newline="", encoding="utf-8") as f:
        table = {(row["lang"], row["gender"]): row["names"].split() for row in csv.DictReader(f)}
    lang = lang if (lang, "male") in table else "en"
    return table[lang, "male"] + ([] if male else table[lang, "female"])
