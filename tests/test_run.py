"""Path notation, run ids and the fields of a run; which runs are a study, and in which order."""

from dataclasses import replace

import pytest

from xit_core.design import scales, studies
from xit_core.design.methods import METHODS, Method
from xit_core.design.run import Run, joint_steps, parse
from xit_core.design.scales import SCALES
from xit_core.design.tasks import INTERMEDIATES, TARGETS, TASKS, nine
from xit_core.machine import places
from xit_core.machine.errors import Bad
from xit_core.report import contrasts, cost, questions, stats
from xit_core.run.jobs import jobs_of


def test_commas_name_several_runs_of_one_source():
    assert parse("mnli > xnli, pawsx,tatoeba") == ["mnli > xnli", "mnli > pawsx", "mnli > tatoeba"]


def test_joint_tasks_have_one_canonical_order():
    assert parse("mlm + squad1>xquad") == ["squad1+mlm > xquad"]
    assert Run("mlm+squad1 > xquad") == Run("squad1+mlm > xquad")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("xnil", "no task 'xnil'"),
        ("xnli > mnli", "must come last"),
        ("mnli+mnli > xnli", "stands twice"),
        ("xnli+pawsx", "cannot be trained jointly"),
        ("mnli >", "no task ''"),
        ("", "no task ''"),
    ],
)
def test_a_wrong_path_is_named_in_one_line(path, says):
    with pytest.raises(Bad, match=says) as caught:
        parse(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": "huge"},
        {"method": "prompt"},
        {"model": "bert"},
        {"lang": "de"},
        {"seed": -1},
        {"size": 0.5},
        {"steps": "half"},
    ],
)
def test_a_wrong_field_is_refused(wrong):
    with pytest.raises(Bad, match="allowed|known"):
        Run("xnli", **wrong)


def test_a_run_knows_its_phase_source_and_parent():
    run = Run("squad1+mlm > tydiqa", seed=2)
    assert (run.phase, run.source, run.on) == (3, "squad1+mlm", "tydiqa")
    assert [s.tasks for s in run.stages] == [(TASKS["squad1"], TASKS["mlm"]), (TASKS["tydiqa"],)]
    assert run.target is TASKS["tydiqa"] and run.scale is scales.SCALES["smoke"] and run.parent.target is None
    assert run.parent == Run("squad1+mlm", seed=2) and run.parent.phase == 2
    assert run.parent.parent == Run("pretrained", seed=1) and run.parent.parent.parent is None
    assert Run("xnli").source == ""


def test_an_id_is_readable_and_depends_on_all_that_changes_a_score(monkeypatch):
    run = Run("mnli > xnli", "micro")
    assert run.id.startswith("mnli.xnli-s1-") and run.id == Run("mnli>xnli", "micro").id
    others = [
        replace(run, seed=2),
        replace(run, model="random"),
        replace(run, lang="mt"),
        replace(run, size=7),
    ]
    assert len({run.id, *(r.id for r in others)}) == 5
    monkeypatch.setitem(scales.SCALES, "micro", replace(scales.SCALES["micro"], lr=0.5))
    assert Run("mnli > xnli", "micro").id != run.id


def test_a_new_knob_with_its_default_renames_nothing():
    told = Run("xnli", "paper").recipe
    assert told["encoder"] == "FacebookAI/xlm-roberta-large" and "probes" not in told and "seeds" not in told


def test_equal_steps_are_a_run_of_their_own_where_a_stage_is_joint():
    arm = Run("mnli+mlm > xnli", "micro", steps="single")
    assert arm.id.startswith("mnli+mlm.xnli-single-s1-") and arm.parent.steps == "single"
    assert arm.named["steps"] == "single" and arm != replace(arm, steps="sum")
    assert Run("mnli > xnli", "micro", steps="single") == Run("mnli > xnli", "micro")
    assert Run("mnli > mnli+mlm > xnli", steps="single").parent.parent == Run("mnli")


def test_what_intermediate_rows_would_be_makes_no_other_run_where_there_are_none():
    for path in ("xnli", "pretrained"):
        assert Run(path, "micro", lang="mt", size=500) == Run(path, "micro")
    assert len({Run(path, "micro", lang="mt").id for path in ("mnli", "mnli > xnli", "xnli")}) == 3
    assert Run("mnli > xnli", "micro", lang="mt", size=500).named["lang"] == "mt"


def test_steps_of_a_joint_stage_are_a_sum_or_those_of_one_task_masked_lm_not_counted():
    alone = {TASKS["mnli"]: 200, TASKS["squad1"]: 100, TASKS["mlm"]: 999}
    assert joint_steps(alone, "sum") == 1299 and joint_steps(alone, "single") == 150


