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
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from colorlib.coloring import LONGEST, MULTIPLE
from colorlib.runs import load_generator, read_card
from tools import ROOT

SOURCE = ROOT / "site"
CACHE = ROOT / "build" / "npm"
MODEL, RULES, PAGE = "model.onnx", "model.json", "color.html"
RUNTIME, VERSION = "onnxruntime-web", "1.30.0"
MODULE, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
PACKED = (f"{MODEL}.gz", f"{WASM}.gz")
LICENSE = "onnxruntime-license.txt"  # which its package lacks
OWN = (PAGE, "color.css", "color.js", "color-files.js", "color-math.js", "color-worker.js", LICENSE)
# Half precision has 10 bits after a number's first. Large layers get along with 5, which pack
# better: their errors average out. Small ones, the first and the last among them, keep all.
MANTISSA, LARGE = 5, 5000
SAMPLES = {  # of scikit-image: a title, and where the photo is from
    "chelsea": ("A cat", "chelsea by Stéfan van der Walt (CC0)"),
    "coffee": ("A cup of coffee", "coffee by Rachel Michetti (CC0)"),
    "astronaut": ("An astronaut", "Eileen Collins by NASA (public domain)"),
}
IMPORT = re.compile(r"^import .*?;\n", re.MULTILINE | re.DOTALL)
SITE_ONLY = re.compile(r"<!-- site -->.*?<!-- /site -->", re.DOTALL)


def build(site: Path) -> str:
    """Add color.html, what it needs, and color-offline.html to a folder.

    Returns:
        A sentence that says what was built, or why nothing was.
    """
    npm = shutil.which("npm")
    if not npm:
        return "no page that colors photos: it needs npm (install Node.js)"
    if not all(importlib.util.find_spec(name) for name in ("onnx", "onnxscript")):
        return "no page that colors photos: it needs onnx (pip install '.[web]')"
    try:
        fetch_runtime(npm, site)
    except subprocess.CalledProcessError as error:
        return f"no page that colors photos: npm failed ({error.stderr.strip()[-300:]})"
    export_onnx(load_generator("photos"), site / MODEL)
    for name in (MODEL, WASM):
        pack(site / name)
    rules = {"multiple": MULTIPLE, "size": int(read_card("photos")["size"]), "longest": LONGEST}
    rules["bytes"] = {name: (site / name).stat().st_size for name in PACKED}
    (site / RULES).write_text(json.dumps(rules), "utf-8")
    write_page(site)
    (site / "color-offline.html").write_text(one_file(site), "utf-8")
    return "color.html and color-offline.html color photos in the browser"


def fetch_runtime(npm: str, site: Path) -> None:
    """Copy the two files of ONNX Runtime Web that the page needs to the site."""
    archive = CACHE / f"{RUNTIME}-{VERSION}.tgz"
    if not archive.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [npm, "pack", f"{RUNTIME}@{VERSION}", "--silent"]
        subprocess.run(command, cwd=CACHE, check=True, capture_output=True, text=True)
    with tarfile.open(archive) as package:
        for name in (MODULE, WASM):
            (site / name).write_bytes(package.extractfile(f"package/dist/{name}").read())


def export_onnx(generator: nn.Module, path: Path) -> None:
    """Write a generator as ONNX: L (1, 1, H, W) in, ab (1, 2, H, W) out, weights in half precision.

    Args:
        generator: as `colorlib.runs.load_generator` returns it.
        path: of the file. In it, H and W are free, but must be multiples of `MULTIPLE`.
    """
    import onnx

    height, width = (torch.export.Dim(name, min=1, max=256) for name in ("height", "width"))
    program = torch.onnx.export(
        generator,
        (torch.zeros(1, 1, 4 * MULTIPLE, 6 * MULTIPLE),),
        dynamo=True,
        opset_version=18,
        input_names=["L"],
        output_names=["ab"],
        dynamic_shapes=[{2: MULTIPLE * height, 3: MULTIPLE * width}],
        verbose=False,
    )
    model = program.model_proto
    halve_weights(model)
    onnx.save(model, path)


def halve_weights(model: object) -> None:
    """Keep an ONNX model's weights in half precision; it still computes in single precision."""
    import onnx

    casts = []
    for weight in model.graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype == np.float32 and values.size > 1:
            name, half = weight.name, f"{weight.name}_half"
            weight.CopyFrom(onnx.numpy_helper.from_array(round_to_half(values), half))
            cast = onnx.helper.make_node("Cast", [half], [name], to=onnx.TensorProto.FLOAT)
            casts.append(cast)
    nodes = [*casts, *model.graph.node]
    model.graph.ClearField("node")
    model.graph.node.extend(nodes)


def round_to_half(values: np.ndarray) -> np.ndarray:
    """Round weights to half precision; those of a large layer to `MANTISSA` bits of it."""
    dropped = 10 - MANTISSA if values.size >= LARGE else 0
    bits = values.astype(np.float16).view(np.uint16).astype(np.uint32)
    rounded = (bits + (1 << dropped >> 1)) >> dropped << dropped
    return rounded.astype(np.uint16).view(np.float16)


def pack(path: Path) -> None:
    """Gzip a file in place, the same bytes each time."""
    packed = gzip.compress(path.read_bytes(), compresslevel=9, mtime=0)
    path.with_name(f"{path.name}.gz").write_bytes(packed)
    path.unlink()


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

    style, script = text("color.css"), bundle(site, "color-files.js", "color-math.js", "color.js")
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
        "color-worker.js": bundle(site, "color-math.js", "color-worker.js"),
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
