"""The model and tokenizer that a path starts from.

The model is a shipped or installed encoder, one from the hub, or has random weights.
"""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers.models.xlm_roberta import XLMRobertaConfig, XLMRobertaForMaskedLM, XLMRobertaModel

from ..design.encoders import HUB, QUANTISED, RANDOM, SHIPPED, Encoder
from ..design.scales import Scale
from ..machine import files
from ..machine.errors import Bad
from . import quantised
from .checkpoints import lm_head, read_model, to_restore
from .encoder import Model, empty, shape

INSTALL = "install the version that environment.yml names"


@lru_cache
def tokenizer(s: Scale) -> Tokenizer:
    """The encoder's own tokenizer: from its folder or file, or from the hub at the pinned commit.

    Raises: Bad when it is missing or damaged.
    """
    if s.encoder.origin == QUANTISED:
        return files.read_foreign(declared(s.encoder), quantised.tokenizer, INSTALL)
    file = (
        hub_file(s.encoder, "tokenizer.json")
        if s.encoder.origin == HUB
        else s.encoder.folder / "tokenizer.json"
    )
    if not file.is_file():
        raise Bad(f"scale {s.name!r}: no encoder at {file.parent}; make one: `make encoder SCALE={s.name}`")
    return files.read_foreign(file, lambda file: Tokenizer.from_file(str(file)), files.RESTORE)


def hub_file(encoder: Encoder, name: str) -> Path:
    """Fetch a file of an encoder from the hub.

    Raises: Bad when the hub does not provide it.
    """
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(encoder.name, name, revision=encoder.revision))
    except OSError as error:
        reason = str(error).splitlines()[0][:120]
        raise Bad(
            f"{encoder.name}: the hub gave no {name} ({reason}); connect, or choose another scale"
        ) from None


def start(s: Scale, model: str = "", seed: int = 1) -> Model:
    """The model that a path starts from.

    It is the scale's encoder, or with `model` "random" that encoder's shape with random weights.
    Raises: Bad when the encoder is missing.
    """
    return ORIGINS[RANDOM if model == RANDOM else s.encoder.origin](s, seed)


def from_folder(s: Scale, seed: int = 1) -> Model:
    """Read an encoder that this package ships."""
    return read_model(s.encoder.folder, tokenizer(s), s)


def from_package(s: Scale, seed: int = 1) -> Model:
    """Read a quantised encoder from another Python package."""
    return Model(files.read_foreign(declared(s.encoder), quantised.encoder, INSTALL), tokenizer(s), s)


def declared(encoder: Encoder) -> Path:
    """The file of a quantised encoder.

    Raises: Bad when it is missing or not the declared one.
    """
    file = encoder.file
    actual = files.sha256(file) if file.is_file() else ""
    if actual != encoder.revision:
        mismatch = f"sha256 {actual[:12] or 'of nothing'}, declared is {encoder.revision[:12]}"
        raise Bad(f"{file}: {mismatch}; {INSTALL}")
    return file


def hub_model(s: Scale, seed: int = 1) -> Model:
    """Read an encoder from the hub at its pinned commit."""
    encoder, lm_head = fetched(s.encoder)
    return Model(encoder, tokenizer(s), s, lm_head)


def fetched(encoder: Encoder) -> tuple[XLMRobertaModel, dict[str, Tensor] | None]:
    """The weights of an encoder from the hub, and its masked-LM head's; None where it has no whole one.

    Raises: Bad when the hub does not provide them. Shapes: dense (H, H), norm (H,), bias (V,).
    """
    pinned = {"revision": encoder.revision, "use_safetensors": True, "output_loading_info": True}
    try:
        model, told = XLMRobertaForMaskedLM.from_pretrained(encoder.name, **pinned)
    except OSError as error:
        reason = (
            f"{encoder.name}@{encoder.revision[:8]}: the hub gave no weights "
            f"({str(error).splitlines()[0][:120]})"
        )
        raise Bad(f"{reason}; connect, or choose a scale that needs no hub, such as micro") from None
    made_up = any(name.startswith("lm_head.") for name in told["missing_keys"])
    return model.roberta, None if made_up else lm_head(model.state_dict())


def random_model(s: Scale, seed: int = 1) -> Model:
    """A model with random weights in the shape of the scale's encoder."""
    pieces = tokenizer(s)
    torch.manual_seed(seed)
    return Model(empty_shape(s, pieces), pieces, s)


def empty_shape(s: Scale, pieces: Tokenizer) -> XLMRobertaModel:
    """An encoder with random weights, in the shape of the scale's encoder.

    If the scale has no encoder yet, it has the shape that its pretraining would make.
    """
    if s.encoder.origin == HUB:
        return empty(fetched(s.encoder)[0].config)
    if s.encoder.origin == QUANTISED:
        return empty(from_package(s).encoder.config)
    if s.encoder.name and (s.encoder.folder / "config.json").is_file():
        return files.read_foreign(
            s.encoder.folder,
            lambda folder: empty(XLMRobertaConfig.from_pretrained(folder)),
            to_restore(s.encoder),
        )
    return empty(shape(s.pretraining, pieces.get_vocab_size()))


ORIGINS: dict[str, Callable[[Scale, int], Model]] = {
    SHIPPED: from_folder,
    QUANTISED: from_package,
    HUB: hub_model,
    RANDOM: random_model,
}
