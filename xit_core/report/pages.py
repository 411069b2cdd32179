"""Ledger -> book/_generated: every table, figure, number and download of the book, none of them typed by
hand.

python -m xit_core.report.pages            before jupyter-book; an empty or a partial ledger will do
python -m xit_core.report.pages --readme   also rewrites what README.md says between its two markers
python -m xit_core.report.pages --subsets  also takes anew, from a mirror, what is shown of adversarial rows
"""

import argparse
import glob
import html
import json
import os
import re
import shlex
import shutil
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path

import nbformat
import pandas as pd

from .. import micro
from ..design import run as design_run
from ..design.scales import SCALES, know_own, known_own
from ..design.tasks import TASKS, Task
from ..ledger import results
from ..machine import files
from ..machine.errors import Bad
from ..machine.places import ROOT, executed_dir, results_dir
from . import (
    chapters,
    claim_pages,
    compare,
    front,
    performance,
    plots,
    question_pages,
    questions,
    real,
    repeat,
    rules,
    simulate,
    subsets,
)
from .chapters import EMPTY, MARK, View, reduced
from .claims import MEASURED
from .markdown import count, folded, markdown_table, number, small

SHOWN_NOTEBOOKS = {  # page -> the executed notebook it shows
    "1_pretrained": "pretrained-*.ipynb",
    "2_intermediate": "mnli-*.ipynb",
    "3_target": "mnli.targets-*.ipynb",
    "4_analysis": "analysis*.ipynb",
}
BEGIN, END = "<!-- ledger: written by python -m xit_core.report.pages --readme -->", "<!-- end -->"


def views() -> list[View]:
    """Every scale with rows, or with files that should be rows; micro if the ledger is empty.

    The scale smoke is for tests and is shown only if there is no other.
    """
    with_rows = [view for view in map(View, SCALES) if view.rows or view.left_out]
    return [view for view in with_rows if view.scale != "smoke"] or with_rows or [View("micro")]


def own_scales() -> tuple[str, ...]:
    """The scales with an encoder of a reader's own that have a column: those at `smoke` are a test."""
    return tuple(name for name, told in known_own().items() if told["scale"] != "smoke")


# -- runs and data -------------------------------------------------------------------------------------------


def runs_table(view: View) -> str:
    """The list of runs that verdicts link to: for each run an anchor, score, provenance, ledger row and
    notebook. It is not printed.
    """
    scores = dict(results.headline(view.frame)[["id", "score"]].itertuples(index=False))
    notebooks, damaged = _notebooks(view.scale)
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
BLANK_PROVENANCE = {
    "commit": "",
    "clean": True,
    "device": "–",
    "seconds": 0.0,
    "predictions_sha256": "",
    "data": [],
}
NOTEBOOK = {"cells": [{"cell_type": str, "metadata": dict}], "metadata": dict, "nbformat": int}


def _notebooks(scale: str) -> tuple[dict[str, str], list[str]]:
    """(run id -> file name of the executed notebook that made it, file names of damaged notebooks).

    A notebook's own parameters say which runs it made.
    """
    by_run, damaged = {}, []
    for file in sorted((executed_dir() / scale).glob("[!.]*.ipynb")):
        try:
            parameters = _parameters(file)
        except Bad:
            damaged.append(file.name)
            continue
        # the task no longer exists, or the notebook is of another kind
        with suppress(Bad, TypeError, AttributeError):
            by_run |= (
                {run.id: file.name for run in design_run.runs_of(parameters.pop("path"), **parameters)}
                if "path" in parameters
                else {}
            )
    return by_run, damaged


def _parameters(file: Path) -> dict:
    """The parameters of an executed notebook; {} where it has none.

    Raises: Bad for a damaged one.
    """
    shape = NOTEBOOK | {"metadata": {"papermill?": {"parameters?": dict}}}
    return files.load(file, shape, "execute it again")["metadata"].get("papermill", {}).get("parameters", {})


