"""Rows come from where they are declared to be, at the commit that was asked for, or not at all."""

import csv
import hashlib
import json
import lzma
from dataclasses import replace

import pytest

from stores import ask, listed, mirrored, packed, rows, served
from xit_core.data import formats, inventory, local, mining_pools, originals, sources
from xit_core.data.local import from_local
from xit_core.data.mirror import from_mirror
from xit_core.design.scales import SCALES
from xit_core.design.tasks import REAL_TASKS, TASKS
from xit_core.design.worlds import MICRO
from xit_core.machine.errors import Bad
from xit_core.machine.places import PACKAGE

ONE, TWO, CONVERTED = "1" * 40, "2" * 40, "3" * 40
ROWS = [{"x": 1, "y": "ä"}, {"x": 2, "y": "b c"}]


@pytest.fixture
def put(tmp_path, monkeypatch):
    """A folder of the user's, into which files are put by path."""
    monkeypatch.setenv("XIT_LOCAL", str(tmp_path / "own"))
    (tmp_path / "own").mkdir()

    def put(path, content):
        file = tmp_path / "own" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content) if isinstance(content, bytes) else file.write_text(
            content, encoding="utf-8"
        )
        return file

    return put


@pytest.fixture
def fill(tmp_path, monkeypatch):
    monkeypatch.setenv("XIT_MIRROR", str(tmp_path))
    return lambda *split, **entry: mirrored(tmp_path, *split, **entry)


# -- the hub: the real library, answered on this machine -----------------------------------------------------


def card(stated):
    """A README that declares two configs and states the rows of their one split."""
    lines = ["---", "configs:"]
    for config in ("one", "two"):
        lines += [
            f"- config_name: {config}",
            "  data_files:",
            "  - split: train",
            f"    path: {config}/train-*",
        ]
    lines.append("dataset_info:")
    for config in ("one", "two"):
        lines += [
            f"- config_name: {config}",
            "  features:",
            "  - name: x",
            "    dtype: int64",
            "  splits:",
            "  - name: train",
        ]
        lines += [
            "    num_bytes: 8",
            f"    num_examples: {stated}",
            "  download_size: 8",
            "  dataset_size: 8",
        ]
    return "\n".join([*lines, "---", ""]).encode()


def repository(stated, *values):
    files = {
        f"{c}/train-00000-of-00001.parquet": packed([{"x": v}])
        for c, v in zip(("one", "two"), values, strict=True)
    }
    return {"README.md": card(stated)} | files


def pairs_card(*langs):
    """A README that declares a config with a test split for each language."""
    lines = [f"- config_name: {x}-en\n  data_files:\n  - split: test\n    path: {x}-en/test-*" for x in langs]
    return "\n".join(["---", "configs:", *lines, "---", ""]).encode()


POOL = {"sentence1": ["一", "二"], "sentence2": ["two", "three", "one"], "gold": [[1, 3], [2, 1]]}
REPOSITORIES = {
    ("org/name", ONE): repository(1, 10, 20),
    ("org/name", TWO): repository(5, 30, 40),  # states another number of rows than there are
    ("org/many", CONVERTED): {
        f"{c}/train/0000.parquet": packed([{"x": v}]) for c, v in (("de.de", 7), ("en.en", 8))
    },
    ("org/single", CONVERTED): {"default/validation/0000.parquet": packed([{"x": 9}])},
    ("org/script", ONE): {"README.md": b"---\n---\n", "script.py": b"pass"},
    ("google/xtreme", ONE): {"README.md": b"", "udpos.Greek/test.parquet": packed([{"x": 1}])},
    ("org/broken", ONE): {
        "README.md": b"",
        "one/train-cut-off.parquet": packed([{"x": i} for i in range(999)]),
    },
    ("wikimedia/wikipedia", ONE): {"de/train-0.parquet": packed([{"x": i} for i in range(9)])},
    ("mteb/BUCC", mining_pools.POOLS): {
        "README.md": pairs_card("zh", "fr"),
        "zh-en/test-0.parquet": packed([POOL]),
        "fr-en/test-0.parquet": packed([POOL | {"gold": [[0, 2]]}]),
    },
}


def hub(repository, config, split, revision):
    return f"hub.from_hub({repository!r}, {config!r}, {split!r}, {revision!r})"


