"""What a run is: a path through the tasks at one scale with one seed. Everything that changes a score is a field here."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property, lru_cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = (PACKAGE.parent / "notebooks/1_pretrained.ipynb").is_file()  # else the package was installed: it works in any folder
ROOT = PACKAGE.parent if CHECKOUT else Path.cwd()
PARTS = PACKAGE.parent if CHECKOUT else PACKAGE  # where the notebooks and the Snakefile are
PIVOT = "en"  # English at the real scales; the constructed pivot language in the micro-world
MOST = 2**63 - 1  # of a seed or a number of rows: what every library takes
INDEX = "model.safetensors.index.json"  # of weights in parts, as transformers names it


class Bad(ValueError):
    """A user's mistake. The message is one line: what was got, what is allowed, what to do."""


def results_dir() -> Path:
    """The ledger's folder (XIT_RESULTS, else book/results)."""
    return Path(os.environ.get("XIT_RESULTS") or ROOT / "book/results")


def executed_dir() -> Path:
    """Where executed notebooks go (XIT_EXECUTED, else book/executed)."""
    return Path(os.environ.get("XIT_EXECUTED") or ROOT / "book/executed")


def runs_dir() -> Path:
    """Checkpoints and other working files, never committed (XIT_RUNS, else _runs)."""
    return Path(os.environ.get("XIT_RUNS") or ROOT / "_runs")


def mirror_dir() -> Path | None:
    """A folder of data-set repositories that stands in for the hub (XIT_MIRROR), checked to be one."""
    named = os.environ.get("XIT_MIRROR")
    if not named:
        return None
    if not (Path(named) / "MANIFEST.csv").is_file():
        raise Bad(f"XIT_MIRROR={named}: no MANIFEST.csv there; name the folder that holds the mirror, or unset it to use the hub")
    return Path(named).resolve()


def local_dir() -> Path | None:
    """A folder of the user's with data that no hub serves at a known commit (XIT_LOCAL): licensed or original files."""
    named = os.environ.get("XIT_LOCAL")
    if named and not Path(named).is_dir():
        raise Bad(f"XIT_LOCAL={named}: no such folder; name the folder that holds your own copies of data sets, or unset it")
    return Path(named).resolve() if named else None


@dataclass(frozen=True)
class Pretraining:
    """How notebook 1 makes an encoder anew (`xit run pretrained --model remake`)."""

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
    dropout: float = 0.0  # of the encoder, here and in later stages: small encoders underfit
    start: str = "scratch"  # or "table": the public multilingual embedding table, frozen
    alpha: float = 0.0  # languages are sampled with p ~ pieces ** alpha, as XLM-R does with 0.3; 0 = all text, once


@dataclass(frozen=True)
class Scale:
    """One row of the book's table of scales: where data come from, which encoder, how much of everything."""

    name: str
    world: str  # "micro" or "real"
    encoder: str  # a folder of xit_core/encoders, a hub id, or "" = random weights in the shape of `pretraining`
    revision: str = ""  # commit of the hub model
    rows: int = 0  # training rows of a target task, of each of its sources; 0 = all
    stage_rows: int = 0  # training rows of an intermediate task, likewise
    eval_rows: int = 0  # evaluation rows a language, 0 = all
    langs: tuple[str, ...] = ()  # () = every language of the task
    gaps: tuple[str, ...] = ()  # "task/language" that the scale's data lack, said in book/deviations.md
    lacks: tuple[str, ...] = ()  # the same, of tasks that came later: they count in the recipe of their own runs only
    steps: int = 0  # optimiser steps of the target stage, 0 = the task's epochs
    stage_steps: int = 0  # steps each intermediate task of a stage contributes, 0 = the task's epochs
    batch: int = 0  # sequences a step, 0 = the task's own
    lr: float = 1e-5
    stage_lr: float = 1e-5
    max_len: int = 256  # tokens
    span_len: int = 0  # tokens of a question with its window of context, 0 = max_len
    span_step: int = 0  # tokens from one window to the next ("doc_stride"), 0 = windows overlap by a third of their length
    retrieve_len: int = 0  # tokens of a sentence that is only embedded, 0 = max_len
    cap: int = 0  # multi-task sampling: p ~ min(rows, cap) ** (1 / temperature); 0 = no cap
    temperature: float = 1.0
    pooling: str = "first"  # sentence vector of `classify` and `choose`: "first" token, as XLM-R, or "mean"
    seeds: tuple[int, ...] = (1, 2, 3)
    save_every: int = 1000  # steps between the checkpoints a killed run resumes from
    bf16: bool = False  # autocast also on the CPU (always where a GPU has it): 1.4 times faster at 256 dimensions, slower below
    probes: int = 0  # how often retrieval is scored along an intermediate stage
    together: bool = True  # one notebook takes every target of a source; False: one target a notebook
    note: str = ""  # how the scale is reduced, where its numbers are shown
    pretraining: Pretraining | None = None

    def longest(self, kind: str) -> int:
        """Tokens of the longest sequence that a task of this kind reads."""
        return {"span": self.span_len, "retrieve": self.retrieve_len}.get(kind) or self.max_len


