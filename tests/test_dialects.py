"""A person's own files in the dialects in which people have them: read whole and right, or refused in one
line.
"""

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stores import listed, mirrored, packed
from xit_core import cli
from xit_core.data import adversarial, formats, inventory, mining_pools, originals, parcel, reading, sources
from xit_core.data import mirror as mirrors
from xit_core.data.local import from_local
from xit_core.data.mirror import from_mirror
from xit_core.design import readers, tasks
from xit_core.design.scales import SCALES, scale_of
from xit_core.design.tasks import TASKS
from xit_core.machine.errors import Bad

OFTEN = settings(max_examples=200, deadline=None)
REAL = SCALES["small"]
PAWSX = "google/xtreme/PAWS-X.de"
ROW = '{"sentence1": "a", "sentence2": "b", "label": 1}\n'


@pytest.fixture(autouse=True)
def nothing_is_evaluated(monkeypatch):
    """Training rows are read without the evaluation rows that they may not equal (tests/test_overlap.py)."""
    monkeypatch.setattr(reading, "evaluated_texts", lambda *_: ({}, ""))


@contextmanager
def folder(name="XIT_LOCAL"):
    """A folder that an environment variable names, for a while."""
    before = os.environ.get(name)
    with tempfile.TemporaryDirectory() as place:
        os.environ[name] = place
        try:
            yield Path(place)
        finally:
            os.environ.pop(name)
            if before is not None:
                os.environ[name] = before


def lay(place: Path, path: str, content: str | bytes) -> Path:
    file = place / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


@pytest.fixture
def put(tmp_path, monkeypatch):
    monkeypatch.setenv("XIT_LOCAL", str(tmp_path / "own"))
    (tmp_path / "own").mkdir()
    return lambda path, content: lay(tmp_path / "own", path, content)


def pawsx(lang="de"):
    return reading.examples(TASKS["pawsx"], "validation", lang, REAL)[0]


def refused(call, *said):
    """Check that a call is refused in one line that says all this."""
    with pytest.raises(Bad) as error:
        call()
    line = str(error.value)
    assert "\n" not in line and all(word in line for word in said), line


# -- tables --------------------------------------------------------------------------------------------------

QUOTES = [
    ('"Easy" was written by John.', 'John wrote "Easy".', "1"),
    ('" It starts with a quote', "and the other does not", "0"),
    ("A plain row", "another plain one", "0"),
    ('closed here "', "b", "1"),
    ("first", '"an open quote', "1"),
    ("third sentence", 'ends here"', "0"),
    ('""', '"', "1"),
]


def lines(rows, end="\n", head="id\tsentence1\tsentence2\tlabel"):
    return end.join([head, *("\t".join([str(i), *row]) for i, row in enumerate(rows))]) + end


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_with_tabs_is_read_without_quoting_as_its_publishers_write_it(put, end):
    put(f"{PAWSX}/validation.tsv", lines(QUOTES, end) + end)
    assert [(e["a"], e["b"], str(e["label"])) for e in pawsx()] == QUOTES


@pytest.mark.parametrize("ending", ["csv", "tsv", "json", "jsonl"])
def test_a_byte_order_mark_before_the_first_column_is_no_part_of_its_name(put, ending):
    rows = [
        {"sentence1": a, "sentence2": b, "label": label} for a, b, label in (("a", "b", "1"), ("c", "d", "0"))
    ]
    mark = "\t" if ending == "tsv" else ","
    table = "\r\n".join(mark.join(row) for row in (rows[0].keys(), *(row.values() for row in rows)))
    text = {"json": json.dumps(rows), "jsonl": "\n".join(map(json.dumps, rows))}.get(ending, table)
    put(f"{PAWSX}/validation.{ending}", "\ufeff" + text)
    assert [e["a"] for e in pawsx()] == ["a", "c"]


