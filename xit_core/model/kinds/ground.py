"""What a caption says, learned from what its scene holds: contrastive training of texts against scenes.

A scene is a set of attributes, as far as the training rows have them. Among the captions and scenes of a
batch, each must find its own (InfoNCE in both directions, as in Radford et al. 2021, ICML, section 2.3).
"""

import math

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from ...design.readers import SCENES
from ...design.tasks import Task
from .kind import IGNORED, Answers, Kind, pieces

SCALE = 1 / 0.07  # what the cosine is multiplied by before training
MOST_SCALE = 100.0


def encode(
    examples: list[dict], tokenizer: Tokenizer, max_len: int, names: tuple[str, ...] = (), step: int = 0
) -> list[dict]:
    """One feature per caption; "gold" says of each attribute of `names` whether the scene has it."""
    found = pieces([e["a"] for e in examples], tokenizer, max_len)
    scenes = ({*e["scene"]} for e in examples)
    gold = ([1 if name in scene else IGNORED for name in names] for scene in scenes)
    return [f | {"gold": g} for f, g in zip(found, gold, strict=True)]


def gold(feature: dict) -> list[int]:
    """For each attribute 1 where the scene has it."""
    return feature["gold"]


class Head(nn.Module):
    """The vector of a text and the vector of a scene, each of length 1; the text's times a learned scale."""

    def __init__(self, hidden: int, labels: int, pooling: str = "first"):
        super().__init__()
        self.text, self.scene = nn.Linear(hidden, hidden), nn.Linear(labels, hidden)
        self.scale = nn.Parameter(torch.tensor(math.log(SCALE)))

    def forward(self, states: Tensor, batch: dict) -> Tensor:
        """(T, H) of B sequences -> (B, 2 H): each text beside its own scene."""
        present = (batch["gold"].view(batch["rows"], -1) == 1).float()
        text, scene = self.text(batch["sequences"].means(states)), self.scene(present)
        scale = self.scale.exp().clamp(max=MOST_SCALE)
        text = functional.normalize(text.float(), dim=1) * scale
        return torch.cat([text, functional.normalize(scene.float(), dim=1)], 1)


def loss(logits: Tensor, batch: dict) -> Tensor:
    """The mean of both directions' cross entropy, times the attributes of the batch, as which it is counted.

    A scene that equals a caption's own is not held against it: a translation has the same.
    Shapes: logits (B, 2 H) -> scalar.
    """
    text, scene = logits.float().chunk(2, 1)
    present, own = batch["gold"].view(len(text), -1), torch.arange(len(text), device=text.device)
    equal = (present[:, None] == present).all(2) & (own[:, None] != own)
    alike = (text @ scene.t()).masked_fill(equal, -torch.inf)
    both = functional.cross_entropy(alike, own) + functional.cross_entropy(alike.t(), own)
    return both / 2 * (batch["gold"] != IGNORED).sum()


def answers(
    task: Task, logits: list[Tensor], features: list[dict], examples: list[dict], names: tuple[str, ...] = ()
) -> Answers:
    """Which of SCENES scenes each caption is most like: its own stands at its label, among those of the next
    rows.

    Shapes: logits (2 H,) per example.
    """
    text, scene = torch.stack(logits).chunk(2, 1)
    chosen = []
    for i, example in enumerate(examples):
        others = [(i + k) % len(examples) for k in range(1, SCENES)]
        candidates = [*others[: example["label"]], i, *others[example["label"] :]]
        chosen.append(int((scene[candidates] @ text[i]).argmax()))
    return chosen, [{}] * len(examples)


KIND = Kind(encode, gold, Head, loss, answers)
