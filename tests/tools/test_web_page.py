"""The page that colors photos: its arithmetic, files and manners, in a real Chromium."""

import base64
import functools
import gzip
import importlib.util
import io
import shutil
import subprocess
import sys
import tarfile
import time

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor
from skimage import data

import colorlib.hints
from colorlib.color import L_ab_to_rgb, lab_to_rgb
from colorlib.coloring import LONGEST, MULTIPLE, colorize, model_shape
from colorlib.generator import PretrainedUNet
from colorlib.hints import Hinted, Spread, within_gamut
from colorlib.runs import RunError
from lessonkit.lesson_12.board import Board
from tools import web_page
from tools.web_bench import (
    PATIENCE,
    choose,
    chromium,
    megabytes,
    open_browser,
    serve,
    text_of,
    wait_until_ready,
)

AXE = "axe-core@4.14.1"
MODULES = [
    name for name in ("onnx", "onnxscript", "playwright") if not importlib.util.find_spec(name)
]


IN_CHROMIUM = [
    pytest.mark.browser,
    pytest.mark.skipif(not chromium(), reason="no Chromium here: apt install chromium"),
    pytest.mark.skipif(bool(MODULES), reason=f"no {MODULES} here: pip install '.[test]'"),
]
BUILT = [
    pytest.mark.trust,
    pytest.mark.skipif(not shutil.which("npm"), reason="no npm here: install Node.js"),
]


def in_chromium(test):
    """Mark what tries one of the page's modules in Chromium."""
    return functools.reduce(lambda marked, mark: mark(marked), IN_CHROMIUM, test)


def in_page(test):
    """Mark what drives Chromium through the built page."""
    return functools.reduce(lambda marked, mark: mark(marked), [*IN_CHROMIUM, *BUILT], test)


# --- the files ---


@pytest.mark.parametrize(
    "without, told",
    [
        ("npm", "color.html was left out: it needs npm (install Node.js)"),
        ("onnx", "color.html was left out: it needs onnx (pip install '.[site]')"),
        ("network", "color.html was left out: npm failed (no such package)"),
    ],
)
def test_without_a_tool_there_is_no_page_and_a_word_about_it(without, told, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None if without == "npm" else name)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if without == name else name)
    failing = [sys.executable, "-c", "raise SystemExit('no such package')", "npm"]
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda _, **options: run(failing, **options))
    monkeypatch.setattr(web_page, "CACHE", tmp_path / "npm")
    (tmp_path / "site").mkdir()
    assert web_page.build(tmp_path / "site") == told
    assert not list((tmp_path / "site").iterdir())


