"""Time the page that colors photos in a real Chromium: how long a visitor waits.

    python -m tools.web_bench

builds the page, serves it with Python's own web server, and prints seconds and megabytes next to
the most they may be. Leave the machine alone meanwhile. Needs npm, chromium and playwright.
"""

import gzip
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from tabulate import tabulate

from tools import web_page

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 600  # seconds, on a busy machine
PHOTOS = {"first photo, 1 megapixel": (1250, 800), "next photo, 1 megapixel": (1250, 800)}
PHOTOS |= {"12 megapixels": (4000, 3000), "24 megapixels": (6000, 4000)}
MOST = {"first photo, 1 megapixel": 2, "12 megapixels": 5, "over the wire": 9, "as one file": 12}


def chromium() -> str | None:
    """The path of Chromium or Chrome, if it is installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder with Python's plain web server; yields its address."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    server = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        port = server.stdout.readline().split(" port ")[1].split()[0]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


@contextmanager
def open_browser() -> Iterator:
    """Start Chromium without a window; yields playwright's browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        opened = playwright.chromium.launch(
            executable_path=chromium(), headless=True, args=arguments, timeout=1000 * PATIENCE
        )
        yield opened
        opened.close()


def text_of(page, name: str) -> str:
    """The text of an element; playwright's `wait_for_function` breaks the page's policy."""
    return page.evaluate(f"document.getElementById('{name}')?.textContent ?? ''")


def wait_until_ready(page) -> str:
    """Wait until the page is ready, and return its status.

    Raises:
        TimeoutError: it takes too long, or never gets there.
    """
    end = time.monotonic() + PATIENCE
    while not (status := text_of(page, "status")).endswith("ready"):
        if time.monotonic() > end:
            raise TimeoutError(f"{status} {text_of(page, 'problem')}")
        time.sleep(0.02)
    return status


def choose(page, path: Path) -> str:
    """Choose a photo, wait until it is colored or refused, and return the complaint or ""."""
    page.evaluate("document.getElementById('status').textContent = ''")
    page.set_input_files("#photo", path)
    wait_until_ready(page)
    return text_of(page, "problem")


def megabytes(site: Path) -> dict[str, float]:
    """The size of the page as a server sends it, and of the edition that is one file."""
    sent = (path for path in site.iterdir() if path.name != web_page.OFFLINE)
    wire = sum(len(gzip.compress(path.read_bytes())) for path in sent)
    return {
        "over the wire": wire / 1e6,
        "as one file": (site / web_page.OFFLINE).stat().st_size / 1e6,
    }


def seconds(address: str, folder: Path) -> Iterator[tuple[str, float]]:
    """How long each thing takes: loading, and photos that are made in a folder."""
    from skimage import data

    with open_browser() as browser:
        page = browser.new_page()
        begin = time.monotonic()
        page.goto(f"{address}/{web_page.PAGE}", wait_until="commit")
        wait_until_ready(page)
        yield "loaded, and a sample colored", time.monotonic() - begin
        for name, shape in PHOTOS.items():
            path = folder / f"{name}.jpg"
            Image.fromarray(data.astronaut()).resize(shape).save(path, quality=90)
            begin = time.monotonic()
            problem = choose(page, path)
            if problem:
                raise RuntimeError(problem)
            yield name, time.monotonic() - begin


def main() -> None:
    """Build the page, measure it, and print a table.

    Raises:
        SystemExit: the page can't be built, or something is slower or larger than it may be.
    """
    with tempfile.TemporaryDirectory() as site, tempfile.TemporaryDirectory() as photos:
        told = web_page.build(Path(site))
        if not (Path(site) / web_page.PAGE).exists():
            raise SystemExit(told)
        with serve(Path(site)) as address:
            measured = [(*each, "s") for each in seconds(address, Path(photos))]
        measured += [(*each, "MB") for each in megabytes(Path(site)).items()]
    rows = [(name, f"{value:.2f} {unit}", MOST.get(name)) for name, value, unit in measured]
    print(tabulate(rows, ("", "measured", "at most")))
    exceeded = [name for name, value, _ in measured if value > MOST.get(name, float("inf"))]
    raise SystemExit(f"too much: {', '.join(exceeded)}" if exceeded else 0)


if __name__ == "__main__":
    main()