@pytest.mark.parametrize(
    ("ending", "content", "said"),
    [
        ("csv", "sentence1;sentence2;label\na;b;1\n", "separated by semicolons; needed: commas"),
        ("csv", "sep=;\nsentence1;sentence2;label\na;b;1\n", "semicolons"),
        ("csv", "sentence1\tsentence2\tlabel\na\tb\t1\n", "separated by tabs; needed: commas"),
        ("tsv", "sentence1,sentence2,label\na,b,1\n", "separated by commas; needed: tabs"),
        ("tsv", "sentence1\tlabel\na\t1\n", "field 'sentence2': it is missing"),
        ("tsv", "sentence1\tsentence2\tlabel\na\tb\t1\tmore\n", "row 0 has 4 cells, the header 3"),
        ("tsv", "sentence1\tsentence2\tlabel\n\na\tb\n", "row 0 has 2 cells, the header 3"),
        ("tsv", "sentence1\tsentence2\tlabel\n", "it holds no rows"),
        ("tsv", "", "it is empty"),
        ("csv", "\n\n", "it is empty"),
        ("jsonl", "", "it holds no rows"),
        ("csv", "sentence1,sentence2,label\na,b,1\n".encode("utf-16"), "UTF-8"),
        ("tsv", "sentence1\tsentence2\tlabel\nä\tb\t1\n".encode("latin-1"), "UTF-8"),
        ("tsv", "sentence1\tsentence2\tlabel\nä\tb\t1\n".encode("utf-16-le"), "UTF-8"),
        (
            "jsonl",
            '{"sentence1": "a", "sentence2": "b", "label": 0, "label": 1}\n',
            "field 'label' stands twice",
        ),
        ("json", '{"data": [{"paragraphs": 3}]}', "got paragraphs 3"),
        ("jsonl", "[" * 9999, "no JSON"),
        ("csv", ",sentence1,sentence2,label\n0,a,b,1\n", "column 1 of its header has no name"),
        ("tsv", "sentence1\tsentence2\tlabel\t\na\tb\t1\t\n", "column 4 of its header has no name"),
        ("csv", "sentence1,sentence2,label,label,label.1\na,b,1,0,0\n", "column 'label.1' stands twice"),
        ("csv", "sep=,\nsentence1,sentence2,label\na,b,1\n", "'sep='; needed: a header"),
        ("jsonl.xz", lzma.compress(ROW.encode()) + b"garbage", "cannot be read"),
        ("jsonl.bz2", bz2.compress(ROW.encode()) + b"BZx" + bz2.compress(ROW.encode())[3:], "cannot be read"),
    ],
)
def test_what_cannot_be_read_right_is_refused_with_its_place(put, ending, content, said):
    put(f"{PAWSX}/validation.{ending}", content)
    refused(pawsx, f"validation.{ending}", said)


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\t\n\r\0"), min_size=1).filter(
    lambda x: x != "\ufeff"
)
ODD = st.sampled_from(
    [
        '"',
        '""',
        "a\u2028b",
        "x\x85",
        "\x0b",
        " ",
        "ü",
        '"a',
        "a,b",
        "'",
        "\\",
        "\\t",
        "a;b",
        "NA",
        "null",
        "#",
    ]
)
TABLE = st.lists(st.tuples(CELL | ODD, CELL | ODD), min_size=1, max_size=6)
SQUEEZE = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def encoded(rows, ending, end, mark):
    """The rows as a file of this ending."""
    if ending == "jsonl":
        text = (
            end.join(json.dumps(dict(zip("xy", row, strict=True)), ensure_ascii=False) for row in rows) + end
        )
    elif ending == "tsv":
        text = end.join("\t".join(row) for row in (("x", "y"), *rows)) + end
    else:
        stream = io.StringIO(newline="")
        csv.writer(stream, lineterminator=end).writerows([("x", "y"), *rows])
        text = stream.getvalue()
    return (mark + text).encode()


