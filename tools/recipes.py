"""Print the recipes of a Makefile as a shell script for shellcheck, with the same line numbers.

A reference $(NAME) becomes ${NAME}.

python tools/recipes.py Makefile >recipes.sh
"""

import re
import sys
from pathlib import Path

REFERENCE = re.compile(r"\$(?:(\$)|\((\w+)\)|\{(\w+)\}|([@<^?*+|%])|(\w)|(.?))")
AUTOMATIC = {
    "@": "TARGET",
    "<": "FIRST",
    "^": "ALL",
    "?": "NEWER",
    "*": "STEM",
    "+": "ALL",
    "|": "ORDERED",
    "%": "MEMBER",
}
UNSEEN = re.compile(r"(override +)?define\b|\.RECIPEPREFIX|[^\t#=$]*:[^=]*;")  # other ways to write a recipe


def plain(found: re.Match) -> str:
    """The shell variable that replaces a make reference; shellcheck then asks for quotes as for any variable.

    Raises: ValueError for a function of make.
    """
    dollar, *names, automatic, letter, other = found.groups()
    if dollar:
        return "$"
    if other is not None and not any((*names, automatic, letter)):
        raise ValueError(
            f"{found.string.strip()!r}: a function of make in a recipe, which shellcheck cannot read; use "
            "the shell's"
        )
    return f"${{{next(filter(None, (*names, letter)), '') or AUTOMATIC[automatic]}}}"


def recipes(makefile: str) -> str:
    """The script, with one line for each line of the Makefile.

    Raises: ValueError for a construct that this cannot read.
    """
    lines, goes_on = [], False
    for line in makefile.splitlines():
        if UNSEEN.match(line):
            raise ValueError(f"{line!r}: recipes stand on lines of their own that begin with a tab")
        recipe = line.startswith("\t") or goes_on
        text = line.removeprefix("\t") if goes_on else line.lstrip("\t@+- ")
        lines.append(REFERENCE.sub(plain, text) if recipe else "")
        goes_on = recipe and line.endswith("\\")
    return "\n".join(["#!/bin/sh", *lines[1:], ""])


if __name__ == "__main__":
    try:
        sys.stdout.write(recipes(Path(sys.argv[1]).read_text(encoding="utf-8")))
    except ValueError as error:
        sys.exit(f"recipes.py: {sys.argv[1]}: {error}")
