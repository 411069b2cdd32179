"""The chapters of the research questions: the question, its short answer, contrasts, gates and figure."""

from collections import Counter
from functools import partial
from itertools import chain
from pathlib import Path

import pandas as pd

from ..design import studies
from . import plots, questions
from .cells import column
from .compare import environment_of
from .contrasts import Ledger
from .drops import matched
from .figures import figure
from .gates import BEYOND, LEARNED, constant_answers
from .markdown import count, dropdown, end, fold, markdown_table, minus, number, small, with_interval
from .questions import OPEN, UNFINISHED, UNTESTABLE, Question
from .view import EMPTY, View, views_of


def overview(shown: list[View], plain: bool = False) -> str:
    """A table of the questions with their answers, a column for each scale; "" where none is declared.

    `shown`: views that are there already. With `plain` the Markdown works outside the book.
    """
    asked = questions.in_order()
    names = (view.scale for view in shown), (name for question in asked for name in question.scales)
    views = {view.scale: view for view in views_of(dict.fromkeys(chain(*names)), shown)}
    scales = [name for name in views if any(name in question.scales for question in asked)]
    lines = []
    for question in asked:
        title = question.short if plain else f"[{question.short}](questions/{question.id})"
        cells = [
            answer_cell(question, views[name], plain) if name in question.scales else "–" for name in scales
        ]
        lines.append([question.number, title, *cells])
    head = ["#", "research question", *map(column, scales)]
    marked = "" if plain else f" {questions.LATER_MARK}: {questions.LATER_SAYS}."
    return f"{alone(asked, views)}{marked}\n\n{markdown_table(head, lines)}" if lines else ""


def alone(asked: list[Question], views: dict[str, View]) -> str:
    """That intervals of the table are not widened, and which decided answers are not clear of zero once they
    are.
    """
    rows = [
        (question, views[name].asked(question)[1][0])
        for question in asked
        for name in question.scales
        if is_finished(question, views[name])
    ]
    sided = [(q, row) for q, row in rows if row["verdict"] in (questions.YES, questions.NO)]
    touched = dict.fromkeys(str(q.number) for q, row in sided if row["wide"][0] <= 0 <= row["wide"][1])
    weak = dict.fromkeys(str(q.number) for q, row in sided if is_weak(row))
    told = ["Each interval stands alone."]
    if touched:
        inside = f"zero lies in the interval of {' and of '.join(touched)}"
        told += [f"Corrected for asking {len(questions.QUESTIONS)} questions, {inside}."]
    if weak:
        smaller = "smaller than the design can detect with 80 % power, so probably an overestimate"
        told += [f"The estimate of {' and of '.join(weak)} is {smaller}."]
    return " ".join(told)


def answer_cell(question: Question, view: View, plain: bool = False) -> str:
    """The word of a question's answer at a scale, with its interval and what qualifies it most, folded; of
    that only the heads with `plain`.
    """
    row, *others = view.asked(question)[1]
    if row["estimate"] is None:
        return missing(question, view)
    word = row["verdict"] if is_finished(question, view) else f"{UNFINISHED}; so far: {row['verdict']}"
    told = [
        f"**{word}**{simulated(question, view)}{uncorrected(row)}",
        f"{row['name']}: {interval_cell(row)}{by_own_seeds(row)}, {view.progress(question).seeds} seeds",
    ]
    qualified = readings(question, others) | doubts(question, view, row, others)
    if plain:
        return "<br>".join([*told, "; ".join(qualified)] if qualified else told)
    return "<br>".join(told) + "".join(fold(head, text) for head, text in qualified.items())


def uncorrected(row: dict) -> str:
    """That an answer has a side alone, but not once it is corrected for the other questions; else ""."""
    if row["verdict"] not in (questions.YES, questions.NO) or not row["wide"][0] <= 0 <= row["wide"][1]:
        return ""
    return ", before correction for the other questions"