def data_tables(view: View) -> str:
    """The data that the runs actually read: rows, content hashes, sources, stand-ins."""
    keys = ["task", "split", "stand_in", "licence", "home"]
    blank = {
        "dropped": 0,
        "counts": {},
        "note": "",
        "rows": 0,
        "sha256": "",
        "source": "–",
        "stand_in": False,
        "licence": "–",
    }
    data = pd.DataFrame([blank | part for row in view.rows for part in row["provenance"].get("data", [])])
    if data.empty:
        return EMPTY
    lines = []
    data = data.drop_duplicates(["task", "split", "stand_in", "licence", "source", "lang", "sha256"])
    # a data set has a file for each of its languages
    data = data.assign(home=data.source.str.split("/").str[:2].str.join("/"))
    for (task, split, stand_in, licence, _), part in data.groupby(keys, sort=False):
        source, differing = _shared(set(part.source))
        many = part.groupby("lang").source.transform("nunique") > 1
        names = [
            f"{lang} {differing[file]}" if several else lang
            for lang, file, several in zip(part.lang, part.source, many, strict=True)
        ]
        hashes = [
            f"{name}&nbsp;<code>{sha[:10]}</code>"
            for name, sha in sorted(zip(names, part.sha256, strict=True))
        ]
        cells = ["yes" if stand_in else "no", _happened(part), folded(hashes, of="hashes"), source, licence]
        lines.append([f"`{task}`", split, count(part.rows.sum()), *cells])
    head = [
        "task",
        "split",
        "rows",
        "stand-in",
        "set aside or mended",
        "languages, sha256 of their rows",
        "source",
        "licence",
    ]
    return small(markdown_table(head, lines))


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
    "shift": "Other domains and adversarial rows, for the research questions",
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
        location += f"<details><summary>how to get it</summary>{html.escape(task.obtain)}</details>"
    scoring = f"`{task.protocol}`" + (f"<br>after `{task.train_on}`" if task.scored and task.train_on else "")
    details = [folded(langs, of="languages"), scoring, f"{task.licence}<br>{task.citation}"]
    return [f"`{task.name}`<br>{task.kind}", location, *details]


def scales_table() -> str:
    """A table of all declared scales. A dash means the task's own setting, or the whole data set."""
    columns = [
        "world",
        "encoder",
        "rows",
        "stage_rows",
        "eval_rows",
        "steps",
        "stage_steps",
        "batch",
        "lr",
        "stage_lr",
    ]
    named = {"world": lambda s: s.world.name, "encoder": lambda s: s.encoder.name or "–"}
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


# -- all of it -----------------------------------------------------------------------------------------------


def book_numbers(shown: list[View]) -> dict:
    """The numbers for the role {res}: SCALE.runs .seconds .holds .fails .open .claims.ID.FIELD and so on, and
    what `repeat.summary` tells as repeat.SCALE.FIELD.

    They are null at scales without runs.
    """
    blank = {"claims": {row["id"]: dict.fromkeys(row) for row in shown[0].claims}}
    numbers = {name: dict.fromkeys(("runs", "seconds", *MARK)) | blank for name in SCALES}
    for view in (view for view in shown if view.rows):
        directions = [row["direction"] for row in view.claims if row["number"] <= MEASURED]
        numbers[view.scale] = {direction: directions.count(direction) for direction in MARK} | {
            "runs": len(view.rows),
            "seconds": sum(row["provenance"].get("seconds", 0) for row in view.rows),
            "claims": {row["id"]: row | {"runs": len(row["runs"])} for row in view.claims},
        }
    return numbers | {"repeat": {name: repeat.summary(name) for name in SCALES}}


