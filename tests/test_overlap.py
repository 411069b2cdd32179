"""Rows that train and rows that are evaluated: equal ones are dropped, shared texts are counted. Lines of
text for masked LM: none with a part of an evaluation set.
"""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores import mirrored
from xit_core import phases
from xit_core.data import contamination, overlap, reading
from xit_core.design.run import Run
from xit_core.design.scales import SCALES
from xit_core.design.tasks import TASKS, languages
from xit_core.design.worlds import REAL
from xit_core.ledger import results
from xit_core.machine.errors import Bad

PREMISE = "the old farmer sold the bread at the market"


@pytest.fixture
def real(monkeypatch):
    """The smallest scale, on real data in two languages; a new scale for each test."""
    monkeypatch.setitem(
        SCALES, "smoke", replace(SCALES["smoke"], world=REAL, langs=("en", "de"), rows=0, stage_rows=0)
    )
    return SCALES["smoke"]


def pairs(n: int, **planted: tuple[str, str]) -> list[dict]:
    """Rows of MNLI; `planted` replaces the texts of some ("row3")."""
    texts = [planted.get(f"row{i}", (f"premise {i} of the rows", f"hypothesis {i}")) for i in range(n)]
    return [{"premise": a, "hypothesis": b, "label": i % 3, "idx": i} for i, (a, b) in enumerate(texts)]


def evaluated(lang: str, *texts: tuple[str, str]) -> list[dict]:
    """Rows of XNLI."""
    words = ("entailment", "neutral", "contradiction")
    return [
        {"language": lang, "sentence1": a, "sentence2": b, "gold_label": words[i % 3]}
        for i, (a, b) in enumerate(texts)
    ]


@pytest.fixture
def planted(mirror):
    """MNLI with a row of XNLI, a row of its own evaluation rows, and the premise of a third."""
    train = pairs(20, row3=(f" {PREMISE}\n", "he sold it"), row7=("own", "row"), row9=(PREMISE, "another"))
    mirror("nyu-mll/glue", "mnli", "train", train)
    mirror("nyu-mll/glue", "mnli", "validation_matched", pairs(2, row1=("own", "row"))[1:])
    rows = evaluated("en", (PREMISE, "he sold it"), (PREMISE, "he did not"), ("own", "short one"))
    mirror("google/xtreme", "XNLI", "validation", rows + evaluated("de", ("ein Satz", "noch einer")))
    return train


def test_a_training_row_with_the_text_of_an_evaluation_row_is_dropped_and_counted(real, planted):
    found, (seen,) = reading.examples(TASKS["mnli"], "train", "en", real)
    assert [e["label"] for e in found] == [i % 3 for i in range(20) if i not in (3, 7)]
    assert seen["counts"] == {"row is evaluated in xnli": 1, "row is evaluated in mnli": 1}
    assert (seen["rows"], seen["dropped"]) == (18, 2)
    assert seen["note"].endswith("not compared with rows that are not at hand: pawsx/en")


def test_the_sample_is_that_of_a_split_without_it(real, planted, mirror, tmp_path, monkeypatch):
    some, (seen,) = reading.examples(TASKS["mnli"], "train", "en", real, 12)
    assert (seen["rows"], seen["dropped"]) == (12, 2)
    clean = [row for i, row in enumerate(planted) if i not in (3, 7)]
    mirrored(tmp_path / "clean", "nyu-mll/glue", "mnli", "train", clean)
    monkeypatch.setenv("XIT_MIRROR", str(tmp_path / "clean"))
    assert reading.examples(TASKS["mnli"], "train", "en", real, 12)[0] == some


def test_evaluation_rows_are_read_once_a_process(real, planted, monkeypatch):
    reading.examples(TASKS["mnli"], "train", "en", real)
    told = []
    read = reading.read_part
    monkeypatch.setattr(reading, "read_part", lambda *given: told.append(given[0].name) or read(*given))
    reading.examples(TASKS["mnli"], "train", "en", real, 5)
    assert told == ["mnli"]  # its training rows


def test_translated_rows_are_compared_with_evaluation_rows_in_their_languages(real, planted, mirror):
    rows = [*pairs(4), {"premise": "ein Satz", "hypothesis": "noch  einer", "label": 1}]
    mirror("facebook/xnli", "de", "train", rows)
    found, (seen,) = reading.examples(TASKS["mnli"], "train", "en", real, data_lang="mt")
    assert len(found) == 4 and seen["counts"] == {"row is evaluated in xnli": 1}


def test_a_line_of_text_that_masked_lm_is_measured_on_does_not_train_it(real, mirror):
    lines = [{"text": "held out of training"}, *({"text": f"line {i}"} for i in range(5))]
    mirror("pretrain_text", "de", "train", [*lines, lines[0]])
    found, (seen,) = reading.examples(TASKS["mlm"], "train", "de", real)
    assert len(found) == 5 and seen["counts"] == {"row is evaluated in mlm": 1}


