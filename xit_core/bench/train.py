"""Our training loop compared with Hugging Face's Trainer.

Both have the same weights, rows, sequences per step, precision and optimiser settings. Everything is measured
from outside: a hook on the encoder sees every forward pass, and a hook on torch's optimisers sees every step.
"""

import copy
import ctypes
import itertools
import re
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch.optim.optimizer import register_optimizer_step_post_hook
from tqdm import tqdm
from transformers.models.xlm_roberta import XLMRobertaConfig, XLMRobertaModel
from transformers.models.xlm_roberta import modeling_xlm_roberta as theirs
from transformers.trainer_pt_utils import get_length_grouped_indices

from ..design.encoders import HUB, RANDOM
from ..design.methods import ADAPTER, FULL, LORA, METHODS
from ..design.scales import Scale, scale_of
from ..design.tasks import TASKS
from ..machine.errors import Bad
from ..model import methods, mixture, origins, schedule, train
from ..model.encoder import Model
from ..model.features import Encoded, sequences
from ..model.kinds import labels
from ..phases import training_set
from . import record

MEASURED_TASKS = ("squad1", "mnli", "udpos", "csqa")
# mean tokens per sequence and E[s²]/E[s] of the real rows, which `--random` imitates
DRAWN = {"squad1": (178, 190), "mnli": (42, 52)}
# pieces that `--random` draws from by Zipf's law, as many as English training rows contain
PIECES = 40_000
SCALE = "small"  # the default scale to measure
# steps before the clock starts; the median over rounds excludes costs of the first round only
WARM = 1
POOL = 50  # batches that Trainer sorts by length together, in a long enough training
SEED = 1
PLAIN, GROUPED = "Trainer", "Trainer, grouped by length"
# least number of bytes that a step moves per parameter: AdamW reads and writes p, m, v; the gradient is
# written, clipped and read
BYTES = 36
PROFILE_PARTS = {  # parts of a step, by kernel or operation name; the first match counts
    "attention": r"flash|fmha|scaled_dot|attention|varlen",
    "optimiser": r"adam|multi_tensor|foreach|clip_grad|linalg_vector_norm",
    "matmul": r"gemm|nvjet|cutlass|xmma|::(mm|addmm|bmm|baddbmm|linear|mkldnn_linear)\b",
}


@dataclass
class TimedTraining:
    """One training to be timed.

    It takes `steps` steps over `features` of the task `name`, from the weights of `net`.
    """

    net: Model
    name: str
    features: Encoded
    batch: int
    steps: int
    s: Scale
    folder: Path
    logging: int = 500  # Trainer's default


@dataclass
class Stopwatch:
    """A record of a training: seconds and tokens by step, losses. Use it with `with` around the training."""

    encoder: XLMRobertaModel
    steps: int
    ends: list[float] = field(default_factory=list)  # when each optimiser step ended
    host: list[float] = field(default_factory=list)  # seconds from there to the next forward pass, by step
    read: list[int] = field(default_factory=list)  # positions passed to the encoder, by step
    empty: list = field(default_factory=list)  # padding positions, by step
    losses: list[float] = field(default_factory=list)
    within: bool = False

    def __enter__(self) -> "Stopwatch":
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
        """The first forward pass after the optimiser's last step starts a new step."""
        if not self.within:
            self.host.append(time.perf_counter() - (self.ends or [self.begin])[-1])
            self.read.append(0)
            self.empty.append(0)
        self.within = True

    def masked(self, _, args: tuple, kwargs: dict) -> None:
        """Count a padded batch's padding, before it reaches the embeddings. Nothing waits for the device."""
        self.step()
        self.empty[-1] = self.empty[-1] + (kwargs["attention_mask"] == 0).sum()

    def enter(self, _, args: tuple, kwargs: dict) -> None:
        """Count the positions that a forward pass reads; the time since the last step was host work."""
        self.step()
        self.read[-1] += kwargs["input_ids"].numel()

    def leave(self, *_) -> None:
        """A step ends."""
        self.within = False
        if len(self.ends) + 1 in (WARM, self.steps):
            synchronize()
        self.ends.append(time.perf_counter())

    def told(self) -> dict[str, float]:
        """Rates after the first WARM steps: real tokens per second, padding and host work in percent."""
        wall = self.ends[-1] - self.ends[WARM - 1]
        empty, read = sum(self.empty[WARM:]), sum(self.read[WARM:])
        return {
            "rate": (read - empty) / wall,
            "padding": 100 * empty / read,
            "host": 100 * sum(self.host[WARM:]) / wall,
        }


