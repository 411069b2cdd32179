"""Answers survive the way to pieces and back: in every script, in every window, whatever stands around
them."""

import unicodedata

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, pre_tokenizers

import plain
from xit_core.design.encoders import lacking
from xit_core.design.readers import aligned
from xit_core.design.scales import SCALES
from xit_core.design.tasks import TASKS
from xit_core.machine import places
from xit_core.model import origins
from xit_core.model.kinds import span

MIRROR = places.mirror_dir()  # where it is; within a test it is not seen
TASK = TASKS["squad1"]
SQUAD = [("rajpurkar/squad/plain_text", "train"), ("rajpurkar/squad/plain_text", "validation")]
XQUAD = [(f"google/xtreme/XQuAD.{x}", "validation") for x in "ar de el en es hi ro ru th tr vi zh".split()]


def named(name: str) -> Tokenizer:
    """The tokenizer that is shipped, or the one for many scripts."""
    return plain.tokenizer() if name == "scripts" else origins.tokenizer(SCALES[name])


@pytest.fixture(scope="module", params=["micro", "scripts", "split"])
def pieces(request):
    """Both, and one that splits at white space first, as XLM-R's does."""
    if request.param != "split":
        return Tokenizer.from_str(named(request.param).to_str())  # tests change its truncation
    split = Tokenizer.from_str(origins.tokenizer(SCALES["micro"]).to_str())
    split.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), split.pre_tokenizer])
    return split


def asked(context, said, start=None):
    return {
        "id": "1",
        "question": "who ?",
        "context": context,
        "answers": [(context.index(said) if start is None else start, said)],
    }


def perfect(features):
    """Logits (T, 2) that say the gold positions of every window."""
    logits = [torch.zeros(f["length"], 2) for f in features]
    for x, f in zip(logits, features, strict=True):
        x[f["answer"][0], 0] = x[f["answer"][1], 1] = 9
    return logits


def there_and_back(examples, tokenizer, max_len=96, step=0):
    features = span.encode(examples, tokenizer, max_len, step=step)
    return span.answers(TASK, perfect(features), features, examples)[0], features


def fits(features, context, said):
    """Whether spans can say it: whole in a window, not longer than the limit, bounded by pieces; white space
    is left out.
    """
    for f in features:
        a, b = f["answer"]
        if (
            a
            and b - a < span.ANSWER
            and context[f["spans"][a][0] : f["spans"][b][1]].strip(span.WHITE) == said
        ):
            return True
    return False


@pytest.mark.parametrize(
    ("context", "said"),
    [
        ("The lake , deep and blue .", "lake"),
        ("end", "end"),
        ("a  b\u3000c\u00a0d\u2009e\nf", "b\u3000c\u00a0d\u2009e"),
        ("ＡＢＣ ｄｅｆ ＧＨＩ", "ｄｅｆ"),
        ("one \u200btwo\u200b three", "two"),
        ("\ufeffone two", "one"),
        ("\u200fسد النهضة\u200f كبير", "النهضة"),
        ("می\u200cخواهم بروم", "می\u200cخواهم"),
        ("น้ำ ท่วม หนัก", "น้ำ"),
        ("湖 很深 。", "很深"),
        ("क़िला ज़मीन", "ज़मीन"),
        (unicodedata.normalize("NFD", "la forêt où été"), unicodedata.normalize("NFD", "été")),
        (unicodedata.normalize("NFD", "hồ sâu"), unicodedata.normalize("NFD", "hồ")),
        ("👩‍🚀 👍🏽 flew", "👍🏽"),
        ("the ﬁnal ½ mile", "ﬁnal"),
    ],
    ids=ascii,
)
def test_no_character_of_an_answer_is_lost(context, said, pieces):
    assert there_and_back([asked(context, said)], pieces)[0] == [said]


