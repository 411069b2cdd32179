"""What a row says of its making: the commit, which is that of the project's own tree or none, and the
environment of the process, which does not reach a number.
"""

import os
import shutil
import subprocess
import sys

import pytest

import synthetic
from xit_core import cli
from xit_core.design import studies
from xit_core.design.run import Run
from xit_core.ledger import publish, results
from xit_core.machine import environment, provenance
from xit_core.machine.errors import Bad
from xit_core.run import changed, launch


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """tree(folder) makes a copy of the project there the one that runs."""

    def make(folder):
        for name in (
            "xit_core/__init__.py",
            "notebooks/1.ipynb",
            *(f"{place}/row" for place in provenance.WRITTEN),
        ):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("as it was")
        monkeypatch.setattr(provenance, "ROOT", folder)
        monkeypatch.setattr(provenance, "PACKAGE", (folder / "xit_core").resolve())
        return folder

    return make


def git(folder, *words):
    who = ["-c", "user.name=x", "-c", "user.email=x@x"]
    subprocess.run(["git", *who, "-C", str(folder), *words], check=True, capture_output=True)


def committed(folder):
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


NONE = {"commit": "", "clean": False}


def test_a_copy_in_another_repository_names_no_commit(tree, tmp_path):
    committed(tree(tmp_path / "theirs/copy").parent)
    assert provenance.commit() == NONE


def test_a_copy_that_another_repository_does_not_track_names_no_commit(tree, tmp_path):
    (tmp_path / "notes").write_text("theirs")
    committed(tmp_path)
    tree(tmp_path)
    assert provenance.commit() == NONE
    (tmp_path / ".gitignore").write_text("xit_core\nnotebooks\nbook\n.gitignore\n")
    assert provenance.commit() == NONE


def test_a_tree_of_its_own_names_its_commit_also_through_a_link(tree, tmp_path, monkeypatch):
    committed(tree(tmp_path / "own"))
    told = provenance.commit()
    assert len(told["commit"]) == 40 and told["clean"]
    (tmp_path / "link").symlink_to(tmp_path / "own")
    monkeypatch.setattr(provenance, "ROOT", tmp_path / "link")
    assert provenance.commit() == told


def test_without_a_commit_or_without_git_none_is_named(tree, tmp_path, monkeypatch):
    git(tree(tmp_path), "init", "-q")
    assert provenance.commit() == NONE
    monkeypatch.setenv("PATH", "")
    assert provenance.commit() == NONE


