"""A folder of predictions in XTREME's submission layout, scored as its official scorer does; and such a
folder written.

The layout: <folder>/<task>/test-<language>.tsv (QA and Mewsli-X .json, XCOPA .jsonl), the same for
predictions and for gold. Behaviour of google-research/xtreme@838c13b, evaluate.py: wherever that gives a
number, `score_folder` gives the same. Where it stops with a traceback (files that do not align, an answer
that is no string, no examples), `score_folder` raises Bad and names the place. So, as there: a missing answer
counts as wrong and stays in the denominator, an unknown id is ignored, a repeated key counts as its last
value, blank lines are examples (of tags: an empty sentence), a line is stripped and then compared whole
(columns and a byte-order mark included), equal lines of BUCC count once.
"""

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ..design.tasks import TASKS
from ..machine import files
from ..machine.errors import Bad
from .protocols import PROTOCOLS, corpus_f1, mean

# -- evaluate.py's tables ------------------------------------------------------------------------------------

XTREME = {
    "pawsx": "de en es fr ja ko zh",
    "xnli": "ar bg de el en es fr hi ru sw th tr ur vi zh",
    "udpos": "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi "
    "yo zh",
    "panx": "af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru sw "
    "ta te th tl tr ur vi yo zh",
    "xquad": "ar de el en es hi ru th tr vi zh",
    "mlqa": "ar de en es hi vi zh",
    "tydiqa": "ar bn en fi id ko ru sw te",
    "bucc2018": "de fr ru zh",
    "tatoeba": "af ar bg bn de el es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr nl pt ru sw ta te "
    "th tl tr ur vi zh",
}
# XTREME-R's table has Wolof for UD-POS, which its training script lacks, and LAReQA with no language and no
# scorer. So a folder "lareqa" is not read and the overall score, which needs every task, is never there (the
# official script stops). XCOPA counts in two groups.
ADDED = {
    "xnli": "", "xcopa": "et ht id it qu sw ta th tr vi zh", "udpos": "lt pl ro uk wo",
    "panx": "az gu lt pa pl qu ro uk",
    "xquad": "ro", "mlqa": "", "tydiqa": "", "tatoeba": "az lt pl ro uk", "lareqa": "",
    "mewslix": "ar de en es fa ja pl ro ta tr uk",
}  # fmt: skip
LANGS: dict[str, dict[str, list[str]]] = {
    "xtreme": {task: langs.split() for task, langs in XTREME.items()},
    "xtreme-r": {task: f"{XTREME.get(task, '')} {langs}".split() for task, langs in ADDED.items()},
}
SHARED = {"tagging": ["udpos", "panx"], "qa": ["xquad", "mlqa", "tydiqa"]}
GROUPS: dict[str, dict[str, list[str]]] = {
    "xtreme": {"classification": ["pawsx", "xnli"], **SHARED, "retrieval": ["bucc2018", "tatoeba"]},
    "xtreme-r": {
        "classification": ["xnli", "xcopa"],
        **SHARED,
        "retrieval": ["tatoeba", "mewslix"],
        "multi_choice": ["xcopa"],
    },
}

# -- reading -------------------------------------------------------------------------------------------------


def read_text(path: Path) -> str:
    """Raises: Bad when the file is no UTF-8 text."""
    try:
        return path.read_text(encoding="utf-8")  # \r\n and \r are read as \n
    except UnicodeDecodeError as error:
        raise Bad(
            f"{path}: no UTF-8 text ({error.reason} at byte {error.start}); write it again as UTF-8"
        ) from None
    except OSError as error:
        raise Bad(f"{path}: cannot be read ({error.strerror}); put the file there again") from None


def stripped_lines(path: Path) -> list[str]:
    """Stripped lines; only a line feed or carriage return ends one."""
    text = read_text(path)
    return [line.strip() for line in text.removesuffix("\n").split("\n")] if text else []


def sentences(path: Path) -> list[list[str]]:
    """A tag a line, each sentence ended by a blank line."""
    found, current = [], []
    for line in stripped_lines(path):
        if line:
            current.append(line)
        else:
            found.append(current)
            current = []
    return [*found, current] if current else found


def labels(path: Path) -> list:
    """XCOPA: an object with the field "label" a line."""
    rows = [(f"{path}, line {n}", line) for n, line in enumerate(stripped_lines(path), 1)]
    return [field(parsed_prediction(line, where), "label", where) for where, line in rows]


