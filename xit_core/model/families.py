"""What differs between families of encoders in transformers' layout: positions, token types, attention."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import signature

from torch import Tensor, nn
from transformers import MODEL_FOR_MASKED_LM_MAPPING, MODEL_MAPPING, PreTrainedConfig, PreTrainedModel
from transformers.models.xlm_roberta import XLMRobertaConfig

from ..machine.errors import Bad
from .packed import ended


def from_zero(config: PreTrainedConfig) -> int:
    """The position of the first token where positions start at 0."""
    return 0


def after_padding(config: PreTrainedConfig) -> int:
    """The position of the first token in RoBERTa, where positions start after that of padding.

    Raises: Bad for a configuration that does not say which that is.
    """
    if config.pad_token_id is None:
        raise Bad(f"an encoder of type {config.model_type!r} whose config.json has no pad_token_id; add it")
    return config.pad_token_id + 1


@dataclass(frozen=True)
class Family:
    """A family of encoders.

    `packed`: its layers compute attention by transformers' interface, so they can read packed sequences.
    """

    packed: bool
    first: Callable[[PreTrainedConfig], int] = from_zero  # the position of a sequence's first token
    types: bool = False  # whether the second text of a pair has another token type, where there are several


FAMILIES = {
    "xlm-roberta": Family(True, after_padding),
    "roberta": Family(True, after_padding),
    "bert": Family(True, types=True),
    "deberta-v2": Family(False, types=True),
    "modernbert": Family(False),
}


def family(config: PreTrainedConfig) -> Family:
    """The family of an encoder. Raises: Bad for an unknown one."""
    if config.model_type not in FAMILIES:
        raise Bad(f"an encoder of type {config.model_type!r}; allowed: {', '.join(FAMILIES)}")
    return FAMILIES[config.model_type]


def positions(config: PreTrainedConfig) -> int:
    """Tokens of the longest sequence that an encoder reads."""
    return config.max_position_embeddings - family(config).first(config)


def xlm_roberta(
    vocabulary: int, hidden: int, layers: int, heads: int, intermediate: int, longest: int,
    epsilon: float = 1e-5,
) -> XLMRobertaConfig:  # fmt: skip
    """The configuration of an encoder of XLM-R's shape, without dropout, as small encoders underfit.

    Positions start at 2, as in XLM-R. `longest`: tokens of its longest sequence.
    """
    return XLMRobertaConfig(
        vocab_size=vocabulary, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=intermediate, max_position_embeddings=longest + 2, type_vocab_size=1,
        layer_norm_eps=epsilon, pad_token_id=1, bos_token_id=0, eos_token_id=2,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip


def empty(config: PreTrainedConfig) -> PreTrainedModel:
    """An encoder with the given configuration and random weights, without a pooling layer."""
    kind = MODEL_MAPPING[type(config)]
    pooling = {"add_pooling_layer": False} if "add_pooling_layer" in signature(kind).parameters else {}
    return kind(config, **pooling)


def architecture(config: PreTrainedConfig) -> str:
    """The name of transformers' class for the encoder with its masked-LM head."""
    return MODEL_FOR_MASKED_LM_MAPPING[type(config)].__name__


def types(config: PreTrainedConfig, batch: dict) -> dict[str, Tensor]:
    """The argument for the token types, where an encoder has them: 1 in the second text of a pair, else 0.

    Shapes: (T,).
    """
    if not family(config).types or config.type_vocab_size < 2:
        return {}
    return {"token_type_ids": ended(batch).clamp(max=1)}


def embedded(encoder: PreTrainedModel, batch: dict) -> Tensor:
    """The embeddings of packed sequences. Shapes: (T, H)."""
    config, s = encoder.config, batch["sequences"]
    given = {"input_ids": batch["input_ids"], "position_ids": s.at + family(config).first(config)}
    given |= types(config, batch)
    return encoder.embeddings(**{name: x[None] for name, x in given.items()})[0]


def padded_states(encoder: PreTrainedModel, batch: dict) -> Iterator[Tensor]:
    """Yield the states (T, H) of packed sequences, of the embeddings and of each layer, from an encoder that
    reads padded sequences only.
    """
    s = batch["sequences"]
    shape = (len(s.lengths), s.longest)
    given = {"input_ids": batch["input_ids"]} | types(encoder.config, batch)
    # padding is masked, so any token will do for it
    given = {name: x[s.grid].view(shape) for name, x in given.items()}
    found = encoder(**given, attention_mask=s.real.view(shape).long(), output_hidden_states=True)
    for states in (*found.hidden_states[:-1], found.last_hidden_state):
        yield states.flatten(0, 1)[s.place]


def table_name(encoder: PreTrainedModel) -> str:
    """The name of the embedding table among an encoder's tensors."""
    table: nn.Parameter = encoder.get_input_embeddings().weight
    return next(name for name, weights in encoder.named_parameters() if weights is table)