FIRST = {
    "pinned": hub("org/name", "one", "train", ONE),
    "no such commit": hub("org/name", "one", "train", "9" * 40),
    "no such config": hub("org/name", "three", "train", ONE),
    "no config": hub("org/name", "", "train", ONE),
    "no such split": hub("org/name", "one", "test", ONE),
    "other size": hub("org/name", "one", "train", TWO),
    "script": hub("org/script", "default", "train", ONE),
    "converted": hub("org/many", "de.de", "train", CONVERTED),
    "converted, of one config": hub("org/single", "default", "validation", CONVERTED),
    "network gone": hub("org/broken", "one", "train", ONE),
    "pages": hub("wikimedia/wikipedia", "de", "train", ONE),
    "udpos": hub("google/xtreme", "udpos.Greek", "test", ONE),
    "pools": "mining_pools.bucc_pools('zh')",
    "pools counted from 0": "mining_pools.bucc_pools('fr')",
}
SECOND = {
    "cached": hub("org/name", "one", "train", ONE),
    "another commit in the cache": hub("org/name", "one", "train", TWO),
    "never seen": hub("org/other", "one", "train", ONE),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What the hub gave, then what the library's cache gave without it."""
    server, home = served(REPOSITORIES), tmp_path_factory.mktemp("home")
    try:
        found = dict(zip(FIRST, ask(list(FIRST.values()), server, home), strict=True))
        return found | dict(zip(SECOND, ask(list(SECOND.values()), server, home, offline=True), strict=True))
    finally:
        server.shutdown()
        server.server_close()


def test_rows_of_the_hub_come_from_the_pinned_commit(answers):
    assert answers["pinned"] == [[[{"x": 10}], "org/name/one/train", ONE, False, True, ""]]


def test_a_cached_copy_of_another_commit_is_refused(answers):
    assert answers["cached"] == answers["pinned"]
    told = answers["another commit in the cache"]
    assert told.startswith(
        f"Bad: org/name one/train: asked for commit {TWO[:12]}, the datasets library gave a cached copy of "
        f"{ONE[:12]}"
    )


def test_a_branch_that_the_hub_converted_is_read_by_the_folder_of_the_config(answers):
    assert answers["converted"][0][0] == [{"x": 7}]
    assert answers["converted, of one config"][0][0] == [{"x": 9}]


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("no such commit", "Revision '999"),
        ("no such config", "BuilderConfig 'three' not found"),
        ("no config", "no config"),
        ("no such split", 'Unknown split "test"'),
        ("script", "scripts are no longer"),
        ("network gone", "peer closed connection"),
        ("never seen", "reach 'org/other'"),
    ],
)
def test_what_the_hub_does_not_give_is_one_line(answers, case, said):
    assert answers[case].startswith("Bad: ") and said in answers[case] and "\n" not in answers[case]


def test_the_split_sizes_that_a_repository_states_are_checked(answers):
    assert "num_examples=5" in answers["other size"] and answers["other size"].startswith(
        "Bad: org/name one/train"
    )


def test_of_an_endless_corpus_the_first_pages_are_streamed(answers):
    assert [row["x"] for row in answers["pages"][0][0]] == [0, 1, 2]


def test_the_hubs_udpos_comes_with_a_caveat(answers):
    assert "not XTREME's own conversion" in answers["udpos"][0][5]


def test_the_hubs_pools_have_ids_and_gold_counted_from_one(answers):
    source, target, gold, provenance = answers["pools"]
    assert [r["sentence"] for r in source] == POOL["sentence1"] and len(target) == 3
    text = {r["id"]: r["sentence"] for r in (*source, *target)}
    assert [[text[a], text[b]] for a, b in gold] == [["一", "one"], ["二", "two"]]
    assert answers["pools counted from 0"].startswith("Bad: mteb/BUCC/fr-en/test: gold pairs outside 1 to")
    assert (
        provenance[1:3] == ["mteb/BUCC/zh-en/test", mining_pools.POOLS] and "XTREME's test" in provenance[5]
    )


# -- a mirror ------------------------------------------------------------------------------------------------


def test_a_changed_byte_in_a_mirror_is_found_and_named(fill):
    file = fill("a/b", "c", "train", ROWS)
    assert from_mirror("a/b", "c", "train") == [(ROWS, "a/b/c/train", "c" * 40, False, True, "")]
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(
        Bad, match=r"c/train\.parquet: sha256 \w+, the manifest says \w+; the mirror is damaged"
    ):
        from_mirror("a/b", "c", "train")


def test_a_truncated_file_of_which_the_manifest_has_the_hash_is_named(fill, tmp_path):
    file = fill("a/b", "c", "train", ROWS)
    short = file.read_bytes()[:-9]
    file.write_bytes(short)
    (tmp_path / "MANIFEST.csv").unlink()
    digest = hashlib.sha256(short).hexdigest()
    listed(
        tmp_path,
        {"repo": "a/b", "config": "c", "split": "train", "rows": 2, "sha256": digest, "complete": "yes"},
    )
    with pytest.raises(Bad, match=r"train\.parquet: no whole parquet file .*; copy it again"):
        from_mirror("a/b", "c", "train")


