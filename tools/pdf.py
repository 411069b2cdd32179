"""A built book as one PDF, printed by Chromium: title page, contents with page numbers, and every page.

    python tools/pdf.py _build/html _build/book.pdf

Chromium is $CHROMIUM, else the first of chromium, chromium-browser, google-chrome on the PATH. Links between
pages lead to pages of the PDF. Links to files beside the book (rows of the ledger, notebooks) become plain
text. What is folded in the book is open. The book is printed twice: the first print says on which page each
chapter begins.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from html import escape
from pathlib import Path
from posixpath import join, normpath
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag
from pypdf import PdfReader, PdfWriter
from pypdf.errors import PyPdfError
from pypdf.generic import DictionaryObject, NameObject, TextStringObject

from xit_core.machine.provenance import commit

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--no-pdf-header-footer", "--generate-pdf-document-outline",
]  # fmt: skip
LONGEST = 600  # seconds for one print
# what is for the screen alone: controls, lists of runs, the heads of folded code, the figures of a dark page
LEFT_OUT = (
    "script, button, .screen, details.hide > summary, .headerlink, .sd-summary-icon, "
    ".sd-summary-chevron-right, .only-dark, source"
)
MOST_COLUMNS = 12  # of a table on an upright page
LONG_WORD = re.compile(r"\S{19}")
PIECE = re.compile(r"[^\s/_.:=,-]{1,18}[/_.:=,-]*|[/_.:=,-]+")


def contents(index: BeautifulSoup) -> list[tuple[str, list[tuple[str, str]]]]:
    """The parts of the book, each with its pages as (address, title); the front page is in a nameless one."""
    title = index.select_one("article h1")
    parts = [("", [("index.html", _title(title))])]
    for item in index.select("nav.bd-docs-nav p.caption, nav.bd-docs-nav a.reference.internal"):
        if item.name == "p":
            parts.append((item.get_text(strip=True), []))
        elif item["href"] not in ("#", "index.html"):
            parts[-1][1].append((item["href"], item.get_text(strip=True)))
    return parts


def _title(heading: Tag) -> str:
    for link in heading.select(".headerlink"):
        link.decompose()
    return heading.get_text(strip=True)


def anchor(address: str, fragment: str = "") -> str:
    """The id in the PDF of a page of the book, or of a place on it."""
    return "--".join(filter(None, [re.sub(r"\W+", "-", address.removesuffix(".html")).strip("-"), fragment]))


def chapter(address: str, page: BeautifulSoup, pages: set[str], folder: str) -> str:
    """The article of a page as HTML with the ids and links of the PDF; the book lies in `folder`."""
    article = page.select_one("article.bd-article")
    for part in article.select(LEFT_OUT):
        part.decompose()
    for part in article.select("[id]"):
        part["id"] = anchor(address, part["id"])
    for code in article.select("details.hide"):
        code.unwrap()
    for fold in article.select("details"):
        fold["open"] = ""
    for table in article.select("table"):
        _fitted(table, page)
    for picture in article.select("img"):
        picture.attrs.pop("loading", None)  # paper has no window that comes near
        picture["src"] = f"{folder}/{normpath(join(address, '..', picture['src']))}"
    _relink(article, address, pages)
    return f'<section class="chapter" id="{anchor(address)}">{article.decode_contents()}</section>'


def _fitted(table: Tag, page: BeautifulSoup) -> None:
    """Mark a table of many columns, and let long words in cells be broken: none is wider than its paper."""
    if max(len(row.select("td, th")) for row in table.select("tr")) > MOST_COLUMNS:
        table["class"] = [*table.get("class", []), "broad"]
    for text in table.find_all(string=LONG_WORD):
        parts = [part for word in re.split(r"(\s+)", text) for part in _pieces(word)]
        text.replace_with(*[new for part in parts for new in (page.new_tag("wbr"), part)][1:])


def _pieces(word: str) -> list[str]:
    """A word as it is, or the pieces of a long one: after a sign, and of at most 18 characters."""
    return PIECE.findall(word) if LONG_WORD.search(word) else [word]


def _relink(article: Tag, address: str, pages: set[str]) -> None:
    """Let the links of a page lead to places of the PDF; those to files beside the book become plain text."""
    for link in article.select("a[href]"):
        if target := _target(address, link["href"], pages):
            link["href"] = target
        else:
            link.unwrap()


def _target(address: str, url: str, pages: set[str]) -> str:
    """Where a link of a page leads to in the PDF; "" where it leads to a file beside the book."""
    parts = urlsplit(url)
    if parts.scheme or parts.netloc:
        return url
    page = normpath(join(address, "..", unquote(parts.path))) if parts.path else address
    return f"#{anchor(page, unquote(parts.fragment))}" if page in pages else ""


def assembled(root: Path, folder: str) -> tuple[str, list[str]]:
    """The HTML to print, with a mark for each page number of the contents; and what ids these are of."""
    index = _read(root / "index.html")
    parts = contents(index)
    pages = [page for _, listed in parts for page, _ in listed]
    chapters = [chapter(page, _read(root / page), set(pages), folder) for page in pages]
    styles = "".join(
        f'<link rel="stylesheet" href="{folder}/{link["href"]}">'
        for link in index.select('link[rel="stylesheet"]')
    )
    name = index.select_one(".logo__title").get_text(strip=True)
    head = f'<meta charset="utf-8"><title>{escape(name)}</title>{styles}'
    author, *rest = imprint(index)
    lines = {"": name, "question": parts[0][1][0][1], "author": author.removeprefix("By ")}
    lines |= {
        "rest": " ".join(rest),
        "version": f"Printed on {date.today()}, at commit {commit()['commit'][:10] or 'unknown'}",
    }
    cover = "".join(f'<p class="{kind}">{escape(line)}</p>' for kind, line in lines.items())
    main = f'<main class="bd-article">{"".join(chapters)}</main>'
    body = f'<header class="cover">{cover}</header>{_listed(parts)}{main}'
    html = f'<!DOCTYPE html><html lang="en" data-theme="light" data-mode="light"><head>{head}</head>'
    return f"{html}<body>{body}</body></html>", [anchor(page) for page in pages]


def _read(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text(encoding="utf8"), "html.parser")


def imprint(index: BeautifulSoup) -> list[str]:
    """What the foot of a page says of its author and its copyright."""
    return [" ".join(line.get_text().split()) for line in index.select("p.component-author, p.copyright")]


def _listed(parts: list[tuple[str, list[tuple[str, str]]]]) -> str:
    lines = []
    for part, listed in parts:
        lines.append(f'<li class="part">{escape(part)}</li>' if part else "")
        lines += [
            f'<li><a href="#{anchor(page)}">{escape(title)}</a> <span>{mark(anchor(page))}</span></li>'
            for page, title in listed
        ]
    return f'<nav class="chapters"><h1>Contents</h1><ol>{"".join(lines)}</ol></nav>'


def mark(name: str) -> str:
    """What stands in the HTML for a page number until it is known."""
    return f"<!--page of {name}-->"


def pages_of(pdf: PdfReader, names: list[str]) -> list[int]:
    """On which page of a PDF each of these named places is, from 1.

    Raises: ValueError if one of the places is nowhere in it.
    """
    places = pdf.named_destinations
    if missing := [name for name in names if f"/{name}" not in places]:
        raise ValueError(f"the PDF that Chromium wrote has no place named {missing[0]!r}")
    return [pdf.get_destination_page_number(places[f"/{name}"]) + 1 for name in names]


def bookmarked(pdf: PdfReader, html: str) -> PdfWriter:
    """The PDF with the titles of its bookmarks as the headings of the HTML have them, and with its author.

    Chromium glues the words where a line of a heading breaks, and says a line twice at the head of a page.
    Raises: ValueError if there is not one bookmark for each heading.
    """
    writer, page = PdfWriter(clone_from=pdf), BeautifulSoup(html, "html.parser")
    titles = [" ".join(head.get_text().split()) for head in page.select("h1, h2, h3, h4, h5, h6")]
    marks = list(_marks(writer.root_object.get("/Outlines", {}).get("/First")))
    if len(marks) != len(titles):
        raise ValueError(f"the PDF that Chromium wrote has {len(marks)} bookmarks for {len(titles)} headings")
    for bookmark, title in zip(marks, titles, strict=True):
        bookmark[NameObject("/Title")] = TextStringObject(title)
    writer.add_metadata(
        {"/Title": page.title.get_text(), "/Author": page.select_one("header .author").get_text()}
    )
    return writer


def _marks(first: DictionaryObject | None) -> Iterator[DictionaryObject]:
    """A bookmark, those below it, and those that follow it, in the order of the pages."""
    while first is not None:
        first = first.get_object()
        yield first
        yield from _marks(first.get("/First"))
        first = first.get("/Next")


def browser() -> str:
    """The path of Chromium. Exits with one line if there is none."""
    named = os.environ.get("CHROMIUM", "")
    found = named or next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found or not shutil.which(found):
        sys.exit(
            f"pdf: Chromium prints the book, and there is none: CHROMIUM={named!r}, and "
            f"none of {', '.join(BROWSERS)} is on the PATH; install one, or set CHROMIUM to its path"
        )
    return found


def printed(program: str, page: Path, pdf: Path) -> bytes:
    """Print an HTML file; returns the PDF.

    Raises: CalledProcessError, TimeoutExpired.
    """
    # Chromium refuses to start for root with its process isolation; it shows local files only
    flags = [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with tempfile.TemporaryDirectory() as profile:
        command = [program, *flags, f"--user-data-dir={profile}", f"--print-to-pdf={pdf}", page.as_uri()]
        subprocess.run(command, check=True, timeout=LONGEST, capture_output=True)
    return pdf.read_bytes()


def main(root: Path, pdf: Path) -> int:
    """Print the book in `root` to the file `pdf`, and return its number of pages.

    Raises: ValueError if the page numbers of the contents cannot be found, or bookmarks are missing.
    """
    program, page = browser(), pdf.with_suffix(".html")
    html, names = assembled(root, os.path.relpath(root, pdf.parent))
    for _ in range(2):  # with blanks for the numbers of pages, then with the numbers
        page.write_text(html, encoding="utf8")
        made = PdfReader(io.BytesIO(printed(program, page.resolve(), pdf.resolve())))
        for name, number in zip(names, pages_of(made, names), strict=True):
            html = html.replace(mark(name), str(number))
    page.unlink()
    bookmarked(made, html).write(pdf)
    return len(made.pages)


if __name__ == "__main__":
    try:
        print(f"{sys.argv[2]}: {main(Path(sys.argv[1]), Path(sys.argv[2]))} pages")
    except (ValueError, OSError, subprocess.SubprocessError, PyPdfError) as error:
        sys.exit(f"pdf: {error}")