def simulation_section(out: Path) -> str:
    """What the stored simulation of the rules found: a line a scenario, and the figure."""
    records = simulate.kept_simulation()
    if not records:
        return "*Not simulated yet: `xit simulate --keep` does it.*\n"
    head = [
        "how the seeds vary", "studies", "lowest coverage (%)", "of claim", "most frequent error (%)",
        "verdict", "any wrong after correction (%)",
    ]  # fmt: skip
    found = simulate.summary(records)
    lines = [
        [
            f"{each['says']} (*{each['scenario']}*)",
            *(count(each["studies"]), number(each["coverage"]), each["of"]),
            *(number(each["wrong"]), each["rule"], number(each["family"])),
        ]
        for each in found
    ]  # fmt: skip
    covered, wrong = min(each["coverage"] for each in found), max(each["wrong"] for each in found)
    title = f"Every interval covers the truth in {number(covered)} % or more, and no rule errs in more than "
    title += f"{number(wrong)} %."
    limits = {"covered": simulate.LEAST_COVERAGE, "wrong": simulate.MOST_ERRORS}
    allowed = [number(100 * limit) for limit in limits.values()]
    title += f" Allowed were {allowed[0]} % and {allowed[1]} %."
    draw = partial(plots.simulation, records, limits)
    chart = chapters.figure(out, None, "simulation", draw, title=title)
    return small(markdown_table(head, lines)) + chart


def views_of(scales: tuple[str, ...], shown: list[View]) -> list[View]:
    """The views of these scales. Those in `shown` are reused, so that each scale is measured only once."""
    by_scale = {view.scale: view for view in shown}
    return [by_scale.get(scale) or View(scale) for scale in scales]


def per_scale(shown: list[View], *blocks, level: str = "##") -> str:
    """The blocks of a chapter, under one heading per scale that has rows."""
    parts = [
        f"{level} Scale `{view.scale}`\n\n{reduced(view)}" + "\n".join(block(view) for block in blocks)
        for view in shown
        if view.rows
    ]
    return "\n".join(parts) or EMPTY


def build(out: Path | None = None) -> Path:
    """Write every file that the pages include, and return their folder."""
    out = out or ROOT / "book/_generated"
    shutil.rmtree(out, ignore_errors=True)
    shown = views()
    for name, text in generated(shown, out).items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text, encoding="utf8")
    _copies(out, shown)
    return out


def generated(shown: list[View], out: Path) -> dict[str, str]:
    """The text of every file that the pages include, by name; figures are saved in `out`."""
    phase_sections = {
        "pretrained": chapters.encoder_phase,
        "intermediate": chapters.stage_phase,
        "target": chapters.target_phase,
    }
    phases = {name: partial(section, out=out) for name, section in phase_sections.items()}
    made_up = [view for view in shown if not view.real]
    texts = claim_pages.sections(shown, out) | {
        f"{name}.md": per_scale(made_up, block, level="###") for name, block in phases.items()
    }
    return texts | {
        **front.parts(views_of((*front.SCALES, *own_scales()), shown), out),
        "run_it.md": commands(),
        "scales.md": scales_table(),
        "rule.md": rules.RULE,
        "example.md": claim_pages.worked_example(shown),
        "tested.md": "".join(f"**`{view.scale}`**\n\n{claim_pages.testable_section(view)}" for view in shown),
        **real_chapters(shown, phases, out),
        "languages.md": per_scale(sorted(shown, key=lambda view: not view.real), real.by_language),
        "data.md": per_scale(shown, data_tables),
        "catalogue.md": catalogue(),
        "runs.md": per_scale(shown, runs_table),
        "repeat.md": repeat.page(),
        "simulation.md": simulation_section(out),
        "repeat_rule.md": compare.ALLOWANCE + "\n",
        "performance_train.md": performance.training_tables(out),
        "performance_retrieval.md": performance.retrieval_tables(),
        "performance_study.md": performance.study_tables(),
        "kills.md": performance.kills(out),
        "adversarial.md": subsets.page(),
        "standing.md": front.standing(shown),
        "next_runs.md": performance.next_runs(),
        "performance_paper.md": performance.paper_hours(),
        "results.json": json.dumps(book_numbers(shown), indent=1, sort_keys=True),
        **question_chapters(shown, out),
        **micro.pages(),
    }


def question_chapters(shown: list[View], out: Path) -> dict[str, str]:
    """What the chapter of each research question includes, by name: its short answer, and all the rest."""
    texts = {}
    for name, question in questions.QUESTIONS.items():
        asked = views_of(question.scales, shown)
        page = per_scale(asked, partial(question_pages.page, question, out=out))
        texts[f"questions/{name}_answer.md"] = question_pages.answers(question, asked)
        texts[f"questions/{name}.md"] = page + question_pages.rule(question)
    return texts


