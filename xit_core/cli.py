"""The `xit` command: a thin face of the modules. Bad input ends with one line and exit status 2."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import shorten

from .design.run import DEFAULTS
from .design.scales import SCALES, Scale
from .design.scales import scale as scale_of
from .design.studies import MAIN
from .machine.environment import environments_differ, fix_environment
from .machine.errors import Bad
from .machine.places import ROOT


class Parser(argparse.ArgumentParser):
    """argparse, with errors of one line."""

    def error(self, message: str):
        """Raises: Bad with the message of argparse."""
        raise Bad(f"{self.prog}: {message}; see {self.prog} --help")


class Version(argparse.Action):
    """Prints what the package is, and of which commit."""

    def __call__(self, *_):
        from .machine.provenance import described

        print(described())
        raise SystemExit(0)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 1 a run failed, 2 bad input, 130 interrupted."""
    from .run.launch import Failed

    try:
        prepare_process()
        given = vars(parser().parse_args(argv))
        if given.get("scale") is not None:
            given["scale"] = scale_of(given["scale"])
        given.pop("does")(**given)
        return 0
    except BrokenPipeError:  # `xit tasks | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Bad as error:
        line, status = f"xit: {error}", 2
    except OSError as error:
        line, status = f"xit: {error}; free or name another place and run again: what is finished is kept", 2
    except Failed as error:
        line, status = f"xit failed: {error}", 1
    except KeyboardInterrupt:
        line, status = "xit stopped; the same command resumes", 130
    print(" ".join(line.split()), file=sys.stderr)
    return status


def prepare_process() -> None:
    """Make the process deaf to its environment; a terminal that lacks a letter stops nothing.

    Raises: Bad.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    names = (str(ROOT), *(value for name, value in os.environ.items() if name.startswith("XIT_")))
    if odd := [name for name in names if any("\udc80" <= c <= "\udcff" for c in name)]:
        raise Bad(
            f"{odd[0]!a}: no UTF-8, or this Python reads names as ASCII; set PYTHONUTF8=1, or name another "
            "folder"
        )
    fix_environment()


def parser() -> Parser:
    """The command line: a subcommand for each function below."""
    top = Parser(
        "xit", description="Intermediate-task training and zero-shot cross-lingual transfer, reproduced."
    )
    top.add_argument(
        "--version", action=Version, nargs=0, default=argparse.SUPPRESS, help="version, and commit if known"
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)

    def command(does: Callable, *, scale: str | None = None, to_json: bool = True) -> Parser:
        added = commands.add_parser(does.__name__, help=does.__doc__, description=does.__doc__)
        added.set_defaults(does=does)
        if scale:
            added.add_argument("--scale", default=scale, help=f"one of {' '.join(SCALES)} ({scale})")
        if to_json:
            added.add_argument("--json", dest="as_json", action="store_true", help="print JSON")
        return added

    command(tasks)
    command(plan, scale="micro").add_argument("--study", default=MAIN)
    add_run_arguments(command(run))
    add_study_arguments(command(study, scale="micro", to_json=False))
    add_results_arguments(command(results, to_json=False))
    command(claims, scale="micro")
    add_data_arguments(command(data, scale="micro"))
    add_score_arguments(command(score))
    add_export_arguments(command(export, to_json=False))
    add_bench_arguments(command(bench))
    return top


def positive(text: str) -> int:
    """A whole number, 1 or more, of the command line."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}; allowed: a whole number, 1 or more")
    return int(text)