def test_a_line_of_the_manifest_without_a_file_is_named(fill):
    fill("a/b", "c", "train", ROWS).unlink()
    with pytest.raises(Bad, match=r"train\.parquet: sha256 no file, the manifest says"):
        from_mirror("a/b", "c", "train")


def test_an_original_file_in_a_mirror_is_read_under_its_own_name(fill, tmp_path):
    (tmp_path / "templates").mkdir()
    file = tmp_path / "templates/table.tsv"
    file.write_text('Field\tet\tet\nName\ta "b"\tc\n')
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    split = {"repo": "templates", "config": "all", "split": "tsv", "rows": 1}
    listed(tmp_path, split | {"sha256": digest, "complete": "yes", "path": "x/table.tsv"})
    assert from_mirror("templates", "all", "tsv")[0].rows == [{"Field": "Name", "et": 'a "b"', "et.1": "c"}]


def test_stand_ins_and_incomplete_splits_are_marked(fill):
    fill("a/b", "c", "train", ROWS, note="STAND-IN: other rows")
    fill("a/b", "c", "test", ROWS, complete="partial", note="half")
    (train,), (test,) = (from_mirror("a/b", "c", split) for split in ("train", "test"))
    assert (train.stand_in, train.complete, train.note) == (True, True, "STAND-IN: other rows")
    assert (test.stand_in, test.complete, test.note) == (False, False, "half")


def test_a_file_is_hashed_once_a_process_and_few_are_kept(fill):
    for split in "abcdef":
        fill("a/b", "c", split, ROWS)
    before = local._sha256.cache_info().misses
    for _ in range(3):
        for split in "abcdef":
            from_mirror("a/b", "c", split)
    assert local._sha256.cache_info().misses == before + 6
    assert formats._kept.cache_info().currsize <= formats._kept.cache_info().maxsize <= 3


def test_rows_are_looked_for_in_the_users_folder_then_the_mirror_then_the_hub(fill, put, monkeypatch):
    fill("a/b", "c", "train", ROWS)
    assert sources.fetch("a/b", "c", "train", ONE)[0].source == "a/b/c/train"
    put("a/b/c/train.jsonl", '{"x": 3}\n')
    (part,) = sources.fetch("a/b", "c", "train", ONE)
    assert (part.rows, part.source, len(part.revision)) == ([{"x": 3}], "local/a/b/c/train.jsonl", 64)
    assert sources.fetch("a/b", "c", "test", ONE) == []
    monkeypatch.delenv("XIT_MIRROR")
    with pytest.raises(Bad, match="a/b/c/test: the hub has it at no known commit; buy it"):
        sources.fetch("a/b", "c", "test", ONE, obtain="buy it")


# -- files of the user's -------------------------------------------------------------------------------------

FORMS = {
    "parquet": packed(ROWS),
    "jsonl": "\n".join(json.dumps(row) for row in ROWS) + "\n\n",
    "jsonl.xz": lzma.compress("\n".join(json.dumps(row) for row in ROWS).encode()),
    "json": json.dumps({"data": ROWS}),
    "tsv": "x\ty\n1\tä\n2\tb c\n",
    "csv": 'x,y\n1,ä\n2,"b c"\n',
}


@pytest.mark.parametrize("ending", FORMS)
def test_a_file_of_any_form_gives_the_same_rows(put, ending):
    put(f"a/b/c.d/train.{ending}", FORMS[ending])
    rows = from_local("a/b", "c.d", "train")[0].rows
    assert [row | {"x": int(row["x"])} for row in rows] == ROWS


def test_a_changed_file_is_read_anew(put):
    put("a/b/train.jsonl", '{"x": 1}')
    assert from_local("a", "b", "train")[0].rows == [{"x": 1}]
    put("a/b/train.jsonl", '{"x": 2}')
    assert from_local("a", "b", "train")[0].rows == [{"x": 2}]


def asked(**more):
    return {"id": "q1", "question": "who", "answers": [{"text": "Ann", "answer_start": 0}]} | more


def articles(*questions):
    return json.dumps(
        {
            "data": [
                {
                    "title": "T",
                    "paragraphs": [{"context": "Ann ran.", "sentences": ["Ann ran."], "qas": questions}],
                }
            ]
        }
    )