@OFTEN
@given(
    TABLE,
    st.sampled_from(["jsonl", "tsv", "csv"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\ufeff"]),
    st.sampled_from([*SQUEEZE]),
    st.integers(1, 3),
)
def test_every_dialect_gives_the_rows_that_were_written(rows, ending, end, mark, squeeze, parts):
    with folder() as place:
        for k in range(parts):
            name = f"-{k:05}-of-{parts:05}" if parts > 1 else ""
            content = encoded(rows[k::parts] or rows[:1], ending, end, mark)
            lay(place, f"a/b/train{name}.{ending}{squeeze}", SQUEEZE[squeeze](content))
        (part,) = from_local("a", "b", "train")
    wanted = [row for k in range(parts) for row in (rows[k::parts] or rows[:1])]
    assert [(row["x"], row["y"]) for row in part.rows] == wanted and len(part.revision) == 64


GOOD = {
    "jsonl": b'{"x": "1"}\n{"x": "2"}\n',
    "json": b'[{"x": "1"}]',
    "tsv": b"x\ty\n1\t2\n",
    "csv": b'x,y\n1,"2"\n',
    "parquet": packed([{"x": "1"}]),
    "jsonl.gz": gzip.compress(b'{"x": 1}\n'),
    "csv.xz": lzma.compress(b"x\n1\n"),
    "tsv.bz2": bz2.compress(b"x\n1\n"),
}


@OFTEN
@given(st.sampled_from([*GOOD]), st.data())
def test_a_damaged_file_gives_rows_or_one_line(ending, draw):
    content = bytearray(GOOD[ending])
    if draw.draw(st.booleans()):
        content = content[: draw.draw(st.integers(0, len(content)))]
    for at, byte in draw.draw(st.lists(st.tuples(st.integers(0, 999), st.integers(0, 255)), max_size=3)):
        at %= len(content) + 1
        content[at : at + 1] = bytes([byte])
    with folder() as place:
        lay(place, f"a/b/train.{ending}", bytes(content))
        try:
            assert from_local("a", "b", "train")[0].rows
        except Bad as error:
            assert "\n" not in str(error) and "train" in str(error)


# -- names ---------------------------------------------------------------------------------------------------


def test_a_compressed_copy_and_one_in_parts_are_read_and_what_lies_beside_them_is_said(put):
    put(f"{PAWSX}/validation.jsonl.gz", gzip.compress(ROW.encode()))
    put(f"{PAWSX}/dev.jsonl", ROW)
    rows, (seen,) = reading.examples(TASKS["pawsx"], "validation", "de", REAL)
    assert (
        len(rows) == 1
        and seen["note"] == "dev.jsonl beside it: not read"
        and seen["source"].endswith("validation.jsonl.gz")
    )
    for k in range(2):
        put(f"google/xtreme/PAWS-X.fr/validation-0000{k}-of-00002.jsonl", ROW.replace('"a"', f'"{k}"'))
    assert [e["a"] for e in pawsx("fr")] == ["0", "1"]


@pytest.mark.parametrize(
    "name",
    (
        "dev.jsonl val.csv Validation.jsonl validation.jsonl.zst validation.txt valid.tsv validation.zip "
        "validation.xlsx xnli.dev.tsv validation_de.jsonl validation-00000-of-00002.jsonl.zst"
    ).split(),
)
def test_a_file_that_looks_like_the_split_under_another_name_is_never_left_aside_unseen(put, name):
    put(f"{PAWSX}/{name}", ROW)
    refused(
        lambda: sources.fetch("google/xtreme", "PAWS-X.de", "validation", ""),
        name,
        "is not read; name it validation",
    )


def test_parts_of_which_one_is_missing_and_two_copies_are_refused(put):
    put(f"{PAWSX}/validation-00001-of-00003.jsonl", ROW)
    refused(pawsx, "part 0 of 3 is missing")
    for k in (0, 2):
        put(f"{PAWSX}/validation-0000{k}-of-00003.jsonl", ROW)
    assert len(pawsx()) == 3
    put(f"{PAWSX}/validation.jsonl.gz", gzip.compress(ROW.encode()))
    refused(pawsx, "is there too; keep one of them")


def test_what_belongs_to_another_split_and_what_is_no_data_is_no_obstacle(put):
    for name in ("train.jsonl", "README.md", "LICENSE", ".DS_Store", "._validation.jsonl", "test.tsv"):
        put(f"{PAWSX}/{name}", "x")
    assert from_local("google/xtreme", "PAWS-X.de", "validation") == []


def test_files_that_nothing_declared_reads_are_listed(put, capsys):
    for name in (
        f"{PAWSX}/validation.jsonl",
        "mt/mnli/de/train.jsonl",
        "bucc2018/de-en.dev.de",
        "google/xtreme/README.md",
        "ccgbank/data/AUTO/00/wsj_0001.auto",
        "nyu-mll/glue/mnli/train-00000-of-00001.parquet",
        "pretrain_text/sw/train.jsonl",
        "multi30k/image_frames/all.jsonl.gz",
    ):
        put(name, ROW)
    assert inventory.unread_files() == []
    wrong = ["google/xtreme/PAWSX.de/validation.jsonl", "mt/mnli/train.jsonl", "mt/mnly/de/train.jsonl"]
    wrong += ["validation.jsonl", f"{PAWSX}/dev.jsonl"]
    for name in wrong:
        put(name, ROW)
    assert sorted(map(str, inventory.unread_files())) == sorted(wrong)
    assert cli.main(["data", "--scale", "micro"]) == 0
    assert "5 files are not read" in capsys.readouterr().err


def test_translations_into_some_languages_only_lose_no_row(put):
    for lang in ("de", "fr"):
        put(
            f"mt/hellaswag/{lang}/train.jsonl",
            "".join(
                json.dumps({"ctx_a": f"{lang}{i}", "ctx_b": "", "ctx": "", "endings": ["a", "b"], "label": 0})
                + "\n"
                for i in range(6)
            ),
        )
    four = replace(REAL, langs=("de", "fr", "ru", "zh"))
    rows, seen = reading.examples(TASKS["hellaswag"], "train", "en", four, data_lang="mt")
    assert [e["a"] for e in rows] == ["de0", "de2", "de4", "fr1", "fr3", "fr5"]
    assert all("translated into 2 of 4 languages" in x["note"] for x in seen)


def test_translations_of_unequal_length_are_refused(put):
    for lang, n in (("de", 6), ("fr", 3)):
        row = {"ctx_a": "a", "ctx_b": "", "ctx": "", "endings": ["a", "b"], "label": 0}
        put(f"mt/hellaswag/{lang}/train.jsonl", f"{json.dumps(row)}\n" * n)
    refused(
        lambda: reading.examples(TASKS["hellaswag"], "train", "en", REAL, data_lang="mt"),
        "3 rows in 'fr' and 6 in 'de'; allowed: the same rows in every language",
    )


# -- keys and values -----------------------------------------------------------------------------------------


def xnli(put, *rows):
    put("google/xtreme/XNLI/validation.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return reading.examples(TASKS["xnli"], "validation", "de", REAL)[0]


NLI = {"sentence1": "a", "sentence2": "b", "gold_label": "neutral"}


def test_rows_without_the_key_that_tells_their_language_are_of_no_language(put):
    refused(lambda: xnli(put, NLI), "XNLI/validation.jsonl: row 0, field 'language': it is missing")
    refused(
        lambda: xnli(put, NLI | {"language": "German"}),
        "row 0, field 'language': got 'German'; allowed: ar, bg, de",
    )
    refused(lambda: xnli(put, NLI | {"language": None}), "field 'language': got None")
    assert len(xnli(put, NLI | {"language": "de"}, NLI | {"language": "fr"})) == 1


def test_an_id_that_tells_no_language_is_refused(put):
    answers = {"text": ["a"], "answer_start": [0]}
    row = {"id": "germanic-1", "question": "q", "context": "a", "answers": answers}
    for wrong in ("germanic-1", "q1", "", 7):
        put("google/xtreme/tydiqa/validation.jsonl", json.dumps(row | {"id": wrong}))
        refused(
            lambda: reading.examples(TASKS["tydiqa"], "validation", "ko", scale_of("paper")),
            "row 0, field 'id'",
        )
    put("google/xtreme/tydiqa/validation.jsonl", json.dumps(row | {"id": "korean-1"}))
    assert len(reading.examples(TASKS["tydiqa"], "validation", "ko", scale_of("paper"))[0]) == 1


@pytest.mark.parametrize(("label", "index"), [(0, 0), (1.0, 1), ("1", 1), ("1.0", 1), (" 0 ", 0), (0.0, 0)])
def test_labels_are_whole_numbers_however_they_are_written(put, label, index):
    put(f"{PAWSX}/validation.jsonl", json.dumps({"sentence1": "a", "sentence2": "b", "label": label}))
    assert pawsx()[0]["label"] == index


NO_LABELS = [
    0.9,
    "0.9",
    float("nan"),
    float("inf"),
    True,
    False,
    "",
    None,
    [1],
    {},
    "one",
    2,
    "2",
    -2,
    "²",
    "1e0",
]


@pytest.mark.parametrize("label", NO_LABELS)
def test_a_value_that_is_no_label_is_an_error_that_names_row_and_field(put, label):
    good = json.dumps({"sentence1": "a", "sentence2": "b", "label": 0})
    put(
        f"{PAWSX}/validation.jsonl",
        good + "\n" + json.dumps({"sentence1": "a", "sentence2": "b", "label": label}),
    )
    refused(pawsx, "validation.jsonl: row 1, field 'label'", str(label)[:20])


def test_words_of_the_publishers_own_files_are_understood(put):
    assert xnli(put, NLI | {"language": "de", "gold_label": "contradictory"})[0]["label"] == 2
    put(
        "nyu-mll/glue/mnli/train.jsonl",
        "".join(
            json.dumps({"premise": "a", "hypothesis": "b", "label": x}) + "\n"
            for x in ("-", -1, "entailment", "2")
        ),
    )
    rows, (seen,) = reading.examples(TASKS["mnli"], "train", "en", REAL)
    assert [e["label"] for e in rows] == [0, 2] and seen["counts"] == {"no label": 2}


@pytest.mark.parametrize("tag", [17, -1, 0.5, True, None, "NOUNS", ["NOUN"]])
def test_a_tag_that_is_none_is_refused_and_never_counted_from_the_end(put, tag):
    put(
        "google/xtreme/udpos.German/validation.jsonl",
        json.dumps({"tokens": ["a", "b"], "pos_tags": [7, tag]}),
    )
    refused(lambda: reading.examples(TASKS["udpos"], "validation", "de", REAL), "row 0, field 'pos_tags'")


@pytest.mark.parametrize(
    ("task", "row", "field"),
    [
        (
            "hellaswag",
            {"ctx_a": "a", "ctx_b": "b", "ctx": "c", "endings": ["x", None], "label": 0},
            "endings",
        ),
        (
            "cosmosqa",
            {"context": None, "question": "q", "label": 0} | {f"answer{i}": "a" for i in range(4)},
            "context",
        ),
        (
            "csqa",
            {"question": "q", "choices": {"text": ["a", 3], "label": ["A", "B"]}, "answerKey": "A"},
            "choices",
        ),
        (
            "squad1",
            {"id": "1", "question": "q", "context": "a", "answers": {"text": ["a"], "answer_start": [0.5]}},
            "answers",
        ),
        (
            "squad1",
            {"id": "1", "question": "q", "context": "a", "answers": {"text": ["a"], "answer_start": []}},
            "answers",
        ),
        (
            "squad1",
            {"id": "1", "question": "q", "context": "a", "answers": {"text": [None], "answer_start": [0]}},
            "answers",
        ),
        (
            "siqa",
            {"context": "c", "question": "q", "answerA": "a", "answerB": "b", "answerC": "c", "label": "1.5"},
            "label",
        ),
        ("copa", {"premise": "p", "choice1": "a", "choice2": "b", "question": "why", "label": 0}, "question"),
        ("qqp", {"question1": float("nan"), "question2": "b", "label": 0}, "a"),
        ("udtag", {"tokens": ["a", "b"], "supertags": ["x", ""]}, "supertags"),
        # what only looks like a list or a number
        (
            "hellaswag",
            {"ctx_a": "a", "ctx_b": "b", "ctx": "c", "endings": "['x', 'y']", "label": 0},
            "endings",
        ),
        ("csqa", {"question": "q", "choices": {"text": ["a"], "label": "ABCDE"}, "answerKey": ""}, "choices"),
        ("panx", {"tokens": ["a", "b"], "ner_tags": {"0": 1, "1": 2}}, "ner_tags"),
        ("panx", {"tokens": ["a", "b"], "ner_tags": "00"}, "ner_tags"),
        ("qqp", {"question1": "a", "question2": "b", "label": 10**400}, "label"),
        (
            "squad1",
            {
                "id": "1",
                "question": "q",
                "context": "a",
                "answers": {"text": ["a"], "answer_start": [10**400]},
            },
            "answers",
        ),
    ],
)
def test_a_field_of_another_type_is_named(put, task, row, field):
    repository, config = TASKS[task].config("en")
    put(f"{repository}/{config}/train.jsonl", json.dumps(row))
    refused(lambda: reading.examples(TASKS[task], "train", "en", REAL), "row 0", f"field {field!r}")


WORDS = st.sampled_from(["0", "1", "1.0", "-1", "-"])
ANY = st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=4) | WORDS


@example("0\x1f", ())
@OFTEN
@given(ANY, st.sampled_from([(), tuple(tasks.NLI)]))
def test_any_value_is_a_label_or_refused(value, names):
    row = {"a": "a", "b": "b", "label": value}
    try:
        (told,) = readers.pair("a", "b", names=names)(row, "en")
    except readers.Wrong:
        assert value not in (0, 1, 2, "0", "1", "2") or isinstance(value, bool) or not names
        return
    label = -1 if told == "no label" else told["label"]
    assert (
        value == "-" or value in names or label == float(value.strip() if isinstance(value, str) else value)
    )


# -- manifests -----------------------------------------------------------------------------------------------

HEAD = "repo,config,split,rows,sha256,commit,complete,note,licence,path"
LINE = f"google/xtreme,PAWS-X.de,validation,2,{'0' * 64},{'a' * 40},yes,,,"


def manifest(tmp_path, monkeypatch, text):
    (tmp_path / "MANIFEST.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    monkeypatch.setenv("XIT_MIRROR", str(tmp_path))
    return mirrors.manifest(tmp_path)


def test_a_manifest_with_a_byte_order_mark_or_without_optional_columns_is_read(tmp_path, monkeypatch):
    found = manifest(tmp_path, monkeypatch, f"\ufeff{HEAD}\r\n{LINE}\r\n")
    assert found["google/xtreme", "PAWS-X.de", "validation"]["source"] == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{HEAD}\n{LINE}\n".replace(",", ";"), ["separated by semicolons"]),
        (f"{HEAD}\n{LINE}\n".replace("sha256,", "").replace("0" * 64 + ",", ""), ["no column 'sha256'"]),
        (
            f"{HEAD}\n{LINE}\n".replace(",2,", ',"1,000",'),
            ["row 0, column 'rows': got '1,000'; allowed: a whole number"],
        ),
        (f"{HEAD}\n{LINE}\n".replace(",2,", ",-2,"), ["column 'rows'"]),
        (f"{HEAD}\n{LINE}\n".replace(",2,", ",2.0,"), ["column 'rows'"]),
        (f"{HEAD}\n{LINE}\n".replace("0" * 64, "1E+05"), ["column 'sha256': got '1E+05'; allowed: 64 hex"]),
        (
            f"{HEAD}\n{LINE}\n".replace(",yes,", ",TRUE,"),
            ["column 'complete': got 'TRUE'; allowed: yes, partial or derived"],
        ),
        (f"{HEAD}\n{LINE}\n{LINE}\n", ["row 1", "stands there twice"]),
        (f"{HEAD}\n{LINE},\n", ["row 0 has 11 cells, the header 10"]),
        ("", ["it is empty"]),
        (f"{HEAD}\n{LINE}\n".encode("utf-16"), ["UTF-8"]),
    ],
)
@pytest.mark.parametrize("words", ["data --scale small", "run xnli --scale base"])
def test_a_damaged_manifest_is_one_line_with_file_and_column(
    tmp_path, monkeypatch, capsys, text, said, words
):
    refused(lambda: manifest(tmp_path, monkeypatch, text), "MANIFEST.csv", *said)
    if words.startswith("data"):
        assert cli.main(words.split()) == 2
        assert capsys.readouterr().err.count("\n") == 1
    else:
        refused(lambda: reading.examples(TASKS["pawsx"], "validation", "de", REAL), *said)


MARKS = st.sampled_from(
    [",", ";", '"', "\n", "x", "0", "", "é", "\ufeff", "\0", "-", "/", "\t", "|", ":", ".", "\r"]
)


@OFTEN
@given(st.lists(st.tuples(MARKS, st.integers(0, 999)), max_size=4))
def test_a_manifest_is_read_right_or_refused_in_one_line(changes):
    with folder("XIT_MIRROR") as place:
        mirrored(
            place,
            "google/xtreme",
            "PAWS-X.de",
            "validation",
            [{"sentence1": "a", "sentence2": "b", "label": 1}],
        )
        listed(
            place,
            {
                "repo": "b",
                "config": "c",
                "split": "train",
                "rows": 7,
                "sha256": "0" * 64,
                "complete": "partial",
            },
        )
        file = place / "MANIFEST.csv"
        text = file.read_text(encoding="utf-8")
        for what, at in changes:
            text = text[: at % len(text)] + what + text[at % len(text) + 1 :]
        file.write_text(text, encoding="utf-8", newline="")
        try:
            rows = inventory.presence(SCALES["small"])
            assert len(mirrors.manifest(place)) >= 1 and all(
                isinstance(row["rows"], int | None) for row in rows
            )
            reading.examples(TASKS["pawsx"], "validation", "de", REAL)
        except Bad as error:
            assert "\n" not in str(error)


# -- originals -----------------------------------------------------------------------------------------------

TREE = (
    "1-2\tzum\t_\t_\t_\t_\t_\t_\t_\t_\n1\tzu\t_\tADP\t_\t_\t2\t_\t_\t_\n2\tdem\t_\tDET\t_\t_\t0\t_\t_\t_\n\n"
)


@OFTEN
@given(st.lists(st.tuples(MARKS, st.integers(0, 999)), max_size=4))
def test_a_damaged_treebank_gives_sentences_or_one_line(changes):
    text = TREE
    for what, at in changes:
        text = text[: at % len(text)] + what + text[at % len(text) + 1 :]
    with folder() as place:
        lay(place, "ud-treebanks-v2.5/UD_X/de_x-ud-dev.conllu", text)
        try:
            assert all(row["tokens"] for part in originals.ud("de", "validation") for row in part.rows)
        except Bad as error:
            assert "\n" not in str(error) and "de_x-ud-dev.conllu" in str(error)


def test_original_files_may_begin_with_a_byte_order_mark(put):
    put("ud-treebanks-v2.5/UD_X/de_x-ud-dev.conllu", "\ufeff" + TREE)
    assert originals.ud("de", "validation")[0].rows[0]["tokens"] == ["zum"]
    for end, text in {
        "de": "\ufeffde-1\tEins.\r\n",
        "en": "\ufeffen-1\tOne.\r\n",
        "gold": "\ufeffde-1\ten-1\r\n",
    }.items():
        put(f"bucc2018/de-en.dev.{end}", text)
    source, _, gold, _ = mining_pools.bucc_pools("de")
    assert (source, gold) == ([{"id": "de-1", "sentence": "Eins."}], [("de-1", "en-1")])


def test_every_ending_is_known_with_and_without_compression():
    names = {"a.jsonl": ".jsonl", "a.jsonl.gz": ".jsonl", "a.b.csv.xz": ".csv", "a.parquet": ".parquet"}
    assert {name: formats.data_ending(name) for name in names} == names
    assert not any(
        map(
            formats.data_ending,
            ["a.gz", "a.parquet.gz", "a.txt", "a", "jsonl", "a.jsonl.zst", "a.jsonl.gz.gz"],
        )
    )


# -- what lies there and is not read -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how", ["a folder", "a link to nothing", "a loop", "the folder is a link to nothing"]
)
def test_what_stands_in_the_place_of_a_file_is_never_passed_over(put, tmp_path, how):
    file = put(f"{PAWSX}/validation.jsonl", ROW)
    file.unlink()
    if how == "a folder":
        file.mkdir()
    elif how.startswith("a"):
        file.symlink_to(file if how == "a loop" else "/nowhere/at/all")
    else:
        file.parent.rmdir()
        file.parent.symlink_to("/nowhere/at/all")
    refused(lambda: from_local("google/xtreme", "PAWS-X.de", "validation"), "PAWS-X.de")


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("ud-treebanks-v2.5/UD_German-GSD/de_gsd-ud-dev.conllu.gz", lambda: originals.ud("de", "validation")),
        (
            "ud-treebanks-v2.5/again/UD_German-GSD/de_gsd-ud-dev.conllu",
            lambda: originals.ud("de", "validation"),
        ),
        ("bucc2018/zh-en/zh-en.dev.zh", lambda: mining_pools.bucc_pools("zh")),
        ("bucc2018/zh-en.dev.zh.gz", lambda: mining_pools.bucc_pools("zh")),
        ("ccgbank/AUTO/00/wsj_0001.auto", lambda: originals.ccgbank("validation")),
    ],
)
def test_original_files_in_another_place_are_never_left_aside_unseen(put, path, read):
    put(path, "x")
    refused(read, path.rsplit("/", 1)[1], "is not read; needed: XIT_LOCAL/")
    assert [str(p) for p in inventory.unread_files()] == [path]


