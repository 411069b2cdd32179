"""The recipes and the set-up: in a folder of any name, deaf to a person's settings, and nothing of theirs is
removed.
"""

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xit_core.machine.places import ROOT

NEEDED = (
    "Makefile environment.yml constraints.txt pyproject.toml xit_core/cli.py xit_core/run/kernel.py "
    ".ci/run tools"
).split()
NAMES = (
    "a b", "a: b {x} #1 $HOME 'q' \"é\"", "$(touch made)", "`touch made`", "[a]* b?", "100% %a",
    "a & b; touch made", "-rf", "~",
    "a\\b", " before", "after ", "naïve 名前 é", "x=y", "a\tb", "!$! $$", "$(CURDIR) ${HOME}", "a,b) (",
    "... b", "b -rf .. c",
    "a'b", 'a"b',
)  # fmt: skip
# target -> programs it starts
LINES = {
    "test": 12, "study": 4, "book": 3, "pdf": 4, "check": 5, "smoke": 4, "bench": 1, "encoder": 1, "clean": 0,
}  # fmt: skip
CLEAN = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8"}
# it adds what it writes in one piece, for another may be writing, too
STUB = """#!/bin/sh
{ printf '== %s' "$0"; printf ' [%s]' "$@"; echo; env; } >"calls.$$"
cat "calls.$$" >>calls
rm "calls.$$"
"""


def program(path: Path, text: str = STUB) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def project(folder: Path) -> Path:
    """What make needs of the project, set up, with programs that only write down how they were called."""
    for name in NEEDED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    for name in ("python", "shellcheck"):
        program(folder / ".venv/bin" / name)
    (folder / ".venv/.ready").write_text(f"{folder.resolve()}\n")
    return folder


def make(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["make", *words], cwd=folder, env=CLEAN | env, capture_output=True, text=True, check=False
    )


def near(name: str) -> set[str]:
    """Names that an unquoted use of this one would reach: its words, and what stands before and after each
    odd character.
    """
    parts = (
        [name[:i] for i in range(1, len(name))]
        + [name[i:] for i in range(1, len(name))]
        + re.split(r"\W+", name)
    )
    return {x for part in parts for x in (part, part.strip(" \t\"'`\\")) if x.strip(".") and "/" not in x} - {
        name,
        "made",
    }


def belongings(folder: Path, names: set[str]) -> dict[Path, str]:
    """A person's files in folders of these names, laid out as the project's are."""
    files = {}
    for name in names:
        for inner in ("mine", "_build/test/mine", "_build/html/mine", "_runs/mine", "encoder/model.mine"):
            file = folder / name / inner
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(name)
            files[file] = name
    return files


def calls(folder: Path) -> list[list[str]]:
    return [
        line[3:].split(" [") for line in (folder / "calls").read_text().splitlines() if line.startswith("== ")
    ]


def reached(folder: Path) -> dict[str, set[str]]:
    """The environments of all programs that ran: name -> values."""
    found: dict[str, set[str]] = {}
    for line in (folder / "calls").read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("== "):
            found.setdefault(name, set()).add(value)
    return found


