"""MultiCheckList, XTREME-R's six tests of question answering: cases made from translated templates.

Source: google-research/xtreme@838c13b, multichecklist/ (behaviour). There are 200 cases for each test. The
official suites were drawn with another random state and longer lists of names, and they branch by language
where `fits` applies one rule, so our cases are the same in kind, but not one by one. Answers that do not
appear literally in their context are left out, because a span reader cannot give them.
"""

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
# tests with male names only: many languages inflect words about a person, and the templates use male forms
MALE = ("comparison", "intensifiers", "profession")
CASES = 200  # per test and language
QUESTIONS_PER_CASE = 32  # questions asked by one case of each test, added over the tests
TRIES = 20  # draws per case, because some draws have no translation

Translation = tuple[str, str]  # a translation, and the English fillers it is for; "" = all
Line = tuple[str, list[Translation]]  # the English text, and its translations


def checks(templates: list[Row], lang: str, n: int) -> list[Row]:
    """MultiCheckList's questions, at most about `n` of them; 0 = all.

    A single wrong answer fails a case, so the limit leaves out whole cases.
    """
    return cases(templates, lang, max(1, n // QUESTIONS_PER_CASE) if n else CASES)


def cases(templates: list[dict], lang: str, n: int = CASES) -> list[dict]:
    """Rows {id, test, context, question, answers: {text, answer_start}} of `n` cases of each test.

    The id is "<test>-<case>-<question of the case>". A case of the same number has the same fillers in every
    language.
    `templates`: the rows of the table of templates; a language's further columns are "de.1",
    "de-placeholders.1", "de.2", ...

    Raises: Bad when the templates lack the language.
    """
    if lang not in templates[0]:
        available = ", ".join(column for column in templates[0] if column.isalpha() and column.islower())
        raise Bad(f"multichecklist: no templates in {lang!r}; there are: {available}")
    tests, rows = blocks(templates, lang), []
    tests["bought"] = {
        **tests["bought"],
        **{field: tests["animal"][field] for field in ("animal", "vehicle")},
    }
    for test, block in tests.items():
        drawn = (case(test, block, lang, k) for k in range(TRIES * n))
        rows += [
            row for _, case_rows in zip(range(n), filter(None, drawn), strict=False) for row in case_rows
        ]
    return rows


def blocks(templates: list[dict], lang: str) -> dict[str, dict[str, list[Line]]]:
    """The lines of a table of templates, by test and by field (Context, Question, Answer, adj, obj, ...)."""
    tests: dict[str, dict[str, list[Line]]] = {}
    block: dict[str, list[Line]] = {}  # of the test that a line belongs to
    suffixes = [
        column.removeprefix(lang) for column in templates[0] if re.fullmatch(rf"{lang}(\.\d+)?", column)
    ]
    for row in templates:
        field, english = row["Field"].strip(), row["en"].strip()
        if field == "Name":
            block = tests[TESTS[english]] = defaultdict(list)
        elif field and field != "Capability":
            # Burmese has an English article: {a:vehicle}
            texts = [re.sub(r"{\w+:", "{", row[lang + suffix].strip()) for suffix in suffixes]
            cells = [
                (text, (row.get(f"{lang}-placeholders{suffix}") or "").strip())
                for suffix, text in zip(suffixes, texts, strict=True)
            ]
            block[field].append((english, cells))
    return tests


def case(test: str, block: dict[str, list[Line]], lang: str, k: int) -> list[dict]:
    """The rows of a test's k-th draw in a language; [] when something that was drawn has no translation."""
    draw = random.Random(f"{test} {k}")
    lines = {
        field: draw.choice(options)
        for field, options in block.items()
        if field not in ("Context", "Question", "Answer", "property")
    }
    if test == "properties":
        one, two = draw.sample(block["property"], 2)
        lines = {"obj": lines["obj"], "p.p1": one, "p.v1": lines[one[0]], "p.p2": two, "p.v2": lines[two[0]]}
    people = draw.sample(names(lang, test in MALE), 3)
    chosen = {field: english_words(english) for field, (english, _) in lines.items()}
    placeholders = {
        field: {word for english, _ in options for word in english_words(english)}
        for field, options in block.items()
    }
    rows = []
    for context in block["Context"]:
        for question, answer in zip(block["Question"], block["Answer"], strict=True):
            fillers = chosen | {"Context": english_words(context[0])}
            texts = {field: choose(line, fillers, placeholders) for field, line in lines.items()}
            prompt = [
                choose(line, fillers | {"property": properties(line[0], chosen)}, placeholders)
                for line in (context, question)
            ]
            if all(texts.values()) and all(prompt):
                values = dict(zip(("first_name", "first_name1", "first_name2"), people, strict=True)) | slots(
                    texts
                )
                rows += ask(*prompt, answer, values)
    return [{"id": f"{test}-{k}-{i}", "test": test, **row} for i, row in enumerate(rows)]


def ask(context: str, question: str, answer: Line, values: dict[str, str]) -> list[dict]:
    """The filled row, as a list of one; [] where no translation of the answer is in the context.

    The answer is the first translation that the context contains. Quechua has a second translation, kept in
    the placeholder cell, which counts too.
    """
    translation = next(
        (candidate for cell in answer[1] for candidate in cell if candidate and candidate in context), ""
    )
    start = len(filled_template(context[: context.index(translation)], values))
    text = filled_template(context, values)
    answers = {
        "text": [text[start : start + len(filled_template(translation, values))]],
        "answer_start": [start],
    }
    return (
        [{"context": text, "question": filled_template(question, values), "answers": answers}]
        if translation
        else []
    )


def properties(template: str, said: dict[str, set[str]]) -> set[str]:
    """The properties that a template of the test on properties is about."""
    return {
        name
        for i in "12"
        if f"{{p.p{i}}}" in template or f"{{p.v{i}}}" in template
        for name in said.get(f"p.p{i}", ())
    }


def english_words(english: str) -> set[str]:
    """The English words that a cell of placeholders names: "a sofa, the sofa" -> {"sofa"}."""
    return {
        re.sub(r"^(an?|the) ", "", name.strip(), flags=re.I) for name in english.split(",") if name.strip()
    }


def choose(line: Line, fillers: dict[str, set[str]], known: dict[str, set[str]]) -> str:
    """The first translation for these English fillers, else the first for all fillers, else ""."""
    english, cells = line
    # a German template asks for the first property where it should ask for the second
    numbers = set(re.findall(r"{p.p\d}", english))
    cells = [(text, whom) for text, whom in cells if text and set(re.findall(r"{p.p\d}", text)) <= numbers]
    suited = [text for text, whom in cells if whom and fits(english_words(whom), fillers, known)]
    return next(iter([*suited, *(text for text, whom in cells if not whom)]), "")


def fits(whom: set[str], fillers: dict[str, set[str]], known: dict[str, set[str]]) -> bool:
    """Whether a placeholder's fillers agree with the fillers that were drawn.

    For every field of which the placeholder names some fillers, it must name the one that was drawn.
    """
    named = [field for field in fillers if whom & known.get(field, set())]
    return bool(named) and all(whom & fillers[field] for field in named)


def slots(texts: dict[str, str]) -> dict[str, str]:
    """The values of the slots "adj[0]", "obj[1]", "p.v1", "s" and the like.

    A cell holds several forms of an adjective or object; they fill slots 0 to 2.
    """
    values = {"s" if field == "state" else field: text for field, text in texts.items()}
    for field in {"adj", "obj"} & set(texts):
        forms = [form for form in re.split(r"\s*[,،，၊]+\s*", texts[field]) if form]
        forms = forms if len(forms) > 1 else texts[field].split()  # Thai separates forms by spaces
        values |= {f"{field}[{i}]": forms[min(i, len(forms) - 1)] for i in range(3)}
    return values


def filled_template(template: str, values: dict[str, str]) -> str:
    """The template with its {slots} replaced by values; an object that begins a sentence gets a capital."""
    text = ""
    for i, piece in enumerate(re.split(r"{(.*?)}", template)):
        opens = i % 2 and piece.startswith("obj") and (not text or text.rstrip()[-1] in ".!?")
        filler = values[piece] if i % 2 else piece
        text += filler[:1].title() + filler[1:] if opens else filler
    return text


@lru_cache
def names(lang: str, male: bool) -> list[str]:
    """First names in a language, or English ones where there is no list.

    They are the most frequent in Wikidata (CC0), as CheckList 0.0.11 gathered them, one word each.
    """
    with open(PACKAGE / "first_names.csv", newline="", encoding="utf-8") as file:
        table = {(row["lang"], row["gender"]): row["names"].split() for row in csv.DictReader(file)}
    lang = lang if (lang, "male") in table else "en"
    return table[lang, "male"] + ([] if male else table[lang, "female"])
