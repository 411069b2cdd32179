"""`xit score` against numbers of XTREME's evaluate.py (tests/official.json), and folders in XTREME's layout:
read, written, and made of runs, scoring as the ledger says.
"""

import collections
import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from xit_core.data.reading import examples
from xit_core.design.run import Run
from xit_core.design.scales import SCALES, scale_of
from xit_core.design.tasks import TARGETS, TASKS, languages
from xit_core.ledger import predictions, results
from xit_core.machine.errors import Bad
from xit_core.metrics import submission
from xit_core.metrics.protocols import PROTOCOLS
from xit_core.report import export

OFFICIAL = json.loads((Path(__file__).parent / "official.json").read_text())["xtreme"]


def put(folder: Path, task: str, lang: str, text: str) -> Path:
    path = submission.prediction_file(folder, task, lang)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def scored(folder: Path, task: str, lang: str, said: str, gold: str) -> dict[str, float]:
    return submission.SCORERS[task](
        put(folder / "said", task, lang, said), put(folder / "gold", task, lang, gold), lang
    )


# -- the official numbers ------------------------------------------------------------------------------------


def test_every_file_scores_as_the_official_script_scored_it(tmp_path):
    wrong = [
        (task, lang, said, gold)
        for task, lang, said, gold, numbers in OFFICIAL["files"] + OFFICIAL["more"]
        if scored(tmp_path, task, lang, said, gold) != pytest.approx(numbers, abs=1e-9)
    ]
    assert not wrong


def test_the_stored_files_are_adversarial():
    said = "".join(s + g for _, _, s, g, _ in OFFICIAL["files"] + OFFICIAL["more"])
    for what in (
        "\r\n",
        "\ufeff",
        "\u00a0",
        "\u2028",
        "e\u0301",
        "é",
        "１",
        "ا",
        "ש",
        "\\n",
        "I-PER",
        "\t",
        "北",
        "unknown",
    ):
        assert what in said or json.dumps(what)[1:-1] in said, what
    values = [max(numbers.values()) for *_, numbers in OFFICIAL["files"]]
    assert sum(0 < x < 100 for x in values) > 0.8 * len(values)  # most could be got wrong in either direction


@pytest.mark.parametrize("benchmark", ["xtreme", "xtreme-r"])
def test_a_whole_folder_scores_as_the_official_script_scored_it(tmp_path, benchmark):
    for task, lang, said, gold, _ in OFFICIAL["files"]:
        put(tmp_path / "said", task, lang, said)
        put(tmp_path / "gold", task, lang, gold)
    found, official = (
        submission.score_folder(tmp_path / "said", tmp_path / "gold", benchmark),
        OFFICIAL["folders"][benchmark],
    )
    means = dict(official["scores"])
    assert found["overall"] == (
        pytest.approx(means.pop("all_task"), abs=1e-9) if benchmark == "xtreme" else None
    )
    assert found["groups"] == pytest.approx(means, abs=1e-9)
    assert {t: x["score"] for t, x in found["tasks"].items()} == pytest.approx(official["tasks"], abs=1e-9)
    json.dumps(found)
    numbers = {(task, lang): x for task, lang, _, _, x in OFFICIAL["files"]}
    for task, x in found["tasks"].items():
        for metric, by in x["metrics"].items():
            assert sorted(by) == sorted(submission.LANGS[benchmark][task])
            assert by == pytest.approx({lang: numbers[task, lang][metric] for lang in by}, abs=1e-9)


