"""An encoder with one head per task.

The encoder goes from stage to stage; its heads are dropped.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from itertools import islice

import torch
from accelerate import PartialState
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.models.xlm_roberta import XLMRobertaConfig

from ..design.scales import Pretraining, Scale
from ..design.tasks import Task
from . import bf16, fused, packed
from .families import embedded, family, padded_states, xlm_roberta
from .kinds import kind as kind_of
from .kinds.kind import Kind, PooledHead, Vocabulary
from .mixture import READ, batches


class Model(nn.Module):
    """An `encoder`, its `tokenizer`, and one head per task.

    By task name: `heads`, `labels` (the label sets the heads were made for), and `kinds` of the tasks.
    """

    def __init__(self, encoder: PreTrainedModel, tokenizer: Tokenizer, s: Scale, lm_head: dict | None = None):
        super().__init__()
        self.encoder, self.heads, self.tokenizer = encoder, nn.ModuleDict(), tokenizer
        self.family = family(encoder.config)
        self.pooling, self.lm_head, self.frozen_table = s.pooling, lm_head, s.frozen_table
        self.labels: dict[str, tuple[str, ...]] = {}
        self.kinds: dict[str, Kind] = {}
        if self.family.packed:
            encoder.set_attn_implementation("packed")
        if s.frozen_table:
            encoder.get_input_embeddings().weight.requires_grad_(False)
        self.bf16 = torch.cuda.is_bf16_supported() if torch.cuda.is_available() else s.bf16
        # the device that training uses; a model that is only scored is just as fast there
        self.to(PartialState().device)

    def autocast(self) -> AbstractContextManager:
        """bf16 on a GPU that supports it, and on the CPU where the scale says that it pays."""
        return bf16.autocast(next(self.parameters()).device.type, self.bf16)

    @property
    def trained(self) -> list[nn.Parameter]:
        """What an optimiser gets: all parameters but those that a method, or a frozen table, leaves as they
        are.
        """
        return [p for p in self.parameters() if p.requires_grad]

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What masked LM must know of the tokenizer."""
        return Vocabulary.of(self.tokenizer)

    def add_head(self, task: Task, labels: tuple[str, ...]) -> None:
        """Add a new head for a task; masked LM continues with its pretrained head where there is one."""
        kind, config = kind_of(task), self.encoder.config
        head = kind.head(config.hidden_size, kind.outputs(config, labels), self.pooling)
        self.labels[task.name], self.kinds[task.name], self.heads[task.name] = labels, kind, head
        for layer in head.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        if kind.tied and self.lm_head:
            head.load_state_dict(self.lm_head)
        head.to(self.encoder.device)

    def states(self, batch: dict, depth: int | None = None, first: bool = False) -> Iterator[Tensor]:
        """Yield the states (T, H) of packed sequences (`packed.pack`): of the embeddings, then of each layer.

        `depth`: the last layer to compute; None for all. `first`: whether of the last one only the states
        (N, H) of the sequences' first tokens are computed.
        """
        s = batch["sequences"]
        if not self.family.packed:
            states = list(islice(padded_states(self.encoder, batch), depth and depth + 1))
            yield from [*states[:-1], states[-1][s.begins] if first else states[-1]]
            return
        layers, x = self.encoder.encoder.layer[:depth], embedded(self.encoder, batch)
        yield x
        half = torch.is_autocast_enabled(x.device.type)
        for k, layer in enumerate(layers, 1):
            wanted = s.firsts if first and k == len(layers) else s
            if fused.fits(layer, x.device):
                x = fused.run(layer, x, s, wanted, half)
            else:
                x = layer(x[None], sequences=s)[0]
                x = x if wanted is s else x[s.begins]
            yield x

    def passes(self, features: Sequence[dict]) -> Iterator[tuple[list[int], dict]]:
        """Yield forward passes for scoring a model: indices of some features, and the batch made of them.

        Each feature is in exactly one pass. Processes that share a run take the passes in turns, and
        `device.in_turns` puts together what they made of them.
        """
        self.eval()
        device, state = self.encoder.device, PartialState()
        every = batches(features, READ[device.type] // self.encoder.config.hidden_size)
        for indices in islice(every, state.process_index, None, state.num_processes):
            yield indices, packed.pack([features[i] for i in indices], device)

    def forward(self, name: str, batch: dict) -> Tensor:
        """Logits of one batch of one task, from the task's head.

        Shapes: tokens (T,) -> logits (B, C), or (T, C) by token.
        """
        head = self.heads[name]
        first = isinstance(head, PooledHead) and head.pooling == "first"
        for states in self.states(batch, first=first):  # noqa: B007  only the last states are used
            pass
        if first:
            batch = batch | {"sequences": batch["sequences"].firsts}
        if self.kinds[name].tied:
            batch = batch | {"table": self.encoder.get_input_embeddings().weight}
        return head(states, batch)


def shape(p: Pretraining, vocabulary: int) -> XLMRobertaConfig:
    """The configuration of an encoder that is pretrained here."""
    return xlm_roberta(vocabulary, p.hidden, p.layers, p.heads, 4 * p.hidden, POSITIONS)


POSITIONS = 256


def distance(model: Model, before: dict[str, Tensor]) -> float:
    """How far training moved the encoder: the norm of the difference relative to the norm of `before`.

    Shapes: tensors of any shape -> scalar.
    """
    after = {k: v.float() for k, v in model.encoder.state_dict().items() if v.is_floating_point()}
    moved = sum((v - before[k].to(v)).square().sum() for k, v in after.items())
    total = sum(before[k].to(v).square().sum() for k, v in after.items())
    return float((moved / total).sqrt())