# of JSON's types, what has an "in": evaluate.py finds no id in a list or a text, and goes on
HOLDERS = dict | list | str


def json_content(path: Path) -> dict | list | str:
    """What a JSON file holds, or its "data"."""
    held = parsed_prediction(read_text(path), str(path))
    held = held["data"] if isinstance(held, dict) and "data" in held else held
    return of_type(held, HOLDERS, f"{path} holds", "an object with an entry for each id, or SQuAD's form")


def parsed_prediction(text: str, where: str) -> Any:
    """Raises: Bad when the text is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Bad(f"{where}: no JSON ({error}); write it again") from None


def field(held: Any, name: str | int, where: str) -> Any:
    """Raises: Bad when `held` has no such field."""
    try:
        return held[name]
    except (LookupError, TypeError):
        raise Bad(f"{where}: {held!r:.60} has no field {name!r}; needed: one") from None


def of_type(value: Any, kind: Any, where: str, allowed: str) -> Any:
    """Raises: Bad when a value is of another type."""
    if not isinstance(value, kind):
        raise Bad(f"{where} {value!r:.60}; allowed: {allowed}")
    return value


# -- scoring one pair of files -------------------------------------------------------------------------------

Scorer = Callable[[Path, Path, str], dict[str, float]]  # (predictions, gold, language) -> metrics


def align(said: list, gold: list, files: tuple[Path, Path], unit: str) -> None:
    """Raises: Bad when there is nothing to score, or not one prediction for each gold `unit`."""
    if not gold or len(said) != len(gold):
        told = f"{files[0]}: {len(said)} {unit}s; {files[1]}: {len(gold)}"
        raise Bad(f"{told}; needed: one prediction for each {unit} of the gold file, which has at least one")


def classified(
    said: Path, gold: Path, lang: str, reader: Callable[[Path], list] = stripped_lines
) -> dict[str, float]:
    """Accuracy of a label a line."""
    predictions, golds = reader(said), reader(gold)
    align(predictions, golds, (said, gold), "line")
    return PROTOCOLS["accuracy"](predictions, [{"label": g} for g in golds], lang)[0]


def score_tags(said: Path, gold: Path, lang: str) -> dict[str, float]:
    """Entity F1 of tags, a token a line."""
    predictions, golds = sentences(said), sentences(gold)
    align(predictions, golds, (said, gold), "sentence")
    line = 1
    for p, g in zip(predictions, golds, strict=True):
        if len(p) != len(g):
            raise Bad(f"{said}: {len(p)} tags in the sentence at line {line}; needed: {len(g)}, as in {gold}")
        line += len(g) + 1
    return corpus_f1(predictions, golds)


def mined(said: Path, gold: Path, lang: str) -> dict[str, float]:
    """F1 of pairs of ids, a pair a line."""
    predictions, golds = ([line.split("\t") for line in stripped_lines(path)] for path in (said, gold))
    return PROTOCOLS["bucc/pairs"](predictions, [{"ids": pair} for pair in golds], lang)[0]


def score_answers(said: Path, gold: Path, lang: str, protocol: str = "qa/squad-en") -> dict[str, float]:
    """Exact match and F1 of answers by id, against gold in SQuAD's form."""
    given = json_content(said)
    rows = [replied(question, given, said, gold) for question in questions(gold)]
    if not rows:
        raise Bad(f"{gold}: no questions; needed: SQuAD's form, data > paragraphs > qas, with at least one")
    predictions, examples = zip(*rows, strict=True)
    return PROTOCOLS[protocol](predictions, examples, lang)[0]


def questions(path: Path) -> Iterator[dict]:
    """Every question of a file in SQuAD's form."""
    for article in json_content(path):
        for paragraph in of_type(
            field(article, "paragraphs", str(path)), HOLDERS, f"{path}: paragraphs is", "a list"
        ):
            yield from of_type(field(paragraph, "qas", str(path)), HOLDERS, f"{path}: qas is", "a list")