@pytest.mark.parametrize(("task", "lang", "said", "gold", "error"), OFFICIAL["stops"])
def test_what_stops_the_official_script_is_told_in_one_line_that_names_the_file(
    tmp_path, task, lang, said, gold, error
):
    with pytest.raises(Bad, match=f"test-{lang}") as raised:
        scored(tmp_path, task, lang, said, gold)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("task", "said", "gold", "told"),
    [
        ("udpos", "NOUN\n\nX\n", "NOUN\n\nX\nX\n", "1 tags in the sentence at line 3; needed: 2"),
        ("xnli", "1\n", "1\n0\n", "1 lines; .*gold.*: 2"),
        ("xnli", "", "", "at least one"),
        (
            "xquad",
            '{"q": 3}',
            '[{"paragraphs": [{"qas": [{"id": "q", "answers": [{"text": "x"}]}]}]}]',
            "answer to 'q' is 3",
        ),
        (
            "xquad",
            '{"q": "x"}',
            '[{"paragraphs": [{"qas": [{"id": "q", "answers": []}]}]}]',
            "'q' has no gold answer",
        ),
        (
            "xcopa",
            '{"label": 0}\n{"choice": 1}\n',
            '{"label": 0}\n{"label": 1}\n',
            "line 2: .* no field 'label'",
        ),
        ("mewslix", '{"m": null}', '{"m": ["Q1"]}', "'m' has None"),
    ],
)
def test_the_line_names_the_place(tmp_path, task, said, gold, told):
    with pytest.raises(Bad, match=told):
        scored(tmp_path, task, "en", said, gold)


def test_a_file_that_is_no_utf8_is_named(tmp_path):
    path = put(tmp_path, "xnli", "de", "")
    path.write_bytes(b"0\n\xff\n")
    with pytest.raises(Bad, match=r"test-de\.tsv: no UTF-8 text .* byte 2"):
        submission.stripped_lines(path)


# -- tables and means ----------------------------------------------------------------------------------------


def test_languages_are_those_of_the_declared_tasks_and_named_once():
    for task, langs in submission.LANGS["xtreme"].items():
        assert langs == TASKS["bucc" if task == "bucc2018" else task].langs.split()
    for table in submission.LANGS.values():
        assert all(len(langs) == len(set(langs)) for langs in table.values())
    sizes = {task: len(langs) for task, langs in submission.LANGS["xtreme-r"].items()}
    assert sizes == {
        "xnli": 15, "xcopa": 11, "udpos": 38, "panx": 48, "xquad": 12, "mlqa": 7, "tydiqa": 9, "tatoeba": 41,
        "lareqa": 0,
        "mewslix": 11,
    }  # fmt: skip


def test_every_task_that_has_languages_has_a_scorer_and_every_group_only_such():
    for benchmark, table in submission.LANGS.items():
        assert {task for task, langs in table.items() if langs} <= set(submission.SCORERS)
        grouped = collections.Counter(t for tasks in submission.GROUPS[benchmark].values() for t in tasks)
        assert set(grouped) <= set(submission.SCORERS)
        assert [t for t, n in grouped.items() if n > 1] == (["xcopa"] if benchmark == "xtreme-r" else [])


@pytest.mark.parametrize(("udpos", "overall"), [(72.6, 68.12), (73.8, 68.25)])
def test_means_are_those_of_the_published_table(tmp_path, monkeypatch, udpos, overall):
    """XLM-R's row as XTREME printed it: QA as F1 and EM, nine tasks of equal weight."""
    qa = {"xquad": (76.6, 60.8), "mlqa": (71.6, 53.2), "tydiqa": (65.1, 45.0)}
    row = {"xnli": 79.2, "pawsx": 86.4, "udpos": udpos, "panx": 65.4, "bucc2018": 66.0, "tatoeba": 57.3}
    metrics = {t: {"exact_match": em, "f1": f1} for t, (f1, em) in qa.items()} | {
        t: {"score": x} for t, x in row.items()
    }
    monkeypatch.setattr(
        submission, "SCORERS", {t: lambda said, gold, lang, x=x: x for t, x in metrics.items()}
    )
    for task, langs in submission.LANGS["xtreme"].items():
        for lang in langs:
            put(tmp_path, task, lang, "")
    found = submission.score_folder(tmp_path, tmp_path)
    assert round(found["overall"], 2) == overall
    assert found["groups"]["qa"] == pytest.approx((68.7 + 62.4 + 55.05) / 3)


