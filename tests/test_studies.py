import pytest

from xit_core.design import studies
from xit_core.design.run import Run
from xit_core.design.scales import SCALES
from xit_core.design.tasks import INTERMEDIATES, TARGETS, TASKS, nine
from xit_core.machine.errors import Bad
from xit_core.report import contrasts, stats
from xit_core.run import launch

BY_SEED = [s for s in SCALES.values() if s.by_seed]


@pytest.fixture(scope="module")
def micro():
    return studies.runs("main", SCALES["micro"])


def test_the_micro_study_is_the_whole_design(micro):
    sources = {(r.source, r.lang, r.model) for r in micro if r.phase == 3}
    assert sources == (
        {("", "en", ""), ("", "en", "random")}  # baseline and the control of random weights
        | {(t, "en", "") for t in INTERMEDIATES}
        | {("+".join(INTERMEDIATES), "en", ""), ("mlm", "en", "")}
        | {(f"{t}+mlm", "en", "") for t in ("squad1", "mnli", "hellaswag")}
        | {(t, "mt", "") for t in ("squad1", "mnli", "hellaswag")}
    )


def test_every_source_of_micro_meets_every_target_with_three_seeds(micro):
    cells = {(r.source, r.lang, r.model, r.on, r.seed) for r in micro if r.phase == 3}
    sources = {c[:3] for c in cells}
    assert cells == {(*s, t, seed) for s in sources for t in TARGETS for seed in SCALES["micro"].seeds}
    assert len(TARGETS) == 9 and len(SCALES["micro"].seeds) >= 3


def test_the_first_two_phases_are_planned_before_what_needs_them(micro):
    assert {r.phase for r in micro} == {1, 2, 3}
    place = {r.id: i for i, r in enumerate(micro)}
    for run in micro:
        if run.phase == 3 and run.source:
            assert place[run.parent.id] < place[run.id]


@pytest.mark.parametrize("scale", SCALES)
def test_no_run_stands_twice(scale):
    ids = [r.id for r in studies.runs("main", SCALES[scale])]
    assert ids and len(ids) == len(set(ids))


def test_a_scale_may_afford_some_sources_and_targets_only():
    got = {(r.source, r.model, r.on) for r in studies.runs("main", SCALES["smoke"]) if r.phase == 3}
    cells = [("", ""), ("mnli", ""), ("squad1+mlm", ""), ("", "random")]
    assert got == {(source, model, on) for source, model in cells for on in ("xnli", "tatoeba")}


@pytest.fixture(scope="module", params=[s.name for s in BY_SEED if not s.prolongs])
def sliced(request):
    return studies.runs("main", SCALES[request.param])


def test_a_scale_may_begin_all_paths_with_a_stage_and_use_the_control_of_another():
    scale = SCALES["small-mlm"]
    plan = studies.runs("main", scale)
    assert not [r for r in plan if not (r.path + " ").startswith("mlm ") or r.model]
    cells = {contrasts.main_cell(r) for r in plan if r.phase == 3}
    assert cells == {(source, "en", t) for source in ("", *nine(scale)) for t in ("bucc", "tatoeba")}
    assert len(plan) == 3 * (3 + 3 * 9) and scale.prolongs == "small"
    for run in plan:  # the baseline starts where the intermediate trainings start
        assert run.path == "mlm" or run.parent in plan
    assert contrasts.main_cell(Run("mlm", scale)) is None
    assert contrasts.main_cell(Run("mlm", "small")) == ("mlm", "en", "mlm")
    short, long = (Run("squad1 > tatoeba", name).recipe for name in ("small", "small-mlm"))
    assert {k for k in short | long if short.get(k) != long.get(k)} == {"head_first", "probes"}


def test_a_stand_in_takes_the_place_of_what_cannot_be_had():
    assert nine(SCALES["micro"]) == INTERMEDIATES and "ccg" not in nine(SCALES["small"])
    assert nine(SCALES["small"]).index("udtag") == INTERMEDIATES.index("ccg")
    assert all(TASKS[has].genre == TASKS[t].genre for s in BY_SEED for t, has in s.stand_ins)
    # the canonical order of a joint stage
    assert Run(studies.multi(SCALES["small"]), "small").path == studies.multi(SCALES["small"])


@pytest.mark.parametrize("scale", SCALES)
def test_the_nine_joined_are_called_multi_at_every_scale(scale):
    assert Run(studies.multi(SCALES[scale]), scale).id.startswith("multi-s1-")


