"""An encoder of the user's own: what it is, and the scale that runs the study from it."""

import re
from functools import partial
from pathlib import Path

from transformers import AutoConfig, PreTrainedConfig

from ..design.encoders import FOLDER, HUB, Encoder, weights_hash
from ..design.scales import Scale, own_scale
from ..machine import files
from ..machine.errors import Bad
from . import origins
from .families import family, positions

COMMIT = re.compile(r"((?:[\w.-]+/)?[\w.-]+)@([0-9a-f]{40})")  # the hub's oldest names have no owner
configuration = partial(AutoConfig.from_pretrained, trust_remote_code=False)


def scale_from(s: Scale, model: str) -> Scale:
    """The scale `s` with the encoder that a user names: a folder in transformers' layout, or NAME@COMMIT of
    the hub.

    Raises: Bad when there is no such encoder, or one that cannot read what the scale has.
    """
    folder = Path(model)
    pinned = None if folder.is_dir() else COMMIT.fullmatch(model)
    if not pinned and not folder.is_dir():
        allowed = "a folder, or NAME@COMMIT with the 40 hex digits of a commit (xit run: also random, remake)"
        raise Bad(f"--model {model}: no such folder; allowed: {allowed}")
    config = hub_config(*pinned.groups()) if pinned else folder_config(folder)
    family(config)
    longest = max(s.max_len, s.span_len, s.retrieve_len)
    if (most := positions(config)) < longest:
        raise Bad(f"--model {model}: it reads {most} tokens at most; scale {s.name} needs {longest}")
    shape = config.num_hidden_layers, config.hidden_size
    if pinned:
        return own_scale(s, Encoder(pinned[1], HUB, pinned[2], *shape))
    folder = folder.resolve()
    for read in (origins.folder_tokenizer, origins.read_transformers):  # before any run begins
        files.read_foreign(folder, read, origins.OWN)
    return own_scale(s, Encoder(folder.name, FOLDER, weights_hash(folder), *shape, place=str(folder)))


def folder_config(folder: Path) -> PreTrainedConfig:
    """The configuration of the encoder in a folder.

    Raises: Bad for a folder without an encoder, or a damaged one.
    """
    if not (folder / "config.json").is_file() or not weights_hash(folder):
        raise Bad(f"{folder}: no encoder there; {origins.OWN}")
    return files.read_foreign(folder, configuration, origins.OWN)


def hub_config(name: str, commit: str) -> PreTrainedConfig:
    """The configuration of an encoder of the hub.

    Raises: Bad when the hub does not give it.
    """
    try:
        return configuration(name, revision=commit)
    except OSError as error:
        reason = str(error).splitlines()[0][:120]
        raise Bad(f"--model {name}@{commit[:8]}: the hub gave no configuration ({reason}); connect") from None
