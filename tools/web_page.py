"""Build the web page that colors photos in the browser: color.html, and the same as one file.

    python -m tools.web_page        # into build/site/

The page's own files are in site/. What is added here: the shipped photo weights as an ONNX file,
ONNX Runtime Web, which calls it, from a pinned npm package, and three sample photos. npm is only
needed here; without it the site has no such page.
"""

import base64
import gzip
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from torch import Tensor, nn

from colorlib.coloring import LONGEST, MULTIPLE
from colorlib.hints import BIN, BINS, Hinted, load_hinted
from colorlib.runs import read_card
from tools import ROOT
from tools.onnx_export import export_onnx

SOURCE = ROOT / "site"
CACHE = ROOT / "build" / "npm"
PAGE, OFFLINE = "color.html", "color-offline.html"
NETWORK, RULES = "network.gz", "model.json"
RUNTIME, VERSION = "onnxruntime-web", "1.30.0"
MODULE, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
PACKED = (NETWORK, f"{WASM}.gz")
LICENSE = "onnxruntime-license.txt"  # which its package lacks
ON_PAGE = ("color-files.js", "color-math.js", "color-hints.js", "color-board.js", "color.js")
IN_WORKER = ("color-math.js", "color-hints.js", "color-worker.js")
OWN = (PAGE, "color.css", *{*ON_PAGE, *IN_WORKER}, LICENSE)
OUTPUTS = ("ab", "described", "logits")  # of `ForPage`
MANTISSA = 5  # bits that large layers get along with; gzip takes no space for the others
SAMPLES = {  # of scikit-image: a title, and where the photo is from
    "camera": ("A cameraman on a lawn", "cameraman by Lav Varshney (CC0)"),
    "astronaut": ("An astronaut", "Eileen Collins by NASA (public domain)"),
    "chelsea": ("A cat", "cat by Stéfan van der Walt (CC0)"),
}
IMPORT = re.compile(r"^import .*?;\n", re.MULTILINE | re.DOTALL)
SITE_ONLY = re.compile(r"<!-- site -->.*?<!-- /site -->", re.DOTALL)


def build(site: Path) -> str:
    """Add color.html, what it needs, and color-offline.html to a folder.

    Returns:
        A sentence that says what was built, or why the page is missing.

    Raises:
        RunError: the weights that take hints are missing.
    """
    npm = shutil.which("npm")
    if not npm:
        return f"{PAGE} was left out: it needs npm (install Node.js)"
    if not all(importlib.util.find_spec(name) for name in ("onnx", "onnxscript")):
        return f"{PAGE} was left out: it needs onnx (pip install '.[site]')"
    try:
        fetch_runtime(npm, site)
    except subprocess.CalledProcessError as error:
        return f"{PAGE} was left out: npm failed ({error.stderr.strip()[-300:]})"
    hinted = load_hinted("photos")
    pack_network(hinted, site / NETWORK)
    rules = {"multiple": MULTIPLE, "longest": LONGEST}
    rules["size"] = int(read_card("photos")["size"])
    rules["hints"] = rules_of_hints(hinted)
    rules["bytes"] = {name: (site / name).stat().st_size for name in PACKED}
    (site / RULES).write_text(json.dumps(rules), "utf-8")
    write_page(site)
    (site / OFFLINE).write_text(one_file(site), "utf-8")
    return f"{PAGE} and {OFFLINE} color photos in the browser"


def fetch_runtime(npm: str, site: Path) -> None:
    """Copy the two files of ONNX Runtime Web that the page needs to the site."""
    archive = CACHE / f"{RUNTIME}-{VERSION}.tgz"
    if not archive.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=CACHE) as folder:  # an interrupted download stays there
            command = [npm, "pack", f"{RUNTIME}@{VERSION}", "--silent"]
            subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
            os.replace(Path(folder, archive.name), archive)
    with tarfile.open(archive) as package:
        module, wasm = (package.extractfile(f"package/dist/{n}").read() for n in (MODULE, WASM))
    (site / MODULE).write_bytes(module)
    (site / f"{WASM}.gz").write_bytes(pack(wasm))


