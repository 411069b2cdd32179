"""Run pip with only the package sources from its configuration files, for an environment that may be moved.

A `target` or `user` in them would install packages elsewhere. pip writes the interpreter's path into scripts,
which breaks for some paths and when the environment is moved: after `install` the scripts of a virtual
environment find the interpreter in their own folder.

.venv/bin/python tools/packages.py install ...
"""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

SOURCES = (
    "index-url", "extra-index-url", "find-links", "no-index", "cert", "client-cert", "proxy", "trusted-host",
    "keyring-provider",
    "cache-dir", "no-cache-dir", "timeout", "default-timeout", "retries",
)  # fmt: skip
NAMED = re.compile(rb"#!(?:/bin/sh\n'''exec' [^\n]*\n' '''|[^\n]*/python[0-9.]*)\n")  # as pip writes it
BESIDE = b"""#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")/python" "$0" "$@"
' '''
"""  # the shell runs python with this file; to python these lines are a string


def sources(listed: str) -> dict[str, str]:
    """Environment variables for the sources in the output of `pip config list` (global.index-url='...')."""
    variables = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in ("global", "install") and key in SOURCES:
            variables["PIP_" + key.upper().replace("-", "_")] = ast.literal_eval(value)
    return variables


def pip(arguments: list[str]) -> int:
    """Run pip, and return its exit status."""
    command = [sys.executable, "-m", "pip"]
    # otherwise `user = true` would list only one file
    every = os.environ | dict.fromkeys(("PIP_USER", "PIP_GLOBAL", "PIP_SITE"), "0")
    listed = subprocess.run(
        [*command, "config", "list"], env=every, stdout=subprocess.PIPE, encoding="utf-8", check=True
    ).stdout
    env = sources(listed) | os.environ | {"PIP_CONFIG_FILE": os.devnull}
    return subprocess.run([*command, *arguments], env=env, check=False).returncode


def free(folder: Path) -> None:
    """Rewrite in place the scripts of a folder that name their interpreter; leave other files unchanged."""
    for script in folder.iterdir():
        if script.is_file() and not script.is_symlink():
            text = script.read_bytes()
            if named := NAMED.match(text):
                script.write_bytes(BESIDE + text[named.end() :])


if __name__ == "__main__":
    status = pip(sys.argv[1:])
    if status == 0 and sys.argv[1:2] == ["install"] and sys.prefix != sys.base_prefix:
        free(Path(sys.prefix, "bin"))
    sys.exit(status)
