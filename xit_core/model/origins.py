"""What a path starts from: a shipped encoder, one of the hub, or random weights; and its tokenizer."""

from functools import lru_cache
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers.models.xlm_roberta import XLMRobertaConfig, XLMRobertaModel

from ..design.encoders import encoder_dir
from ..design.scales import Scale, scale
from ..machine import files
from ..machine.errors import Bad
from .checkpoints import read, shipped
from .encoder import Model, empty, shape


@lru_cache
def tokenizer(scale_name: str) -> Tokenizer:
    """The encoder's own tokenizer: from the package, or from the hub at the pinned commit."""
    s = scale(scale_name)
    file = encoder_dir(scale_name) / "tokenizer.json"
    if s.revision:
        from huggingface_hub import hf_hub_download

        try:
            file = Path(hf_hub_download(s.encoder, "tokenizer.json", revision=s.revision))
        except OSError as error:
            raise Bad(
                f"{s.encoder}: the hub gave no tokenizer ({str(error).splitlines()[0][:120]}); connect, or choose another scale"
            ) from None
    if not file.is_file():
        raise Bad(f"scale {scale_name!r}: no encoder at {file.parent}; make one: `make encoder SCALE={scale_name}`")
    return files.given(file, lambda file: Tokenizer.from_file(str(file)), files.RESTORE)


def start(scale_name: str, kind: str = "", seed: int = 1) -> Model:
    """The model that a path starts from: the scale's encoder, or (kind "random") its shape with random weights.

    Raises: Bad when the encoder is not there.
    """
    s, pieces = scale(scale_name), tokenizer(scale_name)
    if kind == "random" or not s.encoder:
        torch.manual_seed(seed)
        return Model(drawn(s), pieces, s)
    if s.revision:
        return Model(from_hub(s), pieces, s)
    return read(encoder_dir(scale_name), pieces, s)


def drawn(s: Scale) -> XLMRobertaModel:
    """Random weights in the shape of the scale's encoder."""
    folder = encoder_dir(s.name)
    if s.encoder and (folder / "config.json").is_file():
        return files.given(folder, lambda folder: empty(XLMRobertaConfig.from_pretrained(folder)), shipped(s))
    p = s.pretraining
    return empty(shape(p, tokenizer(s.name).get_vocab_size()) if p else from_hub(s).config)


def from_hub(s: Scale) -> XLMRobertaModel:
    try:
        return XLMRobertaModel.from_pretrained(s.encoder, revision=s.revision, use_safetensors=True, add_pooling_layer=False)
    except OSError as error:
        reason = str(error).splitlines()[0][:120]
        raise Bad(
            f"{s.encoder}@{s.revision[:8]}: the hub gave no weights ({reason}); connect, or choose scale micro or pocket"
        ) from None