def test_sentences_of_a_treebank_that_run_together_are_refused(put):
    one, two = (
        "\n".join(f"{i}\t{w}\t_\tX\t_\t_\t0\t_\t_\t_" for i, w in enumerate(words, 1))
        for words in ("abc", "xy")
    )
    put("ud-treebanks-v2.5/UD_X/de_x-ud-dev.conllu", f"{one}\n{two}\n\n")
    refused(lambda: originals.ud("de", "validation"), "not 1, 2, ...")
    put("ud-treebanks-v2.5/UD_X/de_x-ud-dev.conllu", f"{one}\n\n{two}\n\n")
    put("ud-treebanks-v2.5/UD_Y/de_x-ud-dev.conllu", f"{one}\n\n")
    refused(lambda: originals.ud("de", "validation"), "lies in two folders")
    (Path(os.environ["XIT_LOCAL"]) / "ud-treebanks-v2.5/UD_Y/de_x-ud-dev.conllu").rename(
        Path(os.environ["XIT_LOCAL"]) / "ud-treebanks-v2.5/UD_Y/de_y-ud-dev.conllu"
    )
    put("ud-treebanks-v2.5/UD_Z/de_z-ud-dev.conllu", "")
    refused(lambda: originals.ud("de", "validation"), "de_z-ud-dev.conllu: it is empty")


