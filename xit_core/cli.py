"""The `xit` command, a thin layer over the modules. Bad input ends with one line and exit status 2."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Collection, Sequence
from functools import cache
from pathlib import Path
from textwrap import shorten

from .design.encoders import lacking
from .design.run import DEFAULTS, MODELS
from .design.scales import SCALES, Scale, know_own, scale_of
from .design.studies import MAIN
from .machine.environment import environments_differ, fix_environment
from .machine.errors import NOTE, Bad, Failed
from .machine.places import ROOT


class Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are one line."""

    def error(self, message: str):
        """Raises: Bad with argparse's message."""
        raise Bad(f"{self.prog}: {message}; see {self.prog} --help")


class Version(argparse.Action):
    """Prints the version of the package and, if known, its commit."""

    def __call__(self, *_):
        from .machine.provenance import described

        print(described())
        raise SystemExit(0)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status.

    0 done, 1 a run failed or two ledgers do not agree, 2 bad input, 130 interrupted.
    """
    try:
        return done(argv)
    except BrokenPipeError:  # `xit tasks | head`
        drop_output()
        return 0
    except Bad as error:
        line, status = f"xit: {error}", 2
    except OSError as error:
        drop_output()
        line, status = f"xit: {error}; free or name another place and run again: what is finished is kept", 2
    except Failed as error:
        line, status = f"xit failed: {error}", 1
    except KeyboardInterrupt:
        line, status = "xit stopped; the same command resumes", 130
    print(" ".join(line.split()), file=sys.stderr)
    return status


def done(argv: Sequence[str] | None) -> int:
    """Do what a command says, and return the exit status. Raises: what `main` tells in a line."""
    try:
        prepare_process()
        arguments = vars(parser().parse_args(argv))
        if arguments.get("scale") is not None:
            arguments["scale"] = scale_of(arguments["scale"])
        return arguments.pop("does")(**arguments) or 0
    finally:
        sys.stdout.flush()  # what cannot be written is told here, and not by Python at its end


def drop_output() -> None:
    """Drop what standard output does not take: Python would fail over it at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def prepare_process() -> None:
    """Shield the process from its environment, from a terminal that cannot print a character, and from closed
    streams.

    Raises: Bad for a folder or an XIT_ variable with undecodable bytes, and as `fix_environment`.
    """
    for name in ("stdout", "stderr"):  # where that for notes is closed, `print` would write them to the other
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for as long as the process lives
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    names = (str(ROOT), *(value for name, value in os.environ.items() if name.startswith("XIT_")))
    if undecodable := [name for name in names if any("\udc80" <= letter <= "\udcff" for letter in name)]:
        raise Bad(
            f"{undecodable[0]!a}: no UTF-8, or this Python reads names as ASCII; set PYTHONUTF8=1, or "
            "name another folder"
        )
    fix_environment()
    know_own()


def parser() -> Parser:
    """The parser of the command line, with a subcommand for each command function below."""
    top = Parser(
        "xit", description="Intermediate-task training and zero-shot cross-lingual transfer, reproduced."
    )
    top.add_argument(
        "--version", action=Version, nargs=0, default=argparse.SUPPRESS, help="version, and commit if known"
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)

    def command(does: Callable, *, scale: str | None = None, to_json: bool = True) -> Parser:
        subparser = commands.add_parser(does.__name__, help=does.__doc__, description=does.__doc__)
        subparser.set_defaults(does=does)
        if scale:
            subparser.add_argument("--scale", default=scale, help=f"one of {' '.join(SCALES)} ({scale})")
        if to_json:
            subparser.add_argument("--json", dest="as_json", action="store_true", help="print JSON")
        return subparser

    command(tasks)
    add_plan_arguments(command(plan, scale="micro"))
    add_run_arguments(command(run))
    add_study_arguments(command(study, scale="micro", to_json=False))
    add_results_arguments(command(results, to_json=False))
    command(claims, scale="micro")
    add_questions_arguments(command(questions))
    add_compare_arguments(command(compare))
    add_simulate_arguments(command(simulate))
    add_data_arguments(command(data, scale="micro"))
    add_score_arguments(command(score))
    add_export_arguments(command(export, to_json=False))
    add_bench_arguments(command(bench))
    return top


def positive(text: str) -> int:
    """A command-line value as a whole number of 1 or more.

    Raises: argparse.ArgumentTypeError for anything else.
    """
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}; allowed: a whole number, 1 or more")
    return int(text)


