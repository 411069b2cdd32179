"""What is installed is written down once, exactly; and a process's environment does not reach a number."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires

import pytest

from xit_core.design.run import Run
from xit_core.ledger import results
from xit_core.machine import environment
from xit_core.machine.errors import Bad
from xit_core.machine.places import ROOT
from xit_core.run import launch, profiles

PIN = re.compile(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*")
BROWSERS = ("pagecheck.py",)  # serves the book to a browser on this machine
LIGHT = ("machine", "design", "data", "micro", "metrics", "ledger", "report", "run")  # and cli


def name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[;=<>!~(]", requirement)[0]).lower()


def pins(text: str) -> list[str]:
    return [line.removeprefix("      - ") for line in text.splitlines() if re.match(r"      - ", line)]


def constraints() -> dict[str, str]:
    lines = [x for x in (ROOT / "constraints.txt").read_text().splitlines() if x and not x.startswith("#")]
    assert all(PIN.fullmatch(x) for x in lines), "one exact public version a line, no address, no local build"
    return {name(x): x.split("==")[1] for x in lines}


def test_every_package_of_the_list_has_an_exact_version_that_the_constraints_share():
    listed = pins((ROOT / "environment.yml").read_text())
    assert len(listed) > 10
    for line in listed:
        assert PIN.fullmatch(line), line
        assert constraints()[name(line)] == line.split("==")[1]
    assert "jupyter-book==1." in " ".join(listed)


def test_the_constraints_pin_what_the_listed_packages_need():
    pinned = constraints()
    for line in pins((ROOT / "environment.yml").read_text()):
        plain = [r for r in requires(name(line)) or [] if ";" not in r]
        assert [r for r in plain if name(r) not in pinned] == []


def test_an_extra_is_the_same_in_both_places():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra in extras.keys() - {"test"}:
        assert all(PIN.fullmatch(x) and x in (ROOT / "environment.yml").read_text() for x in extras[extra])
    assert extras["slurm"] == [profiles.PIN]


def test_no_machine_path_or_address_stands_in_the_build_files():
    tools = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "tools").iterdir()
        if path.is_file() and path.name not in BROWSERS
    ]
    for file in (
        "environment.yml",
        "constraints.txt",
        "pyproject.toml",
        "Makefile",
        "Snakefile",
        ".ci/run",
        *tools,
    ):
        assert not re.search(r"https?://|/home/|/root|/work/|/opt/", (ROOT / file).read_text()), file


def test_the_core_imports_no_torch():
    code = f"""
import sys
class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "accelerate"):
            raise ImportError(name)
sys.meta_path.insert(0, Forbidden())
import importlib, pathlib, xit_core.cli
for room in {LIGHT!r}:
    for file in pathlib.Path("xit_core", room).glob("*.py"):
        importlib.import_module(f"xit_core.{{room}}.{{file.stem}}")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


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
