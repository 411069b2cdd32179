"""One scale of the ledger as chapters see it: the tables and figures of each phase, as Markdown."""

from functools import cached_property
from pathlib import Path

import pandas as pd

from xit_core import claims, plots, results
from xit_core.config import PIVOT, SCALES
from xit_core.tasks import TARGETS

CAPTIONS = {
    "pretraining": "Training loss of the encoder.",
    "retrieval": "Sentence retrieval by layer before and after each intermediate training, raw and with the mean "
    "vector of each language subtracted, and the share of the variance of sentence vectors that language identity "
    "explains. Means over languages and seeds.",
    "dose": "Sentence retrieval along each intermediate training, against the distance that the encoder has moved, "
    "in percent of the norm of its weights. Means over languages and seeds.",
    "curves": "Training loss of every intermediate training, one line a seed.",
    "gains": "Gain of each intermediate training over the baseline of the same seed, in points (0–100), mean over "
    "seeds. A mean over targets is shown only where every target has run.",
    "languages": "Score of every evaluation language, with the 95 % t interval over seeds.",
}

SIGNED = "+,.1f"
METRICS = {
    "accuracy": "Tatoeba, raw (%)",
    "accuracy_centred": "Tatoeba, centred (%)",
    "masked_accuracy": "masked pieces guessed (%)",
    "masked_loss": "their loss (nats)",
}


class View:
    """The ledger at one scale, and the verdicts it gives."""

    def __init__(self, scale: str) -> None:
        self.scale = scale
        self.real = SCALES[scale].world == "real"
        self.rows = results.rows(scale)

    @cached_property
    def frame(self) -> pd.DataFrame:
        return results.tidy(self.rows)

    @cached_property
    def findings(self) -> dict[str, claims.Finding]:
        return claims.findings(self.scale)

    @cached_property
    def claims(self) -> list[dict]:
        return claims.table(self.scale, self.findings)

    @cached_property
    def encoder(self) -> list[dict]:
        """The rows of phase 1: the encoder that every run starts from."""
        return [row for row in self.rows if row["phase"] == 1 and not row["model"]]


def number(value: float | None, form: str = ",.1f") -> str:
    """For readers: "47.0", "+1.2", and "–" where there is none."""
    if value is None or pd.isna(value):
        return "–"
    return f"{round(value, 1) + 0.0:{form}}".replace("-", "\N{MINUS SIGN}")  # + 0.0: no "-0.0"


def count(value: float | None) -> str:
    """As `number`, whole where it is whole: "1,104,934"."""
    return number(value).removesuffix(".0")


def table(head: list[str], lines: list[list[object]]) -> str:
    """A Markdown table."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows) + "\n\n"


def small(text: str) -> str:
    """The same in the small print of the book."""
    return f":::::{{div}} small\n{text.rstrip()}\n:::::\n\n"


def figure(out: Path, view: View, kind: str, drawn: "plots.Figure | None") -> str:
    """Save a figure and return its directive; nothing when there is nothing to draw."""
    if drawn is None:
        return ""
    file = plots.save(drawn, out / "figures" / f"{view.scale}-{kind}.svg")
    options = f":name: {view.scale}-{kind}\n:alt: {CAPTIONS[kind]}"
    return f":::{{figure}} _generated/figures/{file.name}\n{options}\n\n{CAPTIONS[kind]}\n:::\n\n"


def pretrained(view: View, out: Path) -> str:
    """Phase 1: the encoder, its training, what it predicts, and whether it transfers at all."""
    told = [row["provenance"]["encoder"] for row in view.encoder]
    text = "".join(f"Encoder `{e['name']}`, sha256 `{e['sha256'][:12]}`.\n\n" for e in told)
    scores = pd.DataFrame([score for row in view.encoder for score in row["scores"]])
    if len(scores):
        wide = scores.pivot_table(index="lang", columns="metric", values="value").rename(columns=METRICS)
        text += table(["language", *wide.columns], [[lang, *map(number, line)] for lang, *line in wide.itertuples()])
    return text + figure(out, view, "pretraining", plots.curves(view.encoder, (1,))) + transfer(view)


def transfer(view: View) -> str:
    """Baseline against random weights of the same shape, averaged over the languages that are not the pivot."""
    scores = results.headline(plots.plain(view.frame[view.frame.lang != PIVOT]))
    wide = scores.assign(name=plots.named(scores)).pivot_table(index="on", columns="name", values="score")
    if not {"baseline", "random weights"} <= set(wide):
        return ""
    pairs = wide.loc[[t for t in TARGETS if t in wide.index], ["random weights", "baseline"]]
    lines = [[f"`{on}`", number(a), number(b), number(b - a, SIGNED)] for on, a, b in pairs.itertuples()]
    text = "Zero-shot transfer: mean over the languages other than the pivot, and over seeds.\n\n"
    return text + table(["target", "random weights", "baseline", "difference (points)"], lines)


def intermediate(view: View, out: Path) -> str:
    """Phase 2: what intermediate training does to the encoder itself."""
    drawn = {
        "retrieval": plots.retrieval(view.rows),
        "dose": plots.dose(view.rows),
        "curves": plots.curves(view.rows, (2,)),
    }
    return "".join(figure(out, view, kind, each) for kind, each in drawn.items())


def target(view: View, out: Path) -> str:
    """Phase 3: scores on the targets, gains over the baseline, scores by language."""
    scores = results.headline(plots.plain(view.frame))
    base = {on: part.score for on, part in scores[plots.named(scores) == "baseline"].groupby("on")}
    seen = [on for on in TARGETS if on in base]
    lines = [[f"`{on}`", number(base[on].mean()), number(plots.interval(base[on])), len(base[on])] for on in seen]
    drawn = {"gains": plots.gains(view.frame), "languages": plots.languages(view.frame)}
    text = table(["target", "baseline score", "± (95 %, seeds)", "seeds"], lines) if lines else ""
    return text + "".join(figure(out, view, kind, each) for kind, each in drawn.items()) + protocols(view)


def protocols(view: View) -> str:
    """The same predictions of the baseline under each published definition of the score; a dash where nobody ran it."""
    told = [
        {"on": row["on"], "metric": score["metric"], "protocol": score["protocol"], "value": score["value"], "kept": kept}
        for row in view.rows
        if row["phase"] == 3 and not row["source"] and not row["model"]
        for kept in ("scores", "protocols")
        for score in row.get(kept, [])
    ]
    scores = pd.DataFrame(told, columns=["on", "metric", "protocol", "value", "kept"])
    if not (scores.kept == "protocols").any():
        return ""
    means = scores.groupby(["on", "metric", "protocol"], as_index=False)["value"].mean()
    lines = [[f"`{on}`", f"`{protocol}`", metric, number(value)] for on, metric, protocol, value in means.itertuples(index=False)]
    text = "The baseline's predictions under every protocol: means over languages and seeds.\n\n"
    return text + small(table(["target", "protocol", "metric", "value"], sorted(lines)))