def test_articles_in_squads_form_give_a_row_a_question_with_what_else_their_paragraph_holds(put):
    put("squad/x/test.json", articles(asked(), asked(id="q2", answers=[], is_impossible=True)))
    rows = from_local("squad", "x", "test")[0].rows
    assert rows[0] == {
        "title": "T",
        "context": "Ann ran.",
        "sentences": ["Ann ran."],
        "id": "q1",
        "question": "who",
        "answers": {"text": ["Ann"], "answer_start": [0]},
    }
    assert rows[1]["answers"] == {"text": [], "answer_start": []}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("train.jsonl", '{"x": 1}\n{"x": \n', r"train\.jsonl: row 1: no JSON"),
        ("train.jsonl", '{"x": 1}\n[2]\n', r"train\.jsonl: row 1: got \[2\]; allowed: an object"),
        ("train.json", '{"rows": 3}', r"train\.json: got no list of rows"),
        ("train.json", articles(asked(), {"id": "q2"}), r"train\.json: row 1: a question without 'answers'"),
        ("train.tsv", "x\ty\n1\t2\n3\n", r"train\.tsv: row 1 has 1 cells, the header 2 \(x, y\)"),
        ("train.csv", 'x,y\n1,"2\n', r"train\.csv: cannot be read near line 2 \(unexpected end of data\)"),
        (
            "train.csv",
            b"x\n\xff\n",
            r"train\.csv: cannot be read as UTF-8 text \('utf-8' codec.*; save it as UTF-8",
        ),
        ("train.csv", "", r"train\.csv: it is empty; needed: a header and rows"),
        ("train.csv", "x,y\n", r"train\.csv: it holds no rows"),
        (
            "train.csv",
            'x,y\n"no" quotes,1\n',
            r"train\.csv: cannot be read near line 2 .*; mend it, or give \.jsonl",
        ),
        ("train.jsonl", b'{"x": 1}\n"\xff"\n', r"train\.jsonl: cannot be read as UTF-8 text"),
        ("train.parquet", FORMS["parquet"][:-5], r"train\.parquet: no whole parquet file"),
        ("train.jsonl.xz", FORMS["jsonl.xz"][:-5], r"train\.jsonl\.xz: cannot be read .*; copy it again"),
        ("train.jsonl.xz", b"{}", r"train\.jsonl\.xz: cannot be read .*; copy it again"),
    ],
)
def test_a_bad_file_is_named_with_its_row(put, name, content, said):
    put(f"a/b/{name}", content)
    with pytest.raises(Bad, match=said) as error:
        from_local("a", "b", "train")
    assert "\n" not in str(error.value)


def test_two_copies_of_a_split_are_one_too_many(put):
    for ending in ("jsonl", "csv"):
        put(f"a/b/train.{ending}", FORMS[ending])
    with pytest.raises(Bad, match=r"train\.csv: train\.jsonl is there too; keep one"):
        from_local("a", "b", "train")


# -- Universal Dependencies as XTREME converts them ----------------------------------------------------------


def tree(*words):
    """CoNLL-U of words "form/TAG/head", with "form/first-last" before those that it fuses."""
    lines, n = ["# text = ..."], 0
    for word in words:
        form, *rest = word.split("/")
        n += len(rest) == 2
        cells = (
            [str(n), form, "_", rest[0], "_", "_", rest[1]]
            if len(rest) == 2
            else [rest[0], form, "_", "_", "_", "_", "_"]
        )
        lines.append("\t".join([*cells, "_", "_", "_"]))
    return "\n".join(lines) + "\n\n"


def converted(put, lang, *trees):
    put(f"ud-treebanks-v2.5/UD_X/{lang}_x-ud-dev.conllu", "".join(trees))
    return [
        list(zip(r["tokens"], r["pos_tags"], strict=True)) for r in originals.ud(lang, "validation")[0].rows
    ]


def test_words_of_a_fused_token_become_one_again_with_the_tag_that_outranks_the_other(put):
    told = converted(put, "el", tree("Στο/1-2", "Σ/ADP/3", "το/DET/3", "σπίτι/NOUN/0"), tree("ναι/INTJ/0"))
    assert told == [[("Στο", "ADP"), ("σπίτι", "NOUN")], [("ναι", "INTJ")]]


def test_the_higher_word_of_a_fused_token_gives_its_tag_whatever_its_rank(put):
    assert converted(put, "de", tree("x/1-2", "a/PART/0", "b/VERB/1")) == [[("x", "PART")]]


