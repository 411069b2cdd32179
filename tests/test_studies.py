import pytest

from xit_core import studies
from xit_core.config import SCALES, Bad
from xit_core.tasks import INTERMEDIATES, TARGETS


@pytest.fixture(scope="module")
def micro():
    return studies.runs("main", "micro")


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
    ids = [r.id for r in studies.runs("main", scale)]
    assert ids and len(ids) == len(set(ids))


def test_pocket_is_the_study_an_hour_of_cpu_affords():
    got = {(r.source, r.model, r.on) for r in studies.runs("main", "pocket") if r.phase == 3}
    targets = {"xquad", "xnli", "udpos", "panx", "tatoeba"}
    assert got == {(s, "", t) for s in ("", "squad1", "csqa", "mnli") for t in targets} | {("", "random", t) for t in targets}


def test_unknown_study_and_scale_are_told():
    with pytest.raises(Bad, match="no study 'mian'; known: main"):
        studies.runs("mian", "micro")
    with pytest.raises(Bad, match="no scale 'huge'"):
        studies.runs("main", "huge")