def test_a_row_that_names_another_language_is_not_counted_for_this_one(put):
    row = {"sentence1": "a", "sentence2": "b", "label": 1}
    put(f"{PAWSX}/validation.jsonl", json.dumps(row | {"language": "fr"}))
    refused(pawsx, "row 0, field 'language': got 'fr' in the rows of 'de'")
    put(f"{PAWSX}/validation.jsonl", json.dumps(row | {"language": "de"}))
    assert len(pawsx()) == 1
    tags = {"tokens": ["a"], "ner_tags": [0], "langs": ["fr"]}
    put("google/xtreme/PAN-X.de/validation.jsonl", json.dumps(tags))
    refused(lambda: reading.examples(TASKS["panx"], "validation", "de", REAL), "field 'langs': got 'fr'")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("validation.jsonl", '{"sentence1": "a\\ud83d", "sentence2": "b", "label": 1}', "row 0: no JSON"),
        ("validation-00000-of-300000000.jsonl", ROW, "part 1 of 300000000 is missing"),
        ("validation.tsv", "sentence1\tsentence2\tlabel\ra\tb\t1\r", "carriage returns only"),
        ("validation.json", ROW + ROW, "JSON lines; name it .jsonl"),
    ],
)
def test_odd_files_get_the_advice_that_mends_them(put, name, content, said):
    put(f"{PAWSX}/{name}", content)
    refused(pawsx, said)


