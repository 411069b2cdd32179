"""The model and tokenizer that a path starts from.

The model is a shipped or installed encoder, one from the hub or from a user's folder, or has random weights.
"""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer, PreTrainedModel
from transformers.utils import logging

from ..data.local import file_hash
from ..design.encoders import FOLDER, HUB, QUANTISED, RANDOM, SHIPPED, Encoder, weights_hash
from ..design.scales import Scale
from ..machine import files
from ..machine.errors import Bad
from . import quantised
from .checkpoints import lm_head, read_model, to_restore
from .encoder import Model, shape
from .families import empty, family

INSTALL = "install the version that environment.yml names"
OWN = "it must hold config.json, model.safetensors and a tokenizer, as transformers writes them"


@lru_cache
def tokenizer(s: Scale) -> Tokenizer:
    """The encoder's own tokenizer: from its folder or file, or from the hub at the pinned commit.

    Raises: Bad when it is missing or damaged.
    """
    if s.encoder.origin == QUANTISED:
        return files.read_foreign(declared(s.encoder), quantised.tokenizer, INSTALL)
    if s.encoder.origin == FOLDER:
        return files.read_foreign(s.encoder.folder, folder_tokenizer, OWN)
    file = (
        hub_file(s.encoder, "tokenizer.json")
        if s.encoder.origin == HUB
        else s.encoder.folder / "tokenizer.json"
    )
    if not file.is_file():
        raise Bad(f"scale {s.name!r}: no encoder at {file.parent}; make one: `make encoder SCALE={s.name}`")
    return files.read_foreign(file, lambda file: Tokenizer.from_file(str(file)), files.RESTORE)


def folder_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a folder in transformers' layout, which makes one from older files too.

    Raises: Bad where there is none, of which transformers makes one with special tokens alone.
    """
    found = AutoTokenizer.from_pretrained(folder, trust_remote_code=False).backend_tokenizer
    if len(found.get_vocab()) <= len(found.get_added_tokens_decoder()):
        raise Bad(f"{folder}: no tokenizer there; {OWN}")
    found.no_padding()
    found.no_truncation()
    return found


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
            f"{encoder.name}: the hub gave no {name} ({reason}); connect, choose another scale, "
            "or name a folder in which transformers has saved the encoder"
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
    actual = file_hash(file) if file.is_file() else ""
    if actual != encoder.revision:
        mismatch = f"sha256 {actual[:12] or 'of nothing'}, declared is {encoder.revision[:12]}"
        raise Bad(f"{file}: {mismatch}; {INSTALL}")
    return file


def hub_model(s: Scale, seed: int = 1) -> Model:
    """Read an encoder from the hub at its pinned commit."""
    encoder, lm_head = fetched(s.encoder)
    return Model(encoder, tokenizer(s), s, lm_head)


def from_own_folder(s: Scale, seed: int = 1) -> Model:
    """Read an encoder from a folder of the user's, in transformers' layout.

    Raises: Bad when its weights are missing, or not those of its first run.
    """
    actual = weights_hash(s.encoder.folder)
    if actual != s.encoder.revision:
        mismatch = f"sha256 {actual[:12] or 'of nothing'}, at first it was {s.encoder.revision[:12]}"
        raise Bad(f"{s.encoder.folder}: {mismatch}; put its files back, or name it anew with --model")
    encoder, lm_head = files.read_foreign(s.encoder.folder, read_transformers, OWN)
    return Model(encoder, tokenizer(s), s, lm_head)


def read_transformers(place: Path | str, **pinned: str) -> tuple[PreTrainedModel, dict[str, Tensor] | None]:
    """The weights of an encoder in transformers' layout, and its masked-LM head's where it is like XLM-R's.

    They are in float32, however they are stored.

    Raises: Bad for a family that is not known, and for weights that are not those of a whole encoder.
    Shapes: dense (H, H), norm (H,), bias (V,).
    """
    logging.set_verbosity_error()  # it lists over dozens of lines what `refuse_partial` says in one
    logging.disable_progress_bar()
    family(AutoConfig.from_pretrained(place, trust_remote_code=False, **pinned))
    model, told = AutoModelForMaskedLM.from_pretrained(
        place, dtype=torch.float32, use_safetensors=True, output_loading_info=True,
        ignore_mismatched_sizes=True, **pinned,
    )  # fmt: skip
    refuse_partial(place, model, told)
    made_up = any(name.startswith("lm_head.") for name in told["missing_keys"])
    return model.base_model, None if made_up else lm_head(model.state_dict())


def refuse_partial(place: Path | str, model: PreTrainedModel, told: dict) -> None:
    """Check that weights are those of a whole encoder: transformers draws at random what they lack.

    `told`: what it says of the loading. Raises: Bad for the first that is missing, misshapen or not finite.
    """
    start = f"{model.base_model_prefix}."
    lacking = sorted(name for name in told["missing_keys"] if name.startswith(start))
    if lacking:
        raise Bad(f"{place}: {len(lacking)} of its weights are missing, such as {lacking[0]}; {OWN}")
    for name, stored, wanted in sorted(told["mismatched_keys"]):
        shapes = f"the shape {tuple(stored)}, by its config.json it has {tuple(wanted)}"
        raise Bad(f"{place}: {name} has {shapes}; {OWN}")
    for name, weights in model.base_model.named_parameters():
        if not weights.isfinite().all():
            raise Bad(f"{place}: {name} holds numbers that are not finite; {OWN}")


def fetched(encoder: Encoder) -> tuple[PreTrainedModel, dict[str, Tensor] | None]:
    """The weights of an encoder from the hub, and its masked-LM head's; None where it has no whole one.

    Raises: Bad when the hub does not provide them. Shapes: dense (H, H), norm (H,), bias (V,).
    """
    try:
        return read_transformers(encoder.name, revision=encoder.revision)
    except OSError as error:
        reason = (
            f"{encoder.name}@{encoder.revision[:8]}: the hub gave no weights "
            f"({str(error).splitlines()[0][:120]})"
        )
        raise Bad(f"{reason}; connect, or choose a scale that needs no hub, such as micro") from None


def random_model(s: Scale, seed: int = 1) -> Model:
    """A model with random weights in the shape of the scale's encoder."""
    pieces = tokenizer(s)
    # before the shape is known, for finding it may draw too: published rows have these very weights
    torch.manual_seed(seed)
    return Model(empty_shape(s, pieces), pieces, s)


def empty_shape(s: Scale, pieces: Tokenizer) -> PreTrainedModel:
    """An encoder with random weights, in the shape of the scale's encoder.

    If the scale has no encoder yet, it has the shape that its pretraining would make.
    """
    if s.encoder.origin == HUB:
        return empty(fetched(s.encoder)[0].config)
    if s.encoder.origin == QUANTISED:
        return empty(from_package(s).encoder.config)
    if s.encoder.name and (s.encoder.folder / "config.json").is_file():
        return files.read_foreign(
            s.encoder.folder, lambda folder: empty(AutoConfig.from_pretrained(folder)), to_restore(s.encoder)
        )
    return empty(shape(s.pretraining, pieces.get_vocab_size()))


ORIGINS: dict[str, Callable[[Scale, int], Model]] = {
    SHIPPED: from_folder,
    QUANTISED: from_package,
    HUB: hub_model,
    FOLDER: from_own_folder,
    RANDOM: random_model,
}
