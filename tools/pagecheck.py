"""Open every page of a built book in Chromium, and report what is wrong with it, a line each.

    python tools/pagecheck.py _build/html OUT [page.html ...] [--file] [--dark] [--phone] [--axe FILE]

Reported are console errors, failed or external requests, markup errors, broken images, pages that are wider
than the window, and pages that weigh more than 2 MB with all that they load. With --axe also what each rule
of axe finds, with every folded part opened; FILE is axe.min.js of the npm package axe-core. The exit status
is 1 if there is anything to report.

Writes a screenshot of each page to OUT. Chromium is $CHROMIUM, else the first of chromium, chromium-browser,
google-chrome on the PATH. Needs the package playwright, which the study does not need. Without it, or
without Chromium, it says so and does nothing.
"""

import argparse
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
HEAVIEST = 2_000_000  # bytes of a page with all that it loads
SHOWN = 4  # elements named per rule of axe
FINDINGS = """() => [
    ...[...document.images].filter(i => i.getClientRects().length && !i.naturalWidth).map(
        i => 'broken image ' + i.src),
    ...[...document.querySelectorAll('.problematic, .system-message')].map(
        e => 'markup error ' + e.textContent),
    ...(document.documentElement.scrollWidth > innerWidth + 1
        ? [`wider than the window: ${document.documentElement.scrollWidth} pixels in ${innerWidth}`] : []),
]"""
# of two twins a browser loads the one that it shows, when it comes near the window
EAGER = """async () => {
    const shown = [...document.images].filter(image => image.getClientRects().length);
    shown.forEach(image => { image.loading = 'eager'; });
    await Promise.allSettled(shown.map(image => image.decode()));
}"""
# lazy images that lie below the window count, too
WEIGHT = """() => performance.getEntriesByType('navigation').concat(performance.getEntriesByType('resource'))
    .reduce((sum, entry) => sum + entry.decodedBodySize, 0)"""
AXE = """async shown => {
    document.querySelectorAll('details').forEach(e => { e.open = true; });
    const found = await axe.run(document, {resultTypes: ['violations']});
    return found.violations.map(rule => `axe ${rule.id} (${rule.impact}) ${rule.nodes.length}: `
        + rule.nodes.slice(0, shown).map(node => node.target.join(' ')).join(' | '));
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


def look(context, url: str, base: str, picture: Path, axe: str | None = None) -> tuple[int, list[str]]:
    """What a page weighs in bytes (0 over file://), and its problems, a line each."""
    page, problems = context.new_page(), []
    listen(page, base, problems)
    page.goto(f"{base}/{url}", wait_until="load")
    page.wait_for_timeout(500)
    page.evaluate(EAGER)
    problems += page.evaluate(FINDINGS)
    if (weight := page.evaluate(WEIGHT)) > HEAVIEST:
        problems.append(f"weighs {weight:,} bytes with all that it loads; the limit is {HEAVIEST:,}")
    # last: for a picture of the whole page Chromium changes the window, and loads what a phone is shown
    page.screenshot(path=str(picture), full_page=True)
    if axe:
        page.evaluate(axe)
        problems += page.evaluate(AXE, SHOWN)
    page.close()
    return weight, problems


def listen(page, base: str, problems: list[str]) -> None:
    """Add to `problems` what the browser reports while a page loads."""
    page.on(
        "console", lambda m: problems.append(f"console {m.text}") if m.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda e: problems.append(f"error {e}"))
    page.on("requestfailed", lambda r: problems.append(f"failed {r.url}"))
    page.on("response", lambda r: problems.append(f"status {r.status} {r.url}") if r.status >= 400 else None)
    inside = (base, "data:", "blob:")
    page.on("request", lambda r: None if r.url.startswith(inside) else problems.append(f"leaves {r.url}"))


def main(asked: argparse.Namespace) -> int:
    """Check pages and print the problems of each; return the total number of problems."""
    from playwright.sync_api import sync_playwright

    asked.out.mkdir(parents=True, exist_ok=True)
    serve = functools.partial(Quiet, directory=str(asked.root))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = asked.root.as_uri() if asked.file else f"http://127.0.0.1:{server.server_port}"
    axe = asked.axe.read_text(encoding="utf8") if asked.axe else None
    total = 0
    with sync_playwright() as play, tempfile.TemporaryDirectory() as profile:
        context = play.chromium.launch_persistent_context(
            profile,
            executable_path=BROWSER,
            args=FLAGS,
            color_scheme="dark" if asked.dark else "light",
            viewport={"width": 390 if asked.phone else 1280, "height": 900},
        )
        for page in asked.pages or every(asked.root):
            picture = asked.out / f"{page.replace('/', '_')}.png"
            weight, problems = look(context, page, base, picture, axe)
            print(f"{page}: {weight:,} bytes, {len(problems)} problems", *problems, sep="\n  ", flush=True)
            total += len(problems)
        context.close()
    server.shutdown()
    return total


def every(root: Path) -> list[str]:
    """All pages of a built book, relative to its folder."""
    return [str(p.relative_to(root)) for p in sorted(root.rglob("*.html")) if "_static" not in p.parts]


def asked_for(words: list[str]) -> argparse.Namespace:
    """The command line: folders `root` and `out`, `pages`, and the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=lambda word: Path(word).resolve())
    parser.add_argument("out", type=Path)
    parser.add_argument("pages", nargs="*")
    for name in ("file", "dark", "phone"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--axe", type=Path, metavar="FILE")
    return parser.parse_args(words)


if __name__ == "__main__":
    command = asked_for(sys.argv[1:])
    if not importlib.util.find_spec("playwright") or not BROWSER:
        print("skipped: pagecheck needs the package playwright and a Chromium")
        sys.exit(0)
    sys.exit(bool(main(command)))
