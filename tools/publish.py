"""Prove that a built book needs nothing else, and lay it into a site beside the books of other versions.

    python tools/publish.py _build/html             the proof alone
    python tools/publish.py _build/html VERSION     then the book beside those of earlier versions on the
                                                    branch `pages`, with a description of its data (RO-Crate)
                                                    and index.html, the list of versions; nothing is pushed

The proof is made on a copy in another folder: every link and file is there, nothing is loaded from the net
(tools/bookcheck.py), every row that a page names is a file with the hash that it says itself, and no file
names a place of this machine. The exit status is 1 if any of it is not so.
"""

import argparse
import html
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

import bookcheck
from xit_core.ledger import results
from xit_core.machine.errors import Bad
from xit_core.machine.places import ROOT
from xit_core.report import export

TEXT = {".html", ".js", ".json", ".css", ".txt", ".ipynb", ".svg", ".md"}
BRANCH = "pages"
VERSION = re.compile(r"v?\d+(\.\d+)*([-.]?[a-z]+\d*)?", re.ASCII)
LIST = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>body {{ font: 1.1rem/1.6 sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }}</style>
<h1>{title}</h1>
<p><a href="{newest}/index.html">The newest version: {newest}</a></p>
<p>All versions of this book; each has the ledger that its numbers come from:</p>
<ul>
{items}
</ul>
</html>
"""


def problems(book: Path) -> list[str]:
    """What is wrong with a built book, a line each, found in a copy of it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(book, Path(folder, "elsewhere")))
        number, found = bookcheck.check(copy)
        return found + ([] if number else ["no pages"]) + _wrong_rows(copy) + _places(copy)


def _wrong_rows(book: Path) -> list[str]:
    """The ledger's rows in a book that are not what they say."""
    found = []
    for file in sorted((book / "ledger").rglob("*.json")):
        try:
            results.checked(file)
        except Bad as error:
            found.append(f"{file.relative_to(book)}: {error}")
    return found


def _places(book: Path) -> list[str]:
    """The files that name the folder of this project, or the home of who built it."""
    names = sorted({str(ROOT), str(Path.home())} - {"/"})
    place = re.compile(rf"({'|'.join(map(re.escape, names))})(?=[/\"'\s<]|$)")
    return [
        f"{file.relative_to(book)}: names a place of this machine, {name}"
        for file in sorted(book.rglob("*"))
        if file.suffix in TEXT
        for name in sorted(set(place.findall(file.read_text(encoding="utf8", errors="replace"))))
    ]


def publish(book: Path, version: str, repository: Path = ROOT) -> None:
    """Commit a book as a version on the branch `pages` of a repository, which is made if it is not there.

    Raises: subprocess.CalledProcessError when git fails; it has said why.
    """

    def git(*words: str, folder: Path = repository) -> str:
        command = ["git", "-C", str(folder), *words]
        return subprocess.check_output(command, stdin=subprocess.DEVNULL, encoding="utf8").strip()

    git("worktree", "prune")  # one that was killed leaves its name
    if not git("branch", "--list", BRANCH):
        if "origin" in git("remote").split() and git("ls-remote", "--heads", "origin", BRANCH):
            git("fetch", "-q", "origin", f"{BRANCH}:{BRANCH}")
        else:  # the first version of all
            git("branch", BRANCH, git("commit-tree", "-m", "An empty site", git("mktree")))
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder, BRANCH)
        git("worktree", "add", "-q", str(site), BRANCH)
        try:
            lay(book, site, version)
            git("add", "-A", folder=site)
            if git("status", "--porcelain", folder=site):
                git("commit", "-q", "-m", f"The book of {version}", folder=site)
        finally:
            git("worktree", "remove", "--force", str(site))


def lay(book: Path, site: Path, version: str) -> Path:
    """Copy a book to its place in a site, with its description, and write the list of versions anew."""
    if not VERSION.fullmatch(version):
        raise SystemExit(f"publish: {version!r} is no version; name one such as v1.2")
    place = site / version
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(book, place)
    told = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf8"))
    crate = json.dumps(export.described(place, version, told), indent=1, sort_keys=True) + "\n"
    (place / "ro-crate-metadata.json").write_text(crate, encoding="utf8")
    (site / ".nojekyll").touch()  # a host of pages would leave out the folders that begin with _
    (site / "index.html").write_text(listed(site), encoding="utf8")
    return place


def listed(site: Path) -> str:
    """The page that lists the versions of a site, the newest first."""
    versions = sorted((f.name for f in site.iterdir() if VERSION.fullmatch(f.name)), key=_order, reverse=True)
    items = "\n".join(f'<li><a href="{name}/index.html">{name}</a></li>' for name in versions)
    title = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf8"))["title"]
    return LIST.format(title=html.escape(title), newest=versions[0], items=items)


def _order(version: str) -> tuple:
    """1.10 is newer than 1.9, and than 1.10rc1."""
    numbers, word = re.match(r"v?([\d.]*\d)[-.]?(.*)", version).groups()
    return [int(part) for part in numbers.split(".")], not word, word


def main() -> int:
    """The proof, and where a version is named, its publication."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    given.add_argument("book", type=Path)
    given.add_argument("version", nargs="?")
    asked = given.parse_args()
    found = problems(asked.book)
    print(*found, f"{asked.book}: {len(found)} problems", sep="\n")
    if not found and asked.version:
        try:
            publish(asked.book, asked.version)
        except subprocess.CalledProcessError as error:  # git has said why
            return error.returncode
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
