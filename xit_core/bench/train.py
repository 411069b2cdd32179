"""Our training loop beside Hugging Face's Trainer: same weights, rows, sequences a step, precision and
optimiser settings.

Everything is read off from outside: a hook on the encoder sees every forward pass, a hook on torch's
optimisers every step.
"""

import copy
import ctypes
import itertools
import re
import statistics
import tempfile
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import transformers
from torch.optim.optimizer import register_optimizer_step_post_hook
from tqdm import tqdm
from transformers.models.xlm_roberta import XLMRobertaConfig, XLMRobertaModel
from transformers.models.xlm_roberta import modeling_xlm_roberta as theirs
from transformers.trainer_pt_utils import get_length_grouped_indices

from ..design.encoders import HUB, RANDOM
from ..design.scales import Scale
from ..design.scales import scale as scale_of
from ..design.tasks import TASKS
from ..machine.errors import Bad
from ..model import mixture, origins, schedule, train
from ..model.encoder import Model
from ..model.features import Encoded, sequences
from ..model.kinds import labels
from ..phases import training_set
from . import geometric_mean, record

MEASURED_TASKS = ("squad1", "mnli", "udpos", "csqa")
# tokens a sequence and E[s²]/E[s] of the real rows, which `--random` imitates
DRAWN = {
    "squad1": (178, 190),
    "mnli": (42, 52),
}
# of the vocabulary that `--random` draws from, by Zipf's law: as many as English training rows hold
PIECES = 40_000
SCALE = "pocket"  # that is measured where none is named
# steps before the clock starts; the median over rounds leaves out what only the first round pays for
WARM = 1
POOL = 50  # batches that Trainer sorts by length together, in a training that is long enough
SEED = 1
PLAIN, GROUPED = "Trainer", "Trainer, grouped by length"
# a step moves at least so many a parameter: AdamW reads and writes p, m, v; a gradient is written, clipped,
# read
BYTES = 36
PROFILE_PARTS = {  # of a step, by the names of kernels or operations, first match
    "attention": r"flash|fmha|scaled_dot|attention|varlen",
    "optimiser": r"adam|multi_tensor|foreach|clip_grad|linalg_vector_norm",
    "matmul": r"gemm|nvjet|cutlass|xmma|::(mm|addmm|bmm|baddbmm|linear|mkldnn_linear)\b",
}


@dataclass
class TimedTraining:
    """One training to be timed: `steps` steps over `features` of the task `name`, from the weights of
    `net`."""

    net: Model
    name: str
    features: Encoded
    batch: int
    steps: int
    s: Scale
    folder: Path
    logging: int = 500  # Trainer's default


@dataclass
class Watch:
    """What a training did: seconds and tokens by step, losses, peak memory. Used as `with`, around the
    training.
    """

    encoder: XLMRobertaModel
    steps: int
    ends: list[float] = field(default_factory=list)  # when each optimiser step was over
    host: list[float] = field(default_factory=list)  # seconds from there to the next forward pass
    read: list[int] = field(default_factory=list)  # positions that the encoder was given, by step
    empty: list = field(default_factory=list)  # those that are padding
    losses: list[float] = field(default_factory=list)
    within: bool = False

    def __enter__(self) -> "Watch":
        self.hooks = [self.encoder.register_forward_pre_hook(self.masked, with_kwargs=True)]
        self.hooks.append(self.encoder.embeddings.register_forward_pre_hook(self.enter, with_kwargs=True))
        self.hooks.append(register_optimizer_step_post_hook(self.leave))
        self.begin = time.perf_counter()
        return self

    def __exit__(self, *_) -> None:
        synchronize()
        self.seconds = time.perf_counter() - self.begin
        for hook in self.hooks:
            hook.remove()
        self.empty = [int(x) for x in self.empty]

    def step(self) -> None:
        """The first forward pass since the optimiser's last step begins a step."""
        if not self.within:
            self.host.append(time.perf_counter() - (self.ends or [self.begin])[-1])
            self.read.append(0)
            self.empty.append(0)
        self.within = True

    def masked(self, _, args: tuple, kwargs: dict) -> None:
        """Of a padded batch, before it reaches the embeddings. Nothing waits for the device."""
        self.step()
        self.empty[-1] = self.empty[-1] + (kwargs["attention_mask"] == 0).sum()

    def enter(self, _, args: tuple, kwargs: dict) -> None:
        """A forward pass begins: what came before it since the last one was host work."""
        self.step()
        self.read[-1] += kwargs["input_ids"].numel()

    def leave(self, *_) -> None:
        """It ends."""
        self.within = False
        if len(self.ends) + 1 in (WARM, self.steps):
            synchronize()
        self.ends.append(time.perf_counter())

    def told(self) -> dict[str, float]:
        """Rates after the first WARM steps."""
        wall = self.ends[-1] - self.ends[WARM - 1]
        empty, read = sum(self.empty[WARM:]), sum(self.read[WARM:])
        return {
            "rate": (read - empty) / wall,
            "padding": 100 * empty / read,
            "host": 100 * sum(self.host[WARM:]) / wall,
        }