# by the public rows that could be gathered for the mirror
LACKED = (
    "bucc/de", "bucc/fr", "bucc/ru", "tydiqa/ar", "tydiqa/en", "tydiqa/ru", "lareqa/ru", "lareqa/tr",
)  # fmt: skip
TEST_ONLY = ("udpos/kk", "udpos/th", "udpos/tl", "udpos/yo")  # UD 2.5 has no development data in these languages
UNMIRRORED = (
    *LACKED, "panx/th", "tydiqa/bn", "tydiqa/fi", "tydiqa/id", "tydiqa/te", "lareqa/vi",
)  # fmt: skip
# languages of the public embedding table
TABLED = ("en", "de", "es", "fr", "ru", "zh", "ar", "tr", "th", "ja", "ko", "it", "nl", "pl", "pt")
JIANT = {"span_len": 384, "span_step": 128, "retrieve_len": 512}  # nyu-mll/jiant@daa5a25, scripts/benchmarks/xtreme
MINI = Scale(
    "mini", "real", "mini", rows=8000, stage_rows=8000, eval_rows=250, langs=TABLED,
    gaps=("udpos/th", "panx/th"), lacks=LACKED,
    steps=250, stage_steps=200, batch=16, lr=3e-4, stage_lr=3e-4, max_len=128, seeds=(1, 2, 3, 4, 5), save_every=100,
    bf16=True, probes=2,
    note="reduced design at CPU size: 4 layers of 256 on a frozen public embedding table, 15 languages, few rows and steps",
    pretraining=Pretraining(
        4, 256, 4, 42000, steps=8000, batch=32, length=128, lr=1e-3, rows=0, start="table", alpha=0.3
    ),
)  # fmt: skip
SCALES = {
    s.name: s
    for s in (
        Scale(
            "smoke", "micro", "", rows=48, stage_rows=48, eval_rows=12, langs=("en", "al", "zi"), steps=6,
            stage_steps=6, batch=8, lr=1e-3, stage_lr=1e-3, max_len=96, seeds=(1,), probes=2,
            pretraining=Pretraining(2, 32, 2, 1200, steps=8, batch=8, length=64, lr=1e-3, rows=100),
        ),
        Scale(
            "micro", "micro", "micro", rows=2000, stage_rows=2000, eval_rows=100, steps=200, stage_steps=200, batch=16,
            lr=1e-3, stage_lr=1e-3, max_len=96, probes=4, note="a laboratory: constructed languages, 4 layers of 64",
            pretraining=Pretraining(
                4, 64, 4, 1200, steps=5000, batch=64, length=96, lr=3e-3, rows=30000, packed=False, masking=0.2, beta2=0.98
            ),
        ),
        Scale(
            "pocket", "real", "pocket", rows=4000, stage_rows=4000, eval_rows=150,
            langs=TABLED, gaps=("udpos/th", "panx/th"), lacks=LACKED,
            steps=120, stage_steps=120, lr=3e-4, stage_lr=3e-4, max_len=128, bf16=True, probes=2,
            note="first look at CPU size: 4 layers of 256 on a frozen public embedding table, 15 languages, few tasks, rows, steps",
            pretraining=Pretraining(4, 256, 4, 42000, steps=4000, batch=16, length=128, lr=1e-3, rows=30000, start="table"),
        ),
        MINI,
        replace(
            MINI, name="mini-long", stage_rows=32000, stage_steps=1000, stage_lr=1e-4, probes=4, seeds=(1, 2, 3),
            note=f"five times the steps of `mini` for an intermediate task, at a third of the rate; {MINI.note}",
        ),
        Scale(
            "mini-scratch", "real", "mini-scratch", rows=20000, stage_rows=50000, eval_rows=1000, gaps=TEST_ONLY, lacks=UNMIRRORED,
            save_every=100, batch=32, lr=2e-4, stage_lr=1e-4, max_len=256, cap=50000, seeds=(1, 2, 3, 4, 5), probes=8,
            note="capped rows, for one GPU",
            pretraining=Pretraining(6, 384, 6, 48000, steps=12000, batch=256, length=256, lr=5e-4, rows=0, beta2=0.98, alpha=0.3),
        ),
        Scale("base", "real", "FacebookAI/xlm-roberta-base", "e73636d4f797dec63c3081bb6ed5c7b0bb3f2089", stage_rows=100000,
              cap=100000, together=False, gaps=TEST_ONLY, note="XLM-R Base, not Large; capped rows of intermediate tasks", **JIANT),
        Scale("paper", "real", "FacebookAI/xlm-roberta-large", "c23d21b0620b635a76227c604d44e43a9f0ee389",
              cap=400000, together=False, gaps=TEST_ONLY, **JIANT),
    )
}  # fmt: skip