def test_templates_that_were_cut_off_are_refused(put):
    put("multichecklist/templates/tsv.tsv", "Field\ten\tde\nName\tAnimal vs Vehicle\t\n")
    refused(
        lambda: reading.examples(TASKS["multichecklist"], "validation", "de", scale_of("paper")),
        "its rows are not whole",
    )


def test_a_manifest_that_counts_other_rows_than_its_file_has_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("XIT_MIRROR", str(tmp_path))
    mirrored(tmp_path, "a", "b", "train", [{"x": 1}])
    manifest = tmp_path / "MANIFEST.csv"
    manifest.write_text(manifest.read_text().replace("a,b,train,1,", "a,b,train,2000,"))
    refused(lambda: from_mirror("a", "b", "train"), "1 rows, the manifest says 2000")


def test_archives_of_several_streams_are_read_to_their_end(put):
    for ending, squeeze in (("xz", lzma.compress), ("bz2", bz2.compress), ("gz", gzip.compress)):
        file = put(f"{PAWSX}/validation.jsonl.{ending}", squeeze(ROW.encode()) * 3)
        assert len(pawsx()) == 3
        file.unlink()


def test_json_whose_objects_begin_lines_is_no_json_lines(put):
    row = '{"sentence1": "a", "sentence2": "b", "label": 1}'
    put(f"{PAWSX}/validation.json", f'{{"data": [\n{row},\n{row}\n]}}')
    assert len(pawsx()) == 2