def test_overall_and_groups_are_only_there_when_all_their_tasks_are(tmp_path):
    for lang in submission.LANGS["xtreme"]["xnli"]:
        put(tmp_path, "xnli", lang, "0\n")
    put(tmp_path, "notes", "en", "not read")
    found = submission.score_folder(tmp_path, tmp_path)
    assert found["overall"] is None and found["groups"] == {} and found["tasks"]["xnli"]["score"] == 100
    (tmp_path / "xnli/test-ur.tsv").unlink()
    with pytest.raises(Bad, match=r"test-ur\.tsv is missing, 2 files of xnli in all"):
        submission.score_folder(tmp_path, tmp_path)


def test_a_folder_that_cannot_be_scored_is_told(tmp_path):
    (tmp_path / "lareqa").mkdir()
    with pytest.raises(Bad, match="no benchmark 'glue'; known: xtreme, xtreme-r"):
        submission.score_folder(tmp_path, tmp_path, "glue")
    with pytest.raises(Bad, match="no such folder"):
        submission.score_folder(tmp_path, tmp_path / "gold")
    with pytest.raises(Bad, match="no task of xtreme-r in both"):
        submission.score_folder(tmp_path, tmp_path, "xtreme-r")


def test_the_table_has_every_metric_its_mean_and_the_scores(tmp_path):
    for lang in submission.LANGS["xtreme"]["bucc2018"]:
        put(tmp_path, "bucc2018", lang, "a\tb\n")
    rows = submission.score_table(submission.score_folder(tmp_path, tmp_path))
    assert [(r["task"], r["metric"], r["mean"]) for r in rows] == [
        ("bucc2018", "f1", 100), ("bucc2018", "precision", 100), ("bucc2018", "recall", 100),
        ("bucc2018", "score", 100),
        ("overall", "score", None),
    ]  # fmt: skip
    assert rows[0]["languages"] == ["de 100.0", "fr 100.0", "ru 100.0", "zh 100.0"]


# -- writing -------------------------------------------------------------------------------------------------


def made_up(task: str, r: random.Random) -> tuple[list, list[dict]]:
    """Predictions and examples of a task, right about half the time."""
    n = r.randint(1, 8)
    if task in ("udpos", "panx"):
        golds = [r.choices(TASKS[task].labels, k=r.randint(1, 6)) for _ in range(n)]
        return [[t if r.random() < 0.5 else r.choice(TASKS[task].labels) for t in g] for g in golds], [
            {"tags": g} for g in golds
        ]
    if task == "bucc":
        golds = [(f"de-{i}", f"en-{i}") for i in range(n)]
        return [g for g in golds if r.random() < 0.5] + [("de-0", "en-9")], [{"ids": g} for g in golds]
    if task == "mewslix":
        said = [[f"Q{r.randint(1, 9)}" for _ in range(25)] for _ in range(n)]
        return said, [{"id": f"m{i}", "entity": f"Q{r.randint(1, 9)}", "mention": "x"} for i in range(n)]
    if TASKS[task].kind == "span":
        texts = [
            " ".join(r.choices(["the lake", "lake", "É", "北京", "(1)", "…"], k=r.randint(1, 3)))
            for _ in range(n)
        ]
        examples = [
            {"id": f"q{i}", "context": t, "question": "?", "answers": [(0, t), (0, "x")]}
            for i, t in enumerate(texts)
        ]
        return [t if r.random() < 0.5 else r.choice(texts) for t in texts], examples
    labels = range(n) if task == "tatoeba" else range(2)
    golds = [i if task == "tatoeba" else r.choice(labels) for i in range(n)]
    return [r.choice(labels) for _ in golds], [{"label": g, "a": "x", "b": "y"} for g in golds]


EXPORTED = "xnli pawsx udpos panx xquad mlqa tydiqa bucc tatoeba xcopa mewslix".split()


