"""Which commit a row names: that of the project's own tree, or none."""

import os
import shutil
import subprocess

import pytest

from xit_core import cli
from xit_core.machine import provenance


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


def changed(folder):
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
    changed(folder)
    git(folder, "add", ".")


@pytest.mark.parametrize("change", [changed, hidden, skipped, unseen, ignored, staged])
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