def test_a_task_whose_training_rows_are_all_evaluated_says_so(real, mirror):
    mirror("nyu-mll/glue", "mnli", "train", pairs(3))
    mirror("nyu-mll/glue", "mnli", "validation_matched", pairs(3))
    with pytest.raises(Bad, match=r"no example could be read from .*\(3: row is evaluated in mnli\)"):
        reading.examples(TASKS["mnli"], "train", "en", real)


def test_a_made_world_is_no_exception(monkeypatch):
    smoke = replace(SCALES["smoke"])
    evaluated_rows, _ = reading.examples(TASKS["mnli"], "validation", "en", smoke, smoke.eval_rows)
    parts = reading.worlds.of(smoke).parts

    def leaking(task, split, *given):
        (part,) = parts(task, split, *given)
        more = parts(task, "validation", *given)[0].rows[:2] if split == "train" else []
        return [part._replace(rows=part.rows + more)]

    monkeypatch.setattr(reading.worlds.of(smoke), "parts", leaking)
    found, (seen,) = reading.examples(TASKS["mnli"], "train", "en", smoke, 8)
    assert len(found) == 8 and seen["counts"] == {"row is evaluated in mnli": 2}
    assert not {e["a"] for e in found} & {e["a"] for e in evaluated_rows[:2]}


@pytest.mark.parametrize(
    ("example", "texts"),
    [
        ({"a": " one  two ", "b": "three", "label": 1}, ["one two", "three"]),
        ({"id": "i", "question": "q", "context": "c", "answers": [(0, "c")]}, ["q", "c"]),
        ({"tokens": ["a", "b"], "tags": ["X", "Y"]}, ["a b"]),
        ({"a": "p", "choices": ["x", "y"], "label": 0}, ["p", "x", "y"]),
        ({"id": "i", "entity": "e", "mention": "m: { m }"}, ["m: { m }"]),
        ({"question": "q", "context": "s t", "sentences": ["s", "t"], "answer": 1}, ["q", "s t", "s", "t"]),
    ],
)
def test_the_segments_of_every_kind_of_example(example, texts):
    assert overlap.segments(example) == texts


def test_short_segments_are_equal_by_chance_and_do_not_count():
    long, short = "one two three four five", "one two three four"
    assert overlap.is_long(long) and not overlap.is_long(short)
    assert overlap.is_long("这是一个没有空格的很长的句子吧") and not overlap.is_long(
        "这 是 一 个 没 有 空 格 的"
    )
    trained = overlap.hashed([{"a": long, "b": short}])
    assert overlap.shared([{"a": long}, {"a": short}, {"a": "x", "b": long}, {"a": long[:-1]}], trained) == 2


def test_equal_texts_in_other_fields_are_another_row():
    evaluated_in = {"xnli": {overlap.whole({"a": "x", "b": "y"})}}
    rows = [{"a": "y", "b": "x"}, {"a": "x", "b": "y"}]
    found, counts = overlap.without_equal(rows, Counter(), evaluated_in)
    assert found == rows[:1] and counts == {"row is evaluated in xnli": 1}


# -- what a run was trained on -------------------------------------------------------------------------------


def test_a_shared_premise_is_counted_and_its_row_is_kept(real, planted):
    found = contamination.of_run(Run("xnli"))
    assert found == [{"task": "mnli", "lang": "en", "rows": 3, "shared": 2}]


def test_stages_and_sentences_to_retrieve_are_compared_too(real, planted, mirror):
    rows = [{"source_sentence": "Satz", "target_sentence": x, "source_lang": "a", "target_lang": "b"}
            for x in (PREMISE, "another sentence that nobody trains on")]  # fmt: skip
    mirror("google/xtreme", "tatoeba.deu", "validation", rows)
    assert contamination.of_run(Run("mnli > tatoeba")) == [
        {"task": "mnli", "lang": "de", "rows": 2, "shared": 1}
    ]
    assert contamination.of_run(Run("tatoeba")) == []


def test_the_rows_are_those_of_the_training(real, planted):
    trained, _ = reading.training_examples(TASKS["mnli"], real, 5)
    segments = contamination.trained_segments(Run("mnli > xnli", size=5))["mnli"]
    assert overlap.hashed(trained) <= segments  # with those that train the target
    alone = contamination.segments_of(TASKS["mnli"], real, 5, "en", None, None)
    assert alone == overlap.hashed(trained)


def test_the_rows_of_a_stage_are_as_many_and_in_the_language_of_the_run(real, planted, mirror, monkeypatch):
    mirror("facebook/xnli", "de", "train", [{"premise": "ein Satz hier", "hypothesis": "noch", "label": 1}])
    monkeypatch.setitem(SCALES, "smoke", replace(real, rows=3))
    few = SCALES["smoke"]

    def hashed(rows, lang="en"):
        return overlap.hashed(reading.training_examples(TASKS["mnli"], few, rows, lang)[0])

    def segments(*path, **more):
        return contamination.trained_segments(Run(*path, **more))["mnli"]

    assert segments("mnli > tatoeba", size=5) == hashed(5) != hashed(0)
    assert segments("mnli > tatoeba", lang="mt") == hashed(0, "mt") != hashed(0)
    # those of the stage and those that train the target
    assert segments("mnli > xnli", size=5) == hashed(5) | hashed(3) != hashed(3)