@pytest.mark.parametrize("task", EXPORTED)
def test_an_exported_file_scores_as_its_predictions_do(tmp_path, task):
    name = submission.FOLDERS.get(task, task)
    protocol = {
        "udpos": "udpos/seqeval-1.2.2", "panx": "panx/iob2-f1", "xquad": "qa/squad-en",
        "tydiqa": "qa/squad-en",
        "mlqa": "qa/mlqa", "bucc": "bucc/pairs", "mewslix": "map@20",
    }.get(task, "accuracy")  # fmt: skip
    for seed in range(30):
        said, examples = made_up(task, random.Random(seed))
        paths = [
            submission.write_predictions(tmp_path / f, task, "zh", x, examples)
            for f, x in (("said", said), ("gold", None))
        ]
        found = submission.SCORERS[name](*paths, "zh")
        given = [e | {"gold": e.get("entity")} for e in examples]
        expected, _ = PROTOCOLS[protocol](said, given, "zh")
        shared = set(found) & set(expected)
        assert shared and {m: found[m] for m in shared} == pytest.approx(
            {m: expected[m] for m in shared}, abs=1e-9
        )


@pytest.mark.parametrize("task", ["xnli", "pawsx", "udpos", "bucc", "tatoeba", "xcopa", "mewslix"])
def test_exported_gold_scores_100_against_itself(tmp_path, task):
    _, examples = made_up(task, random.Random(3))
    path = submission.write_predictions(tmp_path, task, "zh", None, examples)
    found = submission.SCORERS[submission.FOLDERS.get(task, task)](path, path, "zh")
    assert next(iter(found.values())) == 100


def test_the_layout_is_that_of_the_official_examples(tmp_path):
    """As in mock_test_data of google-research/xtreme@838c13b: words for XNLI, digits for PAWS-X, indices for
    Tatoeba.
    """
    write = submission.write_predictions
    rows = [{"label": 2}, {"label": 0}]
    assert write(tmp_path, "xnli", "ar", None, rows).read_text() == "contradiction\nentailment\n"
    assert write(tmp_path, "pawsx", "de", [1, 0], rows).read_text() == "1\n0\n"
    assert write(tmp_path, "tatoeba", "af", None, rows).read_text() == "0\n1\n"
    assert write(tmp_path, "bucc", "de", [("de-1", "en-2")], []) == tmp_path / "bucc2018/test-de.tsv"
    assert (tmp_path / "bucc2018/test-de.tsv").read_text() == "de-1\ten-2\n"
    assert write(tmp_path, "udpos", "en", [["X", "NOUN"], ["VERB"]], []).read_text() == "X\nNOUN\n\nVERB\n\n"
    assert write(tmp_path, "xcopa", "et", [1], rows[:1]).name == "test-et.jsonl"


def test_what_is_not_there_is_left_out(tmp_path):
    questions = [{"id": i, "context": "", "question": "", "answers": [(0, "lake")]} for i in "ab"]
    assert json.loads(
        submission.write_predictions(tmp_path, "xquad", "en", [None, "lake"], questions).read_text()
    ) == {"b": "lake"}
    mined = [("de-1", "en-2"), None, ["de-3", "en-4"]]
    assert (
        submission.write_predictions(tmp_path, "bucc", "de", mined, []).read_text()
        == "de-1\ten-2\nde-3\ten-4\n"
    )


def test_a_task_without_a_place_and_a_repeated_id_are_refused(tmp_path):
    with pytest.raises(Bad, match="no place for task 'mnli'"):
        submission.write_predictions(tmp_path, "mnli", "en", [0], [{"label": 0}])
    row = {"id": "q", "context": "", "question": "", "answers": [(0, "")]}
    with pytest.raises(Bad, match="1 of 2 ids repeat"):
        submission.write_predictions(tmp_path, "xquad", "en", ["x", "y"], [row, row])


# -- a part of the languages ---------------------------------------------------------------------------------


@pytest.fixture
def whole(tmp_path):
    """The official files of every task, as a submission and as gold."""
    for task, lang, said, gold, _ in OFFICIAL["files"]:
        put(tmp_path / "said", task, lang, said)
        put(tmp_path / "gold", task, lang, gold)
    return tmp_path / "said", tmp_path / "gold"


