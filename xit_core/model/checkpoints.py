"""Encoders on disk, in transformers' layout."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedModel

from ..design.encoders import WHOLE, Encoder
from ..design.scales import Scale
from ..design.tasks import TEXT
from ..machine import files
from ..machine.errors import Bad
from .encoder import Model
from .families import architecture, empty, table_name

# names of the masked-LM head: ours -> XLMRobertaForMaskedLM's, so that its from_pretrained reads our files
LM_HEAD = {"dense.weight": "dense.weight", "dense.bias": "dense.bias", "norm.weight": "layer_norm.weight",
           "norm.bias": "layer_norm.bias", "bias": "bias"}  # fmt: skip
SUMS = "model.{}.sha256"  # the hashes of a checkpoint's files
CARD = {"curve": [{"step": int, "*": float}], "dose": {"*": float}}  # what a card must contain


def to_restore(encoder: Encoder) -> str:
    """Advice for an encoder whose files are missing or damaged."""
    return f"{files.RESTORE}, or make it: `make encoder SCALE={encoder.name}`"


def read_model(
    folder: Path, pieces: Tokenizer, s: Scale, table: Callable[[], Tensor] | None = None
) -> Model:  # fmt: skip
    """Read a model from a folder in transformers' layout.

    The folder has config.json and model.safetensors. `table`: gives the embedding table of a checkpoint that
    is without it.
    Raises: Bad for a missing or damaged file. Shapes: table () -> (V, H).
    """
    own = s.encoder.name and folder == s.encoder.folder
    advice = to_restore(s.encoder) if own else "delete the folder, it is made again"
    if missing := [name for name in ("config.json", WHOLE) if not (folder / name).is_file()]:
        raise Bad(f"no encoder at {folder} ({missing[0]} is missing); {advice}")
    encoder, tensors = files.read_foreign(
        folder, lambda folder: loaded(folder, table), advice, "damaged checkpoint"
    )
    return Model(encoder, pieces, s, lm_head(tensors))


def lm_head(found: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """Our names for the masked-LM head among transformers' tensors; None where there is none.

    Shapes: dense (H, H), norm (H,), bias (V,).
    """
    head = {
        ours: found[f"lm_head.{theirs}"] for ours, theirs in LM_HEAD.items() if f"lm_head.{theirs}" in found
    }
    return head or None


def loaded(
    folder: Path, table: Callable[[], Tensor] | None = None
) -> tuple[PreTrainedModel, dict[str, Tensor]]:
    """Return the encoder of a folder, and all of its tensors.

    Raises: ValueError for files that differ from their stored hashes, and many other errors for files of
    another kind.
    Shapes: each tensor as the encoder's configuration says.
    """
    check_sums(folder)
    config = AutoConfig.for_model(**json.loads((folder / "config.json").read_text(encoding="utf-8")))
    tensors = {k: v.float() for k, v in load_file(folder / WHOLE).items()}
    encoder = empty(config)
    prefix, name = f"{encoder.base_model_prefix}.", table_name(encoder)
    own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    if table and name not in own:
        own[name] = table()
    encoder.load_state_dict(own)
    return encoder, tensors


def check_sums(folder: Path) -> None:
    """Check files against their stored hashes, where there are any. Raises: ValueError when they differ."""
    sums = [file.read_text(encoding="utf-8") for file in folder.glob(SUMS.format("*"))]
    if sums and summed(folder) not in sums:
        raise ValueError(f"not as it was written: {SUMS.format('*')}")


def summed(folder: Path) -> str:
    """The hashes of a checkpoint's files, in the format of `sha256sum`."""
    return "".join(f"{files.sha256(folder / name)}  {name}\n" for name in ("config.json", WHOLE))


def write_model(model: Model, folder: Path, dtype: torch.dtype = torch.float32) -> None:
    """Save the encoder and the masked-LM head in transformers' layout.

    A table that is never trained is left out, and what is trained beside it is rounded to 16 bits.
    The weights are put in place last, so their presence means that the checkpoint is complete. The file of
    hashes is put in place first, under a name made of its own hash. While two processes write, a reader
    therefore finds the hashes of each.
    Raises: Bad when the files cannot be written.
    """
    prefix = f"{model.encoder.base_model_prefix}."
    tensors = {prefix + k: v for k, v in model.encoder.state_dict().items()}
    head = model.heads[TEXT.name].state_dict() if TEXT.name in model.heads else model.lm_head or {}
    tensors |= {f"lm_head.{LM_HEAD[k]}": v for k, v in head.items()}
    if model.frozen_table:
        del tensors[prefix + table_name(model.encoder)]
        dtype = torch.float16
    tensors = {k: v.detach().to("cpu", dtype).contiguous() for k, v in tensors.items()}
    save(folder, tensors, configured(model))


def save(folder: Path, tensors: dict[str, Tensor], config: str) -> None:
    """Put tensors and the text of config.json into a folder, all or nothing.

    Raises: Bad when the files cannot be written. Shapes: tensors of any shape.
    """
    files.write_together(
        folder, lambda aside: saved(aside, tensors, config), f"the checkpoint {folder}", full=SafetensorError
    )


def write_part(weights: dict[str, nn.Parameter], settings: dict, folder: Path) -> None:
    """Save some weights of a model, in the layout of a whole one. `settings` become its config.json.

    Raises: Bad when the files cannot be written. Shapes: weights of any shape.
    """
    tensors = {name: x.detach().cpu().contiguous() for name, x in weights.items()}
    save(folder, tensors, json.dumps(settings, indent=1) + "\n")


def read_part(folder: Path, weights: dict[str, nn.Parameter]) -> None:
    """Put what `write_part` saved into the weights of a model.

    Raises: Bad for a missing or damaged file, or one of other weights. Shapes: weights of any shape.
    """

    def load(folder: Path) -> None:
        check_sums(folder)
        found = load_file(folder / WHOLE)
        if found.keys() != weights.keys():
            raise ValueError("it has other weights")
        with torch.no_grad():
            for name, x in found.items():
                weights[name].copy_(x)

    files.read_foreign(folder, load, "delete the folder, it is made again", "damaged checkpoint")


def saved(folder: Path, tensors: dict[str, Tensor], config: str) -> list[str]:
    """Write all files of a checkpoint; return their names in the order in which they may become visible.

    Shapes: tensors of any shape.
    """
    (folder / "config.json").write_text(config, encoding="utf-8", newline="\n")
    save_file(tensors, folder / WHOLE, metadata={"format": "pt"})
    listing = summed(folder)
    sums = SUMS.format(hashlib.sha256(listing.encode()).hexdigest()[:12])
    (folder / sums).write_text(listing, encoding="utf-8", newline="\n")
    return [sums, "config.json", WHOLE]


def configured(model: Model) -> str:
    """The text of config.json."""
    config = json.loads(model.encoder.config.to_json_string(use_diff=False)) | {
        "architectures": [architecture(model.encoder.config)]
    }
    config = {
        k: v for k, v in sorted(config.items()) if not k.startswith("_") and k != "transformers_version"
    }
    return json.dumps(config, indent=1) + "\n"