def filled(text: str) -> str:
    """A command-line value that must not be empty.

    Raises: argparse.ArgumentTypeError for an empty one.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty; give its value")
    return text


def add_run_arguments(given: Parser) -> None:
    """The arguments of `xit run`: the fields of a run."""
    path_help = 'such as "mnli > xnli", "squad1+mlm > xquad, mlqa", "pretrained" or "analysis"'
    given.add_argument("path", help=path_help)
    for name, default in DEFAULTS.items():
        if name != "path":
            given.add_argument(f"--{name}", type=type(default), default=default, help=f"default: {default!r}")
    again_help = "execute a finished run once more: same scores? keep its predictions"
    given.add_argument("--again", action="store_true", help=again_help)
    processes_help = "share its trainings among so many GPUs of this machine (1)"
    given.add_argument("--processes", type=positive, default=1, metavar="N", help=processes_help)


def add_plan_arguments(given: Parser) -> None:
    """The arguments of `xit plan`."""
    given.add_argument("--study", default=MAIN)
    add_model_argument(given)


def add_model_argument(given: Parser) -> None:
    """The argument that names an encoder of the user's own."""
    model_help = "an encoder of your own: a folder in transformers' layout, or NAME@COMMIT of the hub"
    given.add_argument("--model", type=filled, help=model_help)


def add_simulate_arguments(given: Parser) -> None:
    """The arguments of `xit simulate`."""
    ledgers_help = "studies for each scenario and truth (100)"
    given.add_argument("--ledgers", type=positive, default=100, help=ledgers_help)
    given.add_argument("--cores", type=positive, default=os.cpu_count() or 1, help="processes (every core)")
    given.add_argument("--keep", action="store_true", help="store the result, which the book shows")


def add_export_arguments(given: Parser) -> None:
    """The arguments of `xit export`."""
    runs_help = "ids of finished runs, as `xit plan` lists them"
    given.add_argument("runs", nargs="+", metavar="RUN", help=runs_help)
    given.add_argument("--to", type=filled, required=True, metavar="DIR", help="where the predictions go")
    gold_help = "where the gold labels of the same instances go"
    given.add_argument("--gold", type=filled, metavar="DIR", help=gold_help)


def add_study_arguments(given: Parser) -> None:
    """The arguments of `xit study`."""
    study_help = "its name, or several with commas: what they train alike is trained once"
    given.add_argument("study", nargs="?", default=MAIN, help=study_help)
    at_once = "runs at a time (default: one a core; one a GPU; 100 jobs of a cluster)"
    given.add_argument("--cores", type=positive, help=at_once)
    profile_help = "where: local, gpu-box, slurm, or the folder of a Snakemake profile (local)"
    given.add_argument("--profile", type=filled, help=profile_help)
    resources_help = 'what a job of a cluster asks for, such as "slurm_partition=long slurm_account=me gpu=1"'
    given.add_argument("--resources", default="", help=resources_help)
    given.add_argument(
        "--budget", type=float, metavar="SECONDS", help="start nothing that would end later (default: no end)"
    )
    given.add_argument(
        "--seeds", type=positive, default=0, metavar="N", help="only seeds 1 to N (default: every seed)"
    )
    given.add_argument(
        "--direct", action="store_true", help="rows only, in this process: without papermill and Snakemake"
    )
    tidy_help = "delete the checkpoint of a stage once every run of the study that starts from it is finished"
    given.add_argument("--tidy", action="store_true", help=tidy_help)
    renew_help = "delete finished runs that other code made, and make them anew; published ones stay"
    given.add_argument("--renew", action="store_true", help=renew_help)
    add_model_argument(given)


def add_results_arguments(given: Parser) -> None:
    """The arguments of `xit results`."""
    action_help = (
        "merge: take in what another machine finished; publish: put a study's rows into one file a scale"
    )
    given.add_argument("action", choices=("merge", "publish"), help=action_help)
    folder_help = (
        "merge: holds <scale>/<run>.json, or what was published, at any depth, and executed notebooks"
    )
    given.add_argument("folder", nargs="?", type=filled, metavar="DIR", help=folder_help)
    given.add_argument("--study", help=f"publish: its name, or other for the rows of no study ({MAIN})")
    given.add_argument("--scale", help=f"publish: one of {' '.join(SCALES)} (every one with rows)")


def add_questions_arguments(subparser: Parser) -> None:
    """The arguments of `xit questions`."""
    subparser.add_argument("--scale", help="one scale (default: every scale of a question's design)")


