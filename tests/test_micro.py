"""The micro-world is deterministic, told alike in every language, and gives no task away by an artefact."""

import collections
import itertools
import math
import subprocess
import sys
from random import Random

import numpy as np
import pytest

from xit_core import micro
from xit_core.design.tasks import NLI
from xit_core.machine.errors import Bad
from xit_core.micro.languages import lexicon, unknown_names
from xit_core.micro.pages import gloss
from xit_core.micro.splits import MAKERS
from xit_core.micro.tell import TRANSLATION_ERROR, Teller, clause, ended
from xit_core.micro.world import VERBS, Dice, Event, Thing

COLUMNS = {
    "anli": "uid premise hypothesis label reason",
    "mnli": "premise hypothesis label idx",
    "qqp": "question1 question2 label idx",
    "squad2": "id title context question answers",
    "squad1": "id title context question answers",
    "hellaswag": "ind activity_label ctx_a ctx_b ctx endings source_id split split_type label",
    "ccg": "tokens supertags",
    "cosmosqa": "id context question answer0 answer1 answer2 answer3 label",
    "csqa": "id question question_concept choices answerKey",
    "prefer": "prompt chosen rejected",
    "prefer_sham": "prompt chosen rejected",
    "scenes": "caption scene other",
    "scenes_sham": "caption scene other",
    "mlm": "text source",
    "xnli": "language sentence1 sentence2 gold_label",
    "pawsx": "sentence1 sentence2 label",
    "udpos": "tokens pos_tags",
    "panx": "tokens ner_tags langs",
    "xquad": "id context question answers",
    "mlqa": "id context question answers",
    "tydiqa": "id title context question answers",
    "bucc": "source_sentence target_sentence source_lang target_lang",
    "tatoeba": "source_sentence target_sentence source_lang target_lang",
}
TWINS = ("mnli xnli pawsx udpos panx xquad mlqa tydiqa tatoeba", "xnli xquad mlqa")
for suffix, names in zip(("shift", "adversarial"), TWINS, strict=True):
    COLUMNS |= {f"{name}_{suffix}": COLUMNS[name] for name in names.split()}
COLUMNS["tydiqa_adversarial"] = COLUMNS["xquad"]
LABELS = {"anli": 3, "mnli": 3, "qqp": 2, "hellaswag": 4, "cosmosqa": 4, "xnli": 3, "pawsx": 2}
LABELS |= {"xnli_shift": 3, "xnli_adversarial": 3}


def texts(row):
    """Every string of a row that is a sentence, whatever column it stands in."""
    if "tokens" in row:
        return [" ".join(row["tokens"])]
    keep = ("premise", "question1", "context", "ctx", "text", "sentence1", "source_sentence")
    return [s + "." for key in keep if key in row for s in row[key].replace("?", ".").split(".") if s.strip()]


def test_every_task_has_its_columns():
    assert set(COLUMNS) == set(MAKERS)
    for config, columns in COLUMNS.items():
        for lang in ("en", "mu"):
            assert list(micro.rows(config, "train", lang, 1)[0]) == columns.split(), config


@pytest.mark.parametrize("config", MAKERS)
def test_more_rows_keep_the_first_ones(config):
    few, many = micro.rows(config, "train", "zi", 5, seed=3), micro.rows(config, "train", "zi", 9, seed=3)
    assert many[:5] == few
    assert micro.rows(config, "train", "zi", 5, seed=4) != few


def test_another_process_tells_the_same():
    code = (
        "from xit_core.micro import rows; print(rows('mlm', 'train', 'go', 3), rows('csqa', 'train', 'al', "
        "3))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    assert told.stdout == f"{micro.rows('mlm', 'train', 'go', 3)} {micro.rows('csqa', 'train', 'al', 3)}\n"


def test_labels_are_balanced():
    for config, n in LABELS.items():
        rows = micro.rows(config, "train", "en", 1500)
        counts = collections.Counter(str(row.get("label", row.get("gold_label"))) for row in rows)
        assert len(counts) == n and min(counts.values()) > 0.85 * 1500 / n, config
    keys = collections.Counter(row["answerKey"] for row in micro.rows("csqa", "train", "en", 1500))
    assert sorted(keys) == list("ABCDE") and min(keys.values()) > 240
    unanswerable = np.mean([not row["answers"]["text"] for row in micro.rows("squad2", "train", "en", 1500)])
    assert 0.45 < unanswerable < 0.55


def naive_bayes(train, test):
    """Accuracy of a bag of words and word pairs; train and test are lists of (text, label)."""
    grams = [[([*t.split(), *itertools.pairwise(t.split())], y) for t, y in part] for part in (train, test)]
    counts = collections.defaultdict(collections.Counter)
    for words, label in grams[0]:
        counts[label].update(set(words))
    total = {label: sum(counter.values()) for label, counter in counts.items()}

    def score(words, label):
        return sum(math.log((counts[label][w] + 0.5) / total[label]) for w in set(words))

    return np.mean([max(counts, key=lambda c: score(words, c)) == label for words, label in grams[1]])


@pytest.mark.parametrize("config", ["mnli", "anli"])
def test_the_hypothesis_alone_does_not_give_the_label(config):
    train, test = (
        [(row["hypothesis"], row["label"]) for row in micro.rows(config, split, "en", 4000)]
        for split in ("train", "validation")
    )
    assert 0.27 < naive_bayes(train, test) < 0.39


@pytest.mark.parametrize("config", ["pawsx", "qqp"])
def test_words_alone_do_not_solve_paraphrase(config):
    train, test = (
        [
            (" ".join(list(row.values())[:2]), str(row["label"]))
            for row in micro.rows(config, split, "en", 4000)
        ]
        for split in ("train", "validation")
    )
    # what is left: a pair with an exchanged word has more different words
    assert naive_bayes(train, test) < 0.75


def test_answers_lie_at_their_offsets():
    for config in ("squad1", "squad2", "xquad", "mlqa", "tydiqa", "xquad_shift", "xquad_adversarial"):
        for lang in micro.LANGUAGES:
            for row in micro.rows(config, "validation", lang, 100):
                for text, start in zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True):
                    assert row["context"][start : start + len(text)] == text != ""