@pytest.mark.parametrize("name", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_CEILING_DIRECTORIES"])
def test_the_persons_git_environment_does_not_reach_the_row(tree, tmp_path, monkeypatch, name):
    committed(tree(tmp_path / "own"))
    told = provenance.commit()
    (tmp_path / "theirs").mkdir()
    git(tmp_path / "theirs", "init", "-q")
    monkeypatch.setenv(name, str(tmp_path / "theirs/.git"))
    assert provenance.commit() == told


def test_what_runs_write_leaves_a_tree_clean(tree, tmp_path):
    committed(tree(tmp_path))
    for place in provenance.WRITTEN:
        shutil.rmtree(tmp_path / place)
        (tmp_path / place).mkdir()
        (tmp_path / place / "new").write_text("new")
    assert provenance.commit()["clean"]


def edited(folder):
    (folder / "xit_core/__init__.py").write_text("changed")


def hidden(folder):
    git(folder, "update-index", "--assume-unchanged", "xit_core/__init__.py")


def skipped(folder):
    git(folder, "update-index", "--skip-worktree", "xit_core/__init__.py")


def unseen(folder):
    git(folder, "config", "status.showUntrackedFiles", "no")
    (folder / "xit_core/new.py").write_text("new")


def ignored(folder):
    (folder / ".git/info/exclude").write_text("*.py\n")
    (folder / "xit_core/new.py").write_text("new")


def staged(folder):
    edited(folder)
    git(folder, "add", ".")


@pytest.mark.parametrize("change", [edited, hidden, skipped, unseen, ignored, staged])
def test_clean_means_clean(tree, tmp_path, change):
    committed(tree(tmp_path))
    assert provenance.commit()["clean"]
    change(tmp_path)
    told = provenance.commit()
    assert len(told["commit"]) == 40 and not told["clean"]


def test_versions_are_those_of_the_packages_that_are_there(monkeypatch):
    monkeypatch.setattr(provenance, "PACKAGES", ("numpy", "no-such-package"))
    assert list(provenance.versions()) == ["numpy"]


def test_the_command_tells_its_version_and_commit(capsys, tree, tmp_path):
    committed(tree(tmp_path))
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert not end.value.code
    assert capsys.readouterr().out.strip().endswith(f"(commit {provenance.commit()['commit'][:10]})")
    shutil.rmtree(tmp_path / ".git")
    assert "commit" not in provenance.described() and os.linesep not in provenance.described()


# -- code that has changed since -----------------------------------------------------------------------------

SOURCE = '''
"""What it does."""
RATE = 2  # a comment


def step(x):
    """One step."""
    return x * RATE
'''


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("What it does", "What it is for", True),
        ("a comment", "another", True),
        ('    """One step."""\n', "", True),
        ("x * RATE", "(x\n            * RATE)", True),
        ("RATE = 2", "RATE = 3", False),
        ("return x * RATE", "return x", False),
        ("x * RATE", "x *", False),
    ],
)
def test_a_comment_changes_nothing_and_an_operation_does(before, after, same):
    assert before in SOURCE
    changed = SOURCE.replace(before, after).encode()
    assert (provenance.digest(SOURCE.encode()) == provenance.digest(changed)) == same


@pytest.fixture
def history(tree, tmp_path):
    """A repository with modules of a package at its only commit."""
    folder = tree(tmp_path / "history")
    used = "model/train.py model/kinds/tag.py model/kinds/classify.py model/methods/lora.py micro/world.py"
    used += " model/own.py"
    for name in f"{used} report/plots.py design/methods.py design/readers.py".split():
        (folder / "xit_core" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "xit_core" / name).write_text(SOURCE)
    provenance.digests_of.cache_clear()
    return committed(folder)


def test_the_modules_of_a_commit_are_those_of_its_tree(history):
    assert provenance.digests_of(provenance.commit()["commit"]) == provenance.digests()
    assert provenance.digests()["model.kinds.tag"] == provenance.digest(SOURCE.encode())
    assert provenance.digests_of("d" * 40) is None


PLAN = ("pretrained", "mnli", "xnli", "mnli > xnli", "mnli > udpos", "udpos")


@pytest.fixture
def finished(history, monkeypatch):
    """Rows of a small study, made at the commit of `history`."""
    runs = [Run(path) for path in PLAN]
    monkeypatch.setitem(studies.STUDIES, "tiny", lambda scale: runs)
    for run in runs:
        row = synthetic.row(run)
        results.write(row | {"provenance": row["provenance"] | provenance.commit()})
        run.folder.mkdir(parents=True)
    return runs


@pytest.mark.parametrize(
    ("module", "affected"),
    [
        ("model/train.py", PLAN),
        ("micro/world.py", PLAN),
        ("model/kinds/tag.py", ("mnli > udpos", "udpos")),
        ("model/kinds/classify.py", ("mnli", "xnli", "mnli > xnli", "mnli > udpos")),
        ("model/own.py", ()),
        ("model/methods/lora.py", ()),
        ("report/plots.py", ()),
        ("design/readers.py", PLAN),
        ("design/methods.py", ()),
    ],
)
def test_a_changed_module_affects_the_runs_that_use_it_and_what_starts_from_them(
    history, finished, module, affected
):
    assert not changed.modules_changed(finished)
    (history / "xit_core" / module).write_text(SOURCE.replace("a comment", "another"))
    assert not changed.modules_changed(finished)
    (history / "xit_core" / module).write_text(SOURCE.replace("RATE = 2", "RATE = 3"))
    found = changed.modules_changed(finished)
    name = module.removesuffix(".py").replace("/", ".")
    assert found == {run: {name} for run in finished if run.path in affected}


