"""What the book adds to Sphinx: numbers in prose, and pages that are light and say what their parts are.

The role `res` shows a number of book/_generated/results.json, so that none is typed by hand:

    {res}`repeat.micro.runs`             the value as stored
    {res}`repeat.micro.runs | ,d`        with a Python format

A missing key, or a format that does not fit, is a warning, and so an error under -W.
A null is a number that has no run yet: it reads "not measured".

Written pages are then mended where a screen reader would be told nothing, or something else than what is
shown: heads of tables, the theme's buttons, figures of notebooks. Of the theme's 1.4 MB of icons only those
stay that a page shows. Each figure gets a twin in the colours of a dark page, and the one that was drawn for
a phone is shown there; a browser loads only what it shows.
"""

import html
import json
import re
import shutil
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

LOG = logging.getLogger(__name__)
# what the theme and docutils write -> what says the same to everybody
MENDS = {
    # named by its text, which a name of its own would hide
    r'(class="[^"]*search-button-field[^"]*" title="Search") aria-label="Search"': r"\1",
    # three signs, of which one is shown: the button has a name
    r'(<i class="theme-switch [^"]*" data-mode="\w+") +title="[^"]*"': r"\1",
    r'<summary aria-label="Toggle hidden content"': "<summary",
    r'(<div id="pst-primary-sidebar")': r'\1 role="region" aria-label="Search and contents"',
    # a list of items; ARIA no longer has entries of a bibliography
    r'role="doc-biblioentry"': 'role="listitem"',
    r"<th\b([^>]*)>\s*(?:<p>\s*</p>\s*)?</th>": r"<td\1></td>",
}
TABLE_HEAD = re.compile(r"(<thead\b.*?</thead>)", re.DOTALL)
# a heading, or a figure whose alternative text is the name of its file
TITLED = re.compile(r'<h[1-6]>(.*?)<a class="headerlink"|<img alt="[^"]*_images/[^"]*"', re.DOTALL)
# a figure of the book; a page that an earlier build left has its twins already
FIGURE = re.compile(
    r"<img\b(?![^>]*\bonly-(?:light|dark))[^>]*"
    r'\bsrc="(?P<path>[^"]*_images/(?P<name>[\w.-]+))\.svg"[^>]*>'
)
SIZE = re.compile(r'<svg [^>]*\bwidth="(?P<width>[\d.]+)pt" height="(?P<height>[\d.]+)pt"')
# what is drawn on white -> the same on the theme's dark background; a plain text has no colour of its own
GROUND = re.compile(r'(<path [^>]*style="fill: )#ffffff"')
DARK = {
    "fill: #ffffff; stroke: ": "fill: #121212; stroke: ",
    "<svg ": '<svg fill="#dcdcdc" ', "stroke: #000000": "stroke: #dcdcdc",
    "#e4e4e4": "#3b414a", "#666666": "#a8a8a8",
    "#0072b2": "#4aa8e0", "#d55e00": "#f08a3c", "#009e73": "#2fc79c",
}  # fmt: skip
PHONE = "(max-width: 600px)"
ICON = re.compile(
    r'(?<=[{,])"?(?P<name>[\w-]+)"?:'
    r'\[\d+,\d+,(?P<others>\[[^]]*\]),"[0-9a-f]*",(?:"[^"]*"|\[[^]]*\])\],?'
)
ICON_USED = re.compile(r'"([^"]*\bfa-[^"]*)"')
ICON_STYLES = {"solid", "regular", "brands", "lg", "fw"}


def text(results: dict, target: str) -> str:
    """What `key | format` reads in `results`. Raises KeyError, ValueError, TypeError or IndexError."""
    key, _, spec = (part.strip() for part in target.partition("|"))
    value = results
    for part in key.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    if value is None:
        return "not measured"
    return format(value, spec).replace("-", "\N{MINUS SIGN}") if spec else str(value)


class Res(SphinxRole):
    def run(self) -> tuple[list[nodes.Node], list]:
        path = Path(self.env.srcdir, self.config.res_file)
        self.env.note_dependency(str(path))
        try:
            shown = text(json.loads(path.read_text(encoding="utf8")), self.text)
        except (OSError, KeyError, IndexError, TypeError, ValueError) as error:
            LOG.warning(
                "no result %r: %s: %s", self.text, type(error).__name__, error, location=self.get_location()
            )
            shown = "?"
        return [nodes.inline(shown, shown, classes=["result"])], []


def mended(page: str) -> str:
    """The HTML of a page, with heads of tables, buttons and lists as a screen reader needs them."""
    for pattern, replacement in MENDS.items():
        page = re.sub(pattern, replacement, page)
    parts = TABLE_HEAD.split(page)  # every second one is a table's head
    return "".join(_scoped(part, "col" if i % 2 else "row") for i, part in enumerate(parts))


def _scoped(part: str, scope: str) -> str:
    """The HTML, where each head cell says of what it is the head: a row, a column or several columns."""

    def head(found: re.Match) -> str:
        wide = scope == "col" and re.search(r'colspan="(?!1")', found[1])
        return f'<th scope="{"colgroup" if wide else scope}"{found[1]}>'

    return re.sub(r"<th\b((?![^>]*scope=)[^>]*)>", head, part)