def test_train_and_validation_share_no_sentence():
    told = {split: set() for split in ("train", "validation")}
    for config in MAKERS:
        for split, seen in told.items():
            seen.update(text for row in micro.rows(config, split, "en", 800) for text in texts(row))
    plain = {split: {s for s in seen if len(s.split()) > 3} for split, seen in told.items()}
    assert len(plain["validation"]) > 2000
    assert len(plain["validation"] & plain["train"]) < 0.01 * len(plain["validation"])


def test_parallel_rows_tell_the_same():
    meaning = {lang: {word: concept for concept, word in words.items()} for lang, words in lexicon().items()}

    def concepts(text, lang):
        case = lexicon()[lang]["<case>"]
        plain = (w if w in meaning[lang] else w.removesuffix(case) for w in text.split())
        return sorted(c for w in plain if (c := meaning[lang].get(w, w)) not in ("the", "<case>", case))

    columns = {"tatoeba": "source_sentence", "xnli": "sentence1", "pawsx": "sentence2", "mlqa": "context"}
    columns |= {"xnli_adversarial": "sentence1", "xquad_adversarial": "context"}
    for config, column in columns.items():
        pivot = [concepts(row[column], "en") for row in micro.rows(config, "validation", "en", 50)]
        for lang in micro.LANGUAGES:
            told = [concepts(row[column], lang) for row in micro.rows(config, "validation", lang, 50)]
            assert told == pivot, (config, lang)


def test_another_domain_has_longer_sentences_rare_words_and_unknown_names():
    told = {
        name: [row["sentence1"] for row in micro.rows(name, "validation", "en", 400)]
        for name in ("pawsx", "pawsx_shift")
    }
    words = {name: collections.Counter(" ".join(texts).split()) for name, texts in told.items()}
    rare, frequent = lexicon()["en"]["hurt"], lexicon()["en"]["see"]
    shares = {name: found[rare] / found[frequent] for name, found in words.items()}
    known = set(lexicon()["en"].values())
    unknown = {name: set(found) - known for name, found in words.items()}
    assert shares["pawsx_shift"] > 2 * shares["pawsx"]
    assert not unknown["pawsx"] and unknown["pawsx_shift"] <= set(unknown_names()["en"].values())
    lengths = [
        np.mean([len(row["sentence1"].split()) for row in micro.rows(name, "validation", "en", 400)])
        for name in ("xnli", "xnli_shift")
    ]
    assert lengths[1] > lengths[0] + 1


def test_the_other_domain_is_the_same_in_every_language():
    pairs = [micro.rows("tatoeba_shift", "validation", lang, 80) for lang in ("al", "zi")]
    assert [row["target_sentence"] for row in pairs[0]] == [row["target_sentence"] for row in pairs[1]]


def test_without_a_shift_the_dice_are_those_of_the_library():
    assert [Dice("a").random(), Dice("a").randrange(9)] == [Random("a").random(), Random("a").randrange(9)]
    assert Dice("a").more(0.3) == 0.3 and Dice("a", 0.5).more(0.4) == 0.7


def test_words_in_common_do_not_tell_what_follows_in_adversarial_inference():
    same = {"entailment": [], "neutral": [], "contradiction": []}
    for row in micro.rows("xnli_adversarial", "validation", "en", 600):
        premise, hypothesis = (set(row[key].split()) for key in ("sentence1", "sentence2"))
        same[row["gold_label"]].append(len(premise & hypothesis) / len(premise | hypothesis))
    means = [np.mean(found) for found in same.values()]
    assert max(means) - min(means) < 0.1 and max(means) < 0.6