def replied(question: dict, given: dict | list | str, said: Path, gold: Path) -> tuple[str | None, dict]:
    """(answer given or None, example) of a question. As in evaluate.py, gold answers of one that got none are
    not looked at.
    """
    name = of_type(field(question, "id", str(gold)), str, f"{gold}: an id is", "a string")
    if name not in given:
        return None, {"answers": []}
    of = f"{name!r} is"
    reply = of_type(field(given, name, str(said)), str, f"{said}: the answer to {of}", "a string")
    answers = of_type(
        field(question, "answers", f"{gold}: {name!r}"), HOLDERS, f"{gold}: the answers of {of}", "a list"
    )
    texts = [
        of_type(field(a, "text", f"{gold}: {name!r}"), str, f"{gold}: a gold answer to {of}", "a string")
        for a in answers
    ]
    if not texts:
        raise Bad(f"{gold}: {name!r} has no gold answer; needed: at least one, or leave the question out")
    return reply, {"answers": [(0, t) for t in texts]}


def ranked(said: Path, gold: Path, lang: str) -> dict[str, float]:
    """A mention without a ranking counts as wrong; the first 20 count; white space is stripped from gold ids
    only.
    """
    form = "an object with a list of entity ids for each mention"
    given, golds = json_content(said), of_type(json_content(gold), dict, f"{gold} holds", form)
    given = of_type(given, dict, f"{said} holds", form) if golds else {}
    wanted = [field(ids, 0, f"{gold}: {name!r}") for name, ids in golds.items()]
    examples = [{"gold": of_type(x, str, f"{gold}: an entity is", "a string").strip()} for x in wanted]
    lists = [
        of_type(given.get(name, []), list | str, f"{said}: {name!r} has", "a list of entity ids")
        for name in golds
    ]
    return PROTOCOLS["map@20"](lists, examples, lang)[0]


SCORERS: dict[str, Scorer] = {
    "pawsx": classified, "xnli": classified, "xcopa": partial(classified, reader=labels), "udpos": score_tags,
    "panx": score_tags,
    "xquad": score_answers, "mlqa": partial(score_answers, protocol="qa/mlqa"), "tydiqa": score_answers,
    "bucc2018": mined,
    "tatoeba": classified, "mewslix": ranked,
}  # fmt: skip


def prediction_file(folder: Path, task: str, lang: str) -> Path:
    """The file of a task and language in the layout."""
    suffix = {"xcopa": "jsonl", "mewslix": "json"}.get(task, "json" if task in SHARED["qa"] else "tsv")
    return folder / task / f"test-{lang}.{suffix}"


# -- scoring a folder ----------------------------------------------------------------------------------------


LIST = "export.json"  # what an export says of itself
LISTED = {"scale": str, "runs": {"*": str}, "languages": {"*": [str]}, "files": {"*": str}, "sha256?": str}
UNLIST = "export again into a new folder, or delete the list to score whatever lies there"


def score_folder(
    submission: Path, gold: Path, benchmark: str = "xtreme", languages: list[str] | None = None
) -> dict:
    """{overall, groups, tasks: {task: {score, metrics: {metric: {lang: value}}}}}: of the tasks that are in
    both folders.

    Means over languages, then tasks; a QA task's score is the mean of EM and F1; overall is None unless every
    task is there. `languages`: the only ones to score; without them those that an export lists. A task with
    fewer than the benchmark has is "partial", names its "languages" and counts in no group and not in the
    overall score.

    Raises: Bad for an unknown benchmark or language, a missing folder or file, or a file that cannot be
    scored.
    """
    if benchmark not in LANGS:
        raise Bad(f"no benchmark {benchmark!r}; known: {', '.join(LANGS)}")
    for folder in (submission, gold):
        if not folder.is_dir():
            raise Bad(f"{folder}: no such folder; name one in the layout <folder>/<task>/test-<language>.tsv")
    there = [
        t for t in LANGS[benchmark] if t in SCORERS and (submission / t).is_dir() and (gold / t).is_dir()
    ]
    there = [t for t in there if t in of_one_export(submission, gold, there)]
    if not there:
        raise Bad(
            f"no task of {benchmark} in both {submission} and {gold}; known: {', '.join(LANGS[benchmark])}"
        )
    wanted = (
        chosen_languages(languages, there, benchmark)
        if languages is not None
        else exported_languages(submission, there, benchmark)
    )
    tasks = {task: one(submission, gold, task, wanted[task], len(LANGS[benchmark][task])) for task in there}
    full = {task for task, found in tasks.items() if not found.get("partial")}
    means = {
        name: mean(tasks[t]["score"] for t in of) for name, of in GROUPS[benchmark].items() if set(of) <= full
    }
    whole = full == set(LANGS[benchmark])
    return {
        "overall": mean(t["score"] for t in tasks.values()) if whole else None,
        "groups": means,
        "tasks": tasks,
    }