def test_languages_rank_tags_in_their_own_order(put):
    words = tree("x/1-2", "a/NOUN/3", "b/PRON/3", "c/VERB/0")
    assert converted(put, "fr", words)[0][0] == ("x", "PRON") and converted(put, "pt", words)[0][0] == (
        "x",
        "NOUN",
    )
    assert converted(put, "es", tree("x/1-2", "a/NUM/3", "b/PRON/3", "c/VERB/0"))[0][0] == ("x", "PRON")


def test_edges_of_the_enhanced_graph_count_too(put):
    lines = tree("x/1-2", "a/VERB/3", "b/NOUN/3", "c/VERB/0", "d/VERB/3").replace(
        "1\ta\t_\tVERB\t_\t_\t3\t_\t_", "1\ta\t_\tVERB\t_\t_\t3\t_\t3:x|4:y|5.1:z"
    )
    assert converted(put, "el", lines)[0][0] == ("x", "NOUN")


# tags and heads of the second sentence of UD_Arabic-PADT's dev file, and the spans of its fused tokens
PADT = """X0 X1 PUNCT4 NOUN1 ADJ4 PUNCT4 NUM1 PUNCT7 NUM7 PUNCT1 X1 X1 PUNCT1 PUNCT1 NOUN17 NOUN15 VERB1
ADP19 NOUN17 ADJ19 X20 X21 CCONJ24 VERB17 ADP26 PRON24 NOUN24 PRON27 ADP30 NOUN24 ADJ30 CCONJ33
VERB24 PRON33 ADP38 CCONJ38 PRON38 VERB33 NUM38 NUM39 NOUN40 CCONJ46 ADP46 CCONJ46 PRON46 VERB38
ADJ46 ADP49 NOUN47 NOUN49 ADP52 NUM50 NOUN52 ADP55 NOUN52 NOUN55 ADP58 NOUN55 NOUN58 X59 X60 ADP63
NOUN59 X63 PUNCT1""".split()
SPANS = {25: 26, 27: 28, 32: 34, 35: 37, 42: 45, 51: 52}
# what XTREME's own preprocessing made of it (wuhjie/few_shots_that_matters_wu@98f4028, data/udpos/dev-ar.tsv)
XTREMES = """
X X PUNCT NOUN ADJ PUNCT NUM PUNCT NUM PUNCT X X PUNCT PUNCT NOUN NOUN VERB ADP NOUN ADJ X X CCONJ
VERB PRON NOUN ADP NOUN ADJ VERB PRON VERB NUM NUM NOUN PRON VERB ADJ ADP NOUN NOUN NUM NOUN ADP
NOUN NOUN ADP NOUN NOUN X X ADP NOUN X PUNCT""".split()


def test_a_sentence_is_tagged_as_xtremes_own_conversion_did(put):
    words = [f"w/{tag.rstrip('0123456789')}/{tag.lstrip('ABCDEFGHIJKLMNOPQRSTUVWXYZ')}" for tag in PADT]
    for first, last in sorted(SPANS.items(), reverse=True):
        words.insert(first - 1, f"fused/{first}-{last}")
    (told,) = converted(put, "ar", tree(*words))
    assert [tag for _, tag in told] == XTREMES and sum(form == "fused" for form, _ in told) == 6


def test_older_languages_are_not_mixed_in_and_treebanks_are_read_in_the_order_of_their_names(put):
    for folder, code in (
        ("UD_Greek-Z", "el_a"),
        ("UD_Greek-A", "el_z"),
        ("UD_Ancient_Greek-PROIEL", "grc_proiel"),
    ):
        put(f"ud-treebanks-v2.5/{folder}/{code}-ud-test.conllu", tree(f"{code}/X/0"))
    (part,) = originals.ud("el", "test")
    assert [r["tokens"] for r in part.rows] == [
        ["el_a"],
        ["el_z"],
    ] and part.source == "local/ud-treebanks-v2.5/el_a+el_z-ud-test"
    assert originals.ud("el", "train") == [] and len(part.revision) == 64


def test_sentences_without_their_text_are_left_out_and_forms_are_cleaned(put):
    gone = tree("_/NOUN/0", "_/VERB/1", "./PUNCT/1")
    told = converted(put, "fa", gone, tree("می\u200cروم/VERB/0", "10 000/NUM/1", "_/X/1"), tree("_/X/0"))
    assert told == [[("میروم", "VERB"), ("10000", "NUM"), ("_", "X")]]


def test_a_broken_line_of_a_treebank_is_named(put):
    with pytest.raises(Bad, match=r"el_x-ud-dev\.conllu: line 3 has 2 columns; CoNLL-U has 10"):
        converted(put, "el", tree("a/X/0")[:-1] + "2\tb\n\n")


# -- CCGbank -------------------------------------------------------------------------------------------------