def synchronize() -> None:
    """Wait until the GPU has done all that it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


# -- who is measured -----------------------------------------------------------------------------------------


def ours(job: TimedTraining) -> Watch:
    """`train.fit` as the phases call it."""
    net = copy.deepcopy(job.net, {id(job.net.tokenizer): job.net.tokenizer})
    batches = mixture.Mixture({job.name: job.features}, job.batch, job.steps, SEED)
    with Watch(net.encoder, job.steps) as seen:
        points = train.fit(net, batches, job.s.lr, SEED, job.folder / "ours", job.s.save_every)
    seen.losses = [p["loss"] for p in points]
    return seen


def trainer(job: TimedTraining, sampling: str = "random") -> Watch:
    """Hugging Face's Trainer with its own model of the task, and what it does when nothing else is said."""
    made = counterpart(job)
    pieces = transformers.PreTrainedTokenizerFast(tokenizer_object=job.net.tokenizer, pad_token="<pad>")
    collators = {"tag": "DataCollatorForTokenClassification", "choose": "DataCollatorForMultipleChoice"}
    collator = collators.get(TASKS[job.name].kind)
    options = transformers.TrainingArguments(
        str(job.folder / "trainer"), per_device_train_batch_size=job.batch, max_steps=job.steps,
        learning_rate=job.s.lr,
        weight_decay=schedule.DECAY, adam_epsilon=schedule.EPSILON, max_grad_norm=schedule.CLIP,
        warmup_steps=schedule.WARM_UP,
        bf16=job.net.bf16, train_sampling_strategy=sampling, dataloader_drop_last=True, seed=SEED,
        save_strategy="no",
        logging_steps=job.logging, report_to="none", disable_tqdm=True, use_cpu=not torch.cuda.is_available(),
    )  # fmt: skip
    trainer = (Sorted if sampling == "group_by_length" else transformers.Trainer)(
        made, options, train_dataset=trainer_table(job), processing_class=pieces,
        data_collator=getattr(transformers, collator)(pieces) if collator else None,
    )  # fmt: skip
    trainer.remove_callback(transformers.PrinterCallback)
    with Watch(made.roberta, job.steps) as seen:
        trainer.train()
    seen.losses = [x["loss"] for x in trainer.state.log_history if "loss" in x]
    return seen


class Sorted(transformers.Trainer):
    """Groups by length as it does in a long training: Trainer sorts 50 batches together, but at most a
    quarter of all.

    The groups come in random order, since the longest ones would all come before the clock starts.
    """

    def _get_train_sampler(self, train_dataset=None) -> list[int]:
        batch = self.args.train_batch_size
        generator = torch.Generator().manual_seed(SEED)
        order = get_length_grouped_indices(self.train_dataset["length"], batch, POOL, generator)
        cut = [order[i : i + batch] for i in range(0, len(order), batch)]
        return [i for k in torch.randperm(len(cut), generator=generator).tolist() for i in cut[k]]


CONTENDERS = {"ours": ours, PLAIN: trainer, GROUPED: partial(trainer, sampling="group_by_length")}