def test_a_run_loads_none_of_the_modules_that_decide_no_score():
    program = "import sys, xit_core.phases; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "xit_core.data.reading" in loaded.stdout.split()
    assert not {f"xit_core.{name}" for name in changed.APART} & {*loaded.stdout.split()}


def test_of_rows_without_a_known_commit_nothing_is_said(history, finished):
    (history / "xit_core/model/train.py").unlink()
    shutil.rmtree(history / ".git")
    provenance.digests_of.cache_clear()
    assert not changed.modules_changed(finished)


def test_a_study_says_what_other_code_made_and_renews_it_when_told(history, finished, monkeypatch, capsys):
    (history / "xit_core/model/kinds/tag.py").unlink()
    monkeypatch.setattr("xit_core.run.direct.run_direct", lambda *_: None)
    assert not cli.main(["study", "tiny", "--scale", "smoke", "--direct"])
    assert "2 finished runs were made by other code (model.kinds.tag) and stay" in capsys.readouterr().err
    assert all(map(results.finished, finished))
    assert not cli.main(["study", "tiny", "--scale", "smoke", "--direct", "--renew"])
    assert "2 runs that other code made are made anew" in capsys.readouterr().err
    assert [run.path for run in finished if not results.finished(run)] == [*PLAN[4:]]
    assert [run.path for run in finished if not run.folder.exists()] == [*PLAN[4:]]


def test_what_is_published_is_neither_named_nor_deleted(history, finished):
    publish.publish_study("tiny", "smoke")
    assert all(map(results.finished, finished))
    (history / "xit_core/model/train.py").unlink()
    assert not changed.modules_changed(finished)


# -- the environment of a process ----------------------------------------------------------------------------

DIRECT = """
import sys
from xit_core import cli
from xit_core.design import studies
from xit_core.design.run import Run
studies.STUDIES["tiny"] = lambda scale: [Run("mnli"), Run("mnli > udpos")]
sys.exit(cli.main(["study", "tiny", "--scale", "smoke", "--direct"]))
"""
SECRET = "hf_nobody_may_read_this"
HOSTILE = {
    "OMP_NUM_THREADS": "8", "MKL_NUM_THREADS": "4", "OPENBLAS_NUM_THREADS": "4",
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "SSE41", "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4",
    "ACCELERATE_MIXED_PRECISION": "bf16", "PYTHONHASHSEED": "77", "LC_ALL": "tr_TR.ISO-8859-9", "LANG": "C",
    "TZ": "Asia/Kolkata",
    "PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1", "HF_TOKEN": SECRET, "HUGGING_FACE_HUB_TOKEN": SECRET,
}  # fmt: skip


