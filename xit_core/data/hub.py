"""Rows on the hub, at the declared commit."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..machine.errors import Bad
from . import formats
from .local import Part

PAGES = 50_000  # of Wikipedia, a language
SPLIT_WORDS = (
    "not XTREME's own conversion: multiword tokens are split, and Greek, Chinese, French and Russian hold "
    "older languages too; "
    "put UD 2.5 into XIT_LOCAL/ud-treebanks-v2.5 for XTREME's"
)


# -- the hub -------------------------------------------------------------------------------------------------


def from_hub(repository: str, config: str, split: str, revision: str) -> list[Part]:
    """Rows of one split at a pinned commit; of Wikipedia, which is longer than needed, the first pages.

    Raises: Bad when the hub does not give them, or when they are of another commit: the library takes any
    copy that its cache holds where it cannot have the pin (datasets 5.2, `CachedDatasetModuleFactory`).
    """
    where = f"{repository} {config}/{split}"
    with _asking(where):
        builder = _builder(repository, config, revision)
    if builder.hash != revision:
        raise Bad(
            f"{where}: asked for commit {revision[:12]}, the datasets library gave a cached copy of "
            f"{str(builder.hash)[:12]}; "
            f"connect to the hub, or delete {builder.cache_dir}"
        )
    with _asking(where):
        if repository.startswith("wikimedia/"):
            rows = list(builder.as_streaming_dataset(split=split).take(PAGES))
        else:
            # compares the sizes of the splits with those that the repository states
            builder.download_and_prepare()
            rows = builder.as_dataset(split=split).to_list()
    note = SPLIT_WORDS if config.startswith("udpos.") else ""
    return [Part(rows, f"{repository}/{config}/{split}", revision, False, True, note)]


def _builder(repository: str, config: str, revision: str) -> Any:
    """A builder of one config. Branches that the hub converted itself know the one config "default", with a
    folder each.
    """
    from datasets import load_dataset_builder

    if not config:
        raise ValueError("no config named, which may merge all of them")
    try:
        return load_dataset_builder(repository, config, revision=revision)
    except ValueError as error:
        if "Available: ['default']" not in str(error):
            raise
        return load_dataset_builder(repository, "default", data_dir=config, revision=revision)


@contextmanager
def _asking(where: str) -> Iterator[None]:
    from datasets.exceptions import DatasetsError
    from httpx2 import HTTPError  # what huggingface_hub speaks with

    try:
        yield
    except (OSError, ValueError, RuntimeError, HTTPError, DatasetsError) as error:
        raise Bad(
            f"{where}: the hub gave nothing ({formats.brief(error)}); connect, or name a mirror with "
            "XIT_MIRROR"
        ) from None
