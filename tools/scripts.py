"""Make the scripts of an environment find its interpreter in their own folder.

pip writes the interpreter's path into them, which breaks for some paths and when the environment is moved.

python tools/scripts.py .venv/bin
"""

import re
import sys
from pathlib import Path

NAMED = re.compile(rb"#!(?:/bin/sh\n'''exec' [^\n]*\n' '''|[^\n]*/python[0-9.]*)\n")  # as pip writes it
BESIDE = b"""#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")/python" "$0" "$@"
' '''
"""  # the shell runs python with this file; to python these lines are a string


def rewrite(script: Path) -> None:
    """Rewrite a script in place if it names its interpreter; leave other files unchanged."""
    text = script.read_bytes()
    if named := NAMED.match(text):
        script.write_bytes(BESIDE + text[named.end() :])


if __name__ == "__main__":
    for path in Path(sys.argv[1]).iterdir():
        if path.is_file() and not path.is_symlink():
            rewrite(path)