JAMO = unicodedata.normalize("NFD", "한국의 수도 서울 은 크다")
WIDE = "アイカキクケコサシスセソタツテトハヒフヘホマミラリルンー゛゜"
HALF = str.maketrans(dict(zip(WIDE, "ｱｲｶｷｸｹｺｻｼｽｾｿﾀﾂﾃﾄﾊﾋﾌﾍﾎﾏﾐﾗﾘﾙﾝｰﾞﾟ", strict=True)))


@pytest.mark.parametrize(
    ("context", "said"),
    [
        (JAMO, unicodedata.normalize("NFD", "서울")),
        (JAMO, unicodedata.normalize("NFD", "한국의 수도")),
        ("ﾊﾟﾘ ﾉ ｶﾞｽ 会社", "ｶﾞｽ"),
        ("ﾄﾞｲﾂ ﾄ ﾍﾞﾙﾘﾝ", "ﾍﾞﾙﾘﾝ"),
        (unicodedata.normalize("NFD", "ভাষা বোঝা সহজ"), unicodedata.normalize("NFD", "বোঝা")),
        (unicodedata.normalize("NFKD", "ガス と パリ"), unicodedata.normalize("NFKD", "ガス")),
    ],
    ids=ascii,
)
def test_what_normalisation_joins_to_the_character_before_it_belongs_to_the_answer(context, said, pieces):
    assert there_and_back([asked(context, said)], pieces)[0] == [said]


def half(text: str) -> str:
    """Half-width katakana, a mark of voicing after its syllable."""
    apart = unicodedata.normalize("NFD", text).replace("\u3099", "゛").replace("\u309a", "゜")
    return unicodedata.normalize("NFC", apart.translate(HALF))


SPELT = {
    "NFD": lambda x: unicodedata.normalize("NFD", x),
    "NFKD": lambda x: unicodedata.normalize("NFKD", x),
    "half": half,
}
LETTERS = "가각한국힣뷁 アイガギグダドパピプン éèüñçäöåøß ốểữậđ কোয়বৌড় ज़क़फ़िया ёйїў ΐώάς نؤئآ ab12".split()
WORDS = st.lists(
    st.sampled_from(LETTERS).flatmap(lambda x: st.text(x, min_size=1, max_size=4)), min_size=3, max_size=9
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(["micro", "scripts"]), st.sampled_from([*SPELT]), WORDS, st.data())
def test_every_run_of_whole_characters_is_found_however_they_are_spelt(name, spelling, words, draw):
    words = [w for w in map(SPELT[spelling], words) if not unicodedata.combining(w[0])] or ["lake"]
    first = draw.draw(st.integers(0, len(words) - 1))
    last = draw.draw(st.integers(first + 1, len(words)))
    start = sum(len(w) + 1 for w in words[:first])
    context, said = " ".join(words), " ".join(words[first:last])
    texts, features = there_and_back([asked(context, said, start)], named(name), 384)
    a, b = features[0]["answer"]
    assert len(features) == 1 and a and texts == [said] or b - a >= span.ANSWER


@pytest.mark.parametrize("question", [JAMO, "ﾊﾟﾘ ﾉ ｶﾞ", unicodedata.normalize("NFD", "où été né")], ids=ascii)
def test_a_question_keeps_its_last_character_whole(question, pieces):
    features = span.encode([asked("the lake", "lake") | {"question": question}], pieces, 96)
    whole = pieces.encode(unicodedata.normalize("NFC", question), "the lake").ids
    assert features[0]["ids"] == whole


def test_answers_that_are_in_no_window_are_counted(pieces):
    context = " ".join(f"w{i}" for i in range(80))
    examples = [
        asked(context, "w7"),
        asked(context, context),
        asked(context, "", 0) | {"answers": []},
        asked("a  b", " ", 1),
    ]
    assert span.lost(span.encode(examples, pieces, 48), examples) == [1, 3]