def listing(folder: Path) -> dict | None:
    """What an export says of itself; None for another folder.

    Raises: Bad for a damaged list.
    """
    file = folder / LIST
    return files.load(file, LISTED, UNLIST) if os.path.lexists(file) else None


def of_one_export(submission: Path, gold: Path, tasks: list[str]) -> list[str]:
    """The tasks of an export, of folders that are none all of them.

    Raises: Bad for a file of an export that was changed or came from another one, and for gold of another
    scale.
    """
    lists = {folder: told for folder in (submission, gold) if (told := listing(folder)) is not None}
    if len({told["scale"] for told in lists.values()}) > 1:
        scales = " and ".join(told["scale"] for told in lists.values())
        raise Bad(
            f"{submission} and {gold} are of the scales {scales}: their rows differ; export both from one run"
        )
    for folder, told in lists.items():
        for name in (name for name in told["files"] if name.split("/")[0] in tasks):
            if (folder / name).is_file() and files.sha256(folder / name) != told["files"][name]:
                raise Bad(f"{folder / name}: not the file that {folder / LIST} lists; {UNLIST}")
        tasks = [task for task in tasks if task in told["languages"]]
    return tasks


def chosen_languages(languages: list[str], tasks: list[str], benchmark: str) -> dict[str, list[str]]:
    """The languages of each task among those that a person named.

    Raises: Bad for an unknown one, and for a task that has none of them.
    """
    known = {lang: None for task in LANGS[benchmark].values() for lang in task}
    if wrong := [lang for lang in languages if lang not in known]:
        raise Bad(f"language {wrong[0]!r}; allowed: {', '.join(sorted(known))}")
    found = {task: [lang for lang in LANGS[benchmark][task] if lang in languages] for task in tasks}
    if none := [task for task, langs in found.items() if not langs]:
        has = ", ".join(LANGS[benchmark][none[0]])
        raise Bad(
            f"{none[0]} has none of the languages {', '.join(languages)}; it has {has}: name one of these too"
        )
    return found


def exported_languages(submission: Path, tasks: list[str], benchmark: str) -> dict[str, list[str]]:
    """The languages of each task: all, or those that the submission's own list has.

    Raises: Bad for a damaged list, or one with a language that the task lacks.
    """
    found = {task: LANGS[benchmark][task] for task in tasks}
    if not (submission / LIST).exists():
        return found
    told = listing(submission)["languages"]
    for task in (task for task in tasks if task in told):
        if not told[task] or not set(told[task]) <= set(found[task]):
            got, has = ", ".join(told[task]) or "none", ", ".join(found[task])
            said = f"{submission / LIST}: languages of {task}: {got}"
            raise Bad(f"{said}; allowed in {benchmark}: {has}; export another scale")
        found[task] = [lang for lang in found[task] if lang in told[task]]
    return found


def one(submission: Path, gold: Path, task: str, langs: list[str], of: int) -> dict:
    """A task's score and its metrics by language; `of`: how many languages the benchmark has."""
    pairs = {
        lang: (prediction_file(submission, task, lang), prediction_file(gold, task, lang)) for lang in langs
    }
    missing = [str(path) for both in pairs.values() for path in both if not path.exists()]
    if missing:
        needed = f"{', '.join(langs)}; --languages scores those that are there"
        raise Bad(f"{missing[0]} is missing, {len(missing)} files of {task} in all; needed: {needed}")
    found = {lang: SCORERS[task](*both, lang) for lang, both in pairs.items()}
    metrics = {m: {lang: values[m] for lang, values in found.items()} for m in next(iter(found.values()))}
    means = {m: mean(values.values()) for m, values in metrics.items()}
    headline = (
        (means["exact_match"] + means["f1"]) / 2 if "exact_match" in means else next(iter(means.values()))
    )
    partial = {"partial": True, "languages": langs, "of": of} if len(langs) < of else {}
    return {"score": headline, "metrics": metrics} | partial


def unread(submission: Path, scores: dict) -> list[str]:
    """What lies in a submission and has no part in its scores: unknown folders, files of another name."""
    found = []
    for path in sorted(p for p in submission.iterdir() if not p.name.startswith(".") and p.name != LIST):
        if path.name not in scores["tasks"] or not path.is_dir():
            found.append(path.name + "/" * path.is_dir())
            continue
        langs = next(iter(scores["tasks"][path.name]["metrics"].values()))
        read = {prediction_file(submission, path.name, lang).name for lang in langs}
        names = sorted(p.name for p in path.iterdir() if not p.name.startswith("."))
        found += [f"{path.name}/{name}" for name in names if name not in read]
    return found


