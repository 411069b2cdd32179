"""Which commit a row names: that of the project's own tree, or none."""

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
from xit_core.machine import provenance
from xit_core.run import changed


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
    for name in f"{used} report/plots.py design/methods.py".split():
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
