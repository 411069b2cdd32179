"""Appendix of the book: tables of runs, of the data that they read, and of all declared tasks and scales."""

import html
import os
from collections import Counter

import pandas as pd

from ..design.scales import SCALES, Scale
from ..design.tasks import TASKS, Task
from ..ledger import scored
from .markdown import count, fold, folded, markdown_table, number, small
from .notebook_pages import notebooks_by_run
from .view import EMPTY, View


def runs_table(view: View) -> str:
    """The list of runs that verdicts link to: for each run an anchor, score, provenance, ledger row and
    notebook. It is not printed.
    """
    scores = dict(scored.headline(view.frame)[["id", "score"]].itertuples(index=False))
    notebooks, damaged = notebooks_by_run(view.scale)
    lines = [run_line(row, scores.get(row["id"]), notebooks.get(row["id"])) for row in view.rows]
    names = ("run", "score", "seed", "commit", "files", "seconds", "device", "predictions", "path")
    head = "<tr>" + "".join(f'<th scope="col">{name}</th>' for name in names) + "</tr>"
    body = "\n".join(["<tbody>", *lines, "</tbody>"])
    table = f'<table class="dataframe"><thead>{head}</thead>\n{body}</table>'
    text = f'<div class="wide find screen">{table}</div>'
    warnings = [
        view.left_out,
        f"damaged notebooks: {', '.join(f'`{name}`' for name in damaged)}" if damaged else "",
    ]
    summary = "; ".join(filter(None, [f"{len(lines)} runs", *warnings])) + ".\n\n"
    return f"{summary}{text}\n\n" if lines else EMPTY


def run_line(row: dict, score: float | None, notebook: str | None) -> str:
    """A run as an HTML table row, with the anchor that verdicts link to."""
    provenance, run = BLANK_PROVENANCE | row["provenance"], html.escape(row["id"])
    links = f'<a href="ledger/{row["scale"]}/{run}.json">row</a>'
    links += f' <a href="notebooks/{row["scale"]}/{html.escape(notebook)}">notebook</a>' if notebook else ""
    commit = (provenance["commit"] or "")[:10] + ("" if provenance["clean"] else " + changes")
    cells = [
        f'<span id="run-{run}"></span>{run}',
        number(score),
        row["seed"],
        html.escape(commit),
        links,
        number(provenance["seconds"]),
        html.escape(provenance["device"]),
        (provenance["predictions_sha256"] or "")[:10],
        html.escape(row["path"]),
    ]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


# defaults for fields that are missing in a row's provenance
BLANK_PROVENANCE = {"commit": "", "clean": True, "device": "–", "seconds": 0.0, "predictions_sha256": ""}


def data_tables(view: View) -> str:
    """The data that the runs actually read: rows, content hashes, sources, stand-ins."""
    data = pd.DataFrame(
        [
            BLANK_DATA | part | {"translated": row["lang"]}
            for row in view.rows
            for part in row["provenance"].get("data", [])
        ]
    )
    if data.empty:
        return EMPTY
    data = data.drop_duplicates(["task", "split", "stand_in", "licence", "source", "lang", "sha256"])
    # a data set has a file for each of its languages
    data = data.assign(home=data.source.str.split("/").str[:2].str.join("/"))
    keys = ["task", "split", "stand_in", "licence", "home"]
    lines = [data_line(*key[:-1], part) for key, part in data.groupby(keys, sort=False)]
    head = [
        "task", "split", "rows", "stand-in", "set aside or mended", "languages, sha256 of their rows",
        "source", "licence",
    ]  # fmt: skip
    return small(markdown_table(head, lines))


def data_line(task: str, split: str, stand_in: bool, licence: str, part: pd.DataFrame) -> list[str]:
    """The cells of a split of a task. `part`: a line for each language, for each of its files, and for each
    draw of their rows, of which the largest counts; those in translation are others.
    """
    largest = part.loc[part.groupby(["source", "lang", "translated"]).rows.idxmax()]
    source, differing = _shared(set(part.source))
    several = part.groupby("lang").source.transform("nunique") > 1
    files = zip(part.lang, part.source, several, strict=True)
    names = [f"{lang} {differing[file]}" if many else lang for lang, file, many in files]
    hashes = [
        f"{name}&nbsp;<code>{sha[:10]}</code>" for name, sha in sorted(zip(names, part.sha256, strict=True))
    ]
    cells = ["yes" if stand_in else "no", _happened(largest), folded(hashes, of="hashes"), source, licence]
    return [f"`{task}`", split, count(largest.rows.sum()), *cells]


