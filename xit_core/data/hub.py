"""Rows from the hub, at the declared commit."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..machine.errors import Bad
from . import formats
from .local import Part

PAGES = 50_000  # Wikipedia pages per language
SPLIT_WORDS = (
    "not XTREME's own conversion: multiword tokens are split, and Greek, Chinese, French and Russian hold "
    "older languages too; "
    "put UD 2.5 into XIT_LOCAL/ud-treebanks-v2.5 for XTREME's"
)


# -- the hub -------------------------------------------------------------------------------------------------


def from_hub(repository: str, config: str, split: str, revision: str) -> list[Part]:
    """Rows of one split at a pinned commit; of Wikipedia, which is longer than needed, the first `PAGES`
    pages.

    Raises: Bad when the hub does not give the rows, or when they are from another commit. The datasets
    library falls back to any copy in its cache when it cannot get the pinned commit (datasets 5.2,
    `CachedDatasetModuleFactory`).
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
            # this also compares the split sizes with those that the repository states
            builder.download_and_prepare()
            rows = builder.as_dataset(split=split).to_list()
    note = SPLIT_WORDS if config.startswith("udpos.") else ""
    return [Part(rows, f"{repository}/{config}/{split}", revision, note=note)]


def _builder(repository: str, config: str, revision: str) -> Any:
    """The builder of one config.

    Branches that the hub converted itself have a single config, "default", with one folder for each original
    config.
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
    from httpx2 import HTTPError  # the HTTP client of huggingface_hub

    try:
        yield
    except (OSError, ValueError, RuntimeError, HTTPError, DatasetsError) as error:
        raise Bad(
            f"{where}: the hub gave nothing ({formats.brief(error)}); connect, or name a mirror with "
            "XIT_MIRROR"
        ) from None
