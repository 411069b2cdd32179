"""Scores a folder of predictions in XTREME's submission layout as its official scorer does, and writes such
folders.

The layout: <folder>/<task>/test-<language>.tsv (QA and Mewsli-X .json, XCOPA .jsonl), the same for
predictions and for gold. Behaviour of google-research/xtreme@838c13b, evaluate.py: wherever that gives a
number, `score_folder` gives the same. Where it stops with a traceback (files that do not align, an answer
that is no string, no examples), `score_folder` raises Bad and names the place. As in the official scorer, a
missing answer counts as wrong and stays in the denominator; an unknown id is ignored; the last value of a
repeated key counts; a blank line is an example (of tags: an empty sentence); a line is stripped and then
compared in full, columns and a byte-order mark included; and equal lines of BUCC count once.
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
# scorer. A folder "lareqa" is therefore not read. The overall score needs every task, so XTREME-R never has
# one (the official script stops). XCOPA counts in two groups.
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
    """The text of a file. Raises: Bad when it cannot be read or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")  # \r\n and \r are read as \n
    except UnicodeDecodeError as error:
        raise Bad(
            f"{path}: no UTF-8 text ({error.reason} at byte {error.start}); write it again as UTF-8"
        ) from None
    except OSError as error:
        raise Bad(f"{path}: cannot be read ({error.strerror}); put the file there again") from None


def stripped_lines(path: Path) -> list[str]:
    """The lines of a file, stripped. Only a line feed or a carriage return ends a line."""
    text = read_text(path)
    return [line.strip() for line in text.removesuffix("\n").split("\n")] if text else []


def sentences(path: Path) -> list[list[str]]:
    """The tags of each sentence of a file with one tag per line and a blank line after each sentence."""
    tag_lists, current = [], []
    for line in stripped_lines(path):
        if line:
            current.append(line)
        else:
            tag_lists.append(current)
            current = []
    return [*tag_lists, current] if current else tag_lists


def labels(path: Path) -> list:
    """The labels of XCOPA: each line is a JSON object with the field "label"."""
    rows = [(f"{path}, line {n}", line) for n, line in enumerate(stripped_lines(path), 1)]
    return [field(parsed_prediction(line, where), "label", where) for where, line in rows]


# the JSON types that support "in": evaluate.py finds no id in a list or a string, and continues
HOLDERS = dict | list | str


def json_content(path: Path) -> dict | list | str:
    """The content of a JSON file, or of its field "data" where there is one."""
    content = parsed_prediction(read_text(path), str(path))
    content = content["data"] if isinstance(content, dict) and "data" in content else content
    return of_type(content, HOLDERS, f"{path} holds", "an object with an entry for each id, or SQuAD's form")