def add_compare_arguments(given: Parser) -> None:
    """The arguments of `xit compare`."""
    for name, what in {"first": "the reference", "second": "its repetition"}.items():
        folder_help = f"the folder of {what}, as XIT_RESULTS names one"
        given.add_argument(name, type=filled, metavar="LEDGER", help=folder_help)
    given.add_argument("--scale", help=f"one of {' '.join(SCALES)} (every one that both have)")
    record_help = "keep the report for the book, in the folder compare of the ledger that XIT_RESULTS names"
    given.add_argument("--record", action="store_true", help=record_help)
    label_help = "its name, after the scale's (the processor's instructions)"
    given.add_argument("--label", type=filled, metavar="NAME", help=label_help)


def add_data_arguments(given: Parser) -> None:
    """The arguments of `xit data`."""
    given.add_argument("tasks", nargs="*", metavar="TASK", help="only these tasks")
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
    prune_help = "delete encoded rows, the least recently used first, until at most MIB are left (2048)"
    given.add_argument("--prune", type=positive, nargs="?", const=2048, metavar="MIB", help=prune_help)


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
    timed.add_argument("what", choices=("train", "retrieval", "study", "paper"))
    timed.add_argument("--scale", help=f"train (small), study (micro): one of {' '.join(SCALES)}")
    timed.add_argument(
        "--random",
        action="store_true",
        help="train: the scale's shape with random weights, drawn rows; no hub",
    )
    timed.add_argument("--keep", action="store_true", help="not paper: keep the numbers for the book")
    before_help = "study: the ledger of the same study that was made before"
    timed.add_argument("--before", type=filled, metavar="LEDGER", help=before_help)
    for name, description in COUNTS.items():
        timed.add_argument(f"--{name}", type=positive, help=description)


COUNTS = {
    "steps": "train: optimiser steps of each training",
    "rounds": "train, retrieval: how often each takes its turn",
    "long": "train: steps of one more training, whose host work is added up",
    "rows": "retrieval: sentences on each side",
    "dims": "retrieval: dimensions of their vectors",
    "rate": "paper: tokens/s of training, instead of measured ones",
}


def say(lines: list[str], most: int = 5) -> None:
    """Print notes that accompany a result to standard error: at most `most`, one a line, then the number of
    the others.
    """
    for line in [*lines[:most], *([f"and {len(lines) - most} more"] if len(lines) > most else [])]:
        print(NOTE + " ".join(line.split()), file=sys.stderr)


def read_ledger(scale: Scale, only: Collection[str] | None = None) -> list[dict]:
    """The rows of the ledger, read once, after one line for each damaged file and one for all outdated rows.

    `only`: the ids that are needed; of others the files are checked.
    Raises: Bad for a damaged volume, without which every run of a study would look unfinished.
    """
    from .ledger import results

    found = results.whole(scale.name, only)
    outdated = (
        f"{scale.name}: {len(found.outdated)} rows are left out: of another recipe, or of a task that is gone"
    )
    say(found.damaged + [outdated] * bool(found.outdated))
    return found.rows


def left_aside() -> list[str]:
    """One line about the files in the user's own folder that are not read; [] when there are none."""
    from .data.inventory import unread_files

    files = [*map(str, unread_files())]
    message = (
        f"XIT_LOCAL: {len(files)} files are not read: {', '.join(files[:5])}{', ...' * (len(files) > 5)}"
    )
    return [f"{message}; see `xit data` for the names that are"] if files else []


def tell(rows: list[dict] | dict, as_json: bool, *columns: str, digits: int = 1) -> None:
    """Print rows as JSON, or the named columns as a plain table."""
    if as_json:
        return print(json.dumps(rows, indent=1, ensure_ascii=False))
    from tabulate import tabulate

    cells = [
        [" ".join(cell) if isinstance(cell := row.get(column), (list, tuple)) else cell for column in columns]
        for row in rows
    ]
    print(tabulate(cells, columns, tablefmt="plain", floatfmt=f".{digits}f"))


def tasks(as_json: bool) -> None:
    """every task"""
    from .design.tasks import TASKS

    rows = []
    for task in TASKS.values():
        source, _, config = task.source.rpartition("/")
        shown = {
            key: getattr(task, key) for key in ("name", "kind", "role", "revision", "train_on", "metrics")
        }
        rows.append(shown | {"langs": task.langs.split(), "source": source, "config": config})
    tell(rows, as_json, "name", "kind", "role", "train_on", "metrics", "source", "langs")


def know_questions() -> None:
    """Make the studies of the research questions known, beside the main one."""
    from .report import questions  # noqa: F401