def counterpart(job: TimedTraining) -> torch.nn.Module:
    """transformers' model of the task's kind with our weights, on padded batches and torch's SDPA."""
    net, head = job.net, job.net.heads[job.name]
    names = {
        "classify": (
            "XLMRobertaForSequenceClassification",
            {"dense": "classifier.dense", "out": "classifier.out_proj"},
        ),
        "choose": ("XLMRobertaForMultipleChoice", {"dense": "roberta.pooler.dense", "out": "classifier"}),
        "span": ("XLMRobertaForQuestionAnswering", {"out": "qa_outputs"}),
        "tag": ("XLMRobertaForTokenClassification", {"out": "classifier"}),
    }
    kind, places = names[TASKS[job.name].kind]
    config = copy.deepcopy(net.encoder.config)
    config.num_labels = 2 if TASKS[job.name].kind == "span" else max(2, len(net.labels[job.name]))
    config._attn_implementation = "sdpa"
    made = getattr(theirs, kind)(config)
    weights = {f"roberta.{k}": v for k, v in net.encoder.state_dict().items()}
    for ours_, place in places.items():
        weights |= {f"{place}.{k}": v for k, v in getattr(head, ours_).state_dict().items()}
    made.load_state_dict(weights)
    return made


def trainer_table(job: TimedTraining):
    """The features as example scripts keep them: a table of `datasets` with a column of lengths; a plain one
    without it.
    """
    kind, table = TASKS[job.name].kind, []
    for f in job.features:
        ids, gold = [x.tolist() for x in sequences(f)], f["gold"].tolist()
        row = {"input_ids": ids, "attention_mask": [[1] * len(x) for x in ids]}
        if kind != "choose":
            row = {k: v[0] for k, v in row.items()}
        names = {"span": ("start_positions", "end_positions")}.get(kind, ("label",))
        row |= {"labels": gold} if kind == "tag" else dict(zip(names, gold, strict=True))
        table.append(row | {"length": int(f["length"])})
    try:
        import datasets
    except ImportError:
        return Columns(table)  # read faster than theirs: it does not slow the baseline down
    return datasets.Dataset.from_list(table)


class Columns(list):
    """Rows, and by a name a column of them, as Trainer asks for them."""

    def __getitem__(self, key):
        return [row[key] for row in self] if isinstance(key, str) else super().__getitem__(key)


# -- memory, ceilings, profile -------------------------------------------------------------------------------


def peak(run, job: TimedTraining) -> tuple[Watch, float]:
    """(what a training did, MiB it needed at most above what was there before; on CUDA all that was
    allocated).
    """
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return run(job), torch.cuda.max_memory_allocated() / 2**20
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    before = resident("VmRSS")
    seen = run(job)
    return seen, resident("VmHWM") - before