def test_the_nine_joined_have_a_short_name():
    assert Run(f"{'+'.join(INTERMEDIATES)} > bucc").id.startswith("multi.bucc-s1-")


def test_there_are_nine_of_each():
    assert len(INTERMEDIATES) == len(TARGETS) == 9


def test_further_targets_and_intermediate_tasks_are_paths_like_any_other():
    run = Run("ocnli + udtag > shift_amazon", "base")
    assert run.phase == 3 and run.parent.path == "udtag+ocnli" and run.parent.phase == 2
    with pytest.raises(Bad, match="must come last"):
        parse("xcopa > xnli")


def test_a_task_that_the_micro_world_does_not_tell_is_refused_there():
    with pytest.raises(Bad, match="the micro-world has no 'xcopa'; take another scale, or one of anli"):
        Run("xcopa", "micro")


def test_what_a_scale_lacks_counts_in_the_recipe_of_its_own_runs_only():
    assert Run("lareqa", "small").recipe["lacks"] == ["lareqa/ru", "lareqa/tr", "lareqa/vi"]
    assert "lacks" not in Run("xquad", "small").recipe


def test_a_folder_of_ones_own_data_must_exist(monkeypatch, tmp_path):
    monkeypatch.setenv("XIT_LOCAL", str(tmp_path / "nowhere"))
    with pytest.raises(Bad, match="no such folder"):
        places.local_dir()


def test_a_folder_that_is_no_mirror_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("XIT_MIRROR", str(tmp_path))
    with pytest.raises(Bad, match="no MANIFEST.csv"):
        places.mirror_dir()


# of the published ledger, and some of plans: an id never changes again, whatever is renamed or added
FROZEN = (
    ("pretrained", "small", 1, {}, "pretrained-s1-39f4b153"),
    ("xnli", "small", 1, {}, "xnli-s1-9196871e"),
    ("anli+mnli+qqp+squad2+squad1+hellaswag+cosmosqa+csqa+udtag", "small", 1, {}, "multi-s1-faf6e340"),
    ("mnli > xnli", "small", 1, {}, "mnli.xnli-s1-98ea066e"),
    ("squad1+mlm", "small", 2, {"steps": "single"}, "squad1+mlm-single-s2-2aa748b1"),
    ("ocnli > xnli", "small", 1, {}, "ocnli.xnli-s1-dc8098ac"),
    ("xnli", "small", 1, {"model": "random"}, "xnli-random-s1-96114b3d"),
    ("bucc", "small", 1, {}, "bucc-s1-cccd5bbd"),
    ("paws > pawsx", "small", 3, {}, "paws.pawsx-s3-2e60d89f"),
    ("lareqa", "small", 1, {}, "lareqa-s1-3b8cc976"),
    ("mlm", "small-mlm", 1, {}, "mlm-s1-f19ae12d"),
    ("mlm > squad1 > tatoeba", "small-mlm", 1, {}, "mlm.squad1.tatoeba-s1-df0edc8c"),
    ("xnli", "smoke", 1, {}, "xnli-s1-86b2fced"),
    ("pretrained", "micro", 1, {"model": "remake"}, "pretrained-remake-s1-c32ae85f"),
    ("mnli > xnli", "micro", 1, {}, "mnli.xnli-s1-21e74e99"),
    ("squad1", "micro", 1, {"lang": "mt"}, "squad1-mt-s1-e3a588a7"),
    ("mnli > xnli", "paper", 3, {}, "mnli.xnli-s3-f2030760"),
    ("mnli", "base", 1, {"size": 1000}, "mnli-n1000-s1-d2c668a1"),
    (
        "anli+mnli+qqp+squad2+squad1+hellaswag+ccg+cosmosqa+csqa > tatoeba",
        "paper",
        1,
        {},
        "multi.tatoeba-s1-0ae03d9f",
    ),
)


@pytest.mark.parametrize("row", FROZEN, ids=lambda row: row[-1])
def test_ids_are_frozen(row):
    path, scale, seed, more, name = row
    assert Run(path, scale, seed, **more).id == name


def test_a_stage_of_a_path_can_have_its_own_method(monkeypatch):
    monkeypatch.setitem(METHODS, "half", Method("half", "every other weight"))
    run = Run("mnli > xnli", method="half > full")
    assert [s.method.name for s in run.stages] == ["half", "full"] and run.parent.method == "half"
    assert run.parent.stages[0].method.name == "half" and "half.full" in run.id
    assert Run("mnli > xnli", method="full > full") == Run("mnli > xnli")
    with pytest.raises(Bad, match="names 2 methods; allowed: one, as there is no second stage$"):
        Run("xnli", method="half > full")
    with pytest.raises(Bad, match="names 3 methods; allowed: one, or one for each of the 2 stages$"):
        Run("mnli > xnli", method="half > full > half")