def plan(study: str, scale: Scale, model: str | None, as_json: bool) -> None:
    """the runs of a study and what they cost"""
    from .report.cost import costs

    know_questions()
    scale = started_from(scale, model) if model else scale
    read_ledger(scale, only=())
    estimate = costs(study, scale)
    if as_json:
        return tell(estimate, as_json)
    tell(estimate["runs"], as_json, "id", "on", "seed", "done", "tokens", "flops", "seconds")
    hours = estimate["hours"]
    known = "unknown: no run of each kind was timed" if hours is None else f"{hours:.3g} at the pace of"
    print(
        f"{sum(row['done'] for row in estimate['runs'])} of {len(estimate['runs'])} runs done; to do: "
        f"{estimate['gpu_hours']:.3g} GPU-hours, {estimate['gb']:.2g} GB of checkpoints "
        f"(with --tidy {estimate['gb_tidy']:.2g} at a time); "
        f"hours of one process {known}{'' if hours is None else ' ' + estimate['paced']}"
    )


def started_from(scale: Scale, model: str) -> Scale:
    """The scale with an encoder of the user's own. Its name is printed: other commands take it as --scale."""
    from .model.own import scale_from

    scale = scale_from(scale, model)
    print(f"scale {scale.name}", file=sys.stderr)
    return scale


def run(path: str, as_json: bool, again: bool, processes: int, **given: str | int | Scale) -> None:
    """a path (or several, with commas) through its notebook"""
    from .ledger import results
    from .run import jobs, launch

    if again and processes > 1:
        raise Bad(f"--again goes without --processes {processes}: a notebook repeats a run in one process")
    if given["model"] not in MODELS:
        given |= {"scale": started_from(given["scale"], given["model"]), "model": ""}
    job = jobs.job_of(path, **({"scale": given["scale"]} if path.strip() == jobs.ANALYSIS else given))
    say(left_aside())
    if processes > 1:
        from .run.direct import run_shared

        run_shared(job, processes)  # the notebook is then made from the rows
    output = launch.again(job) if again else launch.execute(job)
    rows = [results.read(job_run) for job_run in job.runs]
    if as_json:
        return tell(rows, as_json)
    scores = [{**score, "id": row["id"]} for row in rows for score in row["scores"]]
    tell(scores, as_json, "id", "lang", "metric", "value", "n")
    print(output)