def readings(question: Question, others: list[dict]) -> dict[str, str]:
    """The other contrasts of the front page, under how many there are on which sides; {} without one."""
    told = [f"taken literally: {each}" for each in told_of(question.literal, question, others)]
    told += told_of(question.on_front, question, others)
    if not told:
        return {}
    counted = sides(measured((*question.literal, *question.on_front), others))
    head = f"{len(told)} other readings: {counted}" if told[1:] else f"another reading: {counted}"
    return {head: "<br>".join(told)}


def sides(found: list[dict]) -> str:
    """How many contrasts are on each side of zero, in words; of a single one its side alone."""
    counted = Counter(map(side, found))
    return ", ".join(f"{n} {name}" if found[1:] else name for name, n in counted.items())


def doubts(question: Question, view: View, row: dict, others: list[dict]) -> dict[str, str]:
    """The checks that an answer does not pass: in short, and which they are."""
    found = {"a gate fails" if row["verdict"] == UNTESTABLE else "a later check fails": failing(row, "")}
    for each in controls(question, others):
        if each["estimate"] is not None and not is_found(each):
            found["the positive control is not found"] = control(question, view, each)
    return {name: says for name, says in found.items() if says}


def told_of(names: tuple[str, ...], question: Question, found: list[dict]) -> list[str]:
    """Some contrasts in words, each with its interval and its side, where they are measured."""
    return [
        f"{dated(row['name'], question.later)}: {interval_cell(row)}, {side(row)}{by_own_seeds(row)}"
        for row in measured(names, found)
    ]


def by_own_seeds(row: dict) -> str:
    """That a contrast is on another side of zero by its own seeds alone; "" where it is not."""
    if not row["alone"] or side_of(*row["alone"]) == side_of(row["low"], row["high"]):
        return ""
    return f" (by its own seeds alone {ends(row, *row['alone'])}, {side_of(*row['alone'])})"


def side_of(low: float, high: float) -> str:
    """The side of zero on which an interval is."""
    return questions.SIDES[questions.YES] if low > 0 else questions.SIDES[questions.NO] if high < 0 else OPEN


def ends(row: dict, low: float, high: float) -> str:
    """An interval with as many digits as a contrast has."""
    return f"[{end(low, digits(row))}, {end(high, digits(row))}]"


def measured(names: tuple[str, ...], found: list[dict]) -> list[dict]:
    """The contrasts of these names that have an estimate."""
    return [row for row in found if row["name"] in names and row["estimate"] is not None]


def missing(question: Question, view: View) -> str:
    """What stands in place of an answer that has no estimate."""
    found = view.progress(question)
    if not found.done:
        return "not run"
    word = UNFINISHED if found.own_done else "not begun"
    return f"{word}: {found.own_done:,} of {found.own:,} runs of its own"


def failing(row: dict, before: str = "") -> str:
    """Which gates fail; "" where none does. `before`: what stands before the words."""
    if not row["note"]:
        return ""
    if row["verdict"] == UNTESTABLE:
        return f"{before}a gate fails: {row['note']}"
    added_later = row["note"].replace(questions.ADDED, "")
    return f"{before}checks that were added later, and decide nothing, fail: {added_later}"


def literally(question: Question, found: list[dict]) -> str:
    """The contrasts that take a question at its word, in words, where the answer does not; "" without one."""
    told = told_of(question.literal, question, found)
    return f"taken literally, the question asks for *{'*; and for *'.join(told)}*" if told else ""


def simulated(question: Question, view: View) -> str:
    """What a constructed world has in place of what a question is about, behind the answer's word; "" where
    the question is asked of real data.
    """
    return f" ({question.simulated})" if question.simulated and view.declared.world.made else ""


def answers(question: Question, shown: list[View]) -> str:
    """The short answer at each scale, for the top of a chapter."""
    return "\n\n".join(short_answer(question, view) for view in shown if view.stored) or EMPTY