AUTO = """ID=wsj_0001.1 PARSER=GOLD NUMPARSE=1
(<T S 0 2> (<L N NNP NNP Vinken N>) (<T S[dcl]\\NP 0 2> \
(<L (S[dcl]\\NP)/NP V V joined (S[dcl]\\NP_1)/NP_2>) (<L . . . . .>) ) )
"""


def test_supertags_are_the_categories_of_the_leaves(put):
    put("ccgbank/data/AUTO/00/wsj_0001.auto", AUTO)
    put("ccgbank/data/AUTO/01/wsj_0101.auto", AUTO)  # read by nobody
    (part,) = originals.ORIGINALS["ccgbank"]("en", "validation")
    assert part.rows == [{"tokens": ["Vinken", "joined", "."], "supertags": ["N", "(S[dcl]\\NP)/NP", "."]}]
    assert originals.ccgbank("train") == []


def test_sections_2_to_21_train_and_a_missing_one_is_named(put):
    for n in range(2, 22):
        put(f"ccgbank/data/AUTO/{n:02}/wsj_{n:02}01.auto", AUTO)
    assert len(originals.ccgbank("train")[0].rows) == 20
    for file in put("ccgbank/data/AUTO/07/x", "").parent.iterdir():
        file.unlink()
    with pytest.raises(Bad, match="nothing in 07; train needs all of its 20 sections"):
        originals.ccgbank("train")


def test_a_broken_derivation_is_named(put):
    put("ccgbank/data/AUTO/00/wsj_0001.auto", AUTO + "(<T S")
    with pytest.raises(Bad, match=r"wsj_0001\.auto: line 3: neither a derivation nor its ID"):
        originals.ccgbank("validation")


# -- pools to be mined ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "split"), [("dev", "validation"), ("sample", "validation"), ("training", "test")]
)
def test_pools_of_the_shared_tasks_own_files(put, name, split):
    put(f"bucc2018/de-en.{name}.de", "de-1\tEins.\nde-2\tZwei\tund drei.\n")
    put(f"bucc2018/de-en.{name}.en", "en-1\tOne.\n")
    put(f"bucc2018/de-en.{name}.gold", "de-1\ten-1\n")
    source, target, gold, provenance = mining_pools.bucc_pools("de", split)
    assert source == [{"id": "de-1", "sentence": "Eins."}, {"id": "de-2", "sentence": "Zwei\tund drei."}]
    assert (target, gold) == ([{"id": "en-1", "sentence": "One."}], [("de-1", "en-1")])
    assert provenance.source == f"local/bucc2018/de-en.{name}" and provenance.rows == []


@pytest.mark.parametrize(
    ("ending", "content", "said"),
    [
        ("gold", "de-1\ten-9\n", r"de-en\.dev\.gold: pair de-1 en-9 is not in the pools"),
        ("en", "en-1 One.\n", r"de-en\.dev\.en: row 0: got 'en-1 One\.'; allowed: two fields"),
        ("en", None, r"de-en\.dev\.en: no such file"),
    ],
)
def test_pools_that_do_not_fit_together_are_named(put, ending, content, said):
    files = {"de": "de-1\tEins.\n", "en": "en-1\tOne.\n", "gold": "de-1\ten-1\n"} | {ending: content}
    for end, text in files.items():
        if text is not None:
            put(f"bucc2018/de-en.dev.{end}", text)
    with pytest.raises(Bad, match=said):
        mining_pools.bucc_pools("de")


def test_pools_of_a_mirror_come_without_gold_and_gold_pairs_alone_are_no_pools(fill):
    fill(
        "google/xtreme", "bucc18.de", "validation", [{"source_sentence": "Eins.", "target_sentence": "One."}]
    )
    with pytest.raises(
        Bad, match="bucc/de: the mirror holds no bucc2018/de-en pools of validation; unset XIT_MIRROR"
    ):
        mining_pools.bucc_pools("de")
    for side in ("source", "target"):
        fill("bucc2018", "de-en", side, [{"id": side, "sentence": side}])
    source, target, gold, provenance = mining_pools.bucc_pools("de")
    assert (source[0]["id"], target[0]["id"], gold, provenance.source) == (
        "source",
        "target",
        None,
        "bucc2018/de-en",
    )
    with pytest.raises(Bad, match="bucc/de: .*'test'; a mirror has pools of validation only; unset"):
        mining_pools.bucc_pools("de", "test")


# -- what a scale reads, listed whole ------------------------------------------------------------------------


def lines(scale="paper"):
    return {(r["task"], r["source"], r["split"]): r for r in inventory.presence(SCALES[scale])}