def study(
    study: str,
    scale: Scale,
    cores: int | None,
    profile: str | None,
    resources: str,
    budget: float | None,
    seeds: int,
    direct: bool,
    tidy: bool,
    renew: bool,
    model: str | None,
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
    if direct and (cores or resources):
        raise Bad("--direct goes with neither --cores nor --resources: it makes one run after the other")
    scale = started_from(scale, model) if model else scale
    read_ledger(scale, only=())
    say(left_aside() + made_by_other_code(study, scale, seeds, renew))
    if direct:
        run_direct(study, scale, budget, seeds, tidy)
    else:
        run_study(study, scale, cores, profile, budget, seeds, resources, tidy)


def made_by_other_code(study: str, scale: Scale, seeds: int, renew: bool) -> list[str]:
    """One line about finished runs whose code has changed since; [] when there are none.

    `renew`: delete them, to be made anew.
    """
    from .design import studies
    from .run import changed
    from .run.workflow import study_lock

    found = changed.modules_changed(studies.runs(study, scale, seeds))
    if not renew or not found:
        return changed.told(found)
    with study_lock(scale):
        changed.forget(found)
    return [f"{len(found)} runs that other code made are made anew"]


def results(action: str, folder: str | None, study: str | None, scale: Scale | None) -> None:
    """merge another machine's rows into the ledger, or publish it: all or, if a row contradicts, nothing"""
    from .ledger import merge, results

    if action == "publish":
        return publish(folder, MAIN if study is None else study, scale)
    if not folder or study or scale:
        raise Bad("results merge: name the folder of another machine's rows, and neither study nor scale")
    new, old, books = merge.merge(Path(folder))
    print(f"{new} rows came in, {old} were there already; {books} executed notebooks came in")
    for scale in SCALES:
        say([f"{scale}: {warning}" for warning in [environments_differ(results.rows(scale))] if warning])


def publish(folder: str | None, study: str, scale: Scale | None) -> None:
    """Write a study's rows into files that are kept in git: at one scale, or at every scale that has rows.

    Raises: Bad when a folder is named.
    """
    from .ledger import publish as module

    know_questions()
    if folder:
        raise Bad(f"results publish {folder}: no folder is needed; XIT_RESULTS names the ledger")
    for name in [scale.name] if scale else module.scales_with_rows(study):
        published = module.publish_study(study, name)
        say([f"{name}: {line}" for line in published.left_out])
        print(f"{study} at {name}: {published}")


def claims(scale: Scale, as_json: bool) -> None:
    """the verdicts"""
    from .design import studies
    from .report import contrasts, verdicts

    rows = read_ledger(scale, only={run.id for run in studies.runs(studies.MAIN, scale)})
    names = "number id published estimate joint_low joint_high direction not_worse magnitude note"
    table = verdicts.table(scale.name, ledger=contrasts.Ledger(scale, stored=rows))
    tell(table, as_json, *names.split())
    for note in (scale.note, environments_differ(rows)):
        if note and not as_json:
            print(f"{scale.name}: {note}")


def questions(scale: Scale | None, as_json: bool) -> None:
    """the answers of the research questions"""
    from .report import questions as module

    rows = cache(lambda name: read_ledger(SCALES[name]))
    told = [
        row
        for question in module.in_order()
        for name in question.scales
        if not scale or scale.name == name
        for row in module.told(question, SCALES[name], rows(name))
    ]
    if not told:
        asked = dict.fromkeys(name for question in module.in_order() for name in question.scales)
        raise Bad(f"no question is asked at {scale.name}; name one of {', '.join(asked)}, or none for all")
    if as_json:
        return tell(told, as_json)
    for row in told:
        row["name"] += f" {module.LATER_MARK}" * row["later"]
    columns = ("question", "scale", "name", "estimate", "low", "high", "detectable", "verdict", "note")
    tell(told, as_json, *columns, digits=2)
    print(f"{module.LATER_MARK}: {module.LATER_SAYS}")


def compare(
    first: str, second: str, scale: Scale | None, as_json: bool, record: bool, label: str | None
) -> int:
    """whether two ledgers agree: claims and runs, beside what noise allows; exit status 1 if they do not"""
    from .report import compare as module

    if label and not record:
        raise Bad(f"--label {label}: it names what --record keeps; give both, or neither")
    folders = Path(first), Path(second)
    names = module.common_scales(*folders, scale.name if scale else None)
    reports = [module.compare_ledgers(*folders, name) for name in names]
    if record:
        from .report.repeat import keep_comparison

        say([f"kept in {keep_comparison(report, label)}" for report in reports])
    if as_json:
        tell(reports, as_json)
    else:
        print("\n\n".join(map(module.text, reports)))
    return int(not all(report["agrees"] for report in reports))


def simulate(ledgers: int, cores: int, keep: bool, as_json: bool) -> None:
    """how often the intervals cover the truth and the rules err, in made-up studies"""
    from .report import simulate

    records = simulate.simulate_all(ledgers, cores)
    if keep:
        simulate.keep_simulation(records)
    shown = records if as_json else simulate.summary(records)
    tell(shown, as_json, *"scenario studies coverage of wrong rule family".split())


def data(
    tasks: list[str], scale: Scale, as_json: bool, pack: str | None, most: int, prune: int | None
) -> None:
    """what is present, what is missing and how to get it; or a small mirror for a machine without network and
    Parquet
    """
    from .data.inventory import presence
    from .design.tasks import TASKS, task

    if tasks and (prune or pack):
        raise Bad(f"got {', '.join(tasks)}; --pack and --prune take no tasks, leave them out")
    asked = [task(name).name for name in tasks]
    if prune:
        from .model.encoded import prune as delete

        return tell([delete(prune << 20)], as_json, "deleted", "freed", "kept", "bytes")
    if pack:
        from .data.parcel import pack_mirror as write

        return tell(write(scale, Path(pack), most << 20), as_json, "repo", "config", "split", "rows", "note")
    rows = [row for row in presence(scale) if row["task"] in (asked or TASKS)]
    if lost := set(asked) - {row["task"] for row in rows}:
        raise Bad(f"scale {scale.name!r} reads no {', '.join(sorted(lost))}; take another with --scale")
    say(left_aside() + list(filter(None, [lacking(scale.encoder)])))
    if not as_json:
        rows = [row | {"stand_in": shorten(row["stand_in"], 60)} for row in rows]
    tell(rows, as_json, "task", "split", "source", "expected_rows", "rows", "state", "stand_in")


def score(submission: str, gold: str, benchmark: str, languages: str | None, as_json: bool) -> None:
    """score a folder in XTREME's submission layout as its official scorer does"""
    from .metrics import submission as module

    chosen = [code.strip() for code in languages.split(",")] if languages is not None else None
    scores = module.score_folder(Path(submission), Path(gold), benchmark, chosen)
    if files := module.unread(Path(submission), scores):
        say(
            [
                (
                    f"{submission}: not read: {', '.join(files[:5])}{', ...' * (len(files) > 5)}; the layout "
                    "is <task>/test-<language>"
                )
            ]
        )
    if as_json:
        return tell(scores, as_json)
    tell(module.score_table(scores), as_json, "task", "metric", "mean", "languages")


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