def test_named_languages_are_scored_alone_and_such_tasks_count_in_no_mean(whole):
    full, part = (
        submission.score_folder(*whole),
        submission.score_folder(*whole, languages=["en", "de", "de"]),
    )
    assert part["overall"] is None and part["groups"] == {} and part["tasks"].keys() == full["tasks"].keys()
    for task, found in part["tasks"].items():
        langs = [lang for lang in submission.LANGS["xtreme"][task] if lang in ("de", "en")]
        assert found["partial"] is True and found["languages"] == langs
        for metric, by in found["metrics"].items():
            assert by == {lang: full["tasks"][task]["metrics"][metric][lang] for lang in langs}
    assert ("xnli", "score (partial: 2 of 15 languages)") in {
        (row["task"], row["metric"]) for row in submission.score_table(part)
    }
    assert submission.score_table(part)[-1] == {"task": "overall", "metric": "score", "mean": None}
    assert (
        submission.score_folder(
            *whole, languages=sorted({x for t in submission.LANGS["xtreme"].values() for x in t})
        )
        == full
    )


def test_a_task_with_all_of_its_languages_counts_though_another_has_not(whole):
    full, langs = submission.score_folder(*whole), submission.LANGS["xtreme"]["mlqa"]
    for task in ("pawsx", "bucc2018", "tydiqa"):
        for folder in whole:
            (folder / task).rename(folder.parent / f"{folder.name}-{task}")
    part = submission.score_folder(*whole, languages=langs)
    assert part["tasks"]["mlqa"] == full["tasks"]["mlqa"] and part["groups"] == {} and part["overall"] is None


@pytest.mark.parametrize(
    ("langs", "said"),
    [
        (["de", "xx"], "language 'xx'; allowed: .*, de, "),
        (["DE"], "language 'DE'"),
        ([""], "language ''"),
        (["it"], "has none of the languages it; it has "),
        ([], "has none of the languages"),
    ],
)
def test_languages_that_are_unknown_or_that_a_task_lacks_altogether_are_named(whole, langs, said):
    with pytest.raises(Bad, match=said) as error:
        submission.score_folder(*whole, languages=langs)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ("", "damaged .it is empty"),
        ("[]", "damaged .*needed: an object"),
        ('{"scale": "x", "runs": {}}', "'languages' is missing"),
        ('{"scale": "x", "runs": {}, "files": {}, "languages": {"xnli": "de"}}', "needed: a list"),
        (
            '{"scale": "x", "runs": {}, "files": {}, "languages": {"xnli": ["de", "zi"]}}',
            "languages of xnli: de, zi; allowed in xtreme: ar, bg",
        ),
        (
            '{"scale": "x", "runs": {}, "files": {}, "languages": {"xnli": []}}',
            "languages of xnli: none; allowed",
        ),
    ],
)
def test_a_damaged_list_of_an_export_is_named(whole, listed, said):
    (whole[0] / submission.LIST).write_text(listed)
    with pytest.raises(Bad, match=said) as error:
        submission.score_folder(*whole)
    assert submission.LIST in str(error.value) and "\n" not in str(error.value)


def test_what_lies_in_a_submission_and_was_not_read_is_listed(whole):
    for benchmark, table in submission.LANGS.items():
        found = submission.unread(whole[0], submission.score_folder(*whole, benchmark))
        there = {f"{t}/{p.name}" for t in table if (whole[0] / t).is_dir() for p in (whole[0] / t).iterdir()}
        read = {
            f"{t}/{submission.prediction_file(whole[0], t, lang).name}"
            for t, langs in table.items()
            for lang in langs
        }
        folders = {p.name + "/" for p in whole[0].iterdir()} - {f"{t}/" for t in table}
        assert sorted(found) == sorted(there - read | folders)
    said = whole[0]
    names = "bucc/test-de.tsv notes.txt xnli/test_de.tsv xnli/test-de.tsv.gz xnli/.x .git/y panx/sub/z"
    for name in names.split():
        (said / name).parent.mkdir(exist_ok=True)
        (said / name).write_text("")
    (said / submission.LIST).write_text(
        '{"scale": "x", "runs": {}, "files": {}, "languages": {"xnli": ["de"]}}'
    )
    found = submission.unread(said, submission.score_folder(*whole))
    named = "bucc/ notes.txt xnli/test_de.tsv xnli/test-de.tsv.gz panx/ xnli/test-fr.tsv"
    assert set(named.split()) <= set(found)
    assert not {"xnli/test-de.tsv", "xnli/.x", ".git/", submission.LIST} & set(found)


