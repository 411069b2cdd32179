"""Every task of the study, declared once: where its rows are, how a row is read, what trains it and how it is
scored.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from ..machine.errors import Bad
from .languages import NAMES
from .readers import (
    MEWSLIX,
    Reader,
    answer_sentence,
    bitext,
    commonsense,
    copa,
    cosmos,
    jcommonsense,
    mention,
    of_genres,
    other_scene,
    pair,
    plain_text,
    preference,
    question,
    scene,
    shuffled_preference,
    social_iqa,
    swag,
    tagged,
    tydi,
)
from .scales import PIVOT, Scale
from .worlds import MICRO, World

UPOS = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split()
IOB2 = "O B-PER I-PER B-ORG I-ORG B-LOC I-LOC".split()
NLI = "entailment neutral contradiction".split()
HELD_OUT = 50  # where a text corpus has no validation split, every 50th page is held out of training
KINDS = ("classify", "choose", "span", "tag", "ground", "retrieve", "mlm")
# The first two are closed: they are the paper's nine and nine. What is added is trained on as "alternative",
# or scored as "shift". "xtreme-r" are the targets of XTREME-R, "text" is for masked LM.
ROLES = ("intermediate", "target", "xtreme-r", "shift", "alternative", "text")
SCORED = ("target", "xtreme-r", "shift")
RETRIEVES = ("nearest", "mined", "answers", "entities")  # ways of `score.retrieval.WAYS`
EVERY = "*"  # as a language: all that the task is evaluated in
XNLI_LANGS = "ar bg de el en es fr hi ru sw th tr ur vi zh"
TRANSLATED = "ar bg de el es fr hi ru sw th tr ur vi zh".split()  # what XNLI translates MNLI into


class Translation(NamedTuple):
    """The training rows of a task in machine translation: "repository/config/split@commit", with {lang}."""

    spec: str
    langs: str  # the languages that it is in
    obtain: str = ""  # where to get it when the hub has it at no known commit; "" = the hub


@dataclass(frozen=True, eq=False)  # compared by identity, not by fields
class Task:
    """One task. `source` is "repository/config", in which a language is a field: {lang}, {name} or {iso3}.

    Examples by kind: classify {a, b, label}; choose {a, choices, label}; span {id, context, question,
    answers: [(start, text)]}; tag {tokens, tags}; ground {a, scene, label}; retrieve {a, b, ids}, or a
    question with its sentences, or a mention; mlm {a}.
    """

    name: str
    kind: str  # of KINDS
    role: str  # of ROLES
    source: str
    revision: str  # commit of the data, 40 hex; of licensed data its catalogue number
    read: Reader
    genre: str  # nli paraphrase qa tagging completion commonsense preference grounding retrieval text
    columns: str = ""  # that the reader needs
    langs: str = "en"
    train_lang: str = PIVOT  # of its training rows; EVERY = all that it is evaluated in
    # the task whose rows train it; its own name when it has a training set; "" = nothing trains it
    train_on: str = ""
    train: str = "train"  # split names, "," joins several
    validation: str = "validation"
    # where training and validation name the same splits, every so manyth row is held out of training
    held_out: int = HELD_OUT
    # in the order of the label numbers; () with kind tag: collected from the training rows
    labels: tuple[str, ...] = ()
    # what `expand` completes its rows from, "repository/config/split@commit", and where to get that
    beside: tuple[str, str] = ()
    no_answer: bool = False  # some questions have no answer
    retrieves: str = ""  # of kind "retrieve", how: of RETRIEVES
    pools: bool = False  # its pairs are mined from pools of sentences that other files hold
    candidates: str = ""  # the split that holds what is searched, where the examples do not
    metrics: tuple[str, ...] = ("accuracy",)  # the headline score is the mean of these
    protocol: str = "accuracy"
    epochs: int = 3
    batch: int = 32
    licence: str = ""
    citation: str = ""
    obtain: str = ""  # where to get it when the hub has it at no known commit; "" = the hub
    # the reader in `data.originals` of the original files in a folder of the user's, preferred where they are
    original: str = ""
    expand: str = ""  # what makes the rows from what is stored, in `data.real.COMPLETED`
    # "repository/config/split@commit": other data sets whose rows train the task too
    joined: tuple[str, ...] = ()
    # "repository/config/split" rows that fill up an incomplete split of a mirror
    stand_ins: tuple[str, ...] = ()
    # span tasks whose evaluation contexts no training row may have: a stand-in could
    no_overlap_with: tuple[str, ...] = ()
    translated: tuple["Translation", ...] = ()  # the training rows by machine
    made: bool = False  # only a generated world has it

    def __post_init__(self) -> None:
        """Raises: ValueError for a declaration that no run could follow."""
        retrieves = self.kind == "retrieve"
        allowed = {"kind": KINDS, "role": ROLES, "retrieves": RETRIEVES if retrieves else ("",)}
        told = [
            f"{field} {getattr(self, field)!r}; allowed: {', '.join(map(repr, values))}"
            for field, values in allowed.items()
            if getattr(self, field) not in values
        ]
        if self.kind == "classify" and not self.labels:
            told.append("it declares no labels")
        if retrieves and not self.scored:
            told.append(f"role {self.role!r}; a task of kind 'retrieve' is scored, it trains nothing")
        if not self.scored and self.role != "text" and self.train_on != self.name:
            told.append(f"train_on {self.train_on!r}; allowed: its own name")
        if self.scored and not retrieves and not self.train_on:
            told.append("train_on ''; allowed: the task whose rows train it")
        if told:
            raise ValueError(f"task {self.name!r}: {'; '.join(told)}")

    @property
    def pivot_lang(self) -> str:
        """The language of its training rows; English where they are in several."""
        return PIVOT if self.train_lang == EVERY else self.train_lang

    @property
    def scored(self) -> bool:
        """Whether a path may end in it: it is evaluated in every language, not only trained on."""
        return self.role in SCORED

    def version(self, world: World) -> str:
        """The revision of the data that a run of this task reads in a world."""
        return world.version or self.revision

    def config(self, lang: str) -> tuple[str, str]:
        """The repository and config of one language."""
        name, iso3 = NAMES.get(lang, f"{lang} {lang}").split()
        repository, _, config = self.source.format(lang=lang, name=name, iso3=iso3).rpartition("/")
        return repository, config


# -- declarations --------------------------------------------------------------------------------------------

TASKS: dict[str, Task] = {}


def declare(name: str, *fields, **more) -> Task:
    """Add a task to the table.

    Raises: ValueError when the name is taken, or a field is not what it may be.
    """
    if name in TASKS:
        raise ValueError(f"task {name!r} is declared twice")
    TASKS[name] = Task(name, *fields, **more)
    return TASKS[name]


GLUE = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"
XTREME_COMMIT = "ec5f1f46e9af79639a90684a7a70a956c4998f04"
# google-research/xtreme, for what only its scripts make
XTREME_CODE = "838c13b69daafb9328785d16caae2711e4012123"
# MNLI by machine
XNLI = Translation(
    "facebook/xnli/{lang}/train@b8dd5d7af51114dbda02c0e3f6133f332186418e", " ".join(TRANSLATED)
)
SQUAD_FI = Translation(
    "squad_mt_fi/squad_v1/train@6034cec31c4261b3f5e4f92ddee871ff874d7473",
    "fi",
    "the answerable questions of TurkuNLP/squad2-fi, as XIT_LOCAL/squad_mt_fi/squad_v1/train.jsonl",
)
SNLI_FI = Translation(
    "snli_mt_fi/fi/train@26939267e1a0491880d64f3da59023f3e00cb7d0",
    "fi",
    "the SNLI tasks of luukkonenr/natural-instructions-fi (columns premise, hypothesis, label 0-2), as "
    "XIT_LOCAL/snli_mt_fi/fi/train.jsonl",
)
PAWS_ID = Translation(
    "paws_mt_id/id/train@f19b665f7f439ba8dee0a43ecab5bb6e3da71173",
    "id",
    "paraphrase/paws of Wikidepia/indonesian_datasets, as XIT_LOCAL/paws_mt_id/id/train.jsonl",
)
# what people marked in the pictures of Multi30k
FRAMES = (
    "multi30k/image_frames/all@1f2220ab03e680abe422a2efe2f1b5c566eb19ae",
    "data/framed30k/IMG.jsonl.gz of FrameNetBrasil/framed-multi30k, as "
    "XIT_LOCAL/multi30k/image_frames/all.jsonl.gz",
)
MNLI_ROWS = f"nyu-mll/glue/mnli/train@{GLUE}"
QA = {
    "kind": "span", "genre": "qa", "columns": "id context question answers", "metrics": ("exact_match", "f1"),
    "protocol": "qa/squad-en", "epochs": 2, "batch": 16,
}  # fmt: skip
ENTAILMENT = {
    "kind": "classify", "read": pair("premise", "hypothesis", names=tuple(NLI)), "genre": "nli",
    "columns": "premise hypothesis label",
}  # fmt: skip
NLI_LABELS = {"labels": tuple(NLI)}
# XNLI, and whatever else its fine-tuned model is scored on
AFTER_MNLI = {"train_on": "mnli", "epochs": 2}

# -- the nine intermediate tasks

# ANLI+: the three rounds of ANLI, SNLI and MNLI under one head
declare(
    "anli", role="intermediate", source="facebook/anli/plain_text",
    revision="8e4813d81f46d313dac7892e1c28076917cfcdf9",
    train_on="anli", train="train_r1,train_r2,train_r3", validation="dev_r1,dev_r2,dev_r3",
    licence="CC BY-NC 4.0",
    citation="Nie et al. 2020, ACL; Bowman et al. 2015, EMNLP; Williams et al. 2018, NAACL",
    joined=("stanfordnlp/snli/plain_text/train@cdb5c3d5eed6ead6e5a341c8e56e669bb666725b",
    MNLI_ROWS),
    **ENTAILMENT, **NLI_LABELS,
)  # fmt: skip
declare(
    "mnli", role="intermediate", source="nyu-mll/glue/mnli", revision=GLUE, train_on="mnli",
    validation="validation_matched",
    licence="OANC, CC BY, CC BY-SA by genre", citation="Williams et al. 2018, NAACL",
    stand_ins=("metaeval/lingnli/default/train",), translated=(XNLI,), **ENTAILMENT, **NLI_LABELS,
)  # fmt: skip
declare(
    "qqp", "classify", "intermediate", "nyu-mll/glue/qqp", GLUE, pair("question1", "question2"), "paraphrase",
    "question1 question2 label", train_on="qqp", labels=("not duplicate", "duplicate"), licence="Quora terms",
    citation="Iyer et al. 2017, Quora; Wang et al. 2019, ICLR",
)  # fmt: skip
declare(
    "squad2", role="intermediate", source="rajpurkar/squad_v2/squad_v2",
    revision="3ffb306f725f7d2ce8394bc1873b24868140c412",
    read=question, train_on="squad2", no_answer=True, no_overlap_with=("xquad",), licence="CC BY-SA 4.0",
    citation="Rajpurkar et al. 2018, ACL", **QA,
)  # fmt: skip
declare(
    "squad1", role="intermediate", source="rajpurkar/squad/plain_text",
    revision="7b6d24c440a36b6815f21b70d25016731768db1f",
    read=question, train_on="squad1", licence="CC BY-SA 4.0", citation="Rajpurkar et al. 2016, EMNLP",
    translated=(SQUAD_FI,), **QA,
)  # fmt: skip
declare(
    "hellaswag", "choose", "intermediate", "Rowan/hellaswag/default",
    "218ec52e09a7e7462a5400043bb9a69a41d06b76", swag,
    "completion", "ctx_a ctx_b ctx endings label", train_on="hellaswag", licence="MIT",
    citation="Zellers et al. 2019, ACL",
)  # fmt: skip
# licensed: a folder of the user's; `udtag` is the open alternative
declare(
    "ccg", "tag", "intermediate", "ccgbank/supertags", "LDC2005T13", tagged("supertags", []), "tagging",
    "tokens supertags",
    train_on="ccg", licence="LDC user agreement", citation="Hockenmaier and Steedman 2007, CL",
    original="ccgbank",
    obtain=(
        "CCGbank is licensed (LDC2005T13): put its data/AUTO into XIT_LOCAL/ccgbank, or take the open task "
        "'udtag' in its place"
    ),
)  # fmt: skip
declare(
    "cosmosqa", "choose", "intermediate", "allenai/cosmos_qa/default",
    "ed50fe83db62b355759053b1cd5eef344ee371e0", cosmos,
    "commonsense", "context question answer0 answer1 answer2 answer3 label", train_on="cosmosqa",
    licence="CC BY 4.0",
    citation="Huang et al. 2019, EMNLP",
)  # fmt: skip
declare(
    "csqa", "choose", "intermediate", "tau/commonsense_qa/default",
    "94630fe30dad47192a8546eb75f094926d47e155", commonsense,
    "commonsense", "question choices answerKey", train_on="csqa", licence="MIT",
    citation="Talmor et al. 2019, NAACL",
)  # fmt: skip
declare(
    "mlm", "mlm", "text", "wikimedia/wikipedia/20231101.{lang}", "b04c8d1ceb2f5cd4588862100d08de323dccfbaa",
    plain_text, "text", "text",
    langs=f"{' '.join(NAMES)} az gu lt ms my pa qu ro uk", train_on="mlm", train_lang=EVERY,
    validation="train", licence="CC BY-SA 3.0, GFDL",
    metrics=("masked_accuracy",), protocol="mlm/masked-accuracy", stand_ins=("pretrain_text/{lang}/train",),
    citation="Wikimedia dumps of 2023-11-01",
)  # fmt: skip

# -- the nine targets of XTREME

declare(
    "xnli", "classify", "target", "google/xtreme/XNLI", XTREME_COMMIT,
    pair("sentence1", "sentence2", "gold_label", tuple(NLI), XNLI_LANGS), "nli",
    "language sentence1 sentence2 gold_label",
    langs=XNLI_LANGS, **AFTER_MNLI,
    licence="CC BY-NC 4.0", citation="Conneau et al. 2018, EMNLP", **NLI_LABELS,
)  # fmt: skip
declare(
    "pawsx", "classify", "target", "google/xtreme/PAWS-X.{lang}", XTREME_COMMIT,
    pair("sentence1", "sentence2"),
    "paraphrase",
    "sentence1 sentence2 label", langs="de en es fr ja ko zh", train_on="pawsx",
    labels=("different", "paraphrase"), epochs=5,
    licence="free, with attribution", citation="Yang et al. 2019, EMNLP",
)  # fmt: skip
# the hub's copy keeps split multiword tokens and mixes Ancient Greek and others in: see `originals.ud` for
# XTREME's own
declare(
    "udpos", "tag", "target", "google/xtreme/udpos.{name}", XTREME_COMMIT, tagged("pos_tags", UPOS),
    "tagging",
    "tokens pos_tags",
    langs="af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi yo "
    "zh",
    train_on="udpos", labels=tuple(UPOS), metrics=("f1",), protocol="udpos/seqeval-1.2.2", epochs=10,
    original="ud",
    licence="UD 2.5, by treebank", citation="Nivre et al. 2020, LREC",
)  # fmt: skip
declare(
    "panx", "tag", "target", "google/xtreme/PAN-X.{lang}", XTREME_COMMIT, tagged("ner_tags", IOB2), "tagging",
    "tokens ner_tags",
    langs="af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru sw ta "
    "te th tl tr ur vi yo zh",
    train_on="panx", labels=tuple(IOB2), metrics=("f1",), protocol="panx/iob2-f1", epochs=10,
    licence="ODC-BY",
    citation="Pan et al. 2017, ACL; Rahimi et al. 2019, ACL",
)  # fmt: skip
declare(
    "xquad", role="target", source="google/xtreme/XQuAD.{lang}", revision=XTREME_COMMIT, read=question,
    langs="ar de el en es hi ru th tr vi zh", train_on="squad1", licence="CC BY-SA 4.0",
    citation="Artetxe et al. 2020, ACL", **QA,
)  # fmt: skip
declare(
    "mlqa", role="target", source="google/xtreme/MLQA.{lang}.{lang}", revision=XTREME_COMMIT, read=question,
    langs="ar de en es hi vi zh", train_on="squad1", licence="CC BY-SA 3.0",
    citation="Lewis et al. 2020, ACL",
    **(QA | {"protocol": "qa/mlqa"}),
)  # fmt: skip
declare(
    "tydiqa", role="target", source="google/xtreme/tydiqa", revision=XTREME_COMMIT, read=tydi,
    langs="ar bn en fi id ko ru sw te",
    train_on="tydiqa", licence="Apache-2.0", citation="Clark et al. 2020, TACL", **QA,
)  # fmt: skip
declare(
    "bucc", "retrieve", "target", "google/xtreme/bucc18.{lang}", XTREME_COMMIT, bitext, "retrieval",
    "source_sentence target_sentence source_lang target_lang", langs="de fr ru zh", metrics=("f1",),
    protocol="bucc/jiant-dev",
    retrieves="mined", pools=True,
    licence="BUCC 2018, research", citation="Zweigenbaum et al. 2018, BUCC",
)  # fmt: skip
declare(
    "tatoeba", "retrieve", "target", "google/xtreme/tatoeba.{iso3}", XTREME_COMMIT, bitext, "retrieval",
    "source_sentence target_sentence source_lang target_lang",
    langs="af ar bg bn de el es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr nl pt ru sw ta te th tl "
    "tr ur vi zh",
    metrics=("accuracy",), protocol="tatoeba/jiant", retrieves="nearest", licence="CC BY 2.0",
    citation="Artetxe and Schwenk 2019, TACL",
)  # fmt: skip

# -- what XTREME-R adds

declare(
    "xcopa", "choose", "xtreme-r", "cambridgeltl/xcopa/{lang}", "042f78955ba48e6404616762fa6e05e839c3907a",
    copa, "commonsense",
    "premise choice1 choice2 question label", langs="et ht id it qu sw ta th tr vi zh", train_on="copa",
    licence="CC BY 4.0",
    citation="Ponti et al. 2020, EMNLP",
)  # fmt: skip
declare(
    "lareqa", "retrieve", "xtreme-r", "lareqa/xquad-r.{lang}", "9bc8c7fb6dd8d01d72a05a93c2cb96882b0d299c",
    answer_sentence,
    "retrieval", "id context question answers sentence_breaks sentences",
    langs="ar de el en es hi ru th tr vi zh",
    validation="test", metrics=("map@20",), protocol="map@20", retrieves="answers", licence="CC BY-SA 4.0",
    citation="Roy et al. 2020, EMNLP",
    obtain="xquad-r/<language>.json of google-research-datasets/lareqa, as "
    "XIT_LOCAL/lareqa/xquad-r.<language>/test.json",
)  # fmt: skip
declare(
    "mewslix", "retrieve", "xtreme-r", "mewsli-x/dataset", "47071fbe61ad850e4ea27b269e55c5a9b9378cb3",
    mention, "retrieval",
    "context mentions", langs=MEWSLIX, validation="wikinews_mentions-dev", metrics=("map@20",),
    protocol="map@20", retrieves="entities", candidates="candidate_set_entities",
    licence="CC BY-SA 4.0, CC BY 2.5", citation="Ruder et al. 2021, EMNLP",
    obtain="google-research's get-mewsli-x.sh makes its files; put them into XIT_LOCAL/mewsli-x/dataset",
)  # fmt: skip
declare(
    "multichecklist", role="xtreme-r", source="multichecklist/templates", revision=XTREME_CODE, read=question,
    train_on="squad1",
    langs="af ar az bg bn de el en es et eu fa fi fr gu ha he hi ht hu id it ja jv ka kk ko lt ml mr ms my "
    "nl pa pl pt qu ru sw ta te th tl tr uk ur vi wo yo zh",
    validation="tsv", expand="checklist", licence="Apache-2.0", citation="Ruder et al. 2021, EMNLP",
    obtain="multichecklist/checklist_templates.tsv of google-research/xtreme, as "
    "XIT_LOCAL/multichecklist/templates/tsv.tsv",
    **(QA | {"protocol": "checklist/failure", "metrics": ("accuracy",)}),
)  # fmt: skip

# -- further evaluation sets, for the research questions: other domains, adversarial rows

for name, config, rows in (
    ("shift_wiki", "new_wiki", "new_wiki"), ("shift_nyt", "nyt", "nyt"), ("shift_reddit", "reddit", "reddit"),
    ("shift_amazon", "amazon", "amazon_reviews"),
):  # fmt: skip
    declare(
        name, role="shift", source=f"squadshifts/{config}",
        revision="b7cc4d50af791c36c49417fb94dd739d6a9e7bef", read=question,
        train_on="squad1", validation="test", licence="CC BY 4.0", citation="Miller et al. 2020, ICML",
        obtain=f"datasets/{rows}_v1.0.json of modestyachts/squadshifts-website, as "
        f"XIT_LOCAL/squadshifts/{config}/test.json",
        **QA,
    )  # fmt: skip
# original and revised rows together; a model is as robust as it is on both
declare(
    "cad_nli", role="shift", source="cad_nli/all_combined",
    revision="6f232a1d2a11462a30ce08fb4825b734ab30828e", **AFTER_MNLI,
    validation="test", licence="Apache-2.0; SNLI: CC BY-SA 4.0", citation="Kaushik et al. 2020, ICLR",
    obtain="NLI/all_combined/test.tsv of acmi-lab/counterfactually-augmented-data (columns premise, "
    "hypothesis, label 0-2), as XIT_LOCAL/cad_nli/all_combined/test.jsonl",
    **ENTAILMENT, **NLI_LABELS,
)  # fmt: skip

# rows of XNLI that mislead who judges by words in common, or by the hypothesis alone (`data.adversarial`)
for name, beside, citation in (
    ("overlap", (), "McCoy et al. 2019, ACL"),
    ("hypothesis", (MNLI_ROWS, ""), "Gururangan et al. 2018, NAACL"),
):
    declare(
        f"xnli_{name}", "classify", "shift", "google/xtreme/XNLI", XTREME_COMMIT,
        pair("sentence1", "sentence2", "gold_label", tuple(NLI), XNLI_LANGS), "nli",
        "language sentence1 sentence2 gold_label",
        langs=XNLI_LANGS, **AFTER_MNLI, expand=name, beside=beside,
        licence="CC BY-NC 4.0", citation=f"Conneau et al. 2018, EMNLP; {citation}", **NLI_LABELS,
    )  # fmt: skip
# one word of the premise replaced; as many entailments as contradictions (`data.adversarial`)
declare(
    "breaking_nli", role="shift", source="breaking_nli/default",
    revision="8a7658c1ce6b732f4e8af3b06560f1a13b8b18b0", **AFTER_MNLI, validation="test",
    expand="replacement", licence="CC BY-SA 4.0", citation="Glockner et al. 2018, ACL",
    obtain="data/dataset.jsonl in breaking_nli_dataset.zip of BIU-NLP/Breaking_NLI (columns premise, "
    "hypothesis, label 0-2), as XIT_LOCAL/breaking_nli/default/test.jsonl",
    **ENTAILMENT, **NLI_LABELS,
)  # fmt: skip
declare(
    "shift_snli", role="shift", source="stanfordnlp/snli/plain_text",
    revision="cdb5c3d5eed6ead6e5a341c8e56e669bb666725b", **AFTER_MNLI, licence="CC BY-SA 4.0",
    citation="Bowman et al. 2015, EMNLP", **ENTAILMENT, **NLI_LABELS,
)  # fmt: skip
# the same sentences in three languages, translated or written by people; annotated anew in Japanese
declare(
    "shift_sick", role="shift", source="sick_multi/{lang}",
    revision="b3034994192fae2f41b5937bcf69544e4282fc39", langs="en nl ja", **AFTER_MNLI,
    validation="test", licence="CC BY-NC-SA 3.0; Dutch: MIT; Japanese: CC BY 4.0",
    citation="Marelli et al. 2014, LREC; Wijnholds and Moortgat 2021, EACL; Yanaka and Mineshima 2022, TACL",
    obtain="SICK, SICK-NL of gijswijnholds/sick_nl and JSICK of verypluming/JSICK (the rows that all have; "
    "columns premise, hypothesis, label 0-2), as XIT_LOCAL/sick_multi/<language>/test.jsonl",
    **ENTAILMENT, **NLI_LABELS,
)  # fmt: skip
declare(
    "shift_ocnli", role="shift", source="clue/ocnli/zh", revision="b53efdee17257a5c33993cf6fcf8ffff0497ea0e",
    langs="zh", **AFTER_MNLI, licence="CC BY-NC 4.0",
    citation="Hu et al. 2020, Findings of EMNLP",
    obtain="data/ocnli of CLUEbenchmark/OCNLI (columns premise, hypothesis, label 0-2), as "
    "XIT_LOCAL/clue/ocnli/zh/validation.jsonl",
    **ENTAILMENT, **NLI_LABELS,
)  # fmt: skip
# XTREME's English rows have GUM as it was in UD 2.5, seven genres; these came later
GUM_LATER = ("conversation", "court", "essay", "letter", "podcast", "speech", "textbook", "vlog")
declare(
    "shift_gum", "tag", "shift", "ud_genre/en_gum", "afb41ee9bca57991125814fa04d96a0e61470c8b",
    of_genres(tagged("pos_tags", UPOS), GUM_LATER), "tagging", "tokens pos_tags genre", train_on="udpos",
    labels=tuple(UPOS),
    metrics=("f1",), protocol="udpos/seqeval-1.2.2", epochs=10, validation="test",
    licence="CC BY, CC BY-NC-SA by document", citation="Zeldes 2017, LREV",
    obtain="en_gum-ud-test.conllu of UniversalDependencies/UD_English-GUM (columns tokens, pos_tags, genre), "
    "as XIT_LOCAL/ud_genre/en_gum/test.jsonl",
)  # fmt: skip

# -- alternatives to the nine: open supertags, XTREME-R's own training data, languages other than English

declare(
    "udtag", "tag", "alternative", "ud_supertags/en_ewt", "15d613d8447b3478787d4c278730a1e48a945efb",
    tagged("supertags", []),
    "tagging", "tokens supertags", train_on="udtag", licence="CC BY-SA 4.0",
    citation="Silveira et al. 2014, LREC",
    obtain="dependency supertags of UD_English-EWT, as "
    "XIT_LOCAL/ud_supertags/en_ewt/{train,validation}.jsonl",
)  # fmt: skip
declare(
    "copa", "choose", "alternative", "cambridgeltl/xcopa/en", "042f78955ba48e6404616762fa6e05e839c3907a",
    copa, "commonsense",
    "premise choice1 choice2 question label", train_on="copa", licence="BSD 2-clause",
    citation="Roemmele et al. 2011, AAAI Spring",
    obtain="COPA as in SuperGLUE, as XIT_LOCAL/cambridgeltl/xcopa/en/{train,validation}.jsonl",
)  # fmt: skip
declare(
    "siqa", "choose", "alternative", "allenai/social_i_qa/default",
    "537a2ec8ec565adc0b70b70752893e59e024df26", social_iqa,
    "commonsense", "context question answerA answerB answerC label", train_on="siqa", licence="CC BY 4.0",
    citation="Sap et al. 2019, EMNLP",
)  # fmt: skip
declare(
    "ocnli", role="alternative", source="clue/ocnli/zh", revision="b53efdee17257a5c33993cf6fcf8ffff0497ea0e",
    langs="zh",
    train_lang="zh", train_on="ocnli", licence="CC BY-NC 4.0", citation="Hu et al. 2020, Findings of EMNLP",
    obtain="data/ocnli of CLUEbenchmark/OCNLI (columns premise, hypothesis, label 0-2), as "
    "XIT_LOCAL/clue/ocnli/zh/train.jsonl",
    **ENTAILMENT, **NLI_LABELS,
)  # fmt: skip
declare(
    "jcqa", "choose", "alternative", "shunk031/JGLUE/JCommonsenseQA",
    "6f071c09316baae89c3d083a90985b4b1cb9968c", jcommonsense,
    "commonsense", "question choices label", langs="ja", train_lang="ja", train_on="jcqa",
    licence="CC BY-SA 4.0",
    citation="Kurihara et al. 2022, LREC",
    obtain="datasets/jcommonsenseqa-v1.3 of yahoojapan/JGLUE (choices as a list), as "
    "XIT_LOCAL/shunk031/JGLUE/JCommonsenseQA/train.jsonl",
)  # fmt: skip
# what people prefer of two replies, and the same replies with a preference drawn by lot: the training is the
# Bradley-Terry model's, since the softmax over two scores is the logistic function of their difference
for name, reader in (("prefer", preference), ("prefer_sham", shuffled_preference)):
    declare(
        name, "choose", "alternative", "Anthropic/hh-rlhf/harmless-base",
        "09be8c5bbc57cb3887f3a9732ad6aa7ec602a1fa", reader, "preference", "chosen rejected", train_on=name,
        train="train,test", validation="train,test", held_out=5, licence="MIT",
        citation="Bai et al. 2022, arXiv 2204.05862", stand_ins=("oasst1_pairs/en/validation",),
    )  # fmt: skip
# captions with the content of their pictures, and the same captions with that of other pictures
for name, reader in (("scenes", scene), ("scenes_sham", other_scene)):
    declare(
        name, "ground", "alternative", "multi30k/task1", "a3d2e0d26b56f3846f66a952536ffed4e401d05a",
        reader, "grounding", "caption scene other", langs="en de fr cs", train_lang=EVERY, train_on=name,
        licence="Flickr30K terms; Multi30k: CC BY-NC-SA 4.0; its frames: not stated",
        citation="Elliott et al. 2016, V&L; Viridiano et al. 2024, LREC-COLING", expand="pictures",
        beside=FRAMES,
        obtain="data/task1 of multi30k/dataset (columns image, en, de, fr, cs) as "
        "XIT_LOCAL/multi30k/task1/{train,validation}.jsonl",
    )  # fmt: skip
# two whose rows exist in machine translation, where those of MNLI and HellaSwag cannot be had
declare(
    "snli", role="alternative", source="stanfordnlp/snli/plain_text",
    revision="cdb5c3d5eed6ead6e5a341c8e56e669bb666725b", train_on="snli", translated=(SNLI_FI,),
    licence="CC BY-SA 4.0", citation="Bowman et al. 2015, EMNLP", **ENTAILMENT, **NLI_LABELS,
)  # fmt: skip
declare(
    "paws", "classify", "alternative", "google/xtreme/PAWS-X.en", XTREME_COMMIT,
    pair("sentence1", "sentence2"), "paraphrase", "sentence1 sentence2 label", train_on="paws",
    labels=("different", "paraphrase"), epochs=5, translated=(PAWS_ID,), licence="free, with attribution",
    citation="Zhang et al. 2019, NAACL",
)  # fmt: skip

# -- twins that only a generated world has: tasks in another domain, and targets with misleading rows


def twin(of: str, suffix: str) -> None:
    """Declare a twin of a task. That of a target is scored after the training of the target itself."""
    task, name = TASKS[of], f"{of}_{suffix}"
    role, train_on = ("shift", task.train_on) if task.scored else ("alternative", name)
    TASKS[name] = replace(
        task, name=name, role=role, train_on=train_on, source=f"micro/{name}", revision="", made=True,
        langs=" ".join(MICRO.languages) if task.scored else PIVOT, licence="as this package",
        citation="this package", stand_ins=(), translated=(), original="",
        obtain="none: the micro-world generates it, and no real data set has it",
    )  # fmt: skip


for name in "mnli xnli pawsx udpos panx xquad mlqa tydiqa tatoeba".split():
    twin(name, "shift")
for name in ("xnli", "xquad", "mlqa", "tydiqa"):
    twin(name, "adversarial")

INTERMEDIATES = tuple(t.name for t in TASKS.values() if t.role == "intermediate")
TARGETS = tuple(t.name for t in TASKS.values() if t.role == "target")
REAL_TASKS = tuple(t.name for t in TASKS.values() if not t.made)  # that have rows outside of generated worlds
# What every encoder is measured on, whatever trained it: masked words, parallel sentences
TEXT, PARALLEL = TASKS["mlm"], TASKS["tatoeba"]


def task(name: str, within: str = "") -> Task:
    """The task of that name. `within`: the path it was read from, for the message.

    Raises: Bad for an unknown name.
    """
    if name not in TASKS:
        where = f" in path {within!r}" if within and within != name else ""
        raise Bad(f"no task {name!r}{where}; known: {', '.join(TASKS)}")
    return TASKS[name]


def ordered(tasks: list[Task]) -> list[Task]:
    """Tasks in the order in which a stage names them: first the nine, then as declared."""
    order = list(dict.fromkeys((*INTERMEDIATES, *TASKS)))
    return sorted(tasks, key=lambda t: order.index(t.name))


def nine(scale: Scale) -> tuple[str, ...]:
    """The names of the nine single intermediate tasks of a scale, with its stand-ins in place."""
    replacements = dict(scale.stand_ins)
    return tuple(replacements.get(name, name) for name in INTERMEDIATES)


def translation_languages(task: Task) -> tuple[str, ...]:
    """The languages that a task's training rows may be in by machine: XNLI's, and those of its own."""
    return tuple(dict.fromkeys((*TRANSLATED, *(code for x in task.translated for code in x.langs.split()))))


def located(spec: str) -> tuple[str, str, str, str]:
    """The repository, config, split and commit of "repository/config/split@commit"."""
    path, _, commit = spec.partition("@")
    return (*path.rsplit("/", 2), commit)


def languages(task: Task, scale: Scale) -> tuple[str, ...]:
    """The languages a task is evaluated in at a scale; retrieval pairs every other language with the pivot.

    Raises: Bad for a task that the scale's world does not have.
    """
    world = scale.world
    if task.name not in world.tasks if world.tasks else task.made:
        names = ", ".join(world.tasks or REAL_TASKS)
        raise Bad(
            f"scale {scale.name!r}: the {world.name}-world has no {task.name!r}; take another scale, or "
            f"one of {names}"
        )
    langs = tuple(task.langs.split())
    if world.languages:
        langs = world.languages if langs != (PIVOT,) else (PIVOT,)
        langs = langs if not task.retrieves else langs[1:]
    lacking = (*scale.gaps, *scale.lacks)
    return tuple(
        code for code in langs if code in (scale.langs or langs) and f"{task.name}/{code}" not in lacking
    )


def train_languages(task: Task, scale: Scale) -> tuple[str, ...]:
    """The languages of the rows that train a task at a scale."""
    return languages(task, scale) if task.train_lang == EVERY else (task.train_lang,)