@pytest.mark.parametrize("config", ["xquad_adversarial", "tydiqa_adversarial"])
def test_a_misleading_sentence_has_the_verb_of_the_question_and_does_not_answer_it(config):
    verbs = {lexicon()["en"][verb] for verb in VERBS}
    asking = {lexicon()["en"][word] for word in ("who", "what", "where")} | {"?"}
    for row in micro.rows(config, "validation", "en", 200):
        told = row["question"].split()
        (verb,) = verbs & set(told)
        having = [x.split() for x in row["context"].split(" . ") if verb in x.split()]
        # all that the question says is in the one sentence, which has the answer, and not in the other
        said = set(told) - asking - {lexicon()["en"]["in"]}
        whole = [x for x in having if said <= set(x)]
        answer = row["answers"]["text"][0]
        assert len(having) == 2 and len(whole) == 1 and set(answer.split()) <= set(whole[0]), row


def test_a_negated_premise_of_adversarial_inference_has_no_place_or_time():
    words = lexicon()["en"]
    for row in micro.rows("xnli_adversarial", "validation", "en", 300):
        about = set(row["sentence2"].split()) - {words["not"], "."}
        for sentence in row["sentence1"].split(" . "):
            if about <= set(sentence.split()) and words["not"] in sentence.split():
                assert words["in"] not in sentence.split()


def test_bilingual_share_is_the_declared_one():
    for lang, language in micro.LANGUAGES.items():
        pages = micro.rows("mlm", "train", lang, 1500)
        assert np.mean([row["source"].count("-") == 2 for row in pages]) == pytest.approx(
            language.bilingual, abs=0.04
        )


def test_the_translator_errs_as_often_as_declared():
    noisy = Teller("pe", "seed", TRANSLATION_ERROR)
    tokens = ended(
        clause("pe", Event("eat", Thing("Person0"), Thing("apple", "big"), Thing("Town0"), "today"))
    )
    content = [k for k, token in enumerate(tokens) if token.upos not in ("ADP", "PUNCT")]
    right = [Teller("pe").list(tokens)[k] for k in content]
    wrong = [[noisy.list(tokens)[k] for k in content] for _ in range(1000)]
    rate = np.mean([[a != b for a, b in zip(right, words, strict=True)] for words in wrong])
    assert rate == pytest.approx(TRANSLATION_ERROR, abs=0.015)


def test_shared_words_are_about_as_declared():
    words = lexicon()
    for lang, language in micro.LANGUAGES.items():
        same = np.mean([words[lang][verb] == words["en"][verb] for verb in VERBS])
        assert same == pytest.approx(language.words, abs=0.2)
        assert len(set(words[lang].values())) >= len(words[lang]) - 1


def test_a_word_is_one_piece_and_its_case_suffix_another():
    texts = {lang: [row["text"] for row in micro.rows("mlm", "train", lang, 300)] for lang in ("en", "do")}
    pieces = dict(micro.word_pieces(texts))
    assert len(pieces) == len(set(pieces)) < 1100
    assert lexicon()["do"]["<case>"] in pieces and "▁" + lexicon()["zi"]["eat"] in pieces and "k" in pieces
    assert sum(math.exp(p) for p in pieces.values()) == pytest.approx(1, abs=0.05)


def test_mined_pools_hold_the_gold_pairs():
    n = 90
    sides = ("source", "target")
    pools = {side: {r["id"]: r["sentence"] for r in micro.rows("bucc_pool", side, "go", n)} for side in sides}
    for row in micro.rows("bucc", "validation", "go", int(n * micro.BUCC_GOLD)):
        assert pools["source"][row["source_lang"]] == row["source_sentence"]
        assert pools["target"][row["target_lang"]] == row["target_sentence"]


def test_parallel_sentences_are_nearly_all_different():
    told = [row["target_sentence"] for row in micro.rows("tatoeba", "validation", "al", 300)]
    assert len(set(told)) > 0.95 * 300


def test_the_page_glosses_every_language():
    pages = micro.pages()
    assert all(pages["micro_events.md"].count(f"| {x.name} |") == 3 for x in micro.LANGUAGES.values())
    assert " the " in pages["micro_shift.md"]
    for kind in ("shift", "adversarial"):  # three rows of each label, and three questions, of both sides
        for told in ("usual", kind):
            lines = [x for x in pages[f"micro_{kind}.md"].splitlines() if x.startswith(f"| {told} |")]
            labels = [line.split(" | ")[-1].removesuffix(" |") for line in lines]
            assert len(lines) == 12 and all(labels.count(label) == 3 for label in NLI)
    assert gloss(Event("see", Thing("Person0"), Thing("dog")), "mu")[-1][1] == "see"


def test_what_does_not_exist_is_said_in_one_line():
    for wrong in (("mnli", "train", "xx"), ("mnlj", "train", "en"), ("mnli", "test", "en")):
        with pytest.raises(Bad, match="known"):
            micro.rows(*wrong, 1)