def resident(what: str) -> float:
    """MiB of this process, as Linux tells; nan elsewhere."""
    with suppress(OSError):
        return int(re.search(rf"{what}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
    return float("nan")


def ceilings(bf16: bool) -> tuple[float, float]:
    """(FLOP/s of the fastest square matmul, bytes/s of a copy) of this device, in the precision of the
    training.
    """
    cuda = torch.cuda.is_available()
    kind = {"device": "cuda" if cuda else "cpu", "dtype": torch.bfloat16 if bf16 else torch.float32}
    best = 0.0
    for n in (4096, 8192, 16384) if cuda else (512, 1024, 2048):
        a, b = torch.randn(n, n, **kind), torch.randn(n, n, **kind)
        best = max(best, 2 * n**3 / timed(lambda a=a, b=b: a @ b))
    a = torch.empty(2**30 if cuda else 2**26, device=kind["device"])
    b = torch.empty_like(a)
    return best, 2 * a.nbytes / timed(lambda: b.copy_(a))


def timed(work, times: int = 5) -> float:
    """Median seconds."""
    seconds = []
    for _ in range(times + 1):
        synchronize()
        begin = time.perf_counter()
        work()
        synchronize()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds[1:])


def time_shares(job: TimedTraining) -> dict[str, float]:
    """Percent of the time of three steps of ours by what it was spent on: kernels on CUDA, operations on the
    CPU.

    Where attention has no kernel of its own (a CPU with dropout), it counts as matmul and other.
    """
    cuda, spent, steps = torch.cuda.is_available(), defaultdict(float), itertools.count(1)
    kinds = torch.profiler.ProfilerActivity
    seen = torch.profiler.profile(activities=[kinds.CPU, *([kinds.CUDA] if cuda else [])])

    def turn(*_) -> None:
        step = next(steps)
        if step in (WARM, WARM + 3):
            synchronize()
            (seen.start if step == WARM else seen.stop)()

    hook = register_optimizer_step_post_hook(turn)
    ours(replace(job, steps=WARM + 3))
    hook.remove()
    for event in seen.key_averages():
        if cuda and event.device_type.name != "CUDA":
            continue
        part = next((p for p, words in PROFILE_PARTS.items() if re.search(words, event.key, re.I)), "other")
        spent[part] += event.self_device_time_total if cuda else event.self_cpu_time_total
    return {part: 100 * spent[part] / sum(spent.values()) for part in (*PROFILE_PARTS, "other")}


def flops(config: XLMRobertaConfig, lengths: np.ndarray) -> float:
    """FLOP of training on sequences of these lengths, a token: six a weight, and attention. (The embeddings
    multiply nothing.)

    Shapes: lengths (N,).
    """
    weights = config.num_hidden_layers * (
        4 * config.hidden_size**2 + 2 * config.hidden_size * config.intermediate_size
    )
    return 6 * weights + 12 * config.num_hidden_layers * config.hidden_size * float(
        (lengths**2).sum() / lengths.sum()
    )


# -- what is trained on --------------------------------------------------------------------------------------


def shaped(s: Scale) -> Model:
    """The scale's model with random weights, its shape known without the hub."""
    if s.encoder.origin != HUB:
        return origins.start(s, RANDOM, SEED)
    layers, hidden = s.encoder.layers, s.encoder.hidden
    config = XLMRobertaConfig(
        vocab_size=250_002, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=hidden // 64,
        intermediate_size=4 * hidden, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5,
        pad_token_id=1, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip
    torch.manual_seed(SEED)
    return Model(XLMRobertaModel(config, add_pooling_layer=False), origins.tokenizer(scale_of("micro")), s)


def drawn_features(net: Model, name: str, s: Scale, count: int) -> Encoded:
    """Features with lengths like the real ones (log-normal) and pieces by Zipf's law; labels at random."""
    draw, (mean_, weighted) = np.random.default_rng(SEED), DRAWN[name]
    spread = np.log(weighted / mean_)  # of the logarithm: E[s²]/E[s]² of a log-normal is its exponential
    longest = s.longest(TASKS[name].kind)
    lengths = (
        np.exp(draw.normal(np.log(mean_) - spread / 2, spread**0.5, count))
        .round()
        .astype(int)
        .clip(8, longest)
    )
    net.add_head(TASKS[name], labels(TASKS[name], []))
    most = min(PIECES, net.encoder.config.vocab_size - 5)
    inner = [(3 + most ** draw.random(n - 2)).astype(int).tolist() for n in lengths]
    golds = [(n // 2, n // 2 + 2) if TASKS[name].kind == "span" else (draw.integers(3),) for n in lengths]
    return Encoded.of([{"ids": [0, *ids, 2], "gold": gold} for ids, gold in zip(inner, golds, strict=True)])


def timed_trainings(s: Scale, steps: int, random: bool, folder: Path) -> list[TimedTraining]:
    """A job a task, each with rows for one epoch, so that everybody reads the same ones."""
    found = []
    for name in DRAWN if random else MEASURED_TASKS:
        net = (shaped(s) if random else origins.start(s)).cpu()  # each training takes a copy to the device
        batch = s.batch or TASKS[name].batch
        count = batch * max(steps, POOL)
        features = (
            drawn_features(net, name, s, count)
            if random
            else training_set(net, (TASKS[name],), s, count, SEED)[0][name]
        )
        found.append(TimedTraining(net, name, sample(features, batch, steps), batch, steps, s, folder))
    return found


def sample(features: Encoded, batch: int, steps: int) -> Encoded:
    """Evenly spaced batches from the rows sorted by length: few steps read all lengths, and find neighbours
    as many steps do.
    """
    some = range(min(len(features), batch * max(steps, POOL)))
    order = sorted(some, key=lambda i: features[i]["length"])
    cut = [order[i : i + batch] for i in range(0, len(order), batch) if i + batch <= len(order)] or [order]
    chosen = sorted({int((k + 0.5) * len(cut) / steps) for k in range(steps)})
    return Encoded.of([features[i] for k in chosen for i in cut[k]])


# -- the measurement -----------------------------------------------------------------------------------------


def measure(
    scale: str | Scale = SCALE, steps: int = 16, rounds: int = 3, long: int = 0, random: bool = False
) -> list[dict]:
    """Interleaved rounds of whole trainings; medians over rounds. `long`: steps of one training whose host
    work is added up.

    Raises: Bad for data or weights that are not there.
    """
    s, records, rates = scale_of(scale), [], defaultdict(list)
    if steps <= WARM:
        raise Bad(f"--steps {steps}; allowed: {WARM + 1} or more, the first {WARM} are not timed")
    transformers.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as folder:
        made = timed_trainings(s, steps, random, Path(folder))
        roof, bandwidth = ceilings(made[0].net.bf16)
        records += [
            record("matmul ceiling", "GFLOP/s", roof / 1e9),
            record("memory bandwidth", "GB/s", bandwidth / 1e9),
        ]
        for job in made:
            seen = side_by_side(job, rounds)
            records += task_records(job, seen, roof)
            for name in CONTENDERS:
                rates[name].append(seen[name]["rate"])
        whole = {name: geometric_mean(found) for name, found in rates.items()}
        records += [
            record("all tasks: real tokens", "tokens/s, geometric mean", whole["ours"], x, whole[x])
            for x in (PLAIN, GROUPED)
        ]
        for job in made[:2]:
            records += [
                record(f"{job.name}: time, {part}", "%", share) for part, share in time_shares(job).items()
            ]
        if long:
            records += host(made[1], long)
    return records


def side_by_side(job: TimedTraining, rounds: int) -> dict[str, dict[str, float]]:
    """Medians over rounds of what each does; who begins changes from round to round."""
    seen = {name: defaultdict(list) for name in CONTENDERS}
    order = list(CONTENDERS)
    turns = [name for i in range(rounds) for name in order[i % 3 :] + order[: i % 3]]
    for name in tqdm(turns, desc=job.name, unit="training", leave=False):
        watch, memory = peak(CONTENDERS[name], job)
        for key, value in (watch.told() | {"memory": memory}).items():
            seen[name][key].append(value)
    return {
        name: {key: statistics.median(values) for key, values in found.items()}
        for name, found in seen.items()
    }


def task_records(job: TimedTraining, seen: dict, roof: float) -> list[dict]:
    """The records of one task."""
    net = job.net
    lengths = job.features.lengths.astype(float)
    cost = flops(net.encoder.config, lengths)
    held = len(np.unique(job.features.ids))  # rows of the embedding table that any method must update
    table = net.encoder.get_input_embeddings().weight
    moved = BYTES * (sum(p.numel() for p in net.parameters()) - table.numel() + held * table.shape[1])
    shown = {
        "real tokens": ("tokens/s", lambda x: x["rate"]),
        "padding": ("% of positions", lambda x: x["padding"]),
        "peak memory": ("MiB", lambda x: x["memory"]),
        "MFU": ("%", lambda x: 100 * x["rate"] * cost / roof),
        "achieved": ("GFLOP/s", lambda x: x["rate"] * cost / 1e9),
        "host work": ("% of the time", lambda x: x["host"]),
    }
    records = [
        record(f"{job.name}: {what}", unit, of(seen["ours"]), name, of(seen[name]))
        for what, (unit, of) in shown.items()
        for name in (PLAIN, GROUPED)
        if of(seen["ours"]) == of(seen["ours"])  # not a number: a system that does not tell its memory
    ]
    a_row = lengths.sum() / len(job.features)
    records.append(record(f"{job.name}: tokens a row", "tokens", float(a_row)))
    return [*records, record(f"{job.name}: intensity", "FLOP/byte", float(cost * a_row * job.batch / moved))]


def host(job: TimedTraining, steps: int) -> list[dict]:
    """Host work (data, logging, checkpoints, beginning and end) of one long training of ours, with a
    checkpoint halfway.
    """
    seen = ours(replace(job, steps=steps, s=replace(job.s, save_every=-(-steps // 2))))
    outside = sum(seen.host) + (seen.begin + seen.seconds - seen.ends[-1])
    name = f"{job.name}: host work of {steps} steps"
    return [
        record(name, "s", outside),
        record(f"{name}, share", "% of the time", 100 * outside / seen.seconds),
    ]