def test_a_recipe_has_what_a_scale_says_of_its_own_tasks_alone():
    small, other = scales.SCALES["small"], Run("panx", "small")
    assert Run("paws > pawsx", small).recipe["lr_of"] == [["pawsx", 5e-5], ["paws", 5e-5]]
    assert "lr_of" not in other.recipe and other.recipe["steps_of"] == [["panx", 200]]
    changed = replace(small, lr_of=(("pawsx", 1e-5),), steps_of=small.steps_of[::-1])
    assert Run("panx", changed).id == other.id and Run("pawsx", changed).id != Run("pawsx", small).id


def test_a_target_is_trained_for_the_epochs_that_it_declares():
    mnli = TASKS["mnli"]
    assert (TASKS["xnli"].epochs, mnli.epochs) == (2, 3)
    assert Run("xnli", "paper").alone({mnli: 392702}) == {mnli: 2 * 12272}
    assert Run("mnli", "paper").alone({mnli: 392702}) == {mnli: 3 * 12272}


def test_a_target_alone_is_trained_as_the_one_that_it_shares_the_training_with():
    alone, shared = Run("shift_gum", "small"), Run("udpos", "small")
    assert alone.recipe["steps_of"] == shared.recipe["steps_of"] == [["udpos", 150]]
    assert cost.train_tokens(alone, set()) == cost.train_tokens(shared, set()) == 150 * 16 * 128
    ways: dict[str, set] = {}
    for task in TASKS.values():
        if task.scored and task.train_on:
            ways.setdefault(task.train_on, set()).add((task.kind, task.epochs, task.batch, task.train))
    assert {name: len(found) for name, found in ways.items()} == dict.fromkeys(ways, 1)


def test_studies_together_train_once_what_they_share():
    assert questions.QUESTIONS["shift"].id in studies.STUDIES
    small = scales.SCALES["small"]
    own, others = (studies.runs(name, small) for name in ("main", "shift"))
    both = studies.runs("main,shift", small)
    assert set(both) == {*own, *others} and len(both) == len(set(both)) < len(own) + len(others)
    assert [run.path for run in both[1:4]] == ["xnli", "cad_nli", "shift_snli"]
    place = {run: i for i, run in enumerate(both)}
    assert all(place[parent] < place[run] for run in both for parent in run.parents)
    assert studies.runs("main", small) == own and len(studies.runs("main,shift", small, seeds=1)) < len(both)
    with pytest.raises(Bad, match="no study 'gone'"):
        studies.runs("main,gone", small)


def test_a_task_may_have_a_rate_of_its_own_where_it_is_trained_alone():
    s = replace(scales.SCALES["small"], lr=3e-4, stage_lr=2e-4)
    assert s.rate(("pawsx",), target=True) == s.rate(("paws",), target=False) == 5e-5
    assert s.rate(("xnli",), target=True) == 3e-4 and s.rate(("mnli",), target=False) == 2e-4
    assert s.rate(("paws", "mnli"), target=False) == 2e-4


def test_steps_in_proportion_need_a_size_and_a_stage_with_fixed_steps():
    with pytest.raises(Bad, match="size=0"):
        Run("mnli > xnli", "micro", steps="rows")
    assert Run("mnli > xnli", "micro", size=500, steps="rows").share == 0.25
    assert Run("xnli", "micro", size=500, steps="rows").steps == "sum"  # no stage
    assert Run("mnli", "paper", size=500, steps="rows").steps == "sum"  # its steps are epochs anyway
    assert Run("mnli", "micro", size=2000, steps="rows").id == Run("mnli", "micro", size=2000).id


# -- studies: which runs, in which order ---------------------------------------------------------------------


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


def test_claims_1_to_3_have_their_seeds_first_then_claims_4_to_8_then_10_then_9(sliced):
    cells = list(dict.fromkeys((r.source, r.seed, r.lang, r.model) for r in sliced if r.phase == 3))
    scale = sliced[0].scale
    plain = [name for name in studies.translated(scale) if name not in studies.MIXED]
    rounds = [
        ["", "", *studies.MIXED],  # the first with random weights
        [name for name in nine(scale) if name not in studies.MIXED],
        [studies.multi(scale)],
        [*plain, *studies.translated(scale)],
        [f"{name}+mlm" for name in studies.MIXED],
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
    jobs = jobs_of(sliced)
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