def test_every_split_that_the_paper_scale_reads_is_listed_with_its_rows():
    told = inventory.presence(SCALES["paper"])
    assert {r["task"] for r in told} == set(REAL_TASKS)
    assert len({(r["task"], r["source"], r["split"]) for r in told}) == len(told)
    unstated = {(r["task"], r["source"].rpartition("/")[0]) for r in told if r["expected_rows"] is None}
    assert unstated == {
        ("ccg", "ccgbank"),
        ("mlm", "wikimedia/wikipedia"),
        ("squad1", "squad_mt_fi"),
        ("shift_gum", "ud_genre"),
        ("shift_sick", "sick_multi"),
        ("snli", "snli_mt_fi"),
        ("paws", "paws_mt_id"),
        ("hellaswag", "mt/hellaswag"),
        ("prefer", "Anthropic/hh-rlhf"),
        ("prefer_sham", "Anthropic/hh-rlhf"),
        ("scenes", "multi30k"),
        ("scenes_sham", "multi30k"),
    }, "state how many rows a new task has, with the source, in xit_core/sizes.csv; or name it here"
    assert all(r["state"] and r["licence"] and r["rows"] is None for r in told)


def test_what_is_joined_translated_or_searched_is_listed_too():
    found = lines()
    assert found["anli", "stanfordnlp/snli/plain_text", "train"]["expected_rows"] == 550152
    assert found["anli", "nyu-mll/glue/mnli", "train"]["revision"] == TASKS["mnli"].revision
    assert sum(t == "mnli" and source.startswith("facebook/xnli/") for t, source, _ in found) == 14
    assert found["mewslix", "mewsli-x/dataset", "candidate_set_entities"]["expected_rows"] == 1003893
    assert {source for t, source, _ in found if t == "bucc"} >= {
        f"mteb/BUCC/{x}-en" for x in ("de", "fr", "ru", "zh")
    }


def test_the_sums_that_claims_need_come_from_the_table():
    assert (
        inventory.expected_examples(TASKS["anli"]) == 1104934
        and inventory.expected_examples(TASKS["mnli"]) == 392702
    )
    assert (
        inventory.expected_examples(TASKS["ccg"]) is None and inventory.expected_examples(TASKS["xnli"]) == 0
    )
    assert inventory.rows_of(TASKS["anli"], TASKS["anli"].train) == 162865


def test_what_the_hub_has_at_no_known_commit_says_how_to_get_it():
    found = lines()
    assert found["ccg", "ccgbank/supertags", "train"]["state"].startswith(
        "missing: CCGbank is licensed (LDC2005T13)"
    )
    assert "XIT_LOCAL/mt/hellaswag" in found["hellaswag", "mt/hellaswag/<language>", "train"]["state"]
    assert "TurkuNLP/squad2-fi" in found["squad1", "squad_mt_fi/squad_v1", "train"]["state"]
    assert found["qqp", "nyu-mll/glue/qqp", "train"]["state"] == "on the hub: fetched when needed"


def test_universal_dependencies_are_counted_as_xtreme_converts_them_and_the_hubs_copy_is_told_apart(
    monkeypatch,
):
    greek = lines()["udpos", "google/xtreme/udpos.Greek", "validation"]
    assert greek["expected_rows"] == 403 and "2,559 rows; not XTREME's own conversion" in greek["state"]
    monkeypatch.setitem(SCALES, "paper", replace(SCALES["paper"], gaps=()))
    thai = lines()["udpos", "google/xtreme/udpos.Thai", "validation"]
    assert thai["expected_rows"] == 0 and thai["state"].startswith("there is none")


def test_a_mirrors_rows_are_compared_with_those_that_should_be_there(mirror):
    mirror("tau/commonsense_qa", "default", "train", rows(9741))
    mirror("tau/commonsense_qa", "default", "validation", rows(7), complete="partial", licence="theirs")
    mirror("rajpurkar/squad_v2", "squad_v2", "train", rows(5), note="STAND-IN: other rows")
    found = lines()
    whole = found["csqa", "tau/commonsense_qa/default", "train"]
    assert (whole["rows"], whole["state"], len(whole["sha256"]), whole["stand_in"]) == (
        9741,
        "complete",
        64,
        "",
    )
    part = found["csqa", "tau/commonsense_qa/default", "validation"]
    assert part["state"] == "7 rows where 1,221 are expected" and part["licence"] == "theirs"
    other = found["squad2", "rajpurkar/squad_v2/squad_v2", "train"]
    assert other["stand_in"] == "STAND-IN: other rows" and "5 rows where 130,319" in other["state"]
    assert (
        found["qqp", "nyu-mll/glue/qqp", "train"]["state"]
        == "missing in the mirror; unset XIT_MIRROR to take it from the hub"
    )
    assert found["ccg", "ccgbank/supertags", "train"]["state"].startswith(
        "missing in the mirror; CCGbank is licensed"
    )