def page(question: Question, view: View, out: Path) -> str:
    """The chapter's page for one scale, without the answer; its figure is saved in the folder `out`."""
    ledger, found = view.asked(question)
    gates = question.gates(ledger)
    told = f"{progress(question, view)}{of_two_trainings(question, ledger)}\n\n"
    if found[0]["estimate"] is None:  # a figure beside "not answered yet" would be taken for the answer
        return told + gate_table(gates, question.later)
    draw = partial(FIGURES[question.figure], question, view)
    says = f"{found[0]['name']}: {interval_cell(found[0])}."
    told += contrast_table(found, question.later) + added(question, found, gates)
    told += gate_table(gates, question.later) + one_answer(question, ledger)
    told += target_table(questions.target_by_target(question, ledger), question.without)
    return told + figure(out, view, question.figure, draw, question.id, title=says)


def rule(question: Question) -> str:
    """How a chapter's contrasts are read."""
    told = questions.RULE.format(margin=question.margin, dated=question.dated)
    more = "[What such an interval covers, and when something counts as learned](#verdict-questions)"
    return f"\n## How the answer is read\n\n{told}\n{more} is the same for all questions.\n"


def limits() -> str:
    """What holds for the answers of all questions: the limits of their rule, and what their gates ask."""
    return f"{questions.LIMITS}\n\n{questions.GATES_SAY.format(beyond=BEYOND)}\n"


def short_answer(question: Question, view: View) -> str:
    """The answer in words, with its interval, and the contrasts that qualify it.

    What is said before every run of the design is there is not the answer.
    """
    row, *others = view.asked(question)[1]
    if row["estimate"] is None:
        return f"**At `{view.scale}`: not answered yet** ({missing(question, view)})."
    where = f"At `{view.scale}`" + ", a simulation" * view.declared.world.made + simulated(question, view)
    head = [where] if is_finished(question, view) else [where, "not finished, and no answer; so far"]
    if at_its_word := literally(question, others):
        fixed = f"by the contrast that was fixed as the answer, **{row['verdict']}**: "
    else:
        head, fixed = [*head, row["verdict"]], ""
    qualified = "; ".join(filter(None, [power(row), reach(row, question), widened(row)]))
    told = [
        at_its_word,
        f"{fixed}*{row['name']}*: {interval_cell(row)} points; {qualified}",
        failing(row, "but "),
        *(control(question, view, each) for each in controls(question, others)),
    ]
    sentences = " ".join(f"{each[0].upper()}{each[1:]}." for each in told if each)
    return f"**{': '.join(head)}.** {sentences}{beside(question, others)}"


def beside(question: Question, others: list[dict]) -> str:
    """The contrasts that qualify an answer, folded: how many, on which sides; then a list."""
    names = question.beside or [other["name"] for other in others[:1]]
    told = [f"- {each}\n" for each in told_of(names, question, others)]
    if not told:
        return ""
    mark = f"{questions.LATER_MARK}: {questions.LATER_SAYS}.\n" if set(names) & set(question.later) else ""
    found = measured(names, others)
    head = f"Beside it: {len(told)} contrasts, {sides(found)}" if told[1:] else f"Beside it: {sides(found)}"
    return f"\n\n{dropdown(head, ''.join(told))}{mark}"


def widened(row: dict) -> str:
    """The interval of an answer that covers those of all questions, in words."""
    told = ends(row, *row["wide"])
    return f"widened to cover all {len(questions.QUESTIONS)} answers together, {told}{by_own_seeds(row)}"


def controls(question: Question, others: list[dict]) -> list[dict]:
    """The contrast that is a question's positive control; [] without one."""
    return [row for row in others if row["name"] == question.control]