def real_chapters(shown: list[View], phases: dict, out: Path) -> dict[str, str]:
    """The chapters of scales with real languages, by name: the claims first, then phase by phase."""
    claimed, blocks = (real.verdicts, real.design), (*phases.values(), partial(real.factors, out=out))
    (small_view,), own = views_of(("small",), shown), views_of(own_scales(), shown)

    def of_small(*blocks) -> str:
        return "\n".join(block(small_view) for block in blocks) if small_view.rows else EMPTY

    return {
        "small_claims.md": of_small(reduced, *claimed),
        "small.md": of_small(*blocks),
        "own.md": per_scale(own, *claimed, *blocks) if own else NO_ENCODER,
    }


NO_ENCODER = "*Nobody has added an encoder to this ledger yet.*\n"


def _copies(out: Path, shown: list[View]) -> None:
    """Copy ledger rows and undamaged executed notebooks for download, and four notebooks as pages."""
    # the folder is not called "executed": book/ has that name too, and jupyter-book would leave it out by the
    # patterns for files that no page shows
    for view in shown:
        for kind in ("ledger", "notebooks"):
            (out / "extra" / kind).mkdir(parents=True, exist_ok=True)
        for row in view.rows:
            _row(row, out / "extra/ledger" / view.scale / f"{row['id']}.json")
        if (folder := executed_dir() / view.scale).is_dir():
            damaged = shutil.ignore_patterns(".*", *map(glob.escape, _notebooks(view.scale)[1]))
            shutil.copytree(folder, out / "extra/notebooks" / view.scale, ignore=damaged)
    for page, pattern in SHOWN_NOTEBOOKS.items():
        executed = [
            file for view in shown for file in sorted((out / "extra/notebooks" / view.scale).glob(pattern))
        ]
        if notebook := next(filter(_valid, executed), None):
            (out / f"{page}.ipynb").write_text(notebook_page(notebook, page), encoding="utf8", newline="\n")
        else:
            (out / f"{page}.md").write_text(f"# Notebook {page}\n\n*Not executed yet.*\n", encoding="utf8")


def commands() -> str:
    """The commands of the front page, with the address of the repository where it is known."""
    address = os.environ.get("XIT_REPOSITORY", "").split("/tree/")[0]
    clone = f"git clone {address} xit && cd xit" if address else "# in a clone of the repository"
    return f"```sh\n{clone}\n{COMMANDS}```\n"


COMMANDS = """\
# needs Python 3.11, make and git; installs the rest into .venv
# the laboratory, in twenty minutes of two cores, then this book
make study
# a real encoder of twelve layers (90 MB), and what its study takes
make encoder SCALE=small
.venv/bin/xit plan --scale small
# the same study from your own encoder
.venv/bin/xit study --scale small --model FOLDER
"""


def notebook_page(notebook: Path, template: str) -> str:
    """An executed notebook as a page: how to run it comes after its title, and its code is folded."""
    shown = nbformat.read(notebook, as_version=4)
    for cell in shown.cells:
        if cell.cell_type == "code":
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "hide-input"]
    given = shown.metadata.get("papermill", {}).get("parameters", {})
    shown.cells.insert(1, nbformat.v4.new_markdown_cell(run_it(template, given), id="run-it-yourself"))
    return nbformat.writes(shown) + "\n"


def run_it(template: str, given: dict) -> str:
    """The box that says how a notebook is executed with these parameters, and compared with what it shows."""
    kept = {name: str(x) for name, x in given.items() if x != OPTIONAL.get(name)}
    papermill = " ".join(f"-p {name} {shlex.quote(x)}" for name, x in kept.items())
    commands = [f"papermill notebooks/{template}.ipynb again.ipynb {papermill}"]
    if path := kept.pop("path", ""):
        options = " ".join(f"--{name} {shlex.quote(x)}" for name, x in kept.items())
        commands.insert(0, f"xit run {shlex.quote(path)} {options}")
    return RUN_IT.format(commands="\n".join(commands), launch=launch(template), takes=takes(given))


