"""Executed notebooks: which runs they made, and as pages that say how each is executed again."""

import os
import re
import shlex
from contextlib import suppress
from pathlib import Path

import nbformat

from ..design import run as design_run
from ..ledger import results
from ..machine import files
from ..machine.errors import Bad
from ..machine.places import executed_dir
from .markdown import number

NOTEBOOK = {"cells": [{"cell_type": str, "metadata": dict}], "metadata": dict, "nbformat": int}


def notebooks_by_run(scale: str) -> tuple[dict[str, str], list[str]]:
    """(run id -> file name of the executed notebook that made it, file names of damaged notebooks).

    A notebook's own parameters say which runs it made.
    """
    by_run, damaged = {}, []
    for file in sorted((executed_dir() / scale).glob("[!.]*.ipynb")):
        try:
            given = parameters(file)
        except Bad:
            damaged.append(file.name)
            continue
        # the task no longer exists, or the notebook is of another kind
        with suppress(Bad, TypeError, AttributeError):
            made = design_run.runs_of(**given) if "path" in given else []
            by_run |= {run.id: file.name for run in made}
    return by_run, damaged


def parameters(file: Path) -> dict:
    """The parameters of an executed notebook; {} where it has none.

    Raises: Bad for a damaged one.
    """
    shape = NOTEBOOK | {"metadata": {"papermill?": {"parameters?": dict}}}
    return files.load(file, shape, "execute it again")["metadata"].get("papermill", {}).get("parameters", {})


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


def is_whole(notebook: Path) -> bool:
    """Whether a notebook can be shown as a page."""
    with suppress(Bad):
        files.read_foreign(
            notebook, lambda file: nbformat.validate(nbformat.read(file, as_version=4)), "execute it again"
        )
        return True
    return False
