"""A learner's browser: JupyterLab runs a lesson, a control is moved, the picture changes."""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from colorlib.runs import write_json
from tools import ROOT
from tools.notebooks import FOLDER, clean, read, write

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
MISSING = [word for word in ("playwright", "jupyterlab") if not importlib.util.find_spec(word)]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium here: apt install chromium"),
    pytest.mark.skipif(bool(MISSING), reason=f"{MISSING} not installed: pip install '.[test]'"),
]
LESSONS = ("00_color_a_photo", "01_color_spaces", "06_gan_training", "08_why_brown")
LONGEST = 600_000  # milliseconds that a lesson may take in the ci profile, on a busy machine
CONTROLS = ":is(.widget-hslider, .widget-dropdown)"
# The notebook's own indicator is idle even before there is a kernel; "run all" does nothing then.
READY = "document.querySelector('#jp-main-statusbar')?.innerText.includes('(ipykernel) | Idle')"
# While "run all" runs, every cell that waits shows [*]; folded cells do not show their number.
ENDED = """() => {
  const prompts = [...document.querySelectorAll('.jp-InputPrompt')].map(p => p.textContent);
  const status = document.querySelector('.jp-Notebook-ExecutionIndicator').dataset.status;
  return status === 'idle' && prompts.some(text => /\\d/.test(text)) && !prompts.some(
    text => text.includes('*'));
}"""
DEMO = """\
from PIL import Image
from lessonkit.widgets import play, slider

play(lambda side: Image.new("RGB", (side, 60), "red"), alt="a bar", side=slider(20, 200, 20))"""

BALLOON = (34, 13)  # a pixel of it, in the 64×64 scene below
BOARD = """\
from colorlib.hints import load_hinted
from colorlib.metrics import to_image
from colorlib.photos import TEST_SCENES_SEED
from colorlib.scenes import render_scenes
from lessonkit.lesson_12.board import ask

village = to_image(render_scenes(32, seed=TEST_SCENES_SEED).rgb[31] / 255)
board = ask(load_hinted("scenes"), village, size=64, alt="a village", stills=[], titles=[])"""
PIXEL = """(picture, [x, y]) => {
  const canvas = new OffscreenCanvas(picture.naturalWidth, picture.naturalHeight);
  const context = canvas.getContext('2d');
  context.drawImage(picture, 0, 0);
  return [...context.getImageData(x, y, 1, 1).data];
}"""
COLORS = "swatches => swatches.map(s => s.style.background.match(/\\d+/g).map(Number))"


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A copy of the lessons: JupyterLab saves what it runs."""
    folder = tmp_path_factory.mktemp("course")
    shutil.copytree(FOLDER, folder / "notebooks")
    for name, code in {"demo": DEMO, "board": BOARD}.items():
        made = new_notebook(cells=[new_code_cell(code)])
        clean(made)  # names the kernel, too: JupyterLab would ask for it
        write(made, folder / "notebooks" / f"{name}.ipynb")
    for name in ("data", "README.md"):
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture(scope="module")
def lab(course, tmp_path_factory):
    """The address of a JupyterLab of our own, without anyone's settings."""
    home = tmp_path_factory.mktemp("jupyter")
    # all cells stay in the page, also those that are not on the screen
    settings = home / "settings" / "@jupyterlab" / "notebook-extension"
    write_json(settings / "tracker.jupyterlab-settings", {"windowingMode": "none"})
    news = home / "settings" / "@jupyterlab" / "apputils-extension"
    write_json(news / "notification.jupyterlab-settings", {"fetchNews": "false"})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += ["--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"]
    command += ["--IdentityProvider.token=", f"--ServerApp.root_dir={course / 'notebooks'}"]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    with open(home / "lab.log", "w") as log:
        server = subprocess.Popen(command, env=variables(home), stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(f"{address}/api/status"), 300, "JupyterLab does not start")
        yield address
    finally:
        server.terminate()
        server.wait(30)


def variables(home):
    """The environment of a learner who runs a lesson live, in the ci profile."""
    names = ("COLORLIB_STATIC", "COLORLIB_STRICT")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    folders = {
        "JUPYTER_CONFIG_DIR": home / "config",
        "JUPYTERLAB_SETTINGS_DIR": home / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": home / "workspaces",
        "JUPYTER_RUNTIME_DIR": home / "runtime",
        "PYTHONPATH": ROOT,
    }
    return {
        **kept,
        **{name: str(folder) for name, folder in folders.items()},
        "COLORLIB_PROFILE": "ci",
        "JUPYTER_PREFER_ENV_PATH": "1",
    }


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        opened = playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=arguments, timeout=180_000
        )
        yield opened
        opened.close()