def test_of_pools_that_are_mined_both_sides_are_evaluated():
    smoke = SCALES["smoke"]
    source, target, *_ = contamination.worlds.of(smoke).pools("al", "validation", smoke.eval_rows)
    found = contamination.evaluated_rows(TASKS["bucc"], "al", smoke)
    assert [row["a"] for row in found] == [row["sentence"] for row in (*source, *target)]
    assert len(target) > 0 < len(source)


def test_training_rows_that_are_not_here_are_unknown_and_not_without_overlap(real, planted, mirror):
    found = contamination.of_run(Run("qqp > xnli"))
    assert {"task": "qqp", "lang": "de", "rows": 1} in found and {
        "task": "qqp",
        "lang": "en",
        "rows": 3,
    } in found
    assert {"task": "mnli", "lang": "en", "rows": 3, "shared": 2} in found


def test_the_training_rows_of_a_source_are_read_once(monkeypatch):
    told, read = [], reading.training_examples
    monkeypatch.setitem(SCALES, "smoke", replace(SCALES["smoke"]))
    monkeypatch.setattr(
        reading, "training_examples", lambda task, *given: told.append(task.name) or read(task, *given)
    )
    for target in ("xnli", "tatoeba", "bucc", "pawsx"):
        contamination.of_run(Run(f"squad1+mlm > {target}"))
    assert told == ["squad1", "mnli", "pawsx"]


def test_a_row_of_a_target_has_its_overlap(monkeypatch):
    changed = replace(SCALES["smoke"], rows=600, eval_rows=40)  # enough for equal questions
    monkeypatch.setitem(SCALES, "smoke", changed)
    rows = phases.targets("squad1 > xquad, bucc", scale="smoke")
    for row in rows:
        run = Run(row["path"])
        assert row["overlap"] == contamination.of_run(run) and row == results.read(run)
        for entry in row["overlap"]:
            assert entry["task"] == "squad1" and 0 < entry["shared"] <= entry["rows"]
            assert entry["lang"] in languages(TASKS[row["on"]], SCALES["smoke"])
    assert rows[0]["overlap"]
    assert "overlap" not in results.read(Run("squad1"))


# -- lines of text -------------------------------------------------------------------------------------------

LONG = [f"w{i}" for i in range(30)]  # an evaluation context of 30 words
TEXTS = [" ".join(LONG), "the small house is green", "good morning"]


@pytest.fixture(scope="module")
def held():
    return overlap.Held(TEXTS)


def within(held, *lines):
    return held.within([overlap.units(line) for line in lines]).tolist()


def test_text_for_masked_lm_is_without_the_lines_that_are_evaluated(held):
    pages = {
        3: {"a": "one of two lines\nthe small house is green today"},
        5: {"a": "Good morning!"},
        8: {"a": "x"},
    }
    found, counts = overlap.without_lines(pages, Counter(), held)
    assert found == {3: {"a": "one of two lines"}, 8: {"a": "x"}} and counts == {"line is evaluated": 2}
    assert overlap.without_lines({}, Counter(), held) == ({}, Counter())


def test_units_are_words_and_in_scripts_without_spaces_characters():
    assert overlap.units("Don't  STOP, हिन्दी 3.5!") == ["don", "t", "stop", "हिन्दी", "3", "5"]
    assert overlap.units("我在1979年出生。") == ["我", "在", "1979", "年", "出", "生"]
    assert overlap.units("...") == []


def test_a_line_with_thirteen_words_of_a_context_is_found_and_one_with_twelve_is_not(held):
    for at in (0, 7, 17):
        assert within(
            held, " ".join(["a", *LONG[at : at + 13], "b"]), " ".join(["a", *LONG[at : at + 12], "b"])
        ) == [True, False]


def test_a_short_evaluation_text_is_found_inside_a_line_and_a_very_short_one_only_as_the_line(held):
    lines = "He says: the SMALL house is green.", "the small house is", "Good morning!", "good morning to you"
    assert within(held, *lines) == [True, False, True, False]


def test_nothing_is_found_across_two_lines_nor_in_empty_ones(held):
    assert within(held, "", " ".join(LONG[:7]), " ".join(LONG[7:19]), "") == [False] * 4
    assert within(overlap.Held([]), "any line at all") == [False]


@given(
    st.lists(st.lists(st.sampled_from("abc"), max_size=18), min_size=1, max_size=6),
    st.lists(st.sampled_from("abc"), max_size=40),
)
def test_what_is_found_is_what_a_plain_search_finds(lines, text):
    def inside(line, n, runs):
        return any(line[i : i + n] in runs for i in range(len(line) - n + 1))

    grams = [text[i : i + overlap.GRAM] for i in range(len(text) - overlap.GRAM + 1)]

    def plain(line):
        if len(text) >= overlap.GRAM:
            return inside(line, overlap.GRAM, grams)
        return bool(text) and (line == text if len(text) < overlap.SHORT else inside(line, len(text), [text]))

    assert overlap.Held([" ".join(text)]).within(lines).tolist() == [plain(line) for line in lines]
