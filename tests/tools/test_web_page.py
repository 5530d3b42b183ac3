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
from PIL import Image
from skimage import data

from colorlib.color import lab_to_rgb
from colorlib.coloring import LONGEST, MULTIPLE, colorize, model_shape
from colorlib.generator import GENERATORS
from colorlib.runs import load_generator, read_card
from tools import web_page

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
HAS_ONNX = all(importlib.util.find_spec(name) for name in ("onnx", "onnxscript"))
AXE = "axe-core@4.14.1"
PATIENCE = 180  # seconds, on a busy machine
needs_onnx = pytest.mark.skipif(not HAS_ONNX, reason="no onnx here: pip install '.[web]'")


def in_browser(test):
    """Mark what drives Chromium through the built page."""
    marks = [
        pytest.mark.browser,
        pytest.mark.trust,
        needs_onnx,
        pytest.mark.skipif(not CHROMIUM, reason="no Chromium here: apt install chromium"),
        pytest.mark.skipif(not shutil.which("npm"), reason="no npm here: install Node.js"),
        pytest.mark.skipif(
            not importlib.util.find_spec("playwright"), reason="playwright: pip install '.[test]'"
        ),
    ]
    return functools.reduce(lambda marked, mark: mark(marked), marks, test)


# --- the files ---


