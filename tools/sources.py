"""Run pip with only the package sources from its configuration files.

A `target` or `user` in them would install packages elsewhere.

python tools/sources.py install ...
"""

import ast
import os
import subprocess
import sys

SOURCES = (
    "index-url", "extra-index-url", "find-links", "no-index", "cert", "client-cert", "proxy", "trusted-host",
    "keyring-provider",
    "cache-dir", "no-cache-dir", "timeout", "default-timeout", "retries",
)  # fmt: skip


def sources(listed: str) -> dict[str, str]:
    """Environment variables for the sources in the output of `pip config list` (global.index-url='...')."""
    variables = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in ("global", "install") and key in SOURCES:
            variables["PIP_" + key.upper().replace("-", "_")] = ast.literal_eval(value)
    return variables


if __name__ == "__main__":
    pip = [sys.executable, "-m", "pip"]
    # otherwise `user = true` would list only one file
    every = os.environ | dict.fromkeys(("PIP_USER", "PIP_GLOBAL", "PIP_SITE"), "0")
    listed = subprocess.run(
        [*pip, "config", "list"], env=every, stdout=subprocess.PIPE, encoding="utf-8", check=True
    ).stdout
    env = sources(listed) | os.environ | {"PIP_CONFIG_FILE": os.devnull}
    sys.exit(subprocess.run([*pip, *sys.argv[1:]], env=env, check=False).returncode)