# defaults for fields that are missing in what a row says of its data
BLANK_DATA = {
    "dropped": 0, "counts": {}, "note": "", "rows": 0, "sha256": "", "source": "–", "stand_in": False,
    "licence": "–",
}  # fmt: skip


def _shared(files: set[str]) -> tuple[str, dict[str, str]]:
    """What the names of several files have in common, with dots for the rest, and the rest of each."""
    if len(files) == 1:
        return min(files), {}
    start = os.path.commonprefix(list(files))
    end = os.path.commonprefix([file[len(start) :][::-1] for file in files])[::-1]
    return f"{start}…{end}", {file: file[len(start) : len(file) - len(end)] for file in files}


def _happened(part: pd.DataFrame) -> str:
    """How many rows of a data set gave no example or were mended, by reason, and its notes."""
    counts = sum(map(Counter, part.counts), Counter())
    # from ledger rows that are older than the reasons
    unnamed = sum(n for n, reasons in zip(part.dropped, part.counts, strict=True) if not reasons)
    counted = [f"{count(n)}\N{NO-BREAK SPACE}× {reason}" for reason, n in sorted(counts.items())] + (
        [f"{count(unnamed)} set aside"] if unnamed else []
    )
    return "; ".join([*counted, *sorted(set(filter(None, part.note)))]) or "–"


ROLES = {
    "intermediate": "The nine intermediate tasks",
    "text": "Text for masked language modelling",
    "target": "The nine targets of XTREME",
    "xtreme-r": "What XTREME-R adds",
    "shift": "Further targets: other domains and adversarial rows, for the research questions",
    "alternative": "Alternatives to the intermediate tasks: open supertags, XTREME-R's training data, other "
    "languages",
}


def catalogue() -> str:
    """Tables of all declared tasks: data set and commit, languages, protocol, licence and source."""
    head = ["task", "data set at commit", "languages", "protocol", "licence, source"]
    text = ""
    for role, title in ROLES.items():
        lines = [_declared(task) for task in TASKS.values() if task.role == role]
        text += f"**{title}**\n\n" + small(markdown_table(head, lines))
    return text


def _declared(task: Task) -> list[str]:
    langs = task.langs.split()
    location = f"`{task.source}`" + (f" `{task.revision[:10]}`" if task.revision else "")
    if task.obtain and not task.obtain.startswith("none:"):  # rows that are generated
        location += fold("how to get it", html.escape(task.obtain))
    scoring = f"`{task.protocol}`" + (f"<br>after `{task.train_on}`" if task.scored and task.train_on else "")
    details = [folded(langs, of="languages"), scoring, f"{task.licence}<br>{task.citation}"]
    return [f"`{task.name}`<br>{task.kind}", location, *details]


def _lengths(s: Scale) -> str:
    """The longest sequence of a scale in pieces; of spans, the window and how far the next one begins."""
    return f"{s.max_len}" + (f"; spans {s.span_len} by {s.span_step}" if s.span_len else "")


def scales_table() -> str:
    """A table of all declared scales. A dash means the task's own setting, or the whole data set."""
    columns = "world encoder rows stage_rows eval_rows pieces steps stage_steps batch lr stage_lr".split()
    named = {"world": lambda s: s.world.name, "encoder": lambda s: s.encoder.name or "–", "pieces": _lengths}
    lines = [
        [
            f"`{s.name}`",
            *(named[name](s) if name in named else getattr(s, name) or "–" for name in columns),
            len(s.seeds),
        ]
        for s in SCALES.values()
    ]
    notes = "".join(f"- `{s.name}`: {s.note}.\n" for s in SCALES.values() if s.note)
    return markdown_table(["scale", *(name.replace("_", " ") for name in columns), "seeds"], lines) + notes