def parsed_prediction(text: str, where: str) -> Any:
    """The value of a JSON text. Raises: Bad when it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Bad(f"{where}: no JSON ({error}); write it again") from None


def field(held: Any, name: str | int, where: str) -> Any:
    """A field of an object or a list. Raises: Bad when `held` has no such field."""
    try:
        return held[name]
    except (LookupError, TypeError):
        raise Bad(f"{where}: {held!r:.60} has no field {name!r}; needed: one") from None


def of_type(value: Any, kind: Any, where: str, allowed: str) -> Any:
    """The value itself. Raises: Bad when it is not of type `kind`."""
    if not isinstance(value, kind):
        raise Bad(f"{where} {value!r:.60}; allowed: {allowed}")
    return value


# -- scoring one pair of files -------------------------------------------------------------------------------

Scorer = Callable[[Path, Path, str], dict[str, float]]  # (predictions, gold, language) -> metrics


def align(said: list, gold: list, files: tuple[Path, Path], unit: str) -> None:
    """Raises: Bad when there is nothing to score, or not one prediction for each gold `unit`."""
    if not gold or len(said) != len(gold):
        counts = f"{files[0]}: {len(said)} {unit}s; {files[1]}: {len(gold)}"
        raise Bad(
            f"{counts}; needed: one prediction for each {unit} of the gold file, which has at least one"
        )


def classified(
    said: Path, gold: Path, lang: str, reader: Callable[[Path], list] = stripped_lines
) -> dict[str, float]:
    """Accuracy of files with one label per line."""
    predictions, golds = reader(said), reader(gold)
    align(predictions, golds, (said, gold), "line")
    return PROTOCOLS["accuracy"](predictions, [{"label": label} for label in golds], lang)[0]


def score_tags(said: Path, gold: Path, lang: str) -> dict[str, float]:
    """F1, precision and recall of chunks, from files with one tag per line.

    Raises: Bad when the files have different numbers of sentences or of tags in a sentence.
    """
    predictions, golds = sentences(said), sentences(gold)
    align(predictions, golds, (said, gold), "sentence")
    line = 1
    for p, g in zip(predictions, golds, strict=True):
        if len(p) != len(g):
            raise Bad(f"{said}: {len(p)} tags in the sentence at line {line}; needed: {len(g)}, as in {gold}")
        line += len(g) + 1
    return corpus_f1(predictions, golds)


def mined(said: Path, gold: Path, lang: str) -> dict[str, float]:
    """F1, precision and recall of files with one pair of ids per line."""
    predictions, golds = ([line.split("\t") for line in stripped_lines(path)] for path in (said, gold))
    return PROTOCOLS["bucc/pairs"](predictions, [{"ids": pair} for pair in golds], lang)[0]


def score_answers(said: Path, gold: Path, lang: str, protocol: str = "qa/squad-en") -> dict[str, float]:
    """Exact match and F1 of answers by id, against gold in SQuAD's form."""
    answers = json_content(said)
    rows = [replied(question, answers, said, gold) for question in questions(gold)]
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
    """(the answer given or None, the example) of a question.

    As in evaluate.py, the gold answers of a question that was not answered are not read.
    """
    name = of_type(field(question, "id", str(gold)), str, f"{gold}: an id is", "a string")
    if name not in given:
        return None, {"answers": []}
    subject = f"{name!r} is"
    reply = of_type(field(given, name, str(said)), str, f"{said}: the answer to {subject}", "a string")
    answers = of_type(
        field(question, "answers", f"{gold}: {name!r}"),
        HOLDERS,
        f"{gold}: the answers of {subject}",
        "a list",
    )
    texts = [
        of_type(
            field(answer, "text", f"{gold}: {name!r}"), str, f"{gold}: a gold answer to {subject}", "a string"
        )
        for answer in answers
    ]
    if not texts:
        raise Bad(f"{gold}: {name!r} has no gold answer; needed: at least one, or leave the question out")
    return reply, {"answers": [(0, text) for text in texts]}


