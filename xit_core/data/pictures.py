"""Captions with what people marked in their pictures: a proxy for the pictures themselves."""

import random
from collections import defaultdict

from ..design.readers import Row
from ..design.tasks import FRAMES, located
from ..machine.errors import Absent, Bad
from . import sources


def captions(rows: list[Row], lang: str, n: int) -> list[Row]:
    """Captions in one language with a scene: {caption, scene, other}, at most `n` of them; 0 = all.

    "scene" has the frames of everything that was marked in the picture. "other" is the scene of another
    caption, drawn anew in each language. The pictures are the same in every language; one without a mark is
    left out.
    """
    scenes = marked()
    known = [row for row in rows if row["image"] in scenes]
    chosen = random.Random("pictures").sample(known, min(n or len(known), len(known)))
    others = [scenes[row["image"]] for row in chosen]
    random.Random(f"pictures {lang}").shuffle(others)
    return [
        {"caption": row[lang], "scene": scenes[row["image"]], "other": other}
        for row, other in zip(chosen, others, strict=True)
    ]


def marked() -> dict[str, list[str]]:
    """The frames that people marked in each picture, by its file name.

    Raises: Absent where they are not at hand, Bad for a row that is none.
    """
    spec, obtain = FRAMES
    repository, config, split, revision = located(spec)
    parts = sources.fetch(repository, config, split, revision, obtain)
    if not parts:
        raise Absent(f"{repository}/{config}: the mirror does not hold it; {obtain}")
    found: dict[str, set[str]] = defaultdict(set)
    for i, row in enumerate(row for part in parts for row in part.rows):
        try:
            found[row["image"]] |= {mark["frame"] for mark in row["frames"]}
        except (KeyError, TypeError) as error:
            told = f"row {i} has no image with frames ({type(error).__name__}: {error})"
            raise Bad(f"{parts[0].source}: {told}; copy the file again") from None
    return {image: sorted(frames) for image, frames in found.items()}
