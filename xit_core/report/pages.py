"""Ledger -> book/_generated: every table, figure, number and download of the book, none of them typed by
hand.

python -m xit_core.report.pages            before jupyter-book; an empty or a partial ledger will do
python -m xit_core.report.pages --readme   also rewrites what README.md says between its two markers
python -m xit_core.report.pages --subsets  also takes anew, from a mirror, what is shown of adversarial rows
"""

import argparse
import glob
import json
import os
import shutil
from functools import partial
from pathlib import Path

from .. import micro
from ..design.scales import SCALES, know_own, known_own
from ..machine.errors import Bad
from ..machine.places import ROOT, executed_dir, results_dir
from . import (
    appendix,
    chapters,
    claim_pages,
    compare,
    front,
    notebook_pages,
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
from .figures import figure
from .markdown import count, markdown_table, number, small
from .view import EMPTY, View, reduced, views_of

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
    chart = figure(out, None, "simulation", draw, title=title)
    return small(markdown_table(head, lines)) + chart


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
        **front.parts(views_of((*front.COLUMNS, *own_scales()), shown), out),
        "run_it.md": commands(),
        "scales.md": appendix.scales_table(),
        "rule.md": rules.RULE,
        "detectable.md": claim_pages.detectable_table(shown),
        "question_limits.md": question_pages.limits(),
        "example.md": claim_pages.worked_example(shown),
        "tested.md": "".join(f"**`{view.scale}`**\n\n{claim_pages.testable_section(view)}" for view in shown),
        **real_chapters(shown, phases, out),
        "languages.md": per_scale(sorted(shown, key=lambda view: not view.real), real.by_language),
        "data.md": per_scale(shown, appendix.data_tables),
        "catalogue.md": appendix.catalogue(),
        "runs.md": per_scale(shown, appendix.runs_table),
        "repeat.md": repeat.page(),
        "simulation.md": simulation_section(out),
        "repeat_rule.md": compare.ALLOWANCE + "\n",
        "performance_train.md": performance.training_tables(out),
        "performance_retrieval.md": performance.tables("retrieval") or performance.NONE,
        "performance_study.md": performance.tables("study") or performance.NONE,
        "kills.md": performance.kills(out),
        "adversarial.md": subsets.page(),
        "standing.md": front.standing(shown),
        "next_runs.md": performance.next_runs(),
        "performance_paper.md": performance.paper_hours(),
        "results.json": json.dumps({"repeat": {name: repeat.summary(name) for name in SCALES}}, indent=1),
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
            _, damaged = notebook_pages.notebooks_by_run(view.scale)
            ignored = shutil.ignore_patterns(".*", *map(glob.escape, damaged))
            shutil.copytree(folder, out / "extra/notebooks" / view.scale, ignore=ignored)
    for page, pattern in SHOWN_NOTEBOOKS.items():
        executed = [
            file for view in shown for file in sorted((out / "extra/notebooks" / view.scale).glob(pattern))
        ]
        if notebook := next(filter(notebook_pages.is_whole, executed), None):
            (out / f"{page}.ipynb").write_text(
                notebook_pages.notebook_page(notebook, page), encoding="utf8", newline="\n"
            )
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


def readme(path: Path) -> None:
    """Rewrite the part of README.md between the markers.

    Raises: Bad if it shows a scale whose rows are not in this ledger.
    """
    before, after = path.read_text(encoding="utf8").split(BEGIN)
    shown = views_of(front.COLUMNS, [])
    if missing := [view.scale for view in shown if not view.rows and front.scale_line(view) not in after]:
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