def test_declared_stand_ins_are_named_where_the_mirror_holds_them(mirror):
    assert lines()["mnli", "nyu-mll/glue/mnli", "train"]["stand_in"] == ""
    mirror("metaeval/lingnli", "default", "train", rows(3))
    mirror("pretrain_text", "de", "train", rows(3), complete="derived")
    found = lines()
    assert found["mnli", "nyu-mll/glue/mnli", "train"]["stand_in"] == "metaeval/lingnli/default/train"
    assert found["mnli", "facebook/xnli/de", "train"]["stand_in"] == ""  # in English they are no translations
    assert found["mlm", "wikimedia/wikipedia/20231101.de", "train"]["state"].endswith(
        "pretrain_text/de/train stands in"
    )
    mirror("nyu-mll/glue", "mnli", "train", rows(4), complete="partial")
    assert lines()["mnli", "nyu-mll/glue/mnli", "train"]["stand_in"] == "metaeval/lingnli/default/train"


def test_damage_is_shown_in_the_state(mirror):
    changed = mirror("nyu-mll/glue", "qqp", "train", rows(3))
    changed.write_bytes(changed.read_bytes()[:-1] + b"x")
    mirror("nyu-mll/glue", "qqp", "validation", rows(3)).unlink()
    found = lines()
    state = {split: found["qqp", "nyu-mll/glue/qqp", split]["state"] for split in ("train", "validation")}
    assert state["train"] == "damaged: train.parquet is not what the manifest lists; copy it again"
    assert state["validation"] == "damaged: validation.parquet is listed, but not there; copy it again"


def test_the_users_own_files_are_counted_and_a_broken_one_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("XIT_LOCAL", str(tmp_path))
    for path, content in {
        "tau/commonsense_qa/default/train.parquet": packed(rows(9741)),
        "nyu-mll/glue/qqp/train.jsonl": b"{",
        "mt/squad1/de/train.jsonl": b'{"x": 1}\n',
        "ccgbank/data/AUTO/00/wsj_0001.auto": b"ID=wsj_0001.1\n(<L N NNP NNP Vinken N>)\n",
        "bucc2018/de-en.sample.de": b"de-1\tEins.\nde-2\tZwei.\n",
        "bucc2018/de-en.sample.en": b"en-1\tOne.\n",
        "bucc2018/fr-en/source.jsonl": b'{"id": "fr-1", "sentence": "Un."}\n',  # nothing reads pools there
        "ud-treebanks-v2.5/UD_Greek-GDT/el_gdt-ud-dev.conllu": b"1\tx\t_\tX\t_\t_\t0\t_\t_\t_\n\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    found = lines()
    own = found["csqa", "tau/commonsense_qa/default", "train"]
    assert (own["rows"], own["state"], len(own["sha256"])) == (9741, "your own copy", 64)
    assert "row 0: no JSON" in found["qqp", "nyu-mll/glue/qqp", "train"]["state"]
    assert (
        found["squad1", "mt/squad1/de", "train"]["rows"] == 1
        and ("squad1", "mt/squad1/<language>", "train") not in found
    )
    assert (
        found["ccg", "ccgbank/supertags", "validation"]["state"]
        == "your own copy; nobody states its number of rows"
    )
    assert [found["bucc", "bucc2018/de-en", side]["rows"] for side in ("source", "target")] == [2, 1]
    assert not any(name == "bucc2018/fr-en" for _, name, _ in found)
    assert ("bucc", "mteb/BUCC/de-en", "test") not in found and ("bucc", "mteb/BUCC/fr-en", "test") in found
    greek = found["udpos", "google/xtreme/udpos.Greek", "validation"]
    assert (greek["rows"], greek["state"]) == (1, "1 rows where 403 are expected")


@pytest.mark.parametrize("scale", ["smoke", "micro"])
def test_the_micro_world_lists_the_tasks_it_tells(scale):
    told = inventory.presence(SCALES[scale])
    assert {r["task"] for r in told} == set(MICRO.tasks) and {r["state"] for r in told} == {
        "generated when needed"
    }


def test_every_number_of_the_table_has_a_source_and_stands_there_once():
    with open(PACKAGE / "sizes.csv", newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert all(row["source"] and row["value"] for row in table)
    assert len({(row["data"], row["item"]) for row in table}) == len(table)
