"""Stage 1 of the photo weights: plain L1, first with the encoder held, then with it released."""

import copy
import csv
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from colorlib.evaluate import evaluate
from colorlib.files import atomic_write, save_generator
from colorlib.generator import PretrainedUNet
from tools.photo_data import Mixture

SAVE_EVERY, LOOK_EVERY = 120.0, 300.0  # seconds
EMA = 0.995  # of each step's average weights, this share is the average before it


@dataclass(frozen=True)
class Stage1:
    """How stage 1 trains. Budgets are in seconds: the schedule follows the share that is spent."""

    seconds: float = 4800.0
    seed: int = 0
    learning_rate: float = 1e-3  # of the decoder
    encoder_learning_rate: float = 2e-4
    weight_decay: float = 0.02
    held: float = 0.5  # share of the budget in which the whole encoder is held
    released_from: int = 3  # the encoder's first stages, costly on the way back, are always held


def train(
    config: Stage1, imagenet: Path, mixture: Mixture, validation: Dataset, folder: Path
) -> PretrainedUNet:
    """Train, or go on where an earlier call stopped, and return the averaged network.

    Args:
        config: how, and for how long.
        imagenet: the encoder's published weights.
        mixture: gives the batches.
        validation: photos to measure on now and then; nothing is learned from them.
        folder: gets checkpoint.pt, history.csv, validation.csv and looks/, the weights then.
    """
    torch.manual_seed(config.seed)
    network = PretrainedUNet()
    network.load_imagenet_encoder(imagenet)
    network.train()
    average = copy.deepcopy(network).eval()
    decoder = [*network.decoder.parameters(), *network.last.parameters()]
    optimizer = torch.optim.AdamW(
        [
            {"params": decoder, "full_rate": config.learning_rate},
            {"params": network.encoder.parameters(), "full_rate": config.encoder_learning_rate},
        ],
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
    )
    state = {"step": 0, "seconds": 0.0, "config": asdict(config)}
    parts = {"network": network, "average": average, "optimizer": optimizer}
    path = folder / "checkpoint.pt"
    if path.exists():
        saved = torch.load(path, weights_only=True)
        state = saved["state"]
        for name, part in parts.items():
            part.load_state_dict(saved[name])
    folder.mkdir(parents=True, exist_ok=True)
    last_save = last_look = state["seconds"]
    losses: list[Tensor] = []
    clock = time.monotonic()
    while (share := state["seconds"] / config.seconds) < 1:
        network.encoder.requires_grad_(False)
        network.encoder.stages[config.released_from :].requires_grad_(share >= config.held)
        for group in optimizer.param_groups:
            group["lr"] = group["full_rate"] * (0.5 + 0.5 * math.cos(math.pi * share))
        L, ab = mixture.batch(state["step"])
        loss = (network(L) - ab).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        follow(average, network)
        losses.append(loss.detach())
        state["step"] += 1
        now = time.monotonic()
        state["seconds"], clock = state["seconds"] + min(now - clock, 60.0), now
        is_done = state["seconds"] >= config.seconds
        if len(losses) == 60 or is_done:
            mean = torch.stack(losses).mean().item()
            append(folder / "history.csv", {**clock_of(state), "loss": round(mean, 5)})
            losses.clear()
        if state["seconds"] - last_look >= LOOK_EVERY or is_done:
            row = evaluate(average, validation)
            kept = {name: round(row[name], 3) for name in ("psnr_ab", "ciede2000", "colorfulness")}
            append(folder / "validation.csv", clock_of(state) | kept)
            save_generator(folder / "looks" / f"{state['step']:06d}.safetensors", average)
            last_look = state["seconds"]
        if state["seconds"] - last_save >= SAVE_EVERY or is_done:
            saved = {name: part.state_dict() for name, part in parts.items()}
            with atomic_write(path) as temporary:
                torch.save({"state": state, **saved}, temporary)
            last_save = state["seconds"]
    return average


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module) -> None:
    """Move averaged weights and statistics a little toward the current ones."""
    for mean, value in zip(average.state_dict().values(), network.state_dict().values()):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - EMA)


def clock_of(state: dict) -> dict:
    """When something was measured."""
    return {"step": state["step"], "seconds": round(state["seconds"], 1)}


def append(path: Path, row: dict) -> None:
    """Add a row to a CSV file, and print it."""
    is_new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, row)
        if is_new:
            writer.writeheader()
        writer.writerow(row)
    print(path.stem, row, flush=True)