def answers(address):
    try:
        return urllib.request.urlopen(address, timeout=2).status == 200
    except OSError:
        return False


def wait_until(condition, seconds, complaint):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, complaint
        time.sleep(0.2)


def run_all(browser, lab, name, folder):
    """Open a notebook and run all its cells, as a learner would; `folder` is for screenshots."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(180_000)
    page.goto(f"{lab}/lab/tree/{name}.ipynb?reset", wait_until="domcontentloaded")
    page.wait_for_selector(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell")
    page.wait_for_function(READY)
    page.evaluate(  # outputs of an earlier run would look as if this one had ended
        "document.querySelectorAll('.jp-InputPrompt').forEach(prompt => prompt.textContent = '')"
    )
    page.click(".jp-Notebook .jp-Cell")  # the menu's command needs a notebook in focus
    page.click('li.lm-MenuBar-item:has-text("Run")')
    page.click('.lm-Menu li[data-command="runmenu:run-all"]')
    try:
        page.wait_for_function(ENDED, timeout=LONGEST)
    finally:
        page.screenshot(path=folder / "ran.png")
        prompts = page.locator(".jp-InputPrompt").all_text_contents()
        print(page.inner_text("#jp-main-statusbar"), *filter(None, prompts))  # why it did not end
    return page


def move(box):
    """Move the first control of a widget: a slider by a step or two, a list by one."""
    control = box.locator(f"> {CONTROLS}").first
    if control.locator("select").count():
        select = control.locator("select")
        number = select.evaluate("list => (list.selectedIndex + 1) % list.length")
        select.select_option(index=number)
        return
    handle = control.locator(".noUi-handle").first
    handle.focus()
    at, end = (float(handle.get_attribute(f"aria-value{what}")) for what in ("now", "max"))
    for _ in range(2):
        handle.press("ArrowRight" if at < end else "ArrowLeft")


def move_and_see(box, folder):
    """Move a control, and wait until its picture is another one."""
    picture = box.locator("img.widget-image")
    box.scroll_into_view_if_needed()
    before = picture.screenshot(path=folder / "before.png")
    move(box)
    wait_until(lambda: picture.screenshot() != before, 120, "the picture does not change")


@pytest.mark.parametrize(
    "name",
    [
        "02_the_gan_game",
        *(pytest.param(name, marks=pytest.mark.trust) for name in ("demo", *LESSONS)),
    ],
)
def test_a_control_changes_the_picture(name, lab, browser, tmp_path):
    if name != "demo" and not (FOLDER / f"{name}.ipynb").exists():
        pytest.skip(f"there is no lesson {name} yet")
    page = run_all(browser, lab, name, tmp_path)
    errors = page.locator("[data-mime-type='application/vnd.jupyter.error']").all_inner_texts()
    assert not errors, errors[0][-2000:]
    if name != "demo" and not any(
        "play(" in c.source or "steps(" in c.source for c in read(name).cells
    ):
        pytest.skip(f"{name} runs in the browser; it has no control to move yet")
    boxes = page.locator(f".widget-vbox:has(> {CONTROLS}):has(img.widget-image)")
    move_and_see(boxes.first, tmp_path)
    page.wait_for_timeout(500)
    page.screenshot(path=tmp_path / "after.png")
    failures = [
        text for text in page.locator(".widget-html").all_inner_texts() if "Traceback" in text
    ]
    page.close()
    assert not failures, failures[0]


def test_a_click_turns_the_balloon_blue_and_red_again(lab, browser, tmp_path):
    page = run_all(browser, lab, "board", tmp_path)
    photo, swatches = page.locator(".hint-photo"), page.locator(".hint-color")
    photo.scroll_into_view_if_needed()

    def balloon_is(color):
        red, _, blue, _ = photo.evaluate(PIXEL, BALLOON)
        return (red > blue + 60) if color == "red" else (blue > red + 60)

    assert balloon_is("red"), "without a hint, the network paints all balloons red"
    box = photo.bounding_box()
    at = [(place + 0.5) / 64 * box[side] for place, side in zip(BALLOON, ("width", "height"))]
    photo.click(position=dict(zip("xy", at)))
    for color, channel in (("blue", 2), ("red", 0)):
        swatches.first.wait_for()
        found = swatches.evaluate_all(COLORS)
        swatches.nth(max(range(len(found)), key=lambda n: found[n][channel])).click()
        wait_until(lambda color=color: balloon_is(color), 60, f"the balloon does not turn {color}")
        page.screenshot(path=tmp_path / f"{color}.png")
    page.click(".hint-clear")
    wait_until(lambda: page.locator(".hint-marks .hint-dot").count() == 1, 60, "hints stay")
    page.close()
