"""Sphinx role `res`: a number of book/_generated/results.json in prose, so that none is typed by hand.

    {res}`micro.runs`                              the value as stored
    {res}`micro.claims.squad.estimate | +.1f`      with a Python format

A missing key, or a format that does not fit, is a warning, and so an error under -W.
A null is a number that has no run yet: it reads "not measured".
"""

import json
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

LOG = logging.getLogger(__name__)


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


def setup(app: Sphinx) -> dict:
    app.add_config_value("res_file", "_generated/results.json", "env")
    app.add_role("res", Res())
    return {"parallel_read_safe": True, "parallel_write_safe": True, "version": "1"}
