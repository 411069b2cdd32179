"""pip, which takes from its configuration files only where packages come from: a `target` or `user` there
would lead elsewhere.

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
    """The same as environment variables, of what `pip config list` prints: global.index-url='...'"""
    found = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in ("global", "install") and key in SOURCES:
            found["PIP_" + key.upper().replace("-", "_")] = ast.literal_eval(value)
    return found


if __name__ == "__main__":
    pip = [sys.executable, "-m", "pip"]
    # else `user = true` would list one file only
    every = os.environ | dict.fromkeys(("PIP_USER", "PIP_GLOBAL", "PIP_SITE"), "0")
    listed = subprocess.run(
        [*pip, "config", "list"], env=every, stdout=subprocess.PIPE, encoding="utf-8", check=True
    ).stdout
    env = sources(listed) | os.environ | {"PIP_CONFIG_FILE": os.devnull}
    sys.exit(subprocess.run([*pip, *sys.argv[1:]], env=env, check=False).returncode)