def control(question: Question, view: View, row: dict) -> str:
    """Whether a positive control is found, in words; where it is not, what may be the reason."""
    if row["estimate"] is None:
        return f"the positive control is not measured yet: {row['name']}"
    told = f"*{row['name']}*, {interval_cell(row)}"
    if is_found(row):
        return f"the positive control is found: {told}"
    gate = questions.target_gates(view.asked(question)[0], [question.control_on])[question.control_on]
    unlearned = ", on a target that is not learned" if gate and gate.passed is False else ""
    needed = f"this design finds {detectable(row)} or more in eight of ten repetitions"
    return f"the positive control is **not found**: {told}{unlearned}; {needed}"


def is_found(row: dict) -> bool:
    """Whether a positive control is above zero."""
    return row["verdict"] == questions.YES


def power(row: dict) -> str:
    """What the design can see, behind an open answer or one that is smaller than that; "" behind another."""
    finds = f"this design finds a true difference of {detectable(row)} in eight of ten repetitions"
    if is_weak(row):
        return f"{finds}, so the estimate is probably too large"
    return finds if row["verdict"] == OPEN else ""


def reach(row: dict, question: Question) -> str:
    """What an interval has to do with *no difference*, behind an answer; "" where it has nothing."""
    within = f"*no difference* (within {question.margin:g} of zero)"
    if row["verdict"] == OPEN and not row["narrow"]:
        return f"its intervals are too wide to show {within}"
    decided = row["verdict"] in (questions.YES, questions.NO)
    near = min(abs(row["low"]), abs(row["high"])) < question.margin
    return f"the interval reaches into {within}" if decided and near else ""


def is_weak(row: dict) -> bool:
    """Whether an estimate has a side, but is smaller than what its design finds in eight of ten studies."""
    return row["verdict"] in (questions.YES, questions.NO) and abs(row["estimate"]) < row["detectable"]


def added(question: Question, found: list[dict], gates: dict) -> str:
    """What the mark of contrasts and gates means; "" where none has it."""
    marked = "contrasts and gates that were added after the answer had been read; they decide nothing."
    has_mark = set(question.later) & {*(row["name"] for row in found), *gates}
    return f"{questions.LATER_MARK} marks {marked}\n\n" if has_mark else ""


def one_answer(question: Question, ledger: Ledger) -> str:
    """How many of the runs that the answer reads give one answer to every row; "" where none does."""
    first = next(iter(question.contrasts(ledger.scale).values()))
    about = {name for pair in questions.parts_of(question, ledger.scale) for name in pair}
    read = [cell for cell in ledger.cells if (cell in first if isinstance(first, dict) else cell[2] in about)]
    told = constant_answers(ledger, tuple(x.id for cell in read for x in ledger.cells[cell].values()))
    return f"Behind the answer, {told}. They count like all others.\n\n" if told else ""


def target_table(lines: list[questions.OnOne], without: str = "") -> str:
    """The answer on each target alone, beside what is scored without an intermediate task; "" without lines.

    `without`: how the latter was trained, if not in full.
    """
    if not lines:
        return ""
    paired = any(line.outside for line in lines)
    by = f" ({without.strip(':')})" if without else ""
    head = ["target", "learned by full training", f"without an intermediate task{by}"]
    head += ["the same on the other rows"] if paired else []
    told = [
        [" against ".join(f"`{name}`" for name in (line.target, line.outside) if name), LEARNED[line.learned]]
        + [number(score) for score in line.baseline]
        + [interval_cell(line.found) if line.found["estimate"] is not None else "–"]
        for line in lines
    ]
    table = small(markdown_table([*head, "the answer here alone [95 %]"], told))
    return f"Target by target, which is not judged:\n\n{table}"


def interval_cell(row: dict) -> str:
    """The estimate of a contrast with its interval."""
    return with_interval(row["estimate"], row["low"], row["high"], digits(row))


def detectable(row: dict) -> str:
    """The smallest difference that a contrast could have seen."""
    return number(row["detectable"], f",.{digits(row)}f", digits(row))


def digits(row: dict) -> int:
    """How many digits a contrast has: two where a difference of less than a point could be seen."""
    return 2 if row["detectable"] < 1 else 1


