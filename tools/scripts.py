"""The scripts of an environment find its interpreter beside them: pip writes its name there, which breaks on
some and on a move.

python tools/scripts.py .venv/bin
"""

import re
import sys
from pathlib import Path

NAMED = re.compile(rb"#!(?:/bin/sh\n'''exec' [^\n]*\n' '''|[^\n]*/python[0-9.]*)\n")  # as pip writes it
BESIDE = b"""#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")/python" "$0" "$@"
' '''
"""  # the shell starts python with this file; for python it is a text


def rewrite(script: Path) -> None:
    """Change a script that names its interpreter; leave anything else."""
    text = script.read_bytes()
    if named := NAMED.match(text):
        script.write_bytes(BESIDE + text[named.end() :])


if __name__ == "__main__":
    for path in Path(sys.argv[1]).iterdir():
        if path.is_file() and not path.is_symlink():
            rewrite(path)
