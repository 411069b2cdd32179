"""Open every page of a built book in Chromium, and report console errors, failed or external requests.

    python tools/pagecheck.py _build/html OUT [page.html ...] [--file] [--dark] [--phone]

Writes a screenshot of each page to OUT. Chromium is $CHROMIUM, else the first of chromium, chromium-browser,
google-chrome on the PATH. Needs the package playwright, which the study does not need. Without it, or
without Chromium, it says so and does nothing.
"""

import functools
import http.server
import importlib.util
import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
FLAGS = ["--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
FINDINGS = """() => [
    ...[...document.images].filter(i => !i.naturalWidth).map(i => 'broken image ' + i.src),
    ...[...document.querySelectorAll('.problematic, .system-message')].map(
        e => 'markup error ' + e.textContent),
]"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


def look(context, url: str, base: str, picture: Path) -> list[str]:
    """The problems of one page, a line each."""
    page, problems = context.new_page(), []
    page.on(
        "console", lambda m: problems.append(f"console {m.text}") if m.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda e: problems.append(f"error {e}"))
    page.on("requestfailed", lambda r: problems.append(f"failed {r.url}"))
    page.on("response", lambda r: problems.append(f"status {r.status} {r.url}") if r.status >= 400 else None)
    inside = (base, "data:", "blob:")
    page.on("request", lambda r: None if r.url.startswith(inside) else problems.append(f"leaves {r.url}"))
    page.goto(f"{base}/{url}", wait_until="load")
    page.wait_for_timeout(500)
    problems += page.evaluate(FINDINGS)
    page.screenshot(path=str(picture), full_page=True)
    page.close()
    return problems


def main(
    root: str, out: str, *pages: str, file: bool = False, dark: bool = False, phone: bool = False
) -> int:
    """Check pages and print the problems of each; return the total number of problems."""
    from playwright.sync_api import sync_playwright

    folder = Path(root).resolve()
    Path(out).mkdir(parents=True, exist_ok=True)
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"file://{folder}" if file else f"http://127.0.0.1:{server.server_port}"
    total = 0
    with sync_playwright() as play, tempfile.TemporaryDirectory() as profile:
        context = play.chromium.launch_persistent_context(
            profile,
            executable_path=BROWSER,
            args=FLAGS,
            color_scheme="dark" if dark else "light",
            viewport={"width": 390 if phone else 1280, "height": 900},
        )
        for page in pages:
            problems = look(context, page, base, Path(out) / f"{page.replace('/', '_')}.png")
            print(f"{page}: {len(problems)} problems", *problems, sep="\n  ")
            total += len(problems)
        context.close()
    server.shutdown()
    return total


if __name__ == "__main__":
    if not importlib.util.find_spec("playwright") or not BROWSER:
        print("skipped: pagecheck needs the package playwright and a Chromium")
        sys.exit(0)
    names = [a for a in sys.argv[1:] if not a.startswith("--")]
    flags = {a.removeprefix("--"): True for a in sys.argv[1:] if a.startswith("--")}
    top = Path(names[0]).resolve()
    every = [str(p.relative_to(top)) for p in sorted(top.rglob("*.html")) if "_static" not in p.parts]
    sys.exit(bool(main(names[0], names[1], *(names[2:] or every), **flags)))