def launch(template: str) -> str:
    """How a notebook is opened without installing anything: a link where XIT_REPOSITORY says that this is the
    book of a repository on GitHub (https://github.com/OWNER/NAME, or with /tree/TAG behind).
    """
    if not (parts := GITHUB.fullmatch(os.environ.get("XIT_REPOSITORY", ""))):
        return "A service such as Binder opens it from the repository, by `environment.yml` and `postBuild`."
    place = f"{parts['owner']}/{parts['tag'] or 'HEAD'}?urlpath=lab/tree/notebooks/{template}.ipynb"
    return f"[Open it in your browser](https://mybinder.org/v2/gh/{place}), on a machine that Binder lends."


def takes(given: dict) -> str:
    """How long the runs of an executed notebook took, as their rows say; "" where it trains nothing, or has a
    path of another version.
    """
    made = []
    with suppress(Bad):
        made = [results.read(run) for run in design_run.runs_of(**given)] if "path" in given else []
    seconds = sum(row["provenance"].get("seconds", 0.0) for row in made if row)
    took = f"{number(seconds / 60)} minutes" if seconds > 60 else f"{number(seconds)} seconds"
    return f" According to the ledger, this took {took} when the rows were made." if seconds else ""


GITHUB = re.compile(r"https://github\.com/(?P<owner>[\w.-]+/[\w.-]+?)(?:\.git)?/?(?:/tree/(?P<tag>[\w.-]+))?")
# what a command need not name, for it is so without; a seed is always named
OPTIONAL = {name: x for name, x in design_run.DEFAULTS.items() if name != "seed"}
RUN_IT = """:::{{admonition}} Run it yourself
:class: tip

```sh
{commands}
```

Each command executes this notebook, whose code is folded on screen.
{launch}
What the ledger holds is read and not trained again.{takes}

`pytest --nbval --nbval-sanitize-with tests/nbval_sanitize.cfg again.ipynb` executes the notebook once more
and compares every output with what is stored in it.
To guard one of your own, execute it with papermill and give its file to the same command.
:::"""


def _row(row: dict, file: Path) -> None:
    """Write a row to its own file: a copy of the working file, or the row as that file had it before it was
    published.
    """
    file.parent.mkdir(exist_ok=True)
    working = results_dir() / row["scale"] / file.name
    if working.is_file():
        shutil.copy(working, file)
    else:
        file.write_text(json.dumps(row, indent=1, sort_keys=True) + "\n", encoding="utf-8", newline="\n")


def _valid(notebook: Path) -> bool:
    """Whether a notebook can be shown as a page."""
    with suppress(Bad):
        files.read_foreign(
            notebook, lambda file: nbformat.validate(nbformat.read(file, as_version=4)), "execute it again"
        )
        return True
    return False


def readme(path: Path) -> None:
    """Rewrite the part of README.md between the markers.

    Raises: Bad if it shows a scale whose rows are not in this ledger.
    """
    before, after = path.read_text(encoding="utf8").split(BEGIN)
    shown = views_of(front.SCALES, [])
    if missing := [view.scale for view in shown if not view.rows and front.tally(view) not in after]:
        raise Bad(
            f"{path.name} shows the scale {missing[0]!r}, of which there are no rows here: `make study "
            f"SCALE={missing[0]}` first"
        )
    path.write_text(f"{before}{BEGIN}\n\n{front.plain(shown)}{END}{after.split(END)[1]}", encoding="utf8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--readme", action="store_true", help="also rewrite the block of README.md")
    parser.add_argument(
        "--subsets", action="store_true", help="also rewrite what is shown of adversarial rows"
    )
    given = parser.parse_args()
    try:
        know_own()
        if given.subsets:
            subsets.keep(SCALES[subsets.SCALE])
        if given.readme:
            readme(ROOT / "README.md")
        print(build())
    except Bad as error:
        parser.exit(2, f"pages: {error}\n")