def synchronize() -> None:
    """Wait until the GPU has done all its work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


# -- the trainings compared ----------------------------------------------------------------------------------


def ours(job: TimedTraining, method: str = FULL) -> Stopwatch:
    """`train.fit`, called as the phases call it, with what a method trains."""
    net = copy.deepcopy(job.net, {id(job.net.tokenizer): job.net.tokenizer})
    methods.of(METHODS[method]).add(net)
    batches = mixture.Mixture({job.name: job.features}, job.batch, job.steps, SEED)
    with Stopwatch(net.encoder, job.steps) as watch:
        points = train.fit(net, batches, job.s.lr, SEED, job.folder / "ours", job.s.save_every)
    watch.losses = [p["loss"] for p in points]
    return watch


def trainer(job: TimedTraining, sampling: str = "random") -> Stopwatch:
    """Hugging Face's Trainer with its own model of the task and its default behaviour."""
    model = counterpart(job)
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
    hf_trainer = (Sorted if sampling == "group_by_length" else transformers.Trainer)(
        model, options, train_dataset=trainer_table(job), processing_class=pieces,
        data_collator=getattr(transformers, collator)(pieces) if collator else None,
    )  # fmt: skip
    hf_trainer.remove_callback(transformers.PrinterCallback)
    with Stopwatch(model.roberta, job.steps) as watch:
        hf_trainer.train()
    watch.losses = [x["loss"] for x in hf_trainer.state.log_history if "loss" in x]
    return watch


class Sorted(transformers.Trainer):
    """Groups by length as Trainer does in a long training.

    Trainer sorts 50 batches together, but at most a quarter of all. The groups come in random order here:
    otherwise the longest ones would all come before the clock starts.
    """

    def _get_train_sampler(self, train_dataset=None) -> list[int]:
        batch = self.args.train_batch_size
        generator = torch.Generator().manual_seed(SEED)
        order = get_length_grouped_indices(self.train_dataset["length"], batch, POOL, generator)
        batches = [order[i : i + batch] for i in range(0, len(order), batch)]
        return [i for k in torch.randperm(len(batches), generator=generator).tolist() for i in batches[k]]


CONTENDERS = {"ours": ours, PLAIN: trainer, GROUPED: partial(trainer, sampling="group_by_length")}


def counterpart(job: TimedTraining) -> torch.nn.Module:
    """transformers' model for the task's kind with our weights, on padded batches and with torch's SDPA."""
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
    class_name, places = names[TASKS[job.name].kind]
    config = copy.deepcopy(net.encoder.config)
    config.num_labels = 2 if TASKS[job.name].kind == "span" else max(2, len(net.labels[job.name]))
    config._attn_implementation = "sdpa"
    model = getattr(theirs, class_name)(config)
    weights = {f"roberta.{k}": v for k, v in net.encoder.state_dict().items()}
    for layer, place in places.items():
        weights |= {f"{place}.{k}": v for k, v in getattr(head, layer).state_dict().items()}
    model.load_state_dict(weights)
    model.get_input_embeddings().weight.requires_grad_(not net.frozen_table)
    return model


def trainer_table(job: TimedTraining):
    """The features as example scripts store them: a table of `datasets` with a column of lengths.

    Without the package `datasets` it is a plain list of rows.
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
        return Columns(table)  # faster to read than `datasets`, so it does not slow the baseline down
    return datasets.Dataset.from_list(table)


class Columns(list):
    """Rows of a table. A name as index gives a column, as Trainer expects."""

    def __getitem__(self, key):
        return [row[key] for row in self] if isinstance(key, str) else super().__getitem__(key)


# -- memory, ceilings, profile -------------------------------------------------------------------------------


def peak(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what some work gives, and its peak memory in MiB above what was in use before.

    On CUDA it is all memory that was allocated.
    """
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return work(), torch.cuda.max_memory_allocated() / 2**20
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    before = resident("VmRSS")
    found = work()
    return found, resident("VmHWM") - before


