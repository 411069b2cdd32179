"""One explicit training loop. A resumed run gives bit-identical weights."""

import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from torch import Tensor

from ..machine import files
from ..machine.errors import Bad
from . import mixture, packed
from .compact import CompactEmbedding
from .encoder import Model
from .flat import Flat, flattened
from .kinds.kind import IGNORED
from .schedule import CLIP, EPSILON, rates

POINTS = 40  # points in a training curve


def fit(
    net: Model, batches: mixture.Mixture, lr: float, seed: int, folder: Path, save_every: int = 1000,
    masking: float = 0.15, beta2: float = 0.999, probe: tuple[int, Callable[[Model], dict]] | None = None,
    alone: tuple[int, float] = (0, 0.0),
) -> list[dict]:  # fmt: skip
    """Train for `batches.steps` steps and return the curve: step, loss, rate, and the probe's values.

    It uses linear warm-up and decay, AdamW without decay on biases and norms, and gradient clipping. An
    interrupted run resumes from `folder` and ends with exactly the same weights: batches and masks are
    functions of the step, and the random state for dropout is saved. `alone`: how many first steps train
    new heads alone, and at which rate.

    Several processes share every step: each reads a part of its features, and all take the same step with the
    sum of the gradients. Without dropout they come to the weights of one process but for rounding, also when
    another number of processes resumes. With dropout that holds in distribution only; an interrupted run of
    several processes ends with the same weights if as many resume it.
    Raises: Bad for a loss or a weight that is no number, a checkpoint that is damaged or cannot be written,
    and a step with fewer features than processes.
    """
    accelerator = Accelerator(mixed_precision="bf16" if net.bf16 else "no")
    torch.manual_seed(seed)
    net.to(accelerator.device)
    rate = rates(lr, batches.steps, alone)
    table = CompactEmbedding(net, batches, rate)
    # for its precision alone: `together` adds up the gradients
    ready = accelerator.prepare_model(net, evaluation_mode=True)
    flats = flattened(net, net.trained)
    optimiser = torch.optim.AdamW(
        [flat.group for flat in flats], lr=lr, betas=(0.9, beta2), eps=EPSILON, fused=True
    )
    first, losses, probed, earlier = resume(folder, net, optimiser)
    begin = time.time() - earlier
    net.train()
    for step in range(first, batches.steps):
        if probe and step and step % max(1, batches.steps // probe[0]) == 0 and step not in probed:
            probed[step] = seen_at(step, net, table, probe[1])
        name, features = batches.at(step)
        part, count = share(name, features, net, (seed, step), masking, accelerator)
        draw_apart((seed, step), accelerator)
        loss = backward(ready, name, part, count, table.lookup, accelerator)
        owners = (name,) if step < alone[0] else ("", name)
        losses.append(together(loss, flats, owners, accelerator))
        move(optimiser, flats, owners, rate[step])
        if (step + 1) % save_every == 0 and step + 1 < batches.steps:
            refuse_divergence(losses, flats, lr)
            save_state(folder, net, optimiser, losses, probed, time.time() - begin)
    refuse_divergence(losses, flats, lr)
    for flat in flats:
        flat.release()
    table.restore(batches.steps)
    net.eval()
    forget_state(folder)
    return curve(losses, rate, probed)


def seen_at(step: int, net: Model, table: CompactEmbedding, look: Callable[[Model], dict]) -> dict:
    """What a probe sees after so many steps, of the model with its whole table."""
    table.restore(step)
    found = look(net)
    table.compact()
    net.train()
    return found


def refuse_divergence(losses: list[Tensor], flats: list[Flat], lr: float) -> None:
    """Check that losses and weights so far are numbers, before weights are kept that no longer are.

    Shapes: losses are scalars. Raises: Bad.
    """
    wrong = torch.nonzero(~torch.isfinite(torch.stack(losses))) if losses else ()
    broken = not all(torch.isfinite(flat.whole).all() for flat in flats)
    if len(wrong) or broken:
        what = f"the loss is {losses[int(wrong[0])].item()}" if len(wrong) else "a weight is no number"
        step = int(wrong[0]) + 1 if len(wrong) else len(losses)
        raise Bad(
            f"{what} at step {step}, at a learning rate of {lr:g}; allowed: a finite number; lower the "
            "scale's rate, or look for broken rows or weights"
        )


def share(
    name: str, features: list[dict], net: Model, at: tuple[int, int], masking: float, accelerator: Accelerator
) -> tuple[list[dict], float]:
    """This process's part of a step, and the divisor for the sum of its losses.

    The divisor is of the whole step, so the processes' losses and gradients add up to the step's mean. `at`:
    seed and step.
    Raises: Bad for a step with fewer features than processes, one of which would have none.
    """
    if len(features) < accelerator.num_processes:
        got = f"a step of {name} has {len(features)} features for {accelerator.num_processes} processes"
        raise Bad(f"{got}; allowed: at least one for each; start fewer processes, or train on more rows")
    features = net.kinds[name].hide(features, masking, net.vocabulary, np.random.default_rng(at))
    gold = np.concatenate([f["gold"] for f in features])
    count = float(max(1, np.count_nonzero(gold != IGNORED)))
    return features[accelerator.process_index :: accelerator.num_processes], count


def draw_apart(at: tuple[int, int], accelerator: Accelerator) -> None:
    """Let the dropout of each of several processes be a function of the step and the process.

    One process goes on with its own random state, which checkpoints have. `at`: seed and step.
    """
    if accelerator.num_processes > 1:
        draw = np.random.default_rng((*at, accelerator.process_index))
        torch.manual_seed(int(draw.integers(2**63)))


def backward(
    net: Model, name: str, features: list[dict], count: float, lookup: np.ndarray | None,
    accelerator: Accelerator,
) -> Tensor:  # fmt: skip
    """Compute this process's part of a step's gradient, in parts within the token budget; returns its part of
    the loss, a scalar. `count`: the divisor for the sum of losses.
    """
    kind, losses = net.kinds[name], []
    for part in mixture.cut(features, mixture.BUDGET.get(accelerator.device.type, mixture.BUDGET["cpu"])):
        batch = packed.pack(part, accelerator.device, lookup)
        with net.autocast():
            loss = kind.loss(net(name, batch), batch) / count
            accelerator.backward(loss)
        losses.append(loss.detach())
    return torch.stack(losses).sum()


def together(loss: Tensor, flats: list[Flat], owners: tuple[str, ...], accelerator: Accelerator) -> Tensor:
    """Add up the processes' losses, and their gradients of these owners in place; returns the sum.

    The gradients lie in a few tensors, so this takes a few operations a step, and a head that a task does not
    use needs none. Shapes: losses are scalars.
    """
    if accelerator.num_processes > 1:
        for x in (loss, *(flat.gradient for flat in flats if flat.owner in owners)):
            torch.distributed.all_reduce(x)
    return loss


def move(optimiser: torch.optim.Optimizer, flats: list[Flat], owners: tuple[str, ...], rate: float) -> None:
    """One optimiser step on the parameters of these owners, and gradients of zero after it."""
    for flat in flats:
        flat.use(flat.owner in owners)
    torch.nn.utils.clip_grad_norm_([flat.whole for flat in flats], CLIP)
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()
    for flat in flats:
        flat.clear()


def save_state(
    folder: Path, net: Model, optimiser, losses: list[Tensor], probed: dict, seconds: float
) -> None:
    """Save everything that an exact resume needs, in one atomic move.

    One of several processes saves it. Shapes: losses are scalars.
    """
    if not PartialState().is_main_process:
        return
    state = {
        "net": learned_state(net),
        "optimiser": optimiser.state_dict(),
        "probed": probed,
        "seconds": seconds,
        "losses": torch.stack(losses).cpu(),
        "random": torch.get_rng_state(),
        "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_available() else [],
    }
    files.write_whole(folder / "resume.pt", lambda part: torch.save(state, part), full=RuntimeError)


def forget_state(folder: Path) -> None:
    """Delete what `save_state` saved, as the training has ended."""
    if PartialState().is_main_process:
        (folder / "resume.pt").unlink(missing_ok=True)


def learned_state(net: Model) -> dict[str, Tensor]:
    """A model's tensors by name, without those that are frozen. Shapes: tensors of any shape."""
    frozen = {name for name, weights in net.named_parameters() if not weights.requires_grad}
    return {name: x for name, x in net.state_dict().items() if name not in frozen}


def resume(folder: Path, net: Model, optimiser) -> tuple[int, list[Tensor], dict, float]:
    """Return (first step, losses so far, probes so far, seconds spent) of an interrupted or a new run.

    Raises: Bad for a damaged checkpoint.
    """
    file = folder / "resume.pt"
    if not file.exists():
        return 0, [], {}, 0.0
    advice = "delete it, the training then starts again"
    return files.read_foreign(file, lambda file: restored(file, net, optimiser), advice, "damaged checkpoint")


def restored(file: Path, net: Model, optimiser) -> tuple[int, list[Tensor], dict, float]:
    """The same from a checkpoint file that exists.

    Raises: ValueError, or what torch raises, for a damaged one.
    Shapes: losses are scalars.
    """
    with zipfile.ZipFile(file) as parts:
        if damaged := parts.testzip():  # torch does not check the checksums of its own file
            raise ValueError(f"{damaged} is not as it was written")
    # each of several processes moves it to a device of its own
    state = torch.load(file, weights_only=True, map_location="cpu")
    if state["net"].keys() != learned_state(net).keys():
        raise ValueError("it is of another model")
    net.load_state_dict(state["net"], strict=False)
    optimiser.load_state_dict(state["optimiser"])
    torch.set_rng_state(state["random"])
    if state["cuda"]:
        torch.cuda.set_rng_state(state["cuda"][0])
    losses = state["losses"].to(next(net.parameters()).device)
    return len(losses), list(losses), dict(state["probed"]), float(state.get("seconds", 0.0))


def spent(folder: Path) -> float:
    """Seconds that an interrupted training in this folder took up to its checkpoint; 0 without one."""
    file = folder / "resume.pt"
    try:
        return float(torch.load(file, weights_only=True, mmap=True).get("seconds", 0.0))
    except Exception:  # missing or damaged; `resume` reports a damaged one
        return 0.0


def curve(losses: list[Tensor], rate: list[float], probed: dict) -> list[dict]:
    """Means of the loss over about POINTS equal stretches, and the probes at their steps.

    Shapes: losses are scalars.
    """
    values = torch.stack([x.float().cpu() for x in losses]).tolist()
    width = -(-len(values) // POINTS)
    points = [
        {
            "step": min(i + width, len(values)),
            "loss": round(sum(part) / len(part), 6),
            "rate": round(rate[i], 10),
        }
        for i in range(0, len(values), width)
        for part in [values[i : i + width]]
    ]
    return sorted(
        points + [{"step": step} | scores for step, scores in probed.items()], key=lambda p: p["step"]
    )