def ranked(said: Path, gold: Path, lang: str) -> dict[str, float]:
    """Mean average precision of the first 20 entities of each mention. A mention without a ranking counts as
    wrong. White space is stripped from gold ids only.
    """
    form = "an object with a list of entity ids for each mention"
    rankings, golds = json_content(said), of_type(json_content(gold), dict, f"{gold} holds", form)
    rankings = of_type(rankings, dict, f"{said} holds", form) if golds else {}
    entities = [field(ids, 0, f"{gold}: {name!r}") for name, ids in golds.items()]
    examples = [
        {"gold": of_type(entity, str, f"{gold}: an entity is", "a string").strip()} for entity in entities
    ]
    lists = [
        of_type(rankings.get(name, []), list | str, f"{said}: {name!r} has", "a list of entity ids")
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


LIST = "export.json"  # the list of what was exported
LISTED = {"scale": str, "runs": {"*": str}, "languages": {"*": [str]}, "files": {"*": str}, "sha256?": str}
UNLIST = "export again into a new folder, or delete the list to score whatever lies there"


def score_folder(
    submission: Path, gold: Path, benchmark: str = "xtreme", languages: list[str] | None = None
) -> dict:
    """{overall, groups, tasks: {task: {score, metrics: {metric: {lang: value}}}}} of the tasks that both
    folders have.

    Scores are means over languages, then over tasks. A QA task's score is the mean of EM and F1. The overall
    score is None unless every task is present. `languages` limits what is scored; the default is the
    languages that an export lists, or all. A task with fewer languages than the benchmark has is "partial"
    and names its "languages"; it counts neither in a group nor in the overall score.

    Raises: Bad for an unknown benchmark or language, a missing folder or file, or a file that cannot be
    scored.
    """
    shared = shared_tasks(submission, gold, benchmark)
    task_langs = (
        chosen_languages(languages, shared, benchmark)
        if languages is not None
        else exported_languages(submission, shared, benchmark)
    )
    tasks = {
        task: one(submission, gold, task, task_langs[task], len(LANGS[benchmark][task])) for task in shared
    }
    complete = {task for task, result in tasks.items() if not result.get("partial")}
    means = {
        name: mean(tasks[t]["score"] for t in members)
        for name, members in GROUPS[benchmark].items()
        if set(members) <= complete
    }
    all_complete = complete == set(LANGS[benchmark])
    return {
        "overall": mean(t["score"] for t in tasks.values()) if all_complete else None,
        "groups": means,
        "tasks": tasks,
    }


def shared_tasks(submission: Path, gold: Path, benchmark: str) -> list[str]:
    """The tasks of a benchmark that both folders have and, where they are exports, list.

    Raises: Bad for an unknown benchmark or a missing folder, and where no task is left.
    """
    if benchmark not in LANGS:
        raise Bad(f"no benchmark {benchmark!r}; known: {', '.join(LANGS)}")
    for folder in (submission, gold):
        if not folder.is_dir():
            raise Bad(f"{folder}: no such folder; name one in the layout <folder>/<task>/test-<language>.tsv")
    known = LANGS[benchmark]
    both = [t for t in known if t in SCORERS and (submission / t).is_dir() and (gold / t).is_dir()]
    if not (shared := of_one_export(submission, gold, both)):
        raise Bad(f"no task of {benchmark} in both {submission} and {gold}; known: {', '.join(known)}")
    return shared


def listing(folder: Path) -> dict | None:
    """The list in the folder of an export; None where a folder has no list.

    Raises: Bad for a damaged list.
    """
    file = folder / LIST
    return files.load(file, LISTED, UNLIST) if os.path.lexists(file) else None


def of_one_export(submission: Path, gold: Path, tasks: list[str]) -> list[str]:
    """Those of the tasks that the exports list. For folders that are no exports, all of them.

    Raises: Bad for a file of an export that was changed or belongs to another export, and for gold of another
    scale.
    """
    listings = {folder: listed for folder in (submission, gold) if (listed := listing(folder)) is not None}
    if len({listed["scale"] for listed in listings.values()}) > 1:
        scales = " and ".join(listed["scale"] for listed in listings.values())
        raise Bad(
            f"{submission} and {gold} are of the scales {scales}: their rows differ; export both from one run"
        )
    for folder, listed in listings.items():
        for name in (name for name in listed["files"] if name.split("/")[0] in tasks):
            if (folder / name).is_file() and files.sha256(folder / name) != listed["files"][name]:
                raise Bad(f"{folder / name}: not the file that {folder / LIST} lists; {UNLIST}")
        tasks = [task for task in tasks if task in listed["languages"]]
    return tasks


def chosen_languages(languages: list[str], tasks: list[str], benchmark: str) -> dict[str, list[str]]:
    """The languages of each task that are among those asked for.

    Raises: Bad for an unknown language, and for a task that has none of them.
    """
    allowed = {lang: None for task in LANGS[benchmark].values() for lang in task}
    if unknown := [lang for lang in languages if lang not in allowed]:
        raise Bad(f"language {unknown[0]!r}; allowed: {', '.join(sorted(allowed))}")
    chosen = {task: [lang for lang in LANGS[benchmark][task] if lang in languages] for task in tasks}
    if empty := [task for task, langs in chosen.items() if not langs]:
        has = ", ".join(LANGS[benchmark][empty[0]])
        raise Bad(
            f"{empty[0]} has none of the languages {', '.join(languages)}; it has {has}: "
            "name one of these too"
        )
    return chosen


def exported_languages(submission: Path, tasks: list[str], benchmark: str) -> dict[str, list[str]]:
    """The languages of each task: those in the submission's list, or all where there is no list.

    Raises: Bad for a damaged list, or one with a language that the task lacks.
    """
    task_langs = {task: LANGS[benchmark][task] for task in tasks}
    if not (submission / LIST).exists():
        return task_langs
    listed = listing(submission)["languages"]
    for task in (task for task in tasks if task in listed):
        if not listed[task] or not set(listed[task]) <= set(task_langs[task]):
            got, allowed = ", ".join(listed[task]) or "none", ", ".join(task_langs[task])
            problem = f"{submission / LIST}: languages of {task}: {got}"
            raise Bad(f"{problem}; allowed in {benchmark}: {allowed}; export another scale")
        task_langs[task] = [lang for lang in task_langs[task] if lang in listed[task]]
    return task_langs


def one(submission: Path, gold: Path, task: str, langs: list[str], of: int) -> dict:
    """A task's score, and its metrics by language. `of`: how many languages the benchmark has for it.

    Raises: Bad for a missing file.
    """
    paths = {
        lang: (prediction_file(submission, task, lang), prediction_file(gold, task, lang)) for lang in langs
    }
    missing = [str(path) for pair in paths.values() for path in pair if not path.exists()]
    if missing:
        needed = f"{', '.join(langs)}; --languages scores those that are there"
        raise Bad(f"{missing[0]} is missing, {len(missing)} files of {task} in all; needed: {needed}")
    scores = {lang: SCORERS[task](*pair, lang) for lang, pair in paths.items()}
    metrics = {
        metric: {lang: values[metric] for lang, values in scores.items()}
        for metric in next(iter(scores.values()))
    }
    means = {metric: mean(values.values()) for metric, values in metrics.items()}
    headline = (
        (means["exact_match"] + means["f1"]) / 2 if "exact_match" in means else next(iter(means.values()))
    )
    coverage = {"partial": True, "languages": langs, "of": of} if len(langs) < of else {}
    return {"score": headline, "metrics": metrics} | coverage


def unread(submission: Path, scores: dict) -> list[str]:
    """What is in a submission but was not scored: unknown folders, and files with another name."""
    leftovers = []
    for path in sorted(
        entry for entry in submission.iterdir() if not entry.name.startswith(".") and entry.name != LIST
    ):
        if path.name not in scores["tasks"] or not path.is_dir():
            leftovers.append(path.name + "/" * path.is_dir())
            continue
        langs = next(iter(scores["tasks"][path.name]["metrics"].values()))
        scored_names = {prediction_file(submission, path.name, lang).name for lang in langs}
        names = sorted(entry.name for entry in path.iterdir() if not entry.name.startswith("."))
        leftovers += [f"{path.name}/{name}" for name in names if name not in scored_names]
    return leftovers


def score_table(scores: dict) -> list[dict]:
    """Rows to print: each metric of each task with its mean and its languages, then the scores of the tasks,
    of the groups and overall.
    """
    rows = [
        {
            "task": task,
            "metric": metric,
            "mean": mean(values.values()),
            "languages": [f"{lang} {value:.1f}" for lang, value in values.items()],
        }
        for task, result in scores["tasks"].items()
        for metric, values in result["metrics"].items()
    ]
    tasks, groups = scores["tasks"].items(), scores["groups"].items()
    rows += [{"task": task, "metric": scored(result), "mean": result["score"]} for task, result in tasks]
    rows += [{"task": name, "metric": "group score", "mean": value} for name, value in groups]
    return [*rows, {"task": "overall", "metric": "score", "mean": scores["overall"]}]


def scored(found: dict) -> str:
    """The label of a task's score: "score", or "score (partial: 3 of 15 languages)"."""
    return (
        f"score (partial: {len(found['languages'])} of {found['of']} languages)"
        if found.get("partial")
        else "score"
    )


# -- writing -------------------------------------------------------------------------------------------------

FOLDERS = {"bucc": "bucc2018"}  # our name of a task -> its folder in the layout


def called(task: str) -> str:
    """The name of a task's folder in the layout."""
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
    """Write one file of the layout and return its path: predictions, or the examples' gold if `what` is None.

    A prediction has the form that its protocol takes: a label's index, tags, a text or a ranked list of ids.
    For mined pairs it is a pair of ids, and there are as many as were mined. For Tatoeba it is the index of
    the nearest sentence. None (no answer, or a pair that was not kept) is not written.

    Raises: Bad for a task that the layout lacks, and for repeated ids, because a file keyed by id would lose
    an example.
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
        text = json.dumps(
            squad(examples) if what is None else keyed(what, examples, path), ensure_ascii=False
        )
    else:
        text = "".join(
            LINE.get(name, str)(prediction) + "\n" for prediction in what if prediction is not None
        )
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def keyed(what: list, examples: list[dict], path: Path) -> dict[str, Any]:
    """Predictions by the id of their example, without those that are None. Raises: Bad for repeated ids."""
    ids = [example["id"] for example in examples]
    if len(set(ids)) < len(ids):
        raise Bad(
            f"{path}: {len(ids) - len(set(ids))} of {len(ids)} ids repeat; needed: an id for each example"
        )
    return {i: prediction for i, prediction in zip(ids, what, strict=True) if prediction is not None}


def squad(examples: list[dict]) -> dict:
    """The examples in SQuAD's form, with one paragraph for each example."""
    paragraphs = [
        {
            "context": example["context"],
            "qas": [{"id": example["id"], "question": example["question"], "answers": answers}],
        }
        for example in examples
        for answers in [[{"text": text, "answer_start": start} for start, text in example["answers"]]]
    ]
    return {"version": "1.1", "data": [{"title": "", "paragraphs": paragraphs}]}