@pytest.mark.parametrize(("ending", "head"), [("jsonl", ""), ("csv", "sentence1,sentence2,label\n")])
def test_a_part_without_rows_is_one_that_was_cut_off(put, ending, head):
    put(f"{PAWSX}/validation-00000-of-00002.{ending}", ROW if ending == "jsonl" else f"{head}a,b,1\n")
    put(f"{PAWSX}/validation-00001-of-00002.{ending}", head)
    refused(pawsx, f"validation-00001-of-00002.{ending}: it holds no rows")


@pytest.mark.parametrize("lang", ["fra", "fr", "French", "eng"])
def test_a_pair_of_another_language_is_not_searched_with_this_one(put, lang):
    pair = {"source_sentence": "a", "target_sentence": "b", "source_lang": "deu", "target_lang": "eng"}
    rows = [pair, pair | {"source_lang": lang}]
    put("google/xtreme/tatoeba.deu/validation.jsonl", "\n".join(map(json.dumps, rows)))
    said = f"row 1, field 'source_lang': got '{lang}'"
    refused(lambda: reading.examples(TASKS["tatoeba"], "validation", "de", REAL), said)


@pytest.mark.parametrize(
    ("task", "row", "said"),
    [
        (
            "siqa",
            {**dict.fromkeys(TASKS["siqa"].columns.split(), "a"), "label": 0},
            "field 'label': got 0; allowed: 1, 2 or 3",
        ),
        (
            "csqa",
            {"question": "q", "choices": {"label": ["A", "B"], "text": ["x", "y"]}, "answerKey": "F"},
            "field 'answerKey': got 'F'; allowed: A, B",
        ),
        (
            "csqa",
            {"question": "q", "choices": {"label": ["A", "B"], "text": ["x"]}, "answerKey": "A"},
            "allowed: a text for each letter",
        ),
        ("panx", {"tokens": ["a", "b"], "ner_tags": []}, "field 'tokens': got ['a', 'b']; allowed: as many"),
        (
            "qqp",
            {"question1": "a", "question2": "b", "label": -2},
            "field 'label': got -2; allowed: -1 or more",
        ),
    ],
)
def test_what_is_said_to_be_allowed_is_what_the_file_may_hold(put, task, row, said):
    repository, config = TASKS[task].config("en")
    put(f"{repository}/{config}/train.jsonl", json.dumps(row))
    refused(lambda: reading.examples(TASKS[task], "train", "en", REAL), "row 0", said)


QUESTION = {"question": "q", "context": "a", "answers": {"text": ["a"], "answer_start": [0]}}


def test_a_question_is_named_by_a_text_or_by_digits(put):
    put("rajpurkar/squad/plain_text/train.jsonl", f"{json.dumps(QUESTION | {'id': 7})}\n")
    assert [e["id"] for e in reading.examples(TASKS["squad1"], "train", "en", REAL)[0]] == ["7"]
    for wrong in (None, True, 1.5, ["a"]):
        put("rajpurkar/squad/plain_text/train.jsonl", f"{json.dumps(QUESTION | {'id': wrong})}\n")
        refused(lambda: reading.examples(TASKS["squad1"], "train", "en", REAL), "row 0, field 'id'", "a text")