# -- any name ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_in_a_folder_of_any_name_every_target_works_and_what_lies_beside_it_stays(name, tmp_path):
    folder = project(tmp_path / name)
    theirs = belongings(tmp_path, near(name)) | belongings(
        folder, near(name) - {"_build", "_runs", "tools", "calls"}
    )
    new = belongings(folder / "_runs", {"micro"})
    for target, count in LINES.items():
        (folder / "calls").write_text("")
        done = make(folder, target)
        assert done.returncode == 0, done.stderr
        assert len(calls(folder)) == count, calls(folder)
        assert {program for program, *_ in calls(folder)} <= {".venv/bin/python", ".venv/bin/shellcheck"}
        assert not [word for _, *words in calls(folder) for word in words if word.startswith("/")]
    assert {file: file.read_text() for file in theirs} == theirs
    assert (
        not any(file.exists() for file in new)
        and (folder / "xit_core/encoders/micro/model.mine").read_text() == "micro"
    )
    assert sorted(tmp_path.rglob("made")) == []


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0\n\r"), min_size=1, max_size=40)
)
def test_recipes_name_nothing_by_the_name_of_the_folder(name):
    if name.strip(".") == "" or len(name.encode()) > 200:
        name += "_" if name.strip(".") == "" else ""
        name = name[:40]
    with tempfile.TemporaryDirectory() as parent:
        folder = project(Path(parent) / name)
        theirs = belongings(Path(parent), {x for x in near(name) if len(x) < 3 or x.isalnum()})
        done = make(folder, "-n", "test")
        assert done.returncode == 0, done.stderr
        words = [word for line in done.stdout.splitlines() for word in shlex.split(line)]
        # no set-up before: it knows the folder
        assert words[words.index("bash") :][:2] == ["bash", "tools/smoke"]
        assert not [word for word in words if word.startswith("/") or parent in word]
        assert {file: file.read_text() for file in theirs} == theirs


@pytest.mark.parametrize(
    "name",
    ["_build", "_repeat", "book/results", "book/executed", "book/_generated", "xit_core/encoders", ".venv"],
)
@pytest.mark.parametrize("target", ["book", "test", "clean", "constraints"])
def test_what_lies_behind_a_link_is_a_persons_and_stays(tmp_path, name, target):
    folder, theirs = project(tmp_path / "project"), tmp_path / "theirs"
    if (folder / name).exists():
        shutil.move(folder / name, theirs)
    files = belongings(theirs, {"html", "test", "fresh", "micro", "smoke", "bin"})
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).symlink_to(theirs)
    done = make(folder, target)
    assert done.returncode == 2 and f"{name} is a link" in done.stderr
    assert {file: file.read_text() for file in files} == files


def test_a_link_to_the_project_is_the_project(tmp_path):
    folder = project(tmp_path / "a b")
    (tmp_path / "-l $x").symlink_to(folder)
    assert make(tmp_path / "-l $x", "test", PWD=str(tmp_path / "-l $x")).returncode == 0
    assert reached(folder)["XIT_RUNS"] == {
        f"{folder.resolve()}/_build/test/{name}" for name in ("runs", "again")
    }


def test_nothing_is_removed_where_the_project_is_not(tmp_path):
    folder = project(tmp_path / "project")
    theirs = belongings(tmp_path, {"home"})
    done = make(tmp_path / "home", "-f", str(folder / "Makefile"), "clean")
    assert done.returncode == 2 and "not the folder of the project" in done.stderr
    assert all(file.is_file() for file in theirs)


def test_a_folder_that_was_moved_or_copied_is_set_up_again(tmp_path):
    folder = project(tmp_path / "a b")
    assert "bash tools/setup" not in make(folder, "-n", "check").stdout
    shutil.copytree(folder, tmp_path / "c d")
    assert "bash tools/setup" in make(tmp_path / "c d", "-n", "check").stdout