def filled(text: str) -> str:
    """A name of the command line that is one."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty; name a folder")
    return text


def add_run_arguments(given: Parser) -> None:
    """The arguments of `xit run`: the fields of a run."""
    said = 'such as "mnli > xnli", "squad1+mlm > xquad, mlqa", "pretrained" or "analysis"'
    given.add_argument("path", help=said)
    for name, default in DEFAULTS.items():
        if name != "path":
            given.add_argument(f"--{name}", type=type(default), default=default, help=f"default: {default!r}")
    again = "execute a finished run once more: same scores? keep its predictions"
    given.add_argument("--again", action="store_true", help=again)


def add_export_arguments(given: Parser) -> None:
    """The arguments of `xit export`."""
    said = "ids of finished runs, as the ledger names them"
    given.add_argument("runs", nargs="+", metavar="RUN", help=said)
    given.add_argument("--to", type=filled, required=True, metavar="DIR", help="where the predictions go")
    told = "where the gold labels of the same instances go"
    given.add_argument("--gold", type=filled, metavar="DIR", help=told)


def add_study_arguments(given: Parser) -> None:
    """The arguments of `xit study`."""
    given.add_argument("study", nargs="?", default=MAIN)
    given.add_argument(
        "--cores", type=positive, default=os.cpu_count() or 1, help="runs at a time (default: every core)"
    )
    given.add_argument("--profile", type=filled, help="a Snakemake profile, for a cluster")
    given.add_argument(
        "--budget", type=float, metavar="SECONDS", help="start nothing that would end later (default: no end)"
    )
    given.add_argument(
        "--direct", action="store_true", help="rows only, in this process: without papermill and Snakemake"
    )


def add_results_arguments(given: Parser) -> None:
    """The arguments of `xit results`."""
    told = "merge: take in what another machine finished; publish: put a study's rows into one file a scale"
    given.add_argument("action", choices=("merge", "publish"), help=told)
    holds = "merge: holds <scale>/<run>.json, or what was published, at any depth, and executed notebooks"
    given.add_argument("folder", nargs="?", type=filled, metavar="DIR", help=holds)
    given.add_argument("--study", help=f"publish: its name, or other for the rows of no study ({MAIN})")
    given.add_argument("--scale", help=f"publish: one of {' '.join(SCALES)} (every one with rows)")


def add_data_arguments(given: Parser) -> None:
    """The arguments of `xit data`."""
    given.add_argument(
        "--pack",
        type=filled,
        metavar="DIR",
        help="write a small mirror of what the study reads, as JSON lines",
    )
    given.add_argument(
        "--most",
        type=positive,
        default=60,
        metavar="MIB",
        help="its size, at most: longer texts are cut (60)",
    )


def add_score_arguments(given: Parser) -> None:
    """The arguments of `xit score`."""
    layout = "in XTREME's layout: <task>/test-<lang>.tsv"
    given.add_argument("--submission", required=True, metavar="DIR", help=f"predictions {layout}")
    given.add_argument("--gold", required=True, metavar="DIR", help="gold labels in the same layout")
    given.add_argument("--benchmark", default="xtreme", help="xtreme or xtreme-r")
    given.add_argument(
        "--languages", metavar="de,en", help="score only these (default: those an export lists, else all)"
    )


def add_bench_arguments(timed: Parser) -> None:
    """The arguments of `xit bench`."""
    timed.add_argument("what", choices=("train", "retrieval", "study"))
    timed.add_argument("--scale", help=f"train: one of {' '.join(SCALES)} (pocket)")
    timed.add_argument(
        "--random",
        action="store_true",
        help="train: the scale's shape with random weights, drawn rows; no hub",
    )
    timed.add_argument("--keep", action="store_true", help="train, retrieval: keep the numbers for the book")
    for name, told in COUNTS.items():
        timed.add_argument(f"--{name}", type=positive, help=told)


COUNTS = {
    "steps": "train: optimiser steps of each training",
    "rounds": "train, retrieval: how often each takes its turn",
    "long": "train: steps of one more training, whose host work is added up",
    "rows": "retrieval: sentences on each side",
    "dims": "retrieval: dimensions of their vectors",
    "rate": "study: tokens/s of training, instead of measured ones",
}


def say(lines: list[str], most: int = 5) -> None:
    """Print what a person should know beside the result: to standard error, a line each, and how many more
    there are.
    """
    for line in [*lines[:most], *([f"and {len(lines) - most} more"] if len(lines) > most else [])]:
        print("xit: " + " ".join(line.split()), file=sys.stderr)


def damaged(scale: Scale) -> list[str]:
    """What of the ledger is left out, a line each."""
    from .ledger.results import survey

    found = survey(scale.name)
    gone = (
        f"{scale.name}: {len(found.outdated)} rows are left out: of another recipe, or of a task that is gone"
    )
    return found.damaged + [gone] * bool(found.outdated)


def left_aside() -> list[str]:
    """What lies in a person's own folder and is not read, in one line; [] for nothing."""
    from .data.inventory import unread_files

    lost = [*map(str, unread_files())]
    told = f"XIT_LOCAL: {len(lost)} files are not read: {', '.join(lost[:5])}{', ...' * (len(lost) > 5)}"
    return [f"{told}; see `xit data` for the names that are"] if lost else []


def tell(rows: list[dict] | dict, as_json: bool, *columns: str) -> None:
    """Print rows as JSON, or these columns of them as a plain table."""
    if as_json:
        return print(json.dumps(rows, indent=1, ensure_ascii=False))
    from tabulate import tabulate

    cells = [
        [" ".join(x) if isinstance(x := row.get(c), (list, tuple)) else x for c in columns] for row in rows
    ]
    print(tabulate(cells, columns, tablefmt="plain", floatfmt=".1f"))


def tasks(as_json: bool) -> None:
    """every task"""
    from .design.tasks import TASKS

    rows = []
    for t in TASKS.values():
        source, _, config = t.source.rpartition("/")
        told = {key: getattr(t, key) for key in ("name", "kind", "role", "revision", "train_on", "metrics")}
        rows.append(told | {"langs": t.langs.split(), "source": source, "config": config})
    tell(rows, as_json, "name", "kind", "role", "train_on", "metrics", "source", "langs")


def know_questions() -> None:
    """Make the studies of the research questions known, beside the main one."""
    from .report import questions  # noqa: F401


def plan(study: str, scale: Scale, as_json: bool) -> None:
    """the runs of a study and what they cost"""
    from .report.cost import costs

    know_questions()
    told = costs(study, scale)
    if as_json:
        return tell(told, as_json)
    tell(told["runs"], as_json, "id", "on", "seed", "done", "tokens", "flops")
    print(
        f"{sum(r['done'] for r in told['runs'])} of {len(told['runs'])} runs done; {told['gpu_hours']:.3g} "
        "GPU-hours to do"
    )