def made(place, **env):
    """The rows of a tiny study, made in a process with this environment."""
    told = {f"XIT_{name}": str(place / name) for name in ("RESULTS", "EXECUTED", "RUNS")}
    plain = {
        name: value
        for name, value in os.environ.items()
        if name not in (*environment.THREADED, *environment.FIXED)
    }
    done = subprocess.run(
        [sys.executable, "-c", DIRECT], env=plain | told | env, capture_output=True, timeout=300
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return place / "RESULTS"


def test_nothing_in_the_environment_reaches_a_score(places, monkeypatch):
    rows = []
    for name, env in {"plain": {}, "hostile": HOSTILE}.items():
        monkeypatch.setenv("XIT_RESULTS", str(made(places / name, **env)))
        rows.append([results.read(Run(path)) for path in ("mnli", "mnli > udpos")])
    for plain, hostile in zip(*rows, strict=True):
        for key in ("scores", "items", "curve", "dose", "protocols"):
            assert plain[key] == hostile[key], key
        for key in ("environment", "device", "predictions_sha256"):
            assert plain["provenance"][key] == hostile["provenance"][key], key
    assert rows[0][0]["provenance"]["environment"]["threads"] == 1
    written = [file for file in (places / "hostile").rglob("*") if file.is_file()]
    assert len(written) > 5 and not [file for file in written if SECRET.encode() in file.read_bytes()]


@pytest.fixture
def restored(monkeypatch):
    """The environment of the tests is as it was afterwards."""
    monkeypatch.setattr(os, "environ", os.environ.copy())


def test_settings_that_change_numbers_are_taken_away_and_threads_are_set(restored):
    os.environ |= HOSTILE | {"CUDA_VISIBLE_DEVICES": "3", "OPENBLAS_CORETYPE": "Haswell"}
    environment.fix_environment()
    assert {os.environ[name] for name in environment.THREADED} == {"1"} and os.environ[
        "PYTHONHASHSEED"
    ] == "0"
    assert not {"ATEN_CPU_CAPABILITY", "MKL_CBWR", "ACCELERATE_GRADIENT_ACCUMULATION_STEPS"} & {*os.environ}
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    # some processors need it: it is recorded
    assert environment.numeric() == {
        name: value for name, value in os.environ.items() if name in environment.NEEDED
    }


@pytest.mark.parametrize("threads", ["0", "-1", "two", "1.5", "999999", "²"])
def test_a_number_of_threads_that_cannot_be_is_refused(restored, threads):
    os.environ["XIT_THREADS"] = threads
    with pytest.raises(Bad, match=f"XIT_THREADS={threads}; allowed: 1 to"):
        environment.fix_environment()


def row(**made):
    return {"provenance": {"device": "x86_64 CPU, 1 thread", "packages": {"torch": "2.13.0"}} | made}


def test_rows_of_several_environments_are_told_apart():
    avx = {"instructions": "AVX512", "variables": {}}
    assert environment.environments_differ([]) == environment.environments_differ([row(), row()]) == ""
    told = environment.environments_differ(
        [row(environment=avx), row(environment=avx), row(environment=avx | {"instructions": "AVX2"})]
    )
    assert (
        told.startswith("rows of 2 environments")
        and "AVX512 torch 2.13.0 (2 rows)" in told
        and "AVX2" in told
    )
    other = row(environment=avx | {"variables": {"OPENBLAS_CORETYPE": "Haswell"}})
    assert "OPENBLAS_CORETYPE=Haswell" in environment.environments_differ([row(environment=avx), other])


def test_instructions_are_held_to_what_is_named_and_what_the_processor_has(monkeypatch, tmp_path):
    listed = tmp_path / "cpuinfo"
    monkeypatch.setattr(environment, "CPU_LIST", listed)
    monkeypatch.delenv("XIT_INSTRUCTIONS", raising=False)
    assert environment.instructions() == {} == environment.instructions("avx2")  # no list: nothing is risked
    listed.write_text("model name : Made up 9\nflags\t\t: fpu sse4_1 avx avx2 avx512f\n")
    assert environment.processor() == "Made up 9" and environment.usable() == ["all", "avx2", "sse4"]
    assert environment.instructions("avx2")["ATEN_CPU_CAPABILITY"] == "avx2"
    monkeypatch.setenv("XIT_INSTRUCTIONS", "all")
    assert environment.instructions("avx2") == {}
    listed.write_text("flags\t\t: fpu sse4_1 avx\n")
    monkeypatch.setenv("XIT_INSTRUCTIONS", "avx2")
    with pytest.raises(Bad, match="XIT_INSTRUCTIONS=avx2; allowed on this processor: all, sse4"):
        environment.instructions()


def test_a_generated_scale_computes_with_avx2_and_its_row_says_so(places):
    if not environment.has_instructions("avx2"):
        pytest.skip("a processor without AVX2")
    launch.execute("pretrained", scale="smoke")
    assert results.read(Run("pretrained"))["provenance"]["environment"]["instructions"] == "AVX2"
