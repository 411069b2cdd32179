"""Figures of the book: drawn, saved and captioned."""

from collections.abc import Callable
from pathlib import Path

from . import plots
from .view import View

CAPTIONS = {
    "overview": (
        "The ten measured claims at each scale, in points. Dot: our estimate; thick line: its 95 % interval; "
        "thin line: the interval that covers all claims of the scale together. Hollow: not testable there. "
        "Diamond: the gain that was claimed for XLM-R Large, for orientation. Dashed: what the claim's rule "
        "compares with, where that is not zero."
    ),
    "pretraining": "Training loss of the encoder.",
    "retrieval": (
        "Sentence retrieval by layer before and after each intermediate training, raw and with the mean "
        "vector of each language subtracted, and the share of the variance of sentence vectors that "
        "language identity explains. Means over languages and seeds."
    ),
    "contrasts": "The contrasts of the question with their 95 % intervals, the answer first.",
    "weights": (
        "Mean F1 of each source against the weights of the encoder that are trained for one target; marks of "
        "one method stand side by side. Where a source has collapsed, its score stands at the lower edge."
    ),
    "pairs": (
        "Scores on other rows against scores on a target's own, a point for each run and a panel for each "
        "pair. Dotted: both are equal. Black, where there is one: what is expected of a score, by a line on "
        "the logit scale through the means of all sources but the joint one; what is above it is robust "
        "beyond its score."
    ),
    "sizes": (
        "Points lost from usual to adversarial rows, as the mean over targets and seeds, by the number of "
        "rows of the intermediate task: a line for each task, a panel for each rule for steps."
    ),
    "dose": (
        "Sentence retrieval at the start and at the end of each intermediate training, and between them "
        "where it was measured, against the distance that the encoder has moved, in percent of the norm of "
        "its weights. Means over languages, and over seeds where there are lines; points are single seeds."
    ),
    "curves": "Training loss of every intermediate training, one line a seed.",
    "languages": "Score of every evaluation language, with the 95 % t interval over seeds.",
    "factors": (
        "What each language gains on average over the English intermediate trainings, less the mean gain "
        "of the languages of the same target, averaged over the targets; English left out. By script and "
        "by family. Blue: Latin script."
    ),
    "forest": (
        "The average over the targets that the claim is tested on (diamond), and each target by itself, with "
        "95 % intervals, each alone: the interval of the verdict is wider, for it covers all claims "
        "together. A target without a mark is not tested at that scale."
    ),
    "simulation": (
        "Made-up studies of known truth. Left: how often the interval of each claim's estimate covers it; "
        "by design in 95 %. Right: how often a verdict is wrong at the edge of its rule, each side by "
        "itself: by design in 2.5 %. Dashed: what was allowed beforehand."
    ),
    "kills": (
        "Each point is one SIGKILL: which process of the study it hit, and when. Filled: "
        "while a run was being made."
    ),
    "roofline": (
        "Achieved FLOP/s on real tokens of each task and each way to train, against the limits of the "
        "device that were measured in the same process: its memory bandwidth (the slope) and its fastest "
        "matmul (the flat part)."
    ),
}


def figure(
    out: Path,
    view: View | None,
    kind: str,
    draw: Callable[[], plots.Figure | None],
    of: str = "",
    says: str = "",
    title: str = "",
) -> str:
    """Draw a figure, save it, and return its directive; "" when there is nothing to draw.

    One as wide as the page is drawn for a phone, too.

    `view` None: a figure of all scales. `of`: what it is of, where there are several of a kind. `says`: what
    is to be seen in it, for readers who do not see it. `title`: what it shows, in a sentence above the
    caption.
    """
    if (drawn := draw()) is None:
        return ""
    name = "-".join(filter(None, (view.scale if view else "", kind, of)))
    file = plots.save(drawn, out / "figures" / f"{name}.svg")
    if (narrow := plots.for_phone(draw)) is not None:
        plots.save(narrow, out / "figures" / f"{name}-narrow.svg")
    caption, path = CAPTIONS[kind], f"/_generated/figures/{file.name}"
    alt = " ".join(filter(None, [title, caption, says]))
    told = f"**{title}** {caption}" if title else caption
    return f":::{{figure}} {path}\n:name: {name}\n:alt: {alt}\n\n{told}\n:::\n\n"