def enter(run, share=0.7):
    """Put a run into the ledger that answers some of the rows right, with its scores."""
    s, predicted, scores = run.scale, [], []
    for lang in languages(run.target, s):
        rows, _ = examples(run.target, "validation", lang, s, s.eval_rows)
        said = [answer(run.on, i, e, len(rows), i % 10 < 10 * share) for i, e in enumerate(rows)]
        predicted += [
            {"task": run.on, "lang": lang, "id": e["id"], "prediction": p}
            for e, p in zip(rows, said, strict=True)
        ]
        metrics, _ = measured(run.on, said, rows, lang)
        scores += [
            {"lang": lang, "metric": m, "protocol": TASKS[run.on].protocol, "value": v, "n": len(rows)}
            for m, v in metrics.items()
        ]
    predictions.write_predictions(run, predicted)
    fields = run.described
    results.write(fields | {"scores": scores, "items": [], "provenance": {}})


def answer(name, i, example, n, right):
    if name == "tatoeba":
        return i if right else (i + 1) % n
    if name == "bucc":
        return list(example["ids"]) if right else None
    if "tags" in example:
        return (
            example["tags"] if right else ["X" if "X" in TASKS[name].labels else "O"] * len(example["tags"])
        )
    if "entity" in example:
        return ["Q0", example["entity"]] if right else ["Q0"]
    if "answers" in example:
        return example["answers"][0][1] if right else "something else"
    return example["label"] if right else 1 - min(example["label"], 1)


def measured(name, said, rows, lang):
    if name == "tatoeba":
        right = [100.0 * (p == i) for i, p in enumerate(said)]
        return {"accuracy": sum(right) / len(right)}, right
    rows = [row | {"gold": row["entity"]} if "entity" in row else row for row in rows]
    protocol = {"bucc": "bucc/pairs"}.get(name, TASKS[name].protocol)
    return PROTOCOLS[protocol]([p for p in said if p is not None] if name == "bucc" else said, rows, lang)


@pytest.fixture
def every_language(monkeypatch):
    """The micro-world's languages stand where XTREME's do."""
    for benchmark in submission.LANGS.values():
        for name in benchmark:
            monkeypatch.setitem(
                benchmark,
                name,
                list(languages(TASKS[{"bucc2018": "bucc"}.get(name, name)], scale_of("smoke")))
                if known(name)
                else [],
            )


def known(name):
    return {"bucc2018": "bucc"}.get(name, name) in TARGETS


@pytest.mark.parametrize(
    ("name", "benchmark"),
    [
        (name, benchmark)
        for benchmark, tasks in submission.LANGS.items()
        for name in TARGETS
        if submission.called(name) in tasks
    ],
)
def test_an_exported_run_scores_as_its_row_of_the_ledger(name, benchmark, every_language, tmp_path):
    scores_like_its_row(Run(name, "smoke"), benchmark, tmp_path)


@pytest.mark.parametrize("name", ["xcopa", "mewslix"])
def test_so_does_one_of_a_task_that_xtreme_r_added(name, mirror, places, tmp_path):
    task, langs = TASKS[name], languages(TASKS[name], SCALES["small"])
    stored = json.loads((Path(__file__).parent / "rows.json").read_text("utf-8"))[name] * 4
    if name == "mewslix":
        stored = [told_in(lang, i, row) for lang in langs for i, row in enumerate(stored)]
    for place in dict.fromkeys(task.config(lang) for lang in langs):
        mirror(*place, task.validation, stored)
    scores_like_its_row(Run(name, "small"), "xtreme-r", tmp_path)


def told_in(lang, i, row):
    """A text of Mewsli-X as if it were in a language, with ids of its own."""
    mentions = [x | {"example_id": f"{lang}-{i}-{x['example_id']}"} for x in row["mentions"]]
    return {"context": row["context"] | {"language": lang}, "mentions": mentions}