def test_rows_have_as_many_choices_as_the_first(put):
    row = {"ctx_a": "a", "ctx_b": "", "ctx": "", "label": 0}
    rows = [row | {"endings": list("abcde"[:n])} for n in (4, 4, 3)]
    put("Rowan/hellaswag/default/train.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))
    refused(
        lambda: reading.examples(TASKS["hellaswag"], "train", "en", REAL),
        "hellaswag/train/en: example 2 has 3 choices, the first has 4",
    )


def test_labels_that_choose_adversarial_rows_may_be_words_or_numbers(put):
    """XNLI's with MNLI's as its publishers write them; and a model that no row has trained is refused."""
    said = {"entailment": "it is so", "neutral": "perhaps it is", "contradiction": "it is not so"}
    pairs = [{"premise": "a", "hypothesis": text, "label": label} for label, text in said.items()]
    rows = [
        {"language": "en", "sentence1": "a", "sentence2": text, "gold_label": label}
        for label, text in said.items()
    ]
    taken = []
    for forms in (dict(zip(said, said, strict=True)), dict(zip(said, "012", strict=True))):
        mnli = [pair | {"label": forms[pair["label"]]} for pair in pairs]
        put("nyu-mll/glue/mnli/train.jsonl", "".join(f"{json.dumps(row)}\n" for row in mnli * 5))
        given = [row | {"gold_label": forms[row["gold_label"]]} for row in rows]
        put("google/xtreme/XNLI/validation.jsonl", "".join(f"{json.dumps(row)}\n" for row in given))
        adversarial.label_model.cache_clear()
        for name in ("xnli_hypothesis", "xnli_overlap"):
            taken.append([e["label"] for e in reading.examples(TASKS[name], "validation", "en", REAL)[0]])
    assert taken == [[0, 1, 2]] * 4
    for label, error in (("-", "none of 3 rows has a label"), ("yes", "row 0 is none of MNLI")):
        mnli = [pair | {"label": label} for pair in pairs]
        put("nyu-mll/glue/mnli/train.jsonl", "".join(f"{json.dumps(row)}\n" for row in mnli))
        adversarial.label_model.cache_clear()
        refused(
            lambda: reading.examples(TASKS["xnli_hypothesis"], "validation", "en", REAL),
            "nyu-mll/glue/mnli/train",
            error,
        )
    adversarial.label_model.cache_clear()


@pytest.mark.parametrize("path", ["mt/mnli/ja", "mt/mnli/German", "mt/mnli/DE", "mt/xnli/de"])
def test_translations_that_no_run_reads_are_listed(put, path):
    put(f"{path}/train.jsonl", ROW)
    assert [str(x) for x in inventory.unread_files()] == [f"{path}/train.jsonl"]
    assert not any(row["source"] == path for row in inventory.presence(SCALES["paper"]))


def test_what_lies_beside_a_split_is_said_in_the_list_of_the_data(put):
    put(f"{PAWSX}/validation.jsonl", ROW)
    put(f"{PAWSX}/dev.jsonl", ROW)
    (told,) = [
        r for r in inventory.presence(SCALES["paper"]) if (r["source"], r["split"]) == (PAWSX, "validation")
    ]
    assert told["state"].endswith("dev.jsonl beside it: not read")


@pytest.mark.parametrize(
    ("number", "head", "said"),
    [
        ("x", "0", "a word 'x'"),
        ("1 ", "0", "a word '1 '"),
        ("1-2-3", "0", "a word '1-2-3'"),
        ("1", "x", "a head 'x'"),
        ("1", "9", "a head '9'"),
        ("1", "-1", "a head '-1'"),
    ],
)
def test_a_number_of_a_treebank_that_is_none_is_named(put, number, head, said):
    word = "\t".join([number, "w", "_", "NOUN", "_", "_", head, "_", "_", "_"])
    put("ud-treebanks-v2.5/UD_X/de_x-ud-dev.conllu", f"{word}\n\n")
    refused(lambda: originals.ud("de", "validation"), "de_x-ud-dev.conllu", said)


@pytest.mark.parametrize(
    "line",
    ["(<T S 0 2> (<L N N N V N>) (<L N N V N>) )", "(<T S 0 2> (<L N N N V N>) (<L N N", "ID=wsj_0001.2", ""],
)
def test_a_derivation_that_lost_a_leaf_is_refused(put, line):
    put("ccgbank/data/AUTO/00/wsj_0001.auto", f"ID=wsj_0001.1\n{line}\n")
    refused(lambda: originals.ccgbank("validation"), "wsj_0001.auto")


def test_a_parcel_of_nothing_or_of_no_size_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XIT_MIRROR", str(tmp_path))
    mirrored(tmp_path, "somebody", "else", "train", [{"x": 1}])
    refused(lambda: parcel.pack_mirror(REAL, tmp_path / "pack"), "nothing to pack for scale 'small'")
    mirrored(tmp_path, "rajpurkar/squad", "plain_text", "train", [{"x": 1}])
    refused(lambda: parcel.pack_mirror(REAL, tmp_path / "pack", 0), "0 bytes; allowed: more than 0")
    refused(lambda: parcel.pack_mirror(REAL, tmp_path / "pack", 10), "allow more")
    refused(lambda: parcel.pack_mirror(REAL, tmp_path / ("n" * 300)), "cannot write")
    assert sorted(f.name for f in tmp_path.iterdir()) == ["MANIFEST.csv", "rajpurkar", "somebody"]


@pytest.mark.parametrize(
    "wrong", [{"id": "de-1"}, {"id": "de-1", "sentence": None}, {"id": 1, "sentence": "a"}]
)
def test_a_pool_of_a_mirror_has_sentences_with_ids(wrong, tmp_path, monkeypatch):
    monkeypatch.setenv("XIT_MIRROR", str(tmp_path))
    for side, row in (("source", wrong), ("target", {"id": "en-1", "sentence": "a"})):
        mirrored(tmp_path, "bucc2018", "de-en", side, [row])
    refused(lambda: mining_pools.bucc_pools("de"), "bucc2018/de-en/source: row 0 is no sentence with its id")


def test_a_file_of_no_known_form_is_named(tmp_path):
    refused(
        lambda: formats.read_rows(lay(tmp_path, "rows.zip", "x")), "rows.zip: no form that is read", ".jsonl"
    )