def test_without_weights_for_hints_nothing_is_built(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(web_page, "fetch_runtime", lambda npm, site: None)
    monkeypatch.setattr(colorlib.hints, "WEIGHTS", tmp_path)
    with pytest.raises(RunError, match="hints-photos"):
        web_page.build(tmp_path)


# --- the page ---


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder with the page, as `make site` builds it."""
    folder = tmp_path_factory.mktemp("site")
    said = web_page.build(folder)
    assert (folder / "color.html").exists(), said
    return folder


@pytest.fixture(scope="module")
def address(site):
    with serve(site) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with open_browser() as opened:
        yield opened


def open_page(browser, url, **options):
    """Open the page and wait until its first sample is colored."""
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(1000 * PATIENCE)
    page.requests, page.complaints = [], []
    page.on("request", lambda request: page.requests.append(request.url))
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto(url, wait_until="commit")
    wait_until_ready(page)
    return page


@pytest.fixture(scope="module")
def opened(browser, address):
    page = open_page(browser, f"{address}/color.html")
    yield page
    page.context.close()


@pytest.fixture
def page(opened):
    """The one open page, with the network reachable and nothing wrong so far."""
    yield opened
    opened.context.set_offline(False)
    assert not opened.complaints


def wait_for(page, status):
    end = time.monotonic() + PATIENCE
    while status not in text_of(page, "status"):
        assert time.monotonic() < end, [text_of(page, name) for name in ("status", "problem")]
        time.sleep(0.02)


def result(page):
    """The pixels of the result, (H, W, 3) as int."""
    url = page.evaluate("document.getElementById('result').toDataURL('image/png')")
    image = Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))
    return np.asarray(image.convert("RGB")).astype(int)


def photo(kind):
    """A photo of a kind: a PIL image, and how to save it."""
    astronaut = Image.fromarray(data.astronaut())
    if kind == "a megapixel":
        return astronaut.resize((1251, 833)), {"format": "PNG"}
    if kind == "tall and gray":
        return Image.fromarray(data.camera()).crop((0, 0, 97, 511)), {"format": "PNG"}
    if kind == "tiny":
        return astronaut.resize((5, 3)), {"format": "PNG"}
    if kind == "transparent":
        alpha = Image.linear_gradient("L").resize(astronaut.size)
        astronaut.putalpha(alpha)
        return astronaut, {"format": "PNG"}
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    gray = Image.fromarray(data.camera()).crop((0, 0, 500, 300))
    return gray, {"format": "JPEG", "quality": 95, "exif": exif}


@in_page
@pytest.mark.parametrize("kind", ["a megapixel", "tall and gray", "tiny", "transparent", "turned"])
def test_the_page_colors_as_colorlib_does(kind, page, tmp_path):
    image, options = photo(kind)
    path = tmp_path / "photo.img"
    image.save(path, **options)
    path = path.rename(tmp_path / f"photo.{options['format'].lower()}")
    assert choose(page, path) == ""
    difference = np.abs(result(page) - np.asarray(colorize(path)).astype(int))
    assert difference.mean() <= 2 and difference.max() <= 8, (difference.mean(), difference.max())


@in_page
def test_what_cannot_be_colored_gets_a_message(page, tmp_path):
    (tmp_path / "notes.txt").write_text("no photo")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    (tmp_path / "empty.png").touch()
    Image.new("L", (6000, 5001)).save(tmp_path / "large.png")
    messages = {
        "notes.txt": "notes.txt is not a picture",
        "broken.jpg": "broken.jpg can’t be opened",
        "empty.png": "empty.png can’t be opened",
        "large.png": "large.png has 30.0 megapixels",
    }
    for name, message in messages.items():
        assert message in choose(page, tmp_path / name)
    image, options = photo("tiny")
    image.save(tmp_path / "good.png", **options)
    assert choose(page, tmp_path / "good.png") == "", "it goes on, and the message is gone"


DROP = """
    const drop = ([name, text]) => {
      const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      const dropped = new DataTransfer();
      dropped.items.add(new File([bytes], name, { type: "image/png" }));
      document.body.dispatchEvent(
        new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: dropped }));
    };"""


@in_page
def test_a_picture_too_large_for_the_browsers_canvas_is_not_called_ready(page, tmp_path):
    Image.new("L", (66_000, 60), 128).save(tmp_path / "panorama.png")  # Chromium ends at 65,535
    assert "can’t show 66000 × 60 pixels" in choose(page, tmp_path / "panorama.png")
    assert page.is_disabled("[data-save=png]")
    image, options = photo("tiny")
    image.save(tmp_path / "good.png", **options)
    assert choose(page, tmp_path / "good.png") == ""


@in_page
def test_a_save_belongs_to_the_photo_that_was_shown(page, tmp_path):
    Image.fromarray(data.astronaut()).resize((1500, 1500)).save(tmp_path / "first.png")
    image, options = photo("tiny")
    image.save(tmp_path / "second.png", **options)
    assert choose(page, tmp_path / "first.png") == ""
    other = ["second.png", base64.b64encode((tmp_path / "second.png").read_bytes()).decode()]
    script = f"""(other) => new Promise((resolve) => {{
      {DROP}
      const status = document.getElementById("status");
      const save = document.querySelector("[data-save]");
      new MutationObserver(() => {{
        if (status.textContent.startsWith("Coloring")) resolve(save.disabled);
      }}).observe(status, {{ childList: true }});
      save.click();
      drop(other);
    }})"""
    with page.expect_download() as download:
        assert page.evaluate(script, other), "nothing to save while the next photo is colored"
    assert download.value.suggested_filename.startswith("first_colored")
    wait_for(page, "Colored second.png")


@in_page
def test_the_newer_of_two_photos_wins(page, tmp_path):
    photos = []
    for name, side in (("first.png", 900), ("second.png", 300)):
        Image.fromarray(data.astronaut()).resize((side, side)).save(tmp_path / name)
        photos.append([name, base64.b64encode((tmp_path / name).read_bytes()).decode()])
    page.evaluate(f"(photos) => {{ {DROP} photos.forEach(drop); }}", photos)
    wait_for(page, "Colored second.png instead of first.png, 300 × 300 pixels: ready")
    assert result(page).shape == (300, 300, 3)


@in_page
def test_no_request_leaves_the_folder_and_none_is_needed_later(page, address, tmp_path):
    image, options = photo("tiny")
    image.save(tmp_path / "tiny.png", **options)
    before = len(page.requests)
    page.context.set_offline(True)
    assert choose(page, tmp_path / "tiny.png") == ""
    page.evaluate("document.getElementById('status').textContent = ''")
    page.click("[data-name=chelsea]")
    assert "chelsea" in wait_until_ready(page)
    elsewhere = [url for url in page.requests if not url.startswith((address, "blob:", "data:"))]
    assert not elsewhere
    later = [url for url in page.requests[before:] if not url.startswith(("blob:", "data:"))]
    assert not later


@in_page
@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_a_saved_picture_says_that_its_colors_are_invented(kind, page, tmp_path):
    Image.fromarray(data.coffee()).save(tmp_path / "cup.of.png")
    choose(page, tmp_path / "cup.of.png")
    with page.expect_download() as download:
        page.click(f"[data-save={kind}]")
    path = tmp_path / download.value.suggested_filename
    assert path.name == {"png": "cup.of_colored.png", "jpeg": "cup.of_colored.jpg"}[kind]
    download.value.save_as(path)
    with Image.open(path) as saved:
        comment = saved.info["Comment" if kind == "png" else "comment"]
        saved.verify()  # PNG's checksums
    comment = comment.decode() if isinstance(comment, bytes) else comment
    assert "invented" in comment
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert np.abs(pixels - result(page)).mean() < (0.01 if kind == "png" else 4)


@in_page
def test_the_keyboard_is_enough(page):
    page.evaluate("document.activeElement.blur()")
    reached = {}
    for _ in range(20):
        page.keyboard.press("Tab")
        reached[page.evaluate("document.activeElement.id || document.activeElement.innerText")] = 1
        if page.evaluate("document.activeElement.id") == "line":
            before = page.evaluate("document.getElementById('line').value")
            page.keyboard.press("ArrowRight")
            assert page.evaluate("document.getElementById('line').value") != before
            shift = "getComputedStyle(document.getElementById('result')).clipPath"
            assert f"{int(before) + 1}%" in page.evaluate(shift)
            knob = "getComputedStyle(document.querySelector('.handle'), '::after')"
            assert page.evaluate(f"{knob}.outlineStyle") == "solid", "the focus is seen"
        if page.evaluate("document.activeElement.dataset.name") == "astronaut":
            page.evaluate("document.getElementById('status').textContent = ''")
            page.keyboard.press("Enter")
            assert "astronaut" in wait_until_ready(page)
    assert {"photo", "line", "Save PNG", "Save JPEG"} <= set(reached)


def pick(page, x, y):
    """Click on a place of the photo, from 0 to 1, away from the line."""
    page.evaluate("document.getElementById('place').scrollIntoView({ block: 'nearest' })")
    box = page.locator("#place").bounding_box()
    page.click("#place", position={"x": x * box["width"], "y": y * box["height"]})


def recolor(page, selector, **options):
    """Click on something that changes the hints, and return the picture that it leads to."""
    page.evaluate("document.getElementById('status').textContent = ''")
    page.click(selector, **options)
    wait_until_ready(page)
    return result(page)


@in_page
@pytest.mark.parametrize("shape", [(320, 448), (2400, 1800)])
def test_a_color_spreads_as_in_colorlib_and_can_be_taken_back(shape, page, tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(data.astronaut()).resize(shape).save(path)
    choose(page, path)
    plain, place = result(page), (0.3, 0.45)
    pick(page, *place)
    page.wait_for_selector("#likely button")
    strong = {"position": {"x": 30, "y": 40}}
    colored = recolor(page, "#wheel", **strong)
    assert "photo.png with your color" in text_of(page, "status")

    style = "getComputedStyle(document.querySelector('#marks span')).backgroundColor"
    wanted = np.array(ImageColor.getrgb(page.evaluate(style)))
    x, y = (int(at * side) for at, side in zip(place, shape))
    here = (slice(y - 1, y + 2), slice(x - 1, x + 2))
    before, after = (np.abs(each[here] - wanted).mean() for each in (plain, colored))
    assert after < 0.5 * before

    asked = [(place[0] * shape[0], place[1] * shape[1], "#" + bytes(wanted.tolist()).hex())]
    difference = np.abs(colored - np.asarray(colorize(path, hints=asked)).astype(int))
    assert difference.mean() <= 2, difference.mean()

    pick(page, 0.8, 0.2)
    both = recolor(page, "#likely button")
    assert "photo.png with 2 of your colors" in text_of(page, "status")
    with page.expect_download() as download:
        page.click("[data-save=png]")
    with Image.open(download.value.path()) as saved:
        assert "invented" in saved.info["Comment"] and "picked some" in saved.info["Comment"]
    assert (recolor(page, "#undo") == colored).all()
    pick(page, 0.8, 0.2)
    assert (recolor(page, "#likely button") == both).all()
    assert (recolor(page, "#clear") == plain).all()
    assert not page.is_visible("#undo") and not page.locator("#marks span").count()


@in_page
def test_hints_work_by_keyboard_and_another_photo_forgets_them(page, tmp_path):
    image, options = photo("turned")
    image.save(tmp_path / "photo.jpg", **options)
    choose(page, tmp_path / "photo.jpg")
    plain = result(page)
    focused = "document.activeElement.id || document.activeElement.parentElement.id"
    crosshair = "document.querySelector('#place .crosshair').style.left"
    page.focus("#place")
    page.keyboard.press("ArrowLeft")
    before = float(page.evaluate(crosshair).rstrip("%"))
    page.keyboard.press("ArrowLeft")
    assert float(page.evaluate(crosshair).rstrip("%")) == pytest.approx(before - 2)
    page.keyboard.press("Enter")
    assert page.evaluate(focused) == "likely", "the colors come next"
    page.focus("#wheel")
    for _ in range(15):
        page.keyboard.press("ArrowUp")
    page.evaluate("document.getElementById('status').textContent = ''")
    page.keyboard.press("Enter")
    wait_until_ready(page)
    assert (result(page) != plain).any()
    page.focus("#undo")
    page.evaluate("document.getElementById('status').textContent = ''")
    page.keyboard.press("Enter")
    wait_until_ready(page)
    assert (result(page) == plain).all()
    assert page.evaluate(focused) == "place", "the button that had the focus is gone"
    recolor(page, "#wheel")
    choose(page, tmp_path / "photo.jpg")
    assert (result(page) == plain).all() and not page.is_visible("#choosing")


@in_page
def test_a_photo_may_be_dropped_or_pasted(page):
    script = """([type, name]) => {
      const [letters, files] = [document.querySelector("canvas"), new DataTransfer()];
      letters.toBlob((blob) => {
        files.items.add(new File([blob], name, { type: "image/png" }));
        const options = { bubbles: true, cancelable: true };
        const event = type === "drop"
          ? new DragEvent(type, { ...options, dataTransfer: files })
          : new ClipboardEvent(type, { ...options, clipboardData: files });
        document.body.dispatchEvent(event);
      });
    }"""
    for kind in ("drop", "paste"):
        page.evaluate(script, [kind, f"{kind}.png"])
        wait_for(page, f"Colored {kind}.png")


@in_page
def test_the_same_page_as_one_file_needs_no_server(browser, site, page, tmp_path):
    alone = tmp_path / "away.html"
    shutil.copy(site / "color-offline.html", alone)
    image, options = photo("a megapixel")
    image.save(tmp_path / "photo.png", **options)
    other = open_page(browser, alone.as_uri())
    for each in (page, other):
        assert choose(each, tmp_path / "photo.png") == ""
    assert (result(page) == result(other)).all()
    assert not other.complaints
    assert not [url for url in other.requests if url.startswith("http")]
    other.context.close()


@in_page
def test_a_server_that_unpacks_by_itself_is_fine(browser, site, address):
    packed = site / web_page.NETWORK
    original = packed.read_bytes()
    packed.write_bytes(gzip.decompress(original))
    try:
        other = open_page(browser, f"{address}/color.html")
        assert not other.complaints
        other.context.close()
    finally:
        packed.write_bytes(original)


@in_page
def test_a_network_that_does_not_arrive_is_named(browser, address, tmp_path):
    page = browser.new_page()
    page.route(f"**/{web_page.NETWORK}", lambda route: route.fulfill(status=404))
    page.goto(f"{address}/color.html", wait_until="commit")
    end = time.monotonic() + PATIENCE
    while not text_of(page, "problem"):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert f"{web_page.NETWORK} is missing on the server (404)" in text_of(page, "problem")
    assert not page.is_visible("#loading"), "nothing seems to go on"
    image, options = photo("tiny")
    image.save(tmp_path / "tiny.png", **options)
    page.set_input_files("#photo", tmp_path / "tiny.png")
    time.sleep(0.5)
    assert "is missing" in text_of(page, "problem"), "a photo doesn't hide why nothing happens"
    page.close()


@in_page
def test_the_page_is_small_enough(site):
    sizes = megabytes(site)
    assert sizes["over the wire"] <= 9 and sizes["as one file"] <= 12, sizes


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """The code of axe, which looks for what shuts people out."""
    folder = tmp_path_factory.mktemp("axe")
    command = [shutil.which("npm"), "pack", AXE, "--silent"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    with tarfile.open(next(folder.glob("axe-core-*.tgz"))) as package:
        return package.extractfile("package/axe.min.js").read().decode()


@in_page
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(width, scheme, page, axe, tmp_path):
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    pick(page, 0.2, 0.2)
    recolor(page, "#wheel")
    (tmp_path / "notes.txt").write_text("no photo")
    assert choose(page, tmp_path / "notes.txt"), "a message is on the page, too"
    page.evaluate(axe)
    found = page.evaluate("axe.run()")["violations"]
    assert not [fault["id"] for fault in found if fault["impact"] in ("serious", "critical")]
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing is cut off"


# --- the arithmetic ---


@pytest.fixture(scope="module")
def plain(browser):
    """A page of its own beside the modules, without the network."""
    with serve(web_page.SOURCE) as address:
        page = browser.new_page()
        page.goto(f"{address}/color.css")
        yield page
        page.close()


@pytest.fixture
def lab():
    """Random Lab colors, many of which no screen can show: (3, N)."""
    random = np.random.default_rng(0)
    ab = random.uniform(-110, 110, (2, 20_000))
    return np.concatenate([random.uniform(0, 100, (1, 20_000)), ab])


@in_chromium
def test_colors_are_those_of_colorlib_also_out_of_gamut(plain, lab):
    script = """async ([L, a, b]) => {
      const { paintColors, toLuminance } = await import("/color-math.js");
      const rgba = new Uint8ClampedArray(4 * L.length);
      paintColors(toLuminance(L.map((value) => value / 100)), a, b, rgba);
      return [...rgba];
    }"""
    painted = np.array(plain.evaluate(script, lab.tolist())).reshape(-1, 4)[:, :3]
    expected = lab_to_rgb(torch.from_numpy(lab)[:, None])[:, 0].T.numpy()
    assert np.abs(painted - 255 * expected).max() <= 1


@in_chromium
def test_the_browser_itself_cuts_colors_out_of_gamut_alike(plain, lab):
    """CSS Color 4 also converts a negative Z exactly, and cuts sRGB; scikit-image cuts Z."""
    lab = lab[:, :2000]
    f_y = (lab[0] + 16) / 116
    f = np.stack([f_y + lab[1] / 500, f_y, f_y - lab[2] / 200])
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    xyz *= np.array([[0.95047], [1], [1.08883]])
    assert (xyz[2] < 0).sum() > 100
    script = """(colors) => {
      const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
      return colors.map((xyz) => {
        context.fillStyle = `color(xyz-d65 ${xyz.join(" ")})`;
        context.fillRect(0, 0, 1, 1);
        return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
      });
    }"""
    shown = np.array(plain.evaluate(script, xyz.T.tolist()))
    expected = 255 * lab_to_rgb(torch.from_numpy(lab)[:, None])[:, 0].T.numpy()
    assert np.abs(shown - expected).max() <= 2


@in_chromium
def test_the_network_sees_photos_at_the_same_size(plain):
    random = np.random.default_rng(0)
    shapes = [[int(side) for side in random.integers(1, 6000, 2)] for _ in range(300)]
    shapes += [[64, side] for side in range(1, 300)]  # with ties: Python rounds them to even
    rules = {"multiple": MULTIPLE, "size": 64, "longest": LONGEST}
    script = """async ([shapes, rules]) => {
      const { modelShape } = await import("/color-math.js");
      return shapes.map(([height, width]) => modelShape(height, width, rules));
    }"""
    seen = plain.evaluate(script, [shapes, rules])
    assert seen == [list(model_shape(*shape, 64)) for shape in shapes]


@in_chromium
def test_the_page_spreads_hints_as_colorlib_does(plain):
    torch.manual_seed(0)
    hinted = Hinted(torch.nn.Identity(), Spread(channels=4, width=8, depth=2))
    ab, features = 0.3 * torch.randn(1, 2, 24, 32).clamp(-3, 3), torch.randn(1, 8, 12, 16)
    with torch.no_grad():
        described = hinted.spread(features)
    places = [(3, 5), (3, 5), (2, 4), (20, 31), (11, 0)]  # two at one pixel, a third beside them
    wanted = [[0.5, -0.4], [0.8, 0.1], [-0.3, 0.2], *((ab[0, :, 20, 31] + 0.05).tolist(), [0, 1])]
    marked, hints = torch.zeros(1, 3, 24, 32), []
    for (row, column), color in zip(places, wanted, strict=True):
        marked[0, :, row, column] = torch.tensor([*color, 1.0])
        hints.append({"x": (column + 0.5) / 32, "y": (row + 0.5) / 24, "ab": color})
    with torch.no_grad():
        expected = hinted.apply_hints(ab, features, marked).flatten()
    script = """async ([ab, described, hints, rules]) => {
      const { applyHints } = await import("/color-hints.js");
      const arrays = { ab: new Float32Array(ab), described: new Float32Array(described) };
      return [...applyHints({ ...arrays, height: 24, width: 32, scale: 2 }, hints, rules)];
    }"""
    flat = [ab.flatten().tolist(), described.flatten().tolist()]
    spread = torch.tensor(plain.evaluate(script, [*flat, hints, web_page.rules_of_hints(hinted)]))
    assert (expected - ab.flatten()).abs().gt(0.01).float().mean() > 0.05, "colors do spread"
    assert (spread - expected).abs().max() < 1e-4


@in_chromium
def test_colors_are_made_as_pale_as_colorlib_makes_them(plain, lab):
    lab = torch.from_numpy(lab[:, :5000]).float()
    L, ab = lab[:1] / 100, lab[1:] / 110
    script = """async ([L, a, b]) => {
      const { withinGamut } = await import("/color-math.js");
      return L.map((value, i) => withinGamut(value, [a[i], b[i]]));
    }"""
    paler = torch.tensor(plain.evaluate(script, torch.cat([L, ab]).tolist())).T
    difference = (paler - within_gamut(L[None, :, None], ab[None, :, None])[0, :, 0]).abs()
    assert difference.max() < 1.01 / 64, "a step more or less, where rounding decides"
    assert difference.amax(dim=0).lt(1e-6).float().mean() > 0.999


@in_chromium
def test_likely_colors_are_those_of_the_lesson(plain):
    torch.manual_seed(0)
    hinted = Hinted(PretrainedUNet(widths=(8, 8, 8, 8)), Spread(channels=8, width=8, depth=2))
    hinted.spread.guess.weight.data *= 5  # so that some colors are likelier
    board = Board(hinted, Image.fromarray(data.astronaut()).resize((96, 64)), size=64)
    with torch.no_grad():
        logits = web_page.ForPage(hinted)(board.L)[2]
    script = """async ([L, logits, rules]) => {
      const { likelyColors } = await import("/color-hints.js");
      const { withinGamut } = await import("/color-math.js");
      const seen = { logits, height: 64, width: 96, scale: 2 };
      return likelyColors(seen, 40 / 96, 30 / 64, rules).map(({ ab, share }) =>
        [...withinGamut(L, ab), share]);
    }"""
    L, rules = board.L[..., 30:31, 40:41], web_page.rules_of_hints(hinted)
    found = plain.evaluate(script, [L.item(), logits.flatten().tolist(), rules])
    expected = board.likely(40, 30)
    assert len(found) == len(expected) > 1
    for (a, b, share), (color, other) in zip(found, expected, strict=True):
        rgb = 255 * L_ab_to_rgb(L, torch.tensor([a, b])[None, :, None, None]).flatten()
        assert (rgb - torch.tensor(ImageColor.getrgb(color))).abs().max() <= 1.01
        assert share == pytest.approx(other, abs=1e-5)
