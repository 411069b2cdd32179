"""The recipes of a Makefile as a shell script for shellcheck, each on its own line of the Makefile: $(NAME)
becomes ${NAME}.

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
    """What stands for a reference of make's: a variable of the shell, which must then be quoted as any
    other."""
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
    """A line of the script for each of the Makefile's.

    Raises: ValueError for what this cannot read.
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