@pytest.mark.parametrize(
    ("gold", "said"), [(" lake", "lake"), ("lake ", "lake"), ("\u200blake ", "lake"), (" ", "")]
)
def test_white_space_around_an_answer_neither_loses_it_nor_comes_back(gold, said, pieces):
    example = asked(f"the{gold}is deep" if gold.strip() else "the  lake", gold, 3)
    texts, features = there_and_back([example], pieces)
    assert texts == [said] or not gold.strip()
    assert (features[0]["answer"] == (0, 0)) == (not gold.strip())


@pytest.mark.parametrize("step", [0, 4, 16, 1000])
def test_windows_cover_the_context_and_every_answer_that_is_whole_in_one_is_found(pieces, step):
    context = " ".join(f"w{i} na" for i in range(60)) + " end"
    examples = [asked(context, f"w{i} na w{i + 1}") for i in range(0, 59, 7)]
    texts, features = there_and_back(examples, pieces, 48, step)
    assert texts == [e["answers"][0][1] for e in examples]
    assert max(f["length"] for f in features) == 48 and min(f["length"] for f in features) > 12
    covered = {k for f in features if f["example"] == 0 for s in f["spans"] if s for k in range(*s)}
    assert {i for i, c in enumerate(context) if c != " "} <= covered


def test_windows_begin_a_step_apart_and_stop_where_the_context_ends(pieces):
    example = asked(" ".join(f"w{i}" for i in range(200)), "w9")
    starts = {}
    for step in (0, 8):
        _, features = there_and_back([example], pieces, 48, step)
        firsts = [f["spans"].index(next(s for s in f["spans"] if s)) for f in features]
        whole = span.encode([example], pieces, 10_000)[0]["spans"]
        starts[step] = [whole.index(f["spans"][k]) for f, k in zip(features, firsts, strict=True)]
        assert features[-1]["spans"][-2] == whole[-2] and features[-2]["spans"][-2] != whole[-2]
    room = 48 - firsts[0] - 1
    assert {b - a for a, b in zip(starts[8], starts[8][1:], strict=False)} == {8}
    assert {b - a for a, b in zip(starts[0], starts[0][1:], strict=False)} == {room - 48 // 3}


def test_windows_without_a_step_are_those_of_the_tokenizers_library(pieces):
    context = " ".join(f"w{i} na" for i in range(60))
    features = span.encode([asked(context, "w7"), asked("", "", 0), asked("w1", "w1")], pieces, 48)
    pieces.enable_truncation(48, stride=16, strategy="only_second")
    rows = pieces.encode_batch([("who ?", context), ("who ?", ""), ("who ?", "w1")])
    assert [f["ids"] for f in features] == [w.ids for x in rows for w in (x, *x.overflowing)]


def test_a_question_or_a_context_without_a_piece_is_no_error(pieces):
    examples = [asked("the lake", "lake") | {"question": "\u200b"}, asked("\u200b", "", 0)]
    texts, features = there_and_back(examples, pieces)
    assert texts == ["lake", ""] and len(features) == 2


def test_an_answer_longer_than_the_limit_is_cut_and_one_inside_a_piece_comes_with_its_piece(pieces):
    context = " ".join(f"w{i}" for i in range(40))
    text, features = there_and_back([asked(context, context)], pieces, 384)
    assert text[0] and context.startswith(text[0]) and not fits(features, context, context)
    text, features = there_and_back([asked("中国人，你好。", "人")], pieces)
    assert "人" in text[0] and (text == ["人"]) == fits(features, "中国人，你好。", "人")


def test_the_no_answer_score_is_the_least_null_less_the_best_span(pieces):
    example = asked(" ".join(f"w{i}" for i in range(80)), "w70")
    features = span.encode([example], pieces, 48)
    logits = [torch.zeros(f["length"], 2) for f in features]
    for k, x in enumerate(logits):
        x[0] = 3 + k
    a, b = features[-1]["answer"]
    logits[-1][a, 0], logits[-1][b, 1] = 2, 1
    # null 3 + 3 in the first window, span 2 + 1
    assert span.spoken(logits, features, [example]) == [("w70", 3.0)]
    assert span.answers(TASKS["squad2"], logits, features, [example])[0] == [""]
    logits[-1][b, 1] = 5
    assert span.spoken(logits, features, [example]) == [("w70", -1.0)]
    assert span.answers(TASKS["squad2"], logits, features, [example])[0] == ["w70"]


def test_a_tie_between_windows_goes_to_the_first(pieces):
    example = asked(" ".join(f"w{i}" for i in range(80)), "w70")
    features = span.encode([example], pieces, 48)
    ((said,), _) = span.answers(TASK, [torch.zeros(f["length"], 2) for f in features], features, [example])
    assert len(features) > 2 and said and example["context"].startswith(said)


def test_the_best_span_is_that_of_all_pairs():
    draw = torch.Generator().manual_seed(0)
    for n in (1, 2, 5, 29, 30, 31, 90):
        x = torch.randint(0, 4, (n + 2, 2), generator=draw).float()
        spans = [None, *[(i, i + 1) for i in range(n)], None]
        pairs = {
            (a, b): (x[a, 0] + x[b, 1]).item()
            for a in range(1, n + 1)
            for b in range(a, min(a + span.ANSWER, n + 1))
        }
        a, b = min(pairs, key=lambda p: (-pairs[p], p))
        assert span.best_span(x, spans) == (pairs[a, b], a - 1, b)


@pytest.mark.parametrize(
    ("context", "start", "said", "at"),
    [
        ("the lake", 4, "lake", 4),
        ("the lake", 6, "lake", 4),  # the context lost two leading characters
        ("lake lake lake", 6, "lake", 5),
        ("ab ab", 1, "ab", 0),
        ("a.b.a", 2, "a", 0),  # as near on both sides: the earlier
        ("aXaa", 1, "a", 0),
        ("lake", 40, "lake", 0),
        ("lake", -3, "lake", 0),
    ],
)
def test_an_answer_that_is_not_at_its_offset_is_found_nearest_to_it(context, start, said, at):
    assert (
        aligned(context, start, said)
        == at
        == min(
            (i for i in range(len(context)) if context.startswith(said, i)), key=lambda i: (abs(i - start), i)
        )
    )


def test_a_stripped_context_keeps_its_answers():
    context = "  \n the lake and the lake "
    for start in (8, 21):
        moved = aligned(context.strip(), start, "lake")
        assert context.strip()[moved:].startswith("lake") and moved == start - 4


def test_an_answer_that_is_nowhere_is_said_to_be():
    assert aligned("the lake", 4, "boat") == -1 and aligned("", 0, "boat") == -1


@pytest.mark.skipif(
    not MIRROR or bool(lacking(SCALES["small"].encoder)),
    reason="needs the data mirror (XIT_MIRROR) and the encoder of small",
)
@pytest.mark.parametrize(("where", "split"), [*SQUAD, *XQUAD], ids=lambda x: x.rpartition("/")[2])
def test_every_answer_of_the_real_data_that_fits_comes_back_exactly(where, split):
    """At the recipe's lengths, with the tokenizer of `small`. Most that cannot fit end inside a piece:
    "1542" in "1542.".
    """
    import pyarrow.parquet as parquet

    tokenizer, count, fit, exact = origins.tokenizer(SCALES["small"]), 0, 0, 0
    for batch in parquet.ParquetFile(MIRROR / where / f"{split}.parquet").iter_batches(2000):
        examples = [e for row in batch.to_pylist() for e in TASK.read(row, "en") if isinstance(e, dict)]
        texts, features = there_and_back(examples, tokenizer, 384, 128)
        windows = [[] for _ in examples]
        for f in features:
            windows[f["example"]].append(f)
        able = [fits(w, e["context"], e["answers"][0][1]) for w, e in zip(windows, examples, strict=True)]
        right = [t == e["answers"][0][1] for t, e in zip(texts, examples, strict=True)]
        assert able == right
        count, fit, exact = count + len(examples), fit + sum(able), exact + sum(right)
    assert exact == fit > (0.75 if where.endswith(".el") else 0.88) * count
