"""Check a built book: no page loads from the net or more than 2 MB, and every internal link, file and
fragment exists.

python tools/bookcheck.py _build/html
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADING = {"script", "img", "iframe", "source", "video", "audio", "embed"}
HEAVIEST = (
    2_000_000  # bytes of a page with all that it names as loaded; what style sheets load is not counted
)
NOT_LOADED = {"index", "search", "next", "prev", "canonical"}  # <link rel=...> that a browser does not fetch


class Page(HTMLParser):
    """What a page loads, what it may load instead (in the dark, on a phone), what it links to, and the ids
    that links can point to.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.instead: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {key: value for key, value in attrs if value}
        self.ids.update(attributes[key] for key in ("id", "name") if key in attributes)
        if tag == "source" and "srcset" in attributes:
            self.instead.append(attributes["srcset"])
        elif tag in LOADING and "src" in attributes:
            # a browser loads the one of two twins that it shows
            hidden = "only-dark" in attributes.get("class", "").split()
            (self.instead if hidden else self.loads).append(attributes["src"])
        elif tag == "link" and "href" in attributes and attributes.get("rel") not in NOT_LOADED:
            self.loads.append(attributes["href"])
        elif tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])


def check(root: Path) -> tuple[int, list[str]]:
    """The number of pages below `root`, and one line for each problem."""
    root = root.resolve()
    files = [file for file in sorted(root.rglob("*.html")) if "_static" not in file.parts]
    pages = {file: Page(file.read_text(encoding="utf8")) for file in files}
    lines = []
    for file, page in pages.items():
        findings = [_load(file, url) for url in (*page.loads, *page.instead)]
        findings += [_link(file, url, pages) for url in page.links]
        findings.append(_weight(file, page))
        lines += [f"{file.relative_to(root)}: {problem}" for problem in findings if problem]
    return len(pages), lines


def _load(file: Path, url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme == "data":
        return ""
    if parts.scheme or parts.netloc:
        return f"loads from the net: {url}"
    return "" if (file.parent / unquote(parts.path)).exists() else f"missing file: {url}"


def _weight(file: Path, page: Page) -> str:
    loaded = {file, *((file.parent / unquote(urlsplit(url).path)).resolve() for url in page.loads)}
    weight = sum(part.stat().st_size for part in loaded if part.is_file())
    return f"weighs {weight:,} bytes; the limit is {HEAVIEST:,}" if weight > HEAVIEST else ""


def _link(file: Path, url: str, pages: dict[Path, Page]) -> str:
    parts = urlsplit(url)
    if parts.scheme or parts.netloc:
        return ""
    target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    if not target.exists():
        return f"dead link: {url}"
    missing = parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids
    return f"dead fragment: {url}" if missing else ""


if __name__ == "__main__":
    number, problems = check(Path(sys.argv[1]))
    print(*problems, f"{number} pages, {len(problems)} problems", sep="\n")
    sys.exit(bool(problems) or not number)
