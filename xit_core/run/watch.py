"""What a study is doing, for who looks on: a line in the terminal and a page that refreshes itself."""

import html
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from ..ledger import results
from ..machine.files import write_text
from ..machine.places import logs_dir
from .jobs import Job

REFRESH = 10  # seconds between two states of the page
LAST = 20  # lines of a failed notebook's log that the page shows
NAME = "progress.html"
HEAD = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>{title}</title>{refresh}<style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }}
td, th {{ text-align: left; padding: .1rem 1rem .1rem 0; vertical-align: top }}
pre {{ overflow: auto; border-left: 3px solid; padding-left: 1rem }}
</style>
"""


@dataclass
class Watch:
    """A study that runs: its notebooks, and what is known of each."""

    jobs: list[Job]
    tidy: Callable[[], None] = lambda: None  # called whenever the page is written
    begin: float = field(default_factory=time.time)
    written: float = 0.0  # when the page was written last
    started: dict[str, float] = field(default_factory=dict)  # notebook -> when its process was seen first
    rates: dict[str, str] = field(default_factory=dict)  # finished notebook -> tokens a second, read once

    def state(self, job: Job) -> str:
        """done, waiting, running or failed."""
        if job.output.is_file():
            return "done"
        if not job.log.is_file():
            return "waiting"
        last = self.last_lines(job)[-1:]
        return "failed" if last and last[0].startswith("xit") else "running"

    def last_lines(self, job: Job) -> list[str]:
        """The last lines that a notebook's process said."""
        try:
            return job.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-LAST:]
        except FileNotFoundError:
            return []

    def line(self) -> str:
        """What runs now, in a few words."""
        running = [named(job) for job in self.jobs if self.state(job) == "running"]
        return "; ".join(running[:2]) + f" and {len(running) - 2} more" * (len(running) > 2)

    def update(self, over: bool = False) -> None:
        """Look, and write the page, unless that was done a moment ago. `over`: nothing runs any more."""
        for job in self.jobs:
            if job.id not in self.started and job.log.is_file():
                self.started[job.id] = time.time()
        if over or time.time() - self.written >= REFRESH:
            self.written = time.time()
            self.tidy()
            write_text(logs_dir(self.jobs[0].scale.name) / NAME, self.page(over))

    def page(self, over: bool = False) -> str:
        """The page as it is now."""
        states = {job: self.state(job) for job in self.jobs}
        if over:
            states = {job: "stopped" if state == "running" else state for job, state in states.items()}
        done = sum(state == "done" for state in states.values())
        scale = self.jobs[0].scale.name
        refresh = "" if over else f'<meta http-equiv="refresh" content="{REFRESH}">'
        head = HEAD.format(title=f"{done} of {len(self.jobs)}: {scale}", refresh=refresh)
        summary = "".join(f"<p>{html.escape(text)}</p>" for text in self.summary(done, over))
        order = sorted(
            states, key=lambda job: ("failed", "running", "stopped", "done", "waiting").index(states[job])
        )
        rows = "".join(self.row(job, states[job]) for job in order)
        table = f"<table><tr><th>state<th>notebook<th>minutes<th>tokens a second</tr>{rows}</table>"
        return f"{head}<h1>{done} of {len(self.jobs)} notebooks at {scale}</h1>{summary}{table}\n"

    def summary(self, done: int, over: bool) -> list[str]:
        """How long it has taken, and when it will end if it goes on like that."""
        spent = time.time() - self.begin
        told = [f"{clock(self.begin)}, {spent / 60:.0f} minutes ago: started."]
        if over:
            return [*told, f"{clock(time.time())}: ended."]
        if done:
            end = time.time() + spent / done * (len(self.jobs) - done)
            told.append(f"{clock(end)}: expected end, at the pace so far.")
        return told

    def row(self, job: Job, state: str) -> str:
        """A line of the table; of a failed notebook also its last words."""
        minutes = ""
        if begin := self.started.get(job.id):
            end = job.output.stat().st_mtime if state == "done" else time.time()
            minutes = f"{max(0.0, end - begin) / 60:.1f}"
        if state == "done" and job.id not in self.rates:
            self.rates[job.id] = tokens_a_second(job)
        cells = [state, html.escape(named(job)), minutes, self.rates.get(job.id, "")]
        line = "<tr><td>" + "<td>".join(cells) + "</tr>"
        if state != "failed":
            return line
        said = html.escape("\n".join(self.last_lines(job)))
        link = f'<p><a href="{job.failed.name}">the notebook with the cell that failed</a></p>'
        link *= job.failed.is_file()
        return f"{line}<tr><td><td colspan=3><pre>{said}</pre>{link}</tr>"


def named(job: Job) -> str:
    """A notebook as a person would name it."""
    return job.path + (f" (seed {job.seed})" if job.seed else "")


def clock(moment: float) -> str:
    """A moment as day and time of this machine."""
    return time.strftime("%a %H:%M", time.localtime(moment))


def tokens_a_second(job: Job) -> str:
    """How fast the trainings of a notebook's runs were, in the median; "" where nothing was trained."""
    rows = [results.read(run) for run in job.runs]
    rates = [rate for row in rows if row and (rate := row["provenance"].get("tokens_per_second"))]
    return f"{median(rates):,.0f}" if rates else ""