def is_finished(question: Question, view: View) -> bool:
    """Whether every run of a design is finished."""
    done, planned, *_ = view.progress(question)
    return done == planned


def side(row: dict) -> str:
    """The word for a contrast that is not the answer."""
    return questions.SIDES.get(row["verdict"], row["verdict"])


def progress(question: Question, view: View) -> str:
    """How many of the planned runs are finished, of its own and of those that it shares; how many seeds."""
    found = view.progress(question)
    done, planned, own_done, own, seeds = map(count, found)
    others = f"{count(found.done - found.own_done)} of the {count(found.planned - found.own)}"
    if is_finished(question, view):
        told = f"All {planned} runs are in the ledger, {own} of which only this question has"
    else:
        told = f"{done} of {planned} runs are in the ledger: {own_done} of the {own} that only this question "
        told += f"has and {others} that other studies have, too"
    return f"{told}; the design has {seeds} seeds{tested(question, view)}."


def of_two_trainings(question: Question, ledger: Ledger) -> str:
    """How many of its pairs of scores are of two models, because a training was repeated elsewhere for what
    had been left unscored; "" for none.
    """
    pairs = question.pairs(ledger.scale) if question.pairs else ()
    both = [[side.entry.row for side in sides] for pair in pairs for sides in matched(ledger, pair).values()]
    apart = sum(environment_of(inside) != environment_of(outside) for inside, outside in both)
    told = (
        f" The sides of {count(apart)} of {count(len(both))} pairs of scores were made in two environments "
        "(processor, packages), where one training may give two models: such scores then differ as those of "
        "two seeds do."
    )
    return told if apart else ""


def tested(question: Question, view: View) -> str:
    """How many rows of a language its targets are tested on at most; "" where none is capped."""
    on = {name for pair in questions.parts_of(question, view.declared) for name in pair if name}
    caps = sorted({view.declared.scored(name) for name in on})
    told = " to ".join(map(count, dict.fromkeys(cap for cap in (*caps[:1], *caps[-1:]) if cap)))
    every = " or on all of them" if 0 in caps else ""
    return f", and its targets are tested on at most {told} rows of a language{every}" if told else ""


def contrast_table(found: list[dict], later: tuple[str, ...]) -> str:
    """Every contrast with its interval, the smallest difference that it could have seen, and its word.

    `later`: those that were added after the answer had been read, which are marked.
    """
    head = [
        "contrast, in points where nothing else is said",
        "estimate [95\N{NO-BREAK SPACE}%]",
        "own seeds",
        "detectable",
        "what the interval says",
    ]
    lines = [
        [dated(row["name"], later), "–", "–", "–", row["note"]]
        if row["estimate"] is None
        else [dated(row["name"], later), interval_cell(row), alone_cell(row), detectable(row), side(row)]
        for row in found
    ]
    lines[0][-1] = found[0]["verdict"]  # the answer
    if any(row["alone"] for row in found):
        return f"{small(markdown_table(head, lines), 'carded')}\n{questions.ALONE_SAYS}\n\n"
    plain = [[name, estimate, *others] for name, estimate, _, *others in (head, *lines)]
    return small(markdown_table(plain[0], plain[1:]), "carded")


def alone_cell(row: dict) -> str:
    """The interval by the seeds of a contrast alone."""
    return ends(row, *row["alone"]) if row["alone"] else "–"


def dated(name: str, later: tuple[str, ...]) -> str:
    """A name, marked where it was added after the answer had been read."""
    return f"{name} {questions.LATER_MARK}" if name in later else name


def gate_table(gates: dict, later: tuple[str, ...]) -> str:
    """What must be learned before the question can be answered, those marked that were added later."""
    words = {True: "passed", False: "failed", None: LEARNED[None]}
    lines = [[dated(name, later), minus(gate.says), words[gate.passed]] for name, gate in gates.items()]
    return markdown_table(["gate", "found", "outcome"], lines) if lines else ""