@pytest.mark.parametrize("cdpath", ["", "elsewhere"])
def test_the_entry_of_the_ci_works_from_anywhere(cdpath, tmp_path):
    folder = project(tmp_path / "-a b")
    (tmp_path / "elsewhere/-a b/.ci").mkdir(parents=True)
    env = CLEAN | {"CDPATH": str(tmp_path / cdpath)}
    for entry, cwd in (("-a b/.ci/run", tmp_path), (str(folder / ".ci/run"), "/"), (".ci/run", folder)):
        (folder / "calls").unlink(missing_ok=True)
        done = subprocess.run(
            ["bash", "--", entry], cwd=cwd, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert len(calls(folder)) == LINES["test"]


# -- a study that is published -------------------------------------------------------------------------------

OFF = STUB + 'case "$*" in *" compare "*) exit {status} ;; esac\n'


def published(folder: Path, status: int) -> Path:
    """A project whose ledger of micro is published, and whose comparison ends with this status."""
    project(folder)
    (folder / "book/results").mkdir(parents=True)
    (folder / "book/results/main-micro.jsonl.xz").touch()
    program(folder / ".venv/bin/python", OFF.replace("{status}", str(status)))
    return folder


@pytest.mark.parametrize("status", [0, 1])
def test_a_published_study_is_repeated_elsewhere_and_compared_after_the_book_is_built(status, tmp_path):
    folder = published(tmp_path / "a b", status)
    done = make(folder, "study")
    assert done.returncode == (2 if status else 0)
    told = [" ".join(word.rstrip("]") for word in words) for _, *words in calls(folder)]
    pair = "-m xit_core.cli compare book/results _repeat/results"
    assert told[0] == "-m xit_core.cli study --scale=micro"
    assert told[1] == f"{pair} --record --scale=micro" and told[-1] == f"{pair} --scale=micro"
    assert len(told) == LINES["study"] + 2
    assert {name: reached(folder)[name] for name in ("XIT_RESULTS", "XIT_EXECUTED", "XIT_RUNS")} == {
        "XIT_RESULTS": {"_repeat/results"},
        "XIT_EXECUTED": {"_repeat/executed"},
        "XIT_RUNS": {"_repeat/runs"},
    }


def test_a_comparison_that_could_not_be_made_ends_the_study(tmp_path):
    folder = published(tmp_path / "a b", 2)
    assert make(folder, "study").returncode == 2 and len(calls(folder)) == 2


@pytest.mark.parametrize("words", [{"SCALE": "small"}, {"XIT_RESULTS": "mine"}])
def test_a_study_that_is_not_published_or_has_its_own_ledger_is_made_there_and_not_compared(words, tmp_path):
    folder = published(tmp_path / "a b", 1)
    given = [f"{name}={value}" for name, value in words.items() if name == "SCALE"]
    done = make(folder, "study", *given, **{n: v for n, v in words.items() if n != "SCALE"})
    assert done.returncode == 0 and "not compared with a published ledger" in done.stdout.splitlines()[-1]
    assert len(calls(folder)) == LINES["study"] and "_repeat" not in (folder / "calls").read_text()


# -- what a person has set -----------------------------------------------------------------------------------

DEAF = {
    "PIP_USER": "1", "PIP_TARGET": "t", "PIP_PREFIX": "p", "PIP_REQUIRE_VIRTUALENV": "1", "PIP_NO_DEPS": "1",
    "PIP_DRY_RUN": "1",
    "PIP_CONSTRAINT": "c", "PIP_PRE": "1", "UV_TARGET": "t", "UV_SYSTEM_PYTHON": "1", "UV_PYTHON": "p",
    "PYTHONPATH": "p", "PYTHONHOME": "h", "PYTHONOPTIMIZE": "2", "PYTHONWARNINGS": "error",
    "PYTHONSAFEPATH": "1",
    "PYTHONUSERBASE": "u", "PYTHONSTARTUP": "s", "PYTHONUTF8": "0", "JUPYTER_PATH": "j",
    "JUPYTER_CONFIG_DIR": "c",
    "JUPYTER_DATA_DIR": "d", "IPYTHONDIR": "i", "CONDA_PREFIX": "c", "CONDA_DEFAULT_ENV": "base",
    "VIRTUAL_ENV": "v",
    "PYTEST_ADDOPTS": "-k no", "PYTEST_PLUGINS": "no", "RUFF_CONFIG": "r", "SNAKEMAKE_PROFILE": "s",
    "SPHINXOPTS": "-E",
    "MPLBACKEND": "no", "MATPLOTLIBRC": "m", "SHELLCHECK_OPTS": "-e SC2086", "GREP_OPTIONS": "-v",
    "CDPATH": "/", "ENV": "e",
    "SCALE": "paper", "PYTHON": "no", "LC_ALL": "de_DE", "LANGUAGE": "de", "XIT_PYTHON": "no",
    # names that recipes once read
    "VENV": "/v", "BIN": "/b", "READY": "/r", "TEST": "/t", "NBVAL": "-x", "SHELL": "/bin/false",
    "VPATH": "/", "CURDIR": "/c",
}  # fmt: skip
TAKEN = {
    "PIP_INDEX_URL": "a", "PIP_EXTRA_INDEX_URL": "b", "PIP_FIND_LINKS": "$HOME c", "PIP_CERT": "d",
    "PIP_PROXY": "e",
    "PIP_CACHE_DIR": "f", "UV_INDEX_URL": "g", "UV_DEFAULT_INDEX": "h", "UV_INDEX_OWN_PASSWORD": "i",
    "UV_OFFLINE": "1",
    "XIT_MIRROR": "/m $x", "TMPDIR": "/tmp",
}  # fmt: skip
# may pass through: nothing here reads them
UNREAD = {"VENV", "BIN", "READY", "TEST", "SHELL", "CURDIR", "VPATH", "PYTHON"}


def test_settings_of_tools_in_the_environment_do_not_reach_what_is_run(tmp_path):
    folder = project(tmp_path / "a b")
    program(tmp_path / "start", "touch made\n")
    function = {"BASH_FUNC_rm%%": "() { touch made; }", "BASH_ENV": str(tmp_path / "start")}
    for target in ("test", "bench"):
        done = make(folder, target, **DEAF | TAKEN | function)
        assert done.returncode == 0, done.stderr
    values = reached(folder)
    assert {
        name: value for name, value in DEAF.items() if value in values.get(name, ()) and name not in UNREAD
    } == {}
    assert {name: values.get(name) for name in TAKEN} == {name: {value} for name, value in TAKEN.items()}
    assert values["SCALE"] == {"micro"} and values["PIP_USER"] == {"0"} and values["PYTHONUTF8"] == {"1"}
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
        (value,) = values[name]
        assert value.startswith(f"{folder.resolve()}/.venv/")
    assert sorted(tmp_path.rglob("made")) == []


@pytest.mark.parametrize("flags", ["-i", "-e", "-t", "-ki", "--ignore-errors", "--touch"])
def test_options_under_which_a_failure_would_pass_are_refused(flags, tmp_path):
    folder = project(tmp_path / "project")
    for done in (make(folder, "test", MAKEFLAGS=flags), make(folder, flags, "test")):
        assert done.returncode == 2 and "run make without them" in done.stderr
    assert not (folder / "calls").exists()


@pytest.mark.parametrize(
    "words",
    [["-j4"], ["-k"], ["-s", "--no-print-directory"], ["-Iteie"], ["SCALE=small"], ["PYTHON=python3"]],
)
def test_other_options_are_not(words, tmp_path):
    folder = project(tmp_path / "project")
    assert make(folder, *words, "test").returncode == 0
    assert make(folder, "test", MAKEFLAGS=" ".join(words)).returncode == 0


@pytest.mark.parametrize(
    "scale", ["x; rm -rf y", "../..", "..", "a/b", "", "$(shell touch made)", "a b", "x\ntouch made"]
)
@pytest.mark.parametrize("target", ["study", "encoder", "clean"])
def test_a_scale_that_is_no_name_is_refused_before_anything_runs(scale, target, tmp_path):
    folder = project(tmp_path / "project")
    before = sorted(folder.rglob("*"))
    done = make(folder, target, f"SCALE={scale}")
    assert done.returncode == 2 and "SCALE: the name of a scale" in done.stderr
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("scale", ["x;touch${IFS}made", "`touch${IFS}made`", "'", '"', "$HOME", "#", "%"])
def test_any_other_scale_reaches_the_program_as_it_was_typed(scale, tmp_path):
    folder = project(tmp_path / "project")
    assert make(folder, "bench", f"SCALE={scale}").returncode == 0
    assert f"--scale={scale}]" in calls(folder)[-1] and not (folder / "made").exists()


# -- set-up --------------------------------------------------------------------------------------------------

PYTHON = """#!/bin/sh
printf '%s\\n' "$*" >>calls
case "$1 $2" in
  "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && touch "$3/bin/activate" ;;
  "tools/packages.py install") [ ! -e broken ] ;;
esac
"""


@pytest.mark.parametrize("name", ["plain", "a b", "a: b", "{x}", "$x y"])
def test_a_set_up_that_was_cut_off_is_mended_by_the_next(name, tmp_path):
    folder = project(tmp_path / name)
    shutil.rmtree(folder / ".venv")
    program(tmp_path / "my python", PYTHON)
    python = f"PYTHON={tmp_path / 'my python'}"
    (folder / "broken").touch()
    env = {"PATH": "/usr/bin:/bin", "PIP_USER": "1"}  # without uv
    assert make(folder, "check", python, **env).returncode == 2
    assert not (folder / ".venv/.ready").exists()
    (folder / "broken").unlink()
    assert make(folder, ".venv/.ready", python, **env).returncode == 0
    assert "up to date" in make(folder, ".venv/.ready", python, **env).stdout
    made = [
        line.split("-m venv ")[1]
        for line in (folder / "calls").read_text().splitlines()
        if line.startswith("-m venv")
    ]
    assert len(made) == 1 and not set(":{}$") & set(made[0])
    assert Path(made[0]).is_relative_to(folder) == (name in ("plain", "a b"))
    assert Path(made[0]).parent.exists() == (name in ("plain", "a b"))  # the other name is gone


def test_an_interpreter_that_cannot_be_had_is_one_line(tmp_path):
    folder = project(tmp_path / "a b")
    shutil.rmtree(folder / ".venv")
    done = make(folder, ".venv/.ready", "PYTHON=x; touch made")
    assert done.returncode == 2 and "needs Python 3.11" in done.stderr
    assert not (folder / "made").exists() and not (folder / ".venv").exists()


def test_scripts_of_the_environment_find_their_interpreter_where_it_is(tmp_path):
    text = "import sys; print('ran', *sys.argv[1:])"
    heads = {
        "short": "#!/gone/bin/python3.11",
        "long": "#!/bin/sh\n'''exec' \"/go ne/bin/python\" \"$0\" \"$@\"\n' '''",
    }
    folder = tmp_path / "a: b {x} #1 $HOME 'q' \"é\"/bin"
    folder.mkdir(parents=True)
    (folder / "python").symlink_to(os.path.realpath(sys.executable))
    for name, head in (heads | {"other": "#!/bin/sh"}).items():
        program(folder / name, f"{head}\n{text}\n")
    runpy.run_path(str(ROOT / "tools/packages.py"))["free"](folder)
    for name in heads:
        (tmp_path / name).symlink_to(folder / name)
        for script in (folder / name, tmp_path / name):
            assert (
                subprocess.run([script, "a b"], capture_output=True, text=True, check=True).stdout
                == "ran a b\n"
            )
    assert (folder / "other").read_text() == f"#!/bin/sh\n{text}\n"


def test_of_pips_configuration_files_only_the_sources_of_packages_count(tmp_path):
    (tmp_path / ".config/pip").mkdir(parents=True)
    (tmp_path / ".config/pip/pip.conf").write_text(
        "[global]\nfind-links = a\n  b\nuser = true\n[install]\ntarget = x\ntimeout = 7\n[list]\nproxy = no\n"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    env |= {"PIP_TIMEOUT": "8", "XDG_CONFIG_DIRS": str(tmp_path), "HOME": str(tmp_path)}
    env |= {"XDG_CONFIG_HOME": str(tmp_path / ".config")}
    command = [sys.executable, ROOT / "tools/packages.py", "config", "list"]
    told = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.splitlines()
    values = {line.partition("=")[0].removeprefix(":env:."): line.partition("=")[2] for line in told}
    # beside what this machine's own file says of sources
    assert values["find-links"] == "'a\\nb'" and values["timeout"] == "'8'"
    assert not {"user", "target", "proxy"} & set(values) and all(line.startswith(":env:.") for line in told)
    named = {
        f"PIP_{key.upper().replace('-', '_')}"
        for key in runpy.run_path(str(ROOT / "tools/packages.py"))["SOURCES"]
    }
    assert named | {"PIP_CONFIG_FILE"} == set(re.findall(r"PIP_\w+", (ROOT / "Makefile").read_text())) - {
        "PIP_",
        "PIP_USER",
    }


# -- shellcheck ----------------------------------------------------------------------------------------------


def checked(makefile: str, folder: Path) -> subprocess.CompletedProcess:
    (folder / "Makefile").write_text(makefile)
    extract = [sys.executable, ROOT / "tools/recipes.py", folder / "Makefile"]
    done = subprocess.run(extract, capture_output=True, text=True, check=False)
    (folder / "recipes.sh").write_text(done.stdout)
    command = [Path(sysconfig.get_path("scripts"), "shellcheck"), "--norc", folder / "recipes.sh"]
    return done if done.returncode else subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "bad",
    [
        "rm -rf $(TEST)",
        "@-rm -rf $${TEST}",
        "cp a \\\n\t  $(OUT)/b",
        'rm -rf "$$TEST/"*',
        "touch $@",
        "cat $<",
    ],
)
def test_an_unquoted_variable_in_a_recipe_fails_the_check(bad, tmp_path):
    done = checked(f"TEST := a\nall:\n\techo\n\t{bad}\n", tmp_path)
    assert done.returncode == 1 and re.search("SC2086|SC2115|SC2068", done.stdout)
    assert f"line {4 + bad.count(chr(10))}:" in done.stdout  # the line of the Makefile


def test_a_quoted_one_passes(tmp_path):
    done = checked('all: a\n\t@rm -rf "$(TEST)" "$${X:?}" \\\n\t  "$(B)"\n\n\ttouch "$@"\n', tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "hidden",
    ["a:\n\trm $(if x,y)", "define a\nrm\nendef", "a: b; rm c", ".RECIPEPREFIX = >", "a:\n\trm $(call x)"],
)
def test_a_recipe_that_cannot_be_read_fails_the_check(hidden, tmp_path):
    done = checked(f"# head\n{hidden}\n", tmp_path)
    assert done.returncode == 1 and done.stderr.startswith("recipes.py: ")


def test_no_value_of_make_is_pasted_into_a_recipe_and_every_script_is_checked():
    text = (ROOT / "Makefile").read_text()
    recipes = [line for line in text.splitlines() if line.startswith("\t")]
    assert {name for line in recipes for name in re.findall(r"(?<!\$)\$[({]?(\w+|[^$\w])", line)} == {"MAKE"}
    scripts = [path for folder in (".ci", "tools") for path in (ROOT / folder).iterdir() if path.is_file()]
    (command,) = (line for line in recipes if "bin/shellcheck" in line)
    for path in scripts:
        assert path.suffix == ".py" or str(path.relative_to(ROOT)) in command.split(), path


# -- once for real -------------------------------------------------------------------------------------------


def test_a_run_leaves_its_row_in_a_project_whose_folder_has_every_odd_character(tmp_path):
    folder = tmp_path / "a: b {x} #1 $HOME 'q' \"é\" & `c` [d] 100%"
    for name in ("xit_core", "notebooks"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors")
        )
    interpreter = Path(os.path.realpath(sys.executable))
    site = folder / f".venv/lib/python{sysconfig.get_python_version()}/site-packages"
    for made in (site, folder / ".venv/bin"):
        made.mkdir(parents=True)
    (folder / ".venv/bin/python").symlink_to(interpreter)
    (folder / ".venv/pyvenv.cfg").write_text(f"home = {interpreter.parent}\n")
    (site / "packages.pth").write_text(f"{folder}\n{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    command = [".venv/bin/python", "-m", "xit_core.cli", "run", "xnli", "--scale", "smoke"]
    done = subprocess.run(
        command, cwd=folder, env=CLEAN | {"LC_ALL": "C.UTF-8"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (row,) = folder.glob("book/results/smoke/*.json")
    assert (folder / "book/executed/smoke" / f"{row.stem}.ipynb").is_file()