def scores_like_its_row(run, benchmark, folder):
    """A run is entered, exported and scored as files: to the ninth digit as the ledger has it."""
    name = run.on
    enter(run)
    files = export.write_submission([run.id], folder / "said", folder / "gold")
    assert len(files) == len(languages(TASKS[name], run.scale))
    (told,) = submission.score_folder(folder / "said", folder / "gold", benchmark)["tasks"].values()
    row = results.read(run)
    for score in row["scores"]:
        if score["metric"] in told["metrics"]:
            assert told["metrics"][score["metric"]][score["lang"]] == pytest.approx(score["value"], abs=1e-9)
    assert {m for m in TASKS[name].metrics} <= set(told["metrics"]) and 0 < told["score"] < 100


def test_what_cannot_be_exported_is_named(tmp_path, monkeypatch):
    with pytest.raises(Bad, match="no run 'nothing' in the ledger .*; `xit plan .* lists the ids"):
        export.write_submission(["nothing"], tmp_path)
    one, two = Run("xnli", "smoke"), Run("mnli > xnli", "smoke")
    for run in (one, two):
        enter(run)
    with pytest.raises(Bad, match="two end in the same target"):
        export.write_submission([one.id, two.id], tmp_path)
    monkeypatch.setitem(SCALES, "smoke", replace(SCALES["smoke"], seeds=(1,)))
    predictions.predictions_place(one).unlink()
    with pytest.raises(Bad, match="no predictions at"):
        export.write_submission([one.id], tmp_path / "said")
    assert not (tmp_path / "said").exists()


@pytest.mark.parametrize("used", ["to", "gold"])
@pytest.mark.parametrize("by", ["an export", "a file", "a hidden file", "being a file"])
def test_an_export_into_a_folder_in_use_is_refused_and_changes_nothing(tmp_path, used, by):
    run, folders = Run("tatoeba", "smoke"), {"to": tmp_path / "to", "gold": tmp_path / "gold"}
    enter(run)
    if by == "an export":
        export.write_submission([run.id], folders[used])
    elif by == "being a file":
        folders[used].write_text("mine")
    else:
        folders[used].mkdir()
        (folders[used] / {"a file": "x", "a hidden file": ".x"}[by]).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(Bad, match=f"{folders[used]} is in use; an export goes into a new folder"):
        export.write_submission([run.id], **folders)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_can_be_exported_into_and_two_equal_ones_cannot(tmp_path, monkeypatch):
    run = Run("tatoeba", "smoke")
    enter(run)
    for gold in ("said", "said/../said", "said/gold", "."):
        with pytest.raises(Bad, match="two folders, none inside the other|is in use"):
            export.write_submission([run.id], tmp_path / "said", tmp_path / gold)
    (tmp_path / "said").mkdir()
    monkeypatch.chdir(tmp_path)
    assert all(file.is_file() for file in export.write_submission([run.id], Path("said"), Path("gold")))
    assert {p.name for p in (tmp_path / "gold").iterdir()} == {"export.json", "tatoeba"}


@pytest.mark.parametrize("at", [0, 1, 3])
def test_an_export_that_fails_leaves_nothing(tmp_path, monkeypatch, at):
    run, count, write = Run("tatoeba", "smoke"), iter(range(99)), submission.write_predictions

    def full(*given):
        if next(count) == at:
            raise OSError(28, "No space left on device")
        return write(*given)

    enter(run)
    monkeypatch.setattr(submission, "write_predictions", full)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(Bad, match="cannot write .*No space left"):
        export.write_submission([run.id], tmp_path / "said", tmp_path / "gold")
    assert sorted(tmp_path.iterdir()) == before


def test_runs_of_two_scales_are_two_submissions(tmp_path):
    runs = [Run("tatoeba", "smoke"), Run("xnli", "micro")]
    for run in runs:
        fields = run.described
        results.write(fields | {"scores": [], "items": [], "provenance": {}})
    with pytest.raises(Bad, match="runs of the scales micro, smoke"):
        export.write_submission([run.id for run in runs], tmp_path / "said")