def drawn_contrasts(question: Question, view: View) -> plots.Figure | None:
    """The contrasts that are measured, with their intervals."""
    return plots.contrasts([row for row in view.asked(question)[1] if row["estimate"] is not None])


def drawn_by_weights(question: Question, view: View) -> plots.Figure | None:
    """The score of each source against the weights that are trained for one target."""
    answer = next(iter(question.contrasts(view.declared).values()))
    on = dict.fromkeys(cell[2] for cell in answer)
    return plots.trained(by_trained_weights(question, view, tuple(on)))


def drawn_pairs(question: Question, view: View) -> plots.Figure | None:
    """The score on other rows against the score on a target's own, a point for each run."""
    return plots.pairs(scores_of_pairs(question, view.asked(question)[0]))


def drawn_sizes(question: Question, view: View) -> plots.Figure | None:
    """What is lost on other rows against the rows of the intermediate task, a line for each task."""
    table = scores_of_pairs(question, view.asked(question)[0])
    told = table.source.str.extract(r"^(?P<task>\w+), (?P<size>\d+) rows, (?P<steps>.*)$")
    without = (table.inside - table.outside)[table.source == ""].mean()
    table = table.join(told).dropna(subset=["size"])
    table = table.assign(size=table["size"].astype(int), drop=table.inside - table.outside)
    # with the scale's own rows all rules are one
    own = table[table["size"] == view.declared.stage_rows]
    table = pd.concat([table, *(own.assign(steps=rule) for rule in set(table.steps) - set(own.steps))])
    keys = ["steps", "task", "size"]
    return plots.sizes(table.groupby(keys, as_index=False)["drop"].mean() if len(table) else table, without)


FIGURES = {
    "contrasts": drawn_contrasts, "weights": drawn_by_weights, "pairs": drawn_pairs, "sizes": drawn_sizes,
}  # fmt: skip


def scores_of_pairs(question: Question, ledger: Ledger) -> pd.DataFrame:
    """Both scores of every run of a pair. Columns: target, twin (the task outside), source, seed, inside,
    outside, and expected, the score outside that is expected, where the question says it.
    """
    beyond = question.beyond(ledger).cells if question.beyond else {}
    lines = [
        {"target": target, "twin": twin, "source": source[0], "seed": seed}
        | {"inside": inside.score, "outside": outside.score}
        | ({"expected": outside.score - beyond[*source, twin][seed].score} if beyond else {})
        for target, twin in question.pairs(ledger.scale)
        for (source, seed), (inside, outside) in matched(ledger, (target, twin)).items()
    ]
    names = ["target", "twin", "source", "seed", "inside", "outside", *(["expected"] if beyond else [])]
    return pd.DataFrame(lines, columns=names)


def by_trained_weights(question: Question, view: View, on: tuple[str, ...]) -> pd.DataFrame:
    """Mean score over targets against the weights that are trained for one target, a line for each source.

    Columns: source, method, trained, score.
    """
    runs = {run.id: run for run in studies.runs(question.id, view.declared) if run.phase == 3}
    trained = {row["id"]: row["dose"]["trained"] for row in view.stored if "trained" in row.get("dose", {})}
    lines, weights = [], Counter()
    for (source, _, target), entries in view.asked(question)[0].cells.items():
        if target in on and entries:
            method = runs[next(iter(entries.values())).id].stages[-1].method.name
            # rows of before this was recorded do not say it
            weights[method] = max(weights[method], *(trained.get(each.id, 0) for each in entries.values()))
            score = sum(each.score for each in entries.values()) / len(entries)
            lines.append({"source": source, "method": method, "score": score})
    table = pd.DataFrame(lines, columns=["source", "method", "score"])
    whole = table.groupby("source").score.transform("size") == len(on)
    found = table[whole].groupby(["source", "method"], as_index=False).score.mean()
    return found.assign(trained=found.method.map(weights))