def run(path: str, as_json: bool, again: bool, **given: str | int | Scale) -> None:
    """a path (or several, with commas) through its notebook"""
    from .ledger import results
    from .run import launch

    job = launch.job(path, **({"scale": given["scale"]} if path.strip() == launch.ANALYSIS else given))
    say(left_aside())
    output = launch.again(job) if again else launch.execute(job)
    rows = [results.read(r) for r in job.runs]
    if as_json:
        return tell(rows, as_json)
    tell(
        [{**score, "id": row["id"]} for row in rows for score in row["scores"]],
        as_json,
        "id",
        "lang",
        "metric",
        "value",
        "n",
    )
    print(output)


def study(
    study: str, scale: Scale, cores: int, profile: str | None, budget: float | None, direct: bool
) -> None:
    """a whole study through Snakemake, then the analysis; finished runs are skipped"""
    from .run.direct import run_direct
    from .run.workflow import run_study

    know_questions()
    if budget is not None and not budget > 0:
        raise Bad(f"--budget {budget:g}; allowed: more than 0 seconds")
    if profile and (direct or budget):
        raise Bad(
            "--profile goes with neither --direct nor --budget; a cluster's profile has the time limit of "
            "its jobs"
        )
    if profile and not list(Path(profile).glob("config*.yaml")):
        raise Bad(f"--profile {profile}: no config.yaml there; name the folder of a Snakemake profile")
    say(damaged(scale) + left_aside())
    run_direct(study, scale, budget) if direct else run_study(study, scale, cores, profile, budget)


def results(action: str, folder: str | None, study: str | None, scale: Scale | None) -> None:
    """merge another machine's rows into the ledger, or publish it: all or, if a row contradicts, nothing"""
    from .ledger import merge, results

    if action == "publish":
        return publish(folder, study or MAIN, scale)
    if not folder or study or scale:
        raise Bad("results merge: name the folder of another machine's rows, and neither study nor scale")
    new, old, books = merge.merge(Path(folder))
    print(f"{new} rows came in, {old} were there already; {books} executed notebooks came in")
    for scale in SCALES:
        say([f"{scale}: {told}" for told in [environments_differ(results.rows(scale))] if told])


def publish(folder: str | None, study: str, scale: Scale | None) -> None:
    """The rows of a study at a scale, or at every one that has some, into files that are kept in git."""
    from .ledger import publish as module

    know_questions()
    if folder:
        raise Bad(f"results publish {folder}: no folder is needed; XIT_RESULTS names the ledger")
    for name in [scale.name] if scale else module.scales_with_rows(study):
        done = module.publish_study(study, name)
        say([f"{name}: {line}" for line in done.left_out])
        print(f"{study} at {name}: {done}")


def claims(scale: Scale, as_json: bool) -> None:
    """the verdicts"""
    from .ledger import results
    from .report import verdicts

    say(damaged(scale))
    shown = ("number", "id", "published", "estimate", "low", "high", "direction", "magnitude")
    tell(verdicts.table(scale.name), as_json, *shown)
    for note in (scale.note, environments_differ(results.rows(scale.name))):
        if note and not as_json:
            print(f"{scale.name}: {note}")


def data(scale: Scale, as_json: bool, pack: str | None, most: int) -> None:
    """what is present, what is missing and how to get it; or a small mirror for a machine without network and
    Parquet
    """
    from .data.inventory import presence

    if pack:
        from .data.parcel import pack_mirror as write

        return tell(write(scale, Path(pack), most << 20), as_json, "repo", "config", "split", "rows", "note")
    rows = presence(scale)
    say(left_aside())
    if not as_json:
        rows = [row | {"stand_in": shorten(row["stand_in"], 60)} for row in rows]
    tell(rows, as_json, "task", "split", "source", "expected_rows", "rows", "state", "stand_in")


def score(submission: str, gold: str, benchmark: str, languages: str | None, as_json: bool) -> None:
    """score a folder in XTREME's submission layout as its official scorer does"""
    from .metrics import submission as module

    chosen = [x.strip() for x in languages.split(",")] if languages is not None else None
    found = module.score_folder(Path(submission), Path(gold), benchmark, chosen)
    if lost := module.unread(Path(submission), found):
        say(
            [
                (
                    f"{submission}: not read: {', '.join(lost[:5])}{', ...' * (len(lost) > 5)}; the layout "
                    "is <task>/test-<language>"
                )
            ]
        )
    if as_json:
        return tell(found, as_json)
    tell(module.score_table(found), as_json, "task", "metric", "mean", "languages")


def bench(what: str, as_json: bool, **given: int | str | Scale | None) -> None:
    """speed and memory against a baseline in the same process"""
    from . import bench as module

    tell(module.benchmark(what, **given), as_json, *module.KEYS)


def export(runs: list[str], to: str, gold: str | None) -> None:
    """write such a folder from finished runs"""
    from .report.export import write_submission as write

    for file in write(runs, Path(to), Path(gold) if gold else None):
        print(file)


if __name__ == "__main__":
    sys.exit(main())
