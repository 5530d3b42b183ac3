"""What skips are worth: train the same U-Net with and without them, on three seeds.

    python -m tools.skips

writes data/results/skips.json and skips.png, which lesson 04 shows.
"""

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import torch
import tyro
from torch import Tensor
from torch.nn import functional

from colorlib.color import L_ab_to_rgb, rgb_to_L_ab
from colorlib.config import RECIPES, TrainConfig
from colorlib.generator import StridedUNet
from colorlib.metrics import gray_baseline, psnr_ab, write_picture
from colorlib.photos import TEST_SCENES_SEED
from colorlib.runs import write_json
from colorlib.scenes import SceneDataset
from colorlib.training import train
from lessonkit.lesson_04.unet_views import color_with_cuts, drop_skip, joins
from lessonkit.results import draw_rows
from tools import ROOT

TRAINED, TESTED = 1500, 150  # scenes
SHOWN = 6  # of them, in the picture


def measure_skips(
    width: int = 16,
    steps: int = 1000,
    batch: int = 16,
    seeds: tuple[int, ...] = (0, 1, 2),
    out: Path = ROOT / "data" / "results",
) -> None:
    """Train, test and write down the results.

    Args:
        width: Of the StridedUNet.
        steps: For each network.
        batch: Scenes per step.
        seeds: One pair of networks for each.
        out: The folder to write to.
    """
    training, test = SceneDataset(TRAINED, seed=0), SceneDataset(TESTED, seed=TEST_SCENES_SEED)
    L, ab = rgb_to_L_ab(test.rgb)
    near_edge = edges(test.labels)
    runs, pictures = [], {}
    for seed in seeds:
        config = replace(RECIPES["l1"], steps=steps, batch=batch, seed=seed)
        for has_skips in (False, True):
            torch.manual_seed(seed)
            network = learn(training, StridedUNet(width), config, has_skips)
            answer = color_with_cuts(network, L, [])
            run = {"seed": seed, "has_skips": has_skips} | scores(answer, ab, near_edge)
            if has_skips:
                run["lost"] = cut_losses(network, L, ab)
            runs.append(run)
            print(run, flush=True)
            pictures.setdefault(has_skips, L_ab_to_rgb(L[:SHOWN], answer[:SHOWN]))
    gray = scores(gray_baseline(L), ab, near_edge)
    write_json(
        out / "skips.json",
        {"width": width, "steps": steps, "batch": batch, "gray": gray, "runs": runs},
    )
    rows = {
        "gray": L_ab_to_rgb(L[:SHOWN], gray_baseline(L[:SHOWN])),
        "no skips": pictures[False],
        "skips": pictures[True],
        "truth": test.rgb[:SHOWN] / 255,
    }
    write_picture(out / "skips.png", draw_rows(rows))


def learn(
    training: SceneDataset, network: StridedUNet, config: TrainConfig, has_skips: bool
) -> StridedUNet:
    """Train a network; one without skips gets zeros instead of them."""
    if not has_skips:
        for layer in joins(network):
            layer.register_forward_pre_hook(drop_skip)
    return train(config, training, generator=network).generator.eval()


def scores(answer: Tensor, ab: Tensor, near_edge: Tensor) -> dict[str, float]:
    """Mean PSNR of ab in dB, and the mean distance in CIE units near edges and elsewhere."""
    distance = 110 * (answer - ab).norm(dim=1)
    return {
        "psnr_ab": psnr_ab(answer, ab).mean().item(),
        "distance_near_edges": distance[near_edge].mean().item(),
        "distance_elsewhere": distance[~near_edge].mean().item(),
    }


def edges(labels: Tensor) -> Tensor:
    """Whether another thing lies within one pixel, (N, H, W) bool, from label maps (N, H, W)."""
    padded = functional.pad(labels[:, None].float(), [1] * 4, mode="replicate")
    largest = functional.max_pool2d(padded, 3, stride=1)
    smallest = -functional.max_pool2d(-padded, 3, stride=1)
    return (largest != smallest)[:, 0]


def cut_losses(network: StridedUNet, L: Tensor, ab: Tensor) -> dict[str, float]:
    """How many dB of PSNR each cut costs: of one, two or all skips, and of the bottom."""
    levels = range(4)
    cuts = [[level] for level in levels] + [list(pair) for pair in combinations(levels, 2)]
    cuts.append(list(levels))
    answers = {"+".join(map(str, cut)): color_with_cuts(network, L, cut) for cut in cuts}
    answers["bottom"] = color_with_cuts(network, L, [], is_bottom_cut=True)
    whole = psnr_ab(color_with_cuts(network, L, []), ab).mean()
    return {cut: (whole - psnr_ab(each, ab).mean()).item() for cut, each in answers.items()}


if __name__ == "__main__":
    tyro.cli(measure_skips)