def test_the_cells_of_claims_1_to_6_have_every_seed_and_all_others_three(sliced):
    scale = sliced[0].scale
    seeds = {}
    for r in sliced:
        if r.phase == 3:
            seeds.setdefault((r.source, r.lang, r.model + r.steps, r.on), []).append(r.seed)
    multi = studies.multi(scale)
    claimed = {("", "sum"), *((source, "sum") for source in nine(scale)), (multi, "sum"), (multi, "single")}
    assert studies.LEAST_SEEDS == stats.SEEDS == 3
    for (source, lang, arm, _), found in seeds.items():
        assert tuple(found) == (scale.seeds if (source, arm) in claimed and lang == "en" else (1, 2, 3))
    variants = {
        "mlm",
        "squad1+mlm",
        "mnli+mlm",
        "hellaswag+mlm",
        "ocnli",
        "jcqa",
        *dict(scale.translated).values(),
    }
    assert {c[0] for c in seeds if c[1] == "en"} == {source for source, _ in claimed} | variants
    assert {c[0] for c in seeds if c[1] == "mt"} == set(studies.translated(scale))
    assert {c[3] for c in seeds} == set(TARGETS) and len(seeds) % len(TARGETS) == 0


def test_any_prefix_of_a_sliced_plan_is_a_balanced_design_in_each_of_its_rounds(sliced):
    stages = [(r.source, r.seed) for r in sliced if r.phase == 2 and r.lang == "en"]
    later = [name for name in nine(sliced[0].scale) if name not in studies.MIXED]
    for n in range(len(stages)):
        for sources in (studies.MIXED, later):
            counts = [sum(cell[0] == source for cell in stages[:n]) for source in sources]
            # no seed is ahead by more than one
            assert max(counts) - min(counts) <= 1


def test_claims_1_to_3_have_their_seeds_first_then_claims_4_to_8_then_9_and_10(sliced):
    cells = list(dict.fromkeys((r.source, r.seed, r.lang, r.model) for r in sliced if r.phase == 3))
    scale = sliced[0].scale
    plain = [name for name in studies.translated(scale) if name not in studies.MIXED]
    rounds = [
        ["", "", *studies.MIXED],  # the first with random weights
        [name for name in nine(scale) if name not in studies.MIXED],
        [studies.multi(scale)],
        [*(f"{name}+mlm" for name in studies.MIXED), *plain, *studies.translated(scale)],
    ]
    for sources in rounds:
        found, cells = cells[: 3 * len(sources)], cells[3 * len(sources) :]
        assert [cell[0] for cell in found] == 3 * sources
        assert [cell[1] for cell in found] == sorted(cell[1] for cell in found)


def test_the_single_tasks_come_to_the_targets_of_claims_5_to_7_first(sliced):
    singles = [name for name in nine(sliced[0].scale) if name not in studies.MIXED]
    asked = [r.on for r in sliced if r.source in singles and r.phase == 3 and r.seed <= studies.LEAST_SEEDS]
    count = len(singles) * studies.LEAST_SEEDS
    first, second, rest = asked[: 3 * count], asked[3 * count : 4 * count], asked[4 * count :]
    assert set(first) == {"tydiqa", "bucc", "tatoeba"} and set(second) == {"xnli"}
    assert len(rest) == 5 * count and not set(rest) & {*first, *second}


def test_controls_come_before_the_sources_and_random_weights_are_probed_themselves(sliced):
    begin = [(r.path, r.model, r.seed) for r in sliced[: 2 + 2 * len(TARGETS)]]
    assert begin[0] == ("pretrained", "", 1) and begin[1 + len(TARGETS)] == ("pretrained", "random", 1)
    assert (
        {x[0] for x in begin[1 : 1 + len(TARGETS)]}
        == set(TARGETS)
        == {x[0] for x in begin[2 + len(TARGETS) :]}
    )
    assert {x[1] for x in begin[2 + len(TARGETS) :]} == {"random"}


def test_parents_stand_before_their_children_in_a_sliced_plan(sliced):
    seen = set()
    for r in sliced:
        assert not r.source or r.phase < 3 or r.parent.id in seen
        seen.add(r.id)


def test_a_sliced_scale_has_a_notebook_for_every_source_and_seed_and_turn(sliced):
    jobs = launch.jobs(sliced)
    assert all(len({(r.source, r.seed, r.lang, r.model) for r in j.runs}) == 1 for j in jobs)
    assert [r for j in jobs for r in j.runs] == sliced  # in the order of the plan
    assert len({j.id for j in jobs}) == len(jobs)


def test_an_unknown_study_is_told():
    with pytest.raises(Bad, match="no study 'mian'; known: main"):
        studies.runs("mian", SCALES["micro"])


@pytest.mark.parametrize("scale", [name for name, s in SCALES.items() if not s.sources and not s.start])
def test_every_scale_plans_the_joint_sources_at_equal_steps_with_at_least_three_seeds(scale):
    plan = [r for r in studies.runs("main", SCALES[scale]) if r.steps == "single" and r.phase == 3]
    assert {r.source for r in plan} == {studies.multi(SCALES[scale]), *(f"{m}+mlm" for m in studies.MIXED)}
    assert {r.on for r in plan} == set(TARGETS) and {1, 2, 3} <= {r.seed for r in plan}