def scale(name: str) -> Scale:
    """The scale of that name.

    Raises: Bad for an unknown name.
    """
    if name not in SCALES:
        raise Bad(f"no scale {name!r}; known: {', '.join(SCALES)}")
    return SCALES[name]


@dataclass(frozen=True)
class Score:
    """One number of one run: `value` (0-100) of `metric` in language `lang` over `n` instances, scored by `protocol`."""

    lang: str
    metric: str
    protocol: str
    value: float
    n: int


@dataclass(frozen=True)
class Run:
    """One path at one scale with one seed; the unit of the ledger.

    `path`: `>` is *then*, `+` is *jointly with*: "xnli" is the baseline, "squad1+mlm > tydiqa" a transfer, "mnli" the
    intermediate stage itself, "pretrained" the encoder itself.
    """

    path: str = "xnli"
    scale: str = "smoke"
    seed: int = 1
    model: str = ""  # "" = the scale's encoder; "random" = its shape with random weights; "remake" = pretrain it anew
    method: str = "full"
    lang: str = PIVOT  # of the intermediate data: "en", or "mt" = machine-translated into the target languages
    size: int = 0  # rows of intermediate data, 0 = all that the scale allows

    def __post_init__(self):
        scale(self.scale)
        for name, allowed in {"method": ("full",), "lang": (PIVOT, "mt"), "model": ("", "random", "remake")}.items():
            if getattr(self, name) not in allowed:
                raise Bad(f"{name}={getattr(self, name)!r}; allowed: {', '.join(map(repr, allowed))}")
        for name, least in {"seed": 1, "size": 0}.items():
            if type(getattr(self, name)) is not int or not least <= getattr(self, name) <= MOST:
                raise Bad(f"{name}={getattr(self, name)!r}; allowed: a whole number from {least} to {MOST}")
        paths = parse(self.path)
        if len(paths) != 1:
            raise Bad(f"path {self.path!r} names {len(paths)} runs; a run has one target: {' | '.join(paths)}")
        object.__setattr__(self, "path", paths[0])
        from .tasks import TASKS, languages

        for name in (n for stage in self.stages for n in stage if n in TASKS):
            languages(name, scale(self.scale))  # raises for a task that the micro-world does not tell

    @cached_property
    def stages(self) -> tuple[tuple[str, ...], ...]:
        """Tasks of every stage, in order: "squad1+mlm > xquad" -> (("squad1", "mlm"), ("xquad",))."""
        return tuple(tuple(s.split("+")) for s in self.path.split(" > "))

    @property
    def on(self) -> str:
        """What the run is scored on: its target, or for a stage run the stage itself."""
        return "+".join(self.stages[-1])

    @property
    def phase(self) -> int:
        """1 pretrained encoder, 2 an intermediate stage, 3 a target."""
        from .tasks import TASKS

        return 1 if self.path == "pretrained" else 3 if self.on in TASKS and TASKS[self.on].scored else 2

    @property
    def source(self) -> str:
        """The path without its target: "" for a baseline; a stage run's whole path."""
        return self.path if self.phase < 3 else " > ".join(map("+".join, self.stages[:-1]))

    @property
    def parent(self) -> "Run | None":
        """The run whose encoder this one starts from; None for the pretrained encoder itself."""
        if self.phase == 1:
            return None
        path = " > ".join(map("+".join, self.stages[:-1])) or "pretrained"
        if path == "pretrained":  # one encoder for all seeds, unless its weights are drawn at random
            return Run(path, self.scale, self.seed if self.model else 1, self.model)
        return replace(self, path=path)

    @cached_property
    def id(self) -> str:
        """File-safe and readable, with a hash of what the words do not show: recipe, data revisions, encoder."""
        from .studies import nine
        from .tasks import TASKS

        words = ["multi" if set(s) == set(nine(self.scale)) else "+".join(s) for s in self.stages]
        marks = [getattr(self, f) for f in ("model", "method", "lang") if getattr(self, f) != Run.__dataclass_fields__[f].default]
        marks += [f"n{self.size}"] if self.size else []
        used = sorted({n for s in self.stages for t in s if t in TASKS for n in (t, TASKS[t].train_on) if n})
        used += ["mlm"] if self.path == "pretrained" and scale(self.scale).world == "micro" else []
        told = [asdict(self), recipe(self), [(t, TASKS[t].version(scale(self.scale).world)) for t in used]]
        told += [encoder_hash(self.scale)] if self.path != "pretrained" or not self.model else []
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:8]
        return "-".join([".".join(words), *marks, f"s{self.seed}", digest])