def test_without_npm_there_is_no_page_and_a_word_about_it(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "npm" in web_page.build(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "count, bits", [(web_page.LARGE - 1, 10), (web_page.LARGE, web_page.MANTISSA)]
)
def test_weights_are_rounded_to_half_precision_and_large_layers_further(count, bits):
    values = np.random.default_rng(0).uniform(0.01, 2, count).astype(np.float32)
    rounded = web_page.round_to_half(values)
    assert rounded.dtype == np.float16
    relative = np.abs(rounded.astype(np.float32) / values - 1)
    assert relative.max() <= 1.05 * 2.0 ** -(bits + 1)  # rounded twice
    assert not (rounded.view(np.uint16) & (2 ** (10 - bits) - 1)).any()


@pytest.mark.trust
@needs_onnx
@pytest.mark.parametrize(
    "architecture, arguments",
    [("StridedUNet", {"width": 4}), ("PretrainedUNet", {"widths": (8, 8, 8, 8)})],
)
def test_the_exported_network_predicts_the_same_at_other_sizes(architecture, arguments, tmp_path):
    from onnx.reference import ReferenceEvaluator

    if architecture not in GENERATORS:
        pytest.skip(f"there is no {architecture} yet")
    torch.manual_seed(0)
    generator = GENERATORS[architecture](**arguments).eval()
    web_page.export_onnx(generator, tmp_path / "model.onnx")
    L = torch.rand(1, 1, 2 * MULTIPLE, 3 * MULTIPLE)
    with torch.no_grad():
        expected = 110 * generator(L).numpy()
    [ab] = ReferenceEvaluator(tmp_path / "model.onnx").run(None, {"L": L.numpy()})
    assert ab.shape == expected.shape
    assert np.abs(110 * ab - expected).max() < 1


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
    """Where Python's plain web server serves that folder."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    server = subprocess.Popen(
        command, cwd=site, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    port = server.stdout.readline().split(" port ")[1].split()[0]
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait(30)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        opened = playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=arguments, timeout=1000 * PATIENCE
        )
        yield opened
        opened.close()


def open_page(browser, url, **options):
    """Open the page and wait until its first sample is colored."""
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(1000 * PATIENCE)
    page.requests, page.complaints = [], []
    page.on("request", lambda request: page.requests.append(request.url))
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto(url, wait_until="commit")
    wait_for(page, "ready")
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


def text_of(page, name):
    # not wait_for_function, whose eval the page's policy forbids
    return page.evaluate(f"document.getElementById('{name}')?.textContent ?? ''")


def wait_for(page, ending, name="status"):
    end = time.monotonic() + PATIENCE
    while not text_of(page, name).endswith(ending):
        assert time.monotonic() < end, [text_of(page, n) for n in ("status", "problem")]
        time.sleep(0.1)
    return text_of(page, name)


def give(page, path):
    """Choose a photo, and wait until it is colored or refused."""
    page.evaluate("document.getElementById('status').textContent = ''")
    page.set_input_files("#photo", path)
    wait_for(page, "ready")
    return text_of(page, "problem")


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


@in_browser
@pytest.mark.parametrize("kind", ["a megapixel", "tall and gray", "tiny", "transparent", "turned"])
def test_the_page_colors_as_colorlib_does(kind, page, tmp_path):
    image, options = photo(kind)
    path = tmp_path / "photo.img"
    image.save(path, **options)
    path = path.rename(tmp_path / f"photo.{options['format'].lower()}")
    assert give(page, path) == ""
    expected = colorize(load_generator("photos"), path, int(read_card("photos")["size"]))
    difference = np.abs(result(page) - np.asarray(expected).astype(int))
    assert difference.mean() <= 2 and difference.max() <= 8, (difference.mean(), difference.max())


@in_browser
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
        assert message in give(page, tmp_path / name)
    image, options = photo("tiny")
    image.save(tmp_path / "good.png", **options)
    assert give(page, tmp_path / "good.png") == "", "it goes on, and the message is gone"


@in_browser
def test_the_newer_of_two_photos_wins(page, tmp_path):
    photos = []
    for name, side in (("first.png", 900), ("second.png", 300)):
        Image.fromarray(data.astronaut()).resize((side, side)).save(tmp_path / name)
        photos.append([name, base64.b64encode((tmp_path / name).read_bytes()).decode()])
    script = """(photos) => {
      for (const [name, text] of photos) {
        const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
        const dropped = new DataTransfer();
        dropped.items.add(new File([bytes], name, { type: "image/png" }));
        document.body.dispatchEvent(
          new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: dropped }));
      }
    }"""
    page.evaluate(script, photos)
    status = wait_for(page, "second.png in place of first.png, 300 × 300 pixels: ready")
    assert status.startswith("Colored")
    assert result(page).shape == (300, 300, 3)


@in_browser
def test_no_request_leaves_the_folder_and_none_is_needed_later(page, address, tmp_path):
    image, options = photo("tiny")
    image.save(tmp_path / "tiny.png", **options)
    before = len(page.requests)
    page.context.set_offline(True)
    assert give(page, tmp_path / "tiny.png") == ""
    page.evaluate("document.getElementById('status').textContent = ''")
    page.click("[data-name=coffee]")
    assert "coffee" in wait_for(page, "ready")
    elsewhere = [url for url in page.requests if not url.startswith((address, "blob:", "data:"))]
    assert not elsewhere
    later = [url for url in page.requests[before:] if not url.startswith(("blob:", "data:"))]
    assert not later


@in_browser
@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_a_saved_picture_says_that_its_colors_are_invented(kind, page, tmp_path):
    Image.fromarray(data.coffee()).save(tmp_path / "cup.of.png")
    give(page, tmp_path / "cup.of.png")
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


@in_browser
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
        if page.evaluate("document.activeElement.dataset.name") == "astronaut":
            page.evaluate("document.getElementById('status').textContent = ''")
            page.keyboard.press("Enter")
            assert "astronaut" in wait_for(page, "ready")
    assert {"photo", "line", "Save PNG", "Save JPEG"} <= set(reached)


@in_browser
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
        end = time.monotonic() + PATIENCE
        while f"Colored {kind}.png" not in text_of(page, "status"):
            assert time.monotonic() < end, text_of(page, "status")
            time.sleep(0.1)


@in_browser
def test_the_same_page_as_one_file_needs_no_server(browser, site, page, tmp_path):
    alone = tmp_path / "away.html"
    shutil.copy(site / "color-offline.html", alone)
    image, options = photo("a megapixel")
    image.save(tmp_path / "photo.png", **options)
    other = open_page(browser, alone.as_uri())
    for each in (page, other):
        assert give(each, tmp_path / "photo.png") == ""
    assert (result(page) == result(other)).all()
    assert not other.complaints
    assert not [url for url in other.requests if url.startswith("http")]
    other.context.close()


@in_browser
def test_a_server_that_unpacks_by_itself_is_fine(browser, site, address):
    packed = site / f"{web_page.MODEL}.gz"
    original = packed.read_bytes()
    packed.write_bytes(gzip.decompress(original))
    try:
        other = open_page(browser, f"{address}/color.html")
        assert not other.complaints
        other.context.close()
    finally:
        packed.write_bytes(original)


@in_browser
def test_the_page_is_small_enough(site):
    wire = sum(
        len(gzip.compress(p.read_bytes())) for p in site.iterdir() if "offline" not in p.name
    )
    assert wire <= 9e6
    assert (site / "color-offline.html").stat().st_size <= 12e6


@in_browser
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(width, scheme, page, tmp_path):
    subprocess.run(
        [shutil.which("npm"), "pack", AXE, "--silent"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    with tarfile.open(next(tmp_path.glob("axe-core-*.tgz"))) as package:
        axe = package.extractfile("package/axe.min.js").read().decode()
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.evaluate(axe)
    found = page.evaluate("axe.run()")["violations"]
    assert not [fault["id"] for fault in found if fault["impact"] in ("serious", "critical")]
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing is cut off"


# --- the arithmetic ---


@pytest.fixture
def lab():
    """Random Lab colors, many of which no screen can show: (3, N)."""
    random = np.random.default_rng(0)
    ab = random.uniform(-110, 110, (2, 20_000))
    return np.concatenate([random.uniform(0, 100, (1, 20_000)), ab])


@in_browser
def test_colors_are_those_of_colorlib_also_out_of_gamut(page, lab):
    script = """async ([L, a, b]) => {
      const { paintColors, toLuminance } = await import(`${document.baseURI}/../color-math.js`);
      const rgba = new Uint8ClampedArray(4 * L.length);
      paintColors(toLuminance(L.map((value) => value / 100)), a, b, rgba);
      return [...rgba];
    }"""
    painted = np.array(page.evaluate(script, lab.tolist())).reshape(-1, 4)[:, :3]
    expected = lab_to_rgb(torch.from_numpy(lab)[:, None])[:, 0].T.numpy()
    assert np.abs(painted - 255 * expected).max() <= 1


@in_browser
def test_the_browser_itself_cuts_colors_out_of_gamut_alike(page, lab):
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
    shown = np.array(page.evaluate(script, xyz.T.tolist()))
    expected = 255 * lab_to_rgb(torch.from_numpy(lab)[:, None])[:, 0].T.numpy()
    assert np.abs(shown - expected).max() <= 2


@in_browser
def test_the_network_sees_photos_at_the_same_size(page):
    random = np.random.default_rng(0)
    shapes = [[int(side) for side in random.integers(1, 6000, 2)] for _ in range(300)]
    shapes += [[64, side] for side in range(1, 300)]  # with ties: Python rounds them to even
    rules = {"multiple": MULTIPLE, "size": 64, "longest": LONGEST}
    script = """async ([shapes, rules]) => {
      const { modelShape } = await import(`${document.baseURI}/../color-math.js`);
      return shapes.map(([height, width]) => modelShape(height, width, rules));
    }"""
    seen = page.evaluate(script, [shapes, rules])
    assert seen == [list(model_shape(*shape, 64)) for shape in shapes]
