"""A mirror, and a hub that answers on this machine as the real one does: for the tests of what reads them."""

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as parquet

FIELDS = "repo config split rows sha256 complete source commit path licence note".split()


def rows(n: int) -> list[dict]:
    return [{"x": i} for i in range(n)]


def packed(rows: list[dict]) -> bytes:
    """A Parquet file."""
    stream = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), stream)
    return stream.getvalue()


def mirrored(folder: Path, repository: str, config: str, split: str, rows: list[dict], **entry) -> Path:
    """Put a split into the mirror and its line into the manifest; give the file."""
    file = folder / repository / config / f"{split}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(packed(rows))
    found = {
        "repo": repository,
        "config": config,
        "split": split,
        "rows": len(rows),
        "complete": "yes",
        "commit": "c" * 40,
    }
    listed(folder, found | {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()} | entry)
    return file


def listed(folder: Path, entry: dict) -> None:
    """Add a line to the manifest of a mirror."""
    manifest = folder / "MANIFEST.csv"
    new = not manifest.exists()
    with open(manifest, "a", newline="") as stream:
        writer = csv.DictWriter(stream, FIELDS, restval="")
        if new:
            writer.writeheader()
        writer.writerow(entry)


BROKEN = "-cut-off.parquet"


class Hub(BaseHTTPRequestHandler):
    """Serves `repositories`: {(name, commit): {path: bytes}}.

    The connection breaks in the middle of a file whose path ends with BROKEN.
    """

    protocol_version = "HTTP/1.1"
    repositories: dict[tuple[str, str], dict[str, bytes]]

    def log_message(self, *_):
        pass

    def answer(self):
        form = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        where = unquote(urlsplit(self.path).path).removeprefix("/api").strip("/").split("/")
        name, verb, commit, path = "/".join(where[1:3]), where[3], where[4], "/".join(where[5:])
        files = self.repositories.get((name, commit))
        if files is None:
            return self.send(b"", 404, {"X-Error-Code": "RevisionNotFound"})
        told = self.told(verb, files, path, form, {"id": name, "sha": commit})
        if told is None:
            return self.send(b"", 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        body = told if isinstance(told, bytes) else json.dumps(told).encode()
        self.send(body, 200, {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha1(body).hexdigest()}"'})

    do_GET = do_HEAD = do_POST = answer

    def told(self, verb: str, files: dict[str, bytes], path: str, form: str, named: dict):
        """The body of an answer, None for what is not there."""
        if verb == "resolve":
            return files.get(path)
        if verb == "revision":
            return named | {
                "siblings": [{"rfilename": p} for p in files],
                "private": False,
                "tags": [],
                "downloads": 0,
            }
        known = [
            {"type": "file", "path": p, "size": len(b), "oid": hashlib.sha1(b).hexdigest()}
            for p, b in files.items()
        ]
        folders = {"/".join(p.split("/")[:i]) for p in files for i in range(1, p.count("/") + 1)}
        known += [{"type": "directory", "path": p, "oid": "0" * 40, "size": 0} for p in folders]
        if verb == "paths-info":
            wanted = parse_qs(form).get("paths") or json.loads(form)["paths"]
            return [entry for entry in known if entry["path"] in wanted]
        prefix, deep = f"{path}/" * bool(path), "recursive=true" in self.path.lower()
        below = [
            e for e in known if e["path"].startswith(prefix) and (deep or "/" not in e["path"][len(prefix) :])
        ]
        return below or None

    def send(self, body: bytes, status: int, headers: dict[str, str]):
        first, _, last = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        part = body[int(first) : int(last or len(body)) + 1] if first else body
        self.send_response(206 if first and status == 200 else status)
        for key, value in headers.items():
            self.send_header(key, value)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if urlsplit(self.path).path.endswith(BROKEN) and status == 200:
            part = part[: len(part) // 2]
            self.close_connection = True
        self.wfile.write(part)


def served(repositories: dict[tuple[str, str], dict[str, bytes]]) -> ThreadingHTTPServer:
    """A hub that runs until `shutdown`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Served", (Hub,), {"repositories": repositories}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


ASK = """
import json, sys
from xit_core.data import hub, local, mining_pools, mirror, originals, sources
from xit_core.machine.errors import Bad
hub.PAGES = 3
for asked in json.loads(sys.argv[1]):
    try:
        print(json.dumps(eval(asked)))
    except Bad as error:
        print(json.dumps(f"Bad: {error}"))
"""


def ask(asked: list[str], server: ThreadingHTTPServer, home: Path, offline: bool = False) -> list:
    """Values of expressions of `sources` in a process with the real library and this hub; "Bad: ..." for a
    user's error.
    """
    off = str(int(offline))
    hub = {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(home), "HF_HUB_OFFLINE": off,
        "HF_DATASETS_OFFLINE": off, "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1",
        "XIT_MIRROR": "", "XIT_LOCAL": "",
    }  # fmt: skip
    command = [sys.executable, "-c", ASK, json.dumps(asked)]
    done = subprocess.run(command, env=os.environ | hub, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