class ForPage(nn.Module):
    """All that the page asks of the network, once for each photo: `OUTPUTS`."""

    def __init__(self, hinted: Hinted):
        super().__init__()
        self.hinted, self.multiple = hinted, hinted.generator.multiple

    def forward(self, L: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Color L (1, 1, H, W), describe its pixels, and find each color of `BINS` likely or not.

        Returns:
            ab: (1, 2, H, W).
            described: (1, 18, h, w).
            logits: (1, bins, h, w), whose softmax over the bins is `Hinted.likely`.
        """
        ab, features = self.hinted.look(L)
        spread = self.hinted.spread
        return ab, spread(features), spread.guess(features.movedim(1, -1)).movedim(-1, 1)


def rules_of_hints(hinted: Hinted) -> dict:
    """The numbers that the page needs to spread hints and to suggest colors."""
    spread = hinted.spread
    rules = {"strength": spread.strength.item(), "tolerance": spread.tolerance.item()}
    return rules | {"bin": BIN, "bins": BINS.tolist()}


def pack_network(hinted: Hinted, path: Path) -> None:
    """Export a network that takes hints to ONNX and gzip it, the even bytes before the odd ones.

    A number of half precision has its exponent in one byte and the end of its mantissa in the
    other. Sorted like this, they pack an eighth smaller; color.js puts them together again.
    """
    with TemporaryDirectory() as folder:
        export_onnx(ForPage(hinted).eval(), Path(folder) / "network.onnx", MANTISSA, OUTPUTS)
        content = (Path(folder) / "network.onnx").read_bytes()
    path.write_bytes(pack(content[::2] + content[1::2]))


def pack(content: bytes) -> bytes:
    """Gzip, to the same bytes each time."""
    return gzip.compress(content, compresslevel=9, mtime=0)


def write_page(site: Path) -> None:
    """Copy the page's own files, with the sample photos put in."""
    from skimage import data  # here, as only the site needs it

    for name in OWN:
        shutil.copy(SOURCE / name, site)
    items = []
    for name, (title, _) in SAMPLES.items():
        Image.fromarray(getattr(data, name)()).save(site / f"{name}.jpg", quality=88)
        image = f'<img src="{name}.jpg" alt="{title}">'
        items.append(f'      <li><button type="button" data-name="{name}">{image}</button></li>')
    page = (site / PAGE).read_text("utf-8")
    page = page.replace("<!-- samples -->", "\n".join(items))
    credit = ", ".join(credit for _, credit in SAMPLES.values())
    (site / PAGE).write_text(page.replace("<!-- credits -->", credit), "utf-8")


def one_file(site: Path) -> str:
    """The page with everything inside, which works from a disk, without a server."""

    def text(name: str) -> str:
        return (site / name).read_text("utf-8")

    def base64_of(name: str) -> str:
        return base64.b64encode((site / name).read_bytes()).decode()

    style, script = text("color.css"), bundle(site, *ON_PAGE)
    policy = (
        f"default-src 'none'; script-src {hash_of(script)} 'wasm-unsafe-eval' blob:; "
        f"worker-src blob:; img-src data:; style-src {hash_of(style)}; connect-src 'none'; "
        "base-uri 'none'; form-action 'none'"
    )
    page = SITE_ONLY.sub("", text(PAGE))
    page = re.sub(r"default-src 'none'[^\"]*", lambda _: policy, page)
    for name in SAMPLES:
        page = page.replace(f'"{name}.jpg"', f'"data:image/jpeg;base64,{base64_of(f"{name}.jpg")}"')
    page = page.replace('<link rel="stylesheet" href="color.css">', f"<style>{style}</style>")
    page = page.replace('<script type="module" src="color.js"></script>', "")
    inside = {
        RULES: text(RULES),
        MODULE: text(MODULE),
        "color-worker.js": bundle(site, *IN_WORKER),
        LICENSE: text(LICENSE),
        **{name: base64_of(name) for name in PACKED},
    }
    parts = [f'<script type="text/plain" id="{name}">{inside[name]}</script>' for name in inside]
    parts.append(f'<script type="module">{script}</script>\n</body>')
    return page.replace("</body>", "\n".join(parts))


def bundle(site: Path, *names: str) -> str:
    """Join modules that only import from each other into one."""
    texts = (IMPORT.sub("", (site / name).read_text("utf-8")) for name in names)
    return "\n".join(re.sub(r"^export ", "", text, flags=re.MULTILINE) for text in texts)


def hash_of(text: str) -> str:
    """How a content security policy names an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def main() -> None:
    """Build the page into build/site/."""
    site = ROOT / "build" / "site"
    site.mkdir(parents=True, exist_ok=True)
    print(build(site))


if __name__ == "__main__":
    main()