def described(page: str) -> str:
    """The HTML, where a figure of an executed notebook is named by the heading above: it has no caption."""
    heading = "this notebook"

    def name(found: re.Match) -> str:
        nonlocal heading
        if found[1] is None:
            return f'<img alt="Figure: {html.escape(heading)}"'
        heading = html.unescape(re.sub("<[^>]+>", "", found[1])).strip()
        return found[0]

    return TITLED.sub(name, page)


def dark(svg: str) -> str:
    """The figure in the colours of a dark page."""
    svg = GROUND.sub(r'\1none"', svg)
    for light, other in DARK.items():
        svg = svg.replace(light, other)
    return svg


def themed(page: str, sizes: dict[str, str]) -> str:
    """The HTML, where each figure of the book stands once for a light page and once for a dark one, each with
    the drawing for a phone where there is one. `sizes`: as `write_twins` returns them.
    """

    def twins(found: re.Match) -> str:
        return "".join(_one(found, theme, sizes) for theme in ("light", "dark"))

    return FIGURE.sub(twins, page)


def _one(found: re.Match, theme: str, sizes: dict[str, str]) -> str:
    ending, name = "-dark.svg" if theme == "dark" else ".svg", found["name"]
    size = sizes.get(name, "")
    image = found[0].replace(f'{found["path"]}.svg"', f'{found["path"]}{ending}"{size} loading="lazy"')
    image = re.sub(r' class="([^"]*)"', "", image).replace("<img ", f'<img class="only-{theme}" ', 1)
    if f"{name}-narrow" not in sizes:
        return image
    size = sizes[f"{name}-narrow"]
    source = f'<source media="{PHONE}" srcset="{found["path"]}-narrow{ending}"{size}>'
    return f"<picture>{source}{image}</picture>"


def write_twins(images: Path, drawn: Path) -> dict[str, str]:
    """Write the dark twin of every figure of `images`, with the drawings for a phone that are in `drawn`.

    Returns for every drawing, by name, its width and height as HTML attributes: with them a page keeps the
    room of a figure that is not loaded yet, and does not jump.
    """
    for file in drawn.glob("*-narrow.svg"):
        if (images / f"{file.stem.removesuffix('-narrow')}.svg").is_file():
            shutil.copy(file, images)
    sizes = {}
    for file in [file for file in images.glob("*.svg") if not file.stem.endswith("-dark")]:
        text = file.read_text(encoding="utf8")
        sizes[file.stem] = _size(text)
        file.with_stem(f"{file.stem}-dark").write_text(dark(text), encoding="utf8", newline="\n")
    return sizes


def _size(svg: str) -> str:
    found = SIZE.search(svg)
    # a point is 4/3 of a pixel of CSS
    return (
        "".join(f' {side}="{float(found[side]) * 4 / 3:.0f}"' for side in ("width", "height"))
        if found
        else ""
    )


def icons_of(text: str) -> set[str]:
    """The names of FontAwesome's icons in the class attributes of a page, or in the strings of a script."""
    names = (name for found in ICON_USED.findall(text) for name in re.findall(r"\bfa-([\w-]+)", found))
    return set(names) - ICON_STYLES


def lightened(script: str, used: set[str]) -> str:
    """FontAwesome's script with the icons of these names, and no others.

    Raises: ExtensionError if one of them is not in it.
    """
    kept: set[str] = set()

    def keep(found: re.Match) -> str:
        names = {found["name"], *re.findall(r'"([\w-]+)"', found["others"])} & used
        kept.update(names)
        return found[0] if names else ""

    script = ICON.sub(keep, script)
    if missing := sorted(used - kept):
        raise ExtensionError(f"not among the icons of the theme's fontawesome.js: {', '.join(missing)}")
    return script


def finish(app: Sphinx, error: Exception | None) -> None:
    """Mend the pages that were written, and drop the icons that none of them shows."""
    if error or app.builder.name != "html":
        return
    out, used = Path(app.outdir), set()
    sizes = write_twins(out / "_images", Path(app.srcdir, app.config.figure_folder))
    for file in (file for file in out.rglob("*.html") if "_static" not in file.parts):
        page = themed(described(mended(file.read_text(encoding="utf8"))), sizes)
        used |= icons_of(page)
        file.write_text(page, encoding="utf8", newline="\n")
    scripts = out / "_static/scripts"
    for file in scripts.glob("*-theme.js"):
        used |= icons_of(file.read_text(encoding="utf8"))
    heavy = scripts / "fontawesome.js"
    heavy.write_text(lightened(heavy.read_text(encoding="utf8"), used), encoding="utf8", newline="\n")


def setup(app: Sphinx) -> dict:
    app.add_config_value("res_file", "_generated/results.json", "env")
    app.add_config_value("figure_folder", "_generated/figures", "env")
    app.add_role("res", Res())
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True, "version": "1"}