def score_table(scores: dict) -> list[dict]:
    """Rows to print: a metric of a task with its mean and languages, then the tasks', groups' and overall
    scores.
    """
    rows = [
        {
            "task": task,
            "metric": m,
            "mean": mean(by.values()),
            "languages": [f"{lang} {x:.1f}" for lang, x in by.items()],
        }
        for task, found in scores["tasks"].items()
        for m, by in found["metrics"].items()
    ]
    rows += [
        {"task": task, "metric": scored(found), "mean": found["score"]}
        for task, found in scores["tasks"].items()
    ]
    rows += [{"task": name, "metric": "group score", "mean": x} for name, x in scores["groups"].items()]
    return [*rows, {"task": "overall", "metric": "score", "mean": scores["overall"]}]


def scored(found: dict) -> str:
    """What a task's score is: "score", or "score (partial: 3 of 15 languages)"."""
    return (
        f"score (partial: {len(found['languages'])} of {found['of']} languages)"
        if found.get("partial")
        else "score"
    )


# -- writing -------------------------------------------------------------------------------------------------

FOLDERS = {"bucc": "bucc2018"}  # our name of a task -> its folder


def called(task: str) -> str:
    """The folder of a task."""
    return FOLDERS.get(task, task)


GOLD: dict[str, Callable[[int, dict], Any]] = {
    "udpos": lambda i, e: e["tags"], "panx": lambda i, e: e["tags"], "bucc2018": lambda i, e: e["ids"],
    "tatoeba": lambda i, e: i, "mewslix": lambda i, e: [e["entity"]],
}  # fmt: skip
LINE: dict[str, Callable[[Any], str]] = {
    "xnli": lambda x: TASKS["xnli"].labels[x], "xcopa": lambda x: json.dumps({"label": x}),
    "bucc2018": "\t".join,
    "udpos": lambda x: "\n".join([*x, ""]), "panx": lambda x: "\n".join([*x, ""]),
}  # fmt: skip


def write_predictions(folder: Path, task: str, lang: str, what: list | None, examples: list[dict]) -> Path:
    """One file of the layout: predictions, or the examples' gold where `what` is None.

    A prediction is what its protocol takes: a label's index, tags, a text, a ranked list of ids; a pair of
    ids, as many as were mined; for Tatoeba the index of the nearest sentence. None (no answer, a pair that
    was not kept) is left out.

    Raises: Bad for a task that the layout lacks, or for ids that repeat (a file keyed by id would lose an
    example).
    """
    name = called(task)
    if name not in SCORERS:
        raise Bad(f"no place for task {task!r} in a submission; known: {', '.join(SCORERS)}")
    path = prediction_file(folder, name, lang)
    path.parent.mkdir(parents=True, exist_ok=True)
    if what is None and name not in SHARED["qa"]:
        gold = GOLD.get(name, lambda i, e: e["label"])
        what = [gold(i, e) for i, e in enumerate(examples)]
    if path.suffix == ".json":
        told = json.dumps(
            squad(examples) if what is None else keyed(what, examples, path), ensure_ascii=False
        )
    else:
        told = "".join(LINE.get(name, str)(x) + "\n" for x in what if x is not None)
    path.write_text(told, encoding="utf-8", newline="\n")
    return path


def keyed(what: list, examples: list[dict], path: Path) -> dict[str, Any]:
    """Predictions by the id of their example. Raises: Bad for ids that repeat."""
    ids = [e["id"] for e in examples]
    if len(set(ids)) < len(ids):
        raise Bad(
            f"{path}: {len(ids) - len(set(ids))} of {len(ids)} ids repeat; needed: an id for each example"
        )
    return {i: x for i, x in zip(ids, what, strict=True) if x is not None}


def squad(examples: list[dict]) -> dict:
    """SQuAD's form, a paragraph an example."""
    paragraphs = [
        {"context": e["context"], "qas": [{"id": e["id"], "question": e["question"], "answers": told}]}
        for e in examples
        for told in [[{"text": text, "answer_start": start} for start, text in e["answers"]]]
    ]
    return {"version": "1.1", "data": [{"title": "", "paragraphs": paragraphs}]}