def test_an_export_of_fewer_languages_says_so_and_is_scored_for_what_it_has(
    tmp_path, every_language, monkeypatch
):
    run = Run("xnli", "smoke")
    enter(run)
    export.write_submission([run.id], tmp_path / "said", tmp_path / "gold")
    langs = list(languages(TASKS["xnli"], scale_of("smoke")))
    whole = submission.score_folder(tmp_path / "said", tmp_path / "gold")
    assert set(whole["tasks"]["xnli"]) == {"score", "metrics"}  # all that this benchmark has
    monkeypatch.setitem(submission.LANGS["xtreme"], "xnli", [*langs, "sw", "ur"])
    found = submission.score_folder(tmp_path / "said", tmp_path / "gold")
    assert found["tasks"]["xnli"] == whole["tasks"]["xnli"] | {
        "partial": True,
        "languages": langs,
        "of": len(langs) + 2,
    }
    told = json.loads((tmp_path / "said/export.json").read_text())
    assert (
        told["runs"] == {"xnli": run.id} and told["languages"] == {"xnli": langs} and told["scale"] == "smoke"
    )
    (tmp_path / "said/export.json").write_text("{")
    with pytest.raises(
        Bad, match="export.json: damaged .*; export again into a new folder, or delete the list"
    ):
        submission.score_folder(tmp_path / "said", tmp_path / "gold")
    (tmp_path / "said/export.json").unlink()
    with pytest.raises(
        Bad, match="is missing, 4 files of xnli in all; .*--languages scores those that are there"
    ):
        submission.score_folder(tmp_path / "said", tmp_path / "gold")


def test_a_damaged_row_is_named_when_its_run_is_exported(tmp_path):
    enter(Run("xnli", "smoke"))
    results.row_file(Run("xnli", "smoke")).write_text("")
    with pytest.raises(Bad, match="damaged .it is empty"):
        export.write_submission([Run("xnli", "smoke").id], tmp_path / "said")


def test_other_rows_than_those_that_were_predicted_are_refused(tmp_path):
    run = Run("xnli", "smoke")
    enter(run)
    predictions.write_predictions(run, predictions.predictions(run)[1:])
    with pytest.raises(Bad, match="the rows at hand are not those that were predicted"):
        export.write_submission([run.id], tmp_path / "said")


def test_files_of_two_exports_are_never_mixed(tmp_path, every_language):
    one, two = Run("xnli", "smoke"), Run("pawsx", "smoke")
    enter(one)
    enter(two)
    export.write_submission([one.id], tmp_path / "a", tmp_path / "gold a")
    export.write_submission([two.id], tmp_path / "b", tmp_path / "gold b")
    shutil.copytree(tmp_path / "b/pawsx", tmp_path / "a/pawsx")
    shutil.copytree(tmp_path / "gold b/pawsx", tmp_path / "gold a/pawsx")
    found = submission.score_folder(tmp_path / "a", tmp_path / "gold a")
    assert set(found["tasks"]) == {"xnli"} and submission.unread(tmp_path / "a", found) == ["pawsx/"]
    file = tmp_path / "a/xnli/test-en.tsv"
    file.write_text(file.read_text().replace("neutral", "entailment"))
    with pytest.raises(Bad, match=r"test-en\.tsv: not the file that .*export\.json lists; export again"):
        submission.score_folder(tmp_path / "a", tmp_path / "gold a")
    (tmp_path / "a/export.json").unlink()  # the advice
    (tmp_path / "gold a/export.json").unlink()
    assert set(submission.score_folder(tmp_path / "a", tmp_path / "gold a")["tasks"]) == {"xnli", "pawsx"}


def test_gold_of_another_scale_is_refused(tmp_path, every_language):
    run = Run("xnli", "smoke")
    enter(run)
    export.write_submission([run.id], tmp_path / "said", tmp_path / "gold")
    listed = json.loads((tmp_path / "gold/export.json").read_text())
    listed.pop("sha256")
    (tmp_path / "gold/export.json").write_text(json.dumps(listed | {"scale": "small"}))
    with pytest.raises(Bad, match="are of the scales smoke and small"):
        submission.score_folder(tmp_path / "said", tmp_path / "gold")
