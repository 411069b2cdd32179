"""Every task of the study, each declared once: where its rows are, how a row is read, what it trains on, how it is scored."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .config import Bad, Scale

MICRO_VERSION = "micro-1"  # raised whenever the micro-world tells a different story (tests hold its rows to this name)

# XTREME's code -> the names its configs use: Universal Dependencies' and Tatoeba's (ISO 639-3)
NAMES = {
    "af": "Afrikaans afr", "ar": "Arabic ara", "bg": "Bulgarian bul", "bn": "Bengali ben", "de": "German deu", "el": "Greek ell",
    "en": "English eng", "es": "Spanish spa", "et": "Estonian est", "eu": "Basque eus", "fa": "Persian pes", "fi": "Finnish fin",
    "fr": "French fra", "he": "Hebrew heb", "hi": "Hindi hin", "hu": "Hungarian hun", "id": "Indonesian ind", "it": "Italian ita",
    "ja": "Japanese jpn", "jv": "Javanese jav", "ka": "Georgian kat", "kk": "Kazakh kaz", "ko": "Korean kor", "ml": "Malayalam mal",
    "mr": "Marathi mar", "nl": "Dutch nld", "pl": "Polish pol", "pt": "Portuguese por", "ru": "Russian rus", "sw": "Swahili swh",
    "ta": "Tamil tam", "te": "Telugu tel", "th": "Thai tha", "tl": "Tagalog tgl", "tr": "Turkish tur", "ur": "Urdu urd",
    "vi": "Vietnamese vie", "yo": "Yoruba yor", "zh": "Chinese cmn",
}  # fmt: skip
UPOS = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split()
IOB2 = "O B-PER I-PER B-ORG I-ORG B-LOC I-LOC".split()
NLI = "entailment neutral contradiction".split()

Row = dict
Reader = Callable[[Row, str], Iterator[dict]]  # (raw row, language wanted) -> examples: none when the row is not of that language


@dataclass(frozen=True)
class Task:
    """One task. `source` is "repository/config", in which a language is a field: {lang}, {name} or {iso3}.

    Examples by kind: classify {a, b, label}; choose {a, choices, label}; span {id, context, question, answers: [(start,
    text)]}; tag {tokens, tags}; retrieve {a, b} or pools (see `data.bitext`); mlm {a}.
    """

    name: str
    kind: str  # classify choose span tag retrieve mlm
    role: str  # "intermediate", "target" or "text"
    source: str
    revision: str  # commit of the data, 40 hex
    read: Reader
    genre: str  # of the task: nli, paraphrase, qa, tagging, completion, commonsense, retrieval, text
    langs: str = "en"
    train_on: str = ""  # the task whose English rows train it; its own name when it has a training set; "" = nothing trains it
    train: str = "train"  # split names, "," joins several
    validation: str = "validation"
    labels: tuple[str, ...] = ()  # () with kind tag: collected from the training rows
    metrics: tuple[str, ...] = ("accuracy",)  # the headline score is the mean of these
    protocol: str = "accuracy"
    epochs: int = 3
    batch: int = 32
    licence: str = ""
    joined: tuple[str, ...] = ()  # "repository/config/split@commit": other data sets whose rows train the task too
    stand_ins: tuple[str, ...] = ()  # "repository/config/split" rows that fill up an incomplete split of a mirror

    @property
    def one_language_a_file(self) -> bool:
        """False where a file mixes languages, so that rows of another language are no loss."""
        return "{" in self.source or self.langs == "en"

    def version(self, world: str) -> str:
        """The revision of the data that a run of this task sees."""
        return MICRO_VERSION if world == "micro" else self.revision

    def config(self, lang: str) -> tuple[str, str]:
        """Repository and config of one language."""
        name, iso3 = NAMES.get(lang, f"{lang} {lang}").split()
        repository, _, config = self.source.format(lang=lang, name=name, iso3=iso3).rpartition("/")
        return repository, config


# -- readers: a raw row -> examples ------------------------------------------------------------------------------------


def pair(a: str, b: str, label: str = "label", names: tuple[str, ...] = ()) -> Reader:
    """Two texts and a label that is a number, its digits, or a word of `names`; unlabelled rows (-1) give nothing."""

    def read(row, lang):
        got = row[label]
        index = names.index(got) if got in names else int(got)
        if row.get("language", lang) == lang and index >= 0:
            yield {"a": row[a], "b": row[b], "label": index}

    return read


def question(row, lang):
    """SQuAD's columns; TyDiQA's language stands in the id: "english-123-0" on the hub, "<lang>-..." in the micro-world."""
    answers = row["answers"]
    yield {
        "id": row["id"], "question": row["question"], "context": row["context"],
        "answers": list(zip(answers["answer_start"], answers["text"], strict=True)),
    }  # fmt: skip


def tydi(row, lang):
    if row["id"].split("-")[0] in (lang, NAMES.get(lang, lang).split()[0].lower()):
        yield from question(row, lang)


def tagged(column: str, names: list[str]) -> Reader:
    def read(row, lang):
        if row["tokens"]:
            yield {"tokens": row["tokens"], "tags": [names[t] if isinstance(t, int) else t for t in row[column]]}

    return read


def bitext(row, lang):
    yield {"a": row["source_sentence"], "b": row["target_sentence"], "ids": (row["source_lang"], row["target_lang"])}


def swag(row, lang):
    """HellaSwag as the authors read it: context a, then each of "context b + ending" (zphang/nlprunners@b45eb54)."""
    b = row["ctx_b"] or ""
    yield {
        "a": row["ctx_a"] or row["ctx"],
        "choices": [f"{b} {e}".strip() for e in row["endings"]],
        "label": int(row["label"]),
    }


def cosmos(row, lang):
    yield {
        "a": f"{row['context']} {row['question']}",
        "choices": [row[f"answer{i}"] for i in range(4)],
        "label": int(row["label"]),
    }


def commonsense(row, lang):
    choices = row["choices"]
    yield {"a": row["question"], "choices": choices["text"], "label": choices["label"].index(row["answerKey"])}


def text(row, lang):
    if row["text"].strip():
        yield {"a": row["text"]}


# -- declarations ------------------------------------------------------------------------------------------------------

TASKS: dict[str, Task] = {}


def declare(name: str, kind: str, role: str, source: str, revision: str, read: Reader, genre: str, **more) -> Task:
    """Add a task to the table.

    Raises: ValueError when the name is taken.
    """
    if name in TASKS:
        raise ValueError(f"task {name!r} is declared twice")
    TASKS[name] = Task(name, kind, role, source, revision, read, genre, **more)
    return TASKS[name]


GLUE = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"
XTREME = "ec5f1f46e9af79639a90684a7a70a956c4998f04"
QA = {"kind": "span", "metrics": ("exact_match", "f1"), "protocol": "qa/squad-en", "epochs": 2, "batch": 16}

# ANLI+: the three rounds of ANLI, SNLI and MNLI under one head
declare(
    "anli", "classify", "intermediate", "facebook/anli/plain_text", "8e4813d81f46d313dac7892e1c28076917cfcdf9",
    pair("premise", "hypothesis"), "nli", train_on="anli", train="train_r1,train_r2,train_r3", validation="dev_r1,dev_r2,dev_r3",
    labels=tuple(NLI), licence="cc-by-nc-4.0",
    joined=("stanfordnlp/snli/plain_text/train@cdb5c3d5eed6ead6e5a341c8e56e669bb666725b", f"nyu-mll/glue/mnli/train@{GLUE}"),
)  # fmt: skip
declare(
    "mnli", "classify", "intermediate", "nyu-mll/glue/mnli", GLUE, pair("premise", "hypothesis"), "nli", train_on="mnli",
    validation="validation_matched", labels=tuple(NLI), licence="OANC, CC BY, CC BY-SA by genre",
    stand_ins=("metaeval/lingnli/default/train",),
)  # fmt: skip
declare(
    "qqp", "classify", "intermediate", "nyu-mll/glue/qqp", GLUE, pair("question1", "question2"), "paraphrase", train_on="qqp",
    labels=("not duplicate", "duplicate"), licence="Quora terms",
)  # fmt: skip
declare(
    "squad2", role="intermediate", source="rajpurkar/squad_v2/squad_v2", revision="3ffb306f725f7d2ce8394bc1873b24868140c412",
    read=question, genre="qa", train_on="squad2", licence="CC BY-SA 4.0", **QA,
)  # fmt: skip
declare(
    "squad1", role="intermediate", source="rajpurkar/squad/plain_text", revision="7b6d24c440a36b6815f21b70d25016731768db1f",
    read=question, genre="qa", train_on="squad1", licence="CC BY-SA 4.0", **QA,
)  # fmt: skip
declare(
    "hellaswag", "choose", "intermediate", "Rowan/hellaswag/default", "218ec52e09a7e7462a5400043bb9a69a41d06b76", swag,
    "completion", train_on="hellaswag", licence="MIT",
)  # fmt: skip
# CCGbank is licensed: real rows come from a folder of the user's; the open dependency supertags stand in on a mirror
declare(
    "ccg", "tag", "intermediate", "ud_supertags/en_ewt", "0" * 40, tagged("supertags", []), "tagging", train_on="ccg",
    licence="CCGbank: LDC; stand-in: CC BY-SA 4.0",
)  # fmt: skip
declare(
    "cosmosqa", "choose", "intermediate", "allenai/cosmos_qa/default", "ed50fe83db62b355759053b1cd5eef344ee371e0", cosmos,
    "commonsense", train_on="cosmosqa", licence="CC BY 4.0",
)  # fmt: skip
declare(
    "csqa", "choose", "intermediate", "tau/commonsense_qa/default", "94630fe30dad47192a8546eb75f094926d47e155", commonsense,
    "commonsense", train_on="csqa", licence="MIT",
)  # fmt: skip
declare(
    "mlm", "mlm", "text", "wikimedia/wikipedia/20231101.{lang}", "b04c8d1ceb2f5cd4588862100d08de323dccfbaa", text, "text",
    langs=" ".join(NAMES), train_on="mlm", validation="train", licence="CC BY-SA 3.0, GFDL", metrics=("masked_accuracy",),
    protocol="mlm/masked-accuracy", stand_ins=("pretrain_text/{lang}/train",),
)  # fmt: skip

declare(
    "xnli", "classify", "target", "google/xtreme/XNLI", XTREME, pair("sentence1", "sentence2", "gold_label", tuple(NLI)), "nli",
    langs="ar bg de el en es fr hi ru sw th tr ur vi zh", train_on="mnli", labels=tuple(NLI), epochs=2, licence="CC BY-NC 4.0",
)  # fmt: skip
declare(
    "pawsx", "classify", "target", "google/xtreme/PAWS-X.{lang}", XTREME, pair("sentence1", "sentence2"), "paraphrase",
    langs="de en es fr ja ko zh", train_on="pawsx", labels=("different", "paraphrase"), epochs=5, licence="free, with attribution",
)  # fmt: skip
declare(
    "udpos", "tag", "target", "google/xtreme/udpos.{name}", XTREME, tagged("pos_tags", UPOS), "tagging",
    langs="af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi yo zh",
    train_on="udpos", labels=tuple(UPOS), metrics=("f1",), protocol="udpos/seqeval-1.2.2", epochs=10, licence="UD 2.5, by treebank",
)  # fmt: skip
declare(
    "panx", "tag", "target", "google/xtreme/PAN-X.{lang}", XTREME, tagged("ner_tags", IOB2), "tagging",
    langs="af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru sw ta te th tl tr ur vi yo "
    "zh",
    train_on="panx", labels=tuple(IOB2), metrics=("f1",), protocol="panx/iob2-f1", epochs=10, licence="ODC-BY",
)  # fmt: skip
declare(
    "xquad", role="target", source="google/xtreme/XQuAD.{lang}", revision=XTREME, read=question, genre="qa",
    langs="ar de el en es hi ru th tr vi zh", train_on="squad1", licence="CC BY-SA 4.0", **QA,
)  # fmt: skip
declare(
    "mlqa", role="target", source="google/xtreme/MLQA.{lang}.{lang}", revision=XTREME, read=question, genre="qa",
    langs="ar de en es hi vi zh", train_on="squad1", licence="CC BY-SA 3.0", **(QA | {"protocol": "qa/mlqa"}),
)  # fmt: skip
declare(
    "tydiqa", role="target", source="google/xtreme/tydiqa", revision=XTREME, read=tydi, genre="qa",
    langs="ar bn en fi id ko ru sw te", train_on="tydiqa", licence="Apache-2.0", **QA,
)  # fmt: skip
declare(
    "bucc", "retrieve", "target", "google/xtreme/bucc18.{lang}", XTREME, bitext, "retrieval", langs="de fr ru zh",
    metrics=("f1",), protocol="bucc/jiant-dev", licence="BUCC 2018, research",
)  # fmt: skip
declare(
    "tatoeba", "retrieve", "target", "google/xtreme/tatoeba.{iso3}", XTREME, bitext, "retrieval",
    langs="af ar bg bn de el es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr nl pt ru sw ta te th tl tr ur vi zh",
    metrics=("accuracy",), protocol="tatoeba/jiant", licence="CC BY 2.0",
)  # fmt: skip

INTERMEDIATES = tuple(t.name for t in TASKS.values() if t.role == "intermediate")
TARGETS = tuple(t.name for t in TASKS.values() if t.role == "target")


def task(name: str, within: str = "") -> Task:
    """The task of that name; `within` is the path it was read from, for the message.

    Raises: Bad for an unknown name.
    """
    if name not in TASKS:
        where = f" in path {within!r}" if within and within != name else ""
        raise Bad(f"no task {name!r}{where}; known: {', '.join(TASKS)}")
    return TASKS[name]


def languages(name: str, scale: Scale) -> tuple[str, ...]:
    """Languages a task is evaluated in at a scale; retrieval pairs every other language with the pivot."""
    declared = task(name)
    if scale.world == "micro":
        from .micro import LANGUAGES

        langs = tuple(LANGUAGES) if declared.langs != "en" else ("en",)
        langs = langs if declared.kind != "retrieve" else langs[1:]
    else:
        langs = tuple(declared.langs.split())
    return tuple(x for x in langs if x in (scale.langs or langs) and f"{name}/{x}" not in scale.gaps)
