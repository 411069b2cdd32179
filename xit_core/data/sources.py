"""Rows of data sets as they are stored: in the user's folder, in a mirror, or on the hub at the declared
commit.
"""

from ..machine.errors import Absent
from ..machine.places import mirror_dir
from .hub import from_hub
from .local import Part, from_local
from .mirror import from_mirror


def fetch(repository: str, config: str, split: str, revision: str, obtain: str = "") -> list[Part]:
    """Rows of one split: from the user's folder, else from the mirror, else from the hub.

    The result is [] only where there is a mirror and it lacks the split.
    `obtain`: how to get the split when the hub has it at no known commit.

    Raises: Absent when they are nowhere to be had, Bad when they are not what was asked for.
    """
    if parts := from_local(repository, config, split):
        return parts
    if mirror_dir():
        return from_mirror(repository, config, split)
    if obtain:
        raise Absent(f"{repository}/{config}/{split}: the hub has it at no known commit; {obtain}")
    return from_hub(repository, config, split, revision)