def runs(path: str, seed: int = 1, **given) -> tuple[Run, ...]:
    """Every run that a path with commas names, with one seed or (0) each seed of the scale; `given`: other fields of `Run`.

    Raises: Bad for a wrong path or field.
    """
    seeds = scale(given.get("scale", "smoke")).seeds if type(seed) is int and seed == 0 else (seed,)
    return tuple(dict.fromkeys(Run(path=p, seed=x, **given) for x in seeds for p in parse(path)))


def recipe(run: Run) -> dict:
    """What makes a run's numbers: every field of its scale that differs from its default, as JSON data.

    Less seeds and what only arranges the work; how the encoder was pretrained counts where the run makes one.
    """
    s = scale(run.scale)
    told = changed(s, leave=("name", "seeds", "together", "save_every", "pretraining", "lacks", "note"))
    told |= {"lacks": own} if (own := [x for x in s.lacks if x.startswith(f"{run.on}/")]) else {}
    if s.pretraining and (run.model or not s.encoder):
        told["pretraining"] = changed(s.pretraining)
    return json.loads(json.dumps(told))


def changed(row, leave: tuple[str, ...] = ()) -> dict:
    """The fields of a dataclass that differ from their defaults."""
    return {f.name: getattr(row, f.name) for f in fields(row) if f.name not in leave and getattr(row, f.name) != f.default}


def encoder_dir(scale_name: str) -> Path:
    """The folder of the encoder that the package ships for a scale; `smoke` borrows the tokenizer of `micro`."""
    return PACKAGE / "encoders" / (scale(scale_name).encoder or "micro")


@lru_cache
def encoder_hash(scale_name: str) -> str:
    """sha256 of the shipped weights, all parts in order; the pinned commit of a hub model; "" while there is no encoder yet."""
    s = scale(scale_name)
    files = weights(encoder_dir(scale_name))
    if s.revision or not s.encoder or not all(file.is_file() for file in files):
        return s.revision
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def weights(folder: Path) -> list[Path]:
    """The files of an encoder's weights, in order, there or not: the parts that an index names, or the one that needs none.

    Raises: Bad for a damaged index.
    """
    index = folder / INDEX
    if not index.is_file():
        return [folder / "model.safetensors"]
    try:
        return [folder / name for name in sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))]
    except (ValueError, KeyError, TypeError, AttributeError):
        advice = "restore it from git" if PACKAGE in folder.parents else "delete the folder, it is made again"
        raise Bad(f"{index}: damaged checkpoint; {advice}") from None


def parse(text: str) -> list[str]:
    """Canonical paths of a path string whose last stage may name several alternatives with commas.

    Raises: Bad for an unknown task, an empty part, or a stage that cannot stand where it does.
    """
    from .tasks import INTERMEDIATES, TASKS, task

    if text.strip() == "pretrained":
        return ["pretrained"]
    *stages, last = [s.strip() for s in text.split(">")]
    order = {t: i for i, t in enumerate((*INTERMEDIATES, *(t for t in TASKS if t not in INTERMEDIATES)))}
    targets = {t.name for t in TASKS.values() if t.scored}

    def joint(stage: str) -> str:
        names = [task(n.strip(), within=text).name for n in stage.split("+")]
        if len(set(names)) < len(names):
            raise Bad(f"path {text!r}: a task stands twice in {stage!r}; name each once")
        if len(names) > 1 and set(names) & targets:
            raise Bad(f"path {text!r}: a target cannot be trained jointly ({stage!r}); join targets with commas in the last stage")
        return "+".join(sorted(names, key=order.__getitem__))

    first = [joint(s) for s in stages]
    if bad := [s for s in first if s in targets]:
        raise Bad(f"path {text!r}: target {bad[0]!r} must come last; a path is intermediates > target")
    return [" > ".join([*first, joint(a)]) for a in last.split(",")]