def resident(what: str) -> float:
    """Memory of this process in MiB, as Linux reports it; nan elsewhere."""
    with suppress(OSError):
        return int(re.search(rf"{what}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
    return float("nan")


def ceilings(bf16: bool) -> tuple[float, float]:
    """(FLOP/s of the fastest square matmul, bytes/s of a copy) of this device, in training precision."""
    cuda = torch.cuda.is_available()
    options = {"device": "cuda" if cuda else "cpu", "dtype": torch.bfloat16 if bf16 else torch.float32}
    best = 0.0
    for n in (4096, 8192, 16384) if cuda else (512, 1024, 2048):
        a, b = torch.randn(n, n, **options), torch.randn(n, n, **options)
        best = max(best, 2 * n**3 / timed(lambda a=a, b=b: a @ b))
    a = torch.empty(2**30 if cuda else 2**26, device=options["device"])
    b = torch.empty_like(a)
    return best, 2 * a.nbytes / timed(lambda: b.copy_(a))


def timed(work, times: int = 5) -> float:
    """Median seconds of `times` runs, after one run that is not counted."""
    seconds = []
    for _ in range(times + 1):
        synchronize()
        begin = time.perf_counter()
        work()
        synchronize()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds[1:])


def time_shares(job: TimedTraining) -> dict[str, float]:
    """Percent of the time of three steps of ours, by kind of work: kernels on CUDA, operations on the CPU.

    Where attention has no kernel of its own (a CPU with dropout), it counts as matmul and other.
    """
    cuda, spent, steps = torch.cuda.is_available(), defaultdict(float), itertools.count(1)
    activities = torch.profiler.ProfilerActivity
    profiler = torch.profiler.profile(activities=[activities.CPU, *([activities.CUDA] if cuda else [])])

    def count_step(*_) -> None:
        step = next(steps)
        if step in (WARM, WARM + 3):
            synchronize()
            (profiler.start if step == WARM else profiler.stop)()

    hook = register_optimizer_step_post_hook(count_step)
    ours(replace(job, steps=WARM + 3))
    hook.remove()
    for event in profiler.key_averages():
        if cuda and event.device_type.name != "CUDA":
            continue
        part = next((p for p, words in PROFILE_PARTS.items() if re.search(words, event.key, re.I)), "other")
        spent[part] += event.self_device_time_total if cuda else event.self_cpu_time_total
    return {part: 100 * spent[part] / sum(spent.values()) for part in (*PROFILE_PARTS, "other")}


def flops(config: XLMRobertaConfig, lengths: np.ndarray) -> float:
    """FLOP per token of training on sequences of these lengths: six per weight, and attention.

    The embeddings multiply nothing, so they are not counted.
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
    """The scale's model with random weights, in a shape that needs no hub."""
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
    """Features with log-normal lengths like the real ones, pieces by Zipf's law, and random labels."""
    draw, (mean_, weighted) = np.random.default_rng(SEED), DRAWN[name]
    # variance of the logarithm: E[s²]/E[s]² of a log-normal is its exponential
    spread = np.log(weighted / mean_)
    longest = s.longest(TASKS[name].kind)
    lengths = (
        np.exp(draw.normal(np.log(mean_) - spread / 2, spread**0.5, count))
        .round()
        .astype(int)
        .clip(8, longest)
    )
    net.add_head(TASKS[name], labels(TASKS[name], []))
    vocabulary = min(PIECES, net.encoder.config.vocab_size - 5)
    inner = [(3 + vocabulary ** draw.random(n - 2)).astype(int).tolist() for n in lengths]
    golds = [(n // 2, n // 2 + 2) if TASKS[name].kind == "span" else (draw.integers(3),) for n in lengths]
    return Encoded.of([{"ids": [0, *ids, 2], "gold": gold} for ids, gold in zip(inner, golds, strict=True)])


def timed_trainings(s: Scale, steps: int, random: bool, folder: Path) -> list[TimedTraining]:
    """One job per task, each with rows for one epoch, so that all contenders read the same ones."""
    jobs = []
    for name in DRAWN if random else MEASURED_TASKS:
        net = (shaped(s) if random else origins.start(s)).cpu()  # each training takes a copy to the device
        batch = s.batch_of(TASKS[name].kind) or TASKS[name].batch
        count = batch * max(steps, POOL)
        features = (
            drawn_features(net, name, s, count)
            if random
            else training_set(net, (TASKS[name],), s, count, SEED)[0][name]
        )
        jobs.append(TimedTraining(net, name, sample(features, batch, steps), batch, steps, s, folder))
    return jobs


def sample(features: Encoded, batch: int, steps: int) -> Encoded:
    """Evenly spaced batches from the rows sorted by length.

    So a few steps read all lengths, and neighbours in a batch are as similar as over many steps.
    """
    rows = range(min(len(features), batch * max(steps, POOL)))
    order = sorted(rows, key=lambda i: features[i]["length"])
    parts = [order[i : i + batch] for i in range(0, len(order), batch) if i + batch <= len(order)] or [order]
    chosen = sorted({int((k + 0.5) * len(parts) / steps) for k in range(steps)})
    return Encoded.of([features[i] for k in chosen for i in parts[k]])


# -- the measurement -----------------------------------------------------------------------------------------


def measure(
    scale: str | Scale = SCALE, steps: int = 16, rounds: int = 3, long: int = 0, random: bool = False
) -> list[dict]:
    """Run whole trainings in interleaved rounds and return medians over rounds.

    `long`: steps of one training whose host work is added up.
    Raises: Bad for data or weights that are missing.
    """
    if steps <= WARM:
        raise Bad(f"--steps {steps}; allowed: {WARM + 1} or more, the first {WARM} are not timed")
    transformers.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as folder:
        jobs = timed_trainings(scale_of(scale), steps, random, Path(folder))
        peak_flops, bandwidth = ceilings(jobs[0].net.bf16)
        medians = {job.name: side_by_side(job, rounds, CONTENDERS) for job in jobs}
        return [
            record("matmul ceiling", "GFLOP/s", peak_flops / 1e9),
            record("memory bandwidth", "GB/s", bandwidth / 1e9),
            *(row for job in jobs for row in task_records(job, medians[job.name], peak_flops)),
            *over_all_tasks([*medians.values()]),
            *(
                record(f"{job.name}: time, {part}", "%", share)
                for job in jobs[:2]
                for part, share in time_shares(job).items()
            ),
            *method_records(jobs[1], rounds),
            *(host(jobs[1], long) if long else []),
        ]


def over_all_tasks(medians: list[dict]) -> list[dict]:
    """The mean rate over all tasks, beside each baseline. `medians`: of each task, as of `side_by_side`."""
    means = {name: statistics.geometric_mean([told[name]["rate"] for told in medians]) for name in CONTENDERS}
    what, unit = "all tasks: real tokens", "tokens/s, geometric mean"
    return [record(what, unit, means["ours"], baseline, means[baseline]) for baseline in (PLAIN, GROUPED)]


def side_by_side(
    job: TimedTraining, rounds: int, contenders: dict[str, Callable[[TimedTraining], Stopwatch]]
) -> dict[str, dict[str, float]]:
    """Medians over rounds for each contender. Who begins changes from round to round."""
    measured = {name: defaultdict(list) for name in contenders}
    order, n = list(contenders), len(contenders)
    turns = [name for i in range(rounds) for name in order[i % n :] + order[: i % n]]
    for name in tqdm(turns, desc=job.name, unit="training", leave=False):
        watch, memory = peak(partial(contenders[name], job))
        for key, value in (watch.told() | {"memory": memory}).items():
            measured[name][key].append(value)
    return {
        name: {key: statistics.median(values) for key, values in series.items()}
        for name, series in measured.items()
    }


def method_records(job: TimedTraining, rounds: int) -> list[dict]:
    """How fast methods train that leave the encoder's own weights, beside full training of the same rows."""
    contenders = {method: partial(ours, method=method) for method in (FULL, ADAPTER, LORA)}
    rates = {method: told["rate"] for method, told in side_by_side(job, rounds, contenders).items()}
    usual = rates.pop(FULL)
    return [
        record(f"{job.name}: real tokens, {method}", "tokens/s", rate, "full training", usual)
        for method, rate in rates.items()
    ]


def task_records(job: TimedTraining, seen: dict, roof: float) -> list[dict]:
    """The records of one task, from the medians of each contender."""
    net = job.net
    lengths = job.features.lengths.astype(float)
    cost = flops(net.encoder.config, lengths)
    used_rows = len(np.unique(job.features.ids))  # embedding rows that any method must update
    table = net.encoder.get_input_embeddings().weight
    moved = BYTES * (sum(p.numel() for p in net.parameters()) - table.numel() + used_rows * table.shape[1])
    quantities = {
        "real tokens": ("tokens/s", lambda x: x["rate"]),
        "padding": ("% of positions", lambda x: x["padding"]),
        "peak memory": ("MiB", lambda x: x["memory"]),
        "MFU": ("%", lambda x: 100 * x["rate"] * cost / roof),
        "achieved": ("GFLOP/s", lambda x: x["rate"] * cost / 1e9),
        "host work": ("% of the time", lambda x: x["host"]),
    }
    records = [
        record(f"{job.name}: {what}", unit, value_of(seen["ours"]), name, value_of(seen[name]))
        for what, (unit, value_of) in quantities.items()
        for name in (PLAIN, GROUPED)
        if value_of(seen["ours"]) == value_of(seen["ours"])  # nan where the system does not report memory
    ]
    row_tokens = lengths.sum() / len(job.features)
    records.append(record(f"{job.name}: tokens a row", "tokens", float(row_tokens)))
    return [
        *records,
        record(f"{job.name}: intensity", "FLOP/byte", float(cost * row_tokens * job.batch / moved)),
    ]


def host(job: TimedTraining, steps: int) -> list[dict]:
    """Host work (data, logging, checkpoints, beginning and end) of one long training of ours.

    The training saves a checkpoint halfway.
    """
    watch = ours(replace(job, steps=steps, s=replace(job.s, save_every=-(-steps // 2))))
    host_seconds = sum(watch.host) + (watch.begin + watch.seconds - watch.ends[-1])
    name = f"{job.name}: host work of {steps} steps"
    return [
        record(name, "s", host_seconds),
        record(f"{name}, share", "% of the time", 100 * host_seconds / watch.seconds),
    ]
